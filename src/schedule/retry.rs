//! [`RetryPolicy`]: how often, and how long after a failed attempt, a request is tried again.

use std::time::Duration;

use super::duration_text::DurationText;
use super::error::ScheduleDataError;
use crate::ids::millis_ceil;

/// Attempts, and an exponential backoff with jitter and a cap between them.
///
/// Default: 3 attempts, 30 s doubling to 15 min, no jitter. Durations are whole milliseconds; fractions
/// round up.
///
/// # JSON
/// `{"attempts": 5, "initial": "30s", "max": "15m", "jitter": 0.2}`; what is left out has its default, that of
/// `max` being 15 min or `initial`, whichever is longer.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    attempts: u32,
    initial: Duration,
    max: Duration,
    jitter: f64,
}

pub(super) const EXPECTED_ATTEMPTS: &str = "an integer from 1 to 1000";
pub(super) const EXPECTED_JITTER: &str = "a number from 0 to 1";

impl RetryPolicy {
    /// The default policy.
    pub(super) const DEFAULT: Self = Self {
        attempts: 3,
        initial: Duration::from_secs(30),
        max: Duration::from_secs(15 * 60),
        jitter: 0.0,
    };

    /// A policy of `attempts` attempts in all (1 to 1000), `initial` (at least 1 ms) after the first failure,
    /// twice as long after each further one but never longer than `max` (at least `initial`), spread evenly over plus and minus
    /// `jitter` (0 to 1, a share of the delay).
    ///
    /// # Errors
    /// Names the value out of its range, by the path it has in schedule data (`retry.attempts`, ...).
    pub fn new(
        attempts: u32,
        initial: Duration,
        max: Duration,
        jitter: f64,
    ) -> Result<Self, ScheduleDataError> {
        if !(1..=1000).contains(&attempts) {
            return Err(ScheduleDataError::new(
                "retry.attempts",
                attempts,
                EXPECTED_ATTEMPTS,
            ));
        }
        let [initial, max] =
            [initial, max].map(|duration| Duration::from_millis(millis_ceil(duration)));
        if initial.is_zero() {
            return Err(ScheduleDataError::new(
                "retry.initial",
                DurationText(initial),
                "a duration of at least 1ms",
            ));
        }
        if max < initial {
            let expected = format!(
                "a duration of at least retry.initial ({})",
                DurationText(initial)
            );
            return Err(ScheduleDataError::new(
                "retry.max",
                DurationText(max),
                expected,
            ));
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(ScheduleDataError::new(
                "retry.jitter",
                jitter,
                EXPECTED_JITTER,
            ));
        }
        // A negative zero would be another number in a fingerprint.
        Ok(Self {
            attempts,
            initial,
            max,
            jitter: jitter.abs(),
        })
    }

    /// Attempts in all, the first included: 1 to 1000.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The delay after the first failure: at least 1 ms.
    #[must_use]
    pub fn initial(&self) -> Duration {
        self.initial
    }

    /// The longest delay.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.max
    }

    /// The share of a delay by which it may be shorter or longer: 0 to 1.
    #[must_use]
    pub fn jitter(&self) -> f64 {
        self.jitter
    }

    /// The delay after the `failures`-th failure (1 for the first; 0 counts as 1), spread by `random`, any number.
    ///
    /// Whole milliseconds from 1 ms to [`max`](Self::max); without jitter the same whatever `random` is.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let (initial, max) = (millis_ceil(self.initial), millis_ceil(self.max));
        let doublings = failures.saturating_sub(1);
        let base = if doublings >= initial.leading_zeros() {
            max
        } else {
            (initial << doublings).min(max)
        };
        // The upper 53 bits make an even number from -1 to 1.
        let share = (random >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        let spread = base as f64 * self.jitter * share;
        let part = spread.abs() as u64;
        let millis = if spread < 0.0 {
            base.saturating_sub(part)
        } else {
            base.saturating_add(part)
        };
        Duration::from_millis(millis.clamp(1, max))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let policy = RetryPolicy::default();
        let delays: Vec<_> = (1..=8)
            .map(|failures| policy.delay(failures, u64::MAX).as_secs())
            .collect();
        assert_eq!(delays, [30, 60, 120, 240, 480, 900, 900, 900]);
        assert_eq!(policy.delay(0, 0), seconds(30));
        assert_eq!(policy.delay(u32::MAX, 0), seconds(900));
    }

    #[test]
    fn jitter_spreads_evenly_on_both_sides() {
        let policy = RetryPolicy::new(3, seconds(100), seconds(1000), 0.2).unwrap();
        assert_eq!(policy.delay(1, 0), seconds(80));
        assert_eq!(policy.delay(1, u64::MAX / 2 + 1), seconds(100));
        let longest = policy.delay(1, u64::MAX);
        assert!(longest > Duration::from_millis(119_998) && longest <= seconds(120));
        let step = u64::MAX / 1000;
        let mean = (0..1000)
            .map(|n| policy.delay(1, n * step).as_millis())
            .sum::<u128>()
            / 1000;
        assert!((99_900..=100_100).contains(&mean), "{mean}");
    }

    #[test]
    fn the_largest_delays_do_not_overflow() {
        let policy = RetryPolicy::new(1000, Duration::MAX, Duration::MAX, 1.0).unwrap();
        assert_eq!(policy.max(), Duration::from_millis(u64::MAX));
        for failures in [0, 1, 2, 63, 64, 65, u32::MAX] {
            for random in [0, 1, u64::MAX / 2, u64::MAX] {
                let delay = policy.delay(failures, random);
                assert!(delay >= Duration::from_millis(1) && delay <= policy.max());
            }
        }
    }

    #[test]
    fn each_value_out_of_range_is_named() {
        let path =
            |result: Result<RetryPolicy, ScheduleDataError>| result.unwrap_err().path().to_owned();
        assert_eq!(
            path(RetryPolicy::new(0, seconds(1), seconds(1), 0.0)),
            "retry.attempts"
        );
        assert_eq!(
            path(RetryPolicy::new(1001, seconds(1), seconds(1), 0.0)),
            "retry.attempts"
        );
        assert_eq!(
            path(RetryPolicy::new(1, Duration::ZERO, seconds(1), 0.0)),
            "retry.initial"
        );
        assert_eq!(
            path(RetryPolicy::new(1, seconds(2), seconds(1), 0.0)),
            "retry.max"
        );
        for jitter in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(
                path(RetryPolicy::new(1, seconds(1), seconds(1), jitter)),
                "retry.jitter"
            );
        }
    }
}
