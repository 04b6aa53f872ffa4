//! The journal fails, or panics, and everyone is told.

#![cfg(all(test, not(any(loom, shuttle))))]

use super::{INTERVAL, at, call, until_appended};
use crate::ids::{LocationId, RequestId};
use crate::lifecycle::{Outcome, Why};
use crate::persistence::commit::fake::{FakeJournal, Fault};
use crate::persistence::commit::{Commit, Undurable};
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Durability, Lsn};
use crate::persistence::record::{EndedImage, encode_ended};
use crate::sync::{Arc, thread};

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
