//! The summary as text.

use std::fmt;

use crate::summary::{Location, Summary, Wait};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.simulated {
            Some([from, until]) => writeln!(f, "{from} to {until}, {}", self.zone)?,
            None => writeln!(f, "nothing to replay, {}", self.zone)?,
        }
        writeln!(f)?;
        section(
            f,
            "records",
            self.records,
            &[
                ("served by an agent when they called", self.agent),
                ("hung up in the queue", self.abandoned_in_queue),
                ("asked to be called back", self.callback_requests),
                ("hung up before the queue", self.abandoned_before_queue),
                ("phantom", self.phantom),
                ("skipped as unreadable", self.skipped),
            ],
        )?;
        let outcomes = &self.deferrable_outcomes;
        section(
            f,
            "deferrable requests",
            self.deferrable,
            &[
                ("served", outcomes.served),
                ("unserved when the last agent left", outcomes.unserved),
                ("expired", outcomes.expired),
                ("cancelled", outcomes.cancelled),
                ("rejected", outcomes.rejected),
                ("dead-lettered", outcomes.dead_lettered),
            ],
        )?;
        writeln!(f, "{:>10}    of them lifted ahead", self.lifted_ahead)?;
        for (media, count) in &self.response_media {
            writeln!(f, "{count:>10}    of them routed for an answer by {media}")?;
        }
        writeln!(f)?;
        section(
            f,
            "non-scheduled interactions",
            self.agent,
            &[
                ("served", self.agent_outcomes.served),
                (
                    "unserved when the last agent left",
                    self.agent_outcomes.unserved,
                ),
            ],
        )?;
        self.waits(f)?;
        self.by_location(f)?;
        writeln!(
            f,
            "{} agents, {} events in {:.2} s: {:.0} a second",
            self.agents, self.events, self.elapsed_s, self.events_per_s
        )
    }
}

impl Summary {
    fn waits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "wait in the queue, s", "served", "mean", "p50", "p90", "max"
        )?;
        let rows: [(&str, &Wait); 2] = [
            ("scheduled", &self.wait_s.scheduled),
            ("non-scheduled", &self.wait_s.non_scheduled),
        ];
        for (name, wait) in rows {
            writeln!(
                f,
                "{name:<24}{:>9}{:>9.1}{:>9}{:>9}{:>9}",
                wait.count, wait.mean, wait.p50, wait.p90, wait.max
            )?;
        }
        let late = &self.lateness_ms;
        writeln!(f)?;
        writeln!(
            f,
            "{:<24}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "lateness, ms", "releases", "p50", "p90", "p99", "max"
        )?;
        writeln!(
            f,
            "{:<24}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "of releases", late.count, late.p50_ms, late.p90_ms, late.p99_ms, late.max_ms
        )?;
        writeln!(f)
    }

    fn by_location(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .locations
            .iter()
            .map(|location| location.location.chars().count())
            .fold("location".len(), usize::max);
        writeln!(
            f,
            "{:<width$}{:>8}{:>8}{:>12}{:>8}{:>10}{:>8}",
            "location", "calls", "agent", "deferrable", "served", "unserved", "lifted"
        )?;
        for Location {
            location,
            calls,
            agent,
            deferrable,
            served,
            unserved,
            lifted_ahead,
            ..
        } in &self.locations
        {
            writeln!(
                f,
                "{location:<width$}{calls:>8}{agent:>8}{deferrable:>12}{served:>8}{unserved:>10}{lifted_ahead:>8}"
            )?;
        }
        writeln!(f)
    }
}

fn section(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    total: u64,
    parts: &[(&str, u64)],
) -> fmt::Result {
    writeln!(f, "{total:>10}  {title}")?;
    for (name, count) in parts {
        writeln!(f, "{count:>10}    {name}")?;
    }
    writeln!(f)
}
