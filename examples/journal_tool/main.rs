//! Looks at a store of duewheel's while no engine has it: whether it is whole, what is in it, and what can be saved.
//!
//! ```text
//! journal_tool verify DIR [--json]                       what there is, what is wrong, whether it can be recovered
//! journal_tool dump DIR [--from LSN] [--snapshot]        every record, as a line of JSON
//! journal_tool stats DIR [--json]                        how much of what
//! journal_tool repair DIR [--json]                       says what a repair would do, and writes nothing
//! journal_tool repair DIR --write                        says it, and does it
//! ```
//!
//! A store that is in use is refused. Payloads and customers are shown by their lengths alone.
//!
//! | exit status | |
//! |---|---|
//! | 0 | the store is whole, or was repaired |
//! | 1 | it is damaged, in use or no store; of `repair` without `--write`, there is something to do |
//! | 2 | the arguments make no sense |

mod dump;
mod repair;
mod stats;
mod verify;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use duewheel::{StoreError, StoreInspector};

#[derive(Parser)]
#[command(about = "Looks at a store, and repairs it when told to")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Reads every file to its end, says what is wrong, and whether the store can be recovered
    Verify {
        /// The store's directory
        dir: PathBuf,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shows every record of the journal as a line of JSON, and what is damaged where it stands
    Dump {
        /// The store's directory
        dir: PathBuf,
        /// Only what the journal has from this record on
        #[arg(long, value_name = "LSN", default_value_t = 0)]
        from: u64,
        /// The newest snapshot's records first
        #[arg(long)]
        snapshot: bool,
    },
    /// Counts what there is
    Stats {
        /// The store's directory
        dir: PathBuf,
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Says what a repair would do, and which records would be lost by it; with --write, does it
    Repair {
        /// The store's directory
        dir: PathBuf,
        /// Does what is said. Without it nothing is written
        #[arg(long)]
        write: bool,
        /// The plan as one JSON object
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Verify { dir, json } => open(&dir).and_then(|store| verify::run(&store, json)),
        Command::Dump {
            dir,
            from,
            snapshot,
        } => open(&dir).and_then(|store| dump::run(&store, from, snapshot)),
        Command::Stats { dir, json } => open(&dir).and_then(|store| stats::run(&store, json)),
        Command::Repair { dir, write, json } => {
            open(&dir).and_then(|store| repair::run(&store, write, json))
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_nobody_listening(&*error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("journal_tool: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open(dir: &Path) -> Result<StoreInspector, Box<dyn Error>> {
    StoreInspector::open(dir).map_err(|error| {
        let hint = match &error {
            StoreError::Damaged(damage) if damage.place == "STORE" => {
                ". The store's identity and its key are in this file, and without them no other file can be checked \
                 or repaired: put STORE back from a copy"
            }
            _ => "",
        };
        format!("{}: {error}{hint}", dir.display()).into()
    })
}

/// Whoever was to read what is shown has gone.
fn is_nobody_listening(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
