//! A bridge to the engine for any other language: commands as JSON lines on standard input, events
//! as JSON lines on standard output.
//!
//! ```text
//! $ cargo run --example ndjson_router -- --virtual-time 2026-01-05T06:00:00Z
//! {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"2026-01-05T09:00:00+02:00"}]}}}
//! {"event":"accepted","line":1,"id":"1"}
//! {"op":"advance","to":"2026-01-05T12:00:00Z"}
//! {"event":"route","id":"1","location":"AA0101","due":"2026-01-05T07:00:00Z","released":"2026-01-05T07:00:00Z",...}
//! {"event":"advanced","line":2,"now":"2026-01-05T12:00:00Z"}
//! ```
//!
//! | `op` | fields | reply |
//! |---|---|---|
//! | `schedule` | `request` | `accepted`: `id` |
//! | `cancel` | `id` | `cancelled`: `id` |
//! | `reschedule` | `id`, `schedule` | `rescheduled`: `id` |
//! | `hold` | `location` | `held`: `location`, `in_flight` |
//! | `resume` | `location`, `pace`? (releases a second) | `resumed`: `location` |
//! | `complete` | `lease`, `outcome` (`routed`, `busy`, `rejected`), `retry_after`? (with `busy`) | `completed`: `id`, `state` |
//! | `status` | `id` | `status`: `id`, `location`, `state`, `outcome`, `due`, `attempts`, `revision` |
//! | `report` | | `report`: `report` |
//! | `snapshot` | | `snapshot`: `number`, `bytes` |
//! | `advance` | `to` | `advanced`: `now` |
//!
//! Every command has one reply, in order, with the number of its line; blank lines are counted and
//! have none. What cannot be served is answered by an `error` with `reason`, `message` and, where
//! they are known, `path` and `id`, and the next line is served. A line that is no JSON object is
//! `bad_json`; one without a known `op` is `unknown_command`. Paths start at the line's own fields,
//! those of a request inside the request: `schedule.times[0].at`, as in `reschedule`.
//!
//! A `route` event is a routing command. Its line is flushed before the engine hears that it was taken.
//!
//! With `--data DIR` everything is kept in a directory. A reply then means what `--durability` says, `sync` being that
//! it is on disk; killed at any moment and started again on the same directory the bridge goes on, and what may have
//! been printed before is marked `redelivery`. Where the disk fails, commands are answered by `unavailable`, or by
//! `indeterminate` where it is not known what became of them, and the exit status is 1.

mod bridge;
mod commands;
#[path = "../durability/mod.rs"]
mod durability;
mod events;
mod lines;
mod session;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use duewheel::{Consultation, Directory, Engine, Timestamp, parse_duration};

use bridge::{Answer, BridgeRouter};
use durability::DurabilityArgument;
use events::{Output, note};
use lines::Lines;
use session::Session;

/// Commands as JSON lines on standard input, events as JSON lines on standard output.
#[derive(Parser)]
#[command(name = "ndjson_router")]
struct Arguments {
    /// Start a clock here (RFC 3339) that only `advance` moves; without it, the system's clock rules.
    #[arg(long, value_name = "START")]
    virtual_time: Option<Timestamp>,

    /// Who says what became of a routing command: the bridge (routed, at once), or the reader
    /// (`complete`).
    #[arg(long, value_enum, default_value_t = RouterMode::Auto)]
    router: RouterMode,

    /// How long the reader has for `complete`: seconds, or a duration such as 5m.
    #[arg(long, value_name = "DURATION", default_value = "300", value_parser = lease)]
    lease: Duration,

    /// Keep everything in this directory, which is made where there is none: killed at any moment and started again,
    /// the bridge goes on.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// When a reply rests on the disk: `sync` (it is there), `interval:MS` (it will be, within so many
    /// milliseconds), or `none` (when the operating system sees fit).
    #[arg(long, value_name = "WHEN", default_value = "sync", requires = "data")]
    durability: DurabilityArgument,

    /// The expected wait that a consultation tells: seconds, or a duration such as 90s.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    expected_wait: Duration,

    /// The ready agents that a consultation tells.
    #[arg(long, value_name = "N", default_value_t = 1)]
    agents: u32,

    /// The queue length that a consultation tells.
    #[arg(long, value_name = "N", default_value_t = 0)]
    queue: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RouterMode {
    Auto,
    Manual,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(left) => {
            let requests = if left == 1 { "request" } else { "requests" };
            note(format_args!("{left} {requests} left"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            note(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

/// Serves the whole input and says how many requests are left.
fn run(arguments: &Arguments) -> Result<usize, Box<dyn Error>> {
    let output = Arc::new(Output::new());
    let directory = Arc::new(Directory::new());
    let consultation = Consultation {
        expected_wait: Some(arguments.expected_wait),
        agents_ready: arguments.agents,
        queue_length: arguments.queue,
        open: true,
        good_for: None,
    };
    let answer = match arguments.router {
        RouterMode::Auto => Answer::Routed,
        RouterMode::Manual => Answer::Leased(arguments.lease),
    };
    let router = BridgeRouter::new(output.clone(), directory.clone(), consultation, answer);
    let mut builder = Engine::builder().directory(directory);
    if let Some(data) = &arguments.data {
        builder = durability::keep(builder, data, arguments.durability)?;
    }
    let engine = Arc::new(builder.build(Arc::new(router))?);
    let found = engine.recovery();
    if let Some(found) = found.and_then(durability::found) {
        note(format_args!("{found}"));
    }
    let polled_until = found.and_then(|found| found.polled_until);
    let mut session = match arguments.virtual_time {
        // The clock goes on where it stood.
        Some(start) => {
            let start = polled_until.map_or(start, |polled| start.max(polled));
            Session::in_virtual_time(engine, output, start)
        }
        None => Session::in_real_time(engine, output)?,
    };
    let mut lines = Lines::new(io::stdin().lock());
    while let Some(line) = lines.next()? {
        session.serve(&line);
    }
    session.finish()
}

/// Seconds as a plain number, or a duration with units.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => parse_duration(text).map_err(|error| error.to_string()),
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("a lease lasts longer than that".to_owned()),
        lease => Ok(lease),
    }
}
