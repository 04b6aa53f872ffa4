//! [`PointInTime`]: a timestamp that remembers the wall clock it was written as.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::AmbiguousOffset;

use super::zones::Zone;
use crate::ids::{Timestamp, excerpt, rfc3339};

/// A point in time and the wall clock it was written as: in UTC, at a fixed offset, or in a time zone.
///
/// The engine sees [`timestamp`](Self::timestamp) alone; the wall clock is what
/// [`days_later`](Self::days_later) goes by and what is written back. 16 bytes, no allocation.
///
/// # JSON
/// Either an RFC 3339 string with offset, `"2026-01-05T09:00:00+02:00"`, or a local date-time and an IANA
/// zone, `{"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}`.
///
/// - Fractions of a millisecond round up, ends of spans too: an end is exclusive, so the last whole
///   millisecond before it stays inside, and the span that begins there begins on the next.
/// - The shape is RFC 3339's and nothing else: a `T` between date and time, seconds, a full offset, no `[Zone]` annotation. `t` and `z` may be
///   lower case. `+00:00` and `-00:00` count as `Z`. A leap second (`:60`) is read as second 59, as jiff does.
/// - The zone comes from the compiled-in database and is found in any case. A local time inside a DST gap
///   moves forward by the gap's length; of an overlap the first is meant.
/// - A text is for a time from 1970 to the last millisecond of year 9999, both in UTC and after rounding;
///   anything else is an error. A time past that, which only a program makes, is written, and read, as its
///   number of milliseconds since the epoch; a smaller number is an error, since it may as well be seconds.
///
/// The serde form needs a self-describing format.
#[derive(Clone, PartialEq, Eq)]
pub struct PointInTime {
    timestamp: Timestamp,
    written: Written,
}

/// How the time was written. The wall clock is the timestamp plus the offset in all three.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Utc,
    /// Seconds east of UTC, not zero.
    Offset(i32),
    /// The offset is the one that was applied: inside a gap, the one before it. So the wall clock as written
    /// comes out again, although no clock in the zone ever showed it.
    Zone {
        zone: Zone,
        offset: i32,
    },
}

impl PointInTime {
    /// Reads an RFC 3339 time with offset, such as `2026-01-05T09:00:00+02:00`.
    ///
    /// # Errors
    /// Where the text is not RFC 3339, has no offset, or lies before 1970 or past year 9999 in UTC.
    pub fn rfc3339(text: &str) -> Result<Self, PointInTimeError> {
        let error = |expected| PointInTimeError {
            value: excerpt(text),
            expected,
        };
        let (wall, offset) = rfc3339::parse(text).ok_or_else(|| error(EXPECTED_RFC_3339))?;
        let offset = offset.ok_or_else(|| error(EXPECTED_OFFSET))?;
        let millis = wall
            .at_offset(offset)
            .ok_or_else(|| error(EXPECTED_EPOCH))?;
        Ok(Self::at_offset(Timestamp::from_millis(millis), offset))
    }

    /// The time at which clocks in the IANA zone `zone` show `civil` (`2026-01-05T10:00:00`, without offset).
    ///
    /// Inside a DST gap the time moves forward by the gap's length; of an overlap the first is meant.
    ///
    /// # Errors
    /// Where `civil` is no date-time or has an offset, where the database knows no such zone, and where the
    /// time lies before 1970 or past year 9999 in UTC, or rounds up past year 9999 on the zone's clocks.
    pub fn local(civil: &str, zone: &str) -> Result<Self, PointInTimeError> {
        let (local, zone) = (LocalText::read(civil)?, ZoneText::read(zone)?);
        Self::in_zone(local, zone).ok_or_else(|| PointInTimeError {
            value: format!("{}[{}]", excerpt(civil), zone.0.name()),
            expected: EXPECTED_EPOCH,
        })
    }

    /// The point in time itself.
    #[must_use]
    #[inline]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The same wall clock `days` days later, in the zone or offset as written.
    ///
    /// It is the clock *as written* that moves: 02:30 moved by a spring gap to 03:30 is 02:30 again the day
    /// after. `None` where the result cannot be represented: past `u64::MAX` milliseconds, or, written with
    /// a zone or an offset other than UTC, past year 9999 on that clock or in UTC.
    #[must_use]
    pub fn days_later(&self, days: u32) -> Option<Self> {
        let millis = self.timestamp.as_millis();
        let day_millis = u64::from(days) * DAY_MILLIS;
        match self.written {
            Written::Utc => millis
                .checked_add(day_millis)
                .map(|millis| Timestamp::from_millis(millis).into()),
            Written::Offset(offset) => {
                let millis = millis.checked_add(day_millis)?;
                (millis <= rfc3339::LAST_MILLIS && rfc3339::civil_at(millis, offset).is_some())
                    .then(|| Self::at_offset(Timestamp::from_millis(millis), offset))
            }
            Written::Zone { zone, offset } => {
                // The wall clock is moved as if its offset were fixed, and only then given to the zone.
                let civil = rfc3339::civil_at(millis.checked_add(day_millis)?, offset)?;
                Self::in_zone(LocalText::from_civil(civil), ZoneText(zone))
            }
        }
    }

    pub(crate) fn written(&self) -> &Written {
        &self.written
    }

    /// The wall clock as written; `None` past year 9999.
    pub(super) fn civil(&self) -> Option<DateTime> {
        let offset = match self.written {
            Written::Utc => 0,
            Written::Offset(offset) | Written::Zone { offset, .. } => offset,
        };
        rfc3339::civil_at(self.timestamp.as_millis(), offset)
    }

    /// The offset from UTC in seconds that it was written at; `None` where it was written in a zone.
    pub(super) fn fixed_offset(&self) -> Option<i32> {
        match self.written {
            Written::Utc => Some(0),
            Written::Offset(offset) => Some(offset),
            Written::Zone { .. } => None,
        }
    }

    /// The point that [`fixed_offset`](Self::fixed_offset) told the offset of.
    pub(super) const fn from_fixed_offset(timestamp: Timestamp, offset: i32) -> Self {
        let written = if offset == 0 {
            Written::Utc
        } else {
            Written::Offset(offset)
        };
        Self { timestamp, written }
    }

    /// The point at this offset from UTC in seconds; `None` where no text says it.
    pub(super) fn checked_fixed_offset(timestamp: Timestamp, offset: i32) -> Option<Self> {
        let of_a_text = offset.unsigned_abs() <= FIXED_OFFSET_MAX && offset % 60 == 0;
        (offset == 0 || (of_a_text && has_text(timestamp, offset)))
            .then(|| Self::from_fixed_offset(timestamp, offset))
    }

    /// The point that was written in this zone, and put at this offset from UTC in seconds then; `None` where that
    /// cannot be.
    ///
    /// What was decided then stands, whatever the database says of the zone by now. Where it no longer knows the
    /// zone, the point stays in time, and keeps the offset where a text can say it, as nearly all can; of a clock that
    /// was not whole minutes from UTC, UTC is left.
    pub(super) fn from_zone_name(timestamp: Timestamp, zone: &str, offset: i32) -> Option<Self> {
        if offset.unsigned_abs() > ZONE_OFFSET_MAX || !has_text(timestamp, offset) {
            return None;
        }
        Some(match Zone::find(zone) {
            Some(zone) => Self {
                timestamp,
                written: Written::Zone { zone, offset },
            },
            None => {
                Self::checked_fixed_offset(timestamp, offset).unwrap_or_else(|| timestamp.into())
            }
        })
    }

    fn at_offset(timestamp: Timestamp, offset: i32) -> Self {
        let point = Self::from_fixed_offset(timestamp, offset);
        // A clock ahead of UTC that rounded up past year 9999 has no text to remember an offset for.
        if point.civil().is_some() {
            point
        } else {
            timestamp.into()
        }
    }

    /// `None` where the result lies before 1970 or past year 9999, in UTC or, rounded up, on the zone's clocks.
    pub(super) fn in_zone(local: LocalText, zone: ZoneText) -> Option<Self> {
        // Rounded before the zone is applied: at the end of an overlap, what rounds up to the next
        // second is a clock that the zone shows only once.
        let wall = local.wall.carried()?;
        let offset = match zone.0.rules()?.to_ambiguous_timestamp(wall.civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            // The offset before a gap moves the time forward by the gap; before an overlap it is the first.
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
        };
        let offset = offset.seconds();
        let timestamp = Timestamp::from_millis(wall.at_offset(offset)?);
        let point = Self {
            timestamp,
            written: Written::Zone {
                zone: zone.0,
                offset,
            },
        };
        point.civil().is_some().then_some(point)
    }
}

/// Whether the point has a text in UTC and on a clock at this offset: neither lies past year 9999.
fn has_text(timestamp: Timestamp, offset: i32) -> bool {
    const LAST: i64 = rfc3339::LAST_MILLIS as i64;
    let on_clock = |millis: i64| millis + i64::from(offset) * 1000 <= LAST;
    i64::try_from(timestamp.as_millis()).is_ok_and(|millis| millis <= LAST && on_clock(millis))
}

/// 23:59, the greatest offset from UTC that a text can have, in seconds.
const FIXED_OFFSET_MAX: u32 = (23 * 60 + 59) * 60;

/// The greatest offset of a zone's clock from UTC that jiff represents, in seconds.
const ZONE_OFFSET_MAX: u32 = 93_599;

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

pub(super) const EXPECTED_RFC_3339: &str =
    "an RFC 3339 time with offset, such as 2026-01-05T09:00:00+02:00";
pub(super) const EXPECTED_OFFSET: &str = "an offset at the end, such as Z or +02:00 (a local time is written with its zone: {\"local\": .., \"zone\": ..})";
pub(super) const EXPECTED_EPOCH: &str =
    "a time from 1970-01-01T00:00:00Z to the end of year 9999 in UTC";
pub(super) const EXPECTED_LOCAL: &str =
    "a local date-time without offset, such as 2026-01-05T10:00:00";
pub(super) const EXPECTED_ZONE: &str = "an IANA time zone, such as Asia/Jerusalem";

/// A local date-time, read but not yet given to a zone.
#[derive(Clone, Copy)]
pub(super) struct LocalText {
    wall: rfc3339::WallClock,
}

impl LocalText {
    pub(super) fn read(text: &str) -> Result<Self, PointInTimeError> {
        match rfc3339::parse(text) {
            Some((wall, None)) => Ok(Self { wall }),
            _ => Err(PointInTimeError {
                value: excerpt(text),
                expected: EXPECTED_LOCAL,
            }),
        }
    }

    fn from_civil(civil: DateTime) -> Self {
        Self {
            wall: rfc3339::WallClock::from_civil(civil),
        }
    }
}

/// To the second, for what is said of it where no time comes of it.
impl fmt::Display for LocalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rfc3339::write_civil(self.wall.civil, f)
    }
}

/// A zone that the database knows.
#[derive(Clone, Copy)]
pub(super) struct ZoneText(Zone);

impl ZoneText {
    pub(super) fn read(name: &str) -> Result<Self, PointInTimeError> {
        Zone::find(name).map(Self).ok_or_else(|| PointInTimeError {
            value: excerpt(name),
            expected: EXPECTED_ZONE,
        })
    }
}

impl From<Timestamp> for PointInTime {
    #[inline]
    fn from(timestamp: Timestamp) -> Self {
        Self {
            timestamp,
            written: Written::Utc,
        }
    }
}

impl From<&PointInTime> for PointInTime {
    fn from(point: &PointInTime) -> Self {
        point.clone()
    }
}

/// As written: `2026-01-05T09:00:00+02:00`, or `2026-01-05T10:00:00[Asia/Jerusalem]`.
impl fmt::Display for PointInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(civil), false) = (self.civil(), self.written == Written::Utc) else {
            return self.timestamp.fmt(f);
        };
        rfc3339::write_civil(civil, f)?;
        match self.written {
            Written::Utc => Ok(()),
            Written::Offset(offset) => {
                let minutes = offset.unsigned_abs() / 60;
                write!(
                    f,
                    "{}{:02}:{:02}",
                    if offset < 0 { '-' } else { '+' },
                    minutes / 60,
                    minutes % 60
                )
            }
            Written::Zone { zone, .. } => write!(f, "[{}]", zone.name()),
        }
    }
}

impl fmt::Debug for PointInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PointInTime({self})")
    }
}

impl Written {
    /// The zone's name, where there is one.
    pub(crate) fn zone_name(&self) -> Option<&'static str> {
        match self {
            Self::Zone { zone, .. } => Some(zone.name()),
            _ => None,
        }
    }
}

impl fmt::Display for ZoneText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// A text that is no point in time; names the text (cut at some 80 bytes) and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {expected}")]
pub struct PointInTimeError {
    value: String,
    expected: &'static str,
}

impl PointInTimeError {
    /// The text at fault, cut where it is long: the whole time, or the zone, or, where the two together are
    /// at fault, `1970-01-01T01:00:00[Asia/Jerusalem]`.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What was expected.
    #[must_use]
    pub fn expected(&self) -> &str {
        self.expected
    }

    pub(super) fn static_expected(&self) -> &'static str {
        self.expected
    }
}
