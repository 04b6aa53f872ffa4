//! The JSON form of a [`PointInTime`]: RFC 3339, or a local date-time and its zone, or, past year 9999, a number.

use std::fmt;

use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::point_in_time::{
    EXPECTED_EPOCH, EXPECTED_LOCAL, EXPECTED_ZONE, LocalText, Written, ZoneText,
};
use super::PointInTime;
use crate::ids::{Timestamp, rfc3339};

impl Serialize for PointInTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.written(), self.civil()) {
            (_, None) => serializer.serialize_u64(self.timestamp().as_millis()),
            (Written::Utc | Written::Offset(_), Some(_)) => serializer.collect_str(self),
            (Written::Zone { zone, .. }, Some(civil)) => {
                let mut local = String::with_capacity(24);
                rfc3339::write_civil(civil, &mut local).map_err(serde::ser::Error::custom)?;
                let mut fields = serializer.serialize_struct("PointInTime", 2)?;
                fields.serialize_field("local", &local)?;
                fields.serialize_field("zone", zone.name())?;
                fields.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for PointInTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PointVisitor)
    }
}

struct PointVisitor;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    Local,
    Zone,
}

impl<'de> Visitor<'de> for PointVisitor {
    type Value = PointInTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an RFC 3339 time with offset, such as \"2026-01-05T09:00:00+02:00\", or a local time and its zone, \
             {\"local\": \"2026-01-05T10:00:00\", \"zone\": \"Asia/Jerusalem\"}",
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PointInTime, E> {
        PointInTime::rfc3339(text)
            .map_err(|error| E::invalid_value(Unexpected::Str(text), &error.static_expected()))
    }

    fn visit_u64<E: de::Error>(self, millis: u64) -> Result<PointInTime, E> {
        // A smaller number has a text; as a number it may as well be meant in seconds.
        if rfc3339::civil_at(millis, 0).is_some() {
            return Err(E::invalid_type(Unexpected::Unsigned(millis), &self));
        }
        Ok(Timestamp::from_millis(millis).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PointInTime, A::Error> {
        let (mut local, mut zone) = (None, None);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Local if local.is_some() => return Err(de::Error::duplicate_field("local")),
                Field::Local => local = Some(map.next_value::<LocalText>()?),
                Field::Zone if zone.is_some() => return Err(de::Error::duplicate_field("zone")),
                Field::Zone => zone = Some(map.next_value::<ZoneText>()?),
            }
        }
        let local = local.ok_or_else(|| de::Error::missing_field("local"))?;
        let zone = zone.ok_or_else(|| de::Error::missing_field("zone"))?;
        PointInTime::in_zone(local, zone).ok_or_else(|| {
            let found = format!("local time {local}[{zone}]");
            de::Error::invalid_value(Unexpected::Other(&found), &EXPECTED_EPOCH)
        })
    }
}

/// Serde for a text with its own reader, so that an error stands at the text's own path.
macro_rules! read_from_text {
    ($text:ty, $expected:expr) => {
        impl<'de> Deserialize<'de> for $text {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $text;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$text, E> {
                        <$text>::read(text)
                            .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

read_from_text!(LocalText, EXPECTED_LOCAL);
read_from_text!(ZoneText, EXPECTED_ZONE);
