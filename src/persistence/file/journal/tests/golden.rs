//! A segment of each format that was ever released: written as it was, and read as what it was written from.

use super::*;
use crate::persistence::file::tests::golden::golden;

/// A segment with every field of every part in it.
fn write() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.commit(&["given up with", " the segment before"]);
    drop(pen);
    let journal = journal(&disk);
    read_from(&journal, 0).unwrap();
    journal.begin(0x0102_0304, Lsn(0x1122_3344_5566)).unwrap();
    for frame in frames() {
        let last = journal
            .append(&Frame {
                base: Lsn(frame.base),
                count: frame.count,
                epoch: frame.epoch,
                synced: Lsn(frame.synced),
                polled_until: frame.polled_until,
                closing: frame.closing,
                records: &frame.records,
            })
            .unwrap();
        journal.wait_durable(last).unwrap();
    }
    disk
}

fn frames() -> Vec<Seen> {
    let frame = |base: u64, count, polled_until: Option<u64>, closing, records: &[u8]| Seen {
        base: 0x1122_3344_5566 + base,
        count,
        epoch: 0x0102_0304,
        synced: 0x1122_3344_5565 + base,
        polled_until: polled_until.map(Timestamp::from_millis),
        closing,
        records: records.to_vec(),
    };
    let long: Vec<u8> = (0..900).map(|byte| (byte % 251) as u8).collect();
    vec![
        frame(0, 3, None, false, b"three records"),
        frame(3, 1, Some(0x8877_6655_4433_2211), false, &long),
        frame(4, 0, Some(u64::MAX), true, b""),
    ]
}

#[test]
fn a_segment_is_written_and_read_as_in_version_1() {
    let disk = write();
    let name = segment::name(2);
    let bytes = golden("journal.1", &disk.file(&name));
    disk.edit(&name, |file| *file = bytes);
    let (seen, tail) = read_from(&journal(&disk), 2).unwrap();
    assert_eq!(seen, frames());
    assert!(tail.closed);
}
