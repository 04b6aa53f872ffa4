//! duewheel's timing wheel beside its peers: the same workloads for all, one run, one table.
//!
//! README.md says what is measured and how, and what each peer cannot do.

mod alloc;
mod check;
mod machine;
mod measure;
mod peer;
mod peers;
mod script;
mod table;
mod workload;

use std::panic::catch_unwind;
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, ValueEnum};

use peers::Entry;
use table::Results;
use workload::{Figure, Group, Workload};

/// Measures timer structures side by side.
#[derive(Parser)]
struct Arguments {
    /// Timers pending, and so most operations of a run.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    timers: u32,
    /// Runs, of which the table shows median, minimum and maximum; 0 only checks the peers.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only these peers, by any part of their names; all if none is named.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// All but these peers, by any part of their names.
    #[arg(long, value_delimiter = ',')]
    skip: Vec<String>,
    /// Only these workloads.
    #[arg(long, value_delimiter = ',', default_values_t = Workload::value_variants().to_vec())]
    workloads: Vec<Workload>,
    /// Measures in this process, for a profiler, rather than in a child for each figure.
    #[arg(long)]
    in_process: bool,
    /// Measures one group of one peer, and prints the figures for the parent to read.
    #[arg(long, hide = true)]
    child: Option<Group>,
}

impl Arguments {
    fn timers(&self) -> usize {
        self.timers as usize
    }

    fn peers(&self) -> Vec<&'static Entry> {
        let named = |peer: &Entry, parts: &[String]| {
            let name = peer.name.to_lowercase();
            parts.iter().any(|part| name.contains(&part.to_lowercase()))
        };
        let wanted = |peer: &&Entry| {
            (self.only.is_empty() || named(peer, &self.only)) && !named(peer, &self.skip)
        };
        peers::ALL.iter().filter(wanted).collect()
    }

    fn figures(&self) -> Vec<Figure> {
        let wanted = |figure: &Figure| self.workloads.contains(&figure.workload());
        Figure::ALL.into_iter().filter(wanted).collect()
    }

    /// What of a group's figures is wanted and can be had of a peer.
    fn figures_of(&self, peer: &Entry, group: Group) -> Vec<Figure> {
        let mut figures = self.figures();
        figures.retain(|figure| {
            figure.workload().group() == group
                && (peer.can_do)(figure.workload(), self.timers()).is_ok()
        });
        figures
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(group) = arguments.child {
        return be_child(&arguments, group);
    }
    let peers = arguments.peers();
    if peers.is_empty() {
        eprintln!(
            "no peer is left of {:?} without {:?}",
            arguments.only, arguments.skip
        );
        return ExitCode::FAILURE;
    }
    if !all_correct(&peers) {
        return ExitCode::FAILURE;
    }
    if arguments.runs == 0 {
        return ExitCode::SUCCESS;
    }
    let load = machine::load();
    let results = measure_all(&arguments, &peers);
    report(&arguments, &peers, &results, &load);
    if results.any_failed() {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Measures for a parent, which names one peer in full.
fn be_child(arguments: &Arguments, group: Group) -> ExitCode {
    let Some(peer) = peers::ALL.iter().find(|peer| arguments.only == [peer.name]) else {
        return ExitCode::FAILURE;
    };
    for (figure, value) in (peer.measure)(group, arguments.timers()) {
        println!("{figure} {value}");
    }
    ExitCode::SUCCESS
}

/// Checks every peer against the model, and says by name which are wrong.
fn all_correct(peers: &[&'static Entry]) -> bool {
    let wrong: Vec<&str> = peers
        .iter()
        .filter(|peer| {
            eprintln!("checking {}", peer.name);
            catch_unwind(peer.check).is_err()
        })
        .map(|peer| peer.name)
        .collect();
    for name in &wrong {
        eprintln!("{name} FAILED the correctness pass; nothing was measured");
    }
    wrong.is_empty()
}

/// Runs everything, peers in turn: a figure's run of one peer is close in time to that of the next,
/// and each run begins with another peer.
fn measure_all(arguments: &Arguments, peers: &[&'static Entry]) -> Results {
    let mut results = Results::default();
    for run in 0..arguments.runs {
        for &group in Group::value_variants() {
            for peer in peers
                .iter()
                .cycle()
                .skip(run % peers.len())
                .take(peers.len())
            {
                let figures = arguments.figures_of(peer, group);
                if figures.is_empty() {
                    continue;
                }
                eprintln!("run {}: {group:?} of {}", run + 1, peer.name);
                if arguments.in_process {
                    for (figure, value) in (peer.measure)(group, arguments.timers()) {
                        results.add(peer.name, &figure.to_string(), value);
                    }
                } else if let Err(error) = measure_in_child(arguments, peer, group, &mut results) {
                    eprintln!("{} FAILED in {group:?}: {error}", peer.name);
                    for figure in figures {
                        results.fail(peer.name, figure);
                    }
                }
            }
        }
    }
    results
}

/// Measures in a process of its own: what one peer left of the heap does not disturb the next.
fn measure_in_child(
    arguments: &Arguments,
    peer: &'static Entry,
    group: Group,
    results: &mut Results,
) -> Result<(), String> {
    let group = group.to_possible_value().ok_or("a group without a name")?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--timers", &arguments.timers.to_string()])
        .args(["--only", peer.name])
        .args(["--child", group.get_name()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        let (figure, value) = line.split_once(' ').ok_or("a line without a figure")?;
        let value = value
            .parse()
            .map_err(|_| format!("{value} is not a number"))?;
        results.add(peer.name, figure, value);
    }
    Ok(())
}

fn report(arguments: &Arguments, peers: &[&'static Entry], results: &Results, load: &str) {
    println!(
        "{} timers, median (minimum-maximum) of {} runs; nanoseconds an operation, bytes a timer.",
        arguments.timers, arguments.runs
    );
    println!("{}", machine::describe());
    println!(
        "Load average (1, 5, 15 min) before: {load}; after: {}.\n",
        machine::load()
    );
    println!("{}", table::render(peers, &arguments.figures(), results));
    for peer in peers {
        for &workload in &arguments.workloads {
            if let Err(reason) = (peer.can_do)(workload, arguments.timers()) {
                println!("- {} {workload}: {reason}.", peer.name);
            }
        }
    }
}
