//! The command line.

use clap::{Parser, ValueEnum};

use crate::peers::{self, Entry};
use crate::scaling;
use crate::workload::{Figure, Group, Workload};

/// Timers that can be asked for: less make no churn, more are not tried.
const TIMERS: std::ops::RangeInclusive<i64> = 10_000..=50_000_000;

/// Measures timer structures side by side.
#[derive(Parser)]
pub(crate) struct Arguments {
    /// Timers pending, and so most operations of a run.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(TIMERS))]
    pub(crate) timers: u32,
    /// Runs, of which the table shows median, minimum and maximum; 0 only checks the peers.
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: usize,
    /// Only these peers, by any part of their names; all if none is named.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// All but these peers, by any part of their names.
    #[arg(long, value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', default_values_t = Workload::value_variants().to_vec())]
    pub(crate) workloads: Vec<Workload>,
    /// Measures in this process, for a profiler, rather than in a child for each figure.
    #[arg(long)]
    pub(crate) in_process: bool,
    /// Measures how our own cost grows with the number of timers, beside the machine's for memory.
    #[arg(long, conflicts_with_all = ["timers", "only", "skip", "in_process"])]
    pub(crate) scaling: bool,
    /// The numbers of timers for --scaling.
    #[arg(long, value_delimiter = ',', default_values_t = scaling::POPULATIONS, requires = "scaling",
        value_parser = clap::value_parser!(u32).range(TIMERS))]
    pub(crate) populations: Vec<u32>,
    /// Measures one group of one peer, and prints the figures for the parent to read.
    #[arg(long, hide = true)]
    pub(crate) child: Option<Group>,
    /// Measures the machine's memory, and prints the figures for the parent to read.
    #[arg(long, hide = true)]
    pub(crate) probe: bool,
}

impl Arguments {
    pub(crate) fn timers(&self) -> usize {
        self.timers as usize
    }

    pub(crate) fn peers(&self) -> Vec<&'static Entry> {
        let named = |peer: &Entry, parts: &[String]| {
            let name = peer.name.to_lowercase();
            parts.iter().any(|part| name.contains(&part.to_lowercase()))
        };
        let wanted = |peer: &&Entry| {
            (self.only.is_empty() || named(peer, &self.only)) && !named(peer, &self.skip)
        };
        peers::ALL.iter().filter(wanted).collect()
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        let wanted = |figure: &Figure| self.workloads.contains(&figure.workload());
        Figure::ALL.into_iter().filter(wanted).collect()
    }

    /// What of a group's figures is wanted and can be had of a peer.
    pub(crate) fn figures_of(&self, peer: &Entry, group: Group) -> Vec<Figure> {
        let mut figures = self.figures();
        figures.retain(|figure| {
            figure.workload().group() == group
                && (peer.can_do)(figure.workload(), self.timers()).is_ok()
        });
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        let arguments = ["duewheel-peers"].iter().chain(arguments);
        let peers = Arguments::parse_from(arguments).peers();
        peers.iter().map(|peer| peer.name).collect()
    }

    #[test]
    fn peers_are_chosen_by_parts_of_their_names() {
        assert_eq!(names(&[]).len(), peers::ALL.len());
        assert_eq!(names(&["--only", "DUE,radix"]), ["duewheel", "radix-heap"]);
        assert_eq!(
            names(&["--only", "heap", "--skip", "radix,quick"]),
            ["BinaryHeap"]
        );
        assert_eq!(names(&["--skip", "map"]).len(), peers::ALL.len() - 2);
    }

    #[test]
    fn fifty_million_timers_can_be_asked_for() {
        for timers in ["10000", "50000000"] {
            let arguments = ["duewheel-peers", "--timers", timers];
            assert!(Arguments::try_parse_from(arguments).is_ok());
        }
        for timers in ["9999", "50000001"] {
            let arguments = ["duewheel-peers", "--timers", timers];
            assert!(Arguments::try_parse_from(arguments).is_err());
        }
    }
}
