//! Room that is lent to a snapshot on a full disk.

use super::disk::MemoryDisk;
use super::{Pen, STORE, journal_of, read, texts};
use crate::persistence::error::StoreError;
use crate::persistence::file::journal::segment;
use crate::persistence::file::snapshots::FileSnapshots;
use crate::persistence::journal::{Journal as _, Lsn, Positions, Room};
use crate::persistence::snapshots::{ChunkBlock, ChunkRef, Manifest, SnapshotStore as _};
use crate::sync::Arc;

const SEGMENT: usize = 64 << 10;

/// A journal of larger segments.
fn pen(disk: &MemoryDisk) -> Pen {
    Pen::begin(journal_of(disk, SEGMENT as u64))
}

/// Some of these fill a segment: how many they are tells what there is room for.
fn text() -> String {
    "x".repeat(2_000)
}

fn size(disk: &MemoryDisk, number: u64) -> usize {
    disk.file(&segment::name(number)).len()
}

#[test]
fn what_is_lent_is_not_taken_for_the_journal_until_it_is_reclaimed() {
    let disk = MemoryDisk::default();
    let mut pen = pen(&disk);
    assert_eq!(size(&disk, 2), SEGMENT);
    let spare = pen.journal.spare();
    assert!(spare.lend());
    assert!(!spare.lend(), "there is no more");
    assert_eq!(size(&disk, 2), SEGMENT / 8);
    assert_eq!(pen.journal.bytes(), disk.bytes());
    for _ in 0..200 {
        assert_eq!(pen.journal.room(), Room::Reserved);
        pen.commit(&[&text()]);
    }
    spare.reclaim();
    assert_eq!(pen.journal.room(), Room::Ample);
    assert_eq!(pen.journal.bytes(), disk.bytes());
    let last = disk.names().len() as u64;
    assert_eq!(size(&disk, last), SEGMENT);
    assert!(spare.lend(), "once more");
    assert_eq!(texts(&read(&disk).unwrap().0).len(), 200);
}

#[test]
fn reclaiming_what_was_not_lent_does_nothing() {
    let disk = MemoryDisk::default();
    let pen = pen(&disk);
    disk.calls();
    pen.journal.spare().reclaim();
    assert_eq!(disk.calls(), [""; 0]);
    assert_eq!(pen.journal.room(), Room::Ample);
}

#[test]
fn a_journal_goes_on_in_what_was_left_of_the_segment_that_is_lent() {
    let disk = MemoryDisk::default();
    let mut pen = pen(&disk);
    pen.journal.spare().lend();
    disk.limit(Some(disk.bytes() as usize));
    let mut frames = 0;
    let error = loop {
        match pen.append(&[&text()]) {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
        pen.sync().unwrap();
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let fit_in = |segment: usize| (segment - 1024) / 2_560;
    assert_eq!(frames, fit_in(SEGMENT) + fit_in(SEGMENT / 8));
    assert_eq!(texts(&read(&disk).unwrap().0).len(), frames);
}

#[test]
fn where_no_whole_segment_can_be_had_the_next_one_is_smaller() {
    let disk = MemoryDisk::default();
    disk.limit(Some(2 * SEGMENT + SEGMENT / 2 + 100));
    let mut pen = pen(&disk);
    for _ in 0..55 {
        pen.commit(&[&text()]);
    }
    assert_eq!(pen.journal.room(), Room::Reserved);
    assert_eq!(size(&disk, 3), SEGMENT / 2);
    assert_eq!(pen.journal.bytes(), disk.bytes());
    drop(pen);
    disk.limit(None);
    let mut pen = self::pen(&disk);
    pen.commit(&["the end"]);
    assert_eq!(texts(&read(&disk).unwrap().0).len(), 56);
}

#[test]
fn an_attempt_to_make_a_segment_that_failed_takes_no_room() {
    let disk = MemoryDisk::default();
    let mut pen = pen(&disk);
    let spare = pen.journal.spare();
    spare.lend();
    let lent = disk.bytes();
    disk.limit(Some(lent as usize + SEGMENT / 4));
    spare.reclaim();
    assert_eq!(pen.journal.room(), Room::Reserved);
    assert_eq!(disk.bytes(), lent);
    assert_eq!(pen.journal.bytes(), lent);
    disk.limit(None);
    for _ in 0..64 {
        pen.commit(&["one of those after which it is tried again"]);
    }
    assert_eq!(pen.journal.room(), Room::Ample);
    assert_eq!(pen.journal.bytes(), disk.bytes());
}

/// A chunk of so many bytes.
fn chunk(snapshots: &FileSnapshots, bytes: usize) -> Result<ChunkRef, StoreError> {
    let mut writer = snapshots.begin(0)?;
    writer.put(&ChunkBlock {
        as_of: Lsn(1),
        count: 1,
        records: &vec![7; bytes],
    })?;
    writer.finish()
}

#[test]
fn a_snapshot_that_finds_no_room_has_that_of_the_segment_made_ahead() {
    let disk = MemoryDisk::default();
    disk.limit(Some(2 * SEGMENT + 1_000));
    let mut pen = pen(&disk);
    pen.commit(&["one"]);
    let shared = Arc::new(disk.clone());
    let snapshots = FileSnapshots::borrowing(shared, STORE, pen.journal.spare()).unwrap();

    // Too large in any case: nothing of it stays, nor of what was finished before it.
    let small = chunk(&snapshots, 3_000).unwrap();
    assert_eq!(pen.journal.room(), Room::Reserved);
    let error = chunk(&snapshots, SEGMENT).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    snapshots.abandon();
    assert_eq!(snapshots.bytes(), 0);
    assert_eq!(pen.journal.room(), Room::Ample);
    assert!(snapshots.read(&small, &mut |_| Ok(())).is_err());

    let chunks = vec![chunk(&snapshots, SEGMENT / 2).unwrap()];
    assert_eq!(pen.journal.room(), Room::Reserved);
    let manifest = Manifest {
        number: 1,
        positions: Positions(vec![Lsn(1)]),
        chunks,
        ..Manifest::default()
    };
    snapshots.publish(&manifest).unwrap();
    assert_eq!(snapshots.find().unwrap().good, [manifest]);
    // There is no room for both yet; what is lent is the journal's again.
    assert_eq!(pen.journal.room(), Room::Reserved);
    disk.limit(None);
    pen.journal.trim(&Positions(vec![Lsn(0)])).unwrap();
    assert_eq!(pen.journal.room(), Room::Ample);
}
