//! [`RequestId`]: the caller's own name for a request, and the key under which it is indexed.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::excerpt;

/// A request's identification: an unsigned integer of up to 128 bits, or a UUID. The two never collide.
///
/// # Text
/// An integer is written in plain decimal, a UUID in lower case with hyphens. Read are: decimal digits alone
/// (leading zeros are fine, so `12` and `012` are one id) up to 2^128-1, and a UUID of 36 characters with
/// hyphens in either case. Anything else is an error: an empty text, a sign, spaces, 32 hexadecimal digits
/// without hyphens.
///
/// # Serde
/// Written as that text; read from that text or from an unsigned integer up to 2^64-1. Binary formats hold
/// the form and the 128 bits.
///
/// # Order
/// Integers by value, then UUIDs by value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    form: Form,
    /// High and low half: a `u128` would ask for an alignment of 16 bytes, and 8 bytes more in each entry.
    halves: [u64; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Integer,
    Uuid,
}

/// What a [`RequestId`] may be read from, in the words of an error message.
const EXPECTED: &str = "a UUID with hyphens, or an unsigned decimal integer (a number up to 2^64-1, a string of digits up to 2^128-1)";

impl RequestId {
    /// The id that is this integer.
    #[must_use]
    #[inline]
    pub const fn integer(value: u128) -> Self {
        Self {
            form: Form::Integer,
            halves: [(value >> 64) as u64, value as u64],
        }
    }

    /// The id that is the UUID with these bits (as of [`uuid::Uuid::as_u128`](https://docs.rs/uuid)).
    #[must_use]
    #[inline]
    pub const fn uuid(bits: u128) -> Self {
        Self {
            form: Form::Uuid,
            halves: [(bits >> 64) as u64, bits as u64],
        }
    }

    /// Whether this is a UUID; otherwise it is an integer.
    #[must_use]
    #[inline]
    pub const fn is_uuid(&self) -> bool {
        matches!(self.form, Form::Uuid)
    }

    /// The integer, or the UUID's bits.
    #[must_use]
    #[inline]
    pub const fn value(&self) -> u128 {
        (self.halves[0] as u128) << 64 | self.halves[1] as u128
    }
}

impl From<u64> for RequestId {
    #[inline]
    fn from(value: u64) -> Self {
        Self::integer(u128::from(value))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Integer => fmt::Display::fmt(&self.value(), f),
            Form::Uuid => {
                let mut buffer = uuid::Uuid::encode_buffer();
                f.pad(
                    uuid::Uuid::from_u128(self.value())
                        .hyphenated()
                        .encode_lower(&mut buffer),
                )
            }
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

impl FromStr for RequestId {
    type Err = ParseRequestIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseRequestIdError {
            value: excerpt(text),
        };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::integer).map_err(|_| error());
        }
        // The length alone tells the hyphenated form from the braced, the URN and the plain one.
        if text.len() == 36 {
            return uuid::Uuid::try_parse(text)
                .map(|uuid| Self::uuid(uuid.as_u128()))
                .map_err(|_| error());
        }
        Err(error())
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            (self.is_uuid(), self.value()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(IdVisitor);
        }
        let (is_uuid, value) = <(bool, u128)>::deserialize(deserializer)?;
        Ok(if is_uuid {
            Self::uuid(value)
        } else {
            Self::integer(value)
        })
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = RequestId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<RequestId, E> {
        Ok(RequestId::from(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RequestId, E> {
        text.parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// A text that is no [`RequestId`]; names the text (cut at some 80 bytes) and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {EXPECTED}")]
pub struct ParseRequestIdError {
    value: String,
}

impl ParseRequestIdError {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_do_not_make_another_id() {
        let twelve = RequestId::integer(12);
        assert_eq!("12".parse(), Ok(twelve));
        assert_eq!("012".parse(), Ok(twelve));
        assert_eq!(serde_json::from_str::<RequestId>("12").unwrap(), twelve);
        assert_eq!(
            serde_json::from_str::<RequestId>("\"012\"").unwrap(),
            twelve
        );
        assert_eq!(serde_json::to_string(&twelve).unwrap(), "\"12\"");
    }

    #[test]
    fn integers_reach_128_bits_in_a_string_and_64_in_a_number() {
        let text = u128::MAX.to_string();
        assert_eq!(text.parse(), Ok(RequestId::integer(u128::MAX)));
        assert_eq!(RequestId::integer(u128::MAX).to_string(), text);
        assert!(
            "340282366920938463463374607431768211456"
                .parse::<RequestId>()
                .is_err()
        );
        assert_eq!(
            serde_json::from_str::<RequestId>("18446744073709551615").unwrap(),
            RequestId::from(u64::MAX)
        );
        assert!(serde_json::from_str::<RequestId>("18446744073709551616").is_err());
    }

    #[test]
    fn uuids_are_read_in_any_case_and_written_in_lower() {
        let id: RequestId = "0B0E7A52-6c8e-4D8A-9f0e-1d2c3b4a5f60".parse().unwrap();
        assert!(id.is_uuid());
        assert_eq!(id.to_string(), "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn an_integer_and_a_uuid_of_the_same_bits_are_two_ids() {
        assert_ne!(RequestId::integer(7), RequestId::uuid(7));
        assert!(RequestId::integer(u128::MAX) < RequestId::uuid(0));
        assert!(RequestId::integer(1 << 64) > RequestId::integer(u64::MAX.into()));
    }

    #[test]
    fn what_is_no_id_is_an_error_that_names_it() {
        let wrong = [
            "",
            " ",
            "-1",
            "+1",
            "1.5",
            " 12",
            "12 ",
            "1e3",
            "0x1f",
            "١٢",
            "0b0e7a526c8e4d8a9f0e1d2c3b4a5f60",
            "{0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60}",
            "urn:uuid:0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60",
            "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f6g",
            "0b0e7a526-c8e-4d8a-9f0e-1d2c3b4a5f60",
        ];
        for text in wrong {
            let error = text.parse::<RequestId>().unwrap_err();
            assert_eq!(error.value(), text);
            assert!(error.to_string().contains("UUID"), "{error}");
        }
        for json in ["-1", "1.0", "1.5", "1e2", "-0", "null", "true", "[1]", "{}"] {
            assert!(serde_json::from_str::<RequestId>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_id_takes_24_bytes() {
        assert_eq!(size_of::<RequestId>(), 24);
        assert_eq!(align_of::<RequestId>(), 8);
    }
}
