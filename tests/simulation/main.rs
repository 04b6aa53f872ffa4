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
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trace::Trace;
use world::{Summary, World};

const FIRST_SEED: u64 = 1;
const WORLDS: u64 = if cfg!(debug_assertions) { 300 } else { 20_000 };
const THREADS: usize = 2;
/// Worlds take milliseconds, so one that takes this long hangs.
const WORLD_TIME_MAX: Duration = Duration::from_secs(300);

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

/// What a thread is at: a seed, its trace, and since when.
type At = Mutex<Option<(u64, Trace, Instant)>>;

/// Lives all of these worlds, up to the first that fails.
fn live_all(seeds: Range<u64>) -> (Summary, Vec<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let left = AtomicUsize::new(THREADS);
    let failures = Mutex::new(Vec::new());
    let total = Mutex::new(Summary::default());
    let at: [At; THREADS] = Default::default();
    let work = |at: &At| {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || !failures.lock().unwrap().is_empty() {
                break;
            }
            let trace = Trace::default();
            *at.lock().unwrap() = Some((seed, trace.clone(), Instant::now()));
            let lived = live(seed, &trace);
            if one_seed().is_some() {
                print(&trace.text());
            }
            match lived {
                Ok(summary) => *total.lock().unwrap() += summary,
                Err(why) => failures.lock().unwrap().push(Failure { seed, why, trace }),
            }
        }
        *at.lock().unwrap() = None;
        left.fetch_sub(1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        for at in &at {
            scope.spawn(|| work(at));
        }
        while left.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(20));
            at.iter().for_each(end_what_does_not);
        }
    });
    let total = *total.lock().unwrap();
    (total, failures.into_inner().unwrap())
}

/// A world that does not come to its end would hide its seed.
fn end_what_does_not(at: &At) {
    let Some((seed, trace, since)) = &*at.lock().unwrap() else {
        return;
    };
    if since.elapsed() > WORLD_TIME_MAX {
        print(&trace.text());
        print(&format!(
            "world {seed} does not come to its end\n{}\n",
            replay(*seed)
        ));
        std::process::exit(1);
    }
}

fn replay(seed: u64) -> String {
    format!(
        "to see it again:\n    DUEWHEEL_SIMULATION_SEED={seed} cargo test --release --test simulation"
    )
}

#[test]
fn many_worlds_keep_the_promises() {
    let seeds = seeds();
    let worlds = seeds.end.saturating_sub(seeds.start);
    assert!(worlds > 0, "no seeds to live");
    let (total, failures) = live_all(seeds);
    if let Some(failure) = failures.iter().min_by_key(|failure| failure.seed) {
        let seed = failure.seed;
        if one_seed().is_none() {
            print(&failure.trace.text());
        }
        panic!("world {seed}: {}\n{}", failure.why, replay(seed));
    }
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
