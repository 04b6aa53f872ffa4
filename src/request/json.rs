//! The JSON form of an [`InteractionRequest`], both ways.

use std::fmt;

use serde::de::{self, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::InteractionRequest;
use crate::ids::{LocationId, Media, Priority, RequestId};
use crate::schedule::{ScheduleData, ScheduleWire};
use crate::sync::Arc;
use crate::wire::{Object, ObjectForm, present};

/// A request as read: each field of its type; the location a number, or a name at an access point.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestWire<L> {
    pub(crate) id: RequestId,
    pub(crate) location: L,
    #[serde(default)]
    pub(crate) media: Media,
    #[serde(default)]
    pub(crate) priority: Priority,
    #[serde(default, deserialize_with = "present")]
    pub(crate) customer: Option<Arc<str>>,
    #[serde(default)]
    pub(crate) payload: Payload,
    #[serde(default, deserialize_with = "present")]
    pub(crate) schedule: Option<Object<ScheduleWire>>,
}

impl<L> ObjectForm for RequestWire<L> {
    const EXPECTED: &'static str =
        "a request object, such as {\"id\": .., \"location\": .., \"schedule\": ..}";
}

/// An opaque payload: text where it is UTF-8, else an array of bytes.
#[derive(Default)]
pub(crate) struct Payload(pub(crate) Arc<[u8]>);

impl<'de> Deserialize<'de> for InteractionRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(wire) = Object::<RequestWire<LocationId>>::deserialize(deserializer)?;
        let schedule = wire
            .schedule
            .map(|Object(schedule)| schedule.build())
            .transpose();
        Ok(Self {
            id: wire.id,
            location: wire.location,
            media: wire.media,
            priority: wire.priority,
            customer: wire.customer,
            payload: wire.payload.0,
            schedule: schedule
                .map_err(|error| D::Error::custom(format_args!("schedule.{error}")))?,
        })
    }
}

impl Serialize for InteractionRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            id: RequestId,
            location: LocationId,
            media: Media,
            priority: Priority,
            #[serde(skip_serializing_if = "Option::is_none")]
            customer: Option<&'a str>,
            payload: WrittenPayload<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            schedule: Option<&'a ScheduleData>,
        }

        Written {
            id: self.id,
            location: self.location,
            media: self.media,
            priority: self.priority,
            customer: self.customer.as_deref(),
            payload: WrittenPayload(&self.payload),
            schedule: self.schedule.as_ref(),
        }
        .serialize(serializer)
    }
}

struct WrittenPayload<'a>(&'a [u8]);

impl Serialize for WrittenPayload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_bytes(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PayloadVisitor).map(Self)
    }
}

struct PayloadVisitor;

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Arc<[u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a list of bytes (integers from 0 to 255)")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.as_bytes().into())
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(bytes.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(bytes.into())
    }
}
