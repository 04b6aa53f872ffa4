//! What a caller's calls take while a snapshot is taken, and while none is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{Engine, InteractionRequest, ScheduleData, Timestamp};
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::folder::Folder;
use crate::recovery;

/// Turns of each.
const TURNS: usize = 3;

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}

/// A caller schedules and cancels; beside it, what happens is made durable every 5 ms.
pub(crate) fn measure(requests: usize, span_ms: u64) {
    let folder = Folder::new("snapshots");
    let engine = recovery::open(&folder, requests);
    recovery::fill(&engine, requests);
    let next = AtomicU64::new(requests as u64);
    let (mut quiet, mut taking) = (histogram(), histogram());
    let mut took = Vec::new();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
                engine.flush().expect("a disk that works");
            }
        });
        for _ in 0..TURNS {
            let until = Instant::now() + Duration::from_millis(span_ms);
            call(&engine, &next, &mut quiet, || Instant::now() < until);
            let done = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let begin = Instant::now();
                    let taken = engine.snapshot().expect("a disk that works");
                    took.push((begin.elapsed(), taken));
                    done.store(true, Ordering::Relaxed);
                });
                call(&engine, &next, &mut taking, || {
                    !done.load(Ordering::Relaxed)
                });
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("# Snapshots while a caller goes on, {requests} pending\n");
    for (time, taken) in &took {
        println!(
            "- {:.2} s, {} bytes, {} shards written",
            time.as_secs_f64(),
            taken.bytes,
            taken.shards_written
        );
    }
    println!("\n| microseconds a call | p50 | p99 | p99.9 | p99.99 | calls |");
    println!("|---|---|---|---|---|---|");
    for (name, histogram) in [("no snapshot", &quiet), ("while one is taken", &taking)] {
        print!("| {name}");
        for quantile in [0.5, 0.99, 0.999, 0.9999] {
            print!(
                " | {:.1}",
                histogram.value_at_quantile(quantile) as f64 / 1e3
            );
        }
        println!(" | {} |", histogram.len());
    }
    let ratio = |quantile| {
        taking.value_at_quantile(quantile) as f64 / quiet.value_at_quantile(quantile).max(1) as f64
    };
    println!(
        "\np99.9 by {:.2}, p99.99 by {:.2}.\n",
        ratio(0.999),
        ratio(0.9999)
    );
}

/// Schedules a request and cancels one, as long as it is to go on.
fn call(
    engine: &Engine,
    next: &AtomicU64,
    histogram: &mut Histogram<u64>,
    goes_on: impl Fn() -> bool,
) {
    let mut random = Pcg64Mcg::seed_from_u64(2);
    let now = Timestamp::from_millis(1_767_596_400_000);
    let location = engine.directory().enter("L0001").expect("a name");
    while goes_on() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let due = 1_767_596_400_000 + random.random_range(1..=86_400_000);
        let schedule = ScheduleData::at(Timestamp::from_millis(due));
        let request = InteractionRequest::new(number.into(), location).with_schedule(schedule);
        let victim = random.random_range(0..number);
        let begin = Instant::now();
        let taken = engine.schedule(request, now);
        let middle = Instant::now();
        let _ = engine.cancel(victim.into(), now);
        let end = Instant::now();
        assert!(taken.is_ok());
        histogram.saturating_record((middle - begin).as_nanos() as u64);
        histogram.saturating_record((end - middle).as_nanos() as u64);
    }
}
