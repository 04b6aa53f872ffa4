//! The journal in files: segments of frames, preallocated and written one after the other.
//!
//! ```text
//! journal-0000000000000001   [header|binding|frame|frame|frame      ]   closed
//! journal-0000000000000002   [header|binding|frame|frame|           ]   written now
//! journal-0000000000000003   [header|                               ]   made ahead
//! ```
//!
//! | module | knows |
//! |---|---|
//! | `sectors` | what a sector of a frame looks like, and what its mark proves |
//! | `segment`, `frame` | the formats |
//! | `window`, `frames` | how a segment is read |
//! | `survey` | which segments there are, and which are to be read |
//! | `replay`, `proof` | the journal's end: whole, torn or damaged |
//! | `begin`, `writer`, `stock` | the new end, and what is written there |
//! | `inspect` | all that is wrong with a journal, for whoever is to repair it |
//! | `rewrite` | new segments with the frames of damaged ones |
//!
//! # What holds at every moment, whatever a crash leaves
//! - A segment is bound (its binding is durable) before its first frame is written, and only after all of the one
//!   before it is durable. So all that a binding says of the segment before it is so.
//! - A segment that was not bound holds nothing but zeros behind its head.
//! - Frames follow on each other by number, place and checksum. So what a crash leaves of a segment's frames is, from
//!   the front, whole ones, and then such as lack a sector.

mod begin;
mod frame;
mod frames;
pub(super) mod inspect;
mod proof;
mod replay;
pub(super) mod rewrite;
mod sectors;
mod segment;
mod stock;
mod survey;
mod window;
mod writer;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use self::replay::Found;
use self::stock::Stock;
use self::writer::{Writer, misuse};
use crate::persistence::disk::Disk;
use crate::persistence::error::StoreError;
use crate::persistence::file::spare::Spare;
use crate::persistence::journal::{Frame, Journal, JournalTail, Lsn, Positions, Room};
use crate::sync::{Arc, Mutex};

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalOptions {
    /// Bytes of a segment, 4 KiB to 1 GiB, 64 MiB by default. Two of them are set aside at any time; a larger one is
    /// made for a frame that fits in none. The smaller they are, the sooner is room given back, and the more often
    /// a writer waits for a new one.
    pub(crate) segment_bytes: u64,
    /// Bytes of the segment made ahead that are never lent, 16 MiB by default. What was taken in while there was room, and
    /// is not written yet, must find some: that is two frames of 4 MiB at most, and what callers wait for; and so must
    /// the ends of what was taken in before.
    pub(crate) kept_bytes: u64,
}

impl JournalOptions {
    const SEGMENT_BYTES_MIN: u64 = 4 << 10;
    const SEGMENT_BYTES_MAX: u64 = 1 << 30;

    /// Whether all is in its range.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let range = Self::SEGMENT_BYTES_MIN..=Self::SEGMENT_BYTES_MAX;
        if range.contains(&self.segment_bytes) {
            return Ok(());
        }
        Err(StoreError::Mismatch {
            what: "segment_bytes".to_owned(),
            found: self.segment_bytes.to_string(),
            expected: format!("{} to {}", range.start(), range.end()),
        })
    }
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            kept_bytes: 16 << 20,
        }
    }
}

/// A journal in files of one directory.
pub(crate) struct FileJournal {
    stock: Arc<Stock>,
    state: Mutex<State>,
}

enum State {
    /// Nothing was read.
    New,
    /// It was read back.
    Read(Box<Found>),
    /// It is written.
    Writing(Box<Writer>),
    /// It was written, up to this error.
    Failed(StoreError),
}

impl FileJournal {
    /// The journal of the store of this UUID. Nothing is read or written yet.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where an option is out of its range.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        uuid: u128,
        options: JournalOptions,
    ) -> Result<Self, StoreError> {
        options.check()?;
        Ok(Self {
            stock: Arc::new(Stock::new(disk, uuid, &options)),
            state: Mutex::new(State::New),
        })
    }

    /// What it has set aside.
    pub(super) fn spare(&self) -> Arc<dyn Spare> {
        Arc::clone(&self.stock) as _
    }

    /// Does something with the writer; its error is the last.
    fn write<T>(
        &self,
        what: &str,
        with: impl FnOnce(&mut Writer, &Stock) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state.lock();
        let outcome = match &mut *state {
            State::Writing(writer) => with(writer, &self.stock),
            State::Failed(error) => return Err(error.clone()),
            State::New | State::Read(_) => {
                return Err(misuse(format!("{what} before the journal has begun")));
            }
        };
        if let Err(error) = &outcome {
            *state = State::Failed(error.clone());
        }
        outcome
    }
}

impl Journal for FileJournal {
    fn replay(
        &self,
        from: &Positions,
        visit: &mut dyn FnMut(&Frame<'_>) -> Result<(), StoreError>,
    ) -> Result<JournalTail, StoreError> {
        if matches!(*self.state.lock(), State::Writing(_) | State::Failed(_)) {
            return Err(misuse("replay a journal that has begun".to_owned()));
        }
        let found = replay::replay(self.stock.disk(), self.stock.store(), from, visit)?;
        let tail = found.tail.clone();
        let bytes = found.survey.sizes.values().sum();
        self.stock.fill(bytes, Vec::new(), 1);
        *self.state.lock() = State::Read(Box::new(found));
        Ok(tail)
    }

    fn begin(&self, epoch: u32, next: Lsn) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let State::Read(found) = &*state else {
            return Err(misuse(
                "begin a journal that was not read, or has begun".to_owned(),
            ));
        };
        let JournalTail {
            epoch: newer,
            highest,
            ..
        } = found.tail;
        if newer >= epoch {
            return Err(StoreError::Stale { epoch, newer });
        }
        if next <= highest {
            return Err(misuse(format!(
                "begin with record {next}, where {highest} was used"
            )));
        }
        let (segment, binding) = begin::begin(&self.stock, found, epoch, next)?;
        let writer = Writer::new(segment, &binding, self.stock.store());
        *state = State::Writing(Box::new(writer));
        Ok(())
    }

    fn append(&self, frame: &Frame<'_>) -> Result<Lsn, StoreError> {
        self.write("append", |writer, stock| writer.append(frame, stock))
    }

    fn wait_durable(&self, lsn: Lsn) -> Result<Lsn, StoreError> {
        self.write("wait", |writer, stock| writer.wait_durable(lsn, stock))
    }

    fn room(&self) -> Room {
        self.stock.room()
    }

    fn trim(&self, below: &Positions) -> Result<(), StoreError> {
        self.stock.trim(below.floor())
    }

    fn bytes(&self) -> u64 {
        self.stock.bytes()
    }
}
