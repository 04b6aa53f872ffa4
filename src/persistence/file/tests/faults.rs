//! What is there after a snapshot, or the making of a store, that was cut short or failed at any of its operations.

use super::faulty::{Fault, FaultyDisk};
use super::scratch::Scratch;
use super::snapshots::{Block, UUID, block, manifest, read, write};
use crate::persistence::error::StoreError;
use crate::persistence::file::{FileOptions, FileSnapshots, directory};
use crate::persistence::snapshots::SnapshotStore;
use crate::sync::Arc;

/// What the snapshot of this number has.
fn blocks(number: u64) -> [Block; 2] {
    [block(number, 2, 50), block(number + 1, 3, 60)]
}

/// Makes the snapshot of this number: a chunk that the one before has too, and one of its own.
fn publish(snapshots: &FileSnapshots, number: u64) -> Result<(), StoreError> {
    let kept = match snapshots.find()?.good.first() {
        Some(before) => before.chunks[0].clone(),
        None => write(snapshots, 0, &blocks(0))?,
    };
    let own = write(snapshots, 1, &blocks(number))?;
    snapshots.publish(&manifest(number, vec![kept, own]))
}

/// The numbers of the snapshots that there are, newest first, all of them whole.
fn whole(scratch: &Scratch) -> Vec<u64> {
    let snapshots = FileSnapshots::open(scratch.disk(), UUID).unwrap();
    let found = snapshots.find().unwrap();
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    for manifest in &found.good {
        let expected = [blocks(0), blocks(manifest.number)];
        for (chunk, expected) in manifest.chunks.iter().zip(expected) {
            assert_eq!(read(&snapshots, chunk).unwrap(), expected);
        }
    }
    found.good.iter().map(|manifest| manifest.number).collect()
}

/// A directory with the snapshots 2 and 1.
fn with_two() -> Scratch {
    let scratch = Scratch::new();
    let snapshots = FileSnapshots::open(scratch.disk(), UUID).unwrap();
    publish(&snapshots, 1).unwrap();
    publish(&snapshots, 2).unwrap();
    scratch
}

/// Makes snapshot 3 on a disk that has this fault.
fn third(scratch: &Scratch, fault: Fault) -> (Result<(), StoreError>, (u64, u64)) {
    let disk = Arc::new(FaultyDisk::new(scratch.disk(), fault));
    let result = FileSnapshots::open(Arc::clone(&disk) as _, UUID)
        .and_then(|snapshots| publish(&snapshots, 3));
    (result, disk.counts())
}

#[test]
fn a_snapshot_that_is_cut_short_anywhere_leaves_those_before_it_or_is_there() {
    let (result, (changes, _)) = third(&with_two(), Fault::Stop(u64::MAX));
    result.unwrap();
    let mut published = 0;
    for at in 0..changes {
        let scratch = with_two();
        let (result, _) = third(&scratch, Fault::Stop(at));
        let there = whole(&scratch);
        match result {
            Ok(()) => {
                published += 1;
                assert!(there.starts_with(&[3, 2]), "stopped at {at}: {there:?}");
            }
            // It may be there without anybody having been told.
            Err(_) => assert!(
                [vec![2, 1], vec![3, 2, 1]].contains(&there),
                "stopped at {at}: {there:?}"
            ),
        }
        // What was left over is in the way of nothing, and goes.
        let next = there[0] + 1;
        publish(&FileSnapshots::open(scratch.disk(), UUID).unwrap(), next).unwrap();
        assert_eq!(whole(&scratch), [next, there[0]]);
        let names = scratch.names();
        assert_eq!(names.len(), 5, "stopped at {at}: {names:?}");
    }
    // Removing what is old is no part of it.
    assert!(published > 0);
    assert!(published < changes / 2);
}

#[test]
fn a_single_failure_anywhere_does_no_harm_either() {
    let (result, (changes, _)) = third(&with_two(), Fault::Once(u64::MAX));
    result.unwrap();
    for at in 0..changes {
        let scratch = with_two();
        let (result, _) = third(&scratch, Fault::Once(at));
        let there = whole(&scratch);
        match result {
            Ok(()) => assert!(there.starts_with(&[3, 2]), "failed at {at}: {there:?}"),
            Err(_) => assert_eq!(there, [2, 1], "failed at {at}"),
        }
    }
}

#[test]
fn a_manifest_that_the_disk_spoils_is_seen_when_it_is_read_back() {
    let (_, (_, writes)) = third(&with_two(), Fault::Spoil(u64::MAX));
    let scratch = with_two();
    // The manifest is what is written last.
    let (result, _) = third(&scratch, Fault::Spoil(writes - 1));
    let error = result.unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("manifest-0000000000000003.tmp is damaged at byte")
    );
    assert_eq!(whole(&scratch), [2, 1]);
}

#[test]
fn a_chunk_that_failed_once_is_of_no_use() {
    let scratch = Scratch::new();
    // The first change makes the file; a block larger than a piece is written at once.
    let disk = Arc::new(FaultyDisk::new(scratch.disk(), Fault::Once(1)));
    let snapshots = FileSnapshots::open(disk, UUID).unwrap();
    let mut writer = snapshots.begin(1).unwrap();
    let large = block(1, 1, 2 << 20);
    super::snapshots::put(&mut *writer, &large).unwrap_err();
    super::snapshots::put(&mut *writer, &block(1, 1, 1)).unwrap_err();
    writer.finish().unwrap_err();
    assert_eq!(scratch.names(), [""; 0]);
}

#[test]
fn a_store_whose_making_is_cut_short_anywhere_is_made_at_the_next_opening() {
    let options = FileOptions::new().hash_key(5);
    let count = |fault, scratch: &Scratch| {
        let disk = Arc::new(FaultyDisk::new(scratch.disk(), fault));
        let opened = directory::open(Arc::clone(&disk) as _, &options).map(|_| ());
        (opened, disk.counts().0)
    };
    let (made, changes) = count(Fault::Stop(u64::MAX), &Scratch::new());
    made.unwrap();
    assert!(changes >= 5);
    for at in 0..changes {
        let scratch = Scratch::new();
        count(Fault::Stop(at), &scratch).0.unwrap_err();
        let (identity, _held) = directory::open(scratch.disk(), &options).unwrap();
        assert_eq!(identity.hash_key, 5);
        assert_eq!(scratch.names(), ["LOCK", "STORE"], "stopped at {at}");
    }
}
