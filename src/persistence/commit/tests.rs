//! The commit buffer with real threads, over a journal that waits, fails and panics on demand.

#![cfg(all(test, not(any(loom, shuttle))))]

use std::time::Duration;

use super::fake::{FakeJournal, Fault};
use super::{Commit, Undurable, WAITING_BYTES_MAX, buffer};
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::{Outcome, Why};
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Durability, Lsn};
use crate::persistence::record::{EndedImage, encode_ended};
use crate::sync::{Arc, AtomicBool, Ordering, thread};

const INTERVAL: Durability = Durability::Interval(Duration::from_secs(5));

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + seconds * 1_000)
}

/// Appends one record and waits for it, aside.
fn call(commit: &Arc<Commit>) -> thread::JoinHandle<(Lsn, Result<(), Undurable>)> {
    let commit = Arc::clone(commit);
    thread::spawn(move || {
        let lsn = commit.append(b"r", 1);
        (lsn, commit.settle(lsn))
    })
}

/// Waits until so many records are appended.
fn until_appended(commit: &Commit, last: u64) {
    while commit.appended() < Lsn(last) {
        thread::yield_now();
    }
}

#[test]
fn numbers_are_dense_and_the_first_is_answered() {
    let commit = Arc::new(FakeJournal::default()).commit(INTERVAL);
    assert_eq!(commit.append(b"abc", 3), Lsn(1));
    assert_eq!(commit.append(b"d", 1), Lsn(4));
    assert_eq!(commit.appended(), Lsn(4));
    assert_eq!(commit.durable(), Lsn(0));
}

#[test]
fn a_lone_waiter_makes_its_record_durable() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::Sync);
    let lsn = commit.append(b"abc", 2);
    assert_eq!(journal.appends(), 0, "appending is no I/O");
    assert_eq!(commit.settle(lsn), Ok(()));
    assert_eq!(commit.durable(), Lsn(2));
    let [frame] = &journal.frames()[..] else {
        panic!("one frame");
    };
    assert_eq!(frame.records, b"abc");
    assert_eq!(commit.settle(Lsn(2)), Ok(()));
    assert_eq!(journal.syncs(), 1, "what is durable is not waited for");
}

#[test]
fn what_gathers_during_a_sync_is_the_next_frame() {
    let journal = FakeJournal::gated();
    let commit = journal.commit(Durability::Sync);
    let first = call(&commit);
    journal.wait_for_syncs(1);
    let others: Vec<_> = (0..7).map(|_| call(&commit)).collect();
    until_appended(&commit, 8);
    journal.let_pass(1);
    assert_eq!(first.join().unwrap(), (Lsn(1), Ok(())));
    journal.wait_for_syncs(2);
    assert_eq!(journal.shape(), [(1, 1), (2, 7)]);
    journal.let_pass(1);
    for other in others {
        assert_eq!(other.join().unwrap().1, Ok(()));
    }
    assert_eq!(journal.syncs(), 2);
    assert_eq!(journal.frames()[1].synced, 1);
}

#[test]
fn whoever_is_answered_is_durable() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 400;
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::Sync);
    let callers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (journal, commit) = (Arc::clone(&journal), Arc::clone(&commit));
            thread::spawn(move || {
                for count in 0..CALLS {
                    let count = 1 + (count % 3) as u32;
                    let last = Lsn(commit.append(b"rr", count).0 + u64::from(count) - 1);
                    commit.settle(last).unwrap();
                    assert!(journal.durable() >= last);
                    assert!(commit.durable() >= last);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().unwrap();
    }
    let frames = journal.frames();
    let records: u64 = frames.iter().map(|frame| u64::from(frame.count)).sum();
    assert_eq!(records, commit.appended().0);
    let bytes: usize = frames.iter().map(|frame| frame.records.len()).sum();
    assert_eq!(bytes as u64, THREADS * CALLS * 2);
}

#[test]
fn only_under_sync_does_an_answer_wait() {
    for durability in [INTERVAL, Durability::NoSync] {
        let journal = Arc::new(FakeJournal::default());
        let commit = journal.commit(durability);
        let lsn = commit.append(b"abc", 2);
        assert_eq!(commit.settle(lsn), Ok(()));
        assert_eq!((journal.appends(), commit.durable()), (0, Lsn(0)));
        assert_eq!(commit.wait(lsn), Ok(()));
        assert_eq!(commit.durable(), Lsn(2));
    }
}

#[test]
fn who_comes_when_much_waits_helps_to_write() {
    for (durability, syncs) in [(INTERVAL, 1), (Durability::NoSync, 0)] {
        let journal = Arc::new(FakeJournal::default());
        let commit = journal.commit(durability);
        let records = vec![7; WAITING_BYTES_MAX / 2];
        for _ in 0..2 {
            let lsn = commit.append(&records, 1);
            commit.settle(lsn).unwrap();
        }
        assert_eq!(journal.appends(), 0);
        let lsn = commit.append(&records, 1);
        commit.settle(lsn).unwrap();
        assert_eq!(journal.syncs(), syncs);
        let bytes: usize = journal
            .frames()
            .iter()
            .map(|frame| frame.records.len())
            .sum();
        assert_eq!(bytes, 3 * records.len());
        let lsn = commit.append(b"r", 1);
        commit.settle(lsn).unwrap();
        assert_eq!(commit.appended(), Lsn(4));
        assert_eq!(
            journal
                .frames()
                .iter()
                .map(|frame| frame.count)
                .sum::<u32>(),
            3
        );
    }
}

#[test]
fn much_that_gathered_makes_several_frames_and_one_sync() {
    let journal = Arc::new(FakeJournal::default());
    let commit = journal.commit(Durability::NoSync);
    let third = vec![7; buffer::FRAME_BYTES / 3];
    for _ in 0..7 {
        commit.append(&third, 10);
    }
    let large = vec![8; buffer::FRAME_BYTES + 1];
    commit.append(&large, 5);
    commit.append(b"r", 1);
    assert_eq!(commit.flush(), Ok(Lsn(76)));
    assert_eq!(
        journal.shape(),
        [(1, 30), (31, 30), (61, 10), (71, 5), (76, 1)]
    );
    assert_eq!(journal.syncs(), 1);
    let sizes: Vec<usize> = journal
        .frames()
        .iter()
        .map(|frame| frame.records.len())
        .collect();
    assert_eq!(
        sizes[..4],
        [3 * third.len(), 3 * third.len(), third.len(), large.len()]
    );
}

#[test]
fn an_error_is_the_last_and_everyone_is_told() {
    let faults = [
        Fault::Append(2),
        Fault::Sync(2),
        Fault::PanicInAppend(2),
        Fault::PanicInSync(2),
        Fault::ShortSync(2),
    ];
    for fault in faults {
        let journal = FakeJournal::failing(fault);
        let commit = journal.commit(Durability::Sync);
        let durable = commit.append(b"r", 1);
        assert_eq!(commit.settle(durable), Ok(()));
        assert_eq!(commit.check(), Ok(()));
        assert!(commit.error().is_none());

        let callers: Vec<_> = (0..5).map(|_| call(&commit)).collect();
        for caller in callers {
            assert_eq!(caller.join().unwrap().1, Err(Undurable), "{fault:?}");
        }
        assert_eq!(commit.check(), Err(Undurable));
        assert!(commit.error().is_some());
        assert_eq!(commit.settle(durable), Ok(()), "it is durable all the same");
        assert_eq!(commit.durable(), durable);

        let calls = journal.appends();
        let late = commit.append(b"rr", 2);
        assert_eq!(late, Lsn(7), "there are numbers still");
        assert_eq!(commit.settle(late), Err(Undurable));
        assert_eq!(commit.flush(), Err(Undurable));
        assert_eq!(commit.close(), Err(Undurable));
        commit.polled(at(100));
        assert_eq!(journal.appends(), calls, "nothing is tried again");
    }
}

#[test]
fn those_who_came_too_late_for_a_round_are_told_of_its_failure() {
    let journal = FakeJournal::gated_and_failing(Fault::Sync(1));
    let commit = journal.commit(Durability::Sync);
    let leader = call(&commit);
    journal.wait_for_syncs(1);
    let others: Vec<_> = (0..3).map(|_| call(&commit)).collect();
    until_appended(&commit, 4);
    journal.let_pass(1);
    for caller in others.into_iter().chain([leader]) {
        assert_eq!(caller.join().unwrap().1, Err(Undurable));
    }
}

#[test]
fn a_record_that_was_not_waited_for_is_lost_with_the_journal() {
    let journal = FakeJournal::failing(Fault::Sync(1));
    let commit = journal.commit(INTERVAL);
    let early = commit.append(b"r", 1);
    assert_eq!(commit.settle(early), Ok(()));
    assert_eq!(commit.flush(), Err(Undurable));
    assert_eq!(commit.settle(early), Err(Undurable));
}

/// The end of a request, as a record.
fn record_of(number: u128) -> Vec<u8> {
    let mut record = Vec::new();
    let image = EndedImage {
        id: RequestId::integer(number),
        fingerprint: 1,
        intake: 1,
        location: LocationId::from_index(0),
        due: at(0),
        ended: at(1),
        attempts: 1,
        revision: 0,
        outcome: Outcome::Routed,
        why: Why::Plain,
    };
    encode_ended(1, &image, &mut record);
    record
}

#[test]
fn after_a_failure_it_is_known_whose_records_are_lost() {
    let journal = FakeJournal::gated_and_failing(Fault::Sync(2));
    let commit = journal.commit(INTERVAL);
    let lost = |commit: &Commit| -> Vec<u128> {
        let ids = (1..=6).filter(|&id| commit.holds_lost(RequestId::integer(id)));
        ids.collect()
    };
    journal.let_pass(1);
    commit.append(&record_of(1), 1);
    commit.flush().unwrap();
    commit.append(&[record_of(2), record_of(3)].concat(), 2);
    assert!(lost(&commit).is_empty(), "while the journal works");
    let waiter = {
        let commit = Arc::clone(&commit);
        thread::spawn(move || commit.flush())
    };
    journal.wait_for_syncs(2);
    commit.append(&record_of(4), 1);
    journal.let_pass(1);
    assert_eq!(waiter.join().unwrap(), Err(Undurable));
    assert_eq!(lost(&commit), [2, 3, 4]);
    commit.append(&record_of(5), 1);
    assert_eq!(lost(&commit), [2, 3, 4, 5], "one that came later too");
    assert_eq!(lost(&commit), [2, 3, 4, 5]);
}

#[test]
fn nothing_is_lost_by_closing() {
    let commit = Arc::new(FakeJournal::default()).commit(Durability::Sync);
    commit.append(&record_of(1), 1);
    commit.close().unwrap();
    assert!(!commit.holds_lost(RequestId::integer(1)));
}

#[test]
fn closing_says_that_nothing_follows_and_that_all_is_durable() {
    for durability in [Durability::Sync, INTERVAL, Durability::NoSync] {
        let journal = Arc::new(FakeJournal::default());
        let commit = journal.commit(durability);
        commit.append(b"abc", 3);
        assert_eq!(commit.close(), Ok(()));
        let frames = journal.frames();
        let [records, closing] = &frames[..] else {
            panic!("two frames: {frames:?}");
        };
        assert_eq!(
            (records.base, records.count, records.closing),
            (1, 3, false)
        );
        assert_eq!((closing.base, closing.count, closing.closing), (4, 0, true));
        assert_eq!(closing.synced, 3);
        assert_eq!(journal.syncs(), 2);

        assert_eq!(commit.close(), Ok(()), "again");
        assert_eq!(commit.check(), Err(Undurable));
        assert!(commit.error().is_some());
        assert_eq!(commit.wait(Lsn(3)), Ok(()));
        let late = commit.append(b"d", 1);
        assert_eq!((late, commit.settle(late)), (Lsn(4), Err(Undurable)));
        assert_eq!(journal.appends(), 2);
    }
}

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

#[test]
fn an_error_of_the_journals_is_told_as_it_is() {
    let journal = FakeJournal::failing(Fault::Append(1));
    let commit = journal.commit(Durability::Sync);
    let lsn = commit.append(b"r", 1);
    assert_eq!(commit.settle(lsn), Err(Undurable));
    let Some(StoreError::Unavailable { what, source }) = commit.error() else {
        panic!("{:?}", commit.error());
    };
    assert_eq!((&*what, &*source.to_string()), ("the fault", "asked for"));
}
