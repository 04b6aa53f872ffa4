//! The engine's operations at a steady population, as `engine/operation/variant/threads/population`.
//!
//! Every population is pending in an engine that has been in use: since it was filled as many requests as
//! it holds have come and gone, by cancel and by release, so that slots, tables and wheel are as a long run leaves
//! them, and the idempotency memory, bounded to as many records as there are requests pending, is full: whatever
//! ends is remembered, and what ended longest ago is forgotten, at the expense of the operation. Due times are uniform
//! over 24 h from intake; victims are drawn at random, so that each is a request that no cache holds.
//! Making requests and drawing victims is not timed. Time is virtual.
//!
//! `life` is the sum of it all: requests are taken in, half of them are cancelled at some time and the others
//! released by polls that go on meanwhile, and the population stays what it is. Its figure is that of one full life.
//! Two threads each do as much as one does alone, with requests of their own in the same engine, and the rate is
//! that of both together; whoever finds nobody polling polls.
//!
//! 1 million pending by default. Others come from the environment, as they take longer than one cares to wait for:
//!
//! ```text
//! cargo bench --bench engine
//! DUEWHEEL_BENCH_POPULATIONS=10000000 cargo bench --bench engine
//! ```
//!
//! To compare two builds within a minute or so each, ask for lives alone, and keep the first one's figures by a name.
//! Where the machine is busy with other things, count the processor's time (`stopwatch.rs` says what that leaves out):
//!
//! ```text
//! cargo bench --bench engine -- life.*uniform --save-baseline before
//! cargo bench --bench engine -- life.*uniform --baseline before
//! DUEWHEEL_BENCH_CPU_TIME=1 cargo bench --bench engine -- life.*uniform/one
//! ```

// The macros of criterion define what they need without a word of documentation.
#![allow(missing_docs)]

mod centre;
mod life;
mod places;
mod release;
mod single;
mod stopwatch;

use std::cell::RefCell;
use std::env;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

use centre::{Centre, Workload};
use places::Spread;

const POPULATION: usize = 1_000_000;

/// The population where criterion only tries whether a benchmark runs.
const POPULATION_TRIED: usize = 4_000;

/// The populations to measure, smallest first.
///
/// # Panics
/// If the environment names something else.
fn populations() -> Vec<usize> {
    if let Ok(list) = env::var("DUEWHEEL_BENCH_POPULATIONS") {
        let mut populations: Vec<usize> = list
            .split(',')
            .map(|number| number.trim().parse().expect("a number of requests"))
            .collect();
        populations.sort_unstable();
        assert!(
            populations.first() >= Some(&1_000),
            "at least a thousand requests"
        );
        return populations;
    }
    // As criterion itself decides it.
    let measures = env::args().any(|argument| argument == "--bench")
        && env::args().all(|argument| argument != "--test");
    vec![if measures {
        POPULATION
    } else {
        POPULATION_TRIED
    }]
}

/// One engine a population and spread of locations, which every operation finds as the one before left it: in the
/// same steady state.
struct Bench<'a> {
    criterion: &'a mut Criterion,
    population: usize,
    spread: Spread,
    /// Made at first use, as filters may pass over every benchmark.
    centre: RefCell<Option<Centre>>,
}

impl Bench<'_> {
    /// Measures a workload by so many threads.
    fn measure<W: Workload>(
        &mut self,
        operation: &str,
        variant: &str,
        threads: usize,
        workload: &W,
    ) {
        let mut group = self
            .criterion
            .benchmark_group(format!("engine/{operation}"));
        let elements = threads * Centre::operations(self.population);
        group.throughput(Throughput::Elements(elements as u64));
        let word = ["one-thread", "two-threads"][threads - 1];
        let name = match variant {
            "" => format!("{}/{word}", self.spread),
            _ => format!("{variant}/{}/{word}", self.spread),
        };
        group.bench_function(BenchmarkId::new(name, self.population), |bencher| {
            let mut centre = self.centre.borrow_mut();
            let centre = centre.get_or_insert_with(|| Centre::in_use(self.population, self.spread));
            bencher.iter_custom(|iterations| {
                let times = (0..iterations).map(|_| centre.iteration(workload, threads));
                times.sum::<Duration>()
            });
        });
        group.finish();
    }
}

fn engine(criterion: &mut Criterion) {
    for population in populations() {
        for spread in Spread::ALL {
            let mut bench = Bench {
                criterion,
                population,
                spread,
                centre: RefCell::new(None),
            };
            for threads in [1, 2] {
                bench.measure("schedule", "", threads, &single::Schedule);
                for batch in [1, 16, 256] {
                    let workload = single::ScheduleBatch(batch);
                    bench.measure("schedule_batch", &batch.to_string(), threads, &workload);
                }
                bench.measure("cancel", "", threads, &single::Cancel);
                bench.measure("reschedule", "", threads, &single::Reschedule);
                bench.measure("status", "", threads, &single::Status);
            }
            // There is one poll at a time.
            bench.measure("release", "", 1, &release::Release);
            for threads in [1, 2] {
                bench.measure("life", "single-calls", threads, &life::Singly);
                bench.measure("life", "batches-of-256", threads, &life::Batches::BARE);
            }
            if spread == Spread::Uniform {
                bench.measure("life", "with-payload", 1, &life::Batches::LADEN);
            }
        }
    }
}

criterion_group! {
    name = benches;
    // Half a hundred benchmarks have to be done within minutes, and much of that is untimed.
    config = Criterion::default()
        .sample_size(10)
        // As its reports take longest over the resamples.
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = engine
}
criterion_main!(benches);
