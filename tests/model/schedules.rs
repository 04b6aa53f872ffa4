//! Schedules in the small words of the tests: everything relative to the time of the operation.

use std::time::Duration;

use duewheel::{
    ExhaustedRule, Media, MissedPolicy, PointInTime, ProcessingCondition, RetryPolicy,
    ScheduleData, Timestamp,
};

/// A schedule to be.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The first time, in milliseconds from now; past ones too.
    pub(crate) first_ms: i64,
    /// At the end of time instead.
    pub(crate) far: bool,
    /// Each time's distance from the one before it, in milliseconds, and its condition.
    pub(crate) times: Vec<(u32, u8)>,
    /// The lifespan's end, in milliseconds after the last time.
    pub(crate) not_after_ms: Option<u32>,
    /// The response media's windows, in milliseconds from the first time.
    pub(crate) windows: Option<(u32, u32)>,
    pub(crate) threshold_s: Option<u8>,
    pub(crate) recheck_ms: u32,
    /// Exhausted rule, missed policy, retry policy, zone: one of few each.
    pub(crate) rules: [u8; 4],
}

impl Schedule {
    /// Where the written form shifts the times out of order, the form in UTC.
    pub(crate) fn build(&self, now: Timestamp) -> ScheduleData {
        self.built(now, self.rules[3])
            .or_else(|| self.built(now, 0))
            .unwrap_or_else(|| ScheduleData::at(now))
    }

    fn built(&self, now: Timestamp, zone: u8) -> Option<ScheduleData> {
        let [exhausted, missed, retry, _] = self.rules;
        let shifted = now.as_millis().saturating_add_signed(self.first_ms);
        let first = match self.far {
            true => u64::MAX - 100_000 + shifted % 100_000,
            false => shifted,
        };
        let mut builder = ScheduleData::builder();
        let mut last = first;
        for (at, &(gap_ms, rule)) in self.times.iter().enumerate() {
            if at > 0 {
                last = last.checked_add(u64::from(gap_ms))?;
            }
            builder = builder.time_if(point(last, zone)?, condition(rule));
        }
        if let Some(not_after_ms) = self.not_after_ms {
            let end = last.checked_add(u64::from(not_after_ms))?;
            builder = builder.not_after(point(end, zone)?);
        }
        if let Some((one, other)) = self.windows {
            let from = first.checked_add(u64::from(one))?;
            let until = from.checked_add(u64::from(other))?;
            let last = until.checked_add(u64::from(one))?;
            builder = builder
                .response_media(point(from, zone)?, point(until, zone)?, Media::Sms)
                .response_media(point(until, zone)?, point(last, zone)?, Media::Web);
        }
        if let Some(threshold_s) = self.threshold_s {
            builder = builder.threshold_wait(Duration::from_secs(threshold_s.into()));
        }
        let built = builder
            .recheck(Duration::from_millis(self.recheck_ms.into()))
            .exhausted(match exhausted {
                0 => ExhaustedRule::Release,
                1 => ExhaustedRule::Expire,
                _ => ExhaustedRule::NextDay,
            })
            .missed(match missed {
                0 => MissedPolicy::Release,
                1 => MissedPolicy::Expire,
                _ => MissedPolicy::NextDay,
            })
            .retry(retry_policy(retry))
            .build();
        built.ok()
    }
}

fn retry_policy(number: u8) -> RetryPolicy {
    let seconds = Duration::from_secs;
    let policy = match number {
        0 => return RetryPolicy::default(),
        1 => RetryPolicy::new(1, seconds(1), seconds(1), 0.0),
        _ => RetryPolicy::new(5, seconds(2), seconds(10), 0.0),
    };
    policy.unwrap()
}

fn condition(number: u8) -> ProcessingCondition {
    use ProcessingCondition::{AgentsReady, All, Always, Any, Not, Open, QueueBelow, WaitBelow};
    match number {
        0 => WaitBelow(Duration::from_secs(60)),
        1 => AgentsReady(2),
        2 => QueueBelow(3),
        3 => Open,
        4 => Not(Box::new(Open)),
        5 => All([Open, AgentsReady(1)].into()),
        6 => Any([QueueBelow(1), WaitBelow(Duration::from_secs(5))].into()),
        _ => Always,
    }
}

/// In UTC, at an offset, or in a zone (an hour off in summer).
fn point(millis: u64, zone: u8) -> Option<PointInTime> {
    const TWO_HOURS_MS: u64 = 2 * 3_600 * 1_000;
    let utc = Timestamp::from_millis(millis);
    if zone == 0 {
        return Some(utc.into());
    }
    let clock = Timestamp::from_millis(millis.checked_add(TWO_HOURS_MS)?).to_string();
    let civil = clock.strip_suffix('Z')?;
    match zone {
        1 => PointInTime::rfc3339(&format!("{civil}+02:00")).ok(),
        _ => PointInTime::local(civil, "Asia/Jerusalem").ok(),
    }
}
