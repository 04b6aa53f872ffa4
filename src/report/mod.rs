//! The reporting side: what is scheduled, what was routed, how late, and what comes next.
//!
//! Plain data, filled by [`Engine::report`](crate::Engine::report). serde gives it to programs,
//! `Display` as a table to people.

mod lateness;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::sync::Arc;

pub use lateness::Lateness;
pub(crate) use lateness::LatenessBook;

/// What a report covers beside the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ReportOptions {
    /// How far the forecast looks ahead; default 24 h. At least 1 ms.
    pub horizon: Duration,
    /// The width of the forecast's intervals; default 1 h. At least 1 ms; widened where the horizon would
    /// hold more than 10 000 of them.
    pub interval: Duration,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self {
            horizon: Duration::from_secs(24 * 3600),
            interval: Duration::from_secs(3600),
        }
    }
}

/// The state of an engine at one time.
///
/// It is gathered shard by shard while the engine goes on: a request that changes meanwhile is counted as
/// it was or as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The time it was made for.
    pub now: Timestamp,
    /// Requests that have not ended.
    pub pending: u64,
    /// Pending requests by state.
    pub states: BTreeMap<RequestState, u64>,
    /// Requests that ended since the engine started, by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// The same by outcome and reason.
    pub reasons: Vec<ReasonCount>,
    /// How late releases were.
    pub lateness: Lateness,
    /// The pending request that has been due for longest.
    pub oldest_overdue: Option<Overdue>,
    /// How many fall due, and when.
    pub forecast: Forecast,
    /// Ended requests that are remembered.
    pub remembered: u64,
    /// Calls of the router that panicked.
    pub router_panics: u64,
    /// Locations that have or had requests, or are on hold or paced, by name.
    pub locations: Vec<LocationReport>,
}

/// How often an outcome came about for a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// The outcome.
    pub outcome: Outcome,
    /// The reason, where there is more to say than the outcome.
    pub reason: Option<Arc<str>>,
    /// How often.
    pub count: u64,
}

/// A pending request past its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// The request.
    pub id: RequestId,
    /// Its location's name.
    pub location: Arc<str>,
    /// The processing time that passed.
    pub due: Timestamp,
    /// For how long it has been due, in milliseconds.
    pub late_ms: u64,
}

/// How many scheduled requests fall due, interval by interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// The width of an interval, in milliseconds.
    pub interval_ms: u64,
    /// Due already.
    pub overdue: u64,
    /// Requests by interval, the first one from the report's time on; intervals are half-open.
    pub intervals: Vec<u64>,
    /// Due after the last interval.
    pub beyond: u64,
}

impl Forecast {
    pub(crate) fn new(options: &ReportOptions) -> Self {
        const INTERVALS_MAX: u64 = 10_000;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let horizon_ms = millis(options.horizon);
        let interval_ms = millis(options.interval).max(horizon_ms.div_ceil(INTERVALS_MAX));
        let intervals = usize::try_from(horizon_ms.div_ceil(interval_ms)).expect("at most 10 000");
        Self {
            interval_ms,
            overdue: 0,
            intervals: vec![0; intervals],
            beyond: 0,
        }
    }

    pub(crate) fn count(&mut self, now: Timestamp, due: Timestamp) {
        let Some(ahead_ms) = due.as_millis().checked_sub(now.as_millis()) else {
            self.overdue += 1;
            return;
        };
        let interval = usize::try_from(ahead_ms / self.interval_ms).ok();
        match interval.and_then(|interval| self.intervals.get_mut(interval)) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
    }
}

/// One location's part of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocationReport {
    /// Its number.
    pub id: LocationId,
    /// Its name.
    pub location: Arc<str>,
    /// Whether it is on hold.
    pub held: bool,
    /// Its pace, in releases a second.
    pub pace: Option<u32>,
    /// Pending requests by state.
    pub states: BTreeMap<RequestState, u64>,
    /// Requests that ended since the engine started, by outcome.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// How late releases were.
    pub lateness: Lateness,
    /// How many fall due, and when.
    pub forecast: Forecast,
}
