//! One shard: a wheel, an id index, a location book, a ready heap and an idempotency memory behind one
//! short lock.
//!
//! The shard of a request is chosen by its id alone, so that an operation on a request takes exactly one
//! lock. What a poll needs to know of every shard (when does its wheel fire next? what is ready?) is
//! published in atomics whenever the lock is released, so that a poll with nothing due takes no lock.
//!
//! Nothing that runs under the lock is user code, and nothing that a user gave is dropped under it:
//! entries that end are moved into a [`Trash`] that the caller drops once the lock is released.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;

use super::book::Book;
use super::entry::{Entry, Phase, Verdict, reason};
use super::gaps::Gaps;
use super::memory::{Ended, Memory};
use super::slab::Slab;
use crate::ids::{Priority, RequestId, Timestamp};
use crate::lifecycle::Outcome;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::wheel::Wheel;

/// Published where nothing is pending. A real event at `u64::MAX` is published the same; who sees it at
/// the end of time looks under the lock.
const NOTHING: u64 = u64::MAX;

/// The ready heap is rebuilt when it is longer than this and more than half stale.
const READY_COMPACT_MIN: usize = 64;

/// Ended entries, to be dropped when no lock is held.
pub(super) type Trash = Vec<Entry>;

/// The order of release: by tick, then priority (greater first), then intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReadyKey {
    pub(super) tick: Timestamp,
    pub(super) priority: Reverse<Priority>,
    pub(super) intake: u64,
    pub(super) index: u32,
}

/// What all shards share.
pub(super) struct Rules {
    pub(super) hash_key: [u64; 2],
    pub(super) grace: Duration,
    /// Pending requests of the whole engine.
    pub(super) pending: AtomicUsize,
    /// Those of them that are released and whose attempt has not ended.
    pub(super) in_flight: AtomicUsize,
}

impl Rules {
    /// The keyed, stable hash that chooses a request's shard and its place in the index. SipHash-1-3, so
    /// that nobody who chooses ids can crowd one shard.
    pub(super) fn hash(&self, id: RequestId) -> u64 {
        use std::hash::Hasher;
        let [key0, key1] = self.hash_key;
        let mut hasher = siphasher::sip::SipHasher13::new_with_keys(key0, key1);
        hasher.write_u8(u8::from(id.is_uuid()));
        hasher.write(&id.value().to_le_bytes());
        hasher.finish()
    }
}

/// What lies behind a shard's lock.
pub(super) struct Shard {
    wheel: Wheel<u32>,
    pub(super) entries: Slab<Entry>,
    index: HashTable<IndexSlot>,
    pub(super) book: Book,
    ready: BinaryHeap<Reverse<ReadyKey>>,
    ready_live: usize,
    pub(super) memory: Memory,
    rules: Arc<Rules>,
    fired: Vec<u32>,
}

/// An entry's number beside 32 bits of its id's hash: a probe rarely touches a wrong entry, and growth
/// touches none.
#[derive(Clone, Copy)]
struct IndexSlot {
    tag: u32,
    entry: u32,
}

/// The table's hash, made from the tag alone. The multiplier (2^64 divided by the golden ratio, Knuth
/// 6.4) carries the tag into the top bits, which the table takes its control bytes from.
fn spread(tag: u32) -> u64 {
    u64::from(tag)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_right(25)
}

fn tag_of(hash: u64) -> u32 {
    (hash & u64::from(u32::MAX)) as u32
}

impl Shard {
    fn new(rules: Arc<Rules>, remember: Duration, remembered_max: usize) -> Self {
        Self {
            wheel: Wheel::new(),
            entries: Slab::new(),
            index: HashTable::new(),
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
        let tag = tag_of(hash);
        let found = self.index.find(spread(tag), |slot| {
            slot.tag == tag
                && self
                    .entries
                    .get(slot.entry)
                    .is_some_and(|entry| entry.id == id)
        })?;
        Some(found.entry)
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

    /// Takes in an entry whose location's page is open, or hands it back where no more fit.
    pub(super) fn insert(&mut self, entry: Entry, hash: u64) -> Result<u32, Entry> {
        let index = self.entries.insert(entry)?;
        let tag = tag_of(hash);
        self.index
            .insert_unique(spread(tag), IndexSlot { tag, entry: index }, |slot| {
                spread(slot.tag)
            });
        self.book.enter(&mut self.entries, index);
        self.wait(index);
        Ok(index)
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
        let tag = tag_of(hash(entry.id));
        match self
            .index
            .find_entry(spread(tag), |slot| slot.entry == index)
        {
            Ok(slot) => drop(slot.remove()),
            Err(_) => unreachable!("a pending request stands in the index"),
        }
        self.book.leave(entry.location, entry.phase());
        self.book.complete(entry.location, outcome, why.as_ref());
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
        self.memory.forget(now, hash);
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

    /// Waits for `eligible`, or for its lifespan's end where that is earlier.
    pub(super) fn wait(&mut self, index: u32) {
        let eligible = self.entry(index).eligible;
        self.wait_until(index, eligible);
    }

    /// Waits for a time other than the one at which it became releasable.
    pub(super) fn wait_until(&mut self, index: u32, time: Timestamp) {
        let entry = self.entry_mut(index);
        entry.tick = time;
        let time = entry.not_after().map_or(time, |end| end.min(time));
        self.set_phase(index, Phase::Waiting);
        self.arm(index, time);
    }

    /// Parks a request that fell due on hold. Its lifespan goes on.
    pub(super) fn park(&mut self, index: u32) {
        self.set_phase(index, Phase::Held);
        let entry = self.entry_mut(index);
        entry.paced = false;
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
        let timer = self.entry(index).timer;
        if timer.is_some_and(|timer| self.wheel.reschedule(timer, time.as_millis())) {
            return;
        }
        let timer = self.wheel.schedule(time.as_millis(), index);
        self.entry_mut(index).timer = Some(timer);
    }

    fn make_ready(&mut self, index: u32) {
        self.set_phase(index, Phase::Ready);
        let entry = self.entry(index);
        let key = ReadyKey {
            tick: entry.tick,
            priority: Reverse(entry.priority),
            intake: entry.intake,
            index,
        };
        self.ready_live += 1;
        self.ready.push(Reverse(key));
        if self.ready.len() > READY_COMPACT_MIN && self.ready.len() > 2 * self.ready_live {
            let entries = &self.entries;
            self.ready.retain(|Reverse(key)| is_live(entries, key));
        }
    }

    /// Takes the first of the ready heap; `None` where it was stale. It is then being examined.
    pub(super) fn take_head(&mut self) -> Option<u32> {
        let Reverse(key) = self.ready.pop()?;
        if !is_live(&self.entries, &key) {
            return None;
        }
        self.set_phase(key.index, Phase::Examining);
        Some(key.index)
    }

    /// Drops the first of the ready heap where it is stale, and has it looked at anew where it was
    /// overtaken. Says whether it was either.
    pub(super) fn drop_idle_head(&mut self, now: Timestamp) -> bool {
        let Some(key) = self.head() else {
            return false;
        };
        let is_live = is_live(&self.entries, &key);
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

    /// Fires at most `step` timers due by `now`, and says how many fired.
    pub(super) fn fire(
        &mut self,
        now: Timestamp,
        step: usize,
        gaps: &Gaps,
        trash: &mut Trash,
    ) -> usize {
        let mut fired = std::mem::take(&mut self.fired);
        let _more = self
            .wheel
            .advance(now.as_millis(), step, |timer| fired.push(timer.value));
        let count = fired.len();
        for index in fired.drain(..) {
            self.entry_mut(index).timer = None;
            match self.entry(index).phase() {
                Phase::Waiting => {
                    self.sight(index, now, trash, |due, grace| gaps.cover(due, grace))
                }
                Phase::Held => self.expire(index, now, trash),
                Phase::Routing => {
                    self.entry_mut(index).redelivery = true;
                    self.fail_attempt(index, reason::LEASE, None, now, trash);
                }
                Phase::Ready | Phase::Examining | Phase::Released => {
                    unreachable!("no timer is armed in this phase")
                }
            }
        }
        self.fired = fired;
        count
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
        match self.entry_mut(index).sight(now, |due| missed(due, grace)) {
            Verdict::Due => self.make_ready(index),
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
        match self.entry_mut(index).sight(now, |due| covered(due, grace)) {
            Verdict::Due | Verdict::Later => self.wait(index),
            Verdict::Ended(outcome, why) => {
                self.end(index, outcome, Some(Arc::from(why)), now, trash)
            }
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
        // Different for each attempt of each request, and the same whenever the run is repeated.
        let random = entry.fingerprint as u64 ^ spread(entry.attempts);
        match entry.backoff(random) {
            Some(delay) => {
                // Never early: the clock may have stepped back since the attempt was released.
                let again = now.saturating_add(retry_after.unwrap_or(delay));
                entry.eligible = again.max(entry.due);
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
            let may_have_timer = needs_timer || entry.phase() == Phase::Routing;
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
            .filter(|Reverse(key)| is_live(&self.entries, key))
            .count();
        assert!(live >= ready, "every ready entry stands in the heap");
    }
}

/// A key is live while its entry is ready and ordered by it.
fn is_live(entries: &Slab<Entry>, key: &ReadyKey) -> bool {
    entries.get(key.index).is_some_and(|entry| {
        entry.phase() == Phase::Ready && entry.intake == key.intake && entry.tick == key.tick
    })
}

/// A shard and its lock.
pub(super) struct ShardCell {
    shard: CachePadded<Mutex<Shard>>,
    /// A lower bound of the wheel's next event.
    wheel_next: AtomicU64,
    /// The tick of the ready heap's head.
    ready_next: AtomicU64,
    /// When the memory has something to forget.
    memory_next: AtomicU64,
}

impl ShardCell {
    pub(super) fn new(rules: Arc<Rules>, remember: Duration, remembered_max: usize) -> Self {
        Self {
            shard: CachePadded::new(Mutex::new(Shard::new(rules, remember, remembered_max))),
            wheel_next: AtomicU64::new(NOTHING),
            ready_next: AtomicU64::new(NOTHING),
            memory_next: AtomicU64::new(NOTHING),
        }
    }

    pub(super) fn lock(&self) -> ShardGuard<'_> {
        ShardGuard {
            cell: self,
            shard: self.shard.lock(),
        }
    }

    pub(super) fn wheel_may_fire(&self, now: Timestamp) -> bool {
        self.wheel_next.load(Ordering::SeqCst) <= now.as_millis()
    }

    pub(super) fn memory_may_forget(&self, now: Timestamp) -> bool {
        self.memory_next.load(Ordering::Acquire) <= now.as_millis()
    }

    /// When this shard next has something to do, or earlier.
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let next = self
            .wheel_next
            .load(Ordering::SeqCst)
            .min(self.ready_next.load(Ordering::SeqCst));
        if next != NOTHING {
            return Some(Timestamp::from_millis(next));
        }
        let shard = self.shard.lock();
        let timer = shard.wheel.next_due().map(Timestamp::from_millis);
        let ready = shard.head().map(|key| key.tick);
        timer.into_iter().chain(ready).min()
    }

    fn publish(&self, shard: &Shard) {
        let wheel = shard.wheel.next_due().unwrap_or(NOTHING);
        let ready = shard.head().map_or(NOTHING, |key| key.tick.as_millis());
        let memory = shard
            .memory
            .next_forgotten()
            .map_or(NOTHING, Timestamp::as_millis);
        // `SeqCst`: an intake stores this and then reads the driver's wake-up time, while the driver
        // stores its wake-up time and then reads this; at least one of them sees the other.
        store_if_changed(&self.wheel_next, wheel, Ordering::SeqCst);
        store_if_changed(&self.ready_next, ready, Ordering::SeqCst);
        store_if_changed(&self.memory_next, memory, Ordering::Release);
    }
}

/// A store that leaves the cache line shared where nothing changed, which is nearly always.
fn store_if_changed(cell: &AtomicU64, value: u64, ordering: Ordering) {
    if cell.load(Ordering::Relaxed) != value {
        cell.store(value, ordering);
    }
}

/// A locked shard, which publishes its next events when it is unlocked.
pub(super) struct ShardGuard<'a> {
    cell: &'a ShardCell,
    shard: MutexGuard<'a, Shard>,
}

impl Deref for ShardGuard<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for ShardGuard<'_> {
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl Drop for ShardGuard<'_> {
    fn drop(&mut self) {
        self.cell.publish(&self.shard);
    }
}
