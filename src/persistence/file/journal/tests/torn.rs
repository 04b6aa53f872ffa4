//! What a crash leaves is never a reason to refuse, and costs nothing that was acknowledged.

use super::*;
use crate::persistence::journal::TornTail;

/// One acknowledged frame, and then these, which were not: each of two sectors.
fn unacknowledged(frames: usize) -> (MemoryDisk, u64) {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.commit(&["acknowledged"]);
    for frame in 0..frames {
        pen.append(&[&format!("[{frame}]").repeat(150)]).unwrap();
    }
    (disk, 1024 + 512)
}

#[test]
fn any_sectors_of_what_was_not_synced_may_be_missing() {
    let (whole, begin) = unacknowledged(2);
    let name = segment::name(1);
    for present in 0..16_usize {
        let disk = whole.copy();
        disk.edit(&name, |file| {
            for sector in 0..4 {
                if present & (1 << sector) == 0 {
                    file[begin as usize + sector * 512..][..512].fill(0);
                }
            }
        });
        let (seen, tail) = read(&disk).unwrap();
        let frames = match present {
            0b1111 => 2,
            present if present & 0b11 == 0b11 => 1,
            _ => 0,
        };
        assert_eq!(seen.len(), 1 + frames, "{present:04b}");
        let torn = present & 0b1111 != 0b1111 && present >> (2 * frames) != 0;
        assert_eq!(tail.torn.is_some(), torn, "{present:04b}");
        assert!(!tail.closed);
        // Whoever goes on keeps what was read, and the rest is void.
        let mut pen = Pen::open(&disk);
        pen.commit(&["after"]);
        let (later, tail) = read(&disk).unwrap();
        assert_eq!(later[..seen.len()], seen, "{present:04b}");
        assert_eq!(later.len(), seen.len() + 1);
        assert_eq!(tail.torn, None);
    }
}

#[test]
fn a_write_may_have_stopped_at_any_byte() {
    let (whole, begin) = unacknowledged(1);
    let name = segment::name(1);
    let end = begin as usize + 1024;
    for length in begin as usize..end {
        let disk = whole.copy();
        disk.edit(&name, |file| file[length..end].fill(0));
        let (seen, _) = read(&disk).unwrap();
        // The last sector may lack its mark: what counts is there.
        let is_whole = disk.file(&name)[..end - 4] == whole.file(&name)[..end - 4];
        assert_eq!(seen.len(), 1 + usize::from(is_whole), "{length}");
    }
}

#[test]
fn a_torn_end_is_described_and_saved_as_it_stands() {
    let (disk, begin) = unacknowledged(2);
    let name = segment::name(1);
    disk.edit(&name, |file| file[begin as usize..][..512].fill(0));
    let tail = read(&disk).unwrap().1;
    let torn = TornTail {
        place: name.clone(),
        offset: begin,
        bytes: 4 * 512,
    };
    assert_eq!(tail.torn, Some(torn));
    assert_eq!(tail.last, Lsn(1));
    // The second of the frames can be read, and no number in it is used again.
    assert_eq!(tail.highest, Lsn(3));
    let before = disk.file(&name);
    disk.edit("torn-0000000000000001-600.tmp", |file| file.push(1));
    Pen::open(&disk);
    let saved = disk.file("torn-0000000000000001-600");
    assert_eq!(saved, before[begin as usize..][..4 * 512]);
    assert!(disk.names().iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn what_was_given_up_stays_given_up_even_if_it_becomes_whole() {
    let (disk, begin) = unacknowledged(1);
    let name = segment::name(1);
    let whole = disk.file(&name);
    disk.edit(&name, |file| file[begin as usize..][..512].fill(0));
    Pen::open(&disk).commit(&["after"]);
    disk.edit(&name, |file| file.clone_from(&whole));
    assert_eq!(texts(&read(&disk).unwrap().0), ["acknowledged", "after"]);
}

#[test]
fn a_later_frame_that_tells_of_a_lost_one_is_believed() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.commit(&["one"]);
    pen.commit(&["two"]);
    let unread = disk.copy();
    pen.append(&["three"]).unwrap();
    // Where the second frame is gone, the third says that it was there.
    let name = segment::name(1);
    disk.edit(&name, |file| file[1536..2048].fill(0));
    let error = read(&disk).unwrap_err().to_string();
    assert!(
        error.contains("journal-0000000000000001 is damaged at byte 1536"),
        "{error}"
    );
    // Without the third, nothing does: a last write that the disk acknowledged and lost is not seen.
    unread.edit(&name, |file| file[1536..2048].fill(0));
    assert_eq!(texts(&read(&unread).unwrap().0), ["one"]);
}

#[test]
fn a_lost_frame_without_records_is_told_of_too() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.append_frame(0, &[], false).unwrap();
    pen.sync().unwrap();
    pen.append(&["one"]).unwrap();
    // The record's frame says up to where the segment was durable, though no record was.
    disk.edit(&segment::name(1), |file| file[1024..1536].fill(0));
    assert!(matches!(read(&disk), Err(StoreError::Damaged(_))));
}

#[test]
fn a_segment_made_ahead_may_be_there_in_any_part() {
    let disk = MemoryDisk::default();
    Pen::open(&disk).commit(&["one"]);
    let ahead = segment::name(2);
    let whole = disk.file(&ahead);
    for length in (0..=whole.len()).step_by(256) {
        for blank in [false, true] {
            let disk = disk.copy();
            disk.edit(&ahead, |file| {
                file.truncate(length);
                if blank {
                    file.fill(0);
                }
            });
            assert_eq!(texts(&read(&disk).unwrap().0), ["one"]);
            Pen::open(&disk).commit(&["two"]);
            assert_eq!(texts(&read(&disk).unwrap().0), ["one", "two"]);
        }
    }
    disk.remove_file(&ahead);
    Pen::open(&disk).commit(&["two"]);
    assert_eq!(texts(&read(&disk).unwrap().0), ["one", "two"]);
}

#[test]
fn a_segment_may_have_lost_a_binding_that_nothing_rests_on() {
    let (disk, begin) = unacknowledged(2);
    disk.edit(&segment::name(1), |file| {
        file[begin as usize..][..512].fill(0);
    });
    let first = disk.file(&segment::name(1));
    Pen::open(&disk);
    // What is behind the first one's frames is given back only after the binding is durable.
    disk.edit(&segment::name(1), |file| *file = first);
    for with in [0, 0xa5] {
        let disk = disk.copy();
        disk.edit(&segment::name(2), |file| file[512..1024].fill(with));
        // The one made ahead was made when this one was bound.
        assert!(matches!(read(&disk), Err(StoreError::Damaged(_))));
        disk.remove_file(&segment::name(3));
        let (seen, tail) = read(&disk).unwrap();
        assert_eq!(texts(&seen), ["acknowledged"]);
        assert!(tail.torn.is_some());
        Pen::open(&disk).commit(&["after"]);
        let after = ["acknowledged", "after"];
        assert_eq!(texts(&read(&disk).unwrap().0), after);
    }
}

#[test]
fn what_was_read_but_is_not_known_to_be_durable_is_written_once_more() {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    pen.commit(&["one"]);
    pen.append(&["two"]).unwrap();
    pen.append(&["three"]).unwrap();
    let journal = journal(&disk);
    let tail = read_from(&journal, 0).unwrap().1;
    disk.calls();
    journal.begin(tail.epoch + 1, tail.highest.next()).unwrap();
    // The first frame is known to be durable by the second.
    let first = segment::name(1);
    let calls = disk.calls();
    assert_eq!(
        calls[..2],
        [format!("write {first} 1536+1024"), format!("sync {first}")]
    );
    assert_eq!(texts(&read(&disk).unwrap().0), ["one", "two", "three"]);
}

#[test]
fn a_journal_that_is_begun_again_and_again_takes_no_more_room_than_its_frames() {
    let disk = MemoryDisk::default();
    let mut texts_written = Vec::new();
    for number in 0..20 {
        let text = format!("text {number}");
        Pen::open(&disk).commit(&[&text]);
        texts_written.push(text);
    }
    assert_eq!(texts(&read(&disk).unwrap().0), texts_written);
    for number in 1..20 {
        let bytes = disk.file(&segment::name(number)).len() as u64;
        assert!(bytes < SMALL, "segment {number}: {bytes} bytes");
    }
}
