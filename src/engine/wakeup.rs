//! How a sleeping driver learns that something is due earlier than it thought.
//!
//! The driver publishes the time it means to sleep until, looks at the shards once more, and sleeps. An
//! intake publishes its shard's next event and then looks at the driver's time. Both use `SeqCst`, so that
//! at least one of them sees the other: no sleep goes past an earlier due time. An intake that is due no
//! earlier than the published time wakes nobody and takes no lock.

use std::time::Duration;

use crate::ids::Timestamp;
use crate::sync::{AtomicBool, AtomicU64, Condvar, Mutex, Ordering};

/// Published while nobody sleeps: nothing is due before it.
const AWAKE: u64 = 0;

/// The driver's bell.
#[derive(Default)]
pub(super) struct Wakeup {
    sleeping_until: AtomicU64,
    /// The sleeper also waits for an attempt to end, or to be taken from the workers' queue.
    ends_matter: AtomicBool,
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wakeup {
    /// Something will be due at `due`: wakes a driver that means to sleep past it.
    pub(super) fn notify_due(&self, due: Timestamp) {
        if due.as_millis() < self.sleeping_until.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// An attempt ended, or left the workers' queue: wakes a driver that waits for that.
    pub(super) fn notify_end(&self) {
        if self.ends_matter.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Wakes the driver, whatever it waits for.
    pub(super) fn ring(&self) {
        *self.rung.lock() = true;
        self.bell.notify_all();
    }

    /// Sleeps until rung, at most `timeout`. `until` is the time that the sleeper means to sleep to;
    /// `ends_matter`: it is to be woken when an attempt ends. `recheck` is asked once both were
    /// published: whether to sleep at all.
    pub(super) fn sleep(
        &self,
        until: Timestamp,
        ends_matter: bool,
        timeout: Duration,
        recheck: impl FnOnce() -> bool,
    ) {
        self.sleeping_until
            .store(until.as_millis(), Ordering::SeqCst);
        self.ends_matter.store(ends_matter, Ordering::SeqCst);
        if recheck() {
            let mut rung = self.rung.lock();
            if !*rung {
                self.bell.wait_for(&mut rung, timeout);
            }
        }
        self.sleeping_until.store(AWAKE, Ordering::SeqCst);
        self.ends_matter.store(false, Ordering::SeqCst);
        *self.rung.lock() = false;
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::sync::Arc;

    const LONG: Duration = Duration::from_secs(3_600);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// Sleeps in a thread of its own, and returns when that sleeper has published its time.
    fn sleeper(wakeup: &Arc<Wakeup>, ends_matter: bool) -> thread::JoinHandle<()> {
        let sleeping = Arc::clone(wakeup);
        let thread = thread::spawn(move || sleeping.sleep(at(100), ends_matter, LONG, || true));
        while wakeup.sleeping_until.load(Ordering::SeqCst) == AWAKE
            || wakeup.ends_matter.load(Ordering::SeqCst) != ends_matter
        {
            thread::yield_now();
        }
        thread
    }

    // Each of these hangs where the sleeper is not woken.

    #[test]
    fn what_is_due_earlier_wakes_and_what_is_due_later_does_not() {
        let wakeup = Arc::new(Wakeup::default());
        let thread = sleeper(&wakeup, false);
        wakeup.notify_due(at(100));
        wakeup.notify_due(at(500));
        wakeup.notify_end();
        assert!(!*wakeup.rung.lock(), "nobody rang");
        wakeup.notify_due(at(99));
        thread.join().unwrap();
    }

    #[test]
    fn an_end_wakes_who_waits_for_ends() {
        let wakeup = Arc::new(Wakeup::default());
        let thread = sleeper(&wakeup, true);
        wakeup.notify_end();
        thread.join().unwrap();
    }

    #[test]
    fn a_ring_before_the_sleep_is_not_lost() {
        let wakeup = Wakeup::default();
        wakeup.ring();
        wakeup.sleep(at(100), false, LONG, || true);
        wakeup.sleep(at(100), false, LONG, || false);
    }

    #[test]
    fn a_ring_between_publishing_and_sleeping_is_not_lost() {
        let wakeup = Wakeup::default();
        wakeup.sleep(at(100), false, LONG, || {
            wakeup.notify_due(at(50));
            true
        });
    }
}
