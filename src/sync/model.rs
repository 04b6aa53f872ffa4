//! A model checker's locks and atomics in parking_lot's form.
//!
//! Two checkers can take the place of the real locks. *loom* goes through every interleaving of a small
//! program and through every answer that the memory model lets a load give; *shuttle* goes through random
//! interleavings, sequentially consistent ones only, of programs as large as the engine. Neither knows time, so
//! it is decided here what a timeout does:
//!
//! # Timeouts
//!
//! By its length, a timeout is one of three:
//!
//! * *over already*: it ends at once;
//! * up to [`SHORT`]: it may end at any moment. What is built on so short a wait goes round in a loop and counts
//!   on it, so that it has to end;
//! * longer: it never ends. Such a wait is a net below the protocol (the driver's half second, a
//!   shutdown's patience), and a protocol that needs its net is broken: the checker then finds a deadlock.
//!
//! # loom and `SeqCst`
//!
//! loom takes a `SeqCst` access for an `AcqRel` one, and would find faults in code that is right. It knows
//! `SeqCst` fences, so that the first `SeqCst` load after a `SeqCst` store of its thread has one before it (a
//! read-modify-write counts as a store; what it reads is the newest value anyway). Two threads that each store
//! and then load are ordered by that, and code with either access weakened is not.

use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::{Duration, Instant};

#[cfg(loom)]
use loom as checker;
#[cfg(shuttle)]
use shuttle as checker;

pub(crate) use checker::thread;

#[cfg(loom)]
pub(crate) use fenced::{AtomicBool, AtomicU64, AtomicUsize};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU8;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};

/// The longest timeout that may end; see the module.
const SHORT: Duration = Duration::from_millis(10);

/// A lock that knows no poison, as parking_lot's.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(checker::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(checker::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: &self.0,
            guard: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard {
            mutex: &self.0,
            guard: Some(guard),
        })
    }
}

/// A locked [`Mutex`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a checker::sync::Mutex<T>,
    /// There but for the time that a condition variable has it.
    guard: Option<checker::sync::MutexGuard<'a, T>>,
}

const HELD: &str = "the lock is held";

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().expect(HELD)
    }
}

/// A condition variable without spurious wake-ups, as parking_lot's.
#[derive(Debug, Default)]
pub(crate) struct Condvar(checker::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let locked = guard.guard.take().expect(HELD);
        let locked = self.0.wait(locked).unwrap_or_else(PoisonError::into_inner);
        guard.guard = Some(locked);
    }

    pub(crate) fn wait_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        if timeout > SHORT {
            self.wait(guard);
            return WaitTimeoutResult { timed_out: false };
        }
        // Whoever rings meanwhile finds nobody waiting, as if the time had been up just before.
        guard.guard = None;
        thread::yield_now();
        let locked = guard.mutex.lock();
        guard.guard = Some(locked.unwrap_or_else(PoisonError::into_inner));
        WaitTimeoutResult { timed_out: true }
    }

    pub(crate) fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_for(guard, deadline.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Whether a wait ended by its timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitTimeoutResult {
    timed_out: bool,
}

impl WaitTimeoutResult {
    pub(crate) fn timed_out(self) -> bool {
        self.timed_out
    }
}

/// A lock for many readers or one writer that knows no poison, as parking_lot's.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(checker::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(checker::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> checker::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> checker::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// loom's atomics with fences in the place of `SeqCst` accesses; see the module.
#[cfg(loom)]
mod fenced {
    use std::cell::Cell;
    use std::ops::Deref;

    use loom::sync::atomic::{self, Ordering, fence};

    loom::thread_local! {
        /// Whether this thread has stored with `SeqCst`, with no fence since.
        static STORED_SEQ_CST: Cell<bool> = Cell::new(false);
    }

    fn before_load(ordering: Ordering) {
        let is_seq_cst = ordering == Ordering::SeqCst;
        if is_seq_cst && STORED_SEQ_CST.with(|stored| stored.replace(false)) {
            fence(Ordering::SeqCst);
        }
    }

    fn stores(ordering: Ordering) {
        if ordering == Ordering::SeqCst {
            STORED_SEQ_CST.with(|stored| stored.set(true));
        }
    }

    macro_rules! fenced {
        ($name:ident: $value:ty, $($store:ident -> $answer:ty),*) => {
            #[derive(Debug, Default)]
            pub(crate) struct $name(atomic::$name);

            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    Self(atomic::$name::new(value))
                }

                pub(crate) fn load(&self, ordering: Ordering) -> $value {
                    before_load(ordering);
                    self.0.load(ordering)
                }

                $(pub(crate) fn $store(&self, value: $value, ordering: Ordering) -> $answer {
                    stores(ordering);
                    self.0.$store(value, ordering)
                })*
            }

            /// What is not counted here is loom's own.
            impl Deref for $name {
                type Target = atomic::$name;

                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }
        };
    }

    fenced!(AtomicBool: bool, store -> ());
    fenced!(AtomicU64: u64, store -> ());
    fenced!(AtomicUsize: usize, fetch_add -> usize, fetch_sub -> usize);
}

#[cfg(all(test, loom))]
mod tests {
    use loom::model::Builder;

    use super::*;
    use crate::sync::{Arc, Ordering};

    /// Whether two threads that each store and then look at the other's place can both find it empty.
    fn both_may_miss(store: [Ordering; 2], load: [Ordering; 2]) -> bool {
        let missed = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = Arc::clone(&missed);
        Builder::new().check(move || {
            let places = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
            let other = Arc::clone(&places);
            let (store_there, load_there) = (store[1], load[1]);
            let there = thread::spawn(move || {
                other[1].store(1, store_there);
                other[0].load(load_there)
            });
            places[0].store(1, store[0]);
            let here = places[1].load(load[0]);
            if here + there.join().unwrap() == 0 {
                seen.store(true, Ordering::Relaxed);
            }
        });
        missed.load(Ordering::Relaxed)
    }

    #[test]
    fn models_order_sequentially_consistent_accesses_and_no_weaker_ones() {
        use Ordering::{Acquire, Release, SeqCst};
        assert!(!both_may_miss([SeqCst; 2], [SeqCst; 2]));
        assert!(both_may_miss([SeqCst, Release], [SeqCst; 2]));
        assert!(both_may_miss([SeqCst; 2], [Acquire, SeqCst]));
        assert!(both_may_miss([Release; 2], [Acquire; 2]));
    }
}
