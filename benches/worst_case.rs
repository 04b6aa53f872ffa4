//! The longest that a single operation takes, printed as Markdown.
//!
//! Every operation is timed by itself. In alternation with some milliseconds of them runs an idle
//! loop for just as long, in which there is nothing between the two readings of the clock: what it
//! shows is the clock's own cost, and how long the machine (its scheduler, its hypervisor) stops a
//! program that does nothing. Nothing is asserted on time.
//!
//! ```text
//! cargo bench --bench worst_case
//! DUEWHEEL_WORST_CASE_TIMERS=1000000 cargo bench --bench worst_case
//! ```
//!
//! As with criterion, `--test` or the lack of `--bench` asks for a short run that only shows that it
//! works, and a name that is not part of `worst_case` for none.

#[path = "timing/mod.rs"]
mod timing;

use std::time::Duration;

use duewheel::{Handle, Wheel};
use hdrhistogram::Histogram;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use timing::{Call, Stopwatch, TURN, quantile, verdict};

/// Milliseconds of an hour and a day; a tick is a millisecond.
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

const TIMERS: usize = 10_000_000;
const TIMERS_TRIED: usize = 20_000;

/// Timers that one `advance` may fire.
const BUDGET: usize = 64;

/// What should hold at ten million timers.
const P9999_TARGET: Duration = Duration::from_micros(100);
const BEYOND_IDLE_TARGET: Duration = Duration::from_millis(2);

fn main() {
    let timers = match Call::of("worst_case") {
        Call::Measure => TIMERS,
        Call::Try => TIMERS_TRIED,
        Call::Skip => return,
    };
    let timers = timing::number("DUEWHEEL_WORST_CASE_TIMERS", timers);
    assert!(
        timers >= 100,
        "a hundredth of the timers is left in a phase"
    );

    println!("# Worst cases of single operations, {timers} timers\n");
    println!(
        "Nanoseconds. Beside each phase an idle loop ran for as long, in turns of {} ms. An \
         `advance` has a budget of {BUDGET}.\n",
        TURN.as_millis()
    );
    let mut trial = Trial::new(timers);
    growth(&mut trial);
    churn(&mut trial);
    cancels(&mut trial);
    jumps(&mut trial);
    burst(&mut trial);
    late(&mut trial);
}

/// From an empty wheel to all timers, uniform over a day.
fn growth(trial: &mut Trial) {
    for _ in 0..trial.timers {
        let due = trial.random.random_range(1..=DAY);
        trial.schedule(due);
    }
    trial.report("Growth from empty, in memory never used before");
}

/// Each step schedules a timer, log-uniform over 1 s to 24 h, reschedules a random one, and cancels
/// another unless as many fired; every tenth passes a tick.
fn churn(trial: &mut Trial) {
    for step in 0..trial.timers / 2 {
        let due = trial.now + life(&mut trial.random);
        trial.schedule(due);
        let place = trial.random_place();
        let due = trial.now + life(&mut trial.random);
        trial.reschedule(place, due);
        if trial.wheel.len() > trial.timers {
            let place = trial.random_place();
            trial.cancel(place);
        }
        if step % 10 == 9 {
            trial.now += 1;
            let _ = trial.advance();
        }
    }
    trial.report("Churn: schedule, reschedule, cancel, and a tick every 10 steps");
}

/// All but one in a hundred, in random order.
fn cancels(trial: &mut Trial) {
    trial.cancel_most();
    trial.report("Cancelling 99 of 100 in random order");
}

/// All timers uniform over a day, passed in four jumps.
fn jumps(trial: &mut Trial) {
    trial.clear();
    for _ in 0..trial.timers {
        let due = trial.now + trial.random.random_range(1..=DAY);
        trial.schedule(due);
    }
    for _ in 0..4 {
        trial.now += 7 * HOUR;
        while trial.advance() {}
    }
    trial.report("A full day in memory used before, and jumps of 7 hours into it");
}

/// A tenth of the timers at one tick.
fn burst(trial: &mut Trial) {
    trial.clear();
    let due = trial.now + 10 * HOUR;
    for _ in 0..trial.timers / 10 {
        trial.schedule(due);
    }
    trial.now = due;
    while trial.advance() {}
    trial.report("A tenth of the timers at one tick, and a jump to it");
}

/// A tenth of the timers due before the present.
fn late(trial: &mut Trial) {
    trial.clear();
    let cursor = trial.wheel.cursor();
    for _ in 0..trial.timers / 10 {
        let due = trial
            .random
            .random_range(cursor.saturating_sub(DAY)..cursor);
        trial.schedule(due);
    }
    trial.cancel_most();
    while trial.advance() {}
    trial.report(
        "A tenth of the timers late by up to a day, 99 of 100 cancelled, and the rest fired",
    );
}

/// Ticks of a timer in the churn.
fn life(random: &mut Pcg64Mcg) -> u64 {
    let exponent = random.random_range(0.0..(DAY as f64 / 1_000.0).ln());
    (1_000.0 * f64::exp(exponent)) as u64
}

/// A wheel whose every operation is timed.
struct Trial {
    timers: usize,
    random: Pcg64Mcg,
    wheel: Wheel<u32>,
    now: u64,
    /// By place, which is what a timer carries; inert where the place is free.
    handles: Vec<Handle>,
    free: Vec<u32>,
    stopwatch: Stopwatch,
}

impl Trial {
    fn new(timers: usize) -> Self {
        // The churn may add some. Memory that is ours is touched beforehand.
        let room = timers + timers / 4;
        let mut wheel = Wheel::new();
        let handle = wheel.schedule(0, 0);
        let mut handles = vec![handle; room];
        handles.clear();
        let mut free = vec![0; room];
        free.clear();
        Self {
            timers,
            random: Pcg64Mcg::seed_from_u64(6),
            wheel: Wheel::new(),
            now: 0,
            handles,
            free,
            stopwatch: Stopwatch::new(&Operation::NAMES),
        }
    }

    fn schedule(&mut self, due: u64) {
        let place = self.free.pop().unwrap_or(self.handles.len() as u32);
        let handle = self.stopwatch.time(Operation::Schedule as usize, || {
            self.wheel.schedule(due, place)
        });
        if let Some(known) = self.handles.get_mut(place as usize) {
            *known = handle;
        } else {
            self.handles.push(handle);
        }
    }

    /// Cancels the timer of a place, if there is one.
    fn cancel(&mut self, place: u32) {
        let handle = self.handles[place as usize];
        let value = self
            .stopwatch
            .time(Operation::Cancel as usize, || self.wheel.cancel(handle));
        self.free.extend(value);
    }

    /// Reschedules the timer of a place, if there is one.
    fn reschedule(&mut self, place: u32, due: u64) {
        let handle = self.handles[place as usize];
        let _ = self.stopwatch.time(Operation::Reschedule as usize, || {
            self.wheel.reschedule(handle, due)
        });
    }

    /// One call; whether something is left that is due.
    fn advance(&mut self) -> bool {
        let (wheel, free, now) = (&mut self.wheel, &mut self.free, self.now);
        let advance = self.stopwatch.time(Operation::Advance as usize, || {
            wheel.advance(now, BUDGET, |timer| free.push(timer.value))
        });
        advance.more
    }

    /// Few are free. To look which would fetch what the operation is to wait for.
    fn random_place(&mut self) -> u32 {
        self.random.random_range(0..self.handles.len() as u32)
    }

    fn cancel_most(&mut self) {
        let mut places: Vec<u32> = self.wheel.iter().map(|(_, _, &place)| place).collect();
        places.shuffle(&mut self.random);
        let left = places.len() / 100;
        self.stopwatch.begin_turn();
        for place in places.drain(left..) {
            self.cancel(place);
        }
    }

    /// Drops all timers, untimed.
    fn clear(&mut self) {
        self.wheel.clear();
        self.handles.clear();
        self.free.clear();
        self.stopwatch.begin_turn();
    }

    /// Prints a phase, and forgets it.
    fn report(&mut self, phase: &str) {
        self.stopwatch.finish();
        println!("## {phase}\n");
        self.stopwatch.print();
        for (name, histogram) in self.stopwatch.timed() {
            print_verdict(name, histogram, self.stopwatch.idle_loop());
        }
        println!();
        self.stopwatch.forget();
    }
}

#[derive(Clone, Copy)]
enum Operation {
    Schedule,
    Cancel,
    Reschedule,
    Advance,
}

impl Operation {
    const NAMES: [&str; 4] = ["schedule", "cancel", "reschedule", "advance"];
}

fn print_verdict(name: &str, histogram: &Histogram<u64>, idle: &Histogram<u64>) {
    let p9999 = quantile(histogram, 0.9999);
    let beyond = Duration::from_nanos(histogram.max().saturating_sub(idle.max()));
    println!(
        "- {name}: p99.99 under {P9999_TARGET:?}: {}; maximum within {BEYOND_IDLE_TARGET:?} of \
         idle's: {} ({beyond:.1?} beyond)",
        verdict(p9999 < P9999_TARGET),
        verdict(beyond <= BEYOND_IDLE_TARGET),
    );
}
