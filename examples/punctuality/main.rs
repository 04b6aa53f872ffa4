//! How late the engine releases, in real time.
//!
//! ```text
//! feeder thread -> Engine::schedule_batch -> the driver polls -> (dispatch workers) -> Desk, the router
//! ```
//!
//! Some number of requests is pending throughout: each that the router is told of is replaced by a new one. The
//! router reads the system's clock when it is called; from the due instant until then is the lateness, in
//! microseconds. The engine counts its own, in whole milliseconds and until the release; it stands beside.
//!
//! | scenario | what falls due | the router |
//! |---|---|---|
//! | `steady` | so many a second, evenly | answers at once |
//! | `burst` | so many at one tick, once a second | answers at once |
//! | `slow` | as `steady`, a hundredth of it at one location | takes 1 ms there; dispatch workers |
//! | `blocking` | as `slow` | blocks there for 200 ms, about once a second; dispatch workers |
//! | `idle` | nothing | is not called |
//!
//! Figures are printed and none is asserted: the machine has its share in them. To show how large, a thread that
//! does nothing but sleep measures how much later than asked it wakes.
//!
//! Exit status: 0; 1 where the engine refuses something; 2 for bad arguments.

mod cpu;
mod desk;
mod histogram;
mod load;
mod scenario;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, ValueEnum as _, error::ErrorKind};

use scenario::{Outcome, Scenario, Settings};

/// Shows how late duewheel releases, in real time.
#[derive(Debug, Parser)]
#[command(name = "punctuality", version)]
struct Arguments {
    /// What to run: `all`, or one of them
    #[arg(long, value_parser = scenarios, default_value = "all")]
    scenario: Scenarios,

    /// Requests pending throughout
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pending: u64,

    /// Requests that fall due a second, outside `burst`
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,

    /// Requests that fall due at one tick, in `burst`
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    burst: u64,

    /// Seconds measured, of each scenario
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,

    /// Locations that the requests are spread over
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    locations: u32,

    /// Dispatch workers in `slow` and `blocking`; 0 calls the router on the polling thread there too
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=256))]
    workers: u32,

    /// A short run that shows that it works: a second each, of 50 thousand pending, 10 thousand due a second
    #[arg(long, conflicts_with_all = ["pending", "rate", "burst", "seconds"])]
    quick: bool,
}

#[derive(Clone, Debug)]
struct Scenarios(Vec<Scenario>);

fn scenarios(text: &str) -> Result<Scenarios, String> {
    if text == "all" {
        return Ok(Scenarios(Scenario::value_variants().to_vec()));
    }
    Scenario::from_str(text, false)
        .map(|one| Scenarios(vec![one]))
        .map_err(|_| "expected all, steady, burst, slow, blocking or idle".to_owned())
}

impl Arguments {
    fn settings(&self) -> Result<Settings, String> {
        let mut settings = Settings {
            pending: self.pending,
            rate: self.rate,
            burst: self.burst,
            span: Duration::from_secs(self.seconds),
            locations: self.locations,
            workers: self.workers as usize,
        };
        if self.quick {
            settings.pending = 50_000;
            settings.rate = 10_000;
            settings.burst = 10_000;
            settings.span = Duration::from_secs(1);
        }
        // What replaces a released request falls due after all that is pending: that must lie ahead.
        let due_a_second = settings.rate.max(settings.burst);
        if settings.pending < due_a_second {
            return Err(format!(
                "--pending {}: expected at least what falls due within a second, {due_a_second}",
                settings.pending
            ));
        }
        Ok(settings)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = arguments.settings().unwrap_or_else(|message| {
        Arguments::command()
            .error(ErrorKind::ValueValidation, message)
            .exit()
    });
    for &scenario in &arguments.scenario.0 {
        let printed = scenario::run(scenario, &settings)
            .and_then(|outcome| print(&outcome).map_err(|error| format!("stdout: {error}")));
        if let Err(message) = printed {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn print(outcome: &Outcome) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{outcome}")?;
    stdout.flush()
}
