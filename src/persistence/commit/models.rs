//! The commit buffer under loom: every interleaving, and every value that the memory model lets a load give.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib models
//! ```
//!
//! Whoever sleeps and is woken by nobody is a deadlock, which loom reports: its condition variables have no
//! timeouts that help. The journal says for itself whether frames are dense and in order, and whether what a frame
//! tells is true. Programs with more threads are the other checker's: see `schedules.rs`.

#![cfg(all(test, loom))]

use loom::model::Builder;

use super::fake::{FakeJournal, Fault};
use super::{Commit, Undurable};
use crate::ids::Timestamp;
use crate::persistence::journal::{Durability, Lsn};
use crate::sync::{Arc, AtomicBool, Ordering, thread};

/// Runs a program in every way there is, or in every way with at most so many preemptions.
fn check(preemptions: Option<usize>, program: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = preemptions;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&runs);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        program();
    });
    println!("{} runs", runs.load(std::sync::atomic::Ordering::Relaxed));
}

/// The journal and its commit buffer.
#[derive(Clone)]
struct Pair {
    journal: Arc<FakeJournal>,
    commit: Arc<Commit>,
    stopped: Arc<AtomicBool>,
}

fn pair(durability: Durability, journal: FakeJournal) -> Pair {
    let journal = Arc::new(journal);
    let commit = journal.commit(durability);
    let stopped = Arc::new(AtomicBool::new(false));
    Pair {
        journal,
        commit,
        stopped,
    }
}

impl Pair {
    /// Appends a record and waits for it. Whatever the answer is, it is true.
    fn call(&self) -> Result<(), Undurable> {
        let lsn = self.commit.append(b"r", 1);
        let answer = self.commit.wait(lsn);
        match answer {
            Ok(()) => {
                assert!(self.journal.durable() >= lsn);
                assert!(self.commit.durable() >= lsn);
            }
            Err(Undurable) => assert_eq!(self.commit.check(), Err(Undurable)),
        }
        answer
    }

    /// Starts a writer thread.
    fn serve(&self) -> thread::JoinHandle<()> {
        self.aside(|pair| pair.commit.serve(&pair.stopped))
    }

    fn stop(&self, writer: thread::JoinHandle<()>) {
        self.stopped.store(true, Ordering::Release);
        self.commit.stop_serving();
        writer.join().unwrap();
    }

    /// Runs a part of the program in a thread of its own.
    fn aside<R: 'static>(&self, part: impl FnOnce(&Self) -> R + 'static) -> thread::JoinHandle<R> {
        let pair = self.clone();
        thread::spawn(move || part(&pair))
    }
}

#[test]
fn of_two_who_wait_one_leads_and_both_are_answered() {
    check(None, || {
        let pair = pair(Durability::Sync, FakeJournal::default());
        let other = pair.aside(Pair::call);
        assert_eq!(pair.call(), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(pair.commit.durable(), Lsn(2));
    });
}

#[test]
fn whoever_comes_too_late_for_a_round_is_led_or_leads() {
    check(Some(3), || {
        let pair = pair(Durability::Sync, FakeJournal::default());
        let others = [pair.aside(Pair::call), pair.aside(Pair::call)];
        assert_eq!(pair.call(), Ok(()));
        for other in others {
            assert_eq!(other.join().unwrap(), Ok(()));
        }
        assert_eq!(pair.commit.durable(), Lsn(3));
    });
}

#[test]
fn a_failure_is_told_to_everyone() {
    for fault in [Fault::Append(1), Fault::Sync(1), Fault::Sync(2)] {
        check(Some(2), move || {
            let pair = pair(Durability::Sync, FakeJournal::new(fault));
            let others = [pair.aside(Pair::call), pair.aside(Pair::call)];
            let mut answers = vec![pair.call()];
            answers.extend(others.map(|other| other.join().unwrap()));
            if fault != Fault::Sync(2) {
                assert_eq!(answers, [Err(Undurable); 3]);
            }
        });
    }
}

#[test]
fn what_nobody_waits_for_is_heard_by_the_writer_thread() {
    check(Some(3), || {
        let pair = pair(Durability::Sync, FakeJournal::default());
        let writer = pair.serve();
        pair.commit.append(b"r", 1);
        pair.journal.wait_for_durable(1);
        pair.commit.append(b"r", 1);
        pair.journal.wait_for_durable(2);
        pair.stop(writer);
    });
}

#[test]
fn the_writer_thread_and_those_who_wait_do_not_miss_each_other() {
    check(Some(2), || {
        let pair = pair(Durability::Sync, FakeJournal::default());
        let writer = pair.serve();
        let other = pair.aside(Pair::call);
        assert_eq!(pair.call(), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        pair.stop(writer);
    });
}

#[test]
fn a_heartbeat_is_heard_by_the_writer_thread() {
    check(Some(3), || {
        let pair = pair(Durability::NoSync, FakeJournal::default());
        let writer = pair.serve();
        // By whoever is there to do it.
        pair.commit.polled(Timestamp::from_millis(1));
        pair.journal.wait_for_frames(1);
        pair.stop(writer);
    });
}

#[test]
fn who_waits_where_rounds_are_not_synced_is_answered_all_the_same() {
    check(Some(2), || {
        let pair = pair(Durability::NoSync, FakeJournal::default());
        let other = pair.aside(Pair::call);
        let poll = pair.aside(|pair| {
            pair.commit.append(b"r", 1);
            pair.commit.polled(Timestamp::from_millis(1));
        });
        assert_eq!(pair.call(), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        poll.join().unwrap();
    });
}

#[test]
fn closing_answers_those_who_wait_and_nothing_follows_it() {
    check(Some(3), || {
        let pair = pair(Durability::Sync, FakeJournal::default());
        let others = [
            pair.aside(Pair::call),
            pair.aside(|pair| pair.commit.close()),
        ];
        let answer = pair.call();
        let [other, closed] = others;
        let other = other.join().unwrap();
        assert_eq!(closed.join().unwrap(), Ok(()));
        let frames = pair.journal.frames();
        let written: u32 = frames.iter().map(|frame| frame.count).sum();
        let answered = [answer, other]
            .iter()
            .filter(|answer| answer.is_ok())
            .count();
        assert_eq!(written as usize, answered);
        assert_eq!(frames.iter().filter(|frame| frame.closing).count(), 1);
        assert!(frames.last().unwrap().closing);
    });
}
