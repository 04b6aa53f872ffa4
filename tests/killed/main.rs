//! Kills a real process at random moments, again and again, and holds what it says to a ledger kept outside.
//!
//! Each round starts the bridge (`examples/ndjson_router`) on the same directory, feeds it commands as fast as it takes
//! them, and kills it with SIGKILL after some random time: while it starts and reads its store back, while it syncs,
//! while it routes, while it takes a snapshot. The next round asks again whatever was not answered, and goes on. Time
//! is virtual, so that due times and routes can be foretold. What must hold is in `ledger.rs`.
//!
//! 200 rounds, 20 in a build without optimisation; another number, and another course of events, come from the environment:
//!
//! ```text
//! DUEWHEEL_KILLS=5000 DUEWHEEL_KILLS_SEED=7 cargo test --release --test killed
//! ```

#![cfg(unix)]

mod bridge;
#[path = "../example/mod.rs"]
mod example;
mod folder;
mod full;
mod ledger;
mod rounds;

use std::env;

use rounds::Rounds;

/// A number from the environment, or else this one.
fn number(variable: &str, default: u64) -> u64 {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")),
        Err(_) => default,
    }
}

fn run(durability: &'static str, router: &'static str, share: u64) {
    // Without optimisation a process takes a second to read its store.
    let rounds = if cfg!(debug_assertions) { 20 } else { 200 };
    let rounds = number("DUEWHEEL_KILLS", rounds).div_ceil(share);
    let seed = number("DUEWHEEL_KILLS_SEED", 1);
    Rounds::new(seed, durability, router).run(rounds);
}

#[test]
fn whatever_was_acknowledged_survives_a_kill_at_any_moment() {
    run("sync", "auto", 1);
}

#[test]
fn what_was_at_the_router_is_told_again_and_may_still_be_completed() {
    run("sync", "manual", 2);
}

#[test]
fn what_is_not_waited_for_is_marked_where_it_may_have_been_routed() {
    run("interval:5", "auto", 10);
    run("none", "auto", 10);
    run("none", "manual", 10);
}
