//! The threads that keep a store while an engine is driven: one writes what nobody waits for, one takes snapshots.
//!
//! They exist only after [`Engine::start`]; an engine that is polled by hand writes in its polls, and takes a snapshot
//! when [`Engine::snapshot`] is called.

use std::time::Duration;

use super::Engine;
use crate::clock::Clock;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};

/// How often it is looked whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks that are left out at most after a snapshot that was of no use: one tried on a full disk keeps intake out.
const LEFT_OUT_MAX: u32 = 64;

/// Tells the keeping threads to stop.
#[derive(Default)]
pub(super) struct Keeper {
    stopped: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Keeper {
    /// Has the threads stop soon.
    pub(super) fn stop(&self, engine: &Engine) {
        self.stopped.store(true, Ordering::SeqCst);
        let lock = self.lock.lock();
        self.changed.notify_all();
        drop(lock);
        if let Some(durable) = &engine.durable {
            durable.commit.stop_serving();
        }
    }

    /// What the thread that writes does.
    pub(super) fn write(&self, engine: &Engine) {
        if let Some(durable) = &engine.durable
            && !self.stopped.load(Ordering::SeqCst)
        {
            durable.commit.serve(&self.stopped);
        }
    }

    /// What the thread that takes snapshots does.
    pub(super) fn take_snapshots(&self, engine: &Engine, clock: &dyn Clock) {
        let mut last = clock.now();
        let mut pause = Pause::default();
        while !self.stopped.load(Ordering::SeqCst) && engine.usable().is_ok() {
            let now = clock.now();
            if pause.is_over() && engine.snapshot_is_due(last, now) {
                last = now;
                // The journal keeps all that one which fails would have had.
                let taken = engine.snapshot();
                pause.begin(taken.is_ok() && engine.has_room());
            }
            let mut lock = self.lock.lock();
            if !self.stopped.load(Ordering::SeqCst) {
                self.changed.wait_for(&mut lock, LOOK_EVERY);
            }
        }
    }
}

/// Looks left out after snapshots that failed or made no room: none after the first, then two, four and so on.
#[derive(Default)]
struct Pause {
    left: u32,
    next: u32,
}

impl Pause {
    fn is_over(&mut self) -> bool {
        let is_over = self.left == 0;
        self.left = self.left.saturating_sub(1);
        is_over
    }

    /// After a snapshot, which was of use or not.
    fn begin(&mut self, was_of_use: bool) {
        self.left = if was_of_use { 0 } else { self.next };
        self.next = if was_of_use {
            0
        } else {
            LEFT_OUT_MAX.min(2 * self.next.max(1))
        };
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_a_snapshot_is_of_use() {
        let mut pause = Pause::default();
        let mut looks = |was_of_use| {
            pause.begin(was_of_use);
            1 + (0..).take_while(|_| !pause.is_over()).count()
        };
        // The first that is of no use may be the first of two by which the journal is shortened.
        let pauses: Vec<_> = (0..9).map(|_| looks(false)).collect();
        assert_eq!(pauses, [1, 3, 5, 9, 17, 33, 65, 65, 65]);
        assert_eq!(looks(true), 1);
        assert_eq!(looks(false), 1);
    }
}
