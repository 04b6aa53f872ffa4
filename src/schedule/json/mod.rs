//! The JSON form of schedule data, both ways. What is read is checked by the builder; what is written has
//! its defaults written out.

mod condition;
mod point;
mod retry;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::duration_text::DurationText;
use super::{
    ExhaustedRule, MediaWindow, MissedPolicy, PointInTime, ProcessingCondition, ProcessingTime,
    RetryPolicy, ScheduleData, ScheduleDataError,
};
use crate::ids::Media;
use crate::wire::{Object, ObjectForm, present};

pub(crate) use condition::EXPECTED_NESTING;
use retry::RetryWire;

/// Schedule data as read: each field of its type, nothing checked between fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleWire {
    times: Vec<Object<TimeWire>>,
    #[serde(default, deserialize_with = "present")]
    not_before: Option<PointInTime>,
    #[serde(default, deserialize_with = "present")]
    not_after: Option<PointInTime>,
    #[serde(default)]
    response_media: Vec<Object<WindowWire>>,
    #[serde(default, deserialize_with = "present")]
    threshold_wait: Option<DurationText>,
    #[serde(default, deserialize_with = "recheck")]
    recheck: Option<DurationText>,
    #[serde(default)]
    exhausted: ExhaustedRule,
    #[serde(default)]
    missed: MissedPolicy,
    #[serde(default)]
    retry: Object<RetryWire>,
}

fn recheck<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DurationText>, D::Error> {
    DurationText::deserialize_expecting(
        deserializer,
        "a duration from 1ms to 366 days without years and months, such as 30s or PT30S (a day is 24h)",
    )
    .map(Some)
}

impl ObjectForm for ScheduleWire {
    const EXPECTED: &'static str = "a schedule object, such as {\"times\": [{\"at\": ..}]}";
}

impl ScheduleWire {
    /// The conditions of all times, in order.
    pub(crate) fn conditions(&self) -> impl ExactSizeIterator<Item = &ProcessingCondition> {
        self.times.iter().map(|time| &time.0.condition)
    }

    /// How many media windows there are.
    pub(crate) fn window_count(&self) -> usize {
        self.response_media.len()
    }

    /// The schedule, checked.
    pub(crate) fn build(self) -> Result<ScheduleData, ScheduleDataError> {
        let mut builder = ScheduleData::builder();
        for Object(time) in self.times {
            builder = builder.time_if(time.at, time.condition);
        }
        if let Some(point) = self.not_before {
            builder = builder.not_before(point);
        }
        if let Some(point) = self.not_after {
            builder = builder.not_after(point);
        }
        for Object(window) in self.response_media {
            builder = builder.response_media(window.from, window.until, window.media);
        }
        if let Some(DurationText(threshold)) = self.threshold_wait {
            builder = builder.threshold_wait(threshold);
        }
        if let Some(DurationText(recheck)) = self.recheck {
            builder = builder.recheck(recheck);
        }
        builder
            .exhausted(self.exhausted)
            .missed(self.missed)
            .retry(self.retry.0.build()?)
            .build()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeWire {
    at: PointInTime,
    #[serde(default)]
    condition: ProcessingCondition,
}

impl ObjectForm for TimeWire {
    const EXPECTED: &'static str = "a processing time, such as {\"at\": .., \"condition\": ..}";
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowWire {
    from: PointInTime,
    until: PointInTime,
    media: Media,
}

impl ObjectForm for WindowWire {
    const EXPECTED: &'static str =
        "a media window, such as {\"from\": .., \"until\": .., \"media\": \"sms\"}";
}

impl<'de> Deserialize<'de> for ScheduleData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::<ScheduleWire>::deserialize(deserializer)?
            .0
            .build()
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ProcessingTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(TimeWire {
            at: point,
            condition,
        }) = Object::deserialize(deserializer)?;
        Ok(Self { point, condition })
    }
}

impl<'de> Deserialize<'de> for MediaWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(WindowWire { from, until, media }) = Object::deserialize(deserializer)?;
        if until.timestamp() <= from.timestamp() {
            let expected = format!("a time after the window's from ({from})");
            return Err(D::Error::custom(ScheduleDataError::new(
                "until", &until, expected,
            )));
        }
        Ok(Self { from, until, media })
    }
}

impl Serialize for ScheduleData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            times: &'a [ProcessingTime],
            #[serde(skip_serializing_if = "Option::is_none")]
            not_before: Option<&'a PointInTime>,
            #[serde(skip_serializing_if = "Option::is_none")]
            not_after: Option<&'a PointInTime>,
            response_media: &'a [MediaWindow],
            #[serde(skip_serializing_if = "Option::is_none")]
            threshold_wait: Option<DurationText>,
            recheck: DurationText,
            exhausted: ExhaustedRule,
            missed: MissedPolicy,
            retry: &'a RetryPolicy,
        }

        Written {
            times: self.times(),
            not_before: self.not_before_point(),
            not_after: self.not_after_point(),
            response_media: self.media_windows(),
            threshold_wait: self.threshold_wait().map(DurationText),
            recheck: DurationText(self.recheck()),
            exhausted: self.exhausted(),
            missed: self.missed(),
            retry: self.retry(),
        }
        .serialize(serializer)
    }
}

impl Serialize for ProcessingTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            at: &'a PointInTime,
            condition: &'a ProcessingCondition,
        }

        Written {
            at: self.point(),
            condition: self.condition(),
        }
        .serialize(serializer)
    }
}

impl Serialize for MediaWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            from: &'a PointInTime,
            until: &'a PointInTime,
            media: Media,
        }

        Written {
            from: self.from_point(),
            until: self.until_point(),
            media: self.media(),
        }
        .serialize(serializer)
    }
}
