//! A journal for the tests of the commit buffer: it notes what it is given, and waits, fails and panics on demand.

#![cfg(test)]

use std::io;

use super::Commit;
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Durability, Frame, Journal, JournalTail, Lsn, Positions, Room};
use crate::sync::{Arc, Condvar, Mutex};

/// A frame as it was appended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Noted {
    pub(super) base: u64,
    pub(super) count: u32,
    pub(super) synced: u64,
    pub(super) polled: Option<u64>,
    pub(super) closing: bool,
    pub(super) records: Vec<u8>,
}

/// What goes wrong at the n-th call, which is counted from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    Append(usize),
    Sync(usize),
    PanicInAppend(usize),
    PanicInSync(usize),
    /// The wait answers less than was asked for.
    ShortSync(usize),
}

#[derive(Default)]
struct Notes {
    frames: Vec<Noted>,
    appends: usize,
    syncs: usize,
    durable: u64,
    failed: bool,
    /// Syncs that are let through; without it, all are.
    passes: Option<usize>,
}

/// See the module.
#[derive(Default)]
pub(super) struct FakeJournal {
    fault: Option<Fault>,
    notes: Mutex<Notes>,
    changed: Condvar,
}

impl FakeJournal {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    pub(super) fn failing(fault: Fault) -> Arc<Self> {
        Arc::new(Self::new(fault))
    }

    pub(super) fn gated_and_failing(fault: Fault) -> Arc<Self> {
        let journal = Self::failing(fault);
        journal.notes.lock().passes = Some(0);
        journal
    }

    /// One that syncs as often as it is [let](Self::let_pass).
    pub(super) fn gated() -> Arc<Self> {
        let journal = Self::default();
        journal.notes.lock().passes = Some(0);
        Arc::new(journal)
    }

    pub(super) fn let_pass(&self, syncs: usize) {
        let mut notes = self.notes.lock();
        notes.passes = notes.passes.map(|passes| passes + syncs);
        self.changed.notify_all();
    }

    /// Waits until so many syncs were begun.
    pub(super) fn wait_for_syncs(&self, syncs: usize) {
        self.wait_until(|notes| notes.syncs >= syncs);
    }

    /// Waits until so many frames are there.
    pub(super) fn wait_for_frames(&self, frames: usize) {
        self.wait_until(|notes| notes.frames.len() >= frames);
    }

    /// Waits until this record is durable.
    pub(super) fn wait_for_durable(&self, lsn: u64) {
        self.wait_until(|notes| notes.durable >= lsn);
    }

    fn wait_until(&self, mut done: impl FnMut(&Notes) -> bool) {
        let mut notes = self.notes.lock();
        while !done(&notes) {
            self.changed.wait(&mut notes);
        }
    }

    pub(super) fn frames(&self) -> Vec<Noted> {
        self.notes.lock().frames.clone()
    }

    /// The first number and the count of each frame.
    pub(super) fn shape(&self) -> Vec<(u64, u32)> {
        let frames = self.frames();
        frames
            .iter()
            .map(|frame| (frame.base, frame.count))
            .collect()
    }

    pub(super) fn appends(&self) -> usize {
        self.notes.lock().appends
    }

    pub(super) fn syncs(&self) -> usize {
        self.notes.lock().syncs
    }

    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.notes.lock().durable)
    }

    /// A commit buffer over it, whose first record has number 1.
    pub(super) fn commit(self: &Arc<Self>, durability: Durability) -> Arc<Commit> {
        let journal = Arc::clone(self) as Arc<dyn Journal>;
        Arc::new(Commit::new(journal, durability, 1, Lsn(1)))
    }
}

impl Journal for FakeJournal {
    fn replay(
        &self,
        _: &Positions,
        _: &mut dyn FnMut(&Frame<'_>) -> Result<(), StoreError>,
    ) -> Result<JournalTail, StoreError> {
        Ok(JournalTail::default())
    }

    fn begin(&self, _: u32, _: Lsn) -> Result<(), StoreError> {
        Ok(())
    }

    fn append(&self, frame: &Frame<'_>) -> Result<Lsn, StoreError> {
        let mut notes = self.notes.lock();
        assert!(!notes.failed, "called again after an error");
        notes.appends += 1;
        if self.fault == Some(Fault::PanicInAppend(notes.appends)) {
            notes.failed = true;
            panic!("asked for");
        }
        if self.fault == Some(Fault::Append(notes.appends)) {
            notes.failed = true;
            return Err(asked_for());
        }
        let last = notes.frames.last();
        let next = last.map_or(1, |frame| frame.base + u64::from(frame.count));
        assert_eq!(frame.base.0, next, "numbers are dense");
        assert!(
            frame.synced.0 <= notes.durable,
            "no more is said than is true"
        );
        notes.frames.push(Noted {
            base: frame.base.0,
            count: frame.count,
            synced: frame.synced.0,
            polled: frame.polled_until.map(Timestamp::as_millis),
            closing: frame.closing,
            records: frame.records.to_vec(),
        });
        self.changed.notify_all();
        Ok(frame.last())
    }

    fn wait_durable(&self, lsn: Lsn) -> Result<Lsn, StoreError> {
        let mut notes = self.notes.lock();
        assert!(!notes.failed, "called again after an error");
        notes.syncs += 1;
        let nth = notes.syncs;
        let covered = notes
            .frames
            .iter()
            .map(|frame| frame.base - 1 + u64::from(frame.count));
        let covered = covered.max().unwrap_or(0);
        assert!(
            lsn.0 <= covered,
            "nothing is waited for that was not appended"
        );
        self.changed.notify_all();
        while notes.passes == Some(0) {
            self.changed.wait(&mut notes);
        }
        notes.passes = notes.passes.map(|passes| passes - 1);
        if self.fault == Some(Fault::PanicInSync(nth)) {
            notes.failed = true;
            panic!("asked for");
        }
        if self.fault == Some(Fault::Sync(nth)) {
            notes.failed = true;
            return Err(asked_for());
        }
        if self.fault == Some(Fault::ShortSync(nth)) {
            notes.failed = true;
            return Ok(Lsn(lsn.0 - 1));
        }
        notes.durable = covered;
        self.changed.notify_all();
        Ok(Lsn(covered))
    }

    fn room(&self) -> Room {
        Room::Ample
    }

    fn trim(&self, _: &Positions) -> Result<(), StoreError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}

fn asked_for() -> StoreError {
    StoreError::from_io("the fault", io::Error::other("asked for"))
}
