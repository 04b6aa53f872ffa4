//! Who works when, and how long things take: read off the records themselves.
//!
//! A day's agents are the named servers of its records, each from the start of their first service to the end of
//! their last. A service before 03:00 belongs to the evening before. Call-backs were never recorded, so each
//! takes as long as some recorded call of its service did, drawn by the seed and the request's id alone: what
//! one call-back draws does not depend on what others did.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use duewheel::Timestamp;
use jiff::civil::Date;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::calls::{Call, Class};
use crate::records::Ending;

/// The agents and their shifts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Agents by name, in alphabetical order.
    pub(crate) names: Vec<String>,
    /// Shifts by start; of an agent at most one a day.
    pub(crate) shifts: Vec<Shift>,
}

/// One agent's working day, half-open: at `end` they take no further call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) day: Date,
    /// Index into [`Roster::names`].
    pub(crate) agent: usize,
}

impl Roster {
    pub(crate) fn of(calls: &[Call]) -> Self {
        let mut spans: BTreeMap<(&str, Date), (Timestamp, Timestamp)> = BTreeMap::new();
        for call in calls {
            if let (Some(name), Some(service)) = (&call.record.server, call.service) {
                let (start, end) = spans
                    .entry((name, service.day))
                    .or_insert((service.start, service.end));
                *start = service.start.min(*start);
                *end = service.end.max(*end);
            }
        }
        let mut roster = Self::default();
        for ((name, day), (start, end)) in spans {
            if roster.names.last().is_none_or(|last| last != name) {
                roster.names.push(name.to_owned());
            }
            let agent = roster.names.len() - 1;
            roster.shifts.push(Shift {
                start,
                end,
                day,
                agent,
            });
        }
        roster
            .shifts
            .sort_by_key(|shift| (shift.start, shift.agent));
        roster
    }
}

/// How long an agent is busy with a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceTimes {
    seed: u64,
    /// Seconds by id, of the non-scheduled calls.
    recorded: HashMap<u128, u32>,
    /// Seconds of every served call, by service.
    by_service: HashMap<String, Vec<u32>>,
    all: Vec<u32>,
}

/// What a call-back takes where no record says how long anything took.
const SECONDS_UNKNOWN: u32 = 180;

impl ServiceTimes {
    pub(crate) fn of(calls: &[Call], seed: u64) -> Self {
        let mut times = Self {
            seed,
            ..Self::default()
        };
        for call in calls {
            let seconds = Call::service_seconds(&call.record);
            if call.class == Class::Agent {
                times.recorded.insert(call.record.line.into(), seconds);
            }
            if call.record.ending == Ending::Agent {
                let service = call.record.service.clone();
                times.by_service.entry(service).or_default().push(seconds);
                times.all.push(seconds);
            }
        }
        times
    }

    /// Of a non-scheduled call.
    pub(crate) fn recorded(&self, id: u128) -> Duration {
        seconds(self.recorded.get(&id).copied().unwrap_or(SECONDS_UNKNOWN))
    }

    /// Of a call-back for a service; of any service where none of this one is recorded.
    pub(crate) fn drawn(&self, id: u128, service: &str) -> Duration {
        let of_service = self.by_service.get(service);
        let times = of_service.unwrap_or(&self.all);
        if times.is_empty() {
            return seconds(SECONDS_UNKNOWN);
        }
        // Seed and line number each in a half of their own; `seed_from_u64` mixes them, so that neighbours differ.
        let mut random = Pcg64Mcg::seed_from_u64(self.seed ^ (id as u64).rotate_left(32));
        seconds(times[(random.next_u64() % times.len() as u64) as usize])
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
