//! Appending, waiting, and closing.

#![cfg(all(test, not(any(loom, shuttle))))]

use super::{INTERVAL, call, until_appended};
use crate::persistence::commit::fake::FakeJournal;
use crate::persistence::commit::{Undurable, WAITING_BYTES_MAX, buffer};
use crate::persistence::journal::{Durability, Lsn};
use crate::sync::{Arc, thread};

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
