//! duewheel's durable engine beside what one would use in its place: the same requests, kept on the same
//! disk by due time and by id, in one run and one table.
//!
//! README.md says what is measured and how, and what each peer promises.

mod arguments;
mod check;
mod children;
mod disk;
#[path = "../../machine.rs"]
mod machine;
mod measure;
mod peer;
mod peers;
mod request;
mod table;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use peer::Answer;
use peers::Entry;
use table::Results;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match children::serve(&arguments) {
        Some(done) => done,
        None => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Answer<()> {
    let peers = arguments.peers();
    if peers.is_empty() {
        let (only, skip) = (&arguments.only, &arguments.skip);
        return Err(format!("no peer is left of {only:?} without {skip:?}").into());
    }
    let place = place(arguments)?;
    for peer in &peers {
        eprintln!("checking {}", peer.name);
        (peer.check)(&place).map_err(|error| {
            let name = peer.name;
            format!("{name} FAILED the correctness pass, nothing was measured: {error}")
        })?;
    }
    if arguments.runs == 0 {
        return Ok(());
    }
    let load = machine::load();
    let results = measure_all(arguments, &peers, &place);
    report(arguments, &peers, &results, &place, &load);
    if results.any_failed() {
        return Err("not everything could be measured".into());
    }
    Ok(())
}

/// Where directories are made.
fn place(arguments: &Arguments) -> Answer<PathBuf> {
    if let Some(place) = &arguments.place {
        return Ok(place.clone());
    }
    let program = std::env::current_exe()?;
    Ok(program.parent().ok_or("a program in no directory")?.into())
}

/// Runs everything, peers in turn: a figure's run of one peer is close in time to that of the next,
/// and each run begins with another peer.
fn measure_all(arguments: &Arguments, peers: &[&'static Entry], place: &Path) -> Results {
    let mut results = Results::default();
    let sizes = arguments.sizes();
    for run in 0..arguments.runs {
        for (workload, batches) in arguments.measurements() {
            let in_turn = peers.iter().cycle().skip(run % peers.len());
            for peer in in_turn.take(peers.len()) {
                if (peer.can_keep)(workload.promise(sizes.interval)).is_err() {
                    continue;
                }
                let name = peer.name;
                eprintln!("run {}: {workload} {batches:?} of {name}", run + 1);
                match children::measure(arguments, peer, workload, &batches, place) {
                    Ok(printed) => {
                        for (figure, value) in printed {
                            results.add(name, &figure, value);
                        }
                    }
                    Err(error) => {
                        eprintln!("{name} FAILED in {workload}: {error}");
                        let batches: Vec<usize> = batches.iter().map(|&b| b as usize).collect();
                        for figure in workload.figures(&batches) {
                            results.fail(name, figure);
                        }
                    }
                }
            }
        }
    }
    results
}

fn report(
    arguments: &Arguments,
    peers: &[&'static Entry],
    results: &Results,
    place: &Path,
    load: &str,
) {
    let sizes = arguments.sizes();
    println!(
        "Median (minimum-maximum) of {} runs. S1, S1i, S1n and S3 with {} requests, S2 and S4 with {}, filled in \
         batches of {}; S2 in steps of {} ms, S3 in batches of {}, S1i durable within {:?}.",
        arguments.runs,
        sizes.requests,
        sizes.stored,
        sizes.fill,
        sizes.step,
        sizes.cancels,
        sizes.interval,
    );
    println!("{}", machine::describe());
    println!(
        "File system: {}; memory: {} GiB.",
        disk::file_system(place),
        machine::memory().unwrap_or(0) >> 30,
    );
    println!(
        "Load average (1, 5, 15 min) before: {load}; after: {}.\n",
        machine::load()
    );
    let mut figures = Vec::new();
    for &workload in &arguments.workloads {
        figures.extend(workload.figures(&sizes.batches));
    }
    println!("{}", table::render(peers, &figures, results));
    for peer in peers {
        for &workload in &arguments.workloads {
            if let Err(reason) = (peer.can_keep)(workload.promise(sizes.interval)) {
                println!("- {} {workload}: {reason}.", peer.name);
            }
        }
    }
}
