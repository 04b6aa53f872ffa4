//! What is kept of a pending request, field by field.
//!
//! Millions are pending, and what an operation on one costs is how many cache lines it touches. So there are
//! three parts, each in a slab of its own (`store.rs`):
//!
//! | part | bytes | of which requests |
//! |---|---|---|
//! | [`Entry`] | 64, one cache line | all: what is asked when a request is found, falls due, is cancelled |
//! | [`Contents`] | 32 | those with a customer or a payload: touched when it comes and when it goes out |
//! | [`Course`] | 88 | those whose life is not the plain one: more schedule than one time, attempts, a change |
//!
//! A request without a course is *plain*: it is scheduled for one unconditional time in UTC or at an offset
//! (or not at all), everything else of its schedule is default, it was taken in no later than its time, and
//! nothing has happened to it yet.

use crate::ids::{LocationId, Media, Priority, RequestId, Timestamp};
use crate::lifecycle::RequestState;
use crate::schedule::ScheduleData;
use crate::sync::Arc;

/// Where an entry is, finer than [`RequestState`].
///
/// | phase | public state | wheel timer | elsewhere |
/// |---|---|---|---|
/// | `Waiting` | Scheduled | at `eligible`, or where its next processing time or its not-after overtakes it | |
/// | `Ready` | Scheduled | none: expiry is judged when examined | in the ready heap |
/// | `InLine` | Scheduled | where its next processing time or its not-after overtakes it | in its location's line |
/// | `Examining` | Scheduled | none | being consulted upon by the one poll that runs |
/// | `Held` | Held | at not-after | |
/// | `Released` | Released | none | in a dispatch queue |
/// | `Routing` | Routing | at the lease's end, where there is one | at the router |
///
/// An entry that is in doubt ([`Flags::IN_DOUBT`]) is in one of the first five, and its public state is Released:
/// see `doubt.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Ready,
    InLine,
    Examining,
    Held,
    Released,
    Routing,
}

impl Phase {
    pub(super) fn state(self) -> RequestState {
        match self {
            Self::Waiting | Self::Ready | Self::InLine | Self::Examining => RequestState::Scheduled,
            Self::Held => RequestState::Held,
            Self::Released => RequestState::Released,
            Self::Routing => RequestState::Routing,
        }
    }

    /// Whether it is neither at the router nor on its way there.
    pub(super) fn is_before_release(self) -> bool {
        !matches!(self, Self::Released | Self::Routing)
    }
}

/// What is true of an entry, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// The id is a UUID.
    pub(super) const UUID: Self = Self(1);
    /// The processing time at hand was judged for being missed.
    pub(super) const JUDGED: Self = Self(2);
    /// Something was decided on the processing time at hand: a hold that begins later did not miss it.
    pub(super) const EXAMINED: Self = Self(4);
    /// Its condition has held once: a retry does not judge it again.
    pub(super) const CLEARED: Self = Self(8);
    /// An earlier attempt may have been acted on.
    pub(super) const REDELIVERY: Self = Self(16);
    /// The attempt released last was not seen to end, because the process did: it is handed over again.
    pub(super) const IN_DOUBT: Self = Self(32);
    /// In doubt, and so often already that it waits for a while before it is handed over again.
    pub(super) const COOLING: Self = Self(64);
    /// While a store is read back: what its customer gave was not found yet.
    pub(super) const ORPHAN: Self = Self(128);

    /// The bits that are stored. Of the others, the id's form stands with the id, and the rest is found anew.
    const STORED: u8 = Self::JUDGED.0 | Self::EXAMINED.0 | Self::CLEARED.0 | Self::REDELIVERY.0;

    /// What is stored of them.
    pub(super) fn stored(self) -> u8 {
        self.0 & Self::STORED
    }

    /// Those that were stored; the id's form is as it is.
    pub(super) fn restore(&mut self, stored: u8) {
        self.0 = self.0 & Self::UUID.0 | stored & Self::STORED;
    }

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) fn set(&mut self, flag: Self, value: bool) {
        self.0 = if value {
            self.0 | flag.0
        } else {
            self.0 & !flag.0
        };
    }
}

/// How a request is scheduled, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Not at all: a non-scheduled interaction.
    Immediate,
    /// Plain, at this offset from UTC in seconds.
    Plain(i32),
    /// As this course says.
    Course(u32),
}

/// The bits of a [`Plan`]: the two highest say which, the others are the number.
#[derive(Clone, Copy)]
struct PlanBits(u32);

const PLAN_SHIFT: u32 = 30;
const PLAN_NUMBER: u32 = (1 << PLAN_SHIFT) - 1;
/// Makes an offset, which is within a day or two, a number that is not negative.
const OFFSET_BIAS: i32 = 1 << 20;

impl PlanBits {
    fn new(plan: Plan) -> Self {
        let (kind, number) = match plan {
            Plan::Immediate => (0, 0),
            Plan::Plain(offset) => (1, (offset + OFFSET_BIAS) as u32),
            Plan::Course(course) => (2, course),
        };
        debug_assert!(number <= PLAN_NUMBER);
        Self(kind << PLAN_SHIFT | number)
    }

    fn plan(self) -> Plan {
        let number = self.0 & PLAN_NUMBER;
        match self.0 >> PLAN_SHIFT {
            0 => Plan::Immediate,
            1 => Plan::Plain(number as i32 - OFFSET_BIAS),
            _ => Plan::Course(number),
        }
    }
}

/// What every pending request has: one cache line.
#[repr(align(64))]
pub(super) struct Entry {
    /// High and low half; the flags tell an integer from a UUID.
    id: [u64; 2],
    /// Half of the fingerprint of the request as submitted. It is compared with that of one other request, the
    /// next of the same id, so that 64 keyed bits are enough: they take another content for the same once
    /// in 2^64 times.
    pub(super) fingerprint: u64,
    /// The processing time at hand.
    pub(super) due: Timestamp,
    /// The order of intake over all shards.
    pub(super) intake: u64,
    pub(super) location: LocationId,
    /// Its line in the location book.
    pub(super) line: u32,
    /// Its wheel timer's number, or `NONE`.
    pub(super) timer: u32,
    /// Its contents, or `NONE`.
    pub(super) contents: u32,
    plan: PlanBits,
    pub(super) media: Media,
    pub(super) priority: Priority,
    pub(super) phase: Phase,
    pub(super) flags: Flags,
}

impl Entry {
    /// An entry that stands in no book and has no timer and no contents yet.
    pub(super) fn new(
        id: RequestId,
        location: LocationId,
        fingerprint: u64,
        intake: u64,
        due: Timestamp,
        plan: Plan,
    ) -> Self {
        let value = id.value();
        let mut flags = Flags(0);
        flags.set(Flags::UUID, id.is_uuid());
        Self {
            id: [(value >> 64) as u64, value as u64],
            fingerprint,
            due,
            intake,
            location,
            line: super::slab::NONE,
            timer: super::slab::NONE,
            contents: super::slab::NONE,
            plan: PlanBits::new(plan),
            media: Media::default(),
            priority: Priority::default(),
            phase: Phase::Waiting,
            flags,
        }
    }

    #[inline]
    pub(super) fn id(&self) -> RequestId {
        let value = u128::from(self.id[0]) << 64 | u128::from(self.id[1]);
        if self.flags.has(Flags::UUID) {
            RequestId::uuid(value)
        } else {
            RequestId::integer(value)
        }
    }

    /// Where it is in its life, as the public forms have it.
    #[inline]
    pub(super) fn state(&self) -> RequestState {
        match self.flags.has(Flags::IN_DOUBT) {
            true => RequestState::Released,
            false => self.phase.state(),
        }
    }

    /// Whether an attempt was released and has not ended, as far as is known.
    #[inline]
    pub(super) fn is_released(&self) -> bool {
        !self.phase.is_before_release() || self.flags.has(Flags::IN_DOUBT)
    }

    #[inline]
    pub(super) fn plan(&self) -> Plan {
        self.plan.plan()
    }

    pub(super) fn set_plan(&mut self, plan: Plan) {
        self.plan = PlanBits::new(plan);
    }
}

/// What the user gave, to be given to the router.
pub(super) struct Contents {
    pub(super) customer: Option<Arc<str>>,
    pub(super) payload: Arc<[u8]>,
}

/// The life of a request that is not plain.
pub(super) struct Course {
    pub(super) schedule: Option<ScheduleData>,
    /// When it was taken in, or its schedule was set last.
    pub(super) accepted: Timestamp,
    /// When it became releasable, or will: the tick it is ordered by.
    pub(super) eligible: Timestamp,
    pub(super) revision: u32,
    /// Attempts released so far; never goes back but for one that reached no router, because leases are named
    /// by it.
    pub(super) attempts: u32,
    /// The value of `attempts` when the schedule was last set: the retry policy counts from there.
    pub(super) attempts_before: u32,
    /// The attempt that [`Engine::complete`](super::Engine::complete) may still settle: the last that the
    /// router was told of, until it or a completion says how it went. 0 for none.
    pub(super) open_attempt: u32,
    /// Which of the processing times is at hand.
    pub(super) step: u32,
    /// How often the attempt at hand was handed over again because it was in doubt.
    pub(super) redeliveries: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_documented() {
        assert_eq!(size_of::<Entry>(), 64);
        assert_eq!(size_of::<Contents>(), 32);
        assert_eq!(size_of::<Course>(), 88);
    }

    #[test]
    fn a_plan_keeps_what_it_is_made_of() {
        let offsets = [0, 7_200, -43_200, 93_599, -93_599].map(Plan::Plain);
        let others = [Plan::Immediate, Plan::Course(0), Plan::Course(PLAN_NUMBER)];
        for plan in offsets.into_iter().chain(others) {
            assert_eq!(PlanBits::new(plan).plan(), plan);
        }
    }

    #[test]
    fn an_id_keeps_its_form() {
        for id in [RequestId::integer(u128::MAX), RequestId::uuid(5), 5.into()] {
            let location = LocationId::from_index(0);
            let entry = Entry::new(id, location, 0, 0, Timestamp::EPOCH, Plan::Immediate);
            assert_eq!(entry.id(), id);
        }
    }
}
