//! Each reason to refuse a journal, and that it says which.

use super::*;
use crate::persistence::file::journal::sectors::Seal;
use crate::persistence::file::journal::segment::{Binding, Head, Header};

/// Four segments and the one made ahead.
fn four_segments() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for round in 0..8 {
        pen.commit(&[&format!("<{round}>").repeat(400)]);
    }
    assert_eq!(disk.names().len(), 5);
    disk
}

fn refusal(disk: &MemoryDisk) -> String {
    read(disk).unwrap_err().to_string()
}

#[track_caller]
fn assert_says(disk: &MemoryDisk, all: &[&str]) {
    let text = refusal(disk);
    for part in all {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

fn set_header(disk: &MemoryDisk, number: u64, change: impl FnOnce(&mut Header)) {
    disk.edit(&segment::name(number), |file| {
        let Head::Whole(mut header) = Header::read(file) else {
            panic!("no header");
        };
        change(&mut header);
        file[..512].copy_from_slice(&header.sector());
    });
}

fn set_binding(disk: &MemoryDisk, number: u64, change: impl FnOnce(&mut Binding)) {
    let seal = Seal::of(STORE, number);
    disk.edit(&segment::name(number), |file| {
        let Head::Whole(mut binding) = Binding::read(&file[512..], seal) else {
            panic!("no binding");
        };
        change(&mut binding);
        file[512..1024].copy_from_slice(&binding.sector(seal));
    });
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let disk = four_segments();
    set_header(&disk, 2, |header| header.store += 1);
    assert_says(
        &disk,
        &["journal-0000000000000002: store", "6678: expected"],
    );
    assert!(matches!(read(&disk), Err(StoreError::Mismatch { .. })));
    // Also one that was never written to.
    let disk = four_segments();
    set_header(&disk, 5, |header| header.store += 1);
    assert_says(&disk, &["journal-0000000000000005: store"]);
}

#[test]
fn a_newer_format_is_refused_and_no_damage() {
    let disk = four_segments();
    set_header(&disk, 4, |header| header.format = 2);
    assert_says(
        &disk,
        &["journal-0000000000000004: format version: found 2: expected 1"],
    );
    let disk = four_segments();
    set_header(&disk, 1, |header| header.records = 9);
    assert_says(
        &disk,
        &["journal-0000000000000001: found records of format 9: expected format 1"],
    );
}

#[test]
fn segments_that_changed_places_are_refused() {
    let disk = four_segments();
    let (one, other) = (segment::name(2), segment::name(3));
    let (first, second) = (disk.file(&one), disk.file(&other));
    disk.edit(&one, |file| *file = second);
    disk.edit(&other, |file| *file = first);
    assert_says(&disk, &["number of the segment: found 2: expected 3"]);
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    for number in 2..5 {
        let disk = four_segments();
        disk.remove_file(&segment::name(number));
        assert_says(
            &disk,
            &["a segment with none before it", &segment::name(number)],
        );
    }
}

#[test]
fn a_journal_that_begins_behind_what_snapshots_know_is_refused() {
    let disk = four_segments();
    disk.remove_file(&segment::name(1));
    // Two records a segment.
    assert_says(
        &disk,
        &["the journal begins behind record 2", "the records behind 0"],
    );
    assert!(read_from(&journal(&disk), 1).is_err());
    let (seen, _) = read_from(&journal(&disk), 2).unwrap();
    assert_eq!(seen.first().unwrap().base, 3);
}

#[test]
fn a_gap_between_snapshots_and_journal_is_none_where_no_record_had_its_numbers() {
    let disk = MemoryDisk::default();
    Pen::open(&disk).commit(&["one"]);
    let journal = journal(&disk);
    read_from(&journal, 0).unwrap();
    journal.begin(9, Lsn(100)).unwrap();
    disk.remove_file(&segment::name(1));
    assert!(read_from(&super::journal(&disk), 1).is_ok());
    assert!(read_from(&super::journal(&disk), 99).is_ok());
    assert!(read_from(&super::journal(&disk), 0).is_err());
}

#[test]
fn a_journal_that_ends_before_what_snapshots_know_is_refused() {
    let disk = four_segments();
    assert!(read_from(&journal(&disk), 8).is_ok());
    let error = read_from(&journal(&disk), 9).unwrap_err().to_string();
    assert!(
        error.contains("the journal ends before record 9"),
        "{error}"
    );
    // And where nothing is left of it at all.
    let error = read_from(&journal(&MemoryDisk::default()), 1).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no segment that was ever written to"),
        "{error}"
    );
}

#[test]
fn a_journal_of_which_only_a_segment_made_ahead_is_left_is_refused() {
    let disk = four_segments();
    for number in 1..5 {
        disk.remove_file(&segment::name(number));
    }
    assert_says(
        &disk,
        &["journal-0000000000000005", "a segment with none before it"],
    );
}

#[test]
fn damaged_heads_of_segments_that_were_written_are_refused() {
    for number in 1..5 {
        let disk = four_segments();
        disk.edit(&segment::name(number), |file| file[30] ^= 1);
        assert_says(
            &disk,
            &[
                &segment::name(number),
                "byte 0",
                "a header that does not match",
            ],
        );
        let disk = four_segments();
        disk.edit(&segment::name(number), |file| file[540] ^= 1);
        assert_says(
            &disk,
            &[
                &segment::name(number),
                "byte 512",
                "what the segment follows on cannot be read",
            ],
        );
    }
}

#[test]
fn a_segment_that_does_not_end_where_the_next_one_says_is_refused() {
    let changes: [fn(&mut Binding); 4] = [
        |binding| binding.follows.last.0 -= 1,
        |binding| binding.follows.frame ^= 1,
        |binding| binding.end -= 512,
        |binding| binding.end += 512,
    ];
    for change in changes {
        let disk = four_segments();
        set_binding(&disk, 3, change);
        assert_says(&disk, &["journal-0000000000000002 is damaged"]);
    }
}

#[test]
fn epochs_that_go_back_are_refused() {
    let disk = four_segments();
    set_binding(&disk, 2, |binding| binding.epoch = 7);
    assert_says(
        &disk,
        &["journal-0000000000000002 is damaged at byte 512", "epoch 7"],
    );
}

#[test]
fn a_writer_of_no_newer_epoch_is_stale() {
    let disk = MemoryDisk::default();
    Pen::open(&disk).commit(&["one"]);
    Pen::open(&disk);
    // The second was bound and has no frame yet.
    for epoch in [0, 1, 2] {
        let journal = journal(&disk);
        read_from(&journal, 0).unwrap();
        let error = journal.begin(epoch, Lsn(50)).unwrap_err();
        assert!(
            matches!(error, StoreError::Stale { newer: 2, .. }),
            "{error}"
        );
    }
}

#[test]
fn calls_out_of_order_are_errors_and_change_nothing() {
    let disk = MemoryDisk::default();
    let journal = journal(&disk);
    assert!(journal.begin(1, Lsn(1)).is_err());
    assert!(journal.wait_durable(Lsn(0)).is_err());
    read_from(&journal, 0).unwrap();
    assert!(journal.begin(1, Lsn(0)).is_err());
    journal.begin(1, Lsn(1)).unwrap();
    assert!(journal.begin(2, Lsn(1)).is_err());
    assert!(read_from(&journal, 0).is_err());
    assert_eq!(journal.wait_durable(Lsn(0)).unwrap(), Lsn(0));
}

#[test]
fn an_error_of_whoever_reads_ends_the_reading() {
    let disk = four_segments();
    let mut read = 0;
    let outcome = journal(&disk).replay(&from(0), &mut |_| {
        read += 1;
        Err(StoreError::Full {
            what: "mine".to_owned(),
        })
    });
    assert!(matches!(outcome, Err(StoreError::Full { what }) if what == "mine"));
    assert_eq!(read, 1);
}
