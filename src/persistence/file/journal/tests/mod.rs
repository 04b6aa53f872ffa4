//! The journal in files, over a disk in memory.

mod damage;
mod disk;
mod failing;
mod golden;
mod inspection;
mod lending;
mod refusals;
mod torn;
mod writing;

use self::disk::MemoryDisk;
use super::{FileJournal, JournalOptions, segment};
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Journal, JournalTail, Lsn, Positions};
use crate::sync::Arc;

const STORE: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

/// Bytes of a segment: six sectors for frames.
const SMALL: u64 = 4096;

fn journal(disk: &MemoryDisk) -> FileJournal {
    journal_of(disk, SMALL)
}

fn journal_of(disk: &MemoryDisk, segment_bytes: u64) -> FileJournal {
    let options = JournalOptions {
        segment_bytes,
        kept_bytes: segment_bytes / 8,
    };
    FileJournal::open(Arc::new(disk.clone()), STORE, options).unwrap()
}

/// A frame, owned.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    base: u64,
    count: u32,
    epoch: u32,
    synced: u64,
    polled_until: Option<Timestamp>,
    closing: bool,
    records: Vec<u8>,
}

fn from(position: u64) -> Positions {
    Positions(vec![Lsn(position)])
}

/// Reads all frames behind a record, and the end.
fn read_from(journal: &FileJournal, position: u64) -> Result<(Vec<Seen>, JournalTail), StoreError> {
    let mut seen = Vec::new();
    let tail = journal.replay(&from(position), &mut |frame| {
        seen.push(Seen {
            base: frame.base.0,
            count: frame.count,
            epoch: frame.epoch,
            synced: frame.synced.0,
            polled_until: frame.polled_until,
            closing: frame.closing,
            records: frame.records.to_vec(),
        });
        Ok(())
    })?;
    Ok((seen, tail))
}

fn read(disk: &MemoryDisk) -> Result<(Vec<Seen>, JournalTail), StoreError> {
    read_from(&journal(disk), 0)
}

/// A journal being written by a caller that keeps its numbers.
struct Pen {
    journal: FileJournal,
    epoch: u32,
    next: u64,
    synced: u64,
}

impl Pen {
    /// Opens the journal, with the next epoch and the next number.
    fn open(disk: &MemoryDisk) -> Self {
        Self::begin(journal(disk))
    }

    fn begin(journal: FileJournal) -> Self {
        let tail = read_from(&journal, 0).unwrap().1;
        let next = tail.highest.next();
        journal.begin(tail.epoch + 1, next).unwrap();
        Self {
            journal,
            epoch: tail.epoch + 1,
            next: next.0,
            synced: tail.highest.0,
        }
    }

    /// Appends records of this text each, without a sync.
    fn append(&mut self, records: &[&str]) -> Result<Lsn, StoreError> {
        self.append_frame(records.len() as u32, records.concat().as_bytes(), false)
    }

    fn append_frame(
        &mut self,
        count: u32,
        records: &[u8],
        closing: bool,
    ) -> Result<Lsn, StoreError> {
        let last = self.journal.append(&Frame {
            base: Lsn(self.next),
            count,
            epoch: self.epoch,
            synced: Lsn(self.synced),
            polled_until: None,
            closing,
            records,
        })?;
        self.next += u64::from(count);
        Ok(last)
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.synced = self.journal.wait_durable(Lsn(self.next - 1))?.0;
        Ok(())
    }

    /// Appends records and makes them durable.
    fn commit(&mut self, records: &[&str]) {
        self.append(records).unwrap();
        self.sync().unwrap();
    }

    /// Closes in good order.
    fn close(mut self) {
        self.append_frame(0, &[], true).unwrap();
        self.sync().unwrap();
    }
}

/// The records' bytes of frames that have any.
fn texts(seen: &[Seen]) -> Vec<String> {
    seen.iter()
        .filter(|frame| frame.count > 0)
        .map(|frame| String::from_utf8(frame.records.clone()).unwrap())
        .collect()
}
