//! What lies behind a shard's lock: a wheel, an id index, a location book, a ready heap and an idempotency
//! memory, and the moves of a request between them. What moves it when its time comes is in `due.rs`.
//!
//! Nothing that runs under the lock is user code, and nothing that a user gave is dropped under it:
//! what ended requests held is moved into a [`Trash`] that the caller drops once the lock is released, and so is
//! the news of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::book::Book;
use super::due::FIRE_STEP;
use super::entry::{Entry, Flags, Phase};
use super::index::{Index, Place, tag_of};
use super::location::LocationControl;
use super::memory::{End, Ended, Memory};
use super::outbox::Outbox;
use super::pending::{Pending, PendingMut};
use super::rules::Rules;
use super::slab::NONE;
use super::store::Store;
use super::trash::Trash;
use crate::ids::{LocationId, Priority, RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState, Why};
use crate::request::InteractionRequest;
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::telemetry::{News, note};
use crate::wheel::Wheel;

/// How far the wheel may stay behind the present, in milliseconds.
const UPKEEP_MS: u64 = 4096;

/// The ready heap is rebuilt when it is longer than this and more than half stale.
const READY_COMPACT_MIN: usize = 64;

/// What is known of an id.
pub(super) enum Known<'a> {
    Unknown,
    /// Under this index.
    Pending(u32),
    Ended(&'a Ended),
}

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
    pub(super) store: Store,
    pub(super) index: Index,
    pub(super) book: Book,
    ready: BinaryHeap<Reverse<ReadyKey>>,
    ready_live: usize,
    pub(super) memory: Memory,
    pub(super) rules: Arc<Rules>,
    /// Empty between polls: memory for what a step fires.
    pub(super) fired: Vec<u32>,
    /// The wheel was not brought up to the present in one step.
    upkeep_left: bool,
    pub(super) counted: Counted,
    /// Records of what happens; only with a store.
    pub(super) outbox: Option<Box<Outbox>>,
    /// The number of the last record that was written of this shard.
    pub(super) last_lsn: u64,
}

/// What has changed since the lock was taken of what is counted over the whole engine: told once a lock, because
/// all threads contend for those counts.
#[derive(Default)]
pub(super) struct Counted {
    ended: usize,
    /// Requests more that are at the router or on their way there, or fewer.
    in_flight: isize,
    /// Requests more that are in doubt, or fewer.
    pub(super) in_doubt: isize,
}

impl Shard {
    pub(super) fn new(rules: Arc<Rules>, remember: Duration, remembered_max: usize) -> Self {
        Self {
            wheel: Wheel::new(),
            store: Store::new(),
            index: Index::new(),
            book: Book::new(),
            ready: BinaryHeap::new(),
            ready_live: 0,
            memory: Memory::new(remember, remembered_max),
            rules,
            fired: Vec::with_capacity(FIRE_STEP),
            upkeep_left: false,
            counted: Counted::default(),
            outbox: None,
            last_lsn: 0,
        }
    }

    /// Tells what has changed to who counts over the whole engine. To be called before the lock is released.
    pub(super) fn tell_counts(&mut self) {
        let counted = std::mem::take(&mut self.counted);
        let (ended, in_flight) = (counted.ended, counted.in_flight);
        add(&self.rules.in_doubt, counted.in_doubt);
        if ended > 0 {
            let pending = &self.rules.counts.pending;
            pending.fetch_sub(ended, Ordering::AcqRel);
        }
        // In one order with who looks at them before it sleeps; and last: who finds nothing in flight any more
        // reports what is pending.
        add(&self.rules.in_flight, in_flight);
    }

    // ---- finding ----

    /// What is known of an id, whether or not it is past the span for which it is remembered.
    pub(super) fn known(&self, id: RequestId, hash: u64) -> Known<'_> {
        let is_it = |place: Place| match place.entry() {
            Some(index) => self
                .store
                .entry(index)
                .is_some_and(|entry| entry.id() == id),
            None => self.memory.at(place).is_some_and(|ended| ended.id() == id),
        };
        let Some(place) = self.index.find(tag_of(hash), is_it) else {
            return Known::Unknown;
        };
        match (place.entry(), self.memory.at(place)) {
            (Some(index), _) => Known::Pending(index),
            (None, Some(ended)) => Known::Ended(ended),
            (None, None) => Known::Unknown,
        }
    }

    pub(super) fn find(&self, id: RequestId, hash: u64) -> Option<u32> {
        match self.known(id, hash) {
            Known::Pending(index) => Some(index),
            Known::Ended(_) | Known::Unknown => None,
        }
    }

    /// The request, which the caller has just found under this lock.
    #[inline]
    pub(super) fn pending(&self, index: u32) -> Pending<'_> {
        self.store
            .get(index)
            .expect("an index found under the lock is in use")
    }

    #[inline]
    pub(super) fn pending_mut(&mut self, index: u32) -> PendingMut<'_> {
        self.store
            .get_mut(index)
            .expect("an index found under the lock is in use")
    }

    #[inline]
    pub(super) fn entry(&self, index: u32) -> &Entry {
        self.store
            .entry(index)
            .expect("an index found under the lock is in use")
    }

    #[inline]
    pub(super) fn entry_mut(&mut self, index: u32) -> &mut Entry {
        self.store
            .entry_mut(index)
            .expect("an index found under the lock is in use")
    }

    /// The hold and pace of a location whose page is open here.
    #[inline]
    pub(super) fn control(&self, location: LocationId) -> &LocationControl {
        let page = self.book.page(location);
        &page.expect("a pending request's page is open").control
    }

    /// The first of the ready heap, live or stale.
    pub(super) fn head(&self) -> Option<ReadyKey> {
        self.ready.peek().map(|Reverse(key)| *key)
    }

    // ---- arriving and leaving ----

    /// Takes a request in whose id is not pending, whose location's page is open, and for which there is room
    /// below `max_pending`. Leaves a shell of it, to be dropped when no lock is held. Returns where it is and when
    /// it is to be looked at.
    pub(super) fn insert(
        &mut self,
        request: &mut InteractionRequest,
        fingerprint: u64,
        hash: u64,
        intake: u64,
        now: Timestamp,
    ) -> (u32, Timestamp) {
        if self.next_upkeep() <= now {
            self.keep_up(now);
        }
        let id = request.id;
        let tag = tag_of(hash);
        let forgotten = self.index.find(tag, |place| {
            self.memory.at(place).is_some_and(|ended| ended.id() == id)
        });
        let index = self.store.insert(request, fingerprint, intake, now);
        match forgotten {
            // A record of the same id, past its span, makes way.
            Some(place) => drop(self.index.replace(tag, place, Place::pending(index))),
            None => self.index.insert(tag, Place::pending(index)),
        }
        let line = self
            .book
            .enter(request.location, index, RequestState::Scheduled);
        self.entry_mut(index).line = line;
        (index, self.arm_waiting(index))
    }

    /// Ends a request: out of wheel, store and book, into the memory; what the user gave goes to the trash.
    pub(super) fn end(
        &mut self,
        index: u32,
        outcome: Outcome,
        why: Why,
        now: Timestamp,
        trash: &mut Trash,
    ) {
        self.leave_phase(index);
        let pending = self.pending(index);
        let (id, location, line) = (pending.id(), pending.location, pending.line);
        let (phase, state) = (pending.phase, pending.state());
        let end = End {
            id,
            fingerprint: pending.fingerprint,
            intake: pending.intake,
            location,
            due: pending.due,
            attempts: pending.attempts(),
            revision: pending.revision(),
            outcome,
            why,
            ended: now,
        };
        note!(
            trash.news,
            Completed {
                id,
                location,
                outcome,
                reason: end.why.kind(),
                attempts: end.attempts,
            }
        );
        self.log_end(&end);
        if let Some(gone) = self.store.remove(index) {
            trash.push(gone);
        }
        self.book.leave(line, state);
        self.book.complete(location, outcome, &end.why, 1);
        let tag = tag_of(self.rules.hash(id));
        let (place, told) = (Some(Place::pending(index)), &mut trash.told);
        self.memory.remember(end, tag, place, &mut self.index, told);
        if !phase.is_before_release() {
            self.counted.in_flight -= 1;
        } else if state == RequestState::Released {
            self.counted.in_doubt -= 1;
        }
        self.counted.ended += 1;
    }

    /// Forgets some of what is past its span, and says whether more is.
    pub(super) fn forget(&mut self, now: Timestamp, trash: &mut Trash) -> bool {
        self.memory.forget(now, &mut self.index, &mut trash.told)
    }

    // ---- phases ----

    /// Waits for `eligible`, or for what overtakes it where that is earlier.
    pub(super) fn wait(&mut self, index: u32) {
        self.set_phase(index, Phase::Waiting);
        self.arm_waiting(index);
    }

    /// Arms a request that waits; returns when it is to be looked at.
    fn arm_waiting(&mut self, index: u32) -> Timestamp {
        let time = self.pending(index).waits_until();
        self.arm(index, time);
        time
    }

    /// Waits in its location's line, by the key that it is given, for a token of its pace.
    pub(super) fn stand_in_line(&mut self, index: u32) -> ReadyKey {
        self.set_phase(index, Phase::InLine);
        if let Some(time) = self.pending(index).overtaken_at() {
            self.arm(index, time);
        }
        self.key(index)
    }

    /// Parks a request that fell due on hold. Its lifespan goes on.
    pub(super) fn park(&mut self, index: u32, news: &mut News) {
        note!(
            news,
            Parked {
                id: self.entry(index).id(),
                location: self.entry(index).location,
            }
        );
        self.set_phase(index, Phase::Held);
        self.pending_mut(index).meet_hold();
        if let Some(end) = self.pending(index).not_after() {
            self.arm(index, end);
        }
    }

    pub(super) fn set_phase(&mut self, index: u32, phase: Phase) {
        self.leave_phase(index);
        let entry = self.entry_mut(index);
        let (location, before, state) = (entry.location, entry.phase, entry.state());
        entry.phase = phase;
        let after = entry.state();
        self.book.change(location, state, after);
        match (before.is_before_release(), phase.is_before_release()) {
            (true, false) => self.counted.in_flight += 1,
            (false, true) => self.counted.in_flight -= 1,
            _ => {}
        }
    }

    /// Goes to the router: from now on the attempt's lease is good.
    pub(super) fn start_routing(&mut self, index: u32) {
        self.set_phase(index, Phase::Routing);
        self.pending_mut(index).open_attempt();
    }

    fn leave_phase(&mut self, index: u32) {
        let entry = self.entry_mut(index);
        let timer = std::mem::replace(&mut entry.timer, NONE);
        let was_ready = entry.phase == Phase::Ready;
        if let Some(timer) = self.wheel.handle_at(timer) {
            self.wheel.cancel(timer);
        }
        if was_ready {
            // Its key stays in the heap and is found stale there.
            self.ready_live -= 1;
        }
    }

    pub(super) fn arm(&mut self, index: u32, time: Timestamp) {
        let timer = self.wheel.handle_at(self.entry(index).timer);
        if timer.is_some_and(|timer| self.wheel.reschedule(timer, time.as_millis())) {
            return;
        }
        let timer = self.wheel.schedule(time.as_millis(), index);
        self.entry_mut(index).timer = timer.index();
    }

    fn key(&self, index: u32) -> ReadyKey {
        let pending = self.pending(index);
        ReadyKey {
            tick: pending.eligible(),
            due: pending.due,
            priority: Reverse(pending.priority),
            intake: pending.intake,
            index,
        }
    }

    pub(super) fn make_ready(&mut self, index: u32) {
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
        self.store.get(key.index).is_some_and(|pending| {
            pending.phase == phase && pending.intake == key.intake && pending.eligible() == key.tick
        })
    }

    /// Drops the first of the ready heap where it is stale, and has it looked at anew where it was
    /// overtaken. Says whether it was either.
    pub(super) fn drop_idle_head(&mut self, now: Timestamp) -> bool {
        let Some(key) = self.head() else {
            return false;
        };
        let is_live = self.stands(&key, Phase::Ready);
        if is_live && !self.pending(key.index).is_overtaken(now) {
            return false;
        }
        self.ready.pop();
        if is_live {
            self.wait(key.index);
        }
        true
    }

    // ---- the wheel ----

    /// When the wheel is to be brought up to the present: now and then, so that what comes is not all in one
    /// slot of a wheel that was left behind.
    #[inline]
    pub(super) fn next_upkeep(&self) -> Timestamp {
        if self.upkeep_left {
            return Timestamp::EPOCH;
        }
        Timestamp::from_millis(self.wheel.cursor().saturating_add(UPKEEP_MS))
    }

    /// Takes a step in bringing the wheel up to the present.
    #[cold]
    pub(super) fn keep_up(&mut self, now: Timestamp) {
        self.upkeep_left = self.wheel.keep_up(now.as_millis());
    }

    // ---- proof ----

    /// Requests in a phase.
    pub(super) fn count(&self, phase: Phase) -> usize {
        let entries = (0..self.store.end()).filter_map(|index| self.store.entry(index));
        entries.filter(|entry| entry.phase == phase).count()
    }

    pub(super) fn check_invariants(&self) {
        self.wheel.check_invariants();
        self.store.check_invariants();
        self.index.check_invariants();
        self.memory.check_invariants(&self.index);
        self.book.check_invariants(self.store.len(), |index| {
            let entry = self.store.entry(index)?;
            Some((entry.location, entry.line, entry.state()))
        });
        assert!(self.index.len() <= self.store.len() + self.memory.len());
        let mut timers = 0;
        let mut ready = 0;
        for index in 0..self.store.end() {
            let Some(pending) = self.store.get(index) else {
                continue;
            };
            let (id, phase) = (pending.id(), pending.phase);
            assert!(phase.is_before_release() || !pending.is_in_doubt());
            assert!(pending.is_in_doubt() || !pending.flags.has(Flags::COOLING));
            assert!(!pending.flags.has(Flags::ORPHAN), "nothing is read back");
            assert_eq!(self.find(id, self.rules.hash(id)), Some(index));
            let has_timer = pending.timer != NONE;
            if has_timer {
                let timer = self.wheel.handle_at(pending.timer);
                let value = timer.and_then(|timer| self.wheel.get(timer));
                assert_eq!(value, Some(&index), "a timer knows its entry");
                timers += 1;
            }
            ready += usize::from(phase == Phase::Ready);
            let needs_timer =
                phase == Phase::Waiting || phase == Phase::Held && pending.not_after().is_some();
            let may_have_timer = needs_timer || matches!(phase, Phase::InLine | Phase::Routing);
            assert!(has_timer || !needs_timer, "{phase:?} without a timer");
            assert!(!has_timer || may_have_timer, "{phase:?} with a timer");
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

/// Adds to a count, or takes from it.
fn add(counter: &AtomicUsize, change: isize) {
    match change {
        0 => {}
        1.. => drop(counter.fetch_add(change.unsigned_abs(), Ordering::SeqCst)),
        _ => drop(counter.fetch_sub(change.unsigned_abs(), Ordering::SeqCst)),
    }
}
