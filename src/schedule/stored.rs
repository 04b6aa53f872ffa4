//! The stored form of schedule data, both ways: what a record holds of a schedule that is more than one plain time.
//!
//! The form is [postcard](https://postcard.jamesmunns.com/wire-format)'s of [`Form`]: its fields in order, without
//! names, so that every change of a type here is a change of the records' format. Times keep their wall clock: a zone
//! is held by its IANA name, beside the offset that was applied. A condition is held as the list of its nodes, each
//! before the ones inside it, so that reading one takes no recursion before its levels are known.
//!
//! Rules that are all default are left out. The defaults are so part of the format, as they are of a plain schedule,
//! of which nothing but its time is stored.
//!
//! # What reading checks
//!
//! That every part is one that the builder lets through, with one exception: [`ScheduleData::next_day`] moves the
//! times and leaves the rest in its place, so that a time may lie at or past the not-after, and two may coincide.
//! What is read is also what would be written: no number is longer than it has to be, and nothing is left over.
//!
//! # A zone that is no longer known
//!
//! See [`PointInTime::from_zone_name`]: the request keeps its point in time, and the offset as its wall clock.

#[cfg(test)]
mod tests;

use std::time::Duration;

use postcard::ser_flavors::Flavor;
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::builder::RECHECK_MAX;
use super::rules::Rules;
use super::{
    ExhaustedRule, MediaWindow, MissedPolicy, PointInTime, ProcessingCondition, ProcessingTime,
    RetryPolicy, ScheduleData, Times, Written,
};
use crate::ids::{Media, Timestamp, millis_ceil};

/// Why some bytes are no stored schedule. What a customer gave is not in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredScheduleError {
    pub(crate) found: &'static str,
    pub(crate) expected: &'static str,
}

const fn error(found: &'static str, expected: &'static str) -> StoredScheduleError {
    StoredScheduleError { found, expected }
}

impl ScheduleData {
    /// Appends the stored form. Allocates nothing but what `into` needs.
    pub(crate) fn to_stored(&self, into: &mut Vec<u8>) {
        let form = Form {
            times: TimesOut(self.times()),
            rules: self.rules.as_deref().map(|rules| RulesForm {
                not_before: rules.not_before.as_ref().map(PointForm::of),
                not_after: rules.not_after.as_ref().map(PointForm::of),
                windows: WindowsOut(&rules.media_windows),
                threshold_wait: rules.threshold_wait.map(millis_ceil),
                recheck: millis_ceil(rules.recheck),
                exhausted: rules.exhausted as u8,
                missed: rules.missed as u8,
                attempts: rules.retry.attempts(),
                initial: millis_ceil(rules.retry.initial()),
                max: millis_ceil(rules.retry.max()),
                jitter: rules.retry.jitter(),
            }),
        };
        let written = postcard::serialize_with_flavor(&form, Append(into));
        debug_assert!(
            written.is_ok(),
            "lists say their length, and memory is there"
        );
    }

    /// Reads the stored form. Takes memory in proportion to the bytes, whatever they are.
    ///
    /// # Errors
    /// Where they are no schedule's stored form: see the module's doc.
    pub(crate) fn from_stored(bytes: &[u8]) -> Result<Self, StoredScheduleError> {
        type Read<'a> = Form<Vec<TimeForm<'a, Vec<Node>>>, RulesForm<'a, Vec<WindowForm<'a>>>>;

        let (form, rest) = postcard::take_from_bytes::<Read<'_>>(bytes)
            .map_err(|_| error("bytes that do not add up", "the stored form of a schedule"))?;
        if !rest.is_empty() {
            return Err(error("further bytes", "the end of a stored schedule"));
        }
        if postcard::serialize_with_flavor(&form, Compare(bytes)) != Ok(true) {
            return Err(error(
                "a number written longer than it is",
                "the stored form of a schedule, as it is written",
            ));
        }
        let rules = form.rules.map(RulesForm::read).transpose()?;
        let times = form
            .times
            .into_iter()
            .map(TimeForm::read)
            .collect::<Result<Vec<_>, _>>()?;
        check_times(&times, rules.as_deref())?;
        let times = match <[ProcessingTime; 1]>::try_from(times) {
            Ok([time]) => Times::One(time),
            Err(times) => Times::Several(times.into()),
        };
        Ok(Self { times, rules })
    }
}

fn check_times(times: &[ProcessingTime], rules: Option<&Rules>) -> Result<(), StoredScheduleError> {
    let Some(first) = times.first() else {
        return Err(error("no time", "at least one processing time"));
    };
    // Moved times may coincide, but stay in order.
    if !times.is_sorted_by_key(ProcessingTime::at) {
        return Err(error("times out of order", "times that ascend"));
    }
    // Times are moved ahead alone, never back over a not-before.
    let not_before = rules.and_then(|rules| rules.not_before.as_ref());
    if not_before.is_some_and(|limit| first.at() < limit.timestamp()) {
        return Err(error("a time before the not-before", "times from there on"));
    }
    Ok(())
}

/// A whole schedule; lists and strings are written from where they are, and read into types of their own.
#[derive(Serialize, Deserialize)]
struct Form<Times, Rules> {
    times: Times,
    rules: Option<Rules>,
}

#[derive(Serialize, Deserialize)]
struct TimeForm<'a, Nodes> {
    #[serde(borrow)]
    at: PointForm<'a>,
    condition: Nodes,
}

/// All but the times. Durations are in milliseconds.
#[derive(Serialize, Deserialize)]
struct RulesForm<'a, Windows> {
    #[serde(borrow)]
    not_before: Option<PointForm<'a>>,
    #[serde(borrow)]
    not_after: Option<PointForm<'a>>,
    windows: Windows,
    threshold_wait: Option<u64>,
    recheck: u64,
    exhausted: u8,
    missed: u8,
    attempts: u32,
    initial: u64,
    max: u64,
    jitter: f64,
}

#[derive(Serialize, Deserialize)]
struct WindowForm<'a> {
    #[serde(borrow)]
    from: PointForm<'a>,
    #[serde(borrow)]
    until: PointForm<'a>,
    media: u8,
}

#[derive(Serialize, Deserialize)]
struct PointForm<'a> {
    at: u64,
    #[serde(borrow)]
    written: WrittenForm<'a>,
}

/// How a time was written. Offsets are in seconds east of UTC.
#[derive(Serialize, Deserialize)]
enum WrittenForm<'a> {
    Utc,
    Offset(i32),
    Zone(&'a str, i32),
}

/// A condition without those inside it, of which it says how many there are: they follow.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Node {
    Always,
    WaitBelow(u64),
    AgentsReady(u32),
    QueueBelow(u32),
    Open,
    All(u64),
    Any(u64),
    Not,
}

impl<'a> PointForm<'a> {
    fn of(point: &'a PointInTime) -> Self {
        Self {
            at: point.timestamp().as_millis(),
            written: match *point.written() {
                Written::Utc => WrittenForm::Utc,
                Written::Offset(offset) => WrittenForm::Offset(offset),
                Written::Zone { zone, offset } => WrittenForm::Zone(zone.name(), offset),
            },
        }
    }

    fn read(self) -> Result<PointInTime, StoredScheduleError> {
        let at = Timestamp::from_millis(self.at);
        match self.written {
            WrittenForm::Utc => Some(at.into()),
            // Offset zero is written as UTC.
            WrittenForm::Offset(0) => None,
            WrittenForm::Offset(offset) => PointInTime::checked_fixed_offset(at, offset),
            WrittenForm::Zone(zone, offset) => PointInTime::from_zone_name(at, zone, offset),
        }
        .ok_or(error(
            "a time on no clock",
            "a time and an offset from UTC that a wall clock can show together",
        ))
    }
}

impl TimeForm<'_, Vec<Node>> {
    fn read(self) -> Result<ProcessingTime, StoredScheduleError> {
        let mut nodes = self.condition.into_iter();
        let condition = condition(&mut nodes, ProcessingCondition::NESTING_MAX)?;
        if nodes.next().is_some() {
            return Err(error("a further condition", "one condition a time"));
        }
        Ok(ProcessingTime {
            point: self.at.read()?,
            condition,
        })
    }
}

/// Takes one condition, with those inside it, off the nodes; it may have so many levels.
fn condition(
    nodes: &mut std::vec::IntoIter<Node>,
    levels_left: usize,
) -> Result<ProcessingCondition, StoredScheduleError> {
    let Some(levels_left) = levels_left.checked_sub(1) else {
        return Err(error(
            "a further level of conditions",
            "at most 32 levels of conditions",
        ));
    };
    let node = nodes.next().ok_or(error(
        "fewer conditions than are counted",
        "all conditions that are inside others",
    ))?;
    // A count that is too high comes to the end of the nodes, and no memory is taken on its word.
    let mut inside = |count: u64| {
        (0..count)
            .map(|_| condition(nodes, levels_left))
            .collect::<Result<Box<[_]>, _>>()
    };
    Ok(match node {
        Node::Always => ProcessingCondition::Always,
        Node::WaitBelow(millis) => ProcessingCondition::WaitBelow(Duration::from_millis(millis)),
        Node::AgentsReady(least) => ProcessingCondition::AgentsReady(least),
        Node::QueueBelow(limit) => ProcessingCondition::QueueBelow(limit),
        Node::Open => ProcessingCondition::Open,
        Node::All(count) => ProcessingCondition::All(inside(count)?),
        Node::Any(count) => ProcessingCondition::Any(inside(count)?),
        Node::Not => ProcessingCondition::Not(Box::new(condition(nodes, levels_left)?)),
    })
}
const _: () = assert!(ProcessingCondition::NESTING_MAX == 32);

impl Node {
    /// Of a condition, without those inside.
    fn of(condition: &ProcessingCondition) -> Self {
        match condition {
            ProcessingCondition::Always => Self::Always,
            ProcessingCondition::WaitBelow(limit) => Self::WaitBelow(millis_ceil(*limit)),
            ProcessingCondition::AgentsReady(least) => Self::AgentsReady(*least),
            ProcessingCondition::QueueBelow(limit) => Self::QueueBelow(*limit),
            ProcessingCondition::Open => Self::Open,
            ProcessingCondition::All(inside) => Self::All(inside.len() as u64),
            ProcessingCondition::Any(inside) => Self::Any(inside.len() as u64),
            ProcessingCondition::Not(_) => Self::Not,
        }
    }
}

impl RulesForm<'_, Vec<WindowForm<'_>>> {
    fn read(self) -> Result<Box<Rules>, StoredScheduleError> {
        let point = |form: Option<PointForm<'_>>| form.map(PointForm::read).transpose();
        let bounds = error(
            "a retry policy out of bounds",
            "one that RetryPolicy::new takes",
        );
        // Which would be taken as zero.
        if self.jitter.is_sign_negative() {
            return Err(bounds);
        }
        let retry = RetryPolicy::new(
            self.attempts,
            Duration::from_millis(self.initial),
            Duration::from_millis(self.max),
            self.jitter,
        )
        .map_err(|_| bounds)?;
        let rules = Rules {
            not_before: point(self.not_before)?,
            not_after: point(self.not_after)?,
            media_windows: self
                .windows
                .into_iter()
                .map(WindowForm::read)
                .collect::<Result<_, _>>()?,
            threshold_wait: self.threshold_wait.map(Duration::from_millis),
            recheck: Duration::from_millis(self.recheck),
            exhausted: *ExhaustedRule::ALL
                .get(usize::from(self.exhausted))
                .ok_or(error("an unknown rule", "a known one"))?,
            missed: *MissedPolicy::ALL
                .get(usize::from(self.missed))
                .ok_or(error("an unknown rule", "a known one"))?,
            retry,
        };
        check_rules(&rules)?;
        Ok(Box::new(rules))
    }
}

fn check_rules(rules: &Rules) -> Result<(), StoredScheduleError> {
    if let (Some(from), Some(until)) = (&rules.not_before, &rules.not_after)
        && until.timestamp() <= from.timestamp()
    {
        return Err(error(
            "a not-after that is not after the not-before",
            "a later one",
        ));
    }
    let windows = &rules.media_windows;
    let overlap = |pair: &[MediaWindow]| pair[1].from() < pair[0].until();
    if windows.iter().any(|window| window.until() <= window.from())
        || windows.windows(2).any(overlap)
    {
        return Err(error(
            "media windows that are empty, overlap or stand out of order",
            "media windows in order of time",
        ));
    }
    if rules.recheck.is_zero() || rules.recheck > RECHECK_MAX {
        return Err(error(
            "a recheck out of bounds",
            "a recheck from 1ms to 366 days",
        ));
    }
    if *rules == Rules::DEFAULT {
        return Err(error(
            "rules that are all default",
            "no rules where they are all default",
        ));
    }
    Ok(())
}

impl WindowForm<'_> {
    fn read(self) -> Result<MediaWindow, StoredScheduleError> {
        Ok(MediaWindow {
            from: self.from.read()?,
            until: self.until.read()?,
            media: Media::from_code(self.media).ok_or(error("an unknown media", "a known one"))?,
        })
    }
}

struct TimesOut<'a>(&'a [ProcessingTime]);

impl Serialize for TimesOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|time| TimeForm {
            at: PointForm::of(time.point()),
            condition: NodesOut(time.condition()),
        }))
    }
}

struct WindowsOut<'a>(&'a [MediaWindow]);

impl Serialize for WindowsOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|window| WindowForm {
            from: PointForm::of(window.from_point()),
            until: PointForm::of(window.until_point()),
            media: window.media() as u8,
        }))
    }
}

/// A condition as the list of its nodes.
struct NodesOut<'a>(&'a ProcessingCondition);

impl Serialize for NodesOut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn walk<L: SerializeSeq>(
            condition: &ProcessingCondition,
            list: &mut L,
        ) -> Result<(), L::Error> {
            list.serialize_element(&Node::of(condition))?;
            condition
                .inner()
                .iter()
                .try_for_each(|inside| walk(inside, list))
        }

        let mut list = serializer.serialize_seq(Some(self.0.nodes()))?;
        walk(self.0, &mut list)?;
        list.end()
    }
}

/// Puts what is serialised behind what is there.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Tells whether what is serialised is these bytes.
struct Compare<'a>(&'a [u8]);

impl Flavor for Compare<'_> {
    type Output = bool;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        match self.0.split_first() {
            Some((&expected, rest)) if expected == byte => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.0.is_empty())
    }
}
