//! Reading records, of which nothing is believed: whatever the bytes, an answer comes, and no more memory is taken than
//! they account for.

use std::borrow::Cow;
use std::time::Duration;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::layout::{
    CourseCore, EndedCore, Head, Kind, MarkedCore, NamedCore, OpenedCore, RequestCore, RuledCore,
    TotalsCore, WHY_PLAIN, WHY_TOLD, parts,
};
use super::raw::{Malformed, RawRecord, id};
use super::{Contents, CourseImage, EndedImage, Record, RequestImage, ScheduleImage};
use crate::ids::{LocationId, Media, Priority, Timestamp};
use crate::lifecycle::{Outcome, Rule, Why};
use crate::persistence::journal::{Durability, Lsn};
use crate::schedule::ScheduleData;

impl<'a> RawRecord<'a> {
    /// Reads all of it.
    ///
    /// # Errors
    /// Where any part of it is not as [`encode`](super::encode()) writes it.
    pub(crate) fn decode(&self) -> Result<Record<'a>, Malformed> {
        let mut rest = Rest {
            bytes: self.bytes,
            offset: self.offset,
        };
        let record = match self.kind {
            Kind::Request(change) => Record::Request(change, request(&mut rest)?),
            Kind::Cancelled | Kind::Completed => Record::Ended(ended(self.kind, &mut rest)?),
            Kind::Named => {
                let core: &NamedCore = rest.fixed()?;
                rest.only(&core.head, 0)?;
                Record::Named {
                    location: LocationId::from_index(core.location.get()),
                    name: rest.text("a name")?,
                }
            }
            Kind::Ruled => ruled(&mut rest)?,
            Kind::Opened => opened(&mut rest)?,
            Kind::Marked => {
                let core: &MarkedCore = rest.fixed()?;
                rest.only(&core.head, 0)?;
                Record::Marked {
                    manifest: core.manifest.get(),
                    floor: Lsn(core.floor.get()),
                }
            }
            Kind::Totals => {
                let core: &TotalsCore = rest.fixed()?;
                rest.only(&core.head, 0)?;
                rest.zero(&core.unused)?;
                Record::Totals {
                    location: LocationId::from_index(core.location.get()),
                    outcome: rest.outcome(core.outcome)?,
                    why: rest.why(core.why)?,
                    count: core.count.get(),
                }
            }
        };
        if rest.bytes.is_empty() {
            Ok(record)
        } else {
            let found = format!("{} further bytes", rest.bytes.len());
            Err(rest.malformed(found, "the end of the record"))
        }
    }
}

fn request<'a>(rest: &mut Rest<'a>) -> Result<RequestImage<'a>, Malformed> {
    const KNOWN: u8 = parts::UUID
        | parts::IN_FLIGHT
        | parts::COURSE
        | parts::PLAIN
        | parts::FULL
        | parts::GIVEN
        | parts::CUSTOMER;

    let core: &RequestCore = rest.fixed()?;
    rest.only(&core.head, KNOWN)?;
    rest.zero(&[core.unused])?;
    let has = |part| core.head.parts & part != 0;
    let due = Timestamp::from_millis(core.due.get());
    let media = Media::from_code(core.media)
        .ok_or_else(|| rest.malformed(format!("media {}", core.media), "a known media"))?;
    let course = has(parts::COURSE)
        .then(|| rest.fixed().map(course))
        .transpose()?;
    let offset = core.offset.get();
    let schedule = match (has(parts::PLAIN), has(parts::FULL)) {
        (true, false) if ScheduleData::can_be_plain(due, offset) => ScheduleImage::Plain(offset),
        (false, true) if offset == 0 => ScheduleImage::Full(Cow::Owned(rest.schedule()?)),
        (false, false) if offset == 0 => ScheduleImage::Immediate,
        _ => {
            let found = format!("due {due} at offset {offset}, parts {:#x}", core.head.parts);
            return Err(rest.malformed(found, "one way of being scheduled"));
        }
    };
    let customer_bytes = core.customer_bytes.get();
    let customer = match has(parts::CUSTOMER) {
        true => Some(rest.text_of(customer_bytes, "a customer")?),
        false if customer_bytes == 0 => None,
        false => {
            let found = format!("{customer_bytes} bytes of customer");
            return Err(rest.malformed(found, "none, as there is no customer"));
        }
    };
    let contents = match (has(parts::GIVEN), customer) {
        (true, customer) => Contents::Given {
            customer,
            payload: std::mem::take(&mut rest.bytes),
        },
        (false, None) => Contents::Kept,
        (false, Some(_)) => {
            return Err(rest.malformed("a customer", "none, as nothing is given"));
        }
    };
    Ok(RequestImage {
        id: id(core.head.parts, core.id.get()),
        fingerprint: core.fingerprint.get(),
        location: LocationId::from_index(core.location.get()),
        media,
        priority: Priority(core.priority),
        flags: core.flags,
        in_flight: has(parts::IN_FLIGHT),
        due,
        intake: core.intake.get(),
        schedule,
        course,
        contents,
    })
}

fn course(core: &CourseCore) -> CourseImage {
    CourseImage {
        accepted: Timestamp::from_millis(core.accepted.get()),
        eligible: Timestamp::from_millis(core.eligible.get()),
        revision: core.revision.get(),
        attempts: core.attempts.get(),
        attempts_before: core.attempts_before.get(),
        open_attempt: core.open_attempt.get(),
        step: core.step.get(),
        redeliveries: core.redeliveries.get(),
    }
}

fn ended(kind: Kind, rest: &mut Rest<'_>) -> Result<EndedImage, Malformed> {
    let core: &EndedCore = rest.fixed()?;
    rest.only(&core.head, parts::UUID)?;
    rest.zero(&core.unused)?;
    let outcome = rest.outcome(core.outcome)?;
    if (outcome == Outcome::Cancelled) != (kind == Kind::Cancelled) {
        let found = format!("{} with outcome {outcome}", kind.as_str());
        return Err(rest.malformed(found, "an outcome that is its kind's"));
    }
    Ok(EndedImage {
        id: id(core.head.parts, core.id.get()),
        fingerprint: core.fingerprint.get(),
        intake: core.intake.get(),
        location: LocationId::from_index(core.location.get()),
        due: Timestamp::from_millis(core.due.get()),
        ended: Timestamp::from_millis(core.ended.get()),
        attempts: core.attempts.get(),
        revision: core.revision.get(),
        outcome,
        why: rest.why(core.why)?,
    })
}

fn ruled<'a>(rest: &mut Rest<'a>) -> Result<Record<'a>, Malformed> {
    let core: &RuledCore = rest.fixed()?;
    rest.only(&core.head, parts::HELD)?;
    let since = core.held_since.get();
    let held_since = match core.head.parts & parts::HELD {
        0 if since == 0 => None,
        0 => return Err(rest.malformed(format!("held since {since}"), "0, as it is not held")),
        _ => Some(Timestamp::from_millis(since)),
    };
    Ok(Record::Ruled {
        location: LocationId::from_index(core.location.get()),
        held_since,
        pace: core.pace.get(),
    })
}

fn opened<'a>(rest: &mut Rest<'a>) -> Result<Record<'a>, Malformed> {
    let core: &OpenedCore = rest.fixed()?;
    rest.only(&core.head, 0)?;
    rest.zero(&core.unused)?;
    let (seconds, nanos) = (core.interval_seconds.get(), core.interval_nanos.get());
    let durability = match (core.durability, seconds, nanos) {
        (0, 0, 0) => Durability::Sync,
        (1, _, 0..1_000_000_000) => Durability::Interval(Duration::new(seconds, nanos)),
        (2, 0, 0) => Durability::NoSync,
        (code, ..) => {
            let found = format!("durability {code}, interval {seconds} s and {nanos} ns");
            return Err(rest.malformed(found, "a durability that there is"));
        }
    };
    Ok(Record::Opened {
        epoch: core.epoch.get(),
        shards: core.shards.get(),
        durability,
        next_intake: core.next_intake.get(),
    })
}

/// What is left to read of one record.
struct Rest<'a> {
    bytes: &'a [u8],
    /// Where the record begins, for what is said of it.
    offset: usize,
}

impl<'a> Rest<'a> {
    #[cold]
    fn malformed(&self, found: impl Into<String>, expected: &'static str) -> Malformed {
        Malformed::new(self.offset, found, expected)
    }

    #[inline]
    fn fixed<T: FromBytes + KnownLayout + Immutable + Unaligned>(
        &mut self,
    ) -> Result<&'a T, Malformed> {
        match T::ref_from_prefix(self.bytes) {
            Ok((fixed, rest)) => {
                self.bytes = rest;
                Ok(fixed)
            }
            Err(_) => {
                let found = format!("{} bytes left", self.bytes.len());
                Err(self.malformed(found, "a part of fixed length"))
            }
        }
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], Malformed> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.bytes.split_at_checked(length));
        let Some((taken, rest)) = split else {
            let found = format!("length {length} with {} bytes left", self.bytes.len());
            return Err(self.malformed(found, "a length that the record has room for"));
        };
        self.bytes = rest;
        Ok(taken)
    }

    /// Text of this many bytes.
    fn text_of(&mut self, length: u32, what: &'static str) -> Result<&'a str, Malformed> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map_err(|_| self.malformed(format!("{what} that is no UTF-8"), "UTF-8"))
    }

    /// The rest, as text.
    fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.text_of(length, what)
    }

    fn schedule(&mut self) -> Result<ScheduleData, Malformed> {
        let length: &U32 = self.fixed()?;
        let stored = self.take(length.get())?;
        ScheduleData::from_stored(stored)
            .map_err(|error| self.malformed(error.found, error.expected))
    }

    fn outcome(&self, code: u8) -> Result<Outcome, Malformed> {
        Outcome::from_code(code)
            .ok_or_else(|| self.malformed(format!("outcome {code}"), "a known outcome"))
    }

    /// A reason, whose words are all that is left.
    fn why(&mut self, code: u8) -> Result<Why, Malformed> {
        match code {
            WHY_PLAIN => Ok(Why::Plain),
            WHY_TOLD => Ok(Why::Told(self.text("a reason")?.into())),
            _ => Rule::from_code(code)
                .map(Why::Rule)
                .ok_or_else(|| self.malformed(format!("reason {code}"), "a known reason")),
        }
    }

    /// Refuses parts that a record of this kind does not have.
    #[inline]
    fn only(&self, head: &Head, known: u8) -> Result<(), Malformed> {
        if head.parts & !known == 0 {
            return Ok(());
        }
        Err(self.malformed(format!("parts {:#x}", head.parts), "known parts"))
    }

    #[inline]
    fn zero(&self, unused: &[u8]) -> Result<(), Malformed> {
        if unused.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        Err(self.malformed(format!("{unused:?} in an unused place"), "zeros"))
    }
}
