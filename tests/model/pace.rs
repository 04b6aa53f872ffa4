//! The pace of a location, as the model understands it: releases are at least an interval apart, and who
//! cannot go at once waits in a line.

use duewheel::{Pace, Timestamp};

/// Times in microseconds since the epoch.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) pace: Pace,
    /// When the next release may go.
    free: u128,
}

impl Line {
    /// A pace set anew counts the last release at the former one.
    pub(crate) fn after(pace: Pace, former: Option<Self>) -> Self {
        let mut line = Self { pace, free: 0 };
        if let Some(former) = former.filter(|former| former.free > 0) {
            line.free = former.free - former.interval() + line.interval();
        }
        line
    }

    fn interval(self) -> u128 {
        1_000_000_u128.div_ceil(u128::from(self.pace.releases_per_second()))
    }

    /// The clock stepped back: the next release is an interval away at most.
    pub(crate) fn step_back(&mut self, now: Timestamp) {
        let now_us = u128::from(now.as_millis()) * 1_000;
        self.free = self.free.min(now_us + self.interval());
    }

    /// When the next release may go.
    pub(crate) fn opens(self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.free.div_ceil(1_000)).unwrap_or(u64::MAX))
    }

    /// Lets a release go now, if it may.
    pub(crate) fn goes(&mut self, now: Timestamp) -> bool {
        if self.opens() > now {
            return false;
        }
        // A millisecond's releases may share it, so that a pace above 1000 a second keeps its rate.
        let now_us = u128::from(now.as_millis()) * 1_000;
        self.free = self.free.max(now_us.saturating_sub(999)) + self.interval();
        true
    }
}
