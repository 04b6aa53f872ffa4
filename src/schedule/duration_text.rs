//! Durations as text: jiff's friendly and ISO 8601 forms, in whole milliseconds.

use std::fmt;
use std::time::Duration;

use jiff::fmt::friendly::{Designator, Spacing, SpanPrinter};
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{excerpt, millis_ceil};

/// A duration of whole milliseconds that is written and read as text: `60s`, `1h30m`, `PT15M`, `2 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationText(pub(crate) Duration);

const EXPECTED: &str = "a duration of zero or more without years and months, such as 60s, 1h30m or PT15M (a day is 24h)";

/// Reads a duration as schedule data holds it, in jiff's friendly or ISO 8601 form: `60s`, `1h30m`,
/// `2 days`, `PT15M`. A day is 24 h; fractions of a millisecond round up.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(duewheel::parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(duewheel::parse_duration("P1D"), Ok(Duration::from_secs(86_400)));
/// assert_eq!(duewheel::parse_duration("0.1ms"), Ok(Duration::from_millis(1)));
/// assert_eq!(duewheel::parse_duration("-5s").unwrap_err().value(), "-5s");
/// ```
///
/// # Errors
/// Where the text is no duration (a bare number has no unit and is none), is negative, or has years or months.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    match DurationText::read(text) {
        Some(DurationText(duration)) => Ok(duration),
        None => Err(ParseDurationError {
            value: excerpt(text),
        }),
    }
}

/// A text that is no duration; names the text (cut at some 80 bytes) and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {EXPECTED}")]
pub struct ParseDurationError {
    value: String,
}

impl ParseDurationError {
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

impl DurationText {
    /// Reads a text; `None` where it is no duration, is negative, or has years or months. Fractions of a
    /// millisecond round up.
    pub(crate) fn read(text: &str) -> Option<Self> {
        // The first form holds any number of seconds, the second has days and weeks.
        let signed = text.parse::<SignedDuration>().ok().or_else(|| {
            text.parse::<Span>()
                .ok()?
                .to_duration(SpanRelativeTo::days_are_24_hours())
                .ok()
        })?;
        let duration = Duration::try_from(signed).ok()?;
        Some(Self(Duration::from_millis(millis_ceil(duration))))
    }

    /// Reads a duration that a further check bounds, so that one range is named whatever is wrong.
    pub(super) fn deserialize_expecting<'de, D: Deserializer<'de>>(
        deserializer: D,
        expected: &'static str,
    ) -> Result<Self, D::Error> {
        struct Text(&'static str);

        impl Visitor<'_> for Text {
            type Value = DurationText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<DurationText, E> {
                DurationText::read(text)
                    .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text(expected))
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PRINTER: SpanPrinter = SpanPrinter::new()
            .designator(Designator::Compact)
            .spacing(Spacing::None);
        // 2^64 ms are fewer seconds than an i64 holds.
        let millis = millis_ceil(self.0);
        let duration = Duration::from_millis(millis);
        f.write_str(&PRINTER.unsigned_duration_to_string(&duration))
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize_expecting(deserializer, EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u64> {
        DurationText::read(text).map(|duration| millis_ceil(duration.0))
    }

    #[test]
    fn friendly_and_iso_forms_are_read() {
        let forms = [
            ("60s", 60_000),
            ("1m", 60_000),
            ("PT60S", 60_000),
            ("1h30m", 5_400_000),
            ("1 hour, 30 minutes", 5_400_000),
            ("2 days", 172_800_000),
            ("P1D", 86_400_000),
            ("1w", 604_800_000),
            ("P1DT1H", 90_000_000),
            ("0s", 0),
            ("1.5s", 1500),
            ("250ms", 250),
            ("00:01:30", 90_000),
            ("pt15m", 900_000),
        ];
        for (text, expected) in forms {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn fractions_of_a_millisecond_round_up() {
        assert_eq!(millis("1ns"), Some(1));
        assert_eq!(millis("1000us"), Some(1));
        assert_eq!(millis("1001us"), Some(2));
        assert_eq!(millis("0.0001s"), Some(1));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            " ",
            "60",
            "s",
            "-60s",
            "60s ago",
            "-PT1S",
            "1y",
            "1mo",
            "P1M",
            "P1Y",
            "1 year 1s",
            "1e3s",
            "60s later",
            "999999999999999999999h",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for millis in [
            0,
            1,
            999,
            1000,
            1500,
            60_000,
            900_000,
            3_600_000,
            86_400_001,
            u64::MAX / 2,
            u64::MAX,
        ] {
            let duration = DurationText(Duration::from_millis(millis));
            assert_eq!(
                DurationText::read(&duration.to_string()),
                Some(duration),
                "{duration}"
            );
        }
        assert_eq!(DurationText(Duration::from_secs(900)).to_string(), "15m");
    }
}
