//! Identifiers and the small values every floor above speaks: who asked ([`RequestId`]), where
//! ([`LocationId`]), by which media ([`Media`]), how urgently ([`Priority`]) and when ([`Timestamp`]).
//!
//! Nothing here knows a clock, a lock or a request.

mod excerpt;
mod media;
mod request_id;
pub(crate) mod rfc3339;
mod timestamp;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use excerpt::{EXCERPT_BYTES_MAX, excerpt};
pub(crate) use media::keyword_serde;
pub use media::{Media, ParseMediaError};
pub use request_id::{ParseRequestIdError, RequestId};
pub(crate) use timestamp::millis_ceil;
pub use timestamp::{ParseTimestampError, Timestamp};

/// A location: the queue, line or service a request belongs to, as a small number.
///
/// Numbers are handed out by a [`Directory`](crate::Directory), from 0 on, one a name; they mean something only
/// together with that directory. Serialised as the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocationId(u32);

impl LocationId {
    /// The location with this index. Does not check that a directory knows it.
    #[must_use]
    #[inline]
    pub const fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// The index, as given to [`from_index`](Self::from_index).
    #[must_use]
    #[inline]
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for LocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocationId({})", self.0)
    }
}

/// How urgent a request is: 0 to 255, larger is more urgent, default 0. Serialised as the number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Priority(pub u8);

impl From<u8> for Priority {
    #[inline]
    fn from(priority: u8) -> Self {
        Self(priority)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
