//! Call records as text: 17 tab-separated columns, one header line.
//!
//! Parsing says what a line *says*; what it *means* (instants, classes) is [`crate::calls`]'s business. Real
//! data is rough, so only what cannot be read at all is an error: the wrong number of columns, or a date,
//! time, duration, priority or outcome that is none. Customer ids and service codes are text; voice-unit
//! times may be negative; no order or agreement between the columns is asked for.
//!
//! Decided where the format is silent:
//! - Lines end with LF or CRLF; the last one need not end at all. A byte order mark is skipped.
//! - The header must be there and name the 17 columns in order. With another header the columns may mean
//!   something else, so that is never skipped over. A file of nothing but the header has no records.
//! - Every further line is a record; an empty one has one column instead of 17.
//! - Spaces around a value do not count.

use std::borrow::Cow;
use std::fmt;

use jiff::civil::Date;

/// The columns, in order.
pub(crate) const COLUMNS: [&str; 17] = [
    "vru+line",
    "call_id",
    "customer_id",
    "priority",
    "type",
    "date",
    "vru_entry",
    "vru_exit",
    "vru_time",
    "q_start",
    "q_exit",
    "q_time",
    "outcome",
    "ser_start",
    "ser_exit",
    "ser_time",
    "server",
];

/// One call, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Line number in the file, the header being line 1.
    pub(crate) line: u64,
    /// The telephone line it came in by.
    pub(crate) location: String,
    /// Text as it stands; `0` where the caller is not identified.
    pub(crate) customer: String,
    /// Larger is more urgent.
    pub(crate) priority: u8,
    /// The service code.
    pub(crate) service: String,
    /// The local date of `vru_entry`.
    pub(crate) date: Date,
    pub(crate) vru_entry: ClockTime,
    /// Seconds in the voice unit; negative in real data.
    pub(crate) vru_time: i32,
    pub(crate) q_start: ClockTime,
    pub(crate) q_exit: ClockTime,
    /// Seconds in the queue.
    pub(crate) q_time: u32,
    pub(crate) ending: Ending,
    pub(crate) ser_start: ClockTime,
    pub(crate) ser_exit: ClockTime,
    /// Seconds of service.
    pub(crate) ser_time: u32,
    /// The agent, where one is named.
    pub(crate) server: Option<String>,
}

/// A time of day, local, in seconds after midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClockTime(pub(crate) i32);

impl ClockTime {
    /// `0:00:00`: midnight, or in the columns after `vru_entry` also "never".
    pub(crate) const ZERO: Self = Self(0);
}

/// How the call ended, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An agent served it.
    Agent,
    /// The caller hung up.
    Hang,
    /// To be ignored.
    Phantom,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordError {
    pub(crate) line: u64,
    pub(crate) column: Cow<'static, str>,
    pub(crate) value: String,
    pub(crate) expected: Cow<'static, str>,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            value,
            expected,
        } = self;
        write!(
            f,
            "line {line}, column {column}: {value}: expected {expected}"
        )
    }
}

impl std::error::Error for RecordError {}

/// Reads a whole file: its records in the order of the lines, each read or refused by itself.
///
/// # Errors
/// Where the header is not the one of the format.
pub(crate) fn read(
    text: &[u8],
) -> Result<impl Iterator<Item = Result<Record, RecordError>>, RecordError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut lines = (1..).zip(text.split(|&byte| byte == b'\n'));
    let (_, header) = lines
        .next()
        .expect("splitting anything gives at least one part");
    check_header(header)?;
    Ok(lines.map(|(line, bytes)| Record::parse(line, bytes)))
}

fn check_header(bytes: &[u8]) -> Result<(), RecordError> {
    let fields = Fields::split(1, bytes)?;
    for (index, column) in COLUMNS.iter().enumerate() {
        if fields.text(index)? != *column {
            return Err(fields.wrong(index, format!("the header `{column}`")));
        }
    }
    Ok(())
}

impl Record {
    /// Reads one line, without its line feed.
    pub(crate) fn parse(line: u64, bytes: &[u8]) -> Result<Self, RecordError> {
        let fields = Fields::split(line, bytes)?;
        let location = fields.text(0)?;
        fields.text(1)?;
        let customer = fields.text(2)?;
        let priority = fields.number(3, "a whole number from 0 to 255")?;
        let service = fields.text(4)?;
        let date = fields.date(5)?;
        let vru_entry = fields.time(6)?;
        fields.time(7)?;
        let vru_time = fields.number(8, "whole seconds, such as 9 or -31")?;
        let q_start = fields.time(9)?;
        let q_exit = fields.time(10)?;
        let q_time = fields.number(11, WHOLE_SECONDS)?;
        let ending = match fields.text(12)? {
            "AGENT" => Ending::Agent,
            "HANG" => Ending::Hang,
            "PHANTOM" => Ending::Phantom,
            _ => return Err(fields.wrong(12, "AGENT, HANG or PHANTOM")),
        };
        let ser_start = fields.time(13)?;
        let ser_exit = fields.time(14)?;
        let ser_time = fields.number(15, WHOLE_SECONDS)?;
        let server = fields.text(16)?;
        Ok(Self {
            line,
            location: location.to_owned(),
            customer: customer.to_owned(),
            priority,
            service: service.to_owned(),
            date,
            vru_entry,
            vru_time,
            q_start,
            q_exit,
            q_time,
            ending,
            ser_start,
            ser_exit,
            ser_time,
            server: (!matches!(server, "" | "NO_SERVER")).then(|| server.to_owned()),
        })
    }
}

const WHOLE_SECONDS: &str = "whole seconds, 0 or more";

/// A line's values, and their place for errors.
struct Fields<'a> {
    line: u64,
    values: [&'a [u8]; COLUMNS.len()],
}

impl<'a> Fields<'a> {
    fn split(line: u64, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let mut values = [&[][..]; COLUMNS.len()];
        let mut count = 0;
        for value in bytes.split(|&byte| byte == b'\t') {
            if let Some(place) = values.get_mut(count) {
                *place = value.trim_ascii();
            }
            count += 1;
        }
        if count == COLUMNS.len() {
            return Ok(Self { line, values });
        }
        // Named is the first column that is missing, or the first that is too many.
        let column = match COLUMNS.get(count) {
            Some(missing) => Cow::Borrowed(*missing),
            None => Cow::Owned(format!("number {}", COLUMNS.len() + 1)),
        };
        let value = match count {
            1 if bytes.is_empty() => "an empty line".to_owned(),
            1 => "1 column".to_owned(),
            _ => format!("{count} columns"),
        };
        Err(RecordError {
            line,
            column,
            value,
            expected: "17 columns, separated by tabs".into(),
        })
    }

    fn text(&self, column: usize) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.values[column]).map_err(|_| self.wrong(column, "UTF-8 text"))
    }

    fn number<N: std::str::FromStr>(
        &self,
        column: usize,
        expected: &'static str,
    ) -> Result<N, RecordError> {
        let text = self.text(column)?;
        // The standard library would take a plus sign.
        if text.starts_with('+') {
            return Err(self.wrong(column, expected));
        }
        text.parse().map_err(|_| self.wrong(column, expected))
    }

    /// `yymmdd`; years from 70 on are of the last century.
    fn date(&self, column: usize) -> Result<Date, RecordError> {
        let date = || {
            let text = self.text(column).ok()?;
            let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
            let part = |at: usize| text[at..at + 2].parse::<i16>().ok();
            let (year, month, day) = digits.then(|| Some((part(0)?, part(2)?, part(4)?)))??;
            let century = if year < 70 { 2000 } else { 1900 };
            Date::new(century + year, month as i8, day as i8).ok()
        };
        date().ok_or_else(|| self.wrong(column, "a date as yymmdd"))
    }

    /// `H:MM:SS`, from 0:00:00 to 23:59:59.
    fn time(&self, column: usize) -> Result<ClockTime, RecordError> {
        let part = |text: &str, digits: std::ops::RangeInclusive<usize>, below: i32| {
            let good =
                digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = good.then(|| text.parse::<i32>().ok())??;
            (number < below).then_some(number)
        };
        let time = || {
            let mut parts = self.text(column).ok()?.split(':');
            let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() {
                return None;
            }
            let (hour, minute) = (part(hour, 1..=2, 24)?, part(minute, 2..=2, 60)?);
            Some(ClockTime(
                hour * 3600 + minute * 60 + part(second, 2..=2, 60)?,
            ))
        };
        time().ok_or_else(|| self.wrong(column, "a time of day as H:MM:SS"))
    }

    #[cold]
    fn wrong(&self, column: usize, expected: impl Into<Cow<'static, str>>) -> RecordError {
        RecordError {
            line: self.line,
            column: COLUMNS[column].into(),
            value: excerpt(&String::from_utf8_lossy(self.values[column])),
            expected: expected.into(),
        }
    }
}

/// The value in quotes, cut where it is long.
fn excerpt(value: &str) -> String {
    const CHARS_MAX: usize = 60;
    if value.chars().count() <= CHARS_MAX {
        return format!("{value:?}");
    }
    let head: String = value.chars().take(CHARS_MAX).collect();
    format!("{head:?}...")
}
