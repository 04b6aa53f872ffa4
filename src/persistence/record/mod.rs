//! Records: absolute after-images, of one request or of one thing that belongs to no request.
//!
//! What a record says is all that is to be known of its subject from then on; what was known before it is not needed,
//! but for what a customer gave, which is written once ([`Contents::Kept`]).
//!
//! | kind | subject | says |
//! |---|---|---|
//! | accepted, rescheduled, examined, released, returned, retry, moved | a pending request | [`RequestImage`] |
//! | cancelled, completed | a request that ended | [`EndedImage`] |
//! | named | a location | its name |
//! | ruled | a location | since when it is held, and its pace |
//! | opened | the store | who writes it from here on |
//! | marked | the store | that a snapshot was published |
//! | totals | a location, in one shard | what was counted of its ended requests (in snapshots alone) |

mod decode;
mod encode;
#[cfg(test)]
mod golden;
mod layout;
mod raw;
mod reread;
#[cfg(test)]
mod tests;
mod version;
mod view;

use std::borrow::Cow;

use serde::Serialize;

use super::journal::{Durability, Lsn};
use crate::ids::{LocationId, Media, Priority, RequestId, Timestamp};
use crate::lifecycle::{Outcome, Why};
use crate::schedule::ScheduleData;

pub(crate) use encode::{encode, encode_ended, encode_request};
#[cfg(test)]
use layout::Kind;
pub(crate) use raw::{Malformed, RawRecord, Records};
pub use reread::check_records;
pub(crate) use version::{RECORD_VERSION, check_version};
pub use view::RecordView;

/// What happened to a pending request. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Change {
    /// It was taken in.
    Accepted = 1,
    /// It has another schedule: its caller's, the router's, or its own some days later.
    Rescheduled = 2,
    /// Its processing time was judged, and it waits on.
    Examined = 3,
    /// An attempt was released: the intent, before the router is told.
    Released = 4,
    /// The attempt released last reached no router, and is as if it had not been.
    Returned = 5,
    /// An attempt failed, and another is to follow.
    Retry = 6,
    /// It belongs to another location.
    Moved = 7,
    /// It is pending: what a step of a snapshot saw.
    Seen = 8,
}

/// A pending request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RequestImage<'a> {
    pub(crate) id: RequestId,
    /// Half of the fingerprint of the request as submitted.
    pub(crate) fingerprint: u64,
    pub(crate) location: LocationId,
    pub(crate) media: Media,
    pub(crate) priority: Priority,
    /// The bits of the engine's flags that are kept.
    pub(crate) flags: u8,
    /// An attempt was released and has not ended.
    pub(crate) in_flight: bool,
    /// The processing time at hand.
    pub(crate) due: Timestamp,
    /// Its place in the order of intake.
    pub(crate) intake: u64,
    pub(crate) schedule: ScheduleImage<'a>,
    /// What is more than a plain life; `None` for that.
    pub(crate) course: Option<CourseImage>,
    pub(crate) contents: Contents<'a>,
}

/// How a request is scheduled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ScheduleImage<'a> {
    /// Not at all: a non-scheduled interaction.
    Immediate,
    /// At the due time, unconditionally, at this offset from UTC in seconds; everything else is default.
    Plain(i32),
    /// As this says.
    Full(Cow<'a, ScheduleData>),
}

/// What a customer gave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents<'a> {
    /// What the request's earlier record or snapshot says.
    Kept,
    /// This.
    Given {
        customer: Option<&'a str>,
        payload: &'a [u8],
    },
}

/// Neither the customer nor the payload.
impl std::fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept => f.write_str("Kept"),
            Self::Given { payload, .. } => f
                .debug_struct("Given")
                .field("payload_bytes", &payload.len())
                .finish_non_exhaustive(),
        }
    }
}

/// The life of a request that is not plain; see the engine's `Course`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CourseImage {
    pub(crate) accepted: Timestamp,
    pub(crate) eligible: Timestamp,
    pub(crate) revision: u32,
    pub(crate) attempts: u32,
    pub(crate) attempts_before: u32,
    pub(crate) open_attempt: u32,
    pub(crate) step: u32,
    /// How often the attempt at hand was handed over again because nobody heard how it went.
    pub(crate) redeliveries: u32,
}

/// A request that ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EndedImage {
    pub(crate) id: RequestId,
    pub(crate) fingerprint: u64,
    pub(crate) intake: u64,
    pub(crate) location: LocationId,
    pub(crate) due: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) revision: u32,
    pub(crate) outcome: Outcome,
    pub(crate) why: Why,
}

/// A record, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record<'a> {
    Request(Change, RequestImage<'a>),
    /// Written as cancelled where the outcome is that, else as completed.
    Ended(EndedImage),
    Named {
        location: LocationId,
        name: &'a str,
    },
    Ruled {
        location: LocationId,
        held_since: Option<Timestamp>,
        /// Releases a second; 0 for none of its own.
        pace: u32,
    },
    Opened {
        epoch: u32,
        shards: u32,
        durability: Durability,
        next_intake: u64,
    },
    /// A snapshot of this number was published; every stream's records up to `floor` are in it.
    Marked {
        manifest: u64,
        floor: Lsn,
    },
    Totals {
        location: LocationId,
        outcome: Outcome,
        why: Why,
        count: u64,
    },
}
