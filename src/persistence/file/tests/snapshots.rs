//! Snapshots in a real directory: written, published, found, read, dropped.

use super::scratch::Scratch;
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::file::FileSnapshots;
use crate::persistence::journal::{Lsn, Positions};
use crate::persistence::snapshots::{ChunkBlock, ChunkRef, ChunkWriter, Manifest, SnapshotStore};

pub(super) const UUID: u128 = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321;

/// A block, as a test holds it.
pub(super) type Block = (Lsn, u32, Vec<u8>);

pub(super) fn block(as_of: u64, count: u32, bytes: usize) -> Block {
    let records = (0..bytes).map(|at| (at * 7 + 1) as u8).collect();
    (Lsn(as_of), count, records)
}

pub(super) fn put(writer: &mut dyn ChunkWriter, block: &Block) -> Result<(), StoreError> {
    writer.put(&ChunkBlock {
        as_of: block.0,
        count: block.1,
        records: &block.2,
    })
}

pub(super) fn write(
    snapshots: &FileSnapshots,
    stream: u32,
    blocks: &[Block],
) -> Result<ChunkRef, StoreError> {
    let mut writer = snapshots.begin(stream)?;
    for block in blocks {
        put(&mut *writer, block)?;
    }
    writer.finish()
}

pub(super) fn read(snapshots: &FileSnapshots, chunk: &ChunkRef) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    snapshots.read(chunk, &mut |block| {
        blocks.push((block.as_of, block.count, block.records.to_vec()));
        Ok(())
    })?;
    Ok(blocks)
}

pub(super) fn manifest(number: u64, chunks: Vec<ChunkRef>) -> Manifest {
    Manifest {
        number,
        epoch: 3,
        shards: 2,
        positions: Positions(vec![Lsn(number), Lsn(number + 5), Lsn(number + 9)]),
        chunks,
        next_intake: 1000 + number,
        last: Lsn(number + 20),
        polled_until: Some(Timestamp::from_millis(1_700_000_000_000)),
    }
}

fn open(scratch: &Scratch) -> FileSnapshots {
    FileSnapshots::open(scratch.disk(), UUID).unwrap()
}

/// The numbers of the good ones, and what is said of the bad ones.
fn found(snapshots: &FileSnapshots) -> (Vec<u64>, Vec<String>) {
    let found = snapshots.find().unwrap();
    let good = found.good.iter().map(|manifest| manifest.number).collect();
    let bad = found.bad.iter().map(ToString::to_string).collect();
    (good, bad)
}

/// Writes a chunk of one block, and makes it a snapshot.
fn publish(snapshots: &FileSnapshots, number: u64) -> ChunkRef {
    let chunk = write(snapshots, 1, &[block(number, 1, 100)]).unwrap();
    snapshots
        .publish(&manifest(number, vec![chunk.clone()]))
        .unwrap();
    chunk
}

#[test]
fn a_snapshot_is_read_as_it_was_written_also_after_another_opening() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    // Larger than a piece, larger than a sync's worth, none at all.
    let control = [block(3, 2, 10), block(2, 0, 0), block(7, 1000, 3 << 20)];
    let shard: Vec<Block> = (0..300).map(|n| block(n, 9, 40_000)).collect();
    let chunks = vec![
        write(&snapshots, 0, &control).unwrap(),
        write(&snapshots, 1, &shard).unwrap(),
        write(&snapshots, 2, &[]).unwrap(),
    ];
    assert_eq!(chunks[0].records, 1002);
    assert_eq!(chunks[0].as_of, Lsn(7));
    assert_eq!(chunks[1].as_of, Lsn(299));
    assert_eq!((chunks[2].records, chunks[2].as_of), (0, Lsn(0)));
    let manifest = manifest(1, chunks);
    snapshots.publish(&manifest).unwrap();

    for snapshots in [snapshots, open(&scratch)] {
        let found = snapshots.find().unwrap();
        assert!(found.bad.is_empty(), "{:?}", found.bad);
        assert_eq!(found.good, std::slice::from_ref(&manifest));
        assert_eq!(read(&snapshots, &manifest.chunks[0]).unwrap(), control);
        assert_eq!(read(&snapshots, &manifest.chunks[1]).unwrap(), shard);
        assert_eq!(read(&snapshots, &manifest.chunks[2]).unwrap(), []);
        let kept: u64 = manifest.chunks.iter().map(|chunk| chunk.bytes).sum();
        let file = scratch.read("manifest-0000000000000001").len() as u64;
        assert_eq!(snapshots.bytes(), kept + file);
    }
}

#[test]
fn two_manifests_are_kept_with_their_chunks_and_no_more() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    let shared = write(&snapshots, 0, &[block(1, 1, 10)]).unwrap();
    for number in 1..=4 {
        let own = write(&snapshots, 1, &[block(number, 1, 10)]).unwrap();
        let chunks = vec![shared.clone(), own];
        snapshots.publish(&manifest(number, chunks)).unwrap();
    }
    assert_eq!(
        scratch.names(),
        [
            "chunk-0000000000000001",
            "chunk-0000000000000004",
            "chunk-0000000000000005",
            "manifest-0000000000000003",
            "manifest-0000000000000004",
        ]
    );
    assert_eq!(found(&snapshots), (vec![4, 3], vec![]));
}

#[test]
fn a_chunk_that_is_given_up_leaves_nothing_and_its_number_is_not_used_again() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    let mut writer = snapshots.begin(1).unwrap();
    put(&mut *writer, &block(1, 1, 2 << 20)).unwrap();
    assert_eq!(scratch.names(), ["chunk-0000000000000001.tmp"]);
    drop(writer);
    assert_eq!(scratch.names(), [""; 0]);
    assert_eq!(write(&snapshots, 1, &[]).unwrap().number, 2);
}

#[test]
fn numbers_go_on_above_all_that_are_known() {
    let scratch = Scratch::new();
    assert_eq!(write(&open(&scratch), 1, &[]).unwrap().number, 1);
    scratch.write("chunk-0000000000000010.tmp", b"");
    assert_eq!(write(&open(&scratch), 1, &[]).unwrap().number, 0x11);

    let snapshots = open(&scratch);
    let chunk = publish(&snapshots, 1);
    scratch.remove(&format!("chunk-{:016x}", chunk.number));
    assert_eq!(
        write(&open(&scratch), 1, &[]).unwrap().number,
        chunk.number + 1
    );

    scratch.write("chunk-ffffffffffffffff", b"");
    let error = write(&open(&scratch), 1, &[]).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
}

#[test]
fn what_a_crash_left_goes_with_the_next_publication() {
    let scratch = Scratch::new();
    publish(&open(&scratch), 1);
    scratch.write("chunk-0000000000000007", b"finished, and in no manifest");
    scratch.write("chunk-0000000000000008.tmp", b"cut");
    scratch.write("manifest-0000000000000002.tmp", b"cut");
    scratch.write("journal-0000000000000001", b"not ours");
    scratch.write("note", b"somebody's");
    let snapshots = open(&scratch);
    assert_eq!(found(&snapshots), (vec![1], vec![]));
    let mut unfinished = snapshots.begin(2).unwrap();
    publish(&snapshots, 2);
    assert_eq!(
        scratch.names(),
        [
            "chunk-0000000000000001",
            "chunk-0000000000000009.tmp",
            "chunk-000000000000000a",
            "journal-0000000000000001",
            "manifest-0000000000000001",
            "manifest-0000000000000002",
            "note",
        ]
    );
    put(&mut *unfinished, &block(1, 1, 1)).unwrap();
    unfinished.finish().unwrap();
}

#[test]
fn a_bad_manifest_is_told_of_and_the_good_ones_before_it_are_found() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    publish(&snapshots, 1);
    let second = publish(&snapshots, 2);
    scratch.remove(&format!("chunk-{:016x}", second.number));
    let (good, bad) = found(&snapshots);
    assert_eq!(good, [1]);
    assert_eq!(
        bad,
        [format!(
            "chunk-0000000000000002 is damaged at byte 0: it is missing: expected {} bytes, as \
             manifest-0000000000000002 says",
            second.bytes
        )]
    );

    scratch.write("chunk-0000000000000002", b"short");
    assert_eq!(
        found(&snapshots).1,
        [format!(
            "chunk-0000000000000002 is damaged at byte 5: it has 5 bytes: expected {} bytes, as \
             manifest-0000000000000002 says",
            second.bytes
        )]
    );

    // Its number is free again, and what is bad goes.
    publish(&snapshots, 2);
    assert_eq!(found(&snapshots), (vec![2, 1], vec![]));
}

#[test]
fn a_manifest_of_another_store_is_refused_and_left_alone() {
    let other = Scratch::new();
    let scratch = Scratch::new();
    publish(&FileSnapshots::open(other.disk(), 7).unwrap(), 5);
    let name = "manifest-0000000000000005";
    scratch.write(name, &other.read(name));
    scratch.write(
        "chunk-0000000000000001",
        &other.read("chunk-0000000000000001"),
    );
    let snapshots = open(&scratch);
    let (good, bad) = found(&snapshots);
    assert!(good.is_empty());
    assert_eq!(bad.len(), 1);
    assert!(bad[0].starts_with("the store that manifest-0000000000000005 belongs to: found 0"));

    // Nor is a chunk of another store's taken for one of this.
    let chunk = publish(&snapshots, 6);
    let name = format!("chunk-{:016x}", chunk.number);
    assert_eq!(scratch.read(&name).len() as u64, chunk.bytes);
    scratch.write(&name, &other.read("chunk-0000000000000001"));
    let error = read(&snapshots, &chunk).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    assert!(
        scratch
            .names()
            .contains(&"manifest-0000000000000005".to_owned())
    );
}

#[test]
fn a_file_in_the_place_of_another_is_never_taken_for_it() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    let one = write(&snapshots, 1, &[block(1, 1, 100)]).unwrap();
    let two = write(&snapshots, 1, &[block(1, 1, 100)]).unwrap();
    scratch.write(
        "chunk-0000000000000001",
        &scratch.read("chunk-0000000000000002"),
    );
    let error = read(&snapshots, &one).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    read(&snapshots, &two).unwrap();

    snapshots.publish(&manifest(1, vec![])).unwrap();
    scratch.write(
        "manifest-0000000000000003",
        &scratch.read("manifest-0000000000000001"),
    );
    let (good, bad) = found(&snapshots);
    assert_eq!(good, [1]);
    assert_eq!(
        bad,
        [
            "manifest-0000000000000003 is damaged at byte 32: it says it is number 0x1: expected \
          number 0x3"
        ]
    );
}

#[test]
fn nothing_is_published_that_is_not_there_or_not_the_newest() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    let chunk = publish(&snapshots, 4);
    for number in [3, 4] {
        let error = snapshots.publish(&manifest(number, vec![])).unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    }
    let absent = ChunkRef {
        number: 77,
        ..chunk
    };
    let error = snapshots.publish(&manifest(5, vec![absent])).unwrap_err();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    assert_eq!(found(&snapshots), (vec![4], vec![]));
    assert_eq!(
        scratch.names(),
        ["chunk-0000000000000001", "manifest-0000000000000004"]
    );
}

#[test]
fn an_error_of_whoever_reads_ends_the_reading() {
    let scratch = Scratch::new();
    let snapshots = open(&scratch);
    let chunk = write(&snapshots, 1, &[block(1, 1, 1), block(2, 1, 1)]).unwrap();
    let mut seen = 0;
    let error = snapshots.read(&chunk, &mut |_| {
        seen += 1;
        Err(StoreError::Stale { epoch: 1, newer: 2 })
    });
    assert!(matches!(error, Err(StoreError::Stale { .. })));
    assert_eq!(seen, 1);
}
