//! Rounds: who leads one, who waits for which, and who is woken at its end.
//!
//! There is at most one leader. A round is numbered when its leader has taken what had gathered, and from then on
//! everyone who waits knows whether the round at hand covers them, or the next one will: whoever has a number, has
//! appended it before. So there are two crowds at most, one for each condition variable. At the end of a round the
//! first of the next one's crowd is woken, to lead it, and then all of this one's. The others of the next crowd
//! sleep on: whoever leads it, be it somebody who was never asleep, wakes them at its end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::buffer::Batch;
use super::lost::Lost;
use super::{Commit, NO_POLL, Undurable};
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Lsn};
use crate::sync::{MutexGuard, Ordering, yield_now};

/// What a round is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// What has gathered is given to the journal.
    Write,
    /// And then made durable.
    Sync,
    /// And then a frame without records says something.
    Say(Word),
}

/// What a frame without records says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// What is durable, and when the last poll was; only where no frame with records does.
    Idle,
    /// That nothing follows.
    Closing,
}

/// Why there will be no further round.
enum Over {
    Failed(StoreError, Lost),
    Closed,
}

/// What the frames of a round tell beside their records.
#[derive(Clone, Copy)]
struct News {
    /// The number up to which everything is durable.
    durable: Lsn,
    /// The time of the last poll.
    polled: Option<Timestamp>,
}

/// What the lock of the rounds keeps.
pub(super) struct Turn {
    /// Somebody leads.
    leading: bool,
    /// The number of the last round that took its records.
    round: usize,
    /// The number of the last record taken by it.
    taken: Lsn,
    /// What it takes is made durable. Exactly so: whoever is found to be covered by a round, and it has ended while
    /// the next leader still gathers, must have been answered by it. Otherwise two might sleep where one is woken.
    syncing: bool,
    /// The number of the last record given to the journal.
    written: Lsn,
    /// The number up to which everything is durable.
    durable: Lsn,
    /// How many wait for a round, by its number, even or odd.
    waiting: [usize; 2],
    /// How many may be there for the next round: those whom the last one answered, and those who waited already.
    expected: usize,
    over: Option<Over>,
    /// The memory of the round before the last.
    spare: Batch,
}

impl Turn {
    pub(super) fn new(last: Lsn) -> Self {
        Self {
            leading: false,
            round: 0,
            taken: last,
            syncing: false,
            written: last,
            durable: last,
            waiting: [0; 2],
            expected: 0,
            over: None,
            spare: Batch::default(),
        }
    }

    pub(super) fn error(&self) -> Option<StoreError> {
        match &self.over {
            None => None,
            Some(Over::Failed(error, _)) => Some(error.clone()),
            Some(Over::Closed) => {
                let closed = std::io::Error::other("the store was closed");
                Some(StoreError::from_io("append to the journal", closed))
            }
        }
    }

    /// What was lost with the journal, where it has failed.
    pub(super) fn lost(&mut self) -> Option<&mut Lost> {
        match &mut self.over {
            Some(Over::Failed(_, lost)) => Some(lost),
            _ => None,
        }
    }

    fn has_reached(&self, lsn: Lsn, order: Order) -> bool {
        match order {
            Order::Write => lsn <= self.written,
            Order::Sync => lsn <= self.durable,
            Order::Say(_) => false,
        }
    }

    /// How many the next round is for already, its leader included.
    fn come(&self) -> usize {
        1 + self.waiting[self.round.wrapping_add(1) % 2]
    }

    /// The condition variable of the round that will reach this, while somebody leads.
    fn crowd(&self, lsn: Lsn, order: Order) -> usize {
        let covered = lsn <= self.taken
            && match order {
                Order::Write => true,
                Order::Sync => self.syncing,
                Order::Say(_) => false,
            };
        let round = self.round.wrapping_add(usize::from(!covered));
        round % 2
    }
}

impl Commit {
    /// Waits until a record is written, or durable; leads where nobody does.
    pub(super) fn reach(&self, lsn: Lsn, order: Order) -> Result<(), Undurable> {
        let mark = match order {
            Order::Write => &self.marks.written,
            _ => &self.marks.durable,
        };
        if lsn.0 <= mark.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut turn = self.turn.lock();
        loop {
            if turn.has_reached(lsn, order) {
                return Ok(());
            }
            if turn.over.is_some() {
                return Err(Undurable);
            }
            turn = if turn.leading {
                self.follow(turn, lsn, order)
            } else {
                self.lead(turn, order)
            };
        }
    }

    /// Writes what has gathered, and a frame without records.
    pub(super) fn say(&self, word: Word) -> Result<(), Undurable> {
        let order = Order::Say(word);
        let mut turn = self.turn.lock();
        while turn.leading {
            turn = self.follow(turn, Lsn(u64::MAX), order);
        }
        if turn.over.is_none() {
            turn = self.lead(turn, order);
        }
        match (&turn.over, word) {
            (None, _) | (Some(Over::Closed), Word::Closing) => Ok(()),
            _ => Err(Undurable),
        }
    }

    /// Sleeps until the end of a round that may be the right one.
    fn follow<'a>(
        &'a self,
        mut turn: MutexGuard<'a, Turn>,
        lsn: Lsn,
        order: Order,
    ) -> MutexGuard<'a, Turn> {
        let crowd = turn.crowd(lsn, order);
        turn.waiting[crowd] += 1;
        self.ended[crowd].wait(&mut turn);
        turn.waiting[crowd] -= 1;
        turn
    }

    /// Leads a round, from taking what has gathered to waking those it was for.
    fn lead<'a>(&'a self, mut turn: MutexGuard<'a, Turn>, order: Order) -> MutexGuard<'a, Turn> {
        debug_assert!(!turn.leading && turn.over.is_none());
        turn.leading = true;
        if order == Order::Sync {
            turn = self.gather(turn);
        }
        let (batch, news) = self.take(&mut turn, order);
        drop(turn);

        let outcome = self.put(&batch, order, news);

        let mut turn = self.turn.lock();
        turn.leading = false;
        match outcome {
            Ok(durable) => {
                turn.written = turn.taken;
                turn.durable = turn.durable.max(durable);
                turn.spare = batch.emptied();
                self.marks.written.store(turn.written.0, Ordering::Release);
                self.marks.durable.store(turn.durable.0, Ordering::Release);
                if order == Order::Say(Word::Closing) {
                    self.end(&mut turn, Over::Closed);
                }
            }
            Err(error) => {
                self.buffer.lock().fail();
                let mut lost = Lost::default();
                lost.keep(batch.bytes);
                self.end(&mut turn, Over::Failed(error, lost));
            }
        }
        turn.expected = 1 + turn.waiting[0] + turn.waiting[1];
        self.pass_on(&turn);
        turn
    }

    /// Gives those whom the round before has answered the time to come again, as long as some of them do and until
    /// most have.
    ///
    /// They are about to run, or running: what they append now need not wait for another sync. The last ones are not
    /// waited for, but wake up while the journal syncs. Whoever calls alone expects nobody.
    fn gather<'a>(&'a self, mut turn: MutexGuard<'a, Turn>) -> MutexGuard<'a, Turn> {
        let mut come = turn.come();
        let most = turn.expected - turn.expected / 4;
        while come < most {
            drop(turn);
            yield_now();
            turn = self.turn.lock();
            if turn.come() == come {
                break;
            }
            come = turn.come();
        }
        turn
    }

    /// Begins a round.
    fn take(&self, turn: &mut Turn, order: Order) -> (Batch, News) {
        turn.syncing = self.syncs(order);
        turn.round = turn.round.wrapping_add(1);
        let spare = std::mem::take(&mut turn.spare);
        let mut buffer = self.buffer.lock();
        let batch = buffer.take(spare);
        turn.taken = buffer.last();
        let news = News {
            durable: turn.durable,
            // Under the lock: all that this poll did is in the batch, or was in an earlier one.
            polled: self.last_polled(),
        };
        self.marks.crowded.store(false, Ordering::Relaxed);
        if order == Order::Say(Word::Closing) {
            buffer.close();
        }
        (batch, news)
    }

    /// Whether a round makes durable what it takes.
    fn syncs(&self, order: Order) -> bool {
        match order {
            Order::Write => false,
            Order::Sync | Order::Say(Word::Closing) => true,
            Order::Say(Word::Idle) => self.usual() == Order::Sync,
        }
    }

    /// No further round.
    fn end(&self, turn: &mut Turn, why: Over) {
        turn.over = Some(why);
        self.marks.over.store(true, Ordering::Release);
    }

    /// Wakes those that the round was for, and before them one to lead the next; all where there is none.
    fn pass_on(&self, turn: &Turn) {
        let (this, next) = (turn.round % 2, turn.round.wrapping_add(1) % 2);
        if turn.over.is_some() {
            self.ended[next].notify_all();
        } else if turn.waiting[next] > 0 {
            self.ended[next].notify_one();
        }
        if turn.waiting[this] > 0 {
            self.ended[this].notify_all();
        }
    }

    /// Gives a batch to the journal, and answers up to where everything is durable.
    fn put(&self, batch: &Batch, order: Order, news: News) -> Result<Lsn, StoreError> {
        let attempt = AssertUnwindSafe(|| self.put_unguarded(batch, order, news));
        catch_unwind(attempt).unwrap_or_else(|panic| {
            discard(panic);
            let panicked = std::io::Error::other("the journal panicked");
            Err(StoreError::from_io("append to the journal", panicked))
        })
    }

    fn put_unguarded(
        &self,
        batch: &Batch,
        order: Order,
        mut news: News,
    ) -> Result<Lsn, StoreError> {
        let (mut base, mut begin) = (batch.base, 0);
        for piece in &batch.pieces {
            let records = &batch.bytes[begin..piece.end];
            let frame = self.frame(base, piece.count, records, news);
            self.put_frame(&frame)?;
            base = Lsn(base.0 + u64::from(piece.count));
            begin = piece.end;
        }
        let last = Lsn(base.0.saturating_sub(1));
        match order {
            Order::Write => {}
            Order::Sync => news.durable = self.make_durable(last)?,
            Order::Say(Word::Closing) => {
                news.durable = self.make_durable(last)?;
                self.put_frame(&Frame {
                    closing: !self.is_unsettled(),
                    ..self.frame(base, 0, &[], news)
                })?;
                self.make_durable(last)?;
            }
            Order::Say(Word::Idle) => {
                if batch.is_empty() {
                    self.put_frame(&self.frame(base, 0, &[], news))?;
                }
                if self.syncs(order) {
                    news.durable = self.make_durable(last)?;
                }
            }
        }
        Ok(news.durable)
    }

    fn frame<'a>(&self, base: Lsn, count: u32, records: &'a [u8], news: News) -> Frame<'a> {
        Frame {
            base,
            count,
            epoch: self.epoch,
            synced: news.durable,
            polled_until: news.polled,
            closing: false,
            records,
        }
    }

    fn put_frame(&self, frame: &Frame<'_>) -> Result<(), StoreError> {
        self.journal.append(frame)?;
        let told = frame.polled_until.map_or(NO_POLL, |time| time.as_millis());
        self.marks.polled_told.store(told, Ordering::Release);
        let told = frame.synced.0;
        self.marks.durable_told.store(told, Ordering::Release);
        Ok(())
    }

    /// A journal that answers less than it was asked for has not done it.
    fn make_durable(&self, last: Lsn) -> Result<Lsn, StoreError> {
        let durable = self.journal.wait_durable(last)?;
        if durable < last {
            return Err(StoreError::Mismatch {
                what: "the journal's answer to a wait".to_owned(),
                found: format!("durable up to record {durable}"),
                expected: format!("durable up to record {last}"),
            });
        }
        Ok(last)
    }
}

/// Drops what a panic carried: it may panic itself.
fn discard(panic: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // There is an end to it: this one is leaked.
        std::mem::forget(second);
    }
}
