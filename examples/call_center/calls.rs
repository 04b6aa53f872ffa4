//! What a record means: its class, its instants, who served it.
//!
//! Arrival is `vru_entry` on the record's date. Of the recorded durations `q_time` and `ser_time` are
//! authoritative; the voice unit's is not (it may be negative). A later time of day more than 12 hours smaller
//! than `vru_entry` belongs to the next day. In the columns after `vru_entry`, `0:00:00` is midnight or "never",
//! and the other columns tell which:
//!
//! - *Leaving the queue* is `q_start` and `q_time` later; with a `q_start` of 0:00:00 it is `q_exit`; with
//!   that 0:00:00 as well it is arrival, voice unit time (negative: none) and `q_time`. Never before arrival.
//! - *Service* starts at `ser_start`; with 0:00:00 there, `ser_time` before `ser_exit`; with both 0:00:00 (real
//!   records of a named server and no times), when the queue was left. It lasts `ser_time`, at least 1 s.

use std::time::Duration;

use duewheel::Timestamp;
use jiff::civil::Date;

use crate::records::{ClockTime, Ending, Record, RecordError};
use crate::zone::Zone;

/// The class of a record; each falls into exactly one, by the first rule that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// PHANTOM: ignored.
    Phantom,
    /// Service TT, left a message asking to be called back, whoever answered it: deferrable.
    CallBackRequest,
    /// HANG that had waited: deferrable.
    AbandonedInQueue,
    /// Other HANG: the caller never reached the queue.
    AbandonedBeforeQueue,
    /// AGENT: a non-scheduled interaction.
    Agent,
}

impl Class {
    pub(crate) fn of(record: &Record) -> Self {
        match record.ending {
            Ending::Phantom => Self::Phantom,
            _ if record.service == "TT" => Self::CallBackRequest,
            Ending::Hang if record.q_time > 0 => Self::AbandonedInQueue,
            Ending::Hang => Self::AbandonedBeforeQueue,
            Ending::Agent => Self::Agent,
        }
    }

    /// Whether the customer may be served later.
    pub(crate) fn is_deferrable(self) -> bool {
        matches!(self, Self::CallBackRequest | Self::AbandonedInQueue)
    }
}

/// A record with its instants.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) record: Record,
    pub(crate) class: Class,
    pub(crate) arrival: Timestamp,
    /// When the caller left the queue, or the message.
    pub(crate) left: Timestamp,
    pub(crate) service: Option<Service>,
}

/// A service by a named agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The day whose agents include this one.
    pub(crate) day: Date,
}

impl Call {
    /// Places a record in time.
    ///
    /// # Errors
    /// Where an instant lies before 1970, or beyond the calendar.
    pub(crate) fn new(record: Record, zone: &Zone) -> Result<Self, RecordError> {
        match Self::place(&record, zone) {
            Some((class, arrival, left, service)) => Ok(Self {
                record,
                class,
                arrival,
                left,
                service,
            }),
            None => Err(RecordError {
                line: record.line,
                column: "date".into(),
                value: format!("{:?}", record.date.strftime("%y%m%d").to_string()),
                expected: "a date whose calls begin and end after 1970-01-01T00:00:00Z".into(),
            }),
        }
    }

    /// How long an agent is busy with it.
    pub(crate) fn service_seconds(record: &Record) -> u32 {
        record.ser_time.max(1)
    }

    fn place(
        record: &Record,
        zone: &Zone,
    ) -> Option<(Class, Timestamp, Timestamp, Option<Service>)> {
        let class = Class::of(record);
        let arrival = zone.instant(record.date, record.vru_entry)?;
        let queue_left = queue_left(record, zone, arrival)?;
        let left = match class {
            Class::CallBackRequest => arrival,
            _ => queue_left,
        };
        Some((
            class,
            arrival,
            left,
            service(record, zone, queue_left, class)?,
        ))
    }
}

/// A time of day after `vru_entry`, on the record's date or the next.
fn later(record: &Record, zone: &Zone, time: ClockTime) -> Option<Timestamp> {
    let next_day = record.vru_entry.0 - time.0 > 12 * 3600;
    let date = if next_day {
        record.date.tomorrow().ok()?
    } else {
        record.date
    };
    zone.instant(date, time)
}

fn queue_left(record: &Record, zone: &Zone, arrival: Timestamp) -> Option<Timestamp> {
    let waited = seconds(record.q_time);
    let left = if record.q_start != ClockTime::ZERO {
        later(record, zone, record.q_start)?.saturating_add(waited)
    } else if record.q_exit != ClockTime::ZERO {
        later(record, zone, record.q_exit)?
    } else {
        let vru_time = u32::try_from(record.vru_time).unwrap_or(0);
        arrival
            .saturating_add(seconds(vru_time))
            .saturating_add(waited)
    };
    Some(left.max(arrival))
}

/// The service that makes its agent one of the day's; the outer `None` is a time out of range.
fn service(
    record: &Record,
    zone: &Zone,
    queue_left: Timestamp,
    class: Class,
) -> Option<Option<Service>> {
    let timed = record.ser_start != ClockTime::ZERO || record.ser_exit != ClockTime::ZERO;
    let served = timed || record.ending == Ending::Agent;
    if record.server.is_none() || class == Class::Phantom || !served {
        return Some(None);
    }
    let length = seconds(Call::service_seconds(record));
    let start = if record.ser_start != ClockTime::ZERO {
        later(record, zone, record.ser_start)?
    } else if record.ser_exit != ClockTime::ZERO {
        later(record, zone, record.ser_exit)?.saturating_sub(length)
    } else {
        queue_left
    };
    Some(Some(Service {
        start,
        end: start.saturating_add(length),
        day: zone.business_day(start)?,
    }))
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
