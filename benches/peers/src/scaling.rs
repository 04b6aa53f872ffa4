//! How our cost grows with the number of timers, beside the machine's own for memory.

use std::collections::{HashMap, HashSet};

use crate::arguments::Arguments;
use crate::children::{self, Printed};
use crate::memory;
use crate::peers::{self, Entry};
use crate::table::{self, OURS, Spread};
use crate::workload::Workload;

/// How many timers, unless the command line says so.
pub(crate) const POPULATIONS: [u32; 7] = [
    100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 50_000_000,
];

/// What is measured of us. Of those that run in one structure the last is named here, and their
/// group is measured once.
const WORKLOADS: [Workload; 5] = [
    Workload::W1r,
    Workload::W2,
    Workload::W3j,
    Workload::W4,
    Workload::W5,
];

/// Columns of the machine, by the names that its probe gives them.
const MACHINE: [&str; 2] = ["dependent", "independent"];

/// The population that the growth of the others is relative to, if it is among them.
const BASE: u32 = 1_000_000;

/// W5 is measured up to this population: its steps grow with it, and are many.
const MOST_TIMEOUTS: u32 = 10_000_000;

/// Values by population and column, one a run or more.
#[derive(Default)]
pub(crate) struct Growth {
    populations: Vec<u32>,
    columns: Vec<String>,
    values: HashMap<(u32, String), Vec<f64>>,
    failed: HashSet<(u32, String)>,
}

impl Growth {
    /// Measures: a probe of the machine before each group of ours, so that both see it alike.
    pub(crate) fn measure(arguments: &Arguments) -> Self {
        let mut growth = Self::new(arguments);
        let ours = peers::ALL.iter().find(|peer| peer.name == OURS);
        let ours = ours.expect("we are in our own list");
        for run in 0..arguments.runs {
            for population in growth.populations.clone() {
                growth.run(run, population, ours, &arguments.workloads);
            }
        }
        growth
    }

    fn new(arguments: &Arguments) -> Self {
        let mut populations = arguments.populations.clone();
        populations.sort_unstable();
        populations.dedup();
        let ours = WORKLOADS
            .iter()
            .filter(|workload| arguments.workloads.contains(workload))
            .map(Workload::to_string);
        Self {
            populations,
            columns: ours.chain(MACHINE.map(str::to_owned)).collect(),
            ..Self::default()
        }
    }

    fn run(&mut self, run: usize, population: u32, ours: &Entry, workloads: &[Workload]) {
        let wanted = |workload: &Workload| {
            workloads.contains(workload)
                && (*workload != Workload::W5 || population <= MOST_TIMEOUTS)
        };
        let wanted: Vec<Workload> = WORKLOADS.into_iter().filter(wanted).collect();
        let mut groups: Vec<_> = wanted.iter().map(|workload| workload.group()).collect();
        groups.dedup();
        for group in groups {
            eprintln!("run {}: {group:?} of {population} timers", run + 1);
            let names = MACHINE.map(str::to_owned);
            self.take(population, &names, children::probe(population));
            let names: Vec<String> = wanted
                .iter()
                .filter(|workload| workload.group() == group)
                .map(Workload::to_string)
                .collect();
            self.take(
                population,
                &names,
                children::measure(ours, group, population),
            );
        }
    }

    /// Takes in what a child printed of these columns.
    fn take(&mut self, population: u32, columns: &[String], printed: Result<Printed, String>) {
        match printed {
            Ok(figures) => {
                for (column, value) in figures {
                    let values = self.values.entry((population, column)).or_default();
                    values.push(value);
                }
            }
            Err(error) => {
                eprintln!("{columns:?} FAILED with {population} timers: {error}");
                let failed = columns.iter().map(|column| (population, column.clone()));
                self.failed.extend(failed);
            }
        }
    }

    pub(crate) fn any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// What the table shows, in words.
    pub(crate) fn legend(&self) -> String {
        let mut text = format!(
            "{OURS}: nanoseconds an operation. Machine: nanoseconds for reading and writing one random \
             cache line of so much memory, when each access waits for the last, and when none does. \
             In brackets, how many times the figure of {} timers.",
            self.base()
        );
        let w5 = Workload::W5.to_string();
        if self.columns.contains(&w5) && self.populations.iter().any(|&p| p > MOST_TIMEOUTS) {
            text.push_str(&format!(" {w5} is measured up to {MOST_TIMEOUTS} timers."));
        }
        text
    }

    pub(crate) fn render(&self) -> String {
        let mut heading = vec!["timers".to_owned(), "memory".to_owned()];
        heading.extend(self.columns.iter().cloned());
        let mut rows = vec![heading];
        for &population in &self.populations {
            let megabytes = memory::bytes(population as usize) as f64 / 1e6;
            let mut row = vec![population.to_string(), format!("{megabytes} MB")];
            row.extend(
                self.columns
                    .iter()
                    .map(|column| self.cell(population, column)),
            );
            rows.push(row);
        }
        table::aligned(&rows)
    }

    fn base(&self) -> u32 {
        let least = self.populations.first().copied().unwrap_or(BASE);
        if self.populations.contains(&BASE) {
            BASE
        } else {
            least
        }
    }

    fn median(&self, population: u32, column: &str) -> Option<f64> {
        let key = (population, column.to_owned());
        if self.failed.contains(&key) {
            return None;
        }
        Some(Spread::of(self.values.get(&key)?)?.median)
    }

    fn cell(&self, population: u32, column: &str) -> String {
        if self.failed.contains(&(population, column.to_owned())) {
            return "failed".to_owned();
        }
        let Some(median) = self.median(population, column) else {
            return "-".to_owned();
        };
        let value = table::rounded(median, median);
        match self.median(self.base(), column) {
            Some(base) => format!("{value} (x{:.2})", median / base),
            None => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn growth_is_relative_to_a_million() {
        let arguments = ["duewheel-peers", "--scaling", "--workloads", "W4,W5,W1"];
        let mut growth = Growth::new(&Arguments::parse_from(arguments));
        assert_eq!(growth.columns, ["W4", "W5", "dependent", "independent"]);
        let column = |value| Ok(vec![("W4".to_owned(), value)]);
        let columns = ["W4".to_owned()];
        for (population, value) in [(100_000, 50.0), (1_000_000, 90.0), (1_000_000, 110.0)] {
            growth.take(population, &columns, column(value));
        }
        growth.take(50_000_000, &columns, column(300.0));
        growth.take(50_000_000, &columns, Err("killed".to_owned()));
        assert_eq!(growth.cell(100_000, "W4"), "50.0 (x0.50)");
        assert_eq!(growth.cell(1_000_000, "W4"), "100 (x1.00)");
        assert_eq!(growth.cell(50_000_000, "W4"), "failed");
        assert_eq!(growth.cell(10_000_000, "W4"), "-");
        assert!(growth.any_failed());
        assert!(growth.render().lines().count() == 2 + POPULATIONS.len());
    }
}
