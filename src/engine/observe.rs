//! Gathers a report from the shards, in bounded steps.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Engine;
use super::cell::ShardCell;
use super::entry::Phase;
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::Why;
use crate::lifecycle::{Outcome, RequestState};
use crate::report::{Forecast, LocationReport, Overdue, ReasonCount, Report, ReportOptions};
use crate::sync::{Arc, Ordering};

/// Entries or pages copied while a shard is locked: few enough, where each is a cache miss or two, that nobody waits
/// for long.
const STEP: u32 = 64;

impl Engine {
    /// What is scheduled, what was routed, how late, and what comes in the next 24 hours, by the hour.
    #[must_use]
    pub fn report(&self, now: Timestamp) -> Report {
        self.report_with(now, &ReportOptions::default())
    }

    /// [`report`](Self::report) with a forecast of another horizon and interval.
    ///
    /// O(pending + locations), in steps of a few hundred entries a lock: nobody waits for it for long.
    #[must_use]
    pub fn report_with(&self, now: Timestamp, options: &ReportOptions) -> Report {
        let mut gathering = Gathering {
            now,
            locations: HashMap::new(),
            reasons: HashMap::new(),
            all: Forecast::new(options),
            empty: Forecast::new(options),
            oldest: None,
            remembered: 0,
        };
        for cell in &self.shards {
            gathering.pages(cell);
            gathering.entries(cell);
        }
        // A location on hold is told of before its first request comes.
        for location in self.controls.ruled() {
            gathering.location(location);
        }
        self.finish(gathering)
    }

    fn finish(&self, gathering: Gathering) -> Report {
        let mut locations: Vec<LocationReport> = gathering
            .locations
            .into_iter()
            .map(|(id, gathered)| {
                let (held, pace) = self.controls.of(id).snapshot();
                LocationReport {
                    id,
                    location: self.location_name(id),
                    held,
                    pace: pace.map(|pace| pace.releases_per_second()),
                    states: gathered.states,
                    outcomes: gathered.outcomes,
                    lateness: self.lateness.lock().of(id),
                    forecast: gathered.forecast,
                }
            })
            .collect();
        locations.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        let mut reasons: Vec<ReasonCount> = gathering
            .reasons
            .into_iter()
            .map(|((outcome, why), count)| ReasonCount {
                outcome,
                reason: why.text(),
                count,
            })
            .collect();
        reasons.sort_unstable_by(|a, b| (a.outcome, &a.reason).cmp(&(b.outcome, &b.reason)));
        let states = sums(
            &RequestState::ALL[..RequestState::PENDING],
            &locations,
            |l| &l.states,
        );
        Report {
            now: gathering.now,
            pending: states.values().sum(),
            states,
            outcomes: sums(&Outcome::ALL, &locations, |location| &location.outcomes),
            reasons,
            lateness: self.lateness.lock().all(),
            oldest_overdue: gathering.oldest.map(|oldest| Overdue {
                id: oldest.id,
                location: self.location_name(oldest.location),
                due: oldest.due,
                late_ms: gathering.now.as_millis() - oldest.due.as_millis(),
            }),
            forecast: gathering.all,
            remembered: gathering.remembered,
            router_panics: self.router_panics.load(Ordering::Relaxed),
            locations,
        }
    }

    fn location_name(&self, location: LocationId) -> Arc<str> {
        self.directory
            .name(location)
            .unwrap_or_else(|| Arc::from(""))
    }
}

fn sums<K: Ord + Copy>(
    keys: &[K],
    locations: &[LocationReport],
    counts: impl Fn(&LocationReport) -> &BTreeMap<K, u64>,
) -> BTreeMap<K, u64> {
    let sum = |key| {
        locations
            .iter()
            .filter_map(|location| counts(location).get(key))
            .sum()
    };
    keys.iter().map(|key| (*key, sum(key))).collect()
}

/// A report in the making.
struct Gathering {
    now: Timestamp,
    locations: HashMap<LocationId, Gathered>,
    reasons: HashMap<(Outcome, Why), u64>,
    all: Forecast,
    empty: Forecast,
    oldest: Option<Waiting>,
    remembered: u64,
}

/// A request that was not released yet. Of those due for equally long the first taken in is the oldest, whatever
/// shard it is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    due: Timestamp,
    intake: u64,
    id: RequestId,
    location: LocationId,
}

struct Gathered {
    states: BTreeMap<RequestState, u64>,
    outcomes: BTreeMap<Outcome, u64>,
    forecast: Forecast,
}

impl Gathering {
    fn location(&mut self, location: LocationId) -> &mut Gathered {
        self.locations.entry(location).or_insert_with(|| Gathered {
            states: RequestState::ALL[..RequestState::PENDING]
                .iter()
                .map(|&s| (s, 0))
                .collect(),
            outcomes: Outcome::ALL.iter().map(|&outcome| (outcome, 0)).collect(),
            forecast: self.empty.clone(),
        })
    }

    /// Counts by state and outcome, from the location book. Under the lock they are only copied.
    fn pages(&mut self, cell: &ShardCell) {
        let mut at = 0;
        let mut states = Vec::with_capacity(STEP as usize);
        let mut outcomes = Vec::with_capacity(2 * STEP as usize);
        loop {
            let shard = cell.lock();
            if at == 0 {
                self.remembered += shard.memory.len() as u64;
            }
            let end = shard.book.pages();
            let until = end.min(at + STEP);
            for page in (at..until).filter_map(|number| shard.book.page_at(number)) {
                states.push((page.location, page.counts()));
                let ended = page.outcomes();
                outcomes
                    .extend(ended.map(|(o, why, count)| (page.location, o, why.clone(), count)));
            }
            drop(shard);
            for (location, counts) in states.drain(..) {
                let gathered = self.location(location);
                for ((_, sum), count) in gathered.states.iter_mut().zip(counts) {
                    *sum += u64::from(count);
                }
            }
            for (location, outcome, why, count) in outcomes.drain(..) {
                let gathered = self.location(location);
                *gathered.outcomes.entry(outcome).or_default() += count;
                *self.reasons.entry((outcome, why)).or_default() += count;
            }
            if until == end {
                return;
            }
            at = until;
        }
    }

    /// What falls due when, and what has been due for longest, from the entries. Under the lock they are only
    /// copied.
    fn entries(&mut self, cell: &ShardCell) {
        let mut from = 0;
        let mut seen = Vec::with_capacity(STEP as usize);
        loop {
            let shard = cell.lock();
            let end = shard.store.end();
            let until = end.min(from + STEP);
            let entries = (from..until).filter_map(|index| shard.store.get(index));
            let waiting = entries.filter(|pending| !pending.is_released());
            seen.extend(waiting.map(|pending| Waiting {
                // A parked request is due since its processing time; the others when they are next
                // looked at.
                due: match pending.phase {
                    Phase::Held => pending.due,
                    _ => pending.eligible(),
                },
                intake: pending.intake,
                id: pending.id(),
                location: pending.location,
            }));
            drop(shard);
            for waiting in seen.drain(..) {
                self.count(waiting);
            }
            if until == end {
                return;
            }
            from = until;
        }
    }

    fn count(&mut self, waiting: Waiting) {
        let now = self.now;
        self.all.count(now, waiting.due);
        let gathered = self.location(waiting.location);
        gathered.forecast.count(now, waiting.due);
        if waiting.due < now && self.oldest.is_none_or(|oldest| waiting < oldest) {
            self.oldest = Some(waiting);
        }
    }
}
