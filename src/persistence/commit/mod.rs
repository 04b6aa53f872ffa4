//! The commit buffer: many threads' records on their way into one journal, written and made durable together.
//!
//! Three things meet here, and each has a lock of its own or none:
//!
//! * **Appending** (`buffer.rs`), under a shard's lock: a copy of some bytes behind those that wait, which gives them
//!   their numbers. Its lock is a leaf, and is held for that copy alone.
//! * **Waiting** (`turn.rs`), with no lock held. There is no thread that writes: who waits, and finds nobody writing,
//!   leads a *round*. The leader takes all that has gathered, appends it to the journal, waits until it is durable,
//!   and wakes those whose records were among it, and one of those who came too late, to lead the next. What gathers
//!   meanwhile is the next round's: the slower the disk, the more goes into one sync.
//! * **Writing what nobody waits for** (`writer.rs`): a thread where the engine runs threads, else the polls.
//!
//! # Durability
//!
//! Under `Sync` [`settle`](Commit::settle) waits until its record is durable. Under the others it returns at once,
//! unless so much waits already that it helps to write. Every round ends with a sync, but for those under `NoSync`
//! that nobody asked to be durable.
//!
//! # Failure
//!
//! An error, or a panic, of the journal is the last: nothing is tried again. Whoever waits is told, and so is whoever
//! asks later. Which of the records that were not known to be durable then belong to a request can be asked
//! ([`Commit::holds_lost`]).
//!
//! # Locks
//!
//! In the order in which they may be held together: a shard's, `turn`, `buffer`. No lock is held while the journal
//! is called.

mod buffer;
mod fake;
mod lost;
mod models;
mod schedules;
mod tests;
mod turn;
mod writer;

use crossbeam_utils::CachePadded;

use self::buffer::{Batch, Buffer};
use self::turn::{Order, Turn, Word};
use self::writer::Pace;
use super::error::StoreError;
use super::journal::{Durability, Journal, Lsn, Room};
use crate::ids::{RequestId, Timestamp};
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering};

/// Bytes that may wait where nobody waits for them: who comes then, helps to write. Two frames.
const WAITING_BYTES_MAX: usize = 2 * buffer::FRAME_BYTES;

/// What was to be durable is not, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not durable")]
pub(crate) struct Undurable;

/// The commit buffer of one journal; see the module.
pub(crate) struct Commit {
    journal: Arc<dyn Journal>,
    durability: Durability,
    epoch: u32,
    buffer: CachePadded<Mutex<Buffer>>,
    turn: CachePadded<Mutex<Turn>>,
    /// A round ended: for those it was about, by the round's number, even or odd.
    ended: [Condvar; 2],
    /// The writer thread sleeps here, under the buffer's lock.
    bell: Condvar,
    pace: Mutex<Pace>,
    marks: CachePadded<Marks>,
}

/// What is looked at without a lock.
struct Marks {
    /// The number of the last record appended. Written under the buffer's lock.
    appended: AtomicU64,
    /// More waits than may. Written under the buffer's lock.
    crowded: AtomicBool,
    /// The number of the last record given to the journal. Written by leaders.
    written: AtomicU64,
    /// The number up to which everything is durable. Written by leaders.
    durable: AtomicU64,
    /// The journal failed, or was closed.
    over: AtomicBool,
    /// The time of the last poll, or [`NO_POLL`].
    polled: AtomicU64,
    /// The time of the last poll that a frame tells of, or [`NO_POLL`]. Written by leaders.
    polled_told: AtomicU64,
    /// The number up to which a frame says that everything is durable. Written by leaders.
    durable_told: AtomicU64,
    /// Writer threads there are.
    writers: AtomicU64,
    /// What the writer before has left open is open still.
    unsettled: AtomicBool,
}

/// No poll yet; no time that a poll has.
const NO_POLL: u64 = u64::MAX;

impl Commit {
    /// Over a journal that was begun, with this epoch and this number for the next record.
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        durability: Durability,
        epoch: u32,
        next: Lsn,
    ) -> Self {
        let last = next.0.saturating_sub(1);
        Self {
            journal,
            durability,
            epoch,
            buffer: CachePadded::new(Mutex::new(Buffer::new(next))),
            turn: CachePadded::new(Mutex::new(Turn::new(Lsn(last)))),
            ended: [Condvar::new(), Condvar::new()],
            bell: Condvar::new(),
            pace: Mutex::new(Pace::default()),
            marks: CachePadded::new(Marks {
                appended: AtomicU64::new(last),
                crowded: AtomicBool::new(false),
                written: AtomicU64::new(last),
                durable: AtomicU64::new(last),
                over: AtomicBool::new(false),
                polled: AtomicU64::new(NO_POLL),
                polled_told: AtomicU64::new(NO_POLL),
                durable_told: AtomicU64::new(last),
                writers: AtomicU64::new(0),
                unsettled: AtomicBool::new(false),
            }),
        }
    }

    /// Copies encoded records behind those that wait, and answers the number of the first. Called under a shard's
    /// lock: no I/O. Where the journal has failed or was closed they get numbers too, and are not written.
    ///
    /// Records of one call go into one frame.
    pub(crate) fn append(&self, records: &[u8], count: u32) -> Lsn {
        let mut buffer = self.buffer.lock();
        let first = buffer.push(records, count);
        self.marks
            .appended
            .store(buffer.last().0, Ordering::Release);
        if buffer.bytes() > WAITING_BYTES_MAX {
            self.marks.crowded.store(true, Ordering::Relaxed);
        }
        let heard = std::mem::take(&mut buffer.bell.listening);
        drop(buffer);
        if heard {
            self.bell.notify_one();
        }
        first
    }

    /// To be called before an answer is given that rests on this record, with no lock held. Under `Sync` waits until
    /// it is durable.
    ///
    /// # Errors
    /// [`Undurable`] where the journal failed, and the record is not known to be durable.
    pub(crate) fn settle(&self, lsn: Lsn) -> Result<(), Undurable> {
        if self.is_sync() {
            return self.wait(lsn);
        }
        if self.marks.crowded.load(Ordering::Relaxed) {
            self.reach(lsn, self.usual())?;
        }
        match self.check() {
            Err(Undurable) if self.durable() < lsn => Err(Undurable),
            _ => Ok(()),
        }
    }

    /// Waits until a record is durable, under every durability. No lock may be held.
    ///
    /// # Errors
    /// [`Undurable`] where the journal failed before it was.
    pub(crate) fn wait(&self, lsn: Lsn) -> Result<(), Undurable> {
        self.reach(lsn, Order::Sync)
    }

    /// Waits until everything appended so far is durable, and answers the last number. No lock may be held.
    ///
    /// # Errors
    /// [`Undurable`] where the journal failed before it was.
    pub(crate) fn flush(&self) -> Result<Lsn, Undurable> {
        let last = self.appended();
        self.wait(last)?;
        Ok(last)
    }

    /// Whether the journal works: one atomic load.
    ///
    /// # Errors
    /// [`Undurable`] where it failed or was closed.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Undurable> {
        if self.marks.over.load(Ordering::Acquire) {
            return Err(Undurable);
        }
        Ok(())
    }

    /// Makes everything appended so far durable, and then word of it that says that nothing follows. What is appended
    /// later fails. A second call answers what is true by then.
    ///
    /// # Errors
    /// [`Undurable`] where the journal failed, now or earlier.
    pub(crate) fn close(&self) -> Result<(), Undurable> {
        self.say(Word::Closing)
    }

    /// Whether something is open that the writer before has left so: as long as it is, [`close`](Self::close) does not
    /// say that the store is closed in good order.
    pub(crate) fn set_unsettled(&self, unsettled: bool) {
        self.marks.unsettled.store(unsettled, Ordering::Release);
    }

    /// What [`set_unsettled`](Self::set_unsettled) said last.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.marks.unsettled.load(Ordering::Acquire)
    }

    /// Whether the journal has room for further intake.
    pub(crate) fn room(&self) -> Room {
        self.journal.room()
    }

    /// The number of the last record appended; 0 where there was none.
    pub(crate) fn appended(&self) -> Lsn {
        Lsn(self.marks.appended.load(Ordering::Acquire))
    }

    /// The number up to which everything is durable.
    pub(crate) fn durable(&self) -> Lsn {
        Lsn(self.marks.durable.load(Ordering::Acquire))
    }

    /// What the journal failed by, or that it was closed.
    pub(crate) fn error(&self) -> Option<StoreError> {
        self.turn.lock().error()
    }

    /// Whether answers wait.
    pub(crate) fn is_sync(&self) -> bool {
        self.durability == Durability::Sync
    }

    /// After a failure: whether one of the records that were not known to be durable then, or that came later, is
    /// about this request. `false` while the journal works.
    pub(crate) fn holds_lost(&self, id: RequestId) -> bool {
        if self.check().is_ok() {
            return false;
        }
        self.turn.lock().lost().is_some_and(|lost| {
            let late = self.buffer.lock().take(Batch::default());
            lost.keep(late.bytes);
            lost.holds(id)
        })
    }

    /// What a round is for where nobody waits.
    fn usual(&self) -> Order {
        match self.durability {
            Durability::Sync | Durability::Interval(_) => Order::Sync,
            Durability::NoSync => Order::Write,
        }
    }

    /// The time of the last poll, where there was one.
    pub(crate) fn last_polled(&self) -> Option<Timestamp> {
        match self.marks.polled.load(Ordering::Acquire) {
            NO_POLL => None,
            millis => Some(Timestamp::from_millis(millis)),
        }
    }
}
