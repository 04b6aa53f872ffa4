//! What lies behind a shard's lock: a wheel, an id index, a location book, a ready heap and an idempotency
//! memory, and the moves of a request between them.
//!
//! Nothing that runs under the lock is user code, and nothing that a user gave is dropped under it:
//! entries that end are moved into a [`Trash`] that the caller drops once the lock is released.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::book::Book;
use super::entry::{Entry, Phase, Verdict, reason};
use super::gaps::Gaps;
use super::index::Index;
use super::memory::{Ended, Memory};
use super::rules::{Rules, spread_of};
use super::slab::Slab;
pub(super) use super::trash::Trash;
use crate::ids::{LocationId, Priority, RequestId, Timestamp};
use crate::lifecycle::Outcome;
use crate::sync::{Arc, Ordering};
use crate::telemetry::{News, note, reason_kind};
use crate::wheel::{Advance, Wheel};

/// The ready heap is rebuilt when it is longer than this and more than half stale.
const READY_COMPACT_MIN: usize = 64;

/// The order of release: by tick, then priority (greater first), then intake. A retry or a recheck goes
/// before what falls due at its tick for the first time, because its processing time is the earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadyKey {
    pub(super) tick: Timestamp,
    pub(super) due: Timestamp,
    pub(super) priority: Reverse<Priority>,
    pub(super) intake: u64,
    pub(super) index: u32,
}

/// What lies behind a shard's lock.
pub(super) struct Shard {
    pub(super) wheel: Wheel<u32>,
    pub(super) entries: Slab<Entry>,
    index: Index,
    pub(super) book: Book,
    ready: BinaryHeap<Reverse<ReadyKey>>,
    ready_live: usize,
    pub(super) memory: Memory,
    rules: Arc<Rules>,
    fired: Vec<u32>,
}

impl Shard {
    pub(super) fn new(rules: Arc<Rules>, remember: Duration, remembered_max: usize) -> Self {
        Self {
            wheel: Wheel::new(),
            entries: Slab::new(),
            index: Index::default(),
            book: Book::new(),
            ready: BinaryHeap::new(),
            ready_live: 0,
            memory: Memory::new(remember, remembered_max),
            rules,
            fired: Vec::new(),
        }
    }

    // ---- finding ----

    pub(super) fn find(&self, id: RequestId, hash: u64) -> Option<u32> {
        self.index.find(hash, |index| {
            self.entries.get(index).is_some_and(|entry| entry.id == id)
        })
    }

    /// The entry, which the caller has just found under this lock.
    pub(super) fn entry(&self, index: u32) -> &Entry {
        self.entries
            .get(index)
            .expect("an index found under the lock is in use")
    }

    pub(super) fn entry_mut(&mut self, index: u32) -> &mut Entry {
        self.entries
            .get_mut(index)
            .expect("an index found under the lock is in use")
    }

    /// The first of the ready heap, live or stale.
    pub(super) fn head(&self) -> Option<ReadyKey> {
        self.ready.peek().map(|Reverse(key)| *key)
    }

    // ---- arriving and leaving ----

    /// Takes in an entry whose location's page is open, and for which there is room below `max_pending`,
    /// which lies below 2^31.
    pub(super) fn insert(&mut self, entry: Entry, hash: u64) {
        let index = self.entries.insert(entry);
        self.index.insert(hash, index);
        self.book.enter(&mut self.entries, index);
        self.wait(index);
    }

    /// Ends a request: out of wheel, index and book, into the memory; what the user gave goes to the
    /// trash.
    pub(super) fn end(
        &mut self,
        index: u32,
        outcome: Outcome,
        why: Option<Arc<str>>,
        now: Timestamp,
        trash: &mut Trash,
    ) {
        self.leave_phase(index);
        let entry = self
            .entries
            .remove(index)
            .expect("an index found under the lock is in use");
        let rules = Arc::clone(&self.rules);
        let hash = |id| rules.hash(id);
        let indexed = self.index.remove(hash(entry.id), index);
        debug_assert!(indexed, "a pending request stands in the index");
        self.book.leave(entry.location, entry.phase());
        self.book.complete(entry.location, outcome, why.as_ref());
        note!(
            trash.news,
            Completed {
                id: entry.id,
                location: entry.location,
                outcome,
                reason: reason_kind(outcome, why.as_deref()),
                attempts: entry.attempts,
            }
        );
        let record = Ended {
            id: entry.id,
            fingerprint: entry.fingerprint,
            intake: entry.intake,
            location: entry.location,
            outcome,
            reason: why,
            due: entry.due,
            attempts: entry.attempts,
            revision: entry.revision,
            ended: now,
        };
        self.memory.remember(record, hash);
        if !entry.phase().is_before_release() {
            self.rules.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
        self.rules.pending.fetch_sub(1, Ordering::AcqRel);
        trash.push(entry);
    }

    pub(super) fn forget(&mut self, now: Timestamp) -> bool {
        let rules = Arc::clone(&self.rules);
        self.memory.forget(now, |id| rules.hash(id))
    }

    // ---- phases ----

    /// Waits for `eligible`, or for what overtakes it where that is earlier.
    pub(super) fn wait(&mut self, index: u32) {
        let entry = self.entry(index);
        let eligible = entry.eligible;
        let time = entry
            .overtaken_at()
            .map_or(eligible, |time| time.min(eligible));
        self.set_phase(index, Phase::Waiting);
        self.arm(index, time);
    }

    /// Waits in its location's line, by the key that it is given, for a token of its pace.
    pub(super) fn stand_in_line(&mut self, index: u32) -> ReadyKey {
        self.set_phase(index, Phase::InLine);
        if let Some(time) = self.entry(index).overtaken_at() {
            self.arm(index, time);
        }
        self.key(index)
    }

    /// Parks a request that fell due on hold. Its lifespan goes on.
    pub(super) fn park(&mut self, index: u32) {
        self.set_phase(index, Phase::Held);
        let entry = self.entry_mut(index);
        if !entry.examined {
            entry.judged = false;
        }
        if let Some(end) = entry.not_after() {
            self.arm(index, end);
        }
    }

    pub(super) fn set_phase(&mut self, index: u32, phase: Phase) {
        self.leave_phase(index);
        let entry = self.entry_mut(index);
        let (location, before) = (entry.location, entry.phase());
        entry.set_phase(phase);
        self.book.change(location, before, phase);
        match (before.is_before_release(), phase.is_before_release()) {
            (true, false) => drop(self.rules.in_flight.fetch_add(1, Ordering::AcqRel)),
            (false, true) => drop(self.rules.in_flight.fetch_sub(1, Ordering::AcqRel)),
            _ => {}
        }
    }

    /// Goes to the router: from now on the attempt's lease is good.
    pub(super) fn start_routing(&mut self, index: u32) {
        self.set_phase(index, Phase::Routing);
        let entry = self.entry_mut(index);
        entry.open_attempt = entry.attempts;
    }

    fn leave_phase(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        let timer = entry.timer.take();
        let was_ready = entry.phase() == Phase::Ready;
        if let Some(timer) = timer {
            self.wheel.cancel(timer);
        }
        if was_ready {
            // Its key stays in the heap and is found stale there.
            self.ready_live -= 1;
        }
    }

    pub(super) fn arm(&mut self, index: u32, time: Timestamp) {
        let entry = self.entry_mut(index);
        entry.armed = time;
        let timer = entry.timer;
        if timer.is_some_and(|timer| self.wheel.reschedule(timer, time.as_millis())) {
            return;
        }
        let timer = self.wheel.schedule(time.as_millis(), index);
        self.entry_mut(index).timer = Some(timer);
    }

    fn key(&self, index: u32) -> ReadyKey {
        let entry = self.entry(index);
        ReadyKey {
            tick: entry.eligible,
            due: entry.due,
            priority: Reverse(entry.priority),
            intake: entry.intake,
            index,
        }
    }

    fn make_ready(&mut self, index: u32) {
        self.set_phase(index, Phase::Ready);
        let key = self.key(index);
        self.ready_live += 1;
        self.ready.push(Reverse(key));
        if self.ready.len() > READY_COMPACT_MIN && self.ready.len() > 2 * self.ready_live {
            self.compact_ready();
        }
    }

    /// Leaves one key for each ready entry. One that was rescheduled to the very same time, again and again,
    /// has several that look alive.
    #[cold]
    fn compact_ready(&mut self) {
        let mut keys = std::mem::take(&mut self.ready).into_vec();
        keys.retain(|Reverse(key)| self.stands(key, Phase::Ready));
        keys.sort_unstable();
        keys.dedup();
        self.ready = keys.into();
    }

    /// Takes the first of the ready heap; `None` where it was stale. It is then being examined.
    pub(super) fn take_head(&mut self) -> Option<u32> {
        let Reverse(key) = self.ready.pop()?;
        if !self.stands(&key, Phase::Ready) {
            return None;
        }
        self.set_phase(key.index, Phase::Examining);
        Some(key.index)
    }

    /// Takes a request out of a location's line; `None` where its key was stale. It is then being examined.
    pub(super) fn take_from_line(&mut self, location: LocationId, key: &ReadyKey) -> Option<u32> {
        if !self.stands_in_line(location, key) {
            return None;
        }
        self.set_phase(key.index, Phase::Examining);
        Some(key.index)
    }

    /// Whether a key's request still stands in this location's line. (It may have moved on to another's.)
    pub(super) fn stands_in_line(&self, location: LocationId, key: &ReadyKey) -> bool {
        self.stands(key, Phase::InLine) && self.entry(key.index).location == location
    }

    /// Whether a key's request still waits for its turn in this phase, by this key.
    fn stands(&self, key: &ReadyKey, phase: Phase) -> bool {
        self.entries.get(key.index).is_some_and(|entry| {
            entry.phase() == phase && entry.intake == key.intake && entry.eligible == key.tick
        })
    }

    /// Drops the first of the ready heap where it is stale, and has it looked at anew where it was
    /// overtaken. Says whether it was either.
    pub(super) fn drop_idle_head(&mut self, now: Timestamp) -> bool {
        let Some(key) = self.head() else {
            return false;
        };
        let is_live = self.stands(&key, Phase::Ready);
        if is_live && !self.entry(key.index).is_overtaken(now) {
            return false;
        }
        self.ready.pop();
        if is_live {
            self.wait(key.index);
        }
        true
    }

    // ---- what a poll does to the wheel ----

    /// Fires at most `step` timers due by `now`, and says how many fired and whether to go on.
    pub(super) fn fire(
        &mut self,
        now: Timestamp,
        step: usize,
        gaps: &Gaps,
        trash: &mut Trash,
    ) -> Advance {
        let mut fired = std::mem::take(&mut self.fired);
        let advance = self
            .wheel
            .advance(now.as_millis(), step, |timer| fired.push(timer.value));
        for index in fired.drain(..) {
            self.entry_mut(index).timer = None;
            match self.entry(index).phase() {
                Phase::Waiting | Phase::InLine => {
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
                            id: self.entry(index).id,
                            location: self.entry(index).location,
                            attempt: self.entry(index).attempts,
                        }
                    );
                    self.entry_mut(index).redelivery = true;
                    self.fail_attempt(index, reason::LEASE, None, now, trash);
                }
                Phase::Ready | Phase::Examining | Phase::Released => {
                    unreachable!("no timer is armed in this phase")
                }
            }
        }
        self.fired = fired;
        advance
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
        let missed_at = Cell::new(None);
        let verdict = self.entry_mut(index).sight(now, |due| {
            let missed = missed(due, grace);
            missed_at.set(missed.then_some(due).or(missed_at.get()));
            missed
        });
        self.note_missed(index, missed_at.get(), &mut trash.news);
        match verdict {
            Verdict::Due => {
                note!(
                    trash.news,
                    FellDue {
                        id: self.entry(index).id,
                        location: self.entry(index).location,
                        due: self.entry(index).due,
                    }
                );
                self.make_ready(index);
            }
            Verdict::Later => self.wait(index),
            Verdict::Ended(outcome, why) => {
                self.end(index, outcome, Some(Arc::from(why)), now, trash)
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
        let missed_at = Cell::new(None);
        let verdict = self.entry_mut(index).sight(now, |due| {
            let missed = covered(due, grace);
            missed_at.set(missed.then_some(due).or(missed_at.get()));
            missed
        });
        self.note_missed(index, missed_at.get(), &mut trash.news);
        match verdict {
            Verdict::Due | Verdict::Later => self.wait(index),
            Verdict::Ended(outcome, why) => {
                self.end(index, outcome, Some(Arc::from(why)), now, trash)
            }
        }
    }

    /// A processing time was found missed; of several that were passed over at once, the last.
    fn note_missed(&self, index: u32, missed_at: Option<Timestamp>, news: &mut News) {
        if let Some(due) = missed_at {
            note!(
                news,
                Missed {
                    id: self.entry(index).id,
                    location: self.entry(index).location,
                    due,
                    policy: self.entry(index).missed_policy().as_str(),
                }
            );
        }
    }

    // ---- attempts ----

    /// One attempt failed: backoff, or the dead letters after the last.
    pub(super) fn fail_attempt(
        &mut self,
        index: u32,
        why: &str,
        retry_after: Option<Duration>,
        now: Timestamp,
        trash: &mut Trash,
    ) {
        let entry = self.entry_mut(index);
        if entry.has_expired(now) {
            self.expire(index, now, trash);
            return;
        }
        let random = spread_of(entry.id, entry.attempts);
        match entry.backoff(random) {
            Some(delay) => {
                // Never early: the clock may have stepped back since the attempt was released.
                let again = now.saturating_add(retry_after.unwrap_or(delay));
                entry.eligible = again.max(entry.due);
                note!(
                    trash.news,
                    Retry {
                        id: entry.id,
                        location: entry.location,
                        attempt: entry.attempts,
                        reason: reason_kind(Outcome::DeadLettered, Some(why)),
                        again: entry.eligible,
                    }
                );
                self.wait(index);
            }
            None => self.end(
                index,
                Outcome::DeadLettered,
                Some(Arc::from(why)),
                now,
                trash,
            ),
        }
    }

    // ---- proof ----

    /// Requests in a phase.
    pub(super) fn count(&self, phase: Phase) -> usize {
        let entries = (0..self.entries.end()).filter_map(|index| self.entries.get(index));
        entries.filter(|entry| entry.phase() == phase).count()
    }

    pub(super) fn check_invariants(&self) {
        self.wheel.check_invariants();
        self.memory.check_invariants();
        self.book.check_invariants(&self.entries);
        assert_eq!(
            self.entries.len(),
            self.index.len(),
            "every entry stands in the index once"
        );
        let mut timers = 0;
        let mut ready = 0;
        for index in 0..self.entries.end() {
            let Some(entry) = self.entries.get(index) else {
                continue;
            };
            assert_eq!(self.find(entry.id, self.rules.hash(entry.id)), Some(index));
            if let Some(timer) = entry.timer {
                assert_eq!(
                    self.wheel.get(timer),
                    Some(&index),
                    "a timer knows its entry"
                );
                timers += 1;
            }
            ready += usize::from(entry.phase() == Phase::Ready);
            let needs_timer = entry.phase() == Phase::Waiting
                || entry.phase() == Phase::Held && entry.not_after().is_some();
            let may_have_timer =
                needs_timer || matches!(entry.phase(), Phase::InLine | Phase::Routing);
            assert!(
                entry.timer.is_some() || !needs_timer,
                "{:?} without a timer",
                entry.phase()
            );
            assert!(
                entry.timer.is_none() || may_have_timer,
                "{:?} with a timer",
                entry.phase()
            );
        }
        assert_eq!(timers, self.wheel.len(), "every timer belongs to an entry");
        assert_eq!(ready, self.ready_live);
        let live = self
            .ready
            .iter()
            .filter(|Reverse(key)| self.stands(key, Phase::Ready))
            .count();
        assert!(live >= ready, "every ready entry stands in the heap");
    }
}
