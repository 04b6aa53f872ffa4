//! Writing records. The engine does it for every change of every request, so a plain one is its fixed part and a copy
//! of what its customer gave, and nothing is allocated but what the buffer needs.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::layout::{
    CourseCore, EndedCore, Head, Kind, MarkedCore, NamedCore, OpenedCore, RequestCore, RuledCore,
    TotalsCore, WHY_PLAIN, WHY_TOLD, parts,
};
use super::{Change, Contents, CourseImage, EndedImage, Record, RequestImage, ScheduleImage};
use crate::ids::RequestId;
use crate::lifecycle::{Outcome, Why};
use crate::persistence::journal::Durability;

/// Appends a record of this stream.
///
/// A record has up to 4 GiB: whoever takes what customers give has to keep it well below that.
pub(crate) fn encode(stream: u16, record: &Record<'_>, into: &mut Vec<u8>) {
    match record {
        Record::Request(change, image) => encode_request(stream, *change, image, into),
        Record::Ended(image) => encode_ended(stream, image, into),
        Record::Named { location, name } => {
            let core = NamedCore {
                head: head::<NamedCore>(Kind::Named, 0, stream, name.len()),
                location: location.index().into(),
            };
            append(&core, &[name.as_bytes()], into);
        }
        Record::Ruled {
            location,
            held_since,
            pace,
        } => {
            let held = if held_since.is_some() { parts::HELD } else { 0 };
            let core = RuledCore {
                head: head::<RuledCore>(Kind::Ruled, held, stream, 0),
                location: location.index().into(),
                pace: (*pace).into(),
                held_since: held_since.map_or(0, |since| since.as_millis()).into(),
            };
            append(&core, &[], into);
        }
        Record::Opened {
            epoch,
            shards,
            durability,
            next_intake,
        } => {
            let (durability, interval) = match durability {
                Durability::Sync => (0, std::time::Duration::ZERO),
                Durability::Interval(interval) => (1, *interval),
                Durability::NoSync => (2, std::time::Duration::ZERO),
            };
            let core = OpenedCore {
                head: head::<OpenedCore>(Kind::Opened, 0, stream, 0),
                epoch: (*epoch).into(),
                shards: (*shards).into(),
                next_intake: (*next_intake).into(),
                interval_seconds: interval.as_secs().into(),
                interval_nanos: interval.subsec_nanos().into(),
                durability,
                unused: [0; 3],
            };
            append(&core, &[], into);
        }
        Record::Marked { manifest, floor } => {
            let core = MarkedCore {
                head: head::<MarkedCore>(Kind::Marked, 0, stream, 0),
                manifest: (*manifest).into(),
                floor: floor.0.into(),
            };
            append(&core, &[], into);
        }
        Record::Totals {
            location,
            outcome,
            why,
            count,
        } => {
            let (why, words) = why_code(why);
            let core = TotalsCore {
                head: head::<TotalsCore>(Kind::Totals, 0, stream, words.len()),
                outcome: *outcome as u8,
                why,
                unused: [0; 2],
                location: location.index().into(),
                count: (*count).into(),
            };
            append(&core, &[words], into);
        }
    }
}

/// Appends the record of a pending request: [`encode`] of [`Record::Request`].
#[inline]
pub(crate) fn encode_request(
    stream: u16,
    change: Change,
    image: &RequestImage<'_>,
    into: &mut Vec<u8>,
) {
    let mut parts = form(image.id);
    if image.in_flight {
        parts |= parts::IN_FLIGHT;
    }
    let (mut customer, mut payload): (&[u8], &[u8]) = (&[], &[]);
    if let Contents::Given {
        customer: given,
        payload: with,
    } = image.contents
    {
        parts |= parts::GIVEN;
        if let Some(given) = given {
            parts |= parts::CUSTOMER;
            customer = given.as_bytes();
        }
        payload = with;
    }
    let mut offset = 0;
    let mut schedule = None;
    match &image.schedule {
        ScheduleImage::Immediate => {}
        ScheduleImage::Plain(seconds) => {
            parts |= parts::PLAIN;
            offset = *seconds;
        }
        ScheduleImage::Full(data) => {
            parts |= parts::FULL;
            schedule = Some(&**data);
        }
    }
    if image.course.is_some() {
        parts |= parts::COURSE;
    }
    let core = RequestCore {
        head: head::<RequestCore>(
            Kind::Request(change),
            parts,
            stream,
            customer.len() + payload.len(),
        ),
        media: image.media as u8,
        priority: image.priority.0,
        flags: image.flags,
        unused: 0,
        location: image.location.index().into(),
        id: image.id.value().into(),
        fingerprint: image.fingerprint.into(),
        due: image.due.as_millis().into(),
        intake: image.intake.into(),
        offset: offset.into(),
        customer_bytes: bytes(customer.len()),
    };
    if image.course.is_none() && schedule.is_none() {
        append(&core, &[customer, payload], into);
        return;
    }
    let start = into.len();
    into.extend_from_slice(core.as_bytes());
    if let Some(course) = &image.course {
        into.extend_from_slice(course_core(course).as_bytes());
    }
    if let Some(schedule) = schedule {
        let length_at = into.len();
        into.extend_from_slice(&[0; 4]);
        schedule.to_stored(into);
        let length = bytes(into.len() - length_at - 4);
        into[length_at..length_at + 4].copy_from_slice(length.as_bytes());
    }
    into.extend_from_slice(customer);
    into.extend_from_slice(payload);
    let length = bytes(into.len() - start);
    let length_at = start + std::mem::offset_of!(Head, length);
    into[length_at..length_at + 4].copy_from_slice(length.as_bytes());
}

/// Appends the record of a request that ended: [`encode`] of [`Record::Ended`].
pub(crate) fn encode_ended(stream: u16, image: &EndedImage, into: &mut Vec<u8>) {
    let kind = match image.outcome {
        Outcome::Cancelled => Kind::Cancelled,
        _ => Kind::Completed,
    };
    let (why, words) = why_code(&image.why);
    let core = EndedCore {
        head: head::<EndedCore>(kind, form(image.id), stream, words.len()),
        outcome: image.outcome as u8,
        why,
        unused: [0; 2],
        location: image.location.index().into(),
        id: image.id.value().into(),
        fingerprint: image.fingerprint.into(),
        due: image.due.as_millis().into(),
        intake: image.intake.into(),
        ended: image.ended.as_millis().into(),
        attempts: image.attempts.into(),
        revision: image.revision.into(),
    };
    append(&core, &[words], into);
}

/// The head of a record whose fixed part is a `Core`, with so many bytes behind that.
#[inline]
fn head<Core>(kind: Kind, parts: u8, stream: u16, variable_bytes: usize) -> Head {
    Head {
        kind: kind.code(),
        parts,
        stream: U16::new(stream),
        length: bytes(size_of::<Core>() + variable_bytes),
    }
}

#[inline]
fn append<Core: IntoBytes + zerocopy::Immutable>(
    core: &Core,
    variable: &[&[u8]],
    into: &mut Vec<u8>,
) {
    into.extend_from_slice(core.as_bytes());
    for part in variable {
        // Mostly there is nothing, and copying that is a call all the same.
        if !part.is_empty() {
            into.extend_from_slice(part);
        }
    }
}

/// A length as it is stored.
#[inline]
fn bytes(length: usize) -> U32 {
    debug_assert!(u32::try_from(length).is_ok(), "a record has up to 4 GiB");
    U32::new(u32::try_from(length).unwrap_or(u32::MAX))
}

#[inline]
fn form(id: RequestId) -> u8 {
    if id.is_uuid() { parts::UUID } else { 0 }
}

fn course_core(course: &CourseImage) -> CourseCore {
    CourseCore {
        accepted: course.accepted.as_millis().into(),
        eligible: course.eligible.as_millis().into(),
        revision: course.revision.into(),
        attempts: course.attempts.into(),
        attempts_before: course.attempts_before.into(),
        open_attempt: course.open_attempt.into(),
        step: course.step.into(),
        redeliveries: course.redeliveries.into(),
    }
}

/// A reason's number, and its words where it is the router's.
fn why_code(why: &Why) -> (u8, &[u8]) {
    match why {
        Why::Plain => (WHY_PLAIN, &[]),
        Why::Rule(rule) => (*rule as u8, &[]),
        Why::Told(words) => (WHY_TOLD, words.as_bytes()),
    }
}
