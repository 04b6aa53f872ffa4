//! What an inspection says of a journal, whole and damaged.

use super::*;
use crate::persistence::file::journal::inspect::{Event, SegmentReport, SegmentRole, inspect};

fn reports(disk: &MemoryDisk) -> (Vec<SegmentReport>, Vec<(u64, u64, u64)>) {
    let mut seen = Vec::new();
    let reports = inspect(disk, STORE, &mut |event| {
        if let Event::Frame { at, frame, .. } = event {
            seen.push((at.0, at.1, frame.base.0));
        }
    });
    (reports.unwrap(), seen)
}

/// Two segments of six frames of one record, one of two with a torn end, and what came after that.
fn journal_with_a_torn_end() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for _ in 0..14 {
        pen.commit(&["one"]);
    }
    pen.append(&[&"torn".repeat(200)]).unwrap();
    disk.edit(&segment::name(3), |file| file[2048..2560].fill(0));
    Pen::open(&disk).commit(&["after"]);
    disk
}

#[test]
fn a_whole_journal_is_told_segment_by_segment() {
    let disk = journal_with_a_torn_end();
    let (reports, seen) = reports(&disk);
    assert_eq!(seen.len(), 15);
    assert_eq!(seen[7], (2, 1536, 8));
    let roles: Vec<SegmentRole> = reports.iter().map(|report| report.role).collect();
    use SegmentRole::{Ahead, Closed, Last};
    assert_eq!(roles, [Closed, Closed, Closed, Last, Ahead]);
    let third = SegmentReport {
        number: 3,
        name: segment::name(3),
        bytes: 2048,
        role: Closed,
        base: Lsn(13),
        last: Lsn(14),
        epoch: 1,
        frames: 2,
        records: 2,
        frame_bytes: 1024,
        // It was given back.
        torn_bytes: 0,
        damage: Vec::new(),
    };
    assert_eq!(reports[2], third);
    assert_eq!((reports[3].base, reports[3].last), (Lsn(15), Lsn(15)));
    assert_eq!(reports[3].epoch, 2);
    assert!(reports.iter().all(|report| report.damage.is_empty()));
}

#[test]
fn every_damage_is_told_and_what_stands_behind_it_is_read() {
    let disk = journal_with_a_torn_end();
    let flip = |number: u64, offset: usize| {
        disk.edit(&segment::name(number), |file| file[offset] ^= 1);
    };
    flip(1, 1024 + 20);
    flip(1, 1024 + 2 * 512 + 20);
    flip(2, 30);
    flip(2, 540);
    flip(4, 1024 + 75);
    let (reports, seen) = reports(&disk);
    let places = |number: usize| -> Vec<u64> {
        reports[number - 1]
            .damage
            .iter()
            .map(|damage| damage.offset)
            .collect()
    };
    assert_eq!(places(1), [1024, 2048]);
    assert_eq!(places(2), [512]);
    assert_eq!(places(3), [0; 0]);
    assert_eq!(places(4), [1024]);
    let of = |number: u64| {
        seen.iter()
            .filter(|(segment, ..)| *segment == number)
            .count()
    };
    assert_eq!((of(1), of(2), of(3), of(4)), (4, 6, 2, 0));
    assert_eq!(reports[1].role, SegmentRole::Unknown);
    assert_eq!(
        (reports[1].base, reports[1].last, reports[1].epoch),
        (Lsn(7), Lsn(12), 1)
    );
}

#[test]
fn missing_and_foreign_segments_are_told() {
    let disk = journal_with_a_torn_end();
    disk.remove_file(&segment::name(2));
    disk.edit(&segment::name(4), |file| file[30] ^= 1);
    let other = MemoryDisk::default();
    let file = disk.file(&segment::name(1));
    other.edit(&segment::name(7), |copy| *copy = file);
    let (found, _) = reports(&disk);
    assert!(
        found[1].damage[0].expected.contains(&segment::name(2)),
        "{found:?}"
    );
    assert_eq!(found[2].damage[0].offset, 0);
    let (found, _) = reports(&other);
    assert!(
        found[0].damage[0].found.contains("number of the segment"),
        "{found:?}"
    );
}

#[test]
fn an_inspection_finds_damage_where_a_reading_does() {
    let whole = journal_with_a_torn_end();
    for number in 1..6 {
        let name = segment::name(number);
        for offset in (0..whole.file(&name).len()).step_by(3) {
            let disk = whole.copy();
            disk.edit(&name, |file| file[offset] ^= 1 << (offset % 8));
            let refused = read(&disk).is_err();
            let (reports, _) = reports(&disk);
            let damaged = reports.iter().any(|report| !report.damage.is_empty());
            assert_eq!(damaged, refused, "{name} {offset}: {reports:?}");
        }
    }
}
