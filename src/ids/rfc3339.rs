//! Wall-clock texts: the one reader and the one writer of `YYYY-MM-DDTHH:MM:SS[.fraction]`, with or without
//! an offset.
//!
//! The shape is RFC 3339's and nothing more: jiff's own parser also reads spaces for the `T`, compact dates,
//! missing seconds and `[Zone]` annotations, and does not reach the last day of year 9999. The calendar
//! (month lengths, leap years, ranges) is jiff's.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// 9999-12-31T23:59:59.999Z, the last point in time that has a text.
pub(crate) const LAST_MILLIS: u64 = 253_402_300_799_999;

/// A wall clock as written: no zone applied yet.
#[derive(Clone, Copy)]
pub(crate) struct WallClock {
    /// Without the fraction of a second.
    pub(crate) civil: DateTime,
    /// The fraction in milliseconds, rounded up: 0 to 1000.
    fraction_millis: i64,
}

impl WallClock {
    /// The wall clock that shows `civil`, which has whole milliseconds.
    pub(crate) fn from_civil(civil: DateTime) -> Self {
        let fraction_millis = i64::from(civil.subsec_nanosecond() / 1_000_000);
        // Only ever less than what was there, so the calendar cannot object.
        Self {
            civil: civil.with().subsec_nanosecond(0).build().unwrap_or(civil),
            fraction_millis,
        }
    }

    /// With a fraction that rounded up to a whole second carried over; `None` past year 9999.
    pub(crate) fn carried(self) -> Option<Self> {
        if self.fraction_millis < 1000 {
            return Some(self);
        }
        let civil = self.civil.checked_add(SignedDuration::from_secs(1)).ok()?;
        Some(Self {
            civil,
            fraction_millis: 0,
        })
    }

    /// Milliseconds since the Unix epoch where this wall clock runs `offset_seconds` ahead of UTC; `None`
    /// before the epoch, even where rounding would reach it, and past [`LAST_MILLIS`].
    pub(crate) fn at_offset(&self, offset_seconds: i32) -> Option<u64> {
        let seconds = self.civil.duration_since(EPOCH).as_secs() - i64::from(offset_seconds);
        if seconds < 0 {
            return None;
        }
        u64::try_from(seconds * 1000 + self.fraction_millis)
            .ok()
            .filter(|&millis| millis <= LAST_MILLIS)
    }
}

/// Reads a text; `None` where it is not of the shape. The offset is in seconds east of UTC, `None` where
/// none is written.
///
/// A leap second (`:60`) is read as second 59, as jiff does: Unix time has no number for it.
pub(crate) fn parse(text: &str) -> Option<(WallClock, Option<i32>)> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 19
        || separators.iter().any(|&(at, byte)| bytes[at] != byte)
        || !matches!(bytes[10], b'T' | b't')
    {
        return None;
    }
    let two = |at: usize| digits(&bytes[at..at + 2]).map(|value| value as i8);
    let year = digits(&bytes[..4])? as i16;
    let second = two(17)?;
    let second = if second == 60 { 59 } else { second };
    let civil = DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, second, 0).ok()?;
    let (fraction_millis, rest) = fraction(&bytes[19..])?;
    Some((
        WallClock {
            civil,
            fraction_millis,
        },
        offset(rest)?,
    ))
}

/// Milliseconds of `.ddd...`, rounded up, and what follows.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after_dot) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = after_dot
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if length == 0 {
        return None;
    }
    let (fraction, rest) = after_dot.split_at(length);
    let digit = |at: usize| i64::from(fraction.get(at).map_or(0, |byte| byte - b'0'));
    let millis = digit(0) * 100 + digit(1) * 10 + digit(2);
    let above = fraction.iter().skip(3).any(|&byte| byte != b'0');
    Some((millis + i64::from(above), rest))
}

/// `Z`, `+hh:mm` or `-hh:mm`, or nothing.
#[allow(clippy::option_option)] // Outer: the shape; inner: whether an offset is written.
fn offset(bytes: &[u8]) -> Option<Option<i32>> {
    match bytes {
        [] => Some(None),
        [b'Z' | b'z'] => Some(Some(0)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            Some(Some(if *sign == b'-' { -seconds } else { seconds }))
        }
        _ => None,
    }
}

fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i32::from(byte - b'0'))
    })
}

/// The wall clock that runs `offset_seconds` ahead of UTC at `millis`; `None` past year 9999 (and, west of
/// Greenwich, never before 1969).
pub(crate) fn civil_at(millis: u64, offset_seconds: i32) -> Option<DateTime> {
    let wall = i64::try_from(millis)
        .ok()?
        .checked_add(i64::from(offset_seconds) * 1000)?;
    EPOCH.checked_add(SignedDuration::from_millis(wall)).ok()
}

/// Writes a wall clock; milliseconds only where there are any.
pub(crate) fn write_civil(civil: DateTime, out: &mut impl fmt::Write) -> fmt::Result {
    let (date, time) = (civil.date(), civil.time());
    write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )?;
    if time.subsec_nanosecond() == 0 {
        Ok(())
    } else {
        write!(out, ".{:03}", time.millisecond())
    }
}
