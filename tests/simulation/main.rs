//! Whole worlds, each out of one seed: clients, operators, a router with moods that calls back into the
//! engine, a clock that does what clocks do. The engine is compared with the model at every step, and what
//! it promises is checked in a ledger that knows nothing of either.
//!
//! A world that fails names its seed. `DUEWHEEL_SIMULATION_SEED=n cargo test --release --test simulation` lives
//! it again and prints what happens; `DUEWHEEL_SIMULATION_SEEDS=from..to` lives others than the usual ones.

mod calls;
mod clients;
mod desk;
mod dice;
mod follower;
mod ledger;
#[path = "../model/mod.rs"]
mod model;
mod requests;
mod trace;
mod world;

use std::any::Any;
use std::env;
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use trace::Trace;
use world::{Summary, World};

const FIRST_SEED: u64 = 1;
const WORLDS: u64 = if cfg!(debug_assertions) { 300 } else { 12_000 };
const THREADS: usize = 2;

/// A world that failed.
struct Failure {
    seed: u64,
    why: String,
    trace: Trace,
}

fn live(seed: u64, trace: &Trace) -> Result<Summary, String> {
    let lived = catch_unwind(AssertUnwindSafe(|| World::new(seed, trace.clone()).live()));
    lived.map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// The seed that was asked for, if one was.
fn one_seed() -> Option<u64> {
    let text = env::var("DUEWHEEL_SIMULATION_SEED").ok()?;
    Some(text.parse().expect("DUEWHEEL_SIMULATION_SEED is a number"))
}

fn seeds() -> Range<u64> {
    if let Some(seed) = one_seed() {
        return seed..seed + 1;
    }
    let Ok(text) = env::var("DUEWHEEL_SIMULATION_SEEDS") else {
        return FIRST_SEED..FIRST_SEED + WORLDS;
    };
    let ends = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.trim().parse().ok()?..to.trim().parse().ok()?));
    ends.expect("DUEWHEEL_SIMULATION_SEEDS is two numbers, from..to")
}

/// Past the test harness, which keeps what a test prints to itself.
fn print(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[test]
fn many_worlds_keep_the_promises() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let total = Mutex::new(Summary::default());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let trace = Trace::default();
                    let lived = live(seed, &trace);
                    if one_seed().is_some() {
                        print(&trace.text());
                    }
                    match lived {
                        Ok(summary) => {
                            let mut total = total.lock().unwrap();
                            total.events += summary.events;
                            total.commands += summary.commands;
                            total.inside += summary.inside;
                            for (total, ended) in total.ended.iter_mut().zip(summary.ended) {
                                *total += ended;
                            }
                        }
                        Err(why) => {
                            failures.lock().unwrap().push(Failure { seed, why, trace });
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    if let Some(failure) = failures.iter().min_by_key(|failure| failure.seed) {
        let seed = failure.seed;
        if one_seed().is_none() {
            print(&failure.trace.text());
        }
        panic!(
            "world {seed}: {}\nto see it again:\n    \
             DUEWHEEL_SIMULATION_SEED={seed} cargo test --release --test simulation",
            failure.why
        );
    }
    let total = total.into_inner().unwrap();
    let worlds = seeds.end - seeds.start;
    println!(
        "{worlds} worlds, {} events, {} commands, {} calls from inside the router, ended {:?}",
        total.events, total.commands, total.inside, total.ended
    );
    if worlds >= 100 {
        assert!(total.commands > 10 * worlds, "worlds with work in them");
        assert!(total.inside > worlds, "routers that call back");
        assert!(total.ended.iter().all(|&ended| ended > worlds / 10));
    }
}

#[test]
fn the_same_seed_makes_the_same_world() {
    let seeds = seeds();
    for seed in seeds.start..seeds.end.min(seeds.start + 20) {
        let [one, other] = [(); 2].map(|()| live(seed, &Trace::default()));
        assert_eq!(one, other, "world {seed}");
    }
}

/// As the fuzzer writes them; `fuzz/` includes these files by path.
#[test]
fn a_world_can_be_had_of_any_bytes() {
    for length in [0, 1, 20, 300, 1_000] {
        for byte in [0, 1, 0x5A, 0xFF] {
            let script: Vec<u8> = (0..length)
                .map(|at| byte ^ (at * byte as usize) as u8)
                .collect();
            World::scripted(&script, &script, Trace::default()).live();
        }
    }
}
