//! What every store of snapshots has to do.

#![cfg(test)]

use super::{Subject, stop};
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Lsn, Positions};
use crate::persistence::snapshots::{ChunkBlock, ChunkRef, Manifest, SnapshotStore};

/// A block of a chunk, to be compared.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    as_of: u64,
    count: u32,
    records: Vec<u8>,
}

/// Writes a chunk of so many blocks.
fn chunk(snapshots: &dyn SnapshotStore, stream: u32, blocks: u8) -> (ChunkRef, Vec<Block>) {
    let mut writer = snapshots.begin(stream).unwrap();
    let mut written = Vec::new();
    for number in 1..=blocks {
        let block = Block {
            as_of: 100 + u64::from(number),
            count: u32::from(number),
            records: vec![number; 1_000 * usize::from(number)],
        };
        let put = ChunkBlock {
            as_of: Lsn(block.as_of),
            count: block.count,
            records: &block.records,
        };
        writer.put(&put).unwrap();
        written.push(block);
    }
    let name = writer.finish().unwrap();
    assert_eq!(name.stream, stream);
    let records: u32 = written.iter().map(|block| block.count).sum();
    assert_eq!(name.records, u64::from(records));
    let as_of = written.last().map_or(0, |block| block.as_of);
    assert_eq!(name.as_of, Lsn(as_of));
    (name, written)
}

fn read_chunk(snapshots: &dyn SnapshotStore, name: &ChunkRef) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    snapshots.read(name, &mut |block| {
        blocks.push(Block {
            as_of: block.as_of.0,
            count: block.count,
            records: block.records.to_vec(),
        });
        Ok(())
    })?;
    Ok(blocks)
}

fn manifest(number: u64, chunks: &[&ChunkRef]) -> Manifest {
    Manifest {
        number,
        epoch: 1,
        shards: 2,
        positions: Positions(vec![Lsn(100), Lsn(number), Lsn(90)]),
        chunks: chunks.iter().map(|chunk| (*chunk).clone()).collect(),
        next_intake: 7 * number,
        last: Lsn(120),
        polled_until: Some(Timestamp::from_millis(5)),
    }
}

/// The numbers of the snapshots that are found.
fn numbers(snapshots: &dyn SnapshotStore) -> Vec<u64> {
    let found = snapshots.find().unwrap();
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    found.good.iter().map(|manifest| manifest.number).collect()
}

pub(crate) fn a_new_store_has_no_snapshots(subject: &dyn Subject) {
    let store = subject.open();
    assert!(numbers(&*store.snapshots).is_empty());
    assert_eq!(store.snapshots.bytes(), 0);
}

pub(crate) fn a_snapshot_comes_back_as_it_was_written(subject: &dyn Subject) {
    let store = subject.open();
    let chunks = [
        chunk(&*store.snapshots, 0, 1),
        chunk(&*store.snapshots, 1, 5),
        chunk(&*store.snapshots, 2, 0),
    ];
    let names: Vec<_> = chunks.iter().map(|(name, _)| name).collect();
    let written = manifest(1, &names);
    store.snapshots.publish(&written).unwrap();
    assert!(store.snapshots.bytes() > 16_000);
    subject.crash();
    drop(store);
    let store = subject.open();
    let found = store.snapshots.find().unwrap();
    assert_eq!((found.good, found.bad.len()), (vec![written], 0));
    for (name, blocks) in &chunks {
        assert_eq!(read_chunk(&*store.snapshots, name).unwrap(), *blocks);
    }
}

pub(crate) fn the_two_newest_snapshots_are_kept(subject: &dyn Subject) {
    let store = subject.open();
    let snapshots = &*store.snapshots;
    let mut chunks = Vec::new();
    for number in 1..=4 {
        let (name, blocks) = chunk(snapshots, 1, number as u8);
        snapshots.publish(&manifest(number, &[&name])).unwrap();
        chunks.push((name, blocks));
    }
    assert_eq!(numbers(snapshots), [4, 3]);
    for (name, _) in &chunks[..2] {
        assert!(read_chunk(snapshots, name).is_err(), "{name:?}");
    }
    for (name, blocks) in &chunks[2..] {
        assert_eq!(read_chunk(snapshots, name).unwrap(), *blocks);
    }
    assert!(
        snapshots.publish(&manifest(4, &[])).is_err(),
        "a number again"
    );
    drop(store);
    assert_eq!(numbers(&*subject.open().snapshots), [4, 3]);
}

pub(crate) fn a_chunk_that_is_named_again_stays(subject: &dyn Subject) {
    let store = subject.open();
    let snapshots = &*store.snapshots;
    let (clean, blocks) = chunk(snapshots, 1, 3);
    let mut numbers = vec![clean.number];
    for number in 1..=4 {
        let (dirty, _) = chunk(snapshots, 2, 2);
        numbers.push(dirty.number);
        snapshots
            .publish(&manifest(number, &[&clean, &dirty]))
            .unwrap();
    }
    drop(store);
    let store = subject.open();
    assert_eq!(read_chunk(&*store.snapshots, &clean).unwrap(), blocks);
    let (another, _) = chunk(&*store.snapshots, 2, 1);
    assert!(!numbers.contains(&another.number), "a number of its own");
}

pub(crate) fn an_unfinished_chunk_leaves_nothing_that_matters(subject: &dyn Subject) {
    let store = subject.open();
    let (name, blocks) = chunk(&*store.snapshots, 1, 2);
    store.snapshots.publish(&manifest(1, &[&name])).unwrap();
    let bytes = store.snapshots.bytes();
    let mut unfinished = store.snapshots.begin(2).unwrap();
    let block = ChunkBlock {
        as_of: Lsn(1),
        count: 1,
        records: &[1; 5_000],
    };
    unfinished.put(&block).unwrap();
    drop(unfinished);
    chunk(&*store.snapshots, 2, 1);
    subject.crash();
    drop(store);
    let store = subject.open();
    assert_eq!(numbers(&*store.snapshots), [1]);
    assert_eq!(read_chunk(&*store.snapshots, &name).unwrap(), blocks);
    let (name, _) = chunk(&*store.snapshots, 1, 2);
    store.snapshots.publish(&manifest(2, &[&name])).unwrap();
    assert!(store.snapshots.bytes() <= 2 * bytes);
}

pub(crate) fn an_abandoned_snapshot_leaves_nothing(subject: &dyn Subject) {
    let store = subject.open();
    let snapshots = &*store.snapshots;
    let (name, blocks) = chunk(snapshots, 1, 2);
    snapshots.publish(&manifest(1, &[&name])).unwrap();
    let bytes = snapshots.bytes();
    let (given_up, _) = chunk(snapshots, 2, 3);
    assert!(snapshots.bytes() > bytes);
    snapshots.abandon();
    assert_eq!(snapshots.bytes(), bytes);
    assert!(read_chunk(snapshots, &given_up).is_err());
    assert_eq!(read_chunk(snapshots, &name).unwrap(), blocks);
    let (next, blocks) = chunk(snapshots, 2, 3);
    snapshots.publish(&manifest(2, &[&name, &next])).unwrap();
    drop(store);
    let store = subject.open();
    assert_eq!(numbers(&*store.snapshots), [2, 1]);
    assert_eq!(read_chunk(&*store.snapshots, &next).unwrap(), blocks);
}

pub(crate) fn reading_a_chunk_ends_where_the_visitor_says(subject: &dyn Subject) {
    let store = subject.open();
    let (name, _) = chunk(&*store.snapshots, 1, 4);
    let mut visits = 0;
    let answer = store.snapshots.read(&name, &mut |_| {
        visits += 1;
        if visits == 2 { Err(stop()) } else { Ok(()) }
    });
    assert_eq!(answer.unwrap_err().to_string(), stop().to_string());
    assert_eq!(visits, 2);
}

pub(crate) fn a_snapshot_of_chunks_that_are_not_there_is_refused(subject: &dyn Subject) {
    let store = subject.open();
    let (name, _) = chunk(&*store.snapshots, 1, 1);
    store.snapshots.publish(&manifest(1, &[&name])).unwrap();
    let absent = ChunkRef {
        number: name.number + 1_000,
        ..name
    };
    let refused = store.snapshots.publish(&manifest(2, &[&absent]));
    assert!(refused.is_err());
    assert_eq!(numbers(&*store.snapshots), [1]);
}
