//! Clocks, for those who want duewheel to read one.
//!
//! The engine itself never does: every input takes `now`. A [`Clock`] serves what
//! [`Engine::start`](crate::Engine::start) returns, and adapters.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use crate::ids::Timestamp;
use crate::sync::{Arc, Mutex};

/// What [`Clock::on_change`] calls back.
pub type ClockObserver = Box<dyn Fn() + Send + Sync>;

/// A source of the present time. It may step back or jump ahead; the engine keeps its promises by the
/// time it is told.
pub trait Clock: Send + Sync {
    /// The present time.
    fn now(&self) -> Timestamp;

    /// How long a thread may sleep, in real time, before this clock shows `until`. `None` where real
    /// time does not move this clock: the sleeper then waits for [`on_change`](Self::on_change).
    fn real_time_until(&self, until: Timestamp) -> Option<Duration> {
        Some(until.saturating_duration_since(self.now()))
    }

    /// Registers a callback for clocks that are moved by hand, called after each move, with no lock held.
    /// It stays as long as the clock does. Clocks that run by themselves ignore it, which is the default.
    fn on_change(&self, observer: ClockObserver) {
        drop(observer);
    }
}

/// The operating system's wall clock, in whole milliseconds rounded down (so that nothing is early). A
/// time before 1970 reads as the epoch.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn real_time_until(&self, until: Timestamp) -> Option<Duration> {
        // From the time to the nanosecond: from the millisecond's beginning it would be half of one too long,
        // on average, and whoever sleeps for that long as much late.
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Some(Duration::from_millis(until.as_millis()).saturating_sub(since_epoch))
    }
}

/// A clock that moves only when told, in either direction: for tests, simulations and replays.
#[derive(Default)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
    /// Copied when one is added, which is rare, so that they are called without the lock.
    observers: Mutex<Arc<[Arc<ClockObserver>]>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            now: Mutex::new(now),
            observers: Mutex::default(),
        }
    }

    /// Shows `now` from here on, earlier than before or later, and calls the observers on this thread.
    pub fn set(&self, now: Timestamp) {
        *self.now.lock() = now;
        self.notify();
    }

    /// Moves the clock ahead by `by`, rounded up to the millisecond, and returns what it shows then.
    pub fn advance(&self, by: Duration) -> Timestamp {
        let now = {
            let mut now = self.now.lock();
            *now = now.saturating_add(by);
            *now
        };
        self.notify();
        now
    }

    fn notify(&self) {
        let observers = Arc::clone(&self.observers.lock());
        for observer in &*observers {
            observer();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock()
    }

    fn real_time_until(&self, until: Timestamp) -> Option<Duration> {
        (until <= self.now()).then_some(Duration::ZERO)
    }

    fn on_change(&self, observer: ClockObserver) {
        let mut observers = self.observers.lock();
        *observers = observers
            .iter()
            .cloned()
            .chain([Arc::new(observer)])
            .collect();
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

/// Measures how long a recovery takes, for its report. The engine decides nothing by it: it is here because no other
/// module may read real time.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, AtomicUsize, Ordering};

    #[test]
    fn manual_clock_moves_both_ways_and_says_so() {
        let clock = ManualClock::new(Timestamp::from_millis(1_000));
        let moves = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&moves);
        clock.on_change(Box::new(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(
            clock.advance(Duration::from_micros(1_500)),
            Timestamp::from_millis(1_002)
        );
        clock.set(Timestamp::from_millis(5));
        assert_eq!(clock.now(), Timestamp::from_millis(5));
        assert_eq!(moves.load(Ordering::Relaxed), 2);
        assert_eq!(clock.real_time_until(Timestamp::from_millis(6)), None);
    }

    #[test]
    fn a_sleep_until_a_millisecond_does_not_count_the_part_of_this_one_that_is_over() {
        let clock = SystemClock;
        let mut shorter = 0;
        for _ in 0..1_000 {
            let until = clock.now().saturating_add(Duration::from_secs(3_600));
            let wait = clock.real_time_until(until).unwrap();
            let end = SystemTime::now() + wait;
            let due = SystemTime::UNIX_EPOCH + Duration::from_millis(until.as_millis());
            assert!(end >= due, "never early");
            shorter += u32::from(!wait.subsec_nanos().is_multiple_of(1_000_000));
        }
        assert!(shorter > 0, "every wait was of whole milliseconds");
        assert_eq!(
            clock.real_time_until(Timestamp::EPOCH),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn system_clock_is_past_2020() {
        assert!(SystemClock.now() > Timestamp::from_millis(1_577_836_800_000));
    }
}
