//! Every byte of a small journal changed in turn: nothing that was acknowledged is lost without a word.

use super::*;
use crate::persistence::error::Damage;

/// Three segments of frames that were all made durable, of one writer, and one made ahead.
fn three_segments() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut pen = Pen::open(&disk);
    for round in 0..5 {
        let long = format!("<{round}>").repeat(170);
        pen.commit(&["short", &round.to_string()]);
        pen.commit(&[&long]);
    }
    pen.append_frame(0, &[], false).unwrap();
    pen.sync().unwrap();
    let names: Vec<String> = (1..5).map(segment::name).collect();
    assert_eq!(disk.names(), names);
    disk
}

/// What a reading of a changed disk comes to, all of `expected` having been acknowledged.
#[derive(Debug, PartialEq)]
enum Outcome {
    Same,
    Refused,
}

fn outcome(disk: &MemoryDisk, expected: &[Seen], what: &str) -> Outcome {
    match read(disk) {
        Ok((seen, _)) => {
            // Frames without records may be given up: they say nothing that others do not.
            assert_eq!(texts(&seen), texts(expected), "{what}");
            Outcome::Same
        }
        Err(StoreError::Damaged(Damage { place, .. })) => {
            assert!(disk.names().contains(&place), "{what}: {place}");
            Outcome::Refused
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn no_changed_byte_loses_an_acknowledged_record_without_a_word() {
    let disk = three_segments();
    let (expected, _) = read(&disk).unwrap();
    for number in 1..5 {
        let name = segment::name(number);
        for offset in 0..disk.file(&name).len() {
            for bits in [1 << (offset % 8), 0xff] {
                disk.edit(&name, |file| file[offset] ^= bits);
                outcome(&disk, &expected, &format!("{name} {offset} {bits}"));
                disk.edit(&name, |file| file[offset] ^= bits);
            }
        }
    }
}

#[test]
fn a_changed_byte_of_a_frame_is_refused_where_it_stands() {
    let disk = three_segments();
    let (expected, _) = read(&disk).unwrap();
    for number in 1..4 {
        let name = segment::name(number);
        let bytes = disk.file(&name);
        let mut refused = 0;
        for (offset, byte) in bytes.iter().enumerate().skip(1024) {
            let is_mark = offset % 512 >= 508;
            if *byte == 0 || is_mark {
                continue;
            }
            disk.edit(&name, |file| file[offset] ^= 1);
            let what = format!("{name} {offset}");
            assert_eq!(outcome(&disk, &expected, &what), Outcome::Refused, "{what}");
            let Err(StoreError::Damaged(damage)) = read(&disk) else {
                panic!("{what}");
            };
            assert_eq!(damage.place, name);
            // Frames of this journal have three sectors at most.
            let distance = offset as u64 - damage.offset.min(offset as u64);
            assert!(
                damage.offset % 512 == 0 && distance < 1536,
                "{what}: {damage}"
            );
            disk.edit(&name, |file| file[offset] ^= 1);
            refused += 1;
        }
        assert!(refused > 400, "{refused}");
    }
}

#[test]
fn a_lost_sector_is_refused_where_any_later_frame_tells_of_it() {
    let disk = three_segments();
    let (expected, _) = read(&disk).unwrap();
    for number in 1..4 {
        let name = segment::name(number);
        let bytes = disk.file(&name);
        let sectors = bytes.len() / 512;
        let last_frame = (0..sectors).rfind(|sector| bytes[sector * 512..][..4] == *b"DWFR");
        let last_frame = last_frame.unwrap();
        for sector in 0..sectors {
            let range = sector * 512..(sector + 1) * 512;
            if bytes[range.clone()].iter().all(|byte| *byte == 0) {
                continue;
            }
            for with in [0, 0xa5] {
                disk.edit(&name, |file| file[range.clone()].fill(with));
                let what = format!("{name}, sector {sector} filled with {with}");
                if number == 3 && sector >= last_frame && with == 0 {
                    // The last frame of all: nothing tells of it. It is one without records here.
                    outcome(&disk, &expected, &what);
                } else {
                    assert_eq!(outcome(&disk, &expected, &what), Outcome::Refused, "{what}");
                }
                disk.edit(&name, |file| {
                    file[range.clone()].copy_from_slice(&bytes[range.clone()])
                });
            }
        }
    }
}

#[test]
fn a_file_cut_short_anywhere_loses_nothing_without_a_word() {
    let disk = three_segments();
    let (expected, _) = read(&disk).unwrap();
    for number in 1..5 {
        let name = segment::name(number);
        let bytes = disk.file(&name);
        for length in (0..bytes.len()).step_by(64) {
            disk.edit(&name, |file| file.truncate(length));
            let found = outcome(&disk, &expected, &format!("{name} cut to {length}"));
            assert_eq!(
                found == Outcome::Same,
                number == 4,
                "{name} cut to {length}"
            );
            disk.edit(&name, |file| file.clone_from(&bytes));
        }
    }
}

#[test]
fn sectors_that_changed_places_are_refused() {
    let disk = three_segments();
    let (expected, _) = read(&disk).unwrap();
    let name = segment::name(2);
    let bytes = disk.file(&name);
    for one in 0..8 {
        for other in 0..one {
            let (first, second) = (other * 512..(other + 1) * 512, one * 512..(one + 1) * 512);
            if bytes[first.clone()] == bytes[second.clone()] {
                continue;
            }
            disk.edit(&name, |file| {
                file[first.clone()].copy_from_slice(&bytes[second.clone()]);
                file[second].copy_from_slice(&bytes[first]);
            });
            let what = format!("sectors {other} and {one}");
            assert_eq!(outcome(&disk, &expected, &what), Outcome::Refused, "{what}");
            disk.edit(&name, |file| file.clone_from(&bytes));
        }
    }
}

#[test]
fn arbitrary_bytes_are_no_reason_to_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let whole = three_segments();
    for _ in 0..3_000 {
        let disk = whole.copy();
        let name = segment::name(random() % 4 + 1);
        disk.edit(&name, |file| {
            for _ in 0..random() % 20 + 1 {
                let offset = random() as usize % file.len();
                let length = (random() as usize % 64).min(file.len() - offset);
                file[offset..offset + length].fill_with(|| random() as u8);
            }
        });
        let _ = read(&disk);
    }
}
