//! What stands beside the processing times: limits, media windows, and what to do when things go otherwise.

use std::time::Duration;

use super::{PointInTime, RetryPolicy};
use crate::ids::{Media, Timestamp, keyword_serde};

/// Everything of schedule data but the times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rules {
    pub(super) not_before: Option<PointInTime>,
    pub(super) not_after: Option<PointInTime>,
    pub(super) media_windows: Vec<MediaWindow>,
    pub(super) threshold_wait: Option<Duration>,
    pub(super) recheck: Duration,
    pub(super) exhausted: ExhaustedRule,
    pub(super) missed: MissedPolicy,
    pub(super) retry: RetryPolicy,
}

pub(super) static DEFAULT_RULES: Rules = Rules::DEFAULT;

impl Rules {
    pub(super) const DEFAULT: Self = Self {
        not_before: None,
        not_after: None,
        media_windows: Vec::new(),
        threshold_wait: None,
        recheck: Duration::from_secs(30),
        exhausted: ExhaustedRule::Release,
        missed: MissedPolicy::Release,
        retry: RetryPolicy::DEFAULT,
    };
}

/// A span of time in which the response is given in one media: `from` inclusive, `until` exclusive.
///
/// # JSON
/// `{"from": <time>, "until": <time>, "media": "sms"}`; all three are required. See [`PointInTime`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaWindow {
    pub(super) from: PointInTime,
    pub(super) until: PointInTime,
    pub(super) media: Media,
}

impl MediaWindow {
    /// The window's first millisecond.
    #[must_use]
    #[inline]
    pub const fn from(&self) -> Timestamp {
        self.from.timestamp()
    }

    /// The first millisecond after the window.
    #[must_use]
    #[inline]
    pub const fn until(&self) -> Timestamp {
        self.until.timestamp()
    }

    /// The media of the response.
    #[must_use]
    #[inline]
    pub const fn media(&self) -> Media {
        self.media
    }

    /// The start as written.
    #[must_use]
    pub const fn from_point(&self) -> &PointInTime {
        &self.from
    }

    /// The end as written.
    #[must_use]
    pub const fn until_point(&self) -> &PointInTime {
        &self.until
    }
}

/// What becomes of a request where the condition of its last processing time does not hold. Default release.
///
/// Serialised as `release`, `expire` or `next_day`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExhaustedRule {
    /// It is released all the same.
    #[default]
    Release,
    /// It ends as expired.
    Expire,
    /// It is tried at the same wall clock the next day, in the zone or offset as written.
    NextDay,
}

/// What becomes of a request found past its time by more than the grace period. Default release.
///
/// Serialised as `release`, `expire` or `next_day`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedPolicy {
    /// It is released now, as the location's pace allows.
    #[default]
    Release,
    /// It ends as expired.
    Expire,
    /// It is tried at the same wall clock the next day, in the zone or offset as written.
    NextDay,
}

macro_rules! release_expire_next_day {
    ($rule:ty) => {
        impl $rule {
            pub(super) const ALL: [Self; 3] = [Self::Release, Self::Expire, Self::NextDay];
            const EXPECTED: &str = "one of release, expire, next_day";

            /// The lower-case name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::Release => "release",
                    Self::Expire => "expire",
                    Self::NextDay => "next_day",
                }
            }
        }

        keyword_serde!($rule);
    };
}

release_expire_next_day!(ExhaustedRule);
release_expire_next_day!(MissedPolicy);
