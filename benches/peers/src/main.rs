//! duewheel's timing wheel beside its peers: the same workloads for all, one run, one table.
//!
//! README.md says what is measured and how, and what each peer cannot do.

mod alloc;
mod arguments;
mod check;
mod children;
mod machine;
mod measure;
mod memory;
mod peer;
mod peers;
mod scaling;
mod script;
mod table;
mod workload;

use std::panic::catch_unwind;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use arguments::Arguments;
use peers::Entry;
use scaling::Growth;
use table::{OURS, Results};
use workload::Group;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(code) = children::serve(&arguments) {
        return code;
    }
    let mut peers = arguments.peers();
    if arguments.scaling {
        peers.retain(|peer| peer.name == OURS);
    }
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
    let any_failed = if arguments.scaling {
        let growth = Growth::measure(&arguments);
        println!("Medians of {} runs. {}", arguments.runs, growth.legend());
        print_machine(&load);
        println!("{}", growth.render());
        growth.any_failed()
    } else {
        let results = measure_all(&arguments, &peers);
        report(&arguments, &peers, &results, &load);
        results.any_failed()
    };
    if any_failed {
        return ExitCode::FAILURE;
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
                    continue;
                }
                match children::measure(peer, group, arguments.timers) {
                    Ok(printed) => {
                        for (figure, value) in printed {
                            results.add(peer.name, &figure, value);
                        }
                    }
                    Err(error) => {
                        eprintln!("{} FAILED in {group:?}: {error}", peer.name);
                        for figure in figures {
                            results.fail(peer.name, figure);
                        }
                    }
                }
            }
        }
    }
    results
}

fn report(arguments: &Arguments, peers: &[&'static Entry], results: &Results, load: &str) {
    println!(
        "{} timers, median (minimum-maximum) of {} runs; nanoseconds an operation, bytes a timer.",
        arguments.timers, arguments.runs
    );
    print_machine(load);
    println!("{}", table::render(peers, &arguments.figures(), results));
    for peer in peers {
        for &workload in &arguments.workloads {
            if let Err(reason) = (peer.can_do)(workload, arguments.timers()) {
                println!("- {} {workload}: {reason}.", peer.name);
            }
        }
    }
}

/// Prints what figures are worth nothing without.
fn print_machine(load_before: &str) {
    println!("{}", machine::describe());
    println!(
        "Load average (1, 5, 15 min) before: {load_before}; after: {}.\n",
        machine::load()
    );
}
