//! [`ScheduleDataBuilder`]: takes everything, checks it once, and says which field is wrong and why.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duration_text::DurationText;
use super::rules::Rules;
use super::{
    ExhaustedRule, MediaWindow, MissedPolicy, PointInTime, ProcessingCondition, ProcessingTime,
    RetryPolicy, ScheduleData, ScheduleDataError, Times,
};
use crate::ids::{Media, Timestamp, millis_ceil};

/// Builds [`ScheduleData`]; nothing is checked before [`build`](Self::build).
///
/// Durations are held in whole milliseconds; fractions round up.
#[derive(Clone, Debug)]
#[must_use]
pub struct ScheduleDataBuilder {
    times: Vec<ProcessingTime>,
    rules: Rules,
}

/// Longest time between two looks at a condition: a leap year.
pub(super) const RECHECK_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl ScheduleDataBuilder {
    /// Adds an unconditional processing time; after the times added before it.
    pub fn time(self, point: impl Into<PointInTime>) -> Self {
        self.time_if(point, ProcessingCondition::Always)
    }

    /// Adds a processing time with a condition (at most
    /// [`NESTING_MAX`](ProcessingCondition::NESTING_MAX) levels); after the times added before it.
    pub fn time_if(
        mut self,
        point: impl Into<PointInTime>,
        condition: ProcessingCondition,
    ) -> Self {
        self.times.push(ProcessingTime {
            point: point.into(),
            condition,
        });
        self
    }

    /// The request is not processed before this. No time may lie before it.
    pub fn not_before(mut self, point: impl Into<PointInTime>) -> Self {
        self.rules.not_before = Some(point.into());
        self
    }

    /// At this time the request has expired. Every time must lie before it.
    pub fn not_after(mut self, point: impl Into<PointInTime>) -> Self {
        self.rules.not_after = Some(point.into());
        self
    }

    /// Adds a media window: `from` inclusive, `until` exclusive. Windows may be added in any order; no two may
    /// overlap.
    pub fn response_media(
        mut self,
        from: impl Into<PointInTime>,
        until: impl Into<PointInTime>,
        media: Media,
    ) -> Self {
        self.rules.media_windows.push(MediaWindow {
            from: from.into(),
            until: until.into(),
            media,
        });
        self
    }

    /// The expected wait above which the request goes ahead of non-scheduled interactions. Default: never.
    pub fn threshold_wait(mut self, threshold: Duration) -> Self {
        self.rules.threshold_wait = Some(threshold);
        self
    }

    /// How long after a condition did not hold it is looked at again: 1 ms to 366 days, default 30 s.
    pub fn recheck(mut self, recheck: Duration) -> Self {
        self.rules.recheck = recheck;
        self
    }

    /// What happens where the last time's condition does not hold. Default release.
    pub fn exhausted(mut self, rule: ExhaustedRule) -> Self {
        self.rules.exhausted = rule;
        self
    }

    /// What happens where the time passed while nothing ran. Default release.
    pub fn missed(mut self, policy: MissedPolicy) -> Self {
        self.rules.missed = policy;
        self
    }

    /// How failed attempts are repeated. Default: see [`RetryPolicy`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.rules.retry = policy;
        self
    }

    /// Checks everything and builds the schedule.
    ///
    /// # Errors
    /// The first field found wrong, its value, and what was expected: no time; times that do not ascend
    /// strictly; a condition nested too deeply; a not-after that is not after the not-before or the first time; a time before the not-before, or at or
    /// past the not-after; an empty window, or one that overlaps one added before it; a recheck out of range.
    pub fn build(mut self) -> Result<ScheduleData, ScheduleDataError> {
        self.check_times()?;
        self.check_limits()?;
        self.check_windows()?;
        for time in &mut self.times {
            time.condition.round_up();
        }
        let Rules {
            recheck,
            threshold_wait,
            ..
        } = &mut self.rules;
        *recheck = Duration::from_millis(millis_ceil(*recheck));
        *threshold_wait = threshold_wait.map(|wait| Duration::from_millis(millis_ceil(wait)));
        if recheck.is_zero() || *recheck > RECHECK_MAX {
            return Err(ScheduleDataError::new(
                "recheck",
                DurationText(*recheck),
                "a duration from 1ms to 366 days",
            ));
        }
        let times = match <[ProcessingTime; 1]>::try_from(self.times) {
            Ok([time]) => Times::One(time),
            Err(times) => Times::Several(times.into()),
        };
        let rules = (self.rules != Rules::DEFAULT).then(|| Box::new(self.rules));
        Ok(ScheduleData { times, rules })
    }

    fn check_times(&self) -> Result<(), ScheduleDataError> {
        if self.times.is_empty() {
            return Err(ScheduleDataError::new(
                "times",
                "an empty list",
                "at least one processing time",
            ));
        }
        for (index, pair) in self.times.windows(2).enumerate() {
            if pair[1].at() <= pair[0].at() {
                let expected = format!(
                    "a time after times[{index}].at ({}), for times ascend strictly",
                    pair[0].point
                );
                return Err(ScheduleDataError::new(
                    format!("times[{}].at", index + 1),
                    &pair[1].point,
                    expected,
                ));
            }
        }
        let most = ProcessingCondition::NESTING_MAX;
        for (index, time) in self.times.iter().enumerate() {
            if time.condition.nesting(most) > most {
                let value = format!("more than {most} levels of conditions");
                return Err(ScheduleDataError::new(
                    format!("times[{index}].condition"),
                    value,
                    format!("at most {most} levels"),
                ));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), ScheduleDataError> {
        let first = &self.times[0].point;
        if let Some(limit) = &self.rules.not_after {
            if let Some(not_before) = &self.rules.not_before
                && limit.timestamp() <= not_before.timestamp()
            {
                let expected = format!("a time after not_before ({not_before})");
                return Err(ScheduleDataError::new("not_after", limit, expected));
            }
            if limit.timestamp() <= first.timestamp() {
                let expected =
                    format!("a time after the first processing time, times[0].at ({first})");
                return Err(ScheduleDataError::new("not_after", limit, expected));
            }
            if let Some(index) = self
                .times
                .iter()
                .position(|time| time.at() >= limit.timestamp())
            {
                let expected = format!("a time before not_after ({limit})");
                return Err(ScheduleDataError::new(
                    format!("times[{index}].at"),
                    &self.times[index].point,
                    expected,
                ));
            }
        }
        // The times ascend, so the first is the only one to ask.
        if let Some(limit) = &self.rules.not_before
            && first.timestamp() < limit.timestamp()
        {
            return Err(ScheduleDataError::new(
                "times[0].at",
                first,
                format!("a time at or after not_before ({limit})"),
            ));
        }
        Ok(())
    }

    /// Refuses an empty window and the first that overlaps one added before it; sorts them by time.
    fn check_windows(&mut self) -> Result<(), ScheduleDataError> {
        let windows = &mut self.rules.media_windows;
        // The windows looked at so far, by start. None of them overlap, so a further one that overlaps any
        // overlaps a neighbour.
        let mut seen = BTreeMap::<Timestamp, usize>::new();
        for (index, window) in windows.iter().enumerate() {
            let (from, until) = (window.from(), window.until());
            if until <= from {
                return Err(ScheduleDataError::new(
                    format!("response_media[{index}].until"),
                    &window.until,
                    format!("a time after the window's from ({})", window.from),
                ));
            }
            if let Some((_, &before)) = seen.range(..=from).next_back()
                && from < windows[before].until()
            {
                return Err(ScheduleDataError::new(
                    format!("response_media[{index}].from"),
                    &window.from,
                    format!(
                        "a time at or after response_media[{before}].until ({}), for windows do not overlap",
                        windows[before].until
                    ),
                ));
            }
            if let Some((_, &after)) = seen.range(from..).next()
                && windows[after].from() < until
            {
                return Err(ScheduleDataError::new(
                    format!("response_media[{index}].until"),
                    &window.until,
                    format!(
                        "a time at or before response_media[{after}].from ({}), for windows do not overlap",
                        windows[after].from
                    ),
                ));
            }
            seen.insert(from, index);
        }
        windows.sort_unstable_by_key(|window| window.from());
        Ok(())
    }
}

impl Default for ScheduleDataBuilder {
    /// No time yet, and every rule as by default.
    fn default() -> Self {
        Self {
            times: Vec::new(),
            rules: Rules::DEFAULT,
        }
    }
}
