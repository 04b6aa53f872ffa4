//! What becomes of a request under its shard's lock when its time comes: that of its schedule, of its lifespan, of
//! its lease, or the end of a hold.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use super::doubt::Suspicion;
use super::entry::{Flags, Phase};
use super::gaps::Gaps;
use super::index::tag_of;
use super::pending::Verdict;
use super::rules::spread_of;
use super::shard::Shard;
use super::slab::NONE;
use super::trash::Trash;
use crate::ids::Timestamp;
use crate::lifecycle::Outcome;
use crate::lifecycle::{Rule, Why};
use crate::persistence::record::Change;
use crate::telemetry::{IS_ON, note};
use crate::wheel::Advance;

/// Timers fired while a shard is locked: few enough that who waits for the lock does not wait for long.
pub(super) const FIRE_STEP: usize = 64;

impl Shard {
    /// Fires at most `step` timers due by `now`, and says how many fired and whether to go on.
    pub(super) fn fire(
        &mut self,
        now: Timestamp,
        step: usize,
        gaps: &Gaps,
        suspicion: Option<Suspicion>,
        trash: &mut Trash,
    ) -> Advance {
        let mut fired = std::mem::take(&mut self.fired);
        let advance = self
            .wheel
            .advance(now.as_millis(), step, |timer| fired.push(timer.value));
        self.touch(&fired);
        for index in fired.drain(..) {
            let entry = self.entry_mut(index);
            entry.timer = NONE;
            match entry.phase {
                Phase::Waiting | Phase::InLine => {
                    if suspicion.is_some_and(|suspicion| suspicion.holds_for(self.pending(index))) {
                        self.entry_mut(index).flags.set(Flags::REDELIVERY, true);
                        self.log(Change::Examined, index);
                    }
                    self.sight(index, now, trash, |due, grace| {
                        // A gap may be from before the clock stepped back.
                        due.saturating_add(grace) < now && gaps.cover(due, grace)
                    })
                }
                Phase::Held => self.expire(index, now, trash),
                Phase::Routing => {
                    note!(
                        trash.news,
                        LeaseRanOut {
                            id: self.entry(index).id(),
                            location: self.entry(index).location,
                            attempt: self.pending(index).attempts(),
                        }
                    );
                    self.entry_mut(index).flags.set(Flags::REDELIVERY, true);
                    self.fail_attempt(index, Rule::Lease, None, now, trash);
                }
                Phase::Ready | Phase::Examining | Phase::Released => {
                    unreachable!("no timer is armed in this phase")
                }
            }
        }
        self.fired = fired;
        advance
    }

    /// Loads what falling due, and then release, need of these requests into the cache: first all entries, then
    /// all that is found through them, so that the misses of each overlap.
    /// One thing at a time, because a processor looks ahead for so many instructions only.
    fn touch(&self, indexes: &[u32]) {
        let mut sum = 0;
        for &index in indexes {
            sum ^= self.store.touch(index);
        }
        for &index in indexes {
            let entry = self.entry(index);
            sum ^= self.book.touch_line(entry.location, entry.line);
        }
        for &index in indexes {
            sum ^= u32::from(self.control(self.entry(index).location).is_held());
        }
        for &index in indexes {
            let hash = self.rules.hash(self.entry(index).id());
            sum ^= self.index.touch(tag_of(hash));
        }
        black_box(sum);
    }

    /// A waiting request's time has come.
    fn sight(
        &mut self,
        index: u32,
        now: Timestamp,
        trash: &mut Trash,
        missed: impl Fn(Timestamp, Duration) -> bool,
    ) {
        let grace = self.rules.grace;
        let verdict = self.judge(index, now, trash, |due| missed(due, grace));
        match verdict {
            Verdict::Due => {
                note!(
                    trash.news,
                    FellDue {
                        id: self.entry(index).id(),
                        location: self.entry(index).location,
                        due: self.entry(index).due,
                    }
                );
                self.make_ready(index);
            }
            Verdict::Later => {
                self.wait(index);
                self.log(Change::Examined, index);
            }
            Verdict::Ended(outcome, rule) => {
                self.end(index, outcome, Why::Rule(rule), now, trash);
            }
        }
    }

    /// A parked request's location is released again. `held_since`: a hold from then until now may have
    /// covered its time and grace.
    pub(super) fn unpark(
        &mut self,
        index: u32,
        held_since: Option<Timestamp>,
        now: Timestamp,
        trash: &mut Trash,
    ) {
        let covered = |due: Timestamp, grace: Duration| {
            held_since.is_some_and(|since| since <= due) && due.saturating_add(grace) <= now
        };
        let grace = self.rules.grace;
        let verdict = self.judge(index, now, trash, |due| covered(due, grace));
        match verdict {
            Verdict::Due => self.wait(index),
            Verdict::Later => {
                self.wait(index);
                self.log(Change::Examined, index);
            }
            Verdict::Ended(outcome, rule) => {
                self.end(index, outcome, Why::Rule(rule), now, trash);
            }
        }
    }

    /// What its schedule says of a request whose time has come. Of several processing times that were missed and
    /// passed over at once, the last is told.
    #[inline]
    fn judge(
        &mut self,
        index: u32,
        now: Timestamp,
        trash: &mut Trash,
        missed: impl Fn(Timestamp) -> bool,
    ) -> Verdict {
        let missed_at = Cell::new(None);
        let verdict = self.pending_mut(index).sight(now, |due| {
            let missed = missed(due);
            if IS_ON && missed {
                missed_at.set(Some(due));
            }
            missed
        });
        if let Some(due) = missed_at.get() {
            note!(
                trash.news,
                Missed {
                    id: self.entry(index).id(),
                    location: self.entry(index).location,
                    due,
                    policy: self.pending(index).missed_policy().as_str(),
                }
            );
        }
        verdict
    }

    /// One attempt failed: backoff, or the dead letters after the last.
    pub(super) fn fail_attempt(
        &mut self,
        index: u32,
        rule: Rule,
        retry_after: Option<Duration>,
        now: Timestamp,
        trash: &mut Trash,
    ) {
        let pending = self.pending(index);
        if pending.has_expired(now) {
            self.expire(index, now, trash);
            return;
        }
        let due = pending.due;
        match pending.backoff(spread_of(pending.id(), pending.attempts())) {
            Some(delay) => {
                // Never early: the clock may have stepped back since the attempt was released.
                let again = now.saturating_add(retry_after.unwrap_or(delay));
                let again = again.max(due);
                self.pending_mut(index).course().eligible = again;
                note!(
                    trash.news,
                    Retry {
                        id: self.entry(index).id(),
                        location: self.entry(index).location,
                        attempt: self.pending(index).attempts(),
                        reason: rule.as_str(),
                        again,
                    }
                );
                self.wait(index);
                self.log(Change::Retry, index);
            }
            None => {
                let outcome = Outcome::DeadLettered;
                self.end(index, outcome, Why::Rule(rule), now, trash);
            }
        }
    }

    /// Ends a request whose lifespan is over.
    pub(super) fn expire(&mut self, index: u32, now: Timestamp, trash: &mut Trash) {
        let why = Why::Rule(self.pending(index).expiry_rule());
        self.end(index, Outcome::Expired, why, now, trash);
    }
}
