//! The journal of a store in memory.

use std::io;

use super::{Content, strikes};
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Journal, JournalTail, Lsn, Positions, Room};
use crate::sync::{Arc, Mutex, MutexGuard};

/// A frame that was appended.
pub(super) struct StoredFrame {
    base: Lsn,
    count: u32,
    epoch: u32,
    synced: Lsn,
    polled_until: Option<Timestamp>,
    closing: bool,
    records: Box<[u8]>,
}

impl StoredFrame {
    fn new(frame: &Frame<'_>) -> Self {
        Self {
            base: frame.base,
            count: frame.count,
            epoch: frame.epoch,
            synced: frame.synced,
            polled_until: frame.polled_until,
            closing: frame.closing,
            records: frame.records.into(),
        }
    }

    fn frame(&self) -> Frame<'_> {
        Frame {
            base: self.base,
            count: self.count,
            epoch: self.epoch,
            synced: self.synced,
            polled_until: self.polled_until,
            closing: self.closing,
            records: &self.records,
        }
    }

    fn last(&self) -> Lsn {
        self.frame().last()
    }

    fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.records.len()) as u64
    }
}

/// Where in the order of calls the one who has the store open is.
#[derive(Clone, Copy)]
enum Stage {
    Opened,
    Replayed,
    Writing { epoch: u32, next: Lsn },
    Failed,
}

/// One opening of a store's journal.
pub(super) struct MemoryJournal {
    content: Arc<Mutex<Content>>,
    life: u64,
    /// Taken before the content's lock.
    stage: Mutex<Stage>,
}

impl MemoryJournal {
    pub(super) fn new(content: Arc<Mutex<Content>>, life: u64) -> Self {
        Self {
            content,
            life,
            stage: Mutex::new(Stage::Opened),
        }
    }

    fn content(&self, what: &str) -> Result<MutexGuard<'_, Content>, StoreError> {
        let content = self.content.lock();
        content.alive(self.life, what)?;
        Ok(content)
    }

    /// Does what a writer does; an error is the last.
    fn as_writer<R>(
        &self,
        what: &str,
        call: impl FnOnce(&mut Content, u32, &mut Lsn) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut stage = self.stage.lock();
        let Stage::Writing { epoch, next } = &mut *stage else {
            return Err(out_of_order(what, *stage));
        };
        let result = self.content(what).and_then(|mut content| {
            content.current(*epoch)?;
            call(&mut content, *epoch, next)
        });
        if result.is_err() {
            *stage = Stage::Failed;
        }
        result
    }
}

const REPLAY: &str = "replay the journal in memory";
const BEGIN: &str = "begin to write the journal in memory";
const APPEND: &str = "append to the journal in memory";
const WAIT: &str = "wait for the journal in memory";

impl Journal for MemoryJournal {
    fn replay(
        &self,
        from: &Positions,
        visit: &mut dyn FnMut(&Frame<'_>) -> Result<(), StoreError>,
    ) -> Result<JournalTail, StoreError> {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::Opened | Stage::Replayed) {
            return Err(out_of_order(REPLAY, *stage));
        }
        let content = self.content(REPLAY)?;
        let frames = content.frames.clone();
        let mut tail = JournalTail {
            highest: content.highest,
            epoch: content.epoch,
            closed: frames.last().is_none_or(|frame| frame.closing),
            ..JournalTail::default()
        };
        drop(content);
        *stage = Stage::Replayed;
        drop(stage);

        let floor = from.floor();
        for stored in &frames {
            let frame = stored.frame();
            tail.polled_until = frame.polled_until.or(tail.polled_until);
            if frame.count > 0 {
                tail.last = frame.last();
            }
            if frame.last() > floor {
                visit(&frame)?;
                tail.frames += 1;
                tail.records += u64::from(frame.count);
                tail.bytes += stored.bytes();
            }
        }
        Ok(tail)
    }

    fn begin(&self, epoch: u32, next: Lsn) -> Result<(), StoreError> {
        let mut stage = self.stage.lock();
        if !matches!(*stage, Stage::Replayed) {
            return Err(out_of_order(BEGIN, *stage));
        }
        let mut content = self.content(BEGIN)?;
        content.current(epoch)?;
        if content.epoch == epoch {
            return Err(mismatch(BEGIN, "an epoch that was used", epoch, epoch + 1));
        }
        if next <= content.highest {
            let least = content.highest.next();
            return Err(mismatch(BEGIN, "a number that was used", next, least));
        }
        content.epoch = epoch;
        content.durable = content.frames.len();
        *stage = Stage::Writing { epoch, next };
        Ok(())
    }

    fn append(&self, frame: &Frame<'_>) -> Result<Lsn, StoreError> {
        self.as_writer(APPEND, |content, epoch, next| {
            content.appends += 1;
            if strikes(&mut content.faults.append_in) {
                return Err(StoreError::from_io(APPEND, asked_for()));
            }
            if frame.epoch != epoch {
                return Err(mismatch(APPEND, "a frame's epoch", frame.epoch, epoch));
            }
            if frame.base != *next {
                return Err(mismatch(
                    APPEND,
                    "a frame's first number",
                    frame.base,
                    *next,
                ));
            }
            content.frames.push(Arc::new(StoredFrame::new(frame)));
            content.highest = content.highest.max(frame.last());
            *next = frame.last().next();
            Ok(frame.last())
        })
    }

    fn wait_durable(&self, lsn: Lsn) -> Result<Lsn, StoreError> {
        self.as_writer(WAIT, |content, _, next| {
            content.syncs += 1;
            if strikes(&mut content.faults.sync_in) {
                return Err(StoreError::from_io(WAIT, asked_for()));
            }
            if lsn >= *next {
                return Err(mismatch(WAIT, "a number not appended yet", lsn, *next));
            }
            content.durable = content.frames.len();
            Ok(Lsn(next.0.saturating_sub(1)))
        })
    }

    fn room(&self) -> Room {
        if self.content.lock().faults.full {
            Room::Reserved
        } else {
            Room::Ample
        }
    }

    fn trim(&self, below: &Positions) -> Result<(), StoreError> {
        let mut content = self.content("trim the journal in memory")?;
        let content = &mut *content;
        let floor = below.floor();
        // The newest records stay, and what is said after them.
        let newest = content.frames.iter().rposition(|frame| frame.count > 0);
        let within = |frame: &&Arc<StoredFrame>| frame.last() <= floor;
        let dropped = content.frames[..newest.unwrap_or(0)]
            .iter()
            .take_while(within)
            .count();
        content.frames.drain(..dropped);
        content.durable = content.durable.saturating_sub(dropped);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        let content = self.content.lock();
        content.frames.iter().map(|frame| frame.bytes()).sum()
    }
}

fn asked_for() -> io::Error {
    io::Error::other("the fault that was asked for")
}

fn out_of_order(what: &str, stage: Stage) -> StoreError {
    let stage = match stage {
        Stage::Opened => "it was not replayed yet",
        Stage::Replayed => "no writer has begun",
        Stage::Writing { .. } => "its writer has begun already",
        Stage::Failed => "it has failed before",
    };
    StoreError::from_io(what, io::Error::other(stage))
}

fn mismatch(
    what: &str,
    which: &str,
    found: impl std::fmt::Display,
    expected: impl std::fmt::Display,
) -> StoreError {
    StoreError::Mismatch {
        what: format!("{what}: {which}"),
        found: found.to_string(),
        expected: expected.to_string(),
    }
}
