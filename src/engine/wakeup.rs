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
