//! Lateness: from when a request became releasable until it was released.
//!
//! A request becomes releasable at its processing time (or its intake, where that was later), and again
//! when a recheck or a retry is due. Waiting for a condition or a backoff is therefore not lateness; a
//! stalled poll, a used-up budget, a hold, a pace and a full dispatch queue are.

use std::hint::black_box;
use std::time::Duration;

use hashbrown::HashMap;
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};

use crate::ids::LocationId;

/// A distribution of lateness, in milliseconds, exact to two significant digits (the maximum is exact).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lateness {
    /// Releases counted.
    pub count: u64,
    /// The median.
    pub p50_ms: u64,
    /// The 90th percentile.
    pub p90_ms: u64,
    /// The 99th percentile.
    pub p99_ms: u64,
    /// The 99.9th percentile.
    pub p999_ms: u64,
    /// The largest.
    pub max_ms: u64,
}

/// Lateness by location and over all.
pub(crate) struct LatenessBook {
    all: Recorder<u64>,
    by_location: HashMap<LocationId, Recorder<u32>>,
}

impl Default for LatenessBook {
    fn default() -> Self {
        Self {
            all: Recorder::new(),
            by_location: HashMap::new(),
        }
    }
}

impl LatenessBook {
    /// O(releases), amortised: a histogram grows with the logarithm of the largest value it has seen.
    pub(crate) fn record_all(&mut self, releases: &[(LocationId, Duration)]) {
        // Loaded first, so that the waits for memory overlap: each location has counters of its own.
        let touched = releases.iter().map(|(location, late)| {
            let recorder = self.by_location.get(location);
            recorder.map_or(0, |recorder| recorder.touch(*late))
        });
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
        for &(location, late) in releases {
            let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
            self.all.record(late_ms);
            self.by_location
                .entry(location)
                .or_insert_with(Recorder::new)
                .record(late_ms);
        }
    }

    pub(crate) fn all(&self) -> Lateness {
        self.all.summary()
    }

    pub(crate) fn of(&self, location: LocationId) -> Lateness {
        self.by_location
            .get(&location)
            .map_or_else(Lateness::default, Recorder::summary)
    }
}

/// A location's counters are narrow, because there may be many locations; a full one stays full.
struct Recorder<C: Counter> {
    histogram: Histogram<C>,
    /// The histogram rounds; the maximum is kept as it was.
    max_ms: u64,
}

impl<C: Counter> Recorder<C> {
    fn new() -> Self {
        // Two digits: 256 counters for the first 255 ms, then 128 for each doubling.
        let histogram = Histogram::new(2).expect("two significant digits are within 0 to 5");
        Self {
            histogram,
            max_ms: 0,
        }
    }

    /// Loads the counter of a lateness into the cache. The result means nothing.
    #[inline]
    fn touch(&self, late: Duration) -> u64 {
        let late_ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.histogram.count_at(late_ms).as_u64() ^ self.max_ms
    }

    fn record(&mut self, late_ms: u64) {
        self.max_ms = self.max_ms.max(late_ms);
        // The histogram grows to hold whatever is recorded; 2^63 ms is as late as it can tell.
        if self.histogram.record(late_ms).is_err() {
            self.histogram.saturating_record(late_ms);
        }
    }

    fn summary(&self) -> Lateness {
        let at = |quantile| self.histogram.value_at_quantile(quantile).min(self.max_ms);
        Lateness {
            count: self.histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.max_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_two_digits_and_the_maximum_exactly() {
        let mut book = LatenessBook::default();
        let here = LocationId::from_index(3);
        for late_ms in 1..=10_000 {
            book.record_all(&[(here, Duration::from_millis(late_ms))]);
        }
        book.record_all(&[(here, Duration::from_millis(123_457))]);
        let lateness = book.of(here);
        assert_eq!(lateness, book.all());
        assert_eq!(lateness.count, 10_001);
        assert!((4_950..=5_050).contains(&lateness.p50_ms), "{lateness:?}");
        assert!((9_800..=10_100).contains(&lateness.p99_ms), "{lateness:?}");
        assert_eq!(lateness.max_ms, 123_457);
        assert_eq!(book.of(LocationId::from_index(4)), Lateness::default());
    }

    #[test]
    fn the_longest_lateness_there_is_does_not_panic() {
        let mut book = LatenessBook::default();
        book.record_all(&[(LocationId::from_index(0), Duration::MAX)]);
        assert_eq!(book.all().max_ms, u64::MAX);
    }
}
