//! The pace of a location, as the model understands it: who cannot go at once takes the next place in a
//! line; the places are an interval apart, and so are the releases.

use duewheel::{Pace, Timestamp};

/// Times in microseconds since the epoch.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) pace: Pace,
    /// When the next release may go.
    free: u128,
    /// The next place in the line.
    end: u128,
    told: u128,
}

impl Line {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            free: 0,
            end: 0,
            told: 0,
        }
    }

    /// `None`: it goes now. Else the place it is given in the line, which comes in time.
    pub(crate) fn turn(&mut self, now: Timestamp, in_line: bool) -> Option<Timestamp> {
        let interval = 1_000_000_u128.div_ceil(u128::from(self.pace.releases_per_second()));
        let now_us = u128::from(now.as_millis()) * 1_000;
        if now_us < self.told {
            let back = self.told - now_us;
            self.free = self.free.saturating_sub(back);
            self.end = self.end.saturating_sub(back);
        }
        self.told = now_us;
        let waits_for = if in_line {
            self.free
        } else {
            self.free.max(self.end)
        };
        if waits_for <= now_us {
            // A millisecond's releases may share it, so that a pace above 1000 a second keeps its rate.
            self.free = self.free.max(now_us.saturating_sub(999)) + interval;
            return None;
        }
        let place = self.free.max(self.end);
        self.end = place + interval;
        let place_ms = u64::try_from(place.div_ceil(1_000)).unwrap_or(u64::MAX);
        let place = Timestamp::from_millis(place_ms);
        // At the end of time there is no later.
        (place > now).then_some(place)
    }
}
