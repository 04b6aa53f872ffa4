//! The JSON form of a [`RetryPolicy`]. Its numbers and durations are bounded by [`RetryPolicy::new`]; what is
//! not even of the right type is told the same bounds.

use std::fmt;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::duration_text::DurationText;
use super::super::retry::{EXPECTED_ATTEMPTS, EXPECTED_JITTER};
use super::{RetryPolicy, ScheduleDataError};
use crate::wire::{Object, ObjectForm, present};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryWire {
    #[serde(default, deserialize_with = "present")]
    attempts: Option<Attempts>,
    #[serde(default, deserialize_with = "initial")]
    initial: Option<DurationText>,
    #[serde(default, deserialize_with = "max")]
    max: Option<DurationText>,
    #[serde(default, deserialize_with = "present")]
    jitter: Option<Jitter>,
}

impl ObjectForm for RetryWire {
    const EXPECTED: &'static str = "a retry policy, such as {\"attempts\": 5, \"initial\": \"30s\", \"max\": \"15m\", \"jitter\": 0.2}";
}

impl RetryWire {
    pub(super) fn build(self) -> Result<RetryPolicy, ScheduleDataError> {
        let default = RetryPolicy::DEFAULT;
        let initial = self.initial.map_or(default.initial(), |text| text.0);
        RetryPolicy::new(
            self.attempts.map_or(default.attempts(), |number| number.0),
            initial,
            // Nobody is refused for a cap that nobody wrote.
            self.max.map_or(default.max().max(initial), |text| text.0),
            self.jitter.map_or(default.jitter(), |number| number.0),
        )
    }
}

fn initial<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DurationText>, D::Error> {
    DurationText::deserialize_expecting(
        deserializer,
        "a duration of at least 1ms without years and months, such as 30s or PT30S (a day is 24h)",
    )
    .map(Some)
}

fn max<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DurationText>, D::Error> {
    DurationText::deserialize_expecting(
        deserializer,
        "a duration of at least retry.initial without years and months, such as 15m or PT15M (a day is 24h)",
    )
    .map(Some)
}

struct Attempts(u32);

impl<'de> Deserialize<'de> for Attempts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Attempts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED_ATTEMPTS)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Attempts, E> {
                u32::try_from(number)
                    .map(Attempts)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Attempts, E> {
                u32::try_from(number)
                    .map(Attempts)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }
        }

        deserializer.deserialize_u32(Number)
    }
}

struct Jitter(f64);

impl<'de> Deserialize<'de> for Jitter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Jitter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED_JITTER)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Jitter, E> {
                Ok(Jitter(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Jitter, E> {
                Ok(Jitter(number as f64))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Jitter, E> {
                Ok(Jitter(number as f64))
            }
        }

        deserializer.deserialize_f64(Number)
    }
}

impl<'de> Deserialize<'de> for RetryPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::<RetryWire>::deserialize(deserializer)?
            .0
            .build()
            .map_err(de::Error::custom)
    }
}

impl Serialize for RetryPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written {
            attempts: u32,
            initial: DurationText,
            max: DurationText,
            jitter: f64,
        }

        Written {
            attempts: self.attempts(),
            initial: DurationText(self.initial()),
            max: DurationText(self.max()),
            jitter: self.jitter(),
        }
        .serialize(serializer)
    }
}
