//! Times single operations, each by itself, beside an idle loop, and prints what they took: what the benches of
//! worst cases share.

// One of them has a single thread, the other no need of the idle loop by itself.
#![allow(dead_code)]

use std::env;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How long operations run until it is the idle loop's turn.
pub(crate) const TURN: Duration = Duration::from_millis(5);

/// How a bench without criterion was called.
pub(crate) enum Call {
    /// To measure.
    Measure,
    /// As with criterion, `--test` or the lack of `--bench` asks for a short run that only shows that it works.
    Try,
    /// The arguments name benchmarks of which this is none.
    Skip,
}

impl Call {
    /// What the arguments ask of the bench of this name.
    pub(crate) fn of(bench: &str) -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let mut names = arguments.iter().enumerate().filter(|&(number, argument)| {
            // A name after an option, other than these two, is most likely that option's value.
            let is_value = number > 0
                && arguments[number - 1].starts_with('-')
                && !["--bench", "--test"].contains(&arguments[number - 1].as_str());
            !argument.starts_with('-') && !is_value
        });
        let has = |option: &str| arguments.iter().any(|argument| argument == option);
        if names
            .next()
            .is_some_and(|(_, first)| !bench.contains(first.as_str()))
        {
            Self::Skip
        } else if has("--bench") && !has("--test") {
            Self::Measure
        } else {
            Self::Try
        }
    }
}

/// A number from the environment, or else this one.
///
/// # Panics
/// If the environment has something else there.
pub(crate) fn number(variable: &str, default: usize) -> usize {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")),
        Err(_) => default,
    }
}

/// Times operations, and an idle loop in alternation with them.
pub(crate) struct Stopwatch {
    names: &'static [&'static str],
    operations: Vec<Histogram<u64>>,
    idle: Histogram<u64>,
    turn_began: Instant,
}

impl Stopwatch {
    /// For operations of these names, which are numbered in order.
    pub(crate) fn new(names: &'static [&'static str]) -> Self {
        // All memory is allocated here; what takes longer than a minute counts as one.
        let minute = Duration::from_secs(60).as_nanos() as u64;
        let histogram = || Histogram::new_with_bounds(1, minute, 3).expect("valid bounds");
        Self {
            names,
            operations: names.iter().map(|_| histogram()).collect(),
            idle: histogram(),
            turn_began: Instant::now(),
        }
    }

    /// What went before was no operation, and not to be balanced by idling.
    pub(crate) fn begin_turn(&mut self) {
        self.turn_began = Instant::now();
    }

    /// Times an operation; when the turn is over, idles for as long as it was.
    #[inline]
    pub(crate) fn time<R>(&mut self, operation: usize, work: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        let result = work();
        let end = Instant::now();
        record(&mut self.operations[operation], end - begin);
        if end - self.turn_began >= TURN {
            self.idle(end - self.turn_began);
        }
        result
    }

    /// Times an operation of a thread that has pauses of its own.
    pub(crate) fn time_alone<R>(&mut self, operation: usize, work: impl FnOnce() -> R) -> R {
        let begin = Instant::now();
        let result = work();
        record(&mut self.operations[operation], begin.elapsed());
        result
    }

    #[cold]
    fn idle(&mut self, turn: Duration) {
        let start = Instant::now();
        loop {
            let begin = Instant::now();
            let end = Instant::now();
            record(&mut self.idle, end - begin);
            if end - start >= turn {
                break;
            }
        }
        self.begin_turn();
    }

    /// Idles for what is left of a turn: a phase shorter than one, or the last piece of it.
    pub(crate) fn finish(&mut self) {
        self.idle(self.turn_began.elapsed());
    }

    /// Adds what another of the same operations timed.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = self.operations.iter_mut().zip(&other.operations);
        for (own, others) in pairs.chain([(&mut self.idle, &other.idle)]) {
            own.add(others).expect("equal bounds");
        }
    }

    /// Operations that were timed, with their names.
    pub(crate) fn timed(&self) -> impl Iterator<Item = (&'static str, &Histogram<u64>)> {
        let named = self.names.iter().copied().zip(&self.operations);
        named.filter(|(_, histogram)| !histogram.is_empty())
    }

    pub(crate) fn idle_loop(&self) -> &Histogram<u64> {
        &self.idle
    }

    /// Prints what they took, in nanoseconds.
    pub(crate) fn print(&self) {
        println!("| | count | p50 | p99 | p99.9 | p99.99 | max |");
        println!("|---|---|---|---|---|---|---|");
        for (name, histogram) in self.timed() {
            print_row(name, histogram);
        }
        if !self.idle.is_empty() {
            print_row("idle loop", &self.idle);
        }
        println!();
    }

    pub(crate) fn forget(&mut self) {
        self.operations.iter_mut().for_each(Histogram::reset);
        self.idle.reset();
        self.begin_turn();
    }
}

#[inline]
fn record(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record(time.as_nanos() as u64);
}

fn print_row(name: &str, histogram: &Histogram<u64>) {
    print!("| {name} | {}", histogram.len());
    for quantile in [0.5, 0.99, 0.999, 0.9999] {
        print!(" | {}", histogram.value_at_quantile(quantile));
    }
    println!(" | {} |", histogram.max());
}

/// A quantile, as a duration.
pub(crate) fn quantile(histogram: &Histogram<u64>, quantile: f64) -> Duration {
    Duration::from_nanos(histogram.value_at_quantile(quantile))
}

/// How many calls took so long, and how many of such length are to be expected for no other reason than that the
/// machine stops threads: as many in the same time as the idle loop had.
pub(crate) fn longer_than(
    limit: Duration,
    operation: &Histogram<u64>,
    idle: &Histogram<u64>,
) -> (u64, f64) {
    let limit = limit.as_nanos() as u64;
    let parts = |histogram: &Histogram<u64>| {
        let mut shorter_ns = 0;
        let mut longer = 0;
        for step in histogram.iter_recorded() {
            let (value, count) = (step.value_iterated_to(), step.count_at_value());
            if value < limit {
                shorter_ns += value * count;
            } else {
                longer += count;
            }
        }
        (shorter_ns, longer)
    };
    let ((operation_ns, longer), (idle_ns, stops)) = (parts(operation), parts(idle));
    let expected = stops as f64 * operation_ns as f64 / idle_ns.max(1) as f64;
    (longer, expected)
}

pub(crate) fn verdict(holds: bool) -> &'static str {
    if holds { "yes" } else { "**no**" }
}
