//! The wheel's operations, as `operation/workload/population`.
//!
//! Due times are fixed by a seed and uniform over a day of milliseconds, or over five minutes for
//! the churn of timeouts; the value is a `u64`. Building up and dropping are outside the timing.

// The macros of criterion define what they need without a word of documentation.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use duewheel::{Fired, Handle, Wheel};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// From what fits into the first cache to what fits into none that is near.
const POPULATIONS: [usize; 3] = [1_000, 30_000, 300_000];

fn due_times(population: usize) -> Vec<u64> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    (0..population)
        .map(|_| random.random_range(1..=DAY))
        .collect()
}

fn fill(wheel: &mut Wheel<u64>, dues: &[u64]) -> Vec<Handle> {
    dues.iter().map(|&due| wheel.schedule(due, due)).collect()
}

fn shuffled(mut handles: Vec<Handle>) -> Vec<Handle> {
    handles.shuffle(&mut Pcg64Mcg::seed_from_u64(2));
    handles
}

/// A wheel that held this population before and was emptied by cancels, so that its memory is warm.
fn used(dues: &[u64]) -> Wheel<u64> {
    let mut wheel = Wheel::new();
    for handle in shuffled(fill(&mut wheel, dues)) {
        let _ = wheel.cancel(handle);
    }
    wheel
}

fn consume(timer: Fired<u64>) {
    black_box(timer);
}

fn schedule(criterion: &mut Criterion) {
    for (workload, warm) in [("day-cold", false), ("day-warm", true)] {
        let mut group = criterion.benchmark_group(format!("schedule/{workload}"));
        for population in POPULATIONS {
            let dues = due_times(population);
            group.throughput(Throughput::Elements(population as u64));
            group.bench_with_input(
                BenchmarkId::from_parameter(population),
                &dues,
                |bencher, dues| {
                    bencher.iter_batched_ref(
                        || if warm { used(dues) } else { Wheel::new() },
                        |wheel| {
                            for &due in dues {
                                let _ = black_box(wheel.schedule(due, due));
                            }
                        },
                        BatchSize::PerIteration,
                    );
                },
            );
        }
        group.finish();
    }
}

fn cancel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cancel/day-shuffled");
    for population in POPULATIONS {
        let dues = due_times(population);
        group.throughput(Throughput::Elements(population as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(population),
            &dues,
            |bencher, dues| {
                bencher.iter_batched_ref(
                    || {
                        let mut wheel = Wheel::new();
                        let handles = shuffled(fill(&mut wheel, dues));
                        (wheel, handles)
                    },
                    |(wheel, handles)| {
                        for &handle in &*handles {
                            black_box(wheel.cancel(handle));
                        }
                    },
                    BatchSize::PerIteration,
                );
            },
        );
    }
    group.finish();
}

fn expire(criterion: &mut Criterion) {
    // In one call, and in calls a second apart.
    for (workload, step) in [("day-one-advance", DAY), ("day-by-seconds", 1_000)] {
        let mut group = criterion.benchmark_group(format!("expire/{workload}"));
        for population in POPULATIONS {
            let dues = due_times(population);
            group.throughput(Throughput::Elements(population as u64));
            group.bench_with_input(
                BenchmarkId::from_parameter(population),
                &dues,
                |bencher, dues| {
                    bencher.iter_batched_ref(
                        || {
                            let mut wheel = Wheel::new();
                            let _ = fill(&mut wheel, dues);
                            wheel
                        },
                        |wheel| {
                            let mut fired = 0;
                            for now in (step..=DAY).step_by(step as usize) {
                                fired += wheel.advance(now, usize::MAX, consume).fired;
                            }
                            assert_eq!(fired, dues.len());
                        },
                        BatchSize::PerIteration,
                    );
                },
            );
        }
        group.finish();
    }
}

/// Timeouts of half a minute to five: each step schedules one, cancels one chosen at random, and
/// every tenth is a tick.
fn churn(criterion: &mut Criterion) {
    const STEPS: usize = 10_000;
    let mut group = criterion.benchmark_group("churn/timeouts");
    for population in POPULATIONS {
        group.throughput(Throughput::Elements(STEPS as u64));
        group.bench_function(BenchmarkId::from_parameter(population), |bencher| {
            let mut random = Pcg64Mcg::seed_from_u64(3);
            let mut wheel = Wheel::new();
            let mut now = 0;
            let mut handles: Vec<Handle> = (0..population)
                .map(|_| wheel.schedule(random.random_range(30_000..300_000), 0))
                .collect();
            bencher.iter(|| {
                for step in 0..STEPS {
                    let due = now + random.random_range(30_000..300_000);
                    let at = random.random_range(0..population);
                    let old = std::mem::replace(&mut handles[at], wheel.schedule(due, due));
                    black_box(wheel.cancel(old));
                    if step % 10 == 0 {
                        now += 1;
                        let _ = wheel.advance(now, usize::MAX, consume);
                    }
                }
            });
        });
    }
    group.finish();
}

fn empty_tick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("advance/nothing-due");
    for population in POPULATIONS {
        let mut wheel = Wheel::new();
        for due in due_times(population) {
            let _ = wheel.schedule(due + DAY, due);
        }
        let mut now = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(population), |bencher| {
            bencher.iter(|| {
                now = (now + 1) % DAY;
                wheel.advance(black_box(now), usize::MAX, consume)
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = schedule, cancel, expire, churn, empty_tick
}
criterion_main!(benches);
