//! The wheel's operations, as `operation/workload/population`.
//!
//! Everything random is fixed by seeds and decided outside the timing, as are building up and
//! dropping. Where a workload has a steady state it is brought there first, and a wheel is kept from
//! one iteration to the next: only the workloads called `cold` begin with memory never used before.
//! Time is virtual, a tick is a millisecond, and the value of a timer is a `u64`.
//!
//! A thousand to a million timers by default. Ten million, or any other populations, come from the
//! environment, as they take longer than one cares to wait for every day:
//!
//! ```text
//! DUEWHEEL_BENCH_POPULATIONS=10000000 cargo bench --bench wheel -- churn
//! ```

// The macros of criterion define what they need without a word of documentation.
#![allow(missing_docs)]

mod burst;
mod churn;
mod day;
mod fresh;
mod idle;

use std::env;
use std::ops::RangeInclusive;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use duewheel::{Handle, Wheel};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// From what fits into the first cache to what fits into none.
const POPULATIONS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// Populations where criterion only tries whether a benchmark runs.
const POPULATIONS_TRIED: [usize; 2] = [1_000, 10_000];

/// The populations to measure, smallest first.
///
/// # Panics
/// If the environment names something else.
fn populations() -> Vec<usize> {
    if let Ok(list) = env::var("DUEWHEEL_BENCH_POPULATIONS") {
        let mut populations: Vec<usize> = list
            .split(',')
            .map(|number| number.trim().parse().expect("a number of timers"))
            .collect();
        populations.sort_unstable();
        assert!(populations.first() > Some(&0), "a wheel of no timers");
        return populations;
    }
    // As criterion itself decides it.
    let measures = env::args().any(|argument| argument == "--bench")
        && env::args().all(|argument| argument != "--test");
    if measures {
        POPULATIONS.into()
    } else {
        POPULATIONS_TRIED.into()
    }
}

/// The smallest and the largest of the populations.
fn extreme_populations() -> Vec<usize> {
    let mut extremes = populations();
    extremes.drain(1..extremes.len().max(2) - 1);
    extremes
}

/// Measures one workload at each population: `iteration` does `elements` operations and returns how
/// long they took, on a state that `set_up` made once and that lasts until the last sample.
fn measure<S>(
    criterion: &mut Criterion,
    name: &str,
    populations: Vec<usize>,
    elements: impl Fn(usize) -> usize,
    set_up: impl Fn(usize) -> S,
    iteration: impl Fn(&mut S) -> Duration,
) {
    let mut group = criterion.benchmark_group(name);
    for population in populations {
        let mut state = None;
        group.throughput(Throughput::Elements(elements(population) as u64));
        group.bench_function(BenchmarkId::from_parameter(population), |bencher| {
            // Here, as filters may pass over the benchmark; and not below, as criterion takes from
            // the warm-up how long an iteration is.
            let state = state.get_or_insert_with(|| set_up(population));
            bencher.iter_custom(|iterations| (0..iterations).map(|_| iteration(state)).sum());
        });
    }
    group.finish();
}

fn seeded(seed: u64) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(seed)
}

/// Writes so many due times, uniform over `range`.
fn draw(dues: &mut [u64], range: RangeInclusive<u64>, random: &mut Pcg64Mcg) {
    dues.fill_with(|| random.random_range(range.clone()));
}

/// Schedules timers that carry their due times. `handles` has room for theirs.
fn fill(wheel: &mut Wheel<u64>, dues: &[u64], handles: &mut Vec<Handle>) {
    handles.clear();
    handles.extend(dues.iter().map(|&due| wheel.schedule(due, due)));
}

fn cancel_all(wheel: &mut Wheel<u64>, handles: &mut Vec<Handle>, random: &mut Pcg64Mcg) {
    handles.shuffle(random);
    for handle in handles.drain(..) {
        let _ = wheel.cancel(handle);
    }
}

criterion_group! {
    name = benches;
    // Half a hundred benchmarks have to be done within minutes, and much of that is untimed.
    config = Criterion::default()
        .sample_size(20)
        // As its reports take longest over the resamples.
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets =
        day::schedule, day::cancel, day::reschedule, day::expire,
        burst::schedule, burst::expire,
        churn::steady, churn::timeouts,
        idle::nothing_due, idle::century, idle::next_due
}
criterion_main!(benches);
