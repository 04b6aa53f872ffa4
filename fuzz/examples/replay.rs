//! Runs inputs of the fuzz targets without a fuzzer, on any toolchain: files, and all files in
//! folders. See `fuzz/README.md`.
//!
//! An input belongs to the target that the folder it lies in is named after, or to the one that
//! `--target` names. With `--show`, its script is printed before it is run. An input that fails or
//! does not come to an end is named, and the exit code is 1; it is 2 where an input cannot be had.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use std::{env, fs, thread};

use duewheel_fuzz::{Outcome, TARGETS, Target};

/// Longest time for one input; they take milliseconds, so one that takes this long hangs.
const INPUT_TIME_MAX: Duration = Duration::from_secs(60);

const USAGE: &str = "usage: replay [--target NAME] [--show] FILE_OR_FOLDER...";

fn main() -> ExitCode {
    match replay() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all inputs named on the command line; returns how many failed.
fn replay() -> Result<usize, Box<dyn Error>> {
    let mut paths = Vec::new();
    let mut named = None;
    let mut show = false;
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--target") => {
                let name = arguments.next().ok_or(USAGE)?;
                let target = target_named(&name.to_string_lossy());
                named = Some(target.ok_or_else(|| format!("no target is named {name:?}"))?);
            }
            Some("--show") => show = true,
            Some(option) if option.starts_with('-') => return Err(USAGE.into()),
            _ => collect(Path::new(&argument), &mut paths)?,
        }
    }
    if paths.is_empty() {
        return Err(format!("no inputs; {USAGE}").into());
    }
    let mut totals = [(0, Outcome::default()); TARGETS.len()];
    let mut failed = 0;
    for path in &paths {
        let at = match named {
            Some(at) => at,
            None => target_of(path)?,
        };
        let input = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if show {
            let script = (TARGETS[at].show)(&input);
            println!(
                "{}: {}",
                path.display(),
                script.as_deref().unwrap_or("nothing")
            );
        }
        let (inputs, total) = &mut totals[at];
        *inputs += 1;
        match run(TARGETS[at], path, input) {
            Ok(outcome) => {
                total.operations += outcome.operations;
                total.counted += outcome.counted;
            }
            Err(reason) => {
                eprintln!("FAILED: {} {reason}", path.display());
                failed += 1;
            }
        }
    }
    for (target, (inputs, total)) in TARGETS.iter().zip(totals) {
        println!(
            "{}: {inputs} inputs, {} operations, {} {}",
            target.name, total.operations, total.counted, target.counts
        );
    }
    println!("{failed} inputs failed");
    Ok(failed)
}

/// Runs one input on a thread of its own, which is left behind if it hangs, and named after the
/// input for the message of a panic.
fn run(target: Target, path: &Path, input: Vec<u8>) -> Result<Outcome, String> {
    let (done, outcome) = channel();
    thread::Builder::new()
        .name(path.display().to_string())
        .spawn(move || {
            // Bytes that make no script are nothing to do.
            let _ = done.send((target.run)(&input).unwrap_or_default());
        })
        .map_err(|error| format!("has no thread: {error}"))?;
    outcome
        .recv_timeout(INPUT_TIME_MAX)
        .map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("did not end within {INPUT_TIME_MAX:?}"),
            RecvTimeoutError::Disconnected => "panicked".to_owned(),
        })
}

/// The files a path stands for, in order of their names.
fn collect(path: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    let named = |error| format!("{}: {error}", path.display());
    if !fs::metadata(path).map_err(named)?.is_dir() {
        paths.push(path.to_owned());
        return Ok(());
    }
    let mut inside = Vec::new();
    for entry in fs::read_dir(path).map_err(named)? {
        inside.push(entry.map_err(named)?.path());
    }
    inside.sort();
    inside.iter().try_for_each(|path| collect(path, paths))
}

/// The target that the folder of an input is named after.
fn target_of(path: &Path) -> Result<usize, String> {
    let folder = path.parent().and_then(Path::file_name);
    folder
        .and_then(|folder| target_named(&folder.to_string_lossy()))
        .ok_or_else(|| format!("{}: which target? Say --target NAME", path.display()))
}

fn target_named(name: &str) -> Option<usize> {
    TARGETS.iter().position(|target| target.name == name)
}
