//! Measures in processes of their own: what one measurement left of the heap does not disturb the
//! next, and one that fails takes down no other.

use std::process::{Command, ExitCode, Stdio};

use clap::ValueEnum;

use crate::arguments::Arguments;
use crate::machine;
use crate::memory;
use crate::peers::{self, Entry};
use crate::workload::Group;

/// What a child printed: names of figures, and their values.
pub(crate) type Printed = Vec<(String, f64)>;

/// Measures one group of one peer.
pub(crate) fn measure(peer: &Entry, group: Group, timers: u32) -> Result<Printed, String> {
    let group = group.to_possible_value().ok_or("a group without a name")?;
    run(timers, &["--only", peer.name, "--child", group.get_name()])
}

/// Measures the machine's memory.
pub(crate) fn probe(timers: u32) -> Result<Printed, String> {
    run(timers, &["--probe"])
}

fn run(timers: u32, arguments: &[&str]) -> Result<Printed, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["--timers", &timers.to_string()])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let figure = |line: &str| {
        let (figure, value) = line.split_once(' ').ok_or("a line without a figure")?;
        let value = value
            .parse()
            .map_err(|_| format!("{value} is not a number"))?;
        Ok((figure.to_owned(), value))
    };
    text.lines().map(figure).collect()
}

/// Does what a parent asks for, if one does: it names one peer in full.
pub(crate) fn serve(arguments: &Arguments) -> Option<ExitCode> {
    let timers = arguments.timers();
    if arguments.probe {
        machine::die_first();
        for (figure, value) in memory::probe(timers) {
            println!("{figure} {value}");
        }
        return Some(ExitCode::SUCCESS);
    }
    let group = arguments.child?;
    let Some(peer) = peers::ALL.iter().find(|peer| arguments.only == [peer.name]) else {
        return Some(ExitCode::FAILURE);
    };
    machine::die_first();
    for (figure, value) in (peer.measure)(group, timers) {
        println!("{figure} {value}");
    }
    Some(ExitCode::SUCCESS)
}
