//! [`InteractionRequest`]: a unit of inbound work, with or without a schedule.

mod fingerprint;
mod json;

use std::fmt;

use crate::ids::{LocationId, Media, Priority, RequestId};
use crate::schedule::ScheduleData;
use crate::sync::Arc;

pub(crate) use json::RequestWire;

/// A customer's request for interaction: what it is, where it belongs, and, where it is deferrable, when it
/// is to be processed.
///
/// `Debug` shows neither the customer nor the payload.
///
/// # JSON
/// ```
/// # let json = r#"
/// {"id": "12", "location": 0, "media": "voice", "priority": 2, "customer": "9664491", "payload": "free text",
///  "schedule": {"times": [{"at": "2026-01-05T09:00:00+02:00"}]}}
/// # "#;
/// # let request: duewheel::InteractionRequest = serde_json::from_str(json).unwrap();
/// # assert!(request.schedule.is_some());
/// ```
/// Required are `id` and `location` (the number; at an access point the name). The payload is a string where
/// it is UTF-8, else a list of bytes; both are read. See [`RequestId`] and [`ScheduleData`] for theirs.
/// Unknown fields, fields twice and `null` are errors. The form needs a self-describing format.
#[derive(Clone, PartialEq)]
pub struct InteractionRequest {
    /// The caller's own name for the request.
    pub id: RequestId,
    /// The location it belongs to.
    pub location: LocationId,
    /// How it came in, and how it is answered outside every media window.
    pub media: Media,
    /// How urgent it is.
    pub priority: Priority,
    /// Who asks; opaque.
    pub customer: Option<Arc<str>>,
    /// What the router is given; opaque.
    pub payload: Arc<[u8]>,
    /// When it is to be processed; `None`: at once, as a non-scheduled interaction.
    pub schedule: Option<ScheduleData>,
}

impl InteractionRequest {
    /// An immediate request by voice, priority 0, without customer or payload.
    #[must_use]
    pub fn new(id: RequestId, location: LocationId) -> Self {
        Self {
            id,
            location,
            media: Media::default(),
            priority: Priority::default(),
            customer: None,
            payload: no_payload(),
            schedule: None,
        }
    }

    /// With this media.
    #[must_use]
    pub fn with_media(mut self, media: Media) -> Self {
        self.media = media;
        self
    }

    /// With this priority.
    #[must_use]
    pub fn with_priority(mut self, priority: impl Into<Priority>) -> Self {
        self.priority = priority.into();
        self
    }

    /// With this customer.
    #[must_use]
    pub fn with_customer(mut self, customer: impl Into<Arc<str>>) -> Self {
        self.customer = Some(customer.into());
        self
    }

    /// With this payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Arc<[u8]>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// With this schedule: a deferrable request.
    #[must_use]
    pub fn with_schedule(mut self, schedule: ScheduleData) -> Self {
        self.schedule = Some(schedule);
        self
    }
}

thread_local! {
    static NO_PAYLOAD: Arc<[u8]> = Arc::from([]);
}

/// An empty payload. Each thread has one of its own: the standard library's is one for the whole process, and
/// all threads would contend for its count.
pub(crate) fn no_payload() -> Arc<[u8]> {
    NO_PAYLOAD.try_with(Arc::clone).unwrap_or_default()
}

impl fmt::Debug for InteractionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InteractionRequest")
            .field("id", &self.id)
            .field("location", &self.location)
            .field("media", &self.media)
            .field("priority", &self.priority)
            .field(
                "customer",
                &self.customer.as_ref().map(|_| format_args!("..")),
            )
            .field("payload_bytes", &self.payload.len())
            .field("schedule", &self.schedule)
            .finish()
    }
}
