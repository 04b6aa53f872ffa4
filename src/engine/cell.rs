//! One shard and its lock.
//!
//! The shard of a request is chosen by its id alone, so that an operation on a request takes exactly one
//! lock. What a poll needs to know of every shard (when does its wheel fire next? what is ready?) is
//! published in atomics whenever the lock is released, so that a poll with nothing due takes no lock.
//!
//! How often the lock was taken, and how often somebody had to wait for it, is counted under the lock itself, in plain
//! integers on its own cache line: who has the lock has the line.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crossbeam_utils::{Backoff, CachePadded};

use super::replies::Contention;
use super::rules::Rules;
use super::shard::Shard;
use crate::ids::Timestamp;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};

/// Published where nothing is pending. A real event at `u64::MAX` is published the same; who sees it at
/// the end of time looks under the lock.
const NOTHING: u64 = u64::MAX;

/// Looks at a lock that somebody holds before going to sleep, some hundred pauses in all. A model checker takes all
/// that is waited for in a loop for a loop without end.
const SPINS: usize = if cfg!(any(loom, shuttle)) { 0 } else { 12 };

/// A shard and its lock.
pub(super) struct ShardCell {
    shard: CachePadded<Mutex<Locked>>,
    /// A lower bound of the wheel's next event.
    wheel_next: AtomicU64,
    /// The tick of the ready heap's head.
    ready_next: AtomicU64,
    /// When the memory has something to forget.
    memory_next: AtomicU64,
    /// When the wheel is to be brought up to the present.
    upkeep_next: AtomicU64,
}

/// What lies behind the lock. In this order, so that the counts are next to it.
#[repr(C)]
struct Locked {
    contention: Contention,
    shard: Shard,
}

impl ShardCell {
    pub(super) fn new(rules: Arc<Rules>, remember: Duration, remembered_max: usize) -> Self {
        Self::of(Shard::new(rules, remember, remembered_max))
    }

    /// The cell of a shard that may hold something already.
    pub(super) fn of(shard: Shard) -> Self {
        let cell = Self {
            shard: CachePadded::new(Mutex::new(Locked {
                contention: Contention::default(),
                shard,
            })),
            wheel_next: AtomicU64::new(NOTHING),
            ready_next: AtomicU64::new(NOTHING),
            memory_next: AtomicU64::new(NOTHING),
            upkeep_next: AtomicU64::new(0),
        };
        cell.publish(&cell.shard.lock().shard);
        cell
    }

    pub(super) fn lock(&self) -> ShardGuard<'_> {
        ShardGuard {
            cell: self,
            locked: self.acquire(),
        }
    }

    /// Takes the lock, and counts that.
    fn acquire(&self) -> MutexGuard<'_, Locked> {
        let (mut locked, waited) = match self.shard.try_lock() {
            Some(locked) => (locked, false),
            None => (self.wait(), true),
        };
        locked.contention.acquisitions += 1;
        locked.contention.waits += u64::from(waited);
        locked
    }

    /// Waits for the lock: for some microseconds without sleeping, because it is held for no longer, and to be put to
    /// sleep and woken takes longer than that; then as anybody waits.
    #[cold]
    fn wait(&self) -> MutexGuard<'_, Locked> {
        let backoff = Backoff::new();
        for _ in 0..SPINS {
            backoff.spin();
            if let Some(locked) = self.shard.try_lock() {
                return locked;
            }
        }
        self.shard.lock()
    }

    /// How often the lock was taken so far; this look at it is not counted.
    pub(super) fn contention(&self) -> Contention {
        self.shard.lock().contention
    }

    pub(super) fn wheel_may_fire(&self, now: Timestamp) -> bool {
        self.wheel_next.load(Ordering::SeqCst) <= now.as_millis()
    }

    pub(super) fn memory_may_forget(&self, now: Timestamp) -> bool {
        self.memory_next.load(Ordering::Acquire) <= now.as_millis()
    }

    pub(super) fn wheel_needs_upkeep(&self, now: Timestamp) -> bool {
        self.upkeep_next.load(Ordering::Acquire) <= now.as_millis()
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
        let shard = &self.acquire().shard;
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
        let upkeep = shard.next_upkeep().as_millis();
        store_if_changed(&self.upkeep_next, upkeep, Ordering::Release);
    }
}

/// A store that leaves the cache line shared where nothing changed, which is nearly always.
fn store_if_changed(cell: &AtomicU64, value: u64, ordering: Ordering) {
    if cell.load(Ordering::Relaxed) != value {
        cell.store(value, ordering);
    }
}

/// A locked shard, which publishes its next events, and tells its counts, when it is unlocked.
pub(super) struct ShardGuard<'a> {
    cell: &'a ShardCell,
    locked: MutexGuard<'a, Locked>,
}

impl Deref for ShardGuard<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.locked.shard
    }
}

impl DerefMut for ShardGuard<'_> {
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.locked.shard
    }
}

impl Drop for ShardGuard<'_> {
    fn drop(&mut self) {
        self.locked.shard.commit();
        self.locked.shard.tell_counts();
        self.cell.publish(&self.locked.shard);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    fn cell() -> ShardCell {
        let rules = Rules::new(0, Duration::ZERO);
        ShardCell::new(Arc::new(rules), Duration::ZERO, 0)
    }

    #[test]
    fn a_lock_that_nobody_else_has_is_counted_as_no_wait() {
        let cell = cell();
        for _ in 0..5 {
            drop(cell.lock());
        }
        let counted = Contention {
            acquisitions: 5,
            waits: 0,
        };
        assert_eq!(cell.contention(), counted);
        assert_eq!(cell.contention(), counted, "a look at it is not counted");
    }

    #[test]
    fn a_lock_that_somebody_waits_for_is_counted_as_a_wait() {
        let cell = cell();
        let (saying, said) = mpsc::channel();
        let deadline = Instant::now() + Duration::from_secs(60);
        // Nothing tells that a thread waits; only, afterwards, that it had to.
        let mut patience = Duration::from_millis(1);
        while cell.contention().waits == 0 {
            assert!(
                Instant::now() < deadline,
                "a thread that waited is not counted"
            );
            let guard = cell.lock();
            thread::scope(|scope| {
                scope.spawn(|| {
                    saying.send(()).unwrap();
                    drop(cell.lock());
                });
                said.recv().unwrap();
                thread::sleep(patience);
                drop(guard);
            });
            patience *= 2;
        }
        let counted = cell.contention();
        assert_eq!(counted.waits, 1);
        assert!(counted.acquisitions >= 2, "{counted:?}");
    }
}
