//! [`JsonAccessPoint`]: one JSON object a request.

use super::message::{Message, nesting_expected};
use super::{AccessError, AccessPoint, Detection};
use crate::directory::{Directory, DirectoryError};
use crate::ids::excerpt;
use crate::request::{InteractionRequest, RequestWire};
use crate::schedule::{ProcessingCondition, ScheduleData, ScheduleWire};
use crate::sync::Arc;
use crate::wire::Object;

/// Upper bounds on what a [`JsonAccessPoint`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonLimits {
    /// Bytes of a whole message. Default 1 MiB.
    pub message_bytes_max: usize,
    /// Bytes of a payload, after decoding. Default 64 KiB.
    pub payload_bytes_max: usize,
    /// Processing times of a request. Default 64.
    pub times_max: usize,
    /// Media windows of a request. Default 64.
    pub windows_max: usize,
    /// Levels of one processing condition, 1 for one without others inside. Default 8; beyond
    /// [`ProcessingCondition::NESTING_MAX`](crate::ProcessingCondition::NESTING_MAX) without effect.
    pub nesting_max: usize,
    /// Conditions in one processing condition in all, itself included. Default 64.
    pub nodes_max: usize,
    /// Bytes of a customer. Default 256.
    pub customer_bytes_max: usize,
    /// Bytes of a location's name. Default 256; beyond [`Directory::NAME_BYTES_MAX`] without effect.
    pub location_bytes_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            payload_bytes_max: 64 << 10,
            times_max: 64,
            windows_max: 64,
            nesting_max: 8,
            nodes_max: 64,
            customer_bytes_max: 256,
            location_bytes_max: Directory::NAME_BYTES_MAX,
        }
    }
}

/// Reads requests from JSON, one object a message: with `schedule` a scheduled request, without it an immediate one.
///
/// ```
/// use std::sync::Arc;
/// use duewheel::{AccessPoint, Directory, JsonAccessPoint};
///
/// let access = JsonAccessPoint::new(Arc::new(Directory::new()));
/// let detection = access.detect(br#"
///   {"id": "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60", "location": "AA0101", "media": "voice", "priority": 2,
///    "customer": "9664491", "payload": "free text",
///    "schedule": {"times": [{"at": "2026-01-05T09:00:00+02:00", "condition": {"wait_below": "60s"}},
///                           {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}]}}"#)?;
/// assert!(detection.is_scheduled());
///
/// let error = access.detect(br#"{"id": 1, "location": "AA0101", "media": "fax"}"#).unwrap_err();
/// assert_eq!(error.path(), "media");
/// assert_eq!(error.value(), "\"fax\"");
/// # Ok::<(), duewheel::AccessError>(())
/// ```
///
/// # Form
/// - `id` (required): a UUID with hyphens, a number up to 2^64-1, or a string of digits up to 2^128-1; see
///   [`RequestId`](crate::RequestId).
/// - `location` (required): a name of 1 to 256 bytes without control characters, entered into the directory at
///   first use.
/// - `media`: voice (default), voip, email, sms, mms, video_mail, video_call, web or chat.
/// - `priority`: 0 (default) to 255, larger is more urgent.
/// - `customer`: a string. `payload`: a string, or a list of bytes. Both opaque.
/// - `schedule`: see [`ScheduleData`].
///
/// What is optional may be left out; `null` is an error, and so are unknown fields, a field twice, and anything
/// behind the object. Sizes are bounded by [`JsonLimits`]. The first thing found wrong is reported.
#[derive(Debug)]
pub struct JsonAccessPoint {
    directory: Arc<Directory>,
    limits: JsonLimits,
}

impl JsonAccessPoint {
    /// An access point that enters names of locations into `directory`, with the default limits.
    #[must_use]
    pub fn new(directory: Arc<Directory>) -> Self {
        Self::with_limits(directory, JsonLimits::default())
    }

    /// An access point with limits of its own.
    #[must_use]
    pub fn with_limits(directory: Arc<Directory>, limits: JsonLimits) -> Self {
        Self { directory, limits }
    }

    /// Reads a bare schedule object, the value of a request's `schedule` field.
    ///
    /// # Errors
    /// As [`detect`](AccessPoint::detect); paths begin with `schedule`.
    pub fn schedule_data(&self, raw: &[u8]) -> Result<ScheduleData, AccessError> {
        let message = self.open(raw, "schedule")?;
        let Object(wire) = message.read::<Object<ScheduleWire>>()?;
        self.build_schedule(&message, wire)
    }

    fn open<'a>(&self, raw: &'a [u8], root: &'static str) -> Result<Message<'a>, AccessError> {
        let (most, nesting_max) = (self.limits.message_bytes_max, self.limits.nesting_max);
        if raw.len() > most {
            return Err(Message::new(b"", root, nesting_max)?.invalid(
                "",
                bytes(raw.len()),
                format!("at most {most} bytes"),
            ));
        }
        Message::new(raw, root, nesting_max)
    }

    /// Checks the schedule's sizes, then what it says.
    fn build_schedule(
        &self,
        message: &Message<'_>,
        wire: ScheduleWire,
    ) -> Result<ScheduleData, AccessError> {
        let JsonLimits {
            times_max,
            windows_max,
            nesting_max,
            nodes_max,
            ..
        } = self.limits;
        let at = |field: &str| {
            if message.root.is_empty() {
                format!("schedule.{field}")
            } else {
                field.to_owned()
            }
        };
        let times = wire.conditions().len();
        if times > times_max {
            return Err(message.invalid(
                &at("times"),
                format!("a list of {times}"),
                format!("at most {times_max} times"),
            ));
        }
        let windows = wire.window_count();
        if windows > windows_max {
            let expected = format!("at most {windows_max} windows");
            return Err(message.invalid(
                &at("response_media"),
                format!("a list of {windows}"),
                expected,
            ));
        }
        for (index, condition) in wire.conditions().enumerate() {
            let path = || at(&format!("times[{index}].condition"));
            let levels = condition.nesting(ProcessingCondition::NESTING_MAX);
            if levels > nesting_max {
                return Err(message.invalid(
                    &path(),
                    format!("{levels} levels"),
                    nesting_expected(nesting_max),
                ));
            }
            let nodes = condition.nodes();
            if nodes > nodes_max {
                return Err(message.invalid(
                    &path(),
                    format!("{nodes} conditions"),
                    format!("at most {nodes_max} conditions in all"),
                ));
            }
        }
        wire.build().map_err(|error| {
            message.refused(
                &at(error.path()),
                error.value(),
                error.expected().to_owned(),
            )
        })
    }
}

impl AccessPoint for JsonAccessPoint {
    type Error = AccessError;

    /// Reads one request; its location's name is entered into the directory once all else is found right.
    ///
    /// # Errors
    /// The first thing found wrong, with its path: see [`AccessError`].
    fn detect(&self, raw: &[u8]) -> Result<Detection, AccessError> {
        let message = self.open(raw, "")?;
        let Object(wire) = message.read::<Object<RequestWire<String>>>()?;
        let limits = &self.limits;
        if let Some(customer) = &wire.customer
            && customer.len() > limits.customer_bytes_max
        {
            let expected = format!("at most {} bytes", limits.customer_bytes_max);
            return Err(message.invalid("customer", bytes(customer.len()), expected));
        }
        let payload = wire.payload.0;
        if payload.len() > limits.payload_bytes_max {
            let expected = format!("at most {} bytes", limits.payload_bytes_max);
            return Err(message.invalid("payload", bytes(payload.len()), expected));
        }
        if wire.location.len() > limits.location_bytes_max {
            let expected = format!("at most {} bytes", limits.location_bytes_max);
            return Err(message.invalid("location", bytes(wire.location.len()), expected));
        }
        let schedule = wire
            .schedule
            .map(|Object(schedule)| self.build_schedule(&message, schedule))
            .transpose()?;
        let location = self.directory.enter(&wire.location).map_err(|error| {
            let expected = match error {
                DirectoryError::Full { names_max } => {
                    format!("a location seen before, for the directory is full ({names_max} names)")
                }
                DirectoryError::ControlCharacter { .. } => {
                    "a name without control characters".to_owned()
                }
                _ => format!("a name of 1 to {} bytes", Directory::NAME_BYTES_MAX),
            };
            message.refused("location", &excerpt(&wire.location), expected)
        })?;
        Ok(Detection::from(InteractionRequest {
            id: wire.id,
            location,
            media: wire.media,
            priority: wire.priority,
            customer: wire.customer,
            payload,
            schedule,
        }))
    }
}

fn bytes(count: usize) -> String {
    format!("{count} bytes")
}
