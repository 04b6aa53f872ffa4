//! An async router on a tokio runtime, in real time, for a few seconds.
//!
//! Several tasks take requests in, each with a due time within the next seconds, and cancel some; an agent pool
//! (a semaphore) is routed to by an async router; the engine is one more task. Then the engine is drained, and
//! what everybody counted is held against what the engine reports.
//!
//! Exit status: 0; 1 where the sums disagree, or something was released early; 2 for bad arguments.

mod desk;

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use duewheel::{
    AsyncEngine, Clock, Engine, InteractionRequest, LocationId, Outcome, Report, RequestId,
    RetryPolicy, RunOptions, ScheduleData, Shutdown, ShutdownReport, SystemClock,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tokio::task::JoinSet;
use tokio::time::sleep;

use desk::Desk;

/// Attempts that a request has: enough for agents that are busy for a while.
const ATTEMPTS_MAX: u32 = 50;

/// One in so many is cancelled, and one in so many is due only tomorrow.
const CANCELLED_OF: u64 = 10;
const TOMORROW_OF: u64 = 20;

/// Routes deferrable requests to a pool of agents, on a tokio runtime.
#[derive(Clone, Copy, Debug, Parser)]
#[command(name = "tokio_router", version)]
struct Arguments {
    /// Requests in all
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    requests: u64,

    /// Tasks that take them in
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    tasks: u64,

    /// Agents
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    agents: u16,

    /// Commands in flight at once
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    in_flight: u16,

    /// Seconds over which they fall due
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    /// Seed of due times and conversations
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What one intake task did.
#[derive(Clone, Copy, Default)]
struct Intake {
    accepted: u64,
    cancelled: u64,
    tomorrow: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tokio_router: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The few seconds; says whether the sums agree.
async fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let clock = Arc::new(SystemClock);
    let engine = Engine::builder().build_async(Desk::new(arguments.agents.into()))?;
    let locations: Vec<LocationId> = ["Vilnius", "Kaunas", "Klaipėda"]
        .into_iter()
        .map(|name| engine.directory().enter(name))
        .collect::<Result<_, _>>()?;

    let options = RunOptions {
        in_flight_max: arguments.in_flight.into(),
        ..RunOptions::default()
    };
    // The doors close when the last of today's requests has fallen due.
    let closing = async move {
        sleep(Duration::from_secs(arguments.seconds)).await;
        Shutdown::Drain
    };
    let driving = tokio::spawn(engine.run_until(clock, options, closing));

    let mut intakes = JoinSet::new();
    for task in 0..arguments.tasks {
        let intake = take_in(engine.clone(), locations.clone(), arguments, task);
        intakes.spawn(async move { intake.await.map_err(|error| error.to_string()) });
    }
    let mut taken = Intake::default();
    while let Some(intake) = intakes.join_next().await {
        let intake = intake??;
        taken.accepted += intake.accepted;
        taken.cancelled += intake.cancelled;
        taken.tomorrow += intake.tomorrow;
    }
    let left = driving.await??;
    let report = engine.report(SystemClock.now());
    print_out(&taken, engine.router(), &report);
    Ok(sums_agree(
        &taken,
        engine.router(),
        &left,
        &report,
        arguments,
    ))
}

/// Takes in a share of the requests over the first half of the time, and cancels some of them.
async fn take_in(
    engine: AsyncEngine<Desk>,
    locations: Vec<LocationId>,
    arguments: Arguments,
    task: u64,
) -> Result<Intake, Box<dyn Error + Send + Sync>> {
    let mut random = Pcg64Mcg::seed_from_u64(arguments.seed.wrapping_add(task));
    let mut intake = Intake::default();
    let second = Duration::from_secs(1);
    let retry = RetryPolicy::new(ATTEMPTS_MAX, second, second, 0.0)?;
    let ids = (task..arguments.requests).step_by(usize::try_from(arguments.tasks)?);
    let half_ms = arguments.seconds * 500;
    let share = arguments.requests.div_ceil(arguments.tasks);
    let gap = Duration::from_millis(half_ms) / u32::try_from(share)?;
    let begun = tokio::time::Instant::now();
    for (number, id) in (0_u32..).zip(ids) {
        tokio::time::sleep_until(begun + gap * number).await;
        let now = SystemClock.now();
        let tomorrow = id % TOMORROW_OF == TOMORROW_OF - 1;
        let delay_ms = match tomorrow {
            true => 24 * 3_600_000,
            false => random.random_range(0..half_ms),
        };
        let due = now.saturating_add(Duration::from_millis(delay_ms));
        let schedule = ScheduleData::builder()
            .time(due)
            .retry(retry.clone())
            .build()?;
        let location = locations[random.random_range(0..locations.len())];
        let request = InteractionRequest::new(RequestId::from(id), location)
            .with_schedule(schedule)
            .with_payload(vec![random.random_range(5..30_u8)]);
        let _ = engine.schedule(request, now)?;
        intake.accepted += 1;
        intake.tomorrow += u64::from(tomorrow);
        // It may have been released first, which is the other's win.
        let wants_to_cancel = id % CANCELLED_OF == 0;
        if wants_to_cancel && engine.cancel(id.into(), SystemClock.now()).is_ok() {
            intake.cancelled += 1;
            engine.router().forget(id.into());
        }
    }
    Ok(intake)
}

fn print_out(taken: &Intake, desk: &Desk, report: &Report) {
    let line = |what: &str, count: &dyn Display| println!("{what:<34} {count:>8}");
    let seen = |count: &std::sync::atomic::AtomicU32| count.load(Ordering::SeqCst);
    line("taken in", &taken.accepted);
    line("  cancelled", &taken.cancelled);
    line("  connected with an agent", &seen(&desk.seen.connected));
    line("  left for tomorrow", &taken.tomorrow);
    line("  left to come again", &desk.put_off());
    line("commands to the router", &seen(&desk.seen.commands));
    line("  answered busy", &seen(&desk.seen.busy));
    line(
        "  in flight at once, at most",
        &seen(&desk.seen.in_flight_most),
    );
    line("released early", &seen(&desk.seen.early));
    let late = report.lateness;
    println!(
        "lateness (ms): median {}, p99 {}, most {}",
        late.p50_ms, late.p99_ms, late.max_ms
    );
}

/// Holds the desk's and the intakes' own counts against the engine's; names each pair that differs.
fn sums_agree(
    taken: &Intake,
    desk: &Desk,
    left: &ShutdownReport,
    report: &Report,
    arguments: Arguments,
) -> bool {
    let seen = |count: &std::sync::atomic::AtomicU32| u64::from(count.load(Ordering::SeqCst));
    let outcome = |outcome| report.outcomes.get(&outcome).copied().unwrap_or(0);
    let connected = seen(&desk.seen.connected);
    let pending = left.pending as u64;
    let pairs = [
        ("taken in", taken.accepted, arguments.requests),
        ("connected", connected, outcome(Outcome::Routed)),
        ("cancelled", taken.cancelled, outcome(Outcome::Cancelled)),
        ("left", pending, taken.tomorrow + desk.put_off() as u64),
        ("all", connected + taken.cancelled + pending, taken.accepted),
        (
            "commands",
            connected + seen(&desk.seen.busy),
            report.lateness.count,
        ),
        ("left in flight", left.in_flight as u64, 0),
        ("left due", left.due as u64, 0),
        ("released early", seen(&desk.seen.early), 0),
        ("panics", left.panics.len() as u64 + report.router_panics, 0),
    ];
    let mut agree = !left.timed_out;
    if left.timed_out {
        eprintln!("tokio_router: the drain ran out of time");
    }
    for (what, here, there) in pairs {
        if here != there {
            eprintln!("tokio_router: {what}: {here} and {there} should be the same");
            agree = false;
        }
    }
    let most = seen(&desk.seen.in_flight_most);
    if most > u64::from(arguments.in_flight) {
        eprintln!("tokio_router: {most} in flight, more than asked for");
        agree = false;
    }
    agree
}
