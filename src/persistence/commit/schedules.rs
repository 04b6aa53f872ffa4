//! The commit buffer under shuttle: thousands of interleavings of more threads than loom can go through.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle cargo test --release --lib schedules
//! ```
//!
//! A program that fails prints its schedule. `DUEWHEEL_SCHEDULES=<count>` and `SHUTTLE_RANDOM_SEED=<number>` look
//! further than CI does.

#![cfg(all(test, shuttle))]

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner};

use super::fake::{FakeJournal, Fault};
use super::{Commit, Undurable};
use crate::ids::Timestamp;
use crate::persistence::journal::Durability;
use crate::sync::{Arc, AtomicBool, Ordering, thread};

const SCHEDULES: usize = 1_000;
const PREEMPTIONS: usize = 3;
const SEED: u64 = 5_118_204;
const STEPS_MAX: usize = 200_000;
const CALLERS: usize = 6;
const CALLS: usize = 4;

fn explore(program: impl Fn() + Send + Sync + 'static) {
    let program = Arc::new(program);
    let count = std::env::var("DUEWHEEL_SCHEDULES").map_or(SCHEDULES, |count| {
        count.parse().expect("a count of schedules")
    });
    run(RandomScheduler::new_from_seed(SEED, count), &program);
    run(
        PctScheduler::new_from_seed(SEED, PREEMPTIONS, count),
        &program,
    );
}

fn run(scheduler: impl Scheduler + 'static, program: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let program = Arc::clone(program);
    Runner::new(scheduler, config).run(move || program());
}

/// Callers that append and wait some times each, a poll that does, and a writer thread. Answers how many calls were
/// answered with success.
fn day(journal: &Arc<FakeJournal>, durability: Durability) -> (Arc<Commit>, usize) {
    let commit = journal.commit(durability);
    let stopped = Arc::new(AtomicBool::new(false));
    let writer = {
        let (commit, stopped) = (Arc::clone(&commit), Arc::clone(&stopped));
        thread::spawn(move || commit.serve(&stopped))
    };
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (journal, commit) = (Arc::clone(journal), Arc::clone(&commit));
            thread::spawn(move || {
                let mut answered = 0;
                for call in 0..CALLS {
                    let lsn = commit.append(b"r", 1);
                    if caller == 0 {
                        commit.polled(Timestamp::from_millis(call as u64 * 20_000));
                    } else if commit.wait(lsn).is_ok() {
                        assert!(journal.durable() >= lsn);
                        answered += 1;
                    } else {
                        assert_eq!(commit.check(), Err(Undurable));
                    }
                }
                answered
            })
        })
        .collect();
    let answered = callers
        .into_iter()
        .map(|caller| caller.join().unwrap())
        .sum();
    stopped.store(true, Ordering::Release);
    commit.stop_serving();
    writer.join().unwrap();
    (commit, answered)
}

#[test]
fn everyone_is_answered_and_every_number_is_written_once() {
    for durability in [Durability::Sync, Durability::NoSync] {
        explore(move || {
            let journal = Arc::new(FakeJournal::default());
            let (commit, answered) = day(&journal, durability);
            assert_eq!(answered, (CALLERS - 1) * CALLS);
            assert_eq!(commit.close(), Ok(()));
            let frames = journal.frames();
            let records: u32 = frames.iter().map(|frame| frame.count).sum();
            assert_eq!(records as usize, CALLERS * CALLS);
            assert!(frames.last().unwrap().closing);
        });
    }
}

#[test]
fn everyone_is_answered_where_the_journal_fails() {
    for fault in [Fault::Append(2), Fault::Sync(1), Fault::Sync(3)] {
        explore(move || {
            let journal = Arc::new(FakeJournal::new(fault));
            let (commit, _) = day(&journal, Durability::Sync);
            let failed = commit.error().is_some();
            assert_eq!(commit.close().is_ok(), !failed);
        });
    }
}
