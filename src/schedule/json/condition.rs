//! The JSON form of a [`ProcessingCondition`]: a word, or an object of one field.
//!
//! A condition holds conditions, so reading one recurses; the seed carries how many levels are left, and no
//! input, in any format, takes more stack than that.

use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::duration_text::DurationText;
use super::ProcessingCondition;

const EXPECTED: &str = "a condition: \"always\", \"open\", or an object of exactly one of wait_below, agents_ready, queue_below, all, any, not";

impl Serialize for ProcessingCondition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.nesting(Self::NESTING_MAX) > Self::NESTING_MAX {
            return Err(S::Error::custom(EXPECTED_NESTING));
        }
        match self {
            Self::Always => return serializer.serialize_str("always"),
            Self::Open => return serializer.serialize_str("open"),
            _ => {}
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Always | Self::Open => {}
            Self::WaitBelow(limit) => map.serialize_entry("wait_below", &DurationText(*limit))?,
            Self::AgentsReady(least) => map.serialize_entry("agents_ready", least)?,
            Self::QueueBelow(limit) => map.serialize_entry("queue_below", limit)?,
            Self::All(conditions) => map.serialize_entry("all", conditions)?,
            Self::Any(conditions) => map.serialize_entry("any", conditions)?,
            Self::Not(condition) => map.serialize_entry("not", condition)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ProcessingCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Condition {
            levels_left: Self::NESTING_MAX,
        }
        .deserialize(deserializer)
    }
}

/// What an error says of a condition that is nested too deeply. A reader with a tighter limit of its own
/// knows by it that this one was met.
pub(crate) const EXPECTED_NESTING: &str = "at most 32 levels of conditions";
const _: () = assert!(ProcessingCondition::NESTING_MAX == 32);

/// Reads one condition with so many levels left, its own included.
#[derive(Clone, Copy)]
struct Condition {
    levels_left: usize,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    WaitBelow,
    AgentsReady,
    QueueBelow,
    All,
    Any,
    Not,
}

impl<'de> DeserializeSeed<'de> for Condition {
    type Value = ProcessingCondition;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<ProcessingCondition, D::Error> {
        let Some(levels_left) = self.levels_left.checked_sub(1) else {
            return Err(de::Error::invalid_value(
                Unexpected::Other("a further level"),
                &EXPECTED_NESTING,
            ));
        };
        deserializer.deserialize_any(ConditionVisitor {
            inner: Condition { levels_left },
        })
    }
}

struct ConditionVisitor {
    /// The seed of the conditions inside.
    inner: Condition,
}

impl<'de> Visitor<'de> for ConditionVisitor {
    type Value = ProcessingCondition;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ProcessingCondition, E> {
        match text {
            "always" => Ok(ProcessingCondition::Always),
            "open" => Ok(ProcessingCondition::Open),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ProcessingCondition, A::Error> {
        let Some(field) = map.next_key()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        let condition = match field {
            Field::WaitBelow => ProcessingCondition::WaitBelow(map.next_value::<DurationText>()?.0),
            Field::AgentsReady => ProcessingCondition::AgentsReady(map.next_value()?),
            Field::QueueBelow => ProcessingCondition::QueueBelow(map.next_value()?),
            Field::All => ProcessingCondition::All(map.next_value_seed(List(self.inner))?),
            Field::Any => ProcessingCondition::Any(map.next_value_seed(List(self.inner))?),
            Field::Not => ProcessingCondition::Not(Box::new(map.next_value_seed(self.inner)?)),
        };
        if map.next_key::<IgnoredAny>()?.is_some() {
            return Err(de::Error::invalid_length(2, &self));
        }
        Ok(condition)
    }
}

/// Reads a list of conditions, each by the seed.
struct List(Condition);

impl<'de> DeserializeSeed<'de> for List {
    type Value = Box<[ProcessingCondition]>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List {
    type Value = Box<[ProcessingCondition]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of conditions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut conditions = Vec::new();
        while let Some(condition) = list.next_element_seed(self.0)? {
            conditions.push(condition);
        }
        Ok(conditions.into())
    }
}
