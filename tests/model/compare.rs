//! An engine held against the model: all that can be seen of it from outside.

use std::collections::BTreeMap;

use duewheel::{Engine, Outcome, RequestState, Timestamp};

use super::{Model, Place};

impl Model {
    /// Compares what is seen of single requests and of the engine as a whole. What the engine has forgotten,
    /// as it may, the model forgets too.
    pub(crate) fn compare(
        &mut self,
        engine: &Engine,
        now: Timestamp,
        ids: impl Iterator<Item = u64>,
    ) {
        assert_eq!(engine.pending(), self.requests.len());
        for id in ids {
            let seen = engine.status(id.into());
            if seen.is_none() && self.ended.contains_key(&id) && !self.requests.contains_key(&id) {
                self.forget(id);
            }
            assert_eq!(seen, self.status(id), "request {id}");
        }
        let released = self.requests.values().filter(|p| p.is_released());
        assert_eq!(engine.in_flight(), released.count());
        if let Some(next) = self.next_event(now) {
            let wakeup = engine.next_wakeup();
            assert!(
                wakeup.is_some_and(|wakeup| wakeup <= next),
                "wakes up at {wakeup:?}, {next} is an event"
            );
        }
    }

    /// Compares the report.
    pub(crate) fn compare_report(&self, engine: &Engine, now: Timestamp) {
        let report = engine.report(now);
        assert_eq!(report.pending as usize, self.requests.len());
        for state in &RequestState::ALL[..4] {
            let here = |state| self.requests.values().filter(move |p| p.state() == state);
            assert_eq!(
                report.states[state] as usize,
                here(*state).count(),
                "{state}"
            );
        }
        let mut reasons = BTreeMap::<_, u64>::new();
        let mut of_location = BTreeMap::<_, u64>::new();
        for ((location, outcome, why), count) in &self.outcomes {
            *reasons.entry((*outcome, why.clone())).or_default() += count;
            *of_location.entry((*location, *outcome)).or_default() += count;
        }
        let reported = report.reasons.iter().map(|line| {
            let why = line.reason.as_ref().map(ToString::to_string);
            ((line.outcome, why), line.count)
        });
        assert_eq!(reported.collect::<BTreeMap<_, _>>(), reasons);
        let routed = reasons.get(&(Outcome::Routed, None)).copied().unwrap_or(0);
        assert_eq!(report.outcomes[&Outcome::Routed], routed);
        assert_eq!(report.lateness.count, self.released);
        assert_eq!(report.lateness.max_ms, self.latest_ms);
        assert_eq!(report.router_panics, self.panics);
        let waiting = self.requests.values().filter(|p| !p.is_released());
        let dues: Vec<(Timestamp, u64)> = waiting
            .map(|p| match p.place {
                Place::Parked => (p.due, p.intake),
                _ => (p.releasable, p.intake),
            })
            .collect();
        let overdue = dues.iter().filter(|(due, _)| *due < now).count();
        assert_eq!(report.forecast.overdue as usize, overdue);
        let ahead = report.forecast.intervals.iter().sum::<u64>() + report.forecast.beyond;
        assert_eq!(ahead as usize, dues.len() - overdue);
        let oldest = dues.iter().min().filter(|(due, _)| *due < now);
        assert_eq!(
            report.oldest_overdue.map(|o| o.due),
            oldest.map(|(due, _)| *due)
        );
        for line in &report.locations {
            let location = &self.locations[line.id.index() as usize];
            assert_eq!(line.held, location.held_since.is_some());
            let pace = location.line.map(|line| line.pace.releases_per_second());
            assert_eq!(line.pace, pace);
            for (&outcome, &count) in &line.outcomes {
                let key = (line.id.index(), outcome);
                assert_eq!(count, of_location.get(&key).copied().unwrap_or(0));
            }
        }
    }
}
