//! Rewriting: frames of damaged segments written once more, into new segments.
//!
//! The new segments have numbers above all that there are. They are written under temporary names, which an opening
//! removes, so that a rewriting which was cut short leaves nothing. Then they get their names, *the last one first*,
//! each durably before the next. The first of them says that it begins behind a record up to which snapshots know
//! all; from the moment it has its name, the old segments are not looked at any more. Before that moment the segments
//! that have theirs lack the one in front of them, so that whoever opens the store meanwhile is refused.
//!
//! The last of the new segments holds no frame: it says which numbers and which epoch come next, above all that were
//! used in what was given up.

use std::io;

use super::JournalOptions;
use super::segment::{self, Binding, Link, UNFINISHED};
use super::stock::{Stock, following};
use super::survey::numbers;
use super::writer::Writer;
use crate::ids::Timestamp;
use crate::persistence::disk::{Disk, DiskFile, DiskLock, OpenMode};
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Lsn};
use crate::sync::Arc;

/// What is known before the first frame is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    /// All records up to this one are in snapshots, or there are none.
    pub(crate) follows: Lsn,
    /// The number of the first record.
    pub(crate) next: Lsn,
    /// The epoch of what is written.
    pub(crate) epoch: u32,
    /// The time of the last poll before.
    pub(crate) polled_until: Option<Timestamp>,
}

/// A journal that is being written anew.
pub(crate) struct Rewrite {
    stock: Stock,
    writer: Writer,
    disk: Arc<dyn Disk>,
    first: u64,
}

impl Rewrite {
    /// Begins the new segments of a store's journal, of so many bytes each, or smaller ones where there is no room.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed but for temporary files. So it is of all that follows but
    /// [`publish`](Self::publish).
    pub(crate) fn begin(
        disk: &Arc<dyn Disk>,
        store: u128,
        segment_bytes: u64,
        start: Start,
    ) -> Result<Self, StoreError> {
        let first = numbers(&**disk)?.last().copied().unwrap_or(0);
        let first = following(first)?;
        remove_unfinished(&**disk)?;
        let staged: Arc<dyn Disk> = Arc::new(Staged(Arc::clone(disk)));
        let range = JournalOptions::SEGMENT_BYTES_MIN..=JournalOptions::SEGMENT_BYTES_MAX;
        let options = JournalOptions {
            segment_bytes: segment_bytes.clamp(*range.start(), *range.end()),
            ..JournalOptions::default()
        };
        let stock = Stock::new(staged, store, &options);
        stock.fill(0, Vec::new(), first);
        let made = stock.take(0)?;
        let binding = Binding {
            follows: Link {
                last: start.follows,
                frame: 0,
            },
            end: 0,
            next: start.next.max(start.follows.next()),
            epoch: start.epoch,
            bytes: made.bytes,
            polled_until: start.polled_until,
        };
        stock.bind(&made, &binding)?;
        Ok(Self {
            writer: Writer::new(made, &binding, store),
            stock,
            disk: Arc::clone(disk),
            first,
        })
    }

    /// Writes a frame, whose numbers are above those before it.
    pub(crate) fn put(&mut self, frame: &Frame<'_>, epoch: u32) -> Result<(), StoreError> {
        if frame.base > self.writer.next() {
            self.writer.skip_to(frame.base, &self.stock)?;
        }
        let frame = Frame { epoch, ..*frame };
        self.writer.append(&frame, &self.stock).map(drop)
    }

    /// Ends the journal: the next record will have this number. Gives all of it its names; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]. Where only some have their names the store is refused when it is opened; what was there before
    /// is there still.
    pub(crate) fn publish(mut self, next: Lsn) -> Result<(), StoreError> {
        self.writer.skip_to(next, &self.stock)?;
        for number in (self.first..=self.writer.segment()).rev() {
            let name = segment::name(number);
            let failed = |error| self.stock.failed("name", &name, error);
            self.disk
                .rename(&format!("{name}{UNFINISHED}"), &name)
                .map_err(failed)?;
            self.disk.sync_directory().map_err(failed)?;
        }
        Ok(())
    }
}

/// Removes what was left of segments that were about to be made: frames in them would pass for new ones.
fn remove_unfinished(disk: &dyn Disk) -> Result<(), StoreError> {
    let failed = |error| StoreError::from_io(format!("tidy {}", disk.place()), error);
    let names = disk.list().map_err(failed)?;
    let unfinished = names.iter().filter(|name| {
        let name = name.strip_suffix(UNFINISHED);
        name.and_then(segment::number).is_some()
    });
    for name in unfinished {
        disk.remove(name).map_err(failed)?;
    }
    Ok(())
}

/// A directory in which files have temporary names.
struct Staged(Arc<dyn Disk>);

impl Staged {
    fn name(name: &str) -> String {
        format!("{name}{UNFINISHED}")
    }
}

impl Disk for Staged {
    fn place(&self) -> String {
        self.0.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        self.0.open(&Self::name(name), mode)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(&Self::name(from), &Self::name(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(&Self::name(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.0.sync_directory()
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        self.0.lock(holder)
    }
}
