//! [`Stock`]: the segments that are not being written: the closed ones, and the one made ahead.
//!
//! While a segment is written, the next one is there, with all its room set aside. Where that cannot be had, or is lent
//! to a snapshot, what is left of the current one, and of the next, is kept for the ends of what was taken in
//! ([`Room::Reserved`]).

use super::JournalOptions;
use super::sectors::Seal;
use super::segment::{self, BINDING, Binding, FRAMES, Header};
use crate::persistence::disk::{Disk, DiskFile, OpenMode};
use crate::persistence::error::StoreError;
use crate::persistence::file::spare::Spare;
use crate::persistence::journal::{Lsn, Room};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};

use std::io;

/// Bytes of the smallest segment that is made where there is no room for a whole one.
const LEAST_BYTES: u64 = 4096;

/// How many frames are appended between two attempts to make the next segment, where the first has failed.
const FRAMES_BETWEEN_ATTEMPTS: u32 = 64;

/// All segments of a journal but the one that is written.
pub(super) struct Stock {
    disk: Arc<dyn Disk>,
    store: u128,
    segment_bytes: u64,
    /// Bytes that are left of the segment ahead while it is lent.
    kept_bytes: u64,
    ahead: Mutex<Ahead>,
    /// There is a whole segment ahead, and it is not lent.
    ample: AtomicBool,
    /// Oldest first.
    closed: Mutex<Vec<Closed>>,
    /// Held while some are removed; a writer does not wait for that.
    trimming: Mutex<()>,
    /// Bytes of all segments, that which is written included.
    bytes: AtomicU64,
}

struct Ahead {
    /// The number of the segment that is made, or is to be.
    number: u64,
    made: Option<Made>,
    /// The one taken last is not bound yet. Until it is, none is made: the one made ahead is a witness that the one
    /// before it was bound (see `survey`).
    is_binding: bool,
    /// Frames appended since the last attempt to make it.
    frames_since: u32,
    /// A snapshot has most of its room, and none is set aside anew.
    is_lent: bool,
}

/// A segment made ahead: its header is durable, and so is its name.
pub(super) struct Made {
    pub(super) number: u64,
    pub(super) file: Box<dyn DiskFile>,
    pub(super) bytes: u64,
}

/// A segment that is written no more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// It holds no record above this one.
    pub(super) last: Lsn,
}

impl Stock {
    /// That of a store of which nothing is known yet.
    pub(super) fn new(disk: Arc<dyn Disk>, store: u128, options: &JournalOptions) -> Self {
        let JournalOptions {
            segment_bytes,
            kept_bytes,
        } = *options;
        let ahead = Ahead {
            number: 1,
            made: None,
            is_binding: false,
            frames_since: 0,
            is_lent: false,
        };
        Self {
            disk,
            store,
            segment_bytes,
            kept_bytes: kept_bytes.clamp(FRAMES, segment_bytes),
            ahead: Mutex::new(ahead),
            ample: AtomicBool::new(true),
            closed: Mutex::new(Vec::new()),
            trimming: Mutex::new(()),
            bytes: AtomicU64::new(0),
        }
    }

    /// The directory.
    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The store's UUID.
    pub(super) fn store(&self) -> u128 {
        self.store
    }

    /// Starts from what is there: all segments have so many bytes, the closed ones are these, and `next` is the number
    /// of the next to be taken.
    pub(super) fn fill(&self, bytes: u64, closed: Vec<Closed>, next: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        *self.closed.lock() = closed;
        let mut ahead = self.ahead.lock();
        ahead.number = next;
        ahead.made = None;
    }

    /// The next segment, with room for frames up to this offset: the one ahead, or one made now.
    pub(super) fn take(&self, bytes: u64) -> Result<Made, StoreError> {
        let mut ahead = self.ahead.lock();
        let made = match ahead.made.take().filter(|made| made.bytes >= bytes) {
            Some(made) => made,
            // What is lent is not taken back before its time.
            None if ahead.is_lent => self.make_what_fits(ahead.number, bytes, self.kept_bytes)?,
            None => self.make_what_fits(ahead.number, bytes, self.segment_bytes)?,
        };
        ahead.number = following(ahead.number)?;
        ahead.is_binding = true;
        Ok(made)
    }

    /// Makes a segment with room for frames up to an offset, of so many bytes if that can be; where there is no room for
    /// it, a smaller one, half as large each time.
    fn make_what_fits(&self, number: u64, least: u64, bytes: u64) -> Result<Made, StoreError> {
        let least = least.max(LEAST_BYTES);
        let mut bytes = bytes.max(least);
        loop {
            match self.make_of(number, bytes) {
                Err(StoreError::Full { .. }) if bytes > least => bytes = least.max(bytes / 2),
                made => return made,
            }
        }
    }

    /// Makes a segment larger, before anything is written to it; its size is durable then.
    pub(super) fn grow(&self, made: &mut Made, bytes: u64) -> Result<(), StoreError> {
        if made.bytes >= bytes {
            return Ok(());
        }
        let failed = |error| self.failed("allocate", &segment::name(made.number), error);
        made.file.allocate(bytes).map_err(failed)?;
        made.file.sync().map_err(failed)?;
        self.bytes.fetch_add(bytes - made.bytes, Ordering::Relaxed);
        made.bytes = bytes;
        Ok(())
    }

    /// Makes the next segment, where there is no whole one ahead and none is lent.
    pub(super) fn refill(&self) {
        self.refill_from(&mut self.ahead.lock());
    }

    /// As [`refill`](Self::refill), but only at every so manieth call: for each frame appended.
    pub(super) fn refill_at_times(&self) {
        if self.ample.load(Ordering::Relaxed) {
            return;
        }
        let mut ahead = self.ahead.lock();
        ahead.frames_since += 1;
        if ahead.frames_since >= FRAMES_BETWEEN_ATTEMPTS {
            self.refill_from(&mut ahead);
        }
    }

    fn refill_from(&self, ahead: &mut Ahead) {
        ahead.frames_since = 0;
        if !self.is_ample(ahead) && !ahead.is_binding && !ahead.is_lent {
            // Whatever the error is: what there is goes on serving, a part of a segment too, and the room tells.
            if let Ok(made) = self.make_of(ahead.number, self.segment_bytes) {
                ahead.made = Some(made);
            }
        }
        self.ample.store(self.is_ample(ahead), Ordering::Relaxed);
    }

    /// Whether a whole segment is made.
    fn is_ample(&self, ahead: &Ahead) -> bool {
        let made = ahead.made.as_ref();
        made.is_some_and(|made| made.bytes >= self.segment_bytes)
    }

    /// Whether there is a whole segment ahead, and it is not lent.
    pub(super) fn room(&self) -> Room {
        if self.ample.load(Ordering::Relaxed) {
            Room::Ample
        } else {
            Room::Reserved
        }
    }

    /// Takes note that so many bytes are used no more.
    fn gave_back(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives back what a segment has more than this, before anything is written to it. `None` where it is to be made
    /// over.
    fn shorten(&self, mut made: Made, bytes: u64) -> Option<Made> {
        made.file.truncate(bytes).ok()?;
        let less = made.bytes.saturating_sub(bytes);
        self.gave_back(less);
        made.bytes -= less;
        Some(made)
    }

    /// Gives back the room behind the last frame of a segment that is written no more.
    pub(super) fn give_back(&self, number: u64, end: u64) {
        let mut closed = self.closed.lock();
        let Some(segment) = closed.iter_mut().find(|segment| segment.number == number) else {
            return;
        };
        let name = segment::name(number);
        let file = self.disk.open(&name, OpenMode::Write);
        // Where it fails, it stays until the segment is dropped.
        if file.and_then(|file| file.truncate(end)).is_ok() {
            self.gave_back(segment.bytes.saturating_sub(end));
            segment.bytes = segment.bytes.min(end);
        }
    }

    /// Takes note that a segment is written no more.
    pub(super) fn close(&self, closed: Closed) {
        self.closed.lock().push(closed);
    }

    /// Removes the closed segments that hold no record above this one, and the torn ends saved from them.
    pub(super) fn trim(&self, floor: Lsn) -> Result<(), StoreError> {
        let _alone = self.trimming.lock();
        let closed = self.closed.lock().clone();
        let below = closed.iter().take_while(|segment| segment.last <= floor);
        let mut removed = 0;
        let mut outcome = Ok(());
        for segment in below {
            outcome = self.remove(&segment::name(segment.number));
            if outcome.is_err() {
                break;
            }
            self.gave_back(segment.bytes);
            removed += 1;
        }
        if removed > 0 {
            self.closed.lock().drain(..removed);
            self.remove_torn(closed[removed - 1].number)?;
            let synced = self.disk.sync_directory();
            synced.map_err(|error| StoreError::from_io(self.what("sync", ""), error))?;
        }
        if self.room() == Room::Reserved {
            self.refill();
        }
        outcome
    }

    /// Removes the torn ends saved from segments up to this one.
    fn remove_torn(&self, last: u64) -> Result<(), StoreError> {
        let names = self.disk.list();
        let names = names.map_err(|error| StoreError::from_io(self.what("list", ""), error))?;
        names
            .iter()
            .filter(|name| segment::torn_number(name).is_some_and(|number| number <= last))
            .try_for_each(|name| self.remove(name))
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.failed("remove", name, error))
            }
            _ => Ok(()),
        }
    }

    /// Makes a segment, or makes one over that was made ahead before and never written to: durable when it returns,
    /// name, size and header.
    fn make_of(&self, number: u64, bytes: u64) -> Result<Made, StoreError> {
        let name = segment::name(number);
        let (file, is_new) = match self.disk.open(&name, OpenMode::Write) {
            Ok(file) => (file, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = self.disk.open(&name, OpenMode::Create);
                (
                    file.map_err(|error| self.failed("make", &name, error))?,
                    true,
                )
            }
            Err(error) => return Err(self.failed("open", &name, error)),
        };
        let before = if is_new { Ok(0) } else { file.size() };
        let before = before.map_err(|error| self.failed("open", &name, error))?;
        let header = Header::new(self.store, number).sector();
        let made = file
            .allocate(bytes)
            .and_then(|()| file.write_all_at(0, &header))
            .and_then(|()| file.sync())
            .and_then(|()| self.disk.sync_directory())
            .and_then(|()| file.size());
        match made {
            Ok(bytes) => {
                let more = bytes.saturating_sub(before);
                self.bytes.fetch_add(more, Ordering::Relaxed);
                Ok(Made {
                    number,
                    file,
                    bytes,
                })
            }
            Err(error) => {
                // What it has taken others may need.
                let _ = file.truncate(before);
                let left = file.size().unwrap_or(before);
                drop(file);
                if !is_new || self.disk.remove(&name).is_err() {
                    // What stays is made over later, from this size on.
                    let more = left.saturating_sub(before);
                    self.bytes.fetch_add(more, Ordering::Relaxed);
                }
                Err(self.failed("make", &name, error))
            }
        }
    }

    /// Writes the binding of the segment that was taken; durable when it returns.
    pub(super) fn bind(&self, made: &Made, binding: &Binding) -> Result<(), StoreError> {
        let sector = binding.sector(Seal::of(self.store, made.number));
        let written = made.file.write_all_at(BINDING, &sector);
        written
            .and_then(|()| made.file.sync())
            .map_err(|error| self.failed("write", &segment::name(made.number), error))?;
        self.ahead.lock().is_binding = false;
        Ok(())
    }

    /// An error of the operating system's, with what was tried on which file.
    pub(super) fn failed(&self, what: &str, name: &str, error: io::Error) -> StoreError {
        StoreError::from_io(self.what(what, name), error)
    }

    fn what(&self, what: &str, name: &str) -> String {
        if name.is_empty() {
            format!("{what} {}", self.disk.place())
        } else {
            format!("{what} {name} in {}", self.disk.place())
        }
    }
}

/// An attempt to make a segment that is under way ends before anything is lent: it may be all that was in the way.
impl Spare for Stock {
    fn lend(&self) -> bool {
        let mut ahead = self.ahead.lock();
        if ahead.is_lent {
            return false;
        }
        ahead.is_lent = true;
        self.ample.store(false, Ordering::Relaxed);
        // Its name and its head stay in any case: it is a witness that the one before it was bound.
        let made = ahead.made.take();
        ahead.made = made.and_then(|made| self.shorten(made, self.kept_bytes));
        true
    }

    fn reclaim(&self) {
        let mut ahead = self.ahead.lock();
        if ahead.is_lent {
            ahead.is_lent = false;
            self.refill_from(&mut ahead);
        }
    }
}

/// The number of the segment after this one.
pub(super) fn following(number: u64) -> Result<u64, StoreError> {
    let full = || StoreError::Full {
        what: format!("number the segment after {}", segment::name(number)),
    };
    number.checked_add(1).ok_or_else(full)
}
