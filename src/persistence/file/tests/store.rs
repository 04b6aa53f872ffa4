//! A store opened as its users open it.

use super::scratch::Scratch;
use super::snapshots::{manifest, put};
use crate::persistence::contract::{Subject, store_contract};
use crate::persistence::error::StoreError;
use crate::persistence::file::FileOptions;
use crate::persistence::journal::{Frame, Lsn, Positions};
use crate::persistence::snapshots::ChunkBlock;
use crate::persistence::store::Store;

/// A process that ends takes nothing of what it has written with it.
impl Subject for Scratch {
    fn open(&self) -> Store {
        Store::open(self.path(), options()).unwrap()
    }

    fn crash(&self) {}
}

store_contract!(Scratch::new);

fn options() -> FileOptions {
    FileOptions::new().segment_bytes(64 << 10)
}

fn frame(base: u64, records: &[u8]) -> Frame<'_> {
    Frame {
        base: Lsn(base),
        count: 1,
        epoch: 1,
        synced: Lsn(base - 1),
        polled_until: None,
        closing: false,
        records,
    }
}

/// The records of the frames that are there.
fn replayed(store: &Store) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    store
        .journal()
        .replay(&Positions::default(), &mut |frame| {
            if frame.count > 0 {
                records.push(frame.records.to_vec());
            }
            Ok(())
        })
        .unwrap();
    records
}

#[test]
fn what_was_written_into_a_store_is_there_when_it_is_opened_again() {
    let scratch = Scratch::new();
    let path = scratch.path().join("store");
    let store = Store::open(&path, options()).unwrap();
    let identity = store.identity();
    assert_eq!(replayed(&store), [b""; 0]);
    store.journal().begin(1, Lsn(1)).unwrap();
    for (base, records) in [(1, b"one"), (2, b"two")] {
        let last = store.journal().append(&frame(base, records)).unwrap();
        assert_eq!(store.journal().wait_durable(last).unwrap(), last);
    }
    let mut writer = store.snapshots().begin(0).unwrap();
    put(&mut *writer, &(Lsn(1), 1, b"image".to_vec())).unwrap();
    let manifest = manifest(1, vec![writer.finish().unwrap()]);
    store.snapshots().publish(&manifest).unwrap();
    drop(store);

    let store = Store::open(&path, options()).unwrap();
    assert_eq!(store.identity(), identity);
    assert_eq!(replayed(&store), [b"one", b"two"]);
    let found = store.snapshots().find().unwrap();
    assert_eq!(found.good, [manifest]);
    let mut image = Vec::new();
    let visit = &mut |block: &ChunkBlock<'_>| {
        image.extend_from_slice(block.records);
        Ok(())
    };
    let chunk = &found.good[0].chunks[0];
    store.snapshots().read(chunk, visit).unwrap();
    assert_eq!(image, b"image");
}

#[test]
fn a_store_is_held_until_its_last_clone_is_gone() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.path(), options()).unwrap();
    let clone = store.clone();
    drop(store);
    let error = Store::open(scratch.path(), options()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(clone);
    Store::open(scratch.path(), options()).unwrap();
}

#[test]
fn a_store_opened_to_be_read_is_read_and_cannot_be_written() {
    let scratch = Scratch::new();
    let read_only = || options().read_only(true);
    let absent = scratch.path().join("absent");
    Store::open(&absent, read_only()).unwrap_err();
    assert!(!absent.exists());

    let store = Store::open(scratch.path(), options()).unwrap();
    replayed(&store);
    store.journal().begin(1, Lsn(1)).unwrap();
    store.journal().append(&frame(1, b"one")).unwrap();
    store.journal().wait_durable(Lsn(1)).unwrap();
    drop(store);

    let before = scratch.names();
    let store = Store::open(scratch.path(), read_only()).unwrap();
    assert_eq!(replayed(&store), [b"one"]);
    store.journal().begin(2, Lsn(10)).unwrap_err();
    store.snapshots().begin(0).map(|_| ()).unwrap_err();
    store.snapshots().publish(&manifest(1, vec![])).unwrap_err();
    assert_eq!(scratch.names(), before);
}

#[test]
fn an_option_out_of_its_range_is_refused_before_anything_is_made() {
    let scratch = Scratch::new();
    let path = scratch.path().join("store");
    for bytes in [0, (4 << 10) - 1, (1 << 30) + 1] {
        let options = FileOptions::new().segment_bytes(bytes);
        let error = Store::open(&path, options).unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
        assert!(error.to_string().contains("segment_bytes"), "{error}");
    }
    assert!(!path.exists());
}
