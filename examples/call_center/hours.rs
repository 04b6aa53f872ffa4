//! Opening hours, and what they make of a request to be called back.
//!
//! Open Sunday to Thursday 07:00-24:00, Friday 07:00-14:00, Saturday 20:00-24:00: one period every day of the
//! week, opening inclusive, closing exclusive, by the centre's own clocks (so that a period across a DST change
//! is an hour shorter or longer). 24:00 is the next day's first instant.

use std::time::Duration;

use duewheel::{Media, Timestamp};
use jiff::civil::{Date, Weekday};

use crate::records::ClockTime;
use crate::zone::Zone;

const HOUR: Duration = Duration::from_secs(3600);

/// From when they left the queue to the first processing time.
const CALL_BACK_AFTER: Duration = Duration::from_secs(15 * 60);

/// When the centre is open.
#[derive(Clone, Debug)]
pub(crate) struct OpeningHours {
    zone: Zone,
}

/// One opening, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) opening: Timestamp,
    pub(crate) closing: Timestamp,
}

/// When and how somebody is called back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallBack {
    /// The first processing time, inside opening hours.
    pub(crate) first: Timestamp,
    /// An hour later, unconditional, where that is before closing; the first time is conditional exactly then.
    pub(crate) second: Option<Timestamp>,
    /// The closing after the first time: the end of the request's life.
    pub(crate) closing: Timestamp,
    /// From, until and media of the answer; without empty windows.
    pub(crate) answers: Vec<(Timestamp, Timestamp, Media)>,
}

impl OpeningHours {
    pub(crate) fn new(zone: Zone) -> Self {
        Self { zone }
    }

    /// Whether the centre is open then.
    pub(crate) fn is_open(&self, at: Timestamp) -> bool {
        self.period_from(at)
            .is_some_and(|period| period.opening <= at)
    }

    /// The period around `at`, or else the next one. `None` where the calendar ends.
    pub(crate) fn period_from(&self, at: Timestamp) -> Option<Period> {
        let mut date = self.zone.civil(at)?.date();
        loop {
            let period = self.period_of(date)?;
            // A day's period ends within it, so at most one is passed over; a zone that skipped a whole day
            // (Apia in 2011) leaves an empty one to pass over too.
            if period.closing > at.max(period.opening) {
                return Some(period);
            }
            date = date.tomorrow().ok()?;
        }
    }

    /// How somebody who left the queue (or a message) at `left` is called back: after a quarter of an hour,
    /// moved to the next opening where the centre is closed then, and an hour after that.
    ///
    /// `None` where the calendar ends.
    pub(crate) fn call_back(&self, left: Timestamp) -> Option<CallBack> {
        let wished = left.saturating_add(CALL_BACK_AFTER);
        let Period { opening, closing } = self.period_from(wished)?;
        let first = wished.max(opening);
        let second = Some(first.saturating_add(HOUR)).filter(|second| *second < closing);
        // Whoever is called back within the last hour gets a message from the start.
        let messages_from = closing.saturating_sub(HOUR).max(first);
        let answers = [
            (first, messages_from, Media::Voice),
            (messages_from, closing, Media::Sms),
        ];
        Some(CallBack {
            first,
            second,
            closing,
            answers: answers
                .into_iter()
                .filter(|(from, until, _)| from < until)
                .collect(),
        })
    }

    fn period_of(&self, date: Date) -> Option<Period> {
        let hour = |hours: i32| ClockTime(hours * 3600);
        let (opening, closing) = match date.weekday() {
            Weekday::Friday => (hour(7), Some(hour(14))),
            Weekday::Saturday => (hour(20), None),
            _ => (hour(7), None),
        };
        let closing = match closing {
            Some(closing) => self.zone.instant(date, closing)?,
            None => self.zone.instant(date.tomorrow().ok()?, ClockTime::ZERO)?,
        };
        Some(Period {
            opening: self.zone.instant(date, opening)?,
            closing,
        })
    }
}
