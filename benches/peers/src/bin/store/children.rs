//! Measures in processes of their own: each has a heap, a page count and a directory to itself, and
//! what S4 opens was left by a process that was killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::disk::Scratch;
use crate::machine;
use crate::peer::Answer;
use crate::peers::{self, Entry};
use crate::workload::Workload;

/// What a child prints once it has filled its directory.
const FILLED: &str = "filled";

/// What a child printed: names of figures, and their values.
pub(crate) type Printed = Vec<(String, f64)>;

/// Measures one workload of one peer, in a new directory inside of `place`.
pub(crate) fn measure(
    arguments: &Arguments,
    peer: &Entry,
    workload: Workload,
    batches: &[u32],
    place: &Path,
) -> Answer<Printed> {
    let scratch = Scratch::new(place)?;
    let child = |task: &[&str]| command(arguments, peer, batches, scratch.path(), task);
    if workload == Workload::S4 {
        fill_and_kill(child(&["--fill-and-wait"])?)?;
    }
    let output = child(&["--child", &workload.to_string()])?.output()?;
    if !output.status.success() {
        return Err(output.status.to_string().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figure = |line: &str| {
        let (figure, value) = line.split_once(' ').ok_or("a line without a figure")?;
        Ok((figure.to_owned(), value.parse()?))
    };
    text.lines().map(figure).collect()
}

fn command(
    arguments: &Arguments,
    peer: &Entry,
    batches: &[u32],
    directory: &Path,
    task: &[&str],
) -> Answer<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let numbers = [
        ("--requests", u64::from(arguments.requests)),
        ("--stored", u64::from(arguments.stored)),
        ("--fill", u64::from(arguments.fill)),
        ("--cancels", u64::from(arguments.cancels)),
        ("--step", arguments.step),
        ("--interval", arguments.interval),
    ];
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    for batch in batches {
        command.args(["--batches", &batch.to_string()]);
    }
    command.args(["--only", peer.name]).args(task);
    command.arg("--place").arg(directory);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    Ok(command)
}

/// Has a child fill its directory, and kills it (SIGKILL) while it has it open.
fn fill_and_kill(mut command: Command) -> Answer<()> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let said = first_line(&mut child);
    child.kill()?;
    child.wait()?;
    if said?.trim_end() == FILLED {
        Ok(())
    } else {
        Err("the directory could not be filled".into())
    }
}

fn first_line(child: &mut Child) -> Answer<String> {
    let output = child.stdout.take().ok_or("a child without output")?;
    let mut line = String::new();
    BufReader::new(output.take(100)).read_line(&mut line)?;
    Ok(line)
}

/// Does what a parent asks for, if one does: it names one peer in full.
pub(crate) fn serve(arguments: &Arguments) -> Option<Answer<()>> {
    if arguments.child.is_none() && !arguments.fill_and_wait {
        return None;
    }
    machine::die_first();
    Some(work(arguments))
}

fn work(arguments: &Arguments) -> Answer<()> {
    let place = arguments.place.as_deref().ok_or("a child needs --place")?;
    let peer = peers::ALL.iter().find(|peer| arguments.only == [peer.name]);
    let peer = peer.ok_or("a child needs one peer")?;
    let sizes = arguments.sizes();
    if arguments.fill_and_wait {
        return (peer.fill)(&sizes, place, wait_to_be_killed);
    }
    let workload = arguments.child.ok_or("a child needs a workload")?;
    for (figure, value) in (peer.measure)(workload, &sizes, place)? {
        println!("{figure} {value}");
    }
    Ok(())
}

fn wait_to_be_killed() -> Answer<()> {
    println!("{FILLED}");
    std::io::stdout().flush()?;
    thread::sleep(Duration::from_secs(60));
    Err("the parent has not killed this process".into())
}
