//! One scenario: set up, loaded, measured, summed up.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use duewheel::{
    Clock as _, DriverOptions, Engine, Lateness, LocationId, ReportOptions, Shutdown, SystemClock,
};
use hdrhistogram::Histogram;

use crate::cpu::Usage;
use crate::desk::{self, Desk, Trouble};
use crate::histogram::{Bars, HEADS, Percentiles};
use crate::load::{self, Load, Pattern, THERE_ONE_IN};

/// From the start of the driver until the first request falls due.
const LEAD: Duration = Duration::from_millis(500);

/// How long the driver is given to stop: a router that blocks is waited for.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A call of a slow router.
const SLOW: Duration = Duration::from_millis(1);

/// A call of a router that blocks now and then.
const BLOCKED: Duration = Duration::from_millis(200);

/// What is wanted, where nothing but the engine is late: two ticks, of a millisecond each.
const P999_US_WANTED: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    Steady,
    Burst,
    Slow,
    Blocking,
    Idle,
}

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) pending: u64,
    pub(crate) rate: u64,
    pub(crate) burst: u64,
    pub(crate) span: Duration,
    pub(crate) locations: u32,
    pub(crate) workers: usize,
}

impl Scenario {
    fn has_trouble(self) -> bool {
        matches!(self, Self::Slow | Self::Blocking)
    }

    fn pattern(self, settings: &Settings) -> Pattern {
        match self {
            Self::Burst => Pattern::Bursts(settings.burst),
            Self::Idle => Pattern::Later,
            Self::Steady | Self::Slow | Self::Blocking => Pattern::Even(settings.rate),
        }
    }

    fn trouble(self, settings: &Settings) -> Trouble {
        match self {
            Self::Slow => Trouble::Slow(SLOW),
            Self::Blocking => Trouble::Blocks {
                // About once a second.
                every: (settings.rate / THERE_ONE_IN).max(2),
                span: BLOCKED,
            },
            Self::Steady | Self::Burst | Self::Idle => Trouble::None,
        }
    }

    fn describe(self, settings: &Settings) -> String {
        let pending = settings.pending;
        let rate = settings.rate;
        let there = rate / THERE_ONE_IN;
        let workers = settings.workers;
        match self {
            Self::Steady => format!("steady: {pending} pending, {rate} due a second"),
            Self::Burst => format!(
                "burst: {pending} pending, {} due at one tick, once a second",
                settings.burst
            ),
            Self::Slow => format!(
                "slow: {pending} pending, {rate} due a second, {there} of them at a location where the router \
                 takes {SLOW:?}; {workers} workers"
            ),
            Self::Blocking => format!(
                "blocking: {pending} pending, {rate} due a second, {there} of them at a location where the router \
                 blocks for {BLOCKED:?} now and then; {workers} workers"
            ),
            Self::Idle => format!("idle: {pending} pending, none of them due"),
        }
    }
}

/// Runs one scenario, for as long as the settings say and as it takes to load the engine.
pub(crate) fn run(scenario: Scenario, settings: &Settings) -> Result<Outcome, String> {
    let workers = match scenario.has_trouble() {
        true => settings.workers,
        false => 0,
    };
    let directory = Arc::new(duewheel::Directory::new());
    let locations = (0..settings.locations)
        .map(|number| directory.enter(&format!("L{number:06}")))
        .collect::<Result<Arc<[LocationId]>, _>>()
        .map_err(|error| error.to_string())?;
    let desk = Arc::new(Desk::new(locations[0], scenario.trouble(settings)));
    let pending_max = usize::try_from(settings.pending).unwrap_or(usize::MAX);
    let engine = Engine::builder()
        .directory(directory)
        // What replaces a request may be taken in before that one is told to have ended.
        .max_pending(pending_max.saturating_mul(2))
        .build(desk.clone())
        .map_err(|error| error.to_string())?;
    let engine = Arc::new(engine);

    let mut load = Load {
        pattern: scenario.pattern(settings),
        // Until it is known how long loading takes.
        from: SystemClock.now(),
        locations,
        has_trouble: scenario.has_trouble(),
    };
    let loaded = preload(&engine, &mut load, settings.pending)?;

    let options = DriverOptions {
        workers,
        ..DriverOptions::default()
    };
    let running = engine
        .start(Arc::new(SystemClock), options)
        .map_err(|error| error.to_string())?;
    let measured = match scenario {
        // A feeder that has nothing to do would use more of the processor than the engine.
        Scenario::Idle => Ok((measure(&load, settings.span, &desk), desk::histogram())),
        _ => measure_fed(&load, settings, &engine, &desk),
    };
    let left = running.shutdown(Shutdown::Stop, STOP_WITHIN);
    if left.timed_out {
        return Err(format!("the threads did not stop within {STOP_WITHIN:?}"));
    }
    let (measured, overslept_us) = measured?;

    let no_forecast = ReportOptions {
        horizon: Duration::from_millis(1),
        interval: Duration::from_millis(1),
    };
    let report = engine.report_with(SystemClock.now(), &no_forecast);
    Ok(Outcome {
        scenario,
        title: scenario.describe(settings),
        loaded,
        pending: settings.pending,
        measured,
        overslept_us,
        engine_late: report.lateness,
    })
}

/// Measures while one thread replaces what is released, and another sleeps.
fn measure_fed(
    load: &Load,
    settings: &Settings,
    engine: &Engine,
    desk: &Desk,
) -> Result<(Measured, Histogram<u64>), String> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        let feeder = named("feeder")
            .spawn_scoped(scope, || load.feed(engine, desk, settings.pending, &stop))
            .map_err(|error| error.to_string())?;
        let sleeper = named("sleeper").spawn_scoped(scope, || load::sleep_only(&stop));
        let measured = measure(load, settings.span, desk);
        // Before anything may fail: the scope waits for both.
        stop.store(true, Ordering::Relaxed);
        feeder.join().map_err(|_| "the feeder panicked")??;
        let sleeper = sleeper.map_err(|error| error.to_string())?;
        let overslept_us = sleeper.join().map_err(|_| "the sleeper panicked")?;
        Ok((measured, overslept_us))
    })
}

/// Takes in what is pending from the beginning, while nothing is due and nothing runs. Says how long it took.
fn preload(engine: &Engine, load: &mut Load, pending: u64) -> Result<Duration, String> {
    // Slower than some three hundred thousand a second it would begin late, and that would be measured.
    let allowed = Duration::from_secs(1) + Duration::from_micros(pending * 3);
    load.from = SystemClock.now().saturating_add(allowed);
    let begun = Instant::now();
    load.schedule(engine, 0, pending)?;
    let took = begun.elapsed();
    if allowed < took + LEAD {
        return Err(format!(
            "loading took {took:?}, and {allowed:?} after its beginning the first is due: try a smaller --pending"
        ));
    }
    if !matches!(load.pattern, Pattern::Later) {
        thread::sleep(allowed - took - LEAD);
    }
    Ok(took)
}

/// What was seen from the first due instant to the end of the span.
struct Measured {
    /// By all other locations, and by the one with the trouble.
    late_us: [Histogram<u64>; 2],
    due: u64,
    routed: u64,
    elapsed: Duration,
    usage: Option<Usage>,
}

fn measure(load: &Load, span: Duration, desk: &Desk) -> Measured {
    let until_first = load.from.saturating_duration_since(SystemClock.now());
    thread::sleep(match load.pattern {
        Pattern::Even(_) => until_first.saturating_sub(Duration::from_millis(1)),
        // So that the span does not end in the middle of a burst.
        Pattern::Bursts(_) => until_first.saturating_sub(LEAD / 2),
        // The driver's first polls are not what idling costs.
        Pattern::Later => LEAD,
    });
    let before = Usage::now();
    let begun = Instant::now();
    thread::sleep(span);
    let (due, routed) = (load.due_by(SystemClock.now()), desk.routed());
    let elapsed = begun.elapsed();
    let usage = Usage::now();
    Measured {
        late_us: desk.lateness_us(),
        due,
        routed,
        elapsed,
        usage: usage.zip(before).map(|(now, before)| now.since(&before)),
    }
}

/// What a scenario has shown.
pub(crate) struct Outcome {
    scenario: Scenario,
    title: String,
    pending: u64,
    loaded: Duration,
    measured: Measured,
    overslept_us: Histogram<u64>,
    engine_late: Lateness,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        let seconds = measured.elapsed.as_secs_f64();
        writeln!(f, "{}", self.title)?;
        writeln!(
            f,
            "  loaded in {:.2} s ({:.0} a second), measured for {seconds:.2} s",
            self.loaded.as_secs_f64(),
            self.pending as f64 / self.loaded.as_secs_f64()
        )?;
        if self.scenario != Scenario::Idle {
            writeln!(
                f,
                "  {:.0} releases a second; at the end {} were due and not yet released",
                measured.routed as f64 / seconds,
                measured.due.saturating_sub(measured.routed)
            )?;
        }
        self.processor(f)?;
        self.lateness(f)
    }
}

impl Outcome {
    fn processor(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(usage) = &self.measured.usage else {
            return writeln!(
                f,
                "  processor: not known, because this system has no /proc"
            );
        };
        let seconds = self.measured.elapsed.as_secs_f64();
        let share = |used: Duration| used.as_secs_f64() * 100.0 / seconds;
        writeln!(
            f,
            "  processor: {:.1} % of a core for the process",
            share(usage.process)
        )?;
        for (name, thread) in &usage.threads {
            if thread.used > Duration::ZERO {
                writeln!(
                    f,
                    "    {name:<16}{:>8.2} %, {:.0} sleeps a second",
                    share(thread.used),
                    thread.sleeps as f64 / seconds
                )?;
            }
        }
        Ok(())
    }

    fn lateness(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scenario == Scenario::Idle {
            return writeln!(f, "  wanted: under 1 % of a core");
        }
        let [others, there] = &self.measured.late_us;
        writeln!(f, "  {:<28}{HEADS}", "late, ms")?;
        let name = match self.scenario.has_trouble() {
            true => "at the other locations",
            false => "when the router is called",
        };
        writeln!(f, "  {name:<28}{}", Percentiles(others))?;
        if self.scenario.has_trouble() {
            writeln!(f, "  {:<28}{}", "at that location", Percentiles(there))?;
        }
        let late = &self.engine_late;
        writeln!(
            f,
            "  {:<28}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
            "by the engine's own report",
            late.count,
            late.p50_ms,
            late.p90_ms,
            late.p99_ms,
            late.p999_ms,
            "",
            late.max_ms
        )?;
        let sleeps = Percentiles(&self.overslept_us);
        writeln!(f, "  {:<28}{sleeps}", "a thread that only sleeps")?;
        if self.scenario == Scenario::Burst {
            let slowest_ms = others.max() as f64 / 1_000.0;
            writeln!(f, "  the slowest burst was out after {slowest_ms:.1} ms")?;
        } else {
            let p999_us = others.value_at_quantile(0.999);
            let met = match p999_us < P999_US_WANTED {
                true => "met",
                false => "missed",
            };
            writeln!(f, "  wanted: p99.9 under two ticks, 2 ms: {met}")?;
        }
        write!(f, "{}", Bars(others))?;
        if self.scenario.has_trouble() {
            writeln!(f, "  at that location:")?;
            write!(f, "{}", Bars(there))?;
        }
        Ok(())
    }
}
