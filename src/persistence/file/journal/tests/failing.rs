//! A disk that is full, or fails.

use super::disk::Failing;
use super::*;
use crate::persistence::journal::Room;

#[test]
fn the_first_error_of_a_write_or_a_sync_is_the_last() {
    for failing in [Failing::Write, Failing::Sync] {
        let disk = MemoryDisk::default();
        let mut pen = Pen::open(&disk);
        pen.commit(&["one"]);
        disk.fail(Some(failing));
        let error = pen.append(&["two"]).and_then(|_| pen.sync()).unwrap_err();
        assert!(
            error.to_string().contains("journal-0000000000000001"),
            "{error}"
        );
        disk.fail(None);
        disk.calls();
        let again = pen.sync().unwrap_err().to_string();
        assert_eq!(again, error.to_string());
        assert_eq!(pen.append(&["three"]).unwrap_err().to_string(), again);
        assert_eq!(disk.calls(), [""; 0]);
        assert_eq!(texts(&read(&disk).unwrap().0)[0], "one");
    }
}

#[test]
fn a_segment_is_bound_after_the_one_before_is_synced_and_before_its_first_frame() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.append(&[&"x".repeat(1500)]).unwrap();
    disk.calls();
    pen.append(&[&"y".repeat(1500)]).unwrap();
    let (one, two, three) = (segment::name(1), segment::name(2), segment::name(3));
    let expected = [
        format!("sync {one}"),
        format!("write {two} 512+512"),
        format!("sync {two}"),
        format!("write {two} 1024+2048"),
        format!("create {three}"),
        format!("allocate {three}"),
        format!("write {three} 0+512"),
        format!("sync {three}"),
        "sync directory".to_owned(),
    ];
    assert_eq!(disk.calls(), expected);
}

#[test]
fn what_is_durable_is_not_synced_again() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.commit(&["one"]);
    disk.calls();
    pen.sync().unwrap();
    assert_eq!(disk.calls(), [""; 0]);
    // But a frame without records is, by the number of the last record.
    pen.append_frame(0, &[], true).unwrap();
    disk.calls();
    pen.sync().unwrap();
    assert_eq!(disk.calls(), [format!("sync {}", segment::name(1))]);
    // And what is wanted no further is not.
    pen.append(&["two"]).unwrap();
    disk.calls();
    assert_eq!(pen.journal.wait_durable(Lsn(1)).unwrap(), Lsn(1));
    assert_eq!(disk.calls(), [""; 0]);
    assert!(pen.journal.wait_durable(Lsn(3)).is_err());
}

#[test]
fn a_disk_that_fills_up_is_told_of_while_there_is_still_room() {
    let disk = MemoryDisk::default();
    disk.limit(Some(3 * SMALL as usize));
    let mut pen = Pen::open(&disk);
    let mut frames = 0;
    while pen.journal.room() == Room::Ample {
        pen.commit(&["taken in"]);
        frames += 1;
    }
    // The third segment is the current one, with its first frame; no fourth is to be had.
    assert_eq!(frames, 13);
    for _ in 0..5 {
        pen.commit(&["ended"]);
        assert_eq!(pen.journal.room(), Room::Reserved);
    }
    let error = pen.append(&["one too many"]).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(matches!(pen.sync(), Err(StoreError::Full { .. })));
    let (seen, _) = read(&disk).unwrap();
    assert_eq!(seen.len(), 18);
    assert_eq!(disk.names().len(), 3);
}

#[test]
fn a_full_disk_can_be_opened_and_goes_on_in_the_segment_made_ahead() {
    let disk = MemoryDisk::default();
    disk.limit(Some(2 * SMALL as usize));
    Pen::open(&disk).commit(&["one"]);
    let mut pen = Pen::open(&disk);
    assert_eq!(pen.journal.room(), Room::Reserved);
    pen.commit(&["two"]);
    assert_eq!(texts(&read(&disk).unwrap().0), ["one", "two"]);
    // The next one cannot be opened, and says why.
    let journal = journal(&disk);
    read_from(&journal, 0).unwrap();
    assert!(matches!(
        journal.begin(9, Lsn(50)),
        Err(StoreError::Full { .. })
    ));
    disk.limit(None);
    journal.begin(9, Lsn(50)).unwrap();
}

#[test]
fn a_torn_end_on_a_full_disk_stays_where_it_is() {
    let disk = MemoryDisk::default();
    disk.limit(Some(2 * SMALL as usize));
    let mut pen = Pen::open(&disk);
    pen.commit(&["one"]);
    pen.append(&[&"torn".repeat(200)]).unwrap();
    let name = segment::name(1);
    disk.edit(&name, |file| file[1536..2048].fill(0));
    let before = disk.file(&name);
    Pen::open(&disk).commit(&["two"]);
    assert_eq!(texts(&read(&disk).unwrap().0), ["one", "two"]);
    assert_eq!(disk.names(), [1, 2].map(segment::name));
    assert_eq!(disk.file(&name), before);
}

#[test]
fn a_beginning_that_failed_can_be_tried_again() {
    for failing in [Failing::Write, Failing::Sync, Failing::SyncDirectory] {
        let disk = MemoryDisk::default();
        Pen::open(&disk).append(&["one"]).unwrap();
        let journal = journal(&disk);
        read_from(&journal, 0).unwrap();
        disk.fail(Some(failing));
        assert!(journal.begin(2, Lsn(2)).is_err());
        disk.fail(None);
        journal.begin(2, Lsn(2)).unwrap();
        assert_eq!(texts(&read(&disk).unwrap().0), ["one"]);
        assert_eq!(journal.bytes(), disk.bytes());
    }
}

#[test]
fn room_is_looked_for_again_after_a_while() {
    let disk = MemoryDisk::default();
    disk.limit(Some(SMALL as usize));
    let mut pen = Pen::open(&disk);
    assert_eq!(pen.journal.room(), Room::Reserved);
    disk.limit(None);
    pen.commit(&["one"]);
    assert_eq!(pen.journal.room(), Room::Reserved);
    let mut frames = 1;
    while pen.journal.room() == Room::Reserved && frames < 6 {
        pen.commit(&["more"]);
        frames += 1;
    }
    // So small a segment is full before the next attempt is due; then there is one anyway.
    assert_eq!(frames, 6);
    pen.commit(&["next"]);
    assert_eq!(pen.journal.room(), Room::Ample);
}

#[test]
fn room_given_back_by_trimming_is_used_at_once() {
    let disk = MemoryDisk::default();
    disk.limit(Some(2 * SMALL as usize));
    let mut pen = Pen::open(&disk);
    while pen.journal.room() == Room::Ample {
        pen.commit(&["taken in"]);
    }
    assert_eq!(pen.journal.bytes(), 2 * SMALL);
    pen.journal.trim(&from(pen.next - 2)).unwrap();
    assert_eq!(pen.journal.room(), Room::Ample);
    assert_eq!(pen.journal.bytes(), 2 * SMALL);
    assert_eq!(disk.names(), [segment::name(2), segment::name(3)]);
}

#[test]
fn trimming_drops_whole_segments_and_never_the_current_one() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for _ in 0..20 {
        pen.commit(&["six of these fill a segment"]);
    }
    let numbers = |disk: &MemoryDisk| -> Vec<u64> {
        disk.names()
            .iter()
            .filter_map(|name| segment::number(name))
            .collect()
    };
    assert_eq!(numbers(&disk), [1, 2, 3, 4, 5]);
    pen.journal.trim(&from(5)).unwrap();
    assert_eq!(numbers(&disk), [1, 2, 3, 4, 5]);
    disk.calls();
    pen.journal
        .trim(&Positions(vec![Lsn(20), Lsn(12)]))
        .unwrap();
    let expected = [
        format!("remove {}", segment::name(1)),
        format!("remove {}", segment::name(2)),
        "sync directory".to_owned(),
    ];
    assert_eq!(disk.calls(), expected);
    assert_eq!(pen.journal.bytes(), 3 * SMALL);
    pen.journal.trim(&from(1_000)).unwrap();
    assert_eq!(numbers(&disk), [4, 5]);
    pen.commit(&["goes on"]);
    let (seen, tail) = read_from(&journal(&disk), 18).unwrap();
    assert_eq!(seen.len(), 3);
    assert_eq!(tail.last, Lsn(21));
    // What was there before an opening is dropped too, with its torn ends.
    disk.edit("torn-0000000000000004-800", |file| file.push(1));
    let mut pen = {
        let journal = journal(&disk);
        let tail = read_from(&journal, 18).unwrap().1;
        journal.begin(2, tail.highest.next()).unwrap();
        Pen {
            journal,
            epoch: 2,
            next: 22,
            synced: 21,
        }
    };
    pen.journal.trim(&from(20)).unwrap();
    assert_eq!(numbers(&disk), [4, 5, 6]);
    pen.commit(&["last"]);
    pen.journal.trim(&from(21)).unwrap();
    assert_eq!(disk.names(), [segment::name(5), segment::name(6)]);
}

#[test]
fn a_trimming_cut_short_anywhere_leaves_a_journal_that_can_be_read() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for _ in 0..20 {
        pen.commit(&["six of these fill a segment"]);
    }
    // Names may be gone in any order until the directory is synced.
    for gone in 0..8 {
        let disk = disk.copy();
        for number in 1..4 {
            if gone & (1 << (number - 1)) != 0 {
                disk.remove_file(&segment::name(number));
            }
        }
        let journal = journal(&disk);
        let (seen, tail) = read_from(&journal, 18).unwrap();
        assert_eq!(seen.len(), 2);
        journal.begin(2, tail.highest.next()).unwrap();
        journal.trim(&from(18)).unwrap();
        assert_eq!(disk.names(), [4, 5, 6].map(segment::name));
    }
}

#[test]
fn a_segment_that_cannot_be_removed_stays_and_nothing_else_comes_of_it() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for _ in 0..20 {
        pen.commit(&["six of these fill a segment"]);
    }
    disk.fail(Some(Failing::Remove));
    assert!(pen.journal.trim(&from(20)).is_err());
    pen.commit(&["goes on"]);
    disk.fail(None);
    pen.journal.trim(&from(20)).unwrap();
    assert_eq!(disk.names(), [4, 5].map(segment::name));
}

#[test]
fn a_segment_that_cannot_be_made_ahead_is_no_reason_to_stop() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for _ in 0..6 {
        pen.commit(&["six of these fill a segment"]);
    }
    disk.fail(Some(Failing::SyncDirectory));
    pen.commit(&["the seventh"]);
    assert_eq!(pen.journal.room(), Room::Reserved);
    assert_eq!(disk.names(), [1, 2].map(segment::name));
    pen.commit(&["the eighth"]);
    assert_eq!(read(&disk).unwrap().0.len(), 8);
}
