//! [`Timestamp`]: the one form of time inside the crate.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{excerpt, rfc3339};

/// A point in time: milliseconds since the Unix epoch (1970-01-01T00:00:00Z), any `u64`.
///
/// # Text
/// Written as RFC 3339 in UTC, `2026-01-05T07:00:00Z`, with milliseconds where there are any; past year 9999
/// as `<n>ms`. Read from RFC 3339 with an offset: fractions of a millisecond round up, a leap second is read
/// as second 59, a time before 1970, or rounded past year 9999, both in UTC, is an error.
///
/// # Serde
/// In human-readable formats the RFC 3339 text, and past year 9999 the number of milliseconds; both are
/// read. In binary formats the number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The last point in time there is, 584 million years on.
    pub const MAX: Self = Self(u64::MAX);

    /// The point this many milliseconds after the epoch.
    #[must_use]
    #[inline]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, a fraction of a millisecond rounded up; at most [`MAX`](Self::MAX).
    #[must_use]
    #[inline]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_ceil(duration)))
    }

    /// This time plus `duration`, a fraction of a millisecond rounded up; `None` past [`MAX`](Self::MAX).
    #[must_use]
    #[inline]
    pub const fn checked_add(self, duration: Duration) -> Option<Self> {
        let millis = whole_millis(duration);
        if millis > u64::MAX as u128 {
            return None;
        }
        match self.0.checked_add(millis as u64) {
            Some(millis) => Some(Self(millis)),
            None => None,
        }
    }

    /// This time less `duration`, a fraction of a millisecond rounded up; at least [`EPOCH`](Self::EPOCH).
    #[must_use]
    #[inline]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_ceil(duration)))
    }

    /// How long after `earlier` this time lies; zero where it does not.
    #[must_use]
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds of a duration, a fraction rounded up, at most `u64::MAX`.
pub(crate) const fn millis_ceil(duration: Duration) -> u64 {
    let millis = whole_millis(duration);
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        millis as u64
    }
}

const fn whole_millis(duration: Duration) -> u128 {
    let fraction = !duration.subsec_nanos().is_multiple_of(1_000_000);
    duration.as_millis() + fraction as u128
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        match rfc3339::civil_at(self.0, 0) {
            Some(civil) => {
                let mut text = String::with_capacity(24);
                rfc3339::write_civil(civil, &mut text)?;
                text.write_char('Z')?;
                f.pad(&text)
            }
            None => f.pad(&format!("{}ms", self.0)),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

const EXPECTED: &str = "an RFC 3339 time with offset, from 1970-01-01T00:00:00Z to the end of year 9999 in UTC, such as 2026-01-05T09:00:00+02:00";

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = rfc3339::parse(text).and_then(|(wall, offset)| wall.at_offset(offset?));
        parsed.map(Self).ok_or_else(|| ParseTimestampError {
            value: excerpt(text),
        })
    }
}

/// A text that is no [`Timestamp`]; names the text (cut at some 80 bytes) and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {EXPECTED}")]
pub struct ParseTimestampError {
    value: String,
}

impl ParseTimestampError {
    /// The text, cut where it is long.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What was expected.
    #[must_use]
    pub fn expected(&self) -> &str {
        EXPECTED
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() && rfc3339::civil_at(self.0, 0).is_some() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(TimestampVisitor)
        } else {
            u64::deserialize(deserializer).map(Self)
        }
    }
}

struct TimestampVisitor;

impl Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Timestamp, E> {
        Ok(Timestamp(millis))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u64> {
        text.parse::<Timestamp>().ok().map(Timestamp::as_millis)
    }

    #[test]
    fn offsets_are_applied() {
        assert_eq!(millis("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(millis("1970-01-01T02:00:01+02:00"), Some(1000));
        assert_eq!(millis("1969-12-31T23:00:00-01:00"), Some(0));
        assert_eq!(
            millis("2026-01-05T07:00:00-00:00"),
            millis("2026-01-05T07:00:00Z")
        );
        // The two letters may be written in lower case, says RFC 3339.
        assert_eq!(
            millis("2026-01-05t07:00:00z"),
            millis("2026-01-05T07:00:00Z")
        );
    }

    #[test]
    fn fractions_of_a_millisecond_round_up() {
        assert_eq!(millis("1970-01-01T00:00:00.001Z"), Some(1));
        assert_eq!(millis("1970-01-01T00:00:00.0010Z"), Some(1));
        assert_eq!(millis("1970-01-01T00:00:00.0011Z"), Some(2));
        assert_eq!(millis("1970-01-01T00:00:00.00000000000000000001Z"), Some(1));
        assert_eq!(millis("1970-01-01T00:00:59.9999Z"), Some(60_000));
        assert_eq!(millis("1970-01-01T00:00:00.5Z"), Some(500));
    }

    #[test]
    fn a_leap_second_is_read_as_second_59_as_jiff_reads_it() {
        assert_eq!(
            millis("2016-12-31T23:59:60Z"),
            millis("2016-12-31T23:59:59Z")
        );
        let jiff: jiff::Timestamp = "2016-12-31T23:59:60Z".parse().unwrap();
        assert_eq!(
            millis("2016-12-31T23:59:60Z"),
            u64::try_from(jiff.as_millisecond()).ok()
        );
    }

    #[test]
    fn the_last_day_of_year_9999_is_read_and_written() {
        for text in [
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999Z",
            "9999-12-30T22:00:01Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!(
            Timestamp::from_millis(rfc3339::LAST_MILLIS).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
        assert_eq!(
            Timestamp::from_millis(rfc3339::LAST_MILLIS + 1).to_string(),
            "253402300800000ms"
        );
        assert_eq!(Timestamp::MAX.to_string(), "18446744073709551615ms");
    }

    #[test]
    fn a_text_past_year_9999_in_utc_is_refused_though_a_number_is_not() {
        for text in [
            "9999-12-31T23:59:59.9991Z",
            "9999-12-31T23:59:59.9995Z",
            "9999-12-31T23:00:00-20:00",
            "9999-12-31T23:59:59.999-00:01",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(
                error.expected().contains("to the end of year 9999 in UTC"),
                "{error}"
            );
        }
        // What rounds up into year 10000 of a clock that runs ahead of UTC has not reached it there.
        assert_eq!(
            millis("9999-12-31T23:59:59.9995+00:01"),
            Some(rfc3339::LAST_MILLIS - 59_999)
        );
        assert_eq!(
            serde_json::from_str::<Timestamp>("253402300800000").unwrap(),
            Timestamp::from_millis(rfc3339::LAST_MILLIS + 1)
        );
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        let wrong = [
            "",
            "2026",
            "2026-01-05",
            "2026-01-05T09:00:00",
            "2026-01-05T09:00Z",
            "2026-01-05 09:00:00Z",
            "20260105T090000Z",
            "2026-01-05T09:00:00+02",
            "2026-01-05T09:00:00+0200",
            "2026-01-05T09:00:00+02:00:00",
            "2026-01-05T09:00:00+02:00[Asia/Jerusalem]",
            "2026-01-05T09:00:00Z[UTC]",
            "2026-01-05T09:00:00.Z",
            "2026-01-05T09:00:00,5Z",
            "2026-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-01-05T24:00:00Z",
            "2026-01-05T09:60:00Z",
            "2026-01-05T09:00:61Z",
            "+02026-01-05T09:00:00Z",
            "2026-01-05T09:00:00+24:00",
            "2026-01-05T09:00:00 Z",
            " 2026-01-05T09:00:00Z",
            "2026-01-05T09:00:00Z ",
            "2026-01-05T09:00:00\u{2212}02:00",
            "-001-01-05T09:00:00Z",
            "2026-01-05T09:00:0\u{661}Z",
        ];
        for text in wrong {
            assert_eq!(
                text.parse::<Timestamp>().unwrap_err().value(),
                text,
                "{text}"
            );
        }
    }

    #[test]
    fn before_1970_is_refused_even_where_rounding_would_reach_it() {
        for text in [
            "1969-12-31T23:59:59Z",
            "1969-12-31T23:59:59.9999Z",
            "1970-01-01T00:00:00+00:01",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn additions_round_up_and_saturate() {
        let one = Timestamp::from_millis(1);
        assert_eq!(one.saturating_add(Duration::from_nanos(1)).as_millis(), 2);
        assert_eq!(one.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(
            Timestamp::MAX.saturating_add(Duration::from_millis(1)),
            Timestamp::MAX
        );
        assert_eq!(Timestamp::MAX.checked_add(Duration::from_nanos(1)), None);
        assert_eq!(Timestamp::EPOCH.checked_add(Duration::MAX), None);
        let just_past = Duration::from_millis(u64::MAX) + Duration::from_nanos(1);
        assert_eq!(Timestamp::EPOCH.checked_add(just_past), None);
        assert_eq!(
            Timestamp::EPOCH.checked_add(Duration::from_millis(u64::MAX)),
            Some(Timestamp::MAX)
        );
        assert_eq!(one.saturating_sub(Duration::from_secs(1)), Timestamp::EPOCH);
        assert_eq!(
            one.saturating_duration_since(Timestamp::MAX),
            Duration::ZERO
        );
        assert_eq!(
            Timestamp::MAX.saturating_duration_since(one),
            Duration::from_millis(u64::MAX - 1)
        );
    }

    #[test]
    fn serde_writes_text_and_beyond_year_9999_the_number() {
        for (time, json) in [
            (Timestamp::EPOCH, "\"1970-01-01T00:00:00Z\""),
            (Timestamp::MAX, "18446744073709551615"),
        ] {
            assert_eq!(serde_json::to_string(&time).unwrap(), json);
            assert_eq!(serde_json::from_str::<Timestamp>(json).unwrap(), time);
        }
    }
}
