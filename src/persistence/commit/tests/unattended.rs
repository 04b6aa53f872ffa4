//! What nobody waits for, by the polls or by a writer thread.

#![cfg(all(test, not(any(loom, shuttle))))]

use std::time::Duration;

use super::{INTERVAL, at};
use crate::persistence::commit::fake::{FakeJournal, Fault};
use crate::persistence::commit::{Commit, Undurable};
use crate::persistence::journal::{Durability, Lsn};
use crate::sync::{Arc, AtomicBool, Ordering, thread};

#[test]
fn an_interval_is_kept_by_the_times_of_the_polls() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(INTERVAL);
    commit.polled(at(0));
    assert_eq!(
        journal.shape(),
        [(1, 0)],
        "the first poll is worth knowing of"
    );
    commit.append(b"r", 1);
    commit.polled(at(0));
    commit.polled(at(4));
    assert_eq!(commit.durable(), Lsn(0));
    commit.append(b"r", 1);
    commit.polled(at(5));
    assert_eq!(commit.durable(), Lsn(2));
    commit.append(b"r", 1);
    commit.polled(at(6));
    commit.polled(at(9));
    assert_eq!(commit.durable(), Lsn(2));
    commit.polled(at(3));
    commit.polled(at(7));
    assert_eq!(commit.durable(), Lsn(2), "the clock has stepped back");
    commit.polled(at(8));
    assert_eq!(commit.durable(), Lsn(3));
    assert_eq!(journal.frames()[2].polled, Some(at(8).as_millis()));
}

#[test]
fn polls_write_what_nobody_waits_for() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::Sync);
    commit.append(b"r", 1);
    commit.polled(at(0));
    assert_eq!(commit.durable(), Lsn(1));
    assert_eq!(journal.shape(), [(1, 1)], "no word apart from it");

    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::NoSync);
    commit.polled(at(0));
    commit.append(b"r", 1);
    commit.polled(at(0));
    assert_eq!(journal.shape(), [(1, 0)]);
    commit.polled(at(1));
    assert_eq!(journal.shape(), [(1, 0), (1, 1)]);
    assert_eq!((journal.syncs(), commit.durable()), (0, Lsn(0)));
    assert_eq!(commit.wait(Lsn(1)), Ok(()));
    assert_eq!(journal.shape().len(), 2, "it was written before");
}

#[test]
fn the_time_of_the_last_poll_is_written_again_when_it_is_old() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::Sync);
    for second in [0, 1, 9, 10, 11, 19, 20, 12, 10] {
        commit.polled(at(second));
    }
    let polled: Vec<_> = journal.frames().iter().map(|frame| frame.polled).collect();
    let expected = [0, 10, 20, 10].map(|second| Some(at(second).as_millis()));
    assert_eq!(polled, expected);
    assert_eq!(journal.syncs(), 4);
}

#[test]
fn once_it_is_quiet_the_last_frame_is_said_to_be_durable_once() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::Sync);
    commit.polled(at(0));
    let lsn = commit.append(b"r", 1);
    commit.settle(lsn).unwrap();
    commit.polled(at(1));
    assert_eq!(journal.shape(), [(1, 0), (1, 1)], "it is not quiet yet");
    for second in [2, 3, 4] {
        commit.polled(at(second));
    }
    assert_eq!(journal.shape(), [(1, 0), (1, 1), (2, 0)]);
    assert_eq!(journal.frames()[2].synced, 1);
}

#[test]
fn a_writer_thread_writes_what_nobody_waits_for() {
    let often = Durability::Interval(Duration::from_millis(2));
    for durability in [Durability::Sync, often] {
        let journal = Arc::new(FakeJournal::default());
        let commit = journal.commit(durability);
        let writer = serve(&commit);
        for last in 1..=3 {
            commit.append(b"r", 1);
            journal.wait_for_durable(last);
        }
        writer.stop();
        commit.append(b"r", 1);
        commit.polled(at(0));
        assert_eq!(commit.durable(), Lsn(4), "then the polls do it again");
    }
}

#[test]
fn a_writer_thread_writes_the_time_of_the_last_poll() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::Sync);
    let writer = serve(&commit);
    // A poll before it serves does this itself.
    while !commit.is_served() {
        thread::yield_now();
    }
    commit.polled(at(0));
    journal.wait_for_frames(1);
    commit.polled(at(9));
    commit.polled(at(10));
    journal.wait_for_frames(2);
    let polled: Vec<_> = journal.frames().iter().map(|frame| frame.polled).collect();
    assert_eq!(polled, [0, 10].map(|second| Some(at(second).as_millis())));
    writer.stop();
}

#[test]
fn a_writer_thread_that_is_told_to_stop_before_it_begins_leaves_nothing_undone() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(INTERVAL);
    commit.append(b"r", 1);
    commit.serve(&AtomicBool::new(true));
    assert_eq!(commit.durable(), Lsn(1));
    let writer = serve(&commit);
    commit.append(b"r", 1);
    writer.stop();
    assert_eq!(commit.durable(), Lsn(2));
}

#[test]
fn a_writer_thread_ends_when_told_to_though_the_journal_has_failed() {
    let journal = FakeJournal::failing(Fault::Sync(1));
    let commit = journal.commit(Durability::Sync);
    let writer = serve(&commit);
    let lsn = commit.append(b"r", 1);
    assert_eq!(commit.settle(lsn), Err(Undurable));
    commit.append(b"r", 1);
    commit.polled(at(0));
    writer.stop();
}

/// A writer thread.
struct Writer {
    commit: Arc<Commit>,
    stopped: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

fn serve(commit: &Arc<Commit>) -> Writer {
    let stopped = Arc::new(AtomicBool::new(false));
    let (serving, flag) = (Arc::clone(commit), Arc::clone(&stopped));
    Writer {
        commit: Arc::clone(commit),
        stopped,
        thread: thread::spawn(move || serving.serve(&flag)),
    }
}

impl Writer {
    fn stop(self) {
        self.stopped.store(true, Ordering::Release);
        self.commit.stop_serving();
        self.thread.join().unwrap();
    }
}
