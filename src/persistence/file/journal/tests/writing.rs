//! What is written is read back.

use super::*;
use crate::persistence::journal::Room;

#[test]
fn a_journal_that_was_never_written_is_empty_and_closed() {
    let (seen, tail) = read(&MemoryDisk::default()).unwrap();
    assert_eq!(seen, []);
    assert!(tail.closed);
    assert_eq!(
        tail,
        JournalTail {
            closed: true,
            ..JournalTail::default()
        }
    );
}

#[test]
fn frames_are_read_back_as_they_were_appended() {
    let disk = MemoryDisk::default();
    let journal = journal(&disk);
    read_from(&journal, 0).unwrap();
    journal.begin(3, Lsn(10)).unwrap();
    let frame = Frame {
        base: Lsn(10),
        count: 2,
        epoch: 3,
        synced: Lsn(9),
        polled_until: Some(Timestamp::from_millis(77)),
        closing: false,
        records: b"twotwo",
    };
    assert_eq!(journal.append(&frame).unwrap(), Lsn(11));
    assert_eq!(journal.wait_durable(Lsn(11)).unwrap(), Lsn(11));
    let (seen, tail) = read(&disk).unwrap();
    let expected = Seen {
        base: 10,
        count: 2,
        epoch: 3,
        synced: 9,
        polled_until: Some(Timestamp::from_millis(77)),
        closing: false,
        records: b"twotwo".to_vec(),
    };
    assert_eq!(seen, [expected]);
    assert_eq!(
        tail,
        JournalTail {
            last: Lsn(11),
            highest: Lsn(11),
            epoch: 3,
            polled_until: Some(Timestamp::from_millis(77)),
            closed: false,
            frames: 1,
            records: 2,
            bytes: 512,
            torn: None,
        }
    );
}

#[test]
fn frames_of_any_length_are_read_back_over_many_segments() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    let mut expected = Vec::new();
    for length in (0..1200).step_by(7).chain([5_000, 20_000, 1, 3_100_000, 2]) {
        let records: Vec<u8> = (0..length).map(|byte| (byte % 251) as u8).collect();
        pen.append_frame(3, &records, false).unwrap();
        pen.sync().unwrap();
        expected.push(records);
    }
    assert_eq!(pen.journal.bytes(), disk.bytes());
    let (seen, tail) = read(&disk).unwrap();
    let seen: Vec<Vec<u8>> = seen.into_iter().map(|frame| frame.records).collect();
    assert!(seen == expected);
    assert_eq!(tail.records, 3 * expected.len() as u64);
    assert!(disk.names().len() > 30, "{:?}", disk.names());
}

#[test]
fn a_frame_larger_than_a_segment_may_be_the_first() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.append_frame(1, &[7; 10_000], false).unwrap();
    pen.commit(&["next"]);
    let (seen, _) = read(&disk).unwrap();
    assert_eq!(seen[0].records, [7; 10_000]);
    assert_eq!(seen[1].records, b"next");
}

#[test]
fn a_closed_journal_says_so_until_it_is_begun_again() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.commit(&["one"]);
    pen.close();
    assert!(read(&disk).unwrap().1.closed);
    let pen = Pen::open(&disk);
    assert!(!read(&disk).unwrap().1.closed);
    pen.close();
    assert!(read(&disk).unwrap().1.closed);
}

#[test]
fn each_opening_goes_on_in_a_segment_of_its_own_and_may_leave_numbers_out() {
    let disk = MemoryDisk::default();
    for round in 1..6_u32 {
        let journal = journal(&disk);
        let (_, tail) = read_from(&journal, 0).unwrap();
        assert_eq!(tail.epoch, round - 1);
        let base = Lsn(u64::from(round) * 100);
        journal.begin(round, base).unwrap();
        let frame = Frame {
            base,
            count: 1,
            epoch: round,
            synced: Lsn(base.0 - 1),
            polled_until: None,
            closing: false,
            records: &[round as u8],
        };
        journal.append(&frame).unwrap();
        journal.wait_durable(base).unwrap();
    }
    let (seen, tail) = read(&disk).unwrap();
    let bases: Vec<u64> = seen.iter().map(|frame| frame.base).collect();
    assert_eq!(bases, [100, 200, 300, 400, 500]);
    assert_eq!(tail.last, Lsn(500));
    assert_eq!(disk.names().len(), 6);
}

#[test]
fn openings_that_write_nothing_take_next_to_no_room() {
    let disk = MemoryDisk::default();
    Pen::open(&disk).commit(&["one"]);
    for _ in 0..5 {
        Pen::open(&disk);
    }
    let sizes: Vec<usize> = disk
        .names()
        .iter()
        .map(|name| disk.file(name).len())
        .collect();
    assert_eq!(sizes, [1536, 1024, 1024, 1024, 1024, 4096, 4096]);
    let (seen, tail) = read(&disk).unwrap();
    assert_eq!(texts(&seen), ["one"]);
    assert_eq!(tail.epoch, 6);
    let pen = Pen::open(&disk);
    assert_eq!(pen.journal.room(), Room::Ample);
    pen.journal.trim(&from(1)).unwrap();
    assert_eq!(disk.names(), [7, 8].map(segment::name));
}
