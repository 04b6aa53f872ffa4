//! What the JSON forms of all floors share: objects that are objects, and optional fields that are there or
//! are not.
//!
//! serde's derive is more lenient than a contract may be: a struct is also read from an array, and `null`
//! from a missing value.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The fields of an object, derived with `deny_unknown_fields`.
pub(crate) trait ObjectForm {
    /// What was expected, where something else than an object is found.
    const EXPECTED: &'static str;
}

/// Reads `T` from an object and from nothing else.
#[derive(Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: ObjectForm + Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: ObjectForm + Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// For an optional field: what is there is read as it is, so that `null` is an error.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
