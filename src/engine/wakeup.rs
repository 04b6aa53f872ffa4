//! How a sleeping driver learns that something is due earlier than it thought.
//!
//! The driver publishes the time it means to sleep until, looks at the shards once more, and sleeps. An
//! intake publishes its shard's next event and then looks at the driver's time. Both use `SeqCst`, so that
//! at least one of them sees the other: no sleep goes past an earlier due time. An intake that is due no
//! earlier than the published time wakes nobody and takes no lock.
//!
//! One driver sleeps at a time, by its [`Ticket`]. One that was stopped and left behind may come back while
//! the next one sleeps: its ticket is no longer good, and what the next one published stays.
//!
//! The sleeper is a thread, which waits on a condition variable, or a task, which leaves its waker.

use std::task::Waker;
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
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    rung: bool,
    /// The ticket that is good.
    ticket: u64,
    /// The sleeping task's.
    waker: Option<Waker>,
}

/// The right to sleep by this bell, good until the next driver takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Wakeup {
    /// A new driver's ticket; former ones are no longer good.
    pub(super) fn take_over(&self) -> Ticket {
        let mut state = self.state.lock();
        state.ticket += 1;
        let ticket = Ticket(state.ticket);
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        ticket
    }

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
        let mut state = self.state.lock();
        state.rung = true;
        let waker = state.waker.take();
        drop(state);
        self.bell.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Publishes that a driver means to sleep until `until`; `ends_matter`: it is to be woken when an attempt
    /// ends. It must look once more before it does sleep. `None` for a ticket that is no longer good.
    pub(super) fn lie_down(
        &self,
        ticket: Ticket,
        until: Timestamp,
        ends_matter: bool,
    ) -> Option<Sleep<'_>> {
        let state = self.state.lock();
        if state.ticket != ticket.0 {
            return None;
        }
        self.sleeping_until
            .store(until.as_millis(), Ordering::SeqCst);
        self.ends_matter.store(ends_matter, Ordering::SeqCst);
        drop(state);
        Some(Sleep {
            wakeup: self,
            ticket,
        })
    }
}

/// Where a driver lies down. Dropping it is getting up.
pub(super) struct Sleep<'a> {
    wakeup: &'a Wakeup,
    ticket: Ticket,
}

impl Sleep<'_> {
    /// Waits until rung, at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let mut state = self.wakeup.state.lock();
        if !state.rung && state.ticket == self.ticket.0 {
            self.wakeup.bell.wait_for(&mut state, timeout);
        }
    }

    /// Whether it was rung; where it was not, this waker is woken when it is.
    #[cfg(any(feature = "tokio", test))]
    pub(super) fn is_rung(&self, waker: &Waker) -> bool {
        let mut state = self.wakeup.state.lock();
        if state.rung || state.ticket != self.ticket.0 {
            return true;
        }
        let replaced = match &state.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => state.waker.replace(waker.clone()),
        };
        drop(state);
        drop(replaced);
        false
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        let mut state = self.wakeup.state.lock();
        if state.ticket != self.ticket.0 {
            return;
        }
        self.wakeup.sleeping_until.store(AWAKE, Ordering::SeqCst);
        self.wakeup.ends_matter.store(false, Ordering::SeqCst);
        state.rung = false;
        let waker = state.waker.take();
        drop(state);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
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
        let ticket = wakeup.take_over();
        let thread = thread::spawn(move || {
            let sleep = sleeping.lie_down(ticket, at(100), ends_matter).unwrap();
            sleep.wait(LONG);
        });
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
        assert!(!wakeup.state.lock().rung, "nobody rang");
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
        let ticket = wakeup.take_over();
        wakeup.ring();
        wakeup.lie_down(ticket, at(100), false).unwrap().wait(LONG);
    }

    #[test]
    fn a_ring_between_publishing_and_sleeping_is_not_lost() {
        let wakeup = Wakeup::default();
        let ticket = wakeup.take_over();
        let sleep = wakeup.lie_down(ticket, at(100), false).unwrap();
        wakeup.notify_due(at(50));
        sleep.wait(LONG);
    }

    #[test]
    fn a_driver_left_behind_does_not_hide_the_next_ones_sleep() {
        let wakeup = Wakeup::default();
        let former = wakeup.take_over();
        let left_behind = wakeup.lie_down(former, at(900), true).unwrap();
        let ticket = wakeup.take_over();
        let sleep = wakeup.lie_down(ticket, at(100), false).unwrap();
        // Its ticket is no longer good: it waits for nothing, and what it had published is gone.
        left_behind.wait(LONG);
        drop(left_behind);
        assert!(wakeup.lie_down(former, at(900), true).is_none());
        wakeup.notify_due(at(50));
        sleep.wait(LONG);
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_is_woken_as_a_thread_is_and_no_longer_once_it_is_up() {
        let wakeup = Wakeup::default();
        let ticket = wakeup.take_over();
        let woken = std::sync::Arc::new(Count::default());
        let waker = Waker::from(std::sync::Arc::clone(&woken));
        let count = || woken.0.load(Ordering::SeqCst);

        let sleep = wakeup.lie_down(ticket, at(100), false).unwrap();
        assert!(!sleep.is_rung(&waker));
        wakeup.notify_due(at(100));
        wakeup.notify_end();
        assert_eq!(count(), 0, "due no earlier, and ends do not matter");
        wakeup.notify_due(at(99));
        assert_eq!(count(), 1);
        assert!(sleep.is_rung(&waker));
        drop(sleep);

        let sleep = wakeup.lie_down(ticket, at(100), false).unwrap();
        assert!(!sleep.is_rung(&waker), "the ring was for the last sleep");
        drop(sleep);
        wakeup.ring();
        assert_eq!(count(), 1, "nobody sleeps");
    }
}
