//! The store in memory: the contract, and what it has beyond it.

#![cfg(all(test, not(any(loom, shuttle))))]

use super::MemoryStore;
use crate::persistence::contract::{Subject, store_contract};
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Lsn, Positions, Room};
use crate::persistence::snapshots::Manifest;
use crate::persistence::store::{Store, StoreIdentity};

impl Subject for MemoryStore {
    fn open(&self) -> Store {
        self.store()
    }

    fn crash(&self) {
        MemoryStore::crash(self);
    }
}

fn memory() -> MemoryStore {
    MemoryStore::new(StoreIdentity {
        uuid: 1,
        hash_key: 2,
    })
}

store_contract!(memory);

fn begun(memory: &MemoryStore, epoch: u32) -> Store {
    let store = memory.store();
    let tail = store.journal.replay(&Positions::default(), &mut |_| Ok(()));
    let next = tail.unwrap().highest.next();
    store.journal.begin(epoch, next).unwrap();
    store
}

fn append(store: &Store, epoch: u32, base: u64) -> Result<Lsn, StoreError> {
    store.journal.append(&Frame {
        base: Lsn(base),
        count: 1,
        epoch,
        synced: Lsn(0),
        polled_until: None,
        closing: false,
        records: b"r",
    })
}

#[test]
fn a_second_writer_fences_the_first() {
    let memory = memory();
    let first = begun(&memory, 1);
    append(&first, 1, 1).unwrap();
    let second = begun(&memory, 2);
    let stale = append(&first, 1, 2);
    assert!(
        matches!(stale, Err(StoreError::Stale { epoch: 1, newer: 2 })),
        "{stale:?}"
    );
    assert!(
        first.journal.wait_durable(Lsn(1)).is_err(),
        "nor anything else"
    );
    let manifest = Manifest {
        number: 1,
        epoch: 1,
        ..Manifest::default()
    };
    assert!(first.snapshots.publish(&manifest).is_err());
    assert_eq!(append(&second, 2, 2).unwrap(), Lsn(2));
}

#[test]
fn an_epoch_and_a_number_are_used_once() {
    let memory = memory();
    let store = begun(&memory, 3);
    append(&store, 3, 1).unwrap();
    let again = memory.store();
    again
        .journal
        .replay(&Positions::default(), &mut |_| Ok(()))
        .unwrap();
    assert!(again.journal.begin(3, Lsn(2)).is_err());
    assert!(again.journal.begin(4, Lsn(1)).is_err());
    assert!(again.journal.begin(4, Lsn(2)).is_ok());
}

#[test]
fn a_crash_loses_what_was_not_waited_for_and_no_number_comes_again() {
    let memory = memory();
    let store = begun(&memory, 1);
    append(&store, 1, 1).unwrap();
    store.journal.wait_durable(Lsn(1)).unwrap();
    append(&store, 1, 2).unwrap();
    memory.crash();
    assert_eq!(memory.frames(), 1);
    assert!(append(&store, 1, 3).is_err(), "the process is gone");
    assert!(store.snapshots.find().is_err());
    let tail = memory
        .store()
        .journal
        .replay(&Positions::default(), &mut |_| Ok(()))
        .unwrap();
    assert_eq!((tail.last, tail.highest), (Lsn(1), Lsn(2)));
}

#[test]
fn a_process_that_just_ends_loses_nothing() {
    let memory = memory();
    append(&begun(&memory, 1), 1, 1).unwrap();
    let _second = begun(&memory, 2);
    memory.crash();
    assert_eq!(memory.frames(), 1, "who begins makes durable what was read");
}

#[test]
fn faults_come_when_they_are_asked_for_and_are_the_last() {
    let memory = memory();
    let store = begun(&memory, 1);
    memory.fail_append_at(2);
    append(&store, 1, 1).unwrap();
    assert!(append(&store, 1, 2).is_err());
    assert!(append(&store, 1, 2).is_err());
    assert!(store.journal.wait_durable(Lsn(1)).is_err());

    let store = begun(&memory, 2);
    memory.fail_sync_at(1);
    append(&store, 2, 2).unwrap();
    assert!(store.journal.wait_durable(Lsn(2)).is_err());
    assert!(append(&store, 2, 3).is_err());
    memory.crash();
    assert_eq!(
        memory.frames(),
        1,
        "the sync that failed made nothing durable"
    );
    assert_eq!((memory.appends(), memory.syncs()), (3, 1));
}

#[test]
fn there_is_as_much_room_as_is_said() {
    let memory = memory();
    let store = memory.store();
    assert_eq!(store.journal.room(), Room::Ample);
    memory.set_room(Room::Reserved);
    assert_eq!(store.journal.room(), Room::Reserved);
}

#[test]
fn stores_in_memory_are_strangers_to_each_other() {
    let (one, other) = (Store::memory(), Store::memory());
    assert_ne!(one.identity(), other.identity());
}
