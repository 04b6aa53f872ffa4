//! Schedule data: when, on what condition, until when and by which media a request is to be processed.
//!
//! Time zones end here. Above this floor a time is a [`Timestamp`]; the wall clock it was written as is kept
//! for what asks for it ("the same time the next day") and for what is written back.

mod builder;
mod condition;
mod duration_text;
mod error;
mod json;
mod point_in_time;
mod retry;
mod rules;
mod stored;
#[cfg(test)]
#[allow(dead_code)] // Not all of them are of use in here.
#[path = "../../tests/json_common/strategies.rs"]
pub(crate) mod strategies;
mod zones;

use std::time::Duration;

use crate::ids::{Media, Timestamp};

pub use builder::ScheduleDataBuilder;
pub use condition::{Consultation, ProcessingCondition};
pub use duration_text::{ParseDurationError, parse_duration};
pub use error::ScheduleDataError;
pub(crate) use json::{EXPECTED_NESTING, ScheduleWire};
pub(crate) use point_in_time::Written;
pub use point_in_time::{PointInTime, PointInTimeError};
pub use retry::RetryPolicy;
use rules::{DEFAULT_RULES, Rules};
pub use rules::{ExhaustedRule, MediaWindow, MissedPolicy};

/// A processing time and the condition under which the request is released there.
///
/// # JSON
/// `{"at": <time>, "condition": <condition>}`; without a condition, always. See [`PointInTime`] and
/// [`ProcessingCondition`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessingTime {
    point: PointInTime,
    condition: ProcessingCondition,
}

impl ProcessingTime {
    /// When.
    #[must_use]
    #[inline]
    pub const fn at(&self) -> Timestamp {
        self.point.timestamp()
    }

    /// When, as written.
    #[must_use]
    pub const fn point(&self) -> &PointInTime {
        &self.point
    }

    /// On what condition.
    #[must_use]
    pub const fn condition(&self) -> &ProcessingCondition {
        &self.condition
    }
}

/// A request's schedule: one or more processing times, and the rules around them. Valid by construction.
///
/// 48 bytes; one unconditional time with everything else default allocates nothing.
///
/// # Rules
/// - The times ascend strictly.
/// - The request is not released before `not_before`, and has expired at `not_after`; every time lies from
///   the one to before the other.
/// - Inside a media window (`from` inclusive, `until` exclusive) the window's media answers, outside every
///   window the request's own. Windows are given in any order, kept in order of time, and do not overlap.
///   A window never delays a release.
/// - Where the expected wait at release exceeds the threshold wait time, the request goes ahead of
///   non-scheduled interactions.
/// - A time whose condition does not hold is looked at again every `recheck` (1 ms to 366 days) until the
///   next time; where the last time's condition does not hold, the exhausted rule says what becomes of the request.
///
/// # JSON
/// ```
/// # let json = r#"
/// {"times": [{"at": "2026-01-05T09:00:00+02:00", "condition": {"wait_below": "60s"}},
///            {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}],
///  "not_before": "2026-01-05T08:30:00+02:00", "not_after": "2026-01-05T23:00:00+02:00",
///  "response_media": [{"from": "2026-01-05T22:00:00+02:00", "until": "2026-01-05T23:00:00+02:00", "media": "sms"}],
///  "threshold_wait": "120s", "recheck": "30s", "exhausted": "release", "missed": "release",
///  "retry": {"attempts": 5, "initial": "30s", "max": "15m", "jitter": 0.2}}
/// # "#;
/// # let schedule: duewheel::ScheduleData = serde_json::from_str(json).unwrap();
/// # assert_eq!(schedule.times().len(), 2);
/// ```
/// Only `times` is required. Defaults: recheck 30 s, exhausted release, missed release, retry 3 attempts,
/// 30 s doubling to 15 min (or to `initial`, where that is longer), jitter 0; no not-before, not-after, window
/// or threshold.
/// Durations are strings in jiff's friendly or ISO 8601 form, a day being 24 h. Unknown fields, fields twice and
/// `null` are errors. What is written has its defaults written out. The form needs a self-describing format.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleData {
    times: Times,
    /// `None` where all are default, so that equal schedules have equal fields.
    rules: Option<Box<Rules>>,
}

/// The one time of most requests lies in the schedule itself.
#[derive(Clone, Debug, PartialEq)]
enum Times {
    One(ProcessingTime),
    Several(Box<[ProcessingTime]>),
}

impl ScheduleData {
    /// One unconditional processing time, all else default.
    #[must_use]
    pub fn at(point: impl Into<PointInTime>) -> Self {
        let time = ProcessingTime {
            point: point.into(),
            condition: ProcessingCondition::Always,
        };
        Self {
            times: Times::One(time),
            rules: None,
        }
    }

    /// A builder without any time.
    pub fn builder() -> ScheduleDataBuilder {
        ScheduleDataBuilder::default()
    }

    /// The processing times, ascending; at least one.
    #[must_use]
    #[inline]
    pub fn times(&self) -> &[ProcessingTime] {
        match &self.times {
            Times::One(time) => std::slice::from_ref(time),
            Times::Several(times) => times,
        }
    }

    /// Before this the request is not processed.
    #[must_use]
    #[inline]
    pub fn not_before(&self) -> Option<Timestamp> {
        self.rules().not_before.as_ref().map(PointInTime::timestamp)
    }

    /// At this time, and after it, the request has expired.
    #[must_use]
    #[inline]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.rules().not_after.as_ref().map(PointInTime::timestamp)
    }

    /// The media windows, in order of time whatever order they were given in, without overlap.
    #[must_use]
    pub fn media_windows(&self) -> &[MediaWindow] {
        &self.rules().media_windows
    }

    /// The media of the window that `at` lies in; `None` outside every window, where the request's own
    /// media answers.
    #[must_use]
    pub fn response_media_at(&self, at: Timestamp) -> Option<Media> {
        let windows = self.media_windows();
        let ended = windows.partition_point(|window| window.until() <= at);
        windows
            .get(ended)
            .filter(|window| window.from() <= at)
            .map(MediaWindow::media)
    }

    /// The expected wait above which the request goes ahead of non-scheduled interactions.
    #[must_use]
    #[inline]
    pub fn threshold_wait(&self) -> Option<Duration> {
        self.rules().threshold_wait
    }

    /// How long after a condition did not hold it is looked at again: 1 ms to 366 days.
    #[must_use]
    #[inline]
    pub fn recheck(&self) -> Duration {
        self.rules().recheck
    }

    /// What becomes of the request where the last time's condition does not hold.
    #[must_use]
    #[inline]
    pub fn exhausted(&self) -> ExhaustedRule {
        self.rules().exhausted
    }

    /// What becomes of the request where its time passed while nothing ran.
    #[must_use]
    #[inline]
    pub fn missed(&self) -> MissedPolicy {
        self.rules().missed
    }

    /// How failed attempts are repeated.
    #[must_use]
    #[inline]
    pub fn retry(&self) -> &RetryPolicy {
        &self.rules().retry
    }

    /// This schedule some days later: every time keeps its wall clock, in its zone or offset as written, and
    /// moves by the same number of days, the least (but at least one) that brings `times()[index]` past
    /// `now`.
    ///
    /// Not-before, not-after and windows stay where they are, so a moved time may lie at or past the
    /// not-after (the request then expires before it). Times stay in order; across a DST change two of them may coincide.
    /// `None` where there is no such time, or a moved time cannot be represented.
    #[must_use]
    pub fn next_day(&self, index: usize, now: Timestamp) -> Option<Self> {
        const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;
        let anchor = &self.times().get(index)?.point;
        // A wall clock's days are within a day or two of 24 h each in sum, whatever a zone did meanwhile
        // (Samoa left out a day), so the search starts a little early and is short.
        let whole_days = now
            .as_millis()
            .saturating_sub(anchor.timestamp().as_millis())
            / DAY_MILLIS;
        let first = u32::try_from(whole_days.saturating_sub(2)).ok()?.max(1);
        let days = (first..=first.saturating_add(5)).find(|&days| {
            anchor
                .days_later(days)
                .is_none_or(|moved| moved.timestamp() > now)
        })?;
        let moved = |time: &ProcessingTime| {
            Some(ProcessingTime {
                point: time.point.days_later(days)?,
                condition: time.condition.clone(),
            })
        };
        let times = match &self.times {
            Times::One(time) => Times::One(moved(time)?),
            Times::Several(times) => {
                let mut times = times.iter().map(moved).collect::<Option<Box<[_]>>>()?;
                times.sort_by_key(ProcessingTime::at);
                Times::Several(times)
            }
        };
        Some(Self {
            times,
            rules: self.rules.clone(),
        })
    }

    /// The time and its offset from UTC in seconds, where that is all there is to the schedule: one
    /// unconditional time, written in UTC or at an offset, everything else default.
    pub(crate) fn plain(&self) -> Option<(Timestamp, i32)> {
        let Times::One(time) = &self.times else {
            return None;
        };
        if self.rules.is_some() || time.condition != ProcessingCondition::Always {
            return None;
        }
        Some((time.at(), time.point.fixed_offset()?))
    }

    /// The schedule that [`plain`](Self::plain) took apart.
    pub(crate) fn from_plain(at: Timestamp, offset: i32) -> Self {
        Self::at(PointInTime::from_fixed_offset(at, offset))
    }

    /// Whether [`plain`](Self::plain) may have given these two.
    pub(crate) fn can_be_plain(at: Timestamp, offset: i32) -> bool {
        PointInTime::checked_fixed_offset(at, offset).is_some()
    }

    /// The not-before as written.
    pub(crate) fn not_before_point(&self) -> Option<&PointInTime> {
        self.rules().not_before.as_ref()
    }

    /// The not-after as written.
    pub(crate) fn not_after_point(&self) -> Option<&PointInTime> {
        self.rules().not_after.as_ref()
    }

    /// Whether all but the times is default.
    pub(crate) fn has_default_rules(&self) -> bool {
        self.rules.is_none()
    }

    #[inline]
    fn rules(&self) -> &Rules {
        self.rules.as_deref().unwrap_or(&DEFAULT_RULES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_schedule_is_put_together_again_as_it_was() {
        let plain = |json: &str| {
            let schedule: ScheduleData = serde_json::from_str(json).unwrap();
            let parts = schedule.plain();
            assert!(
                parts.is_none_or(|(at, offset)| schedule == ScheduleData::from_plain(at, offset))
            );
            parts.map(|(_, offset)| offset)
        };
        assert_eq!(
            plain(r#"{"times": [{"at": "2026-01-05T09:00:00Z"}]}"#),
            Some(0)
        );
        assert_eq!(
            plain(r#"{"times": [{"at": "2026-01-05T09:00:00-11:30"}]}"#),
            Some(-41_400)
        );
        let zone =
            r#"{"times": [{"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}]}"#;
        assert_eq!(plain(zone), None);
        let more = r#"{"times": [{"at": "2026-01-05T09:00:00Z"}], "threshold_wait": "1s"}"#;
        assert_eq!(plain(more), None);
        let conditional = r#"{"times": [{"at": "2026-01-05T09:00:00Z", "condition": "open"}]}"#;
        assert_eq!(plain(conditional), None);
    }

    /// Millions of these are pending: see the type's doc.
    #[test]
    fn sizes_are_as_documented() {
        assert_eq!(size_of::<PointInTime>(), 16);
        assert_eq!(size_of::<ScheduleData>(), 48);
    }
}
