//! The engine's promises under thousands of interleavings: the whole engine, driven by shuttle in the place of
//! the operating system's threads.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle cargo test --release --test interleavings
//! ```
//!
//! A program that fails prints its schedule, and `DUEWHEEL_SCHEDULE=<that>` with the test's name runs it alone
//! again. `DUEWHEEL_SCHEDULES=<count>` and `SHUTTLE_RANDOM_SEED=<number>` look further than CI does. Nothing here
//! waits for real time: a thread that nobody wakes is a deadlock, which shuttle reports (src/sync/model.rs says what
//! becomes of timeouts).
//!
//! Memory orderings are the other checker's: see src/engine/models.rs.

#![cfg(shuttle)]

mod hold;
mod intake;
mod lease;
mod polls;
mod shutdown;
mod support;
mod wake_up;
mod winner;
