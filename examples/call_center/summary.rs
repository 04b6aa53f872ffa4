//! What a supervisor wants to know in the end, as text and as JSON, and whether it all adds up.
//!
//! The summary is made from three sources that know nothing of each other: the classes of the records, the
//! engine (a status for each request, and its report), and the pool's own book of what it connected. Where they
//! disagree on as much as one request the run has failed, whatever the numbers look like.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use duewheel::{
    Directory, Lateness, LocationId, Media, Outcome, Report, RequestId, RequestState, RequestStatus,
};
use serde::Serialize;

use crate::calls::Class;
use crate::pool::End;
use crate::replay::Replayed;
use crate::zone::Zone;

/// The whole summary; its JSON form is this, field by field.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// Lines after the header: the six classes below.
    pub(crate) records: u64,
    pub(crate) agent: u64,
    pub(crate) abandoned_before_queue: u64,
    pub(crate) callback_requests: u64,
    pub(crate) abandoned_in_queue: u64,
    pub(crate) phantom: u64,
    pub(crate) skipped: u64,
    /// `callback_requests` and `abandoned_in_queue`.
    pub(crate) deferrable: u64,
    /// How each of them ended.
    pub(crate) deferrable_outcomes: DeferrableOutcomes,
    /// How each of the `agent` calls ended.
    pub(crate) agent_outcomes: AgentOutcomes,
    /// Deferrable requests put ahead of non-scheduled interactions.
    pub(crate) lifted_ahead: u64,
    /// Deferrable requests that were routed, by the media of the answer.
    pub(crate) response_media: BTreeMap<Media, u64>,
    pub(crate) wait_s: Waits,
    /// The engine's own measure, over all releases.
    pub(crate) lateness_ms: Lateness,
    /// By name.
    pub(crate) locations: Vec<Location>,
    pub(crate) agents: usize,
    pub(crate) zone: String,
    /// First and last event, by the centre's clocks.
    pub(crate) simulated: Option<[String; 2]>,
    pub(crate) events: u64,
    pub(crate) elapsed_s: f64,
    pub(crate) events_per_s: f64,
}

/// Outcomes of deferrable requests; each has exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DeferrableOutcomes {
    /// Routed, and an agent took it.
    pub(crate) served: u64,
    /// Routed, and still queued when the last agent left.
    pub(crate) unserved: u64,
    pub(crate) expired: u64,
    pub(crate) cancelled: u64,
    pub(crate) rejected: u64,
    pub(crate) dead_lettered: u64,
}

/// Outcomes of non-scheduled interactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AgentOutcomes {
    pub(crate) served: u64,
    pub(crate) unserved: u64,
}

/// From joining the agents' queue to the connection.
#[derive(Debug, Serialize)]
pub(crate) struct Waits {
    pub(crate) scheduled: Wait,
    pub(crate) non_scheduled: Wait,
}

/// Seconds waited by those who were served.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Wait {
    pub(crate) count: usize,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) max: f64,
}

/// One telephone line's share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Location {
    pub(crate) location: String,
    /// Records that were read.
    pub(crate) calls: u64,
    pub(crate) agent: u64,
    pub(crate) abandoned_before_queue: u64,
    pub(crate) phantom: u64,
    pub(crate) deferrable: u64,
    /// Of both kinds.
    pub(crate) served: u64,
    pub(crate) unserved: u64,
    /// Deferrable requests that were never routed.
    pub(crate) not_routed: u64,
    pub(crate) lifted_ahead: u64,
}

/// What was known before the replay.
#[derive(Debug)]
pub(crate) struct Intakes {
    /// Every record that was read.
    pub(crate) classes: Vec<(LocationId, Class)>,
    /// Every request that was submitted, in order.
    pub(crate) submitted: Vec<(RequestId, LocationId, Class)>,
    pub(crate) skipped: u64,
    pub(crate) agents: usize,
}

impl Summary {
    /// Adds it all up.
    ///
    /// # Errors
    /// What does not add up.
    pub(crate) fn of(
        intakes: &Intakes,
        replayed: &Replayed,
        (ends, pool_events): (Vec<End>, u64),
        directory: &Directory,
        zone: &Zone,
    ) -> Result<Self, String> {
        let class = |class| count(&intakes.classes, |(_, of)| *of == class);
        let book = Book::reconcile(intakes, &replayed.statuses, &ends)?;
        let local = |at| {
            zone.civil(at)
                .map_or_else(String::new, |civil| civil.to_string())
        };
        let events = replayed.events + pool_events;
        let elapsed_s = replayed.elapsed.as_secs_f64();
        let mut response_media = BTreeMap::new();
        for end in ends.iter().filter(|end| end.scheduled) {
            *response_media.entry(end.media).or_default() += 1;
        }
        let summary = Self {
            records: intakes.classes.len() as u64 + intakes.skipped,
            agent: class(Class::Agent),
            abandoned_before_queue: class(Class::AbandonedBeforeQueue),
            callback_requests: class(Class::CallBackRequest),
            abandoned_in_queue: class(Class::AbandonedInQueue),
            phantom: class(Class::Phantom),
            skipped: intakes.skipped,
            deferrable: count(&intakes.classes, |(_, class)| class.is_deferrable()),
            deferrable_outcomes: book.deferrable,
            agent_outcomes: book.agent,
            lifted_ahead: count(&ends, |end| end.ahead),
            response_media,
            wait_s: Waits {
                scheduled: Wait::of(ends.iter().filter(|end| end.scheduled)),
                non_scheduled: Wait::of(ends.iter().filter(|end| !end.scheduled)),
            },
            lateness_ms: replayed.report.lateness,
            locations: book.locations(directory),
            agents: intakes.agents,
            zone: zone.name().to_owned(),
            simulated: replayed
                .span
                .map(|(from, until)| [local(from), local(until)]),
            events,
            elapsed_s,
            events_per_s: events as f64 / elapsed_s.max(1e-9),
        };
        summary.check(&replayed.report, ends.len() as u64, replayed.told)?;
        Ok(summary)
    }

    /// The sums, within and against the engine's report.
    fn check(&self, report: &Report, routed: u64, told: u64) -> Result<(), String> {
        let deferrable = &self.deferrable_outcomes;
        let agent = &self.agent_outcomes;
        let reported = |outcome| report.outcomes.get(&outcome).copied().unwrap_or(0);
        let over_locations = |part: fn(&Location) -> u64| self.locations.iter().map(part).sum();
        let sums: [(&str, u64, u64); 14] = [
            (
                "records, and their classes",
                self.records,
                self.agent
                    + self.abandoned_before_queue
                    + self.callback_requests
                    + self.abandoned_in_queue
                    + self.phantom
                    + self.skipped,
            ),
            (
                "deferrable requests, and their classes",
                self.deferrable,
                self.callback_requests + self.abandoned_in_queue,
            ),
            (
                "deferrable requests, and their outcomes",
                self.deferrable,
                deferrable.routed() + deferrable.not_routed(),
            ),
            (
                "agent calls, and their outcomes",
                self.agent,
                agent.served + agent.unserved,
            ),
            (
                "requests routed by the engine, and those the pool had",
                reported(Outcome::Routed),
                routed,
            ),
            (
                "requests the pool had, and how they ended",
                routed,
                deferrable.routed() + agent.served + agent.unserved,
            ),
            (
                "requests expired in the report, and by status",
                reported(Outcome::Expired),
                deferrable.expired,
            ),
            (
                "requests cancelled in the report, and by status",
                reported(Outcome::Cancelled),
                deferrable.cancelled,
            ),
            (
                "requests rejected in the report, and by status",
                reported(Outcome::Rejected),
                deferrable.rejected,
            ),
            (
                "requests dead-lettered in the report, and by status",
                reported(Outcome::DeadLettered),
                deferrable.dead_lettered,
            ),
            ("requests pending at the end, and none", report.pending, 0),
            (
                "releases measured for lateness, and those that the pool was told of",
                report.lateness.count,
                told,
            ),
            (
                "records read, and those of the locations",
                self.records - self.skipped,
                over_locations(|location| location.calls),
            ),
            (
                "requests, and those of the locations",
                self.deferrable + self.agent,
                over_locations(|location| {
                    location.served + location.unserved + location.not_routed
                }),
            ),
        ];
        for (what, left, right) in sums {
            if left != right {
                return Err(format!("{what}, do not agree: {left} and {right}"));
            }
        }
        Ok(())
    }
}

impl DeferrableOutcomes {
    fn routed(&self) -> u64 {
        self.served + self.unserved
    }

    fn not_routed(&self) -> u64 {
        self.expired + self.cancelled + self.rejected + self.dead_lettered
    }
}

/// The three sources, joined request by request.
#[derive(Debug, Default)]
struct Book {
    deferrable: DeferrableOutcomes,
    agent: AgentOutcomes,
    by_location: HashMap<LocationId, Location>,
}

impl Book {
    fn reconcile(
        intakes: &Intakes,
        statuses: &[Option<RequestStatus>],
        ends: &[End],
    ) -> Result<Self, String> {
        let mut book = Self::default();
        for (location, class) in &intakes.classes {
            let line = book.by_location.entry(*location).or_default();
            line.calls += 1;
            match class {
                Class::Phantom => line.phantom += 1,
                Class::AbandonedBeforeQueue => line.abandoned_before_queue += 1,
                Class::Agent => line.agent += 1,
                Class::CallBackRequest | Class::AbandonedInQueue => line.deferrable += 1,
            }
        }
        let ended: HashMap<_, _> = ends.iter().map(|end| (end.id, end)).collect();
        if ended.len() != ends.len() {
            return Err("a request was routed twice".to_owned());
        }
        for (&(id, location, class), status) in intakes.submitted.iter().zip(statuses) {
            let status = status
                .as_ref()
                .ok_or_else(|| format!("request {id} is unknown to the engine"))?;
            if status.state != RequestState::Completed {
                return Err(format!("request {id} has not ended: {:?}", status.state));
            }
            book.enter(id, location, class, status.outcome, ended.get(&id).copied())?;
        }
        Ok(book)
    }

    fn enter(
        &mut self,
        id: RequestId,
        location: LocationId,
        class: Class,
        outcome: Option<Outcome>,
        end: Option<&End>,
    ) -> Result<(), String> {
        let line = self.by_location.entry(location).or_default();
        let deferrable = class.is_deferrable();
        if let Some(end) = end
            && (end.scheduled != deferrable || end.location != location)
        {
            return Err(format!("request {id} was routed as something else"));
        }
        let outcomes = &mut self.deferrable;
        let (place, of_line) = match (outcome, end.map(|end| end.wait)) {
            (Some(Outcome::Routed), Some(Some(_))) if deferrable => {
                (&mut outcomes.served, &mut line.served)
            }
            (Some(Outcome::Routed), Some(None)) if deferrable => {
                (&mut outcomes.unserved, &mut line.unserved)
            }
            (Some(Outcome::Routed), Some(Some(_))) => (&mut self.agent.served, &mut line.served),
            (Some(Outcome::Routed), Some(None)) => (&mut self.agent.unserved, &mut line.unserved),
            (Some(Outcome::Expired), None) if deferrable => {
                (&mut outcomes.expired, &mut line.not_routed)
            }
            (Some(Outcome::Cancelled), None) if deferrable => {
                (&mut outcomes.cancelled, &mut line.not_routed)
            }
            (Some(Outcome::Rejected), None) if deferrable => {
                (&mut outcomes.rejected, &mut line.not_routed)
            }
            (Some(Outcome::DeadLettered), None) if deferrable => {
                (&mut outcomes.dead_lettered, &mut line.not_routed)
            }
            _ => {
                return Err(format!(
                    "the engine says {outcome:?} of request {id} ({class:?}), the pool {end:?}"
                ));
            }
        };
        *place += 1;
        *of_line += 1;
        line.lifted_ahead += u64::from(end.is_some_and(|end| end.ahead));
        Ok(())
    }

    fn locations(&self, directory: &Directory) -> Vec<Location> {
        let mut locations: Vec<_> = self
            .by_location
            .iter()
            .map(|(id, location)| Location {
                location: directory.name(*id).unwrap_or_default().to_string(),
                ..location.clone()
            })
            .collect();
        locations.sort_by(|left, right| left.location.cmp(&right.location));
        locations
    }
}

impl Wait {
    fn of<'a>(ends: impl Iterator<Item = &'a End>) -> Self {
        let mut waits: Vec<Duration> = ends.filter_map(|end| end.wait).collect();
        waits.sort_unstable();
        let (Some(max), count) = (waits.last().copied(), waits.len()) else {
            return Self::default();
        };
        // The nearest rank: the smallest wait that so many in a hundred did not exceed.
        let percentile = |percent: usize| waits[(count * percent).div_ceil(100) - 1];
        let total: Duration = waits.iter().sum();
        Self {
            count,
            mean: (total.as_secs_f64() / count as f64 * 10.0).round() / 10.0,
            p50: percentile(50).as_secs_f64(),
            p90: percentile(90).as_secs_f64(),
            max: max.as_secs_f64(),
        }
    }
}

fn count<T>(items: &[T], which: impl Fn(&T) -> bool) -> u64 {
    items.iter().filter(|item| which(item)).count() as u64
}
