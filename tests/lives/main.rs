//! Engines with a store on the simulated disk, each world out of one seed: crashes at any moment, also in the middle
//! of a call, writes and syncs that fail, disks that are full. What is promised across all that is checked in a
//! ledger that knows of nothing but what was said and heard.
//!
//! A world that fails names its seed; `DUEWHEEL_LIVES_SEED=n cargo test --release --test lives` lives it again, and
//! `DUEWHEEL_LIVES_SEEDS=n` lives so many instead of the usual ones.

#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../simulation/dice.rs"]
mod dice;
#[path = "../disk/mod.rs"]
mod disk;
mod ledger;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::{Summary, World};

const WORLDS: u64 = if cfg!(debug_assertions) { 100 } else { 1_500 };

fn asked_for(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number")))
}

/// One that was asked for, or as many as were.
fn seeds() -> Range<u64> {
    match asked_for("DUEWHEEL_LIVES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..asked_for("DUEWHEEL_LIVES_SEEDS").unwrap_or(WORLDS) + 1,
    }
}

fn live(seed: u64) -> Summary {
    let lived = catch_unwind(AssertUnwindSafe(|| World::new(seed).live()));
    lived.unwrap_or_else(|panic| {
        eprintln!("DUEWHEEL_LIVES_SEED={seed} cargo test --release --test lives");
        resume_unwind(panic);
    })
}

#[test]
fn what_was_promised_outlives_crashes_and_failing_disks() {
    let seeds = seeds();
    let worlds = seeds.end - seeds.start;
    let mut total = Summary::default();
    for seed in seeds {
        let lived = live(seed);
        total.events += lived.events;
        total.lives += lived.lives;
        total.commands += lived.commands;
        total.redelivered += lived.redelivered;
        total.failures += lived.failures;
    }
    println!("{worlds} worlds: {total:?}");
    if worlds >= 100 {
        assert!(total.lives > 3 * worlds, "worlds of many lives");
        assert!(total.commands > 5 * worlds, "with work in them");
        assert!(
            total.redelivered > worlds / 4,
            "of which some is done again"
        );
        assert!(total.failures > worlds / 2, "and with journals that fail");
    }
}

#[test]
fn the_same_seed_lives_the_same_lives() {
    for seed in 1..10 {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}

/// As the fuzzer writes them.
#[test]
fn lives_can_be_had_of_any_bytes() {
    for length in [0, 1, 20, 300, 1_000] {
        for byte in [0, 1, 0x5A, 0xFF] {
            let script: Vec<u8> = (0..length)
                .map(|at| byte ^ (at * usize::from(byte)) as u8)
                .collect();
            World::scripted(&script, &script).live();
        }
    }
}
