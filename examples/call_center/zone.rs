//! The centre's time zone: civil dates and times of day to instants and back.

use std::str::FromStr;

use duewheel::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::records::ClockTime;

/// An IANA time zone, from the tz database that is compiled in.
#[derive(Clone, Debug)]
pub(crate) struct Zone(TimeZone);

impl Zone {
    /// The instant that clocks there show so. A time inside a DST gap moves forward by the gap's length; of an
    /// overlap the first is meant. `None` before 1970 UTC, which the engine's times do not reach.
    pub(crate) fn instant(&self, date: Date, time: ClockTime) -> Option<Timestamp> {
        let (hour, rest) = (time.0 / 3600, time.0 % 3600);
        let civil = date.at(hour as i8, (rest / 60) as i8, (rest % 60) as i8, 0);
        let millis = self.0.to_timestamp(civil).ok()?.as_millisecond();
        u64::try_from(millis).ok().map(Timestamp::from_millis)
    }

    /// What clocks there show at an instant; `None` beyond the year 9999.
    pub(crate) fn civil(&self, instant: Timestamp) -> Option<DateTime> {
        let millis = i64::try_from(instant.as_millis()).ok()?;
        let instant = jiff::Timestamp::from_millisecond(millis).ok()?;
        Some(self.0.to_datetime(instant))
    }

    /// The day that an instant belongs to for the centre's staff: until 03:00 it is still the evening before.
    pub(crate) fn business_day(&self, instant: Timestamp) -> Option<Date> {
        let civil = self.civil(instant)?;
        if civil.hour() < 3 {
            civil.date().yesterday().ok()
        } else {
            Some(civil.date())
        }
    }

    /// The zone's name, where it has one.
    pub(crate) fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("unnamed")
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        TimeZone::get(name)
            .map(Self)
            .map_err(|_| "expected a time zone of the IANA database, such as Asia/Jerusalem".into())
    }
}
