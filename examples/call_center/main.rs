//! The main job: replays a call centre's records through the whole of duewheel.
//!
//! ```text
//! records -> JSON messages -> JsonAccessPoint -> Engine -> Pool (the router: consulted, routed to)
//! ```
//!
//! Served calls come in as non-scheduled interactions. Who hung up in the queue, or left a message asking to be
//! called back, comes in as a deferrable request with schedule data of its own: a quarter of an hour later if the
//! wait is short then, else an hour after that, within opening hours. All of it runs under a manual clock.
//!
//! With `--data DIR` everything is kept in a directory: killed at any moment and started again with the same records,
//! it goes on where it was, and the sums still agree. The pool keeps a book of its own there (`book.rs`).
//!
//! Exit status: 0; 1 where a file, a line or the directory cannot be read, or the sums disagree; 2 for bad arguments.

mod book;
mod calls;
#[path = "../durability/mod.rs"]
mod durability;
mod generate;
mod hours;
mod intake;
mod pool;
mod records;
mod replay;
mod roster;
mod summary;
mod table;
mod zone;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use duewheel::{Directory, Durability, Engine, Timestamp};

use book::Book;
use durability::DurabilityArgument;
use hours::OpeningHours;
use intake::Intake;
use pool::Pool;
use records::{Record, RecordError};
use roster::{Roster, ServiceTimes};
use summary::{Intakes, Summary};
use zone::Zone;

/// Replays a call centre's records through duewheel and sums up what became of the callers.
#[derive(Debug, Parser)]
#[command(name = "call_center", version)]
struct Arguments {
    /// Tab-separated call records (17 columns, one header line) instead of the generated working day
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,

    /// Time zone of the records and of the opening hours
    #[arg(long, default_value = "Asia/Jerusalem")]
    zone: Zone,

    /// Replay at this multiple of real time; without it, as fast as it goes
    #[arg(long, value_name = "TIMES", value_parser = speed)]
    speed: Option<f64>,

    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,

    /// Go on after a bad line, and count it
    #[arg(long)]
    skip_bad: bool,

    /// Keep everything in this directory, which is made where there is none: killed at any moment and started again, the
    /// centre goes on
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// What the engine waits for before it answers: `sync` (the disk), `interval:MS` (nothing; it is on disk within so
    /// many milliseconds of the simulated clock), or `none`
    #[arg(long, value_name = "WHEN", default_value = "sync", requires = "data")]
    durability: DurabilityArgument,

    /// Seed of the generated day and of the call-backs' service times
    #[arg(long, default_value_t = 1999)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).and_then(|summary| print(&summary, arguments.json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Summary, String> {
    let zone = &arguments.zone;
    let hours = OpeningHours::new(zone.clone());
    let directory = Arc::new(Directory::new());
    let intake = Intake::new(Arc::clone(&directory), hours.clone(), zone.clone());
    let day = read(arguments, intake)?.finish();

    let roster = Roster::of(&day.calls);
    let times = ServiceTimes::of(&day.calls, arguments.seed);
    let intakes = Intakes {
        classes: day.classes,
        submitted: day
            .submissions
            .iter()
            .map(|item| (item.request.id, item.request.location, item.class))
            .collect(),
        skipped: day.skipped,
        agents: roster.names.len(),
    };
    drop(day.calls);

    let pool = Arc::new(Pool::new(roster, times, hours, zone.clone()));
    let mut engine = Engine::builder()
        .directory(Arc::clone(&directory))
        // One thread drives it.
        .shards(1)
        .max_pending(intakes.submitted.len().max(1))
        // Whatever the records span: the summary asks for the outcome of every request at the end.
        .remember(REMEMBER, intakes.submitted.len());
    let mut lived = None;
    if let Some(data) = &arguments.data {
        engine = durability::keep(engine, data, arguments.durability)?;
        let syncs = arguments.durability.0 == Durability::Sync;
        let book = Book::open(data, syncs);
        let (book, joined) = book.map_err(|error| format!("{}: {error}", data.display()))?;
        lived = joined.last().map(|last| last.at);
        pool.relive(book, &joined);
    }
    let engine = engine
        .build(pool.clone())
        .map_err(|error| error.to_string())?;
    if let Some(report) = engine.recovery() {
        if let Some(found) = durability::found(report) {
            eprintln!("{found}");
        }
        lived = lived.max(report.polled_until);
    }
    let begin = lived.unwrap_or(Timestamp::EPOCH);
    let replayed = replay::run(
        &engine,
        &pool,
        day.submissions,
        begin,
        arguments.speed,
        zone,
    )?;
    Summary::of(&intakes, &replayed, pool.finish(), &directory, zone)
        .map_err(|what| format!("the sums disagree: {what}"))
}

/// A thousand years; the dates of records span one hundred.
const REMEMBER: Duration = Duration::from_secs(1000 * 366 * 24 * 3600);

/// Takes in the records of the file, or of the generated day.
fn read(arguments: &Arguments, mut intake: Intake) -> Result<Intake, String> {
    let Some(path) = &arguments.records else {
        for record in generate::working_day(arguments.seed) {
            intake.take(record).map_err(|error| error.to_string())?;
        }
        return Ok(intake);
    };
    let in_file = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let text = std::fs::read(path).map_err(|error| in_file(&error))?;
    let mut bad = BadLines::default();
    for record in records::read(&text).map_err(|error| in_file(&error))? {
        match record.and_then(|record: Record| intake.take(record)) {
            Ok(()) => {}
            Err(error) if arguments.skip_bad => {
                intake.skip();
                bad.tell(&error);
            }
            Err(error) => return Err(in_file(&error)),
        }
    }
    bad.tell_rest();
    Ok(intake)
}

/// Names the first skipped lines on stderr, and counts the others.
#[derive(Debug, Default)]
struct BadLines {
    count: u64,
}

impl BadLines {
    const TOLD_MAX: u64 = 20;

    fn tell(&mut self, error: &RecordError) {
        self.count += 1;
        if self.count <= Self::TOLD_MAX {
            eprintln!("skipped: {error}");
        }
    }

    fn tell_rest(&self) {
        if let Some(rest @ 1..) = self.count.checked_sub(Self::TOLD_MAX) {
            eprintln!("skipped: {rest} more");
        }
    }
}

fn print(summary: &Summary, json: bool) -> Result<(), String> {
    let mut stdout = io::stdout().lock();
    let printed = if json {
        serde_json::to_string(summary)
            .map_err(io::Error::from)
            .and_then(|text| writeln!(stdout, "{text}"))
    } else {
        write!(stdout, "{summary}")
    };
    printed
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("stdout: {error}"))
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("expected a number above 0, such as 60".to_owned()),
    }
}
