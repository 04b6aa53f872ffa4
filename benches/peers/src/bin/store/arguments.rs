//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::measure::Sizes;
use crate::peers::{self, Entry};
use crate::request::DAY;
use crate::workload::Workload;

/// Requests that can be asked for: more do not fit into the memory of most machines.
const REQUESTS: std::ops::RangeInclusive<i64> = 1..=20_000_000;

/// Requests of a batch, at most.
const BATCH: std::ops::RangeInclusive<i64> = 1..=100_000;

/// Measures durable stores of requests side by side.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Arguments {
    /// Requests of S1, S1i, S1n and S3.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(REQUESTS))]
    pub(crate) requests: u32,
    /// Requests of S2 and S4.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(REQUESTS))]
    pub(crate) stored: u32,
    /// Requests a batch in S1, S1i and S1n.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1000],
        value_parser = clap::value_parser!(u32).range(BATCH))]
    pub(crate) batches: Vec<u32>,
    /// Requests a batch while S2, S3 and S4 are filled.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(BATCH))]
    pub(crate) fill: u32,
    /// Cancels a batch in S3.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(BATCH))]
    pub(crate) cancels: u32,
    /// Milliseconds of a step of S2.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=DAY))]
    pub(crate) step: u64,
    /// Milliseconds after which S1i is to be durable.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) interval: u64,
    /// Runs, an odd number, of which the table shows median, minimum and maximum; 0 only checks the
    /// peers.
    #[arg(long, default_value_t = 3, value_parser = runs)]
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
    /// Where directories are made to measure in; default is where this program is. It decides which
    /// disk is measured.
    #[arg(long)]
    pub(crate) place: Option<PathBuf>,
    /// Measures one workload of one peer in --place itself, and prints the figures for the parent to
    /// read.
    #[arg(long, hide = true)]
    pub(crate) child: Option<Workload>,
    /// Fills --place itself for S4, says so, and waits to be killed.
    #[arg(long, hide = true)]
    pub(crate) fill_and_wait: bool,
}

fn runs(text: &str) -> Result<usize, String> {
    let runs: usize = text.parse().map_err(|error| format!("{error}"))?;
    if runs > 0 && runs.is_multiple_of(2) {
        return Err("an odd number has a median of its own".to_owned());
    }
    Ok(runs)
}

impl Arguments {
    pub(crate) fn sizes(&self) -> Sizes {
        Sizes {
            requests: self.requests as usize,
            stored: self.stored as usize,
            batches: self.batches.iter().map(|&batch| batch as usize).collect(),
            fill: self.fill as usize,
            cancels: self.cancels as usize,
            step: self.step,
            interval: Duration::from_millis(self.interval),
        }
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

    /// What is measured, each in a directory of its own: a workload, and the batches of those that
    /// schedule.
    pub(crate) fn measurements(&self) -> Vec<(Workload, Vec<u32>)> {
        let mut measurements = Vec::new();
        for &workload in &self.workloads {
            match workload {
                Workload::S1 | Workload::S1i | Workload::S1n => {
                    measurements.extend(self.batches.iter().map(|&batch| (workload, vec![batch])));
                }
                Workload::S2 | Workload::S3 | Workload::S4 => {
                    measurements.push((workload, Vec::new()))
                }
            }
        }
        measurements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_number_of_runs_is_refused() {
        for (runs, is_good) in [("0", true), ("1", true), ("2", false), ("3", true)] {
            let arguments = Arguments::try_parse_from(["store", "--runs", runs]);
            assert_eq!(arguments.is_ok(), is_good, "{runs}");
        }
    }

    #[test]
    fn every_size_of_batches_has_a_directory_of_its_own() {
        let arguments = ["store", "--batches", "1,64", "--workloads", "S2,S1"];
        let measurements = Arguments::parse_from(arguments).measurements();
        let expected = [
            (Workload::S2, vec![]),
            (Workload::S1, vec![1]),
            (Workload::S1, vec![64]),
        ];
        assert_eq!(measurements, expected);
    }
}
