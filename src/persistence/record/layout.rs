//! The bytes of a record: the fixed part of each kind, field by field. All numbers are little-endian.
//!
//! Every record begins with a [`Head`], which tells its kind and its length in all. Then come the kind's own fields, and
//! behind them what has no fixed length. Fields follow each other without a gap at no particular alignment; what is
//! unused is zero.
//!
//! | kind | fixed part | behind it |
//! |---|---|---|
//! | request | [`RequestCore`], 64 bytes | where its parts say so: [`CourseCore`]; the schedule's length and the schedule ([`ScheduleData`](crate::schedule::ScheduleData)'s stored form); the customer; then, to the end, the payload |
//! | cancelled, completed | [`EndedCore`], 72 bytes | where it is the router's: the reason |
//! | named | [`NamedCore`], 12 bytes | the name |
//! | ruled | [`RuledCore`], 24 bytes | |
//! | opened | [`OpenedCore`], 40 bytes | |
//! | marked | [`MarkedCore`], 24 bytes | |
//! | totals | [`TotalsCore`], 24 bytes | where it is the router's: the reason |
//!
//! A plain request that is taken in is its 64 bytes and what its customer gave.

use zerocopy::little_endian::{I32, U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Change;

/// What a record is of. The numbers are part of the format; those of requests are [`Change`]'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request(Change),
    Cancelled,
    Completed,
    Named,
    Ruled,
    Opened,
    Marked,
    Totals,
}

impl Kind {
    const CANCELLED: u8 = 16;
    const COMPLETED: u8 = 17;
    const NAMED: u8 = 32;
    const RULED: u8 = 33;
    const OPENED: u8 = 34;
    const MARKED: u8 = 35;
    const TOTALS: u8 = 36;

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Request(Change::Accepted),
            2 => Self::Request(Change::Rescheduled),
            3 => Self::Request(Change::Examined),
            4 => Self::Request(Change::Released),
            5 => Self::Request(Change::Returned),
            6 => Self::Request(Change::Retry),
            7 => Self::Request(Change::Moved),
            8 => Self::Request(Change::Seen),
            Self::CANCELLED => Self::Cancelled,
            Self::COMPLETED => Self::Completed,
            Self::NAMED => Self::Named,
            Self::RULED => Self::Ruled,
            Self::OPENED => Self::Opened,
            Self::MARKED => Self::Marked,
            Self::TOTALS => Self::Totals,
            _ => return None,
        })
    }

    #[inline]
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Request(change) => change as u8,
            Self::Cancelled => Self::CANCELLED,
            Self::Completed => Self::COMPLETED,
            Self::Named => Self::NAMED,
            Self::Ruled => Self::RULED,
            Self::Opened => Self::OPENED,
            Self::Marked => Self::MARKED,
            Self::Totals => Self::TOTALS,
        }
    }

    /// Bytes of the fixed part.
    pub(super) const fn fixed_bytes(self) -> usize {
        match self {
            Self::Request(_) => size_of::<RequestCore>(),
            Self::Cancelled | Self::Completed => size_of::<EndedCore>(),
            Self::Named => size_of::<NamedCore>(),
            Self::Ruled => size_of::<RuledCore>(),
            Self::Opened => size_of::<OpenedCore>(),
            Self::Marked => size_of::<MarkedCore>(),
            Self::Totals => size_of::<TotalsCore>(),
        }
    }

    /// Its name, for those who read records.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Request(Change::Accepted) => "accepted",
            Self::Request(Change::Rescheduled) => "rescheduled",
            Self::Request(Change::Examined) => "examined",
            Self::Request(Change::Released) => "released",
            Self::Request(Change::Returned) => "returned",
            Self::Request(Change::Retry) => "retry",
            Self::Request(Change::Moved) => "moved",
            Self::Request(Change::Seen) => "seen",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Named => "named",
            Self::Ruled => "ruled",
            Self::Opened => "opened",
            Self::Marked => "marked",
            Self::Totals => "totals",
        }
    }
}

/// The bits of [`Head::parts`].
pub(super) mod parts {
    /// The id is a UUID. Of requests, pending and ended.
    pub(in super::super) const UUID: u8 = 1;
    /// An attempt is on its way. This and the following: of pending requests.
    pub(in super::super) const IN_FLIGHT: u8 = 1 << 1;
    /// There is a course.
    pub(in super::super) const COURSE: u8 = 1 << 2;
    /// Scheduled for the due time, plainly.
    pub(in super::super) const PLAIN: u8 = 1 << 3;
    /// There is a schedule. Without either it is a non-scheduled interaction.
    pub(in super::super) const FULL: u8 = 1 << 4;
    /// What the customer gave is here, and nothing else counts.
    pub(in super::super) const GIVEN: u8 = 1 << 5;
    /// There is a customer, maybe of no letters.
    pub(in super::super) const CUSTOMER: u8 = 1 << 6;
    /// The location is on hold. Of ruled locations.
    pub(in super::super) const HELD: u8 = 1;
}

/// The numbers of [`Why`](crate::lifecycle::Why) that are no rule's.
pub(super) const WHY_PLAIN: u8 = 0;
pub(super) const WHY_TOLD: u8 = u8::MAX;

/// What every record begins with.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Head {
    pub(super) kind: u8,
    /// What there is of it, see [`parts`].
    pub(super) parts: u8,
    pub(super) stream: U16,
    /// Bytes of the whole record, this head included.
    pub(super) length: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RequestCore {
    pub(super) head: Head,
    pub(super) media: u8,
    pub(super) priority: u8,
    pub(super) flags: u8,
    pub(super) unused: u8,
    pub(super) location: U32,
    /// At the same place as an ended request's.
    pub(super) id: U128,
    pub(super) fingerprint: U64,
    pub(super) due: U64,
    pub(super) intake: U64,
    /// Of a plain schedule, in seconds east of UTC.
    pub(super) offset: I32,
    pub(super) customer_bytes: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct CourseCore {
    pub(super) accepted: U64,
    pub(super) eligible: U64,
    pub(super) revision: U32,
    pub(super) attempts: U32,
    pub(super) attempts_before: U32,
    pub(super) open_attempt: U32,
    pub(super) step: U32,
    pub(super) redeliveries: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct EndedCore {
    pub(super) head: Head,
    pub(super) outcome: u8,
    pub(super) why: u8,
    pub(super) unused: [u8; 2],
    pub(super) location: U32,
    pub(super) id: U128,
    pub(super) fingerprint: U64,
    pub(super) due: U64,
    pub(super) intake: U64,
    pub(super) ended: U64,
    pub(super) attempts: U32,
    pub(super) revision: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct NamedCore {
    pub(super) head: Head,
    pub(super) location: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RuledCore {
    pub(super) head: Head,
    pub(super) location: U32,
    pub(super) pace: U32,
    /// Zero where it is not held.
    pub(super) held_since: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct OpenedCore {
    pub(super) head: Head,
    pub(super) epoch: U32,
    pub(super) shards: U32,
    pub(super) next_intake: U64,
    /// Zero but for an interval.
    pub(super) interval_seconds: U64,
    pub(super) interval_nanos: U32,
    /// 0 sync, 1 interval, 2 no sync.
    pub(super) durability: u8,
    pub(super) unused: [u8; 3],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct MarkedCore {
    pub(super) head: Head,
    pub(super) manifest: U64,
    pub(super) floor: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TotalsCore {
    pub(super) head: Head,
    pub(super) outcome: u8,
    pub(super) why: u8,
    pub(super) unused: [u8; 2],
    pub(super) location: U32,
    pub(super) count: U64,
}

const _: () = assert!(size_of::<RequestCore>() == 64 && size_of::<CourseCore>() == 40);
const _: () = assert!(size_of::<EndedCore>() == 72 && size_of::<OpenedCore>() == 40);
const _: () = assert!(
    std::mem::offset_of!(RequestCore, id) == ID_AT && std::mem::offset_of!(EndedCore, id) == ID_AT
);

/// Where a request's id stands, pending or ended.
pub(super) const ID_AT: usize = 16;
