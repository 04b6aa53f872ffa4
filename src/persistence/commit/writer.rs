//! Writing what nobody waits for: completions under `Sync`, everything under the other durabilities, the time of the
//! last poll, and word that the last frame is durable.
//!
//! Where the engine runs threads, one of them is the writer ([`Commit::serve`]). Where it does not, the polls do the
//! writer's work ([`Commit::polled`]), and what passes between them they know from the times they are given: no clock
//! is read here.
//!
//! # Words without records
//!
//! * *Heartbeat*: recovery asks when the last poll was, so it is written again when the one written is [`HEARTBEAT`]
//!   old, be it that nothing else is to be said. (A poll that does the writer's work leaves it to the records that wait,
//!   where there are any.)
//! * *Idle*: a frame says up to where everything was durable before it, so nothing says so of the last one. Once
//!   nothing has been appended for [`IDLE_AFTER`], a frame without records does. Where that one is found, damage
//!   before it cannot be taken for a write that was cut off.

use std::time::Duration;

use super::turn::{Order, Word};
use super::{Commit, NO_POLL};
use crate::ids::Timestamp;
use crate::persistence::journal::{Durability, Lsn};
use crate::sync::{AtomicBool, MutexGuard, Ordering};

use super::buffer::Buffer;

/// How old the time of the last poll may be that is written: well below the minute from which a poll's lateness
/// counts as missed.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long nothing is appended before it is said that all is durable.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// How long the writer leaves a record under `Sync` to those who may wait for it. It looks that often, so that one
/// for which nobody waits is written after once to twice this time.
const UNATTENDED: Duration = Duration::from_millis(3);

/// How often things are written that need not be durable.
const UNSYNCED: Duration = Duration::from_secs(1);

/// What the polls remember, where they do the writer's work.
#[derive(Default)]
pub(super) struct Pace {
    /// The last poll that left nothing to write.
    caught_up: Option<Timestamp>,
    /// The number of the last record, and the first poll that saw it.
    quiet: Option<(Lsn, Timestamp)>,
}

impl Pace {
    /// Whether what waits has waited long enough. Measured from the last poll that saw nothing waiting: no record is
    /// older.
    fn is_up(&mut self, now: Timestamp, patience: Duration) -> bool {
        let since = match self.caught_up {
            Some(since) if since > now => now,
            Some(since) => since,
            None => return true,
        };
        self.caught_up = Some(since);
        now.saturating_duration_since(since) >= patience
    }

    /// How long `last` has been the last record.
    fn quiet_for(&mut self, last: Lsn, now: Timestamp) -> Duration {
        match self.quiet {
            Some((seen, since)) if seen == last && since <= now => {
                now.saturating_duration_since(since)
            }
            _ => {
                self.quiet = Some((last, now));
                Duration::ZERO
            }
        }
    }
}

impl Commit {
    /// A poll ran by this time, and all it did is appended. Where there is no writer thread, writes what has waited
    /// long enough; no lock may be held.
    pub(crate) fn polled(&self, now: Timestamp) {
        let millis = now.as_millis().min(NO_POLL - 1);
        self.marks.polled.store(millis, Ordering::Release);
        if self.check().is_err() {
            return;
        }
        if self.is_served() {
            if self.owes_heartbeat() {
                self.ask_for_heartbeat();
            }
        } else if let Some(order) = self.owed_by_poll(now) {
            // Whoever rests on it is told: `check` says so from here on.
            let _ = match order {
                Order::Say(word) => self.say(word),
                order => self.reach(self.appended(), order),
            };
        }
    }

    /// The body of a writer thread: writes what nobody waits for, until this is set and
    /// [told](Self::stop_serving).
    pub(crate) fn serve(&self, stopped: &AtomicBool) {
        self.marks.writers.fetch_add(1, Ordering::AcqRel);
        let mut buffer = self.buffer.lock();
        while !stopped.load(Ordering::Acquire) {
            buffer = self.attend(buffer, stopped);
        }
        drop(buffer);
        self.marks.writers.fetch_sub(1, Ordering::AcqRel);
        // The polls come too late for this, or not at all.
        let _ = self.reach(self.appended(), self.usual());
    }

    /// Wakes the writer threads, to look whether they are to stop. What says so is set before.
    pub(crate) fn stop_serving(&self) {
        // Under the lock: none of them has looked, and does not sleep yet.
        let buffer = self.buffer.lock();
        drop(buffer);
        self.bell.notify_all();
    }

    /// Whether there is a writer thread.
    pub(super) fn is_served(&self) -> bool {
        self.marks.writers.load(Ordering::Acquire) > 0
    }

    /// One step of the writer thread: a sleep, and what is to be done after it.
    fn attend<'a>(
        &'a self,
        mut buffer: MutexGuard<'a, Buffer>,
        stopped: &AtomicBool,
    ) -> MutexGuard<'a, Buffer> {
        if self.check().is_err() {
            self.bell.wait(&mut buffer);
            return buffer;
        }
        let last = buffer.last();
        if self.is_behind(last) {
            if !buffer.bell.heartbeat {
                self.bell.wait_for(&mut buffer, self.patience());
            }
            buffer.bell.heartbeat = false;
            // Under `Sync`, what came during the sleep may still be waited for by others.
            let until = if self.is_sync() { last } else { buffer.last() };
            drop(buffer);
            let _ = self.reach(until, self.usual());
        } else if buffer.bell.heartbeat {
            buffer.bell.heartbeat = false;
            drop(buffer);
            let _ = self.say(Word::Idle);
        } else {
            buffer.bell.listening = true;
            if !self.owes_word() {
                self.bell.wait(&mut buffer);
                return buffer;
            }
            let slept = self.bell.wait_for(&mut buffer, IDLE_AFTER);
            let quiet = slept.timed_out() && buffer.last() == last;
            if !quiet || stopped.load(Ordering::Acquire) {
                return buffer;
            }
            buffer.bell.listening = false;
            drop(buffer);
            let _ = self.say(Word::Idle);
        }
        self.buffer.lock()
    }

    /// What a poll has to do where there is no writer thread.
    fn owed_by_poll(&self, now: Timestamp) -> Option<Order> {
        // Another poll is at it.
        let mut pace = self.pace.try_lock()?;
        let last = self.appended();
        let quiet = pace.quiet_for(last, now) >= IDLE_AFTER;
        let behind = self.is_behind(last);
        let patience = if self.is_sync() {
            Duration::ZERO
        } else {
            self.patience()
        };
        let up = behind && pace.is_up(now, patience);
        if up || !behind {
            pace.caught_up = Some(now);
        }
        if up {
            return Some(self.usual());
        }
        // What waits is written in its own time, and takes the heartbeat along.
        let says = self.owes_heartbeat() || (quiet && self.owes_word());
        (says && !behind).then_some(Order::Say(Word::Idle))
    }

    /// How long a record may wait where nobody waits for it.
    fn patience(&self) -> Duration {
        match self.durability {
            Durability::Sync => UNATTENDED,
            Durability::Interval(patience) => patience,
            Durability::NoSync => UNSYNCED,
        }
    }

    /// Whether something up to this record is still to be done by those who write unasked.
    fn is_behind(&self, last: Lsn) -> bool {
        let mark = match self.usual() {
            Order::Write => &self.marks.written,
            _ => &self.marks.durable,
        };
        mark.load(Ordering::Acquire) < last.0
    }

    /// Whether no frame says that the last record is durable.
    fn owes_word(&self) -> bool {
        self.usual() == Order::Sync
            && self.marks.durable_told.load(Ordering::Acquire) < self.durable().0
    }

    /// Whether the time of the last poll that is written is old. A clock that stepped back makes it so too.
    fn owes_heartbeat(&self) -> bool {
        let told = self.marks.polled_told.load(Ordering::Acquire);
        let polled = self.marks.polled.load(Ordering::Acquire);
        told == NO_POLL || u128::from(polled.abs_diff(told)) >= HEARTBEAT.as_millis()
    }

    fn ask_for_heartbeat(&self) {
        let mut buffer = self.buffer.lock();
        if !buffer.bell.heartbeat {
            buffer.bell.heartbeat = true;
            buffer.bell.listening = false;
            drop(buffer);
            self.bell.notify_one();
        }
    }
}
