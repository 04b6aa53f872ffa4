//! What was durable, damaged in every way that one place can be: always refused and named, or of no consequence.

use std::collections::BTreeMap;

use duewheel::StoreError;

use crate::bare::{Bare, Step};
use crate::dice::Dice;
use crate::disk::{DiskImage, SimulatedDisk};
use crate::drive::founded;
use crate::inhabitant::live;
use crate::ledger::Ledger;
use crate::outcome::{Outcome, goes_on, outcome};
use crate::script::{fifty_steps, three_segments, written_segments};

const SECTOR_BYTES: u64 = 512;

/// A store on a disk, and what it was told.
struct Case {
    name: &'static str,
    image: DiskImage,
    ledger: Ledger,
    /// Frames that are there while nothing is damaged.
    frames: usize,
}

impl Case {
    fn of(name: &'static str, image: DiskImage, ledger: Ledger) -> Self {
        let Ok(Outcome::Whole { frames, .. }) = outcome(&image, &image, &ledger) else {
            panic!("{name} is whole");
        };
        let ledger = Ledger {
            is_damaged: true,
            ..ledger
        };
        Self {
            name,
            image,
            ledger,
            frames,
        }
    }
}

/// Three segments, closed in good order.
fn closed() -> Case {
    let disk = founded(1);
    let mut ledger = Ledger::default();
    let life = [three_segments(), vec![Step::Close]].concat();
    live::<Bare>(&disk, &[life], &mut ledger).unwrap();
    let image = disk.image();
    assert_eq!(written_segments(&image).len(), 3, "{}", disk.trace());
    Case::of("a closed journal", image, ledger)
}

/// Three segments, with frames at the end that are not durable, of which some came to the disk; `whole` says whether
/// so much did that some can be read.
fn unclean(whole: bool) -> Case {
    let disk = founded(1);
    let mut ledger = Ledger::default();
    let end = [100, 600, 20].map(|bytes| Step::Append { records: 1, bytes });
    let life = [three_segments(), vec![Step::Wait], end.to_vec()].concat();
    live::<Bare>(&disk, &[life], &mut ledger).unwrap();
    for seed in 0.. {
        let image = disk.crash(&mut Dice::new(seed, 1));
        let case = Case::of("a journal with a torn end", image, ledger.clone());
        let torn = case.frames < ledger.frames.len();
        if torn && whole == (case.frames > ledger.confirmed) {
            assert_eq!(written_segments(&case.image).len(), 3);
            return case;
        }
    }
    unreachable!("some crash is like that")
}

/// Two lives, of which the first left an end that was given up.
fn given_up() -> Case {
    let before = unclean(false);
    let disk = SimulatedDisk::from_image(&before.image, 1);
    let mut ledger = Ledger {
        is_damaged: false,
        ..before.ledger
    };
    let append = |bytes| Step::Append { records: 2, bytes };
    let life = vec![
        append(600),
        append(20),
        Step::Wait,
        append(90),
        Step::Wait,
        Step::Close,
    ];
    live::<Bare>(&disk, &[life], &mut ledger).unwrap();
    let image = disk.image();
    assert!(!image.names_of("torn-").is_empty());
    Case::of("a journal with an end that was given up", image, ledger)
}

/// Snapshots, and a journal of which a part was dropped.
fn with_snapshots() -> Case {
    let disk = founded(1);
    let mut ledger = Ledger::default();
    live::<Bare>(&disk, &fifty_steps(), &mut ledger).unwrap();
    let image = disk.image();
    assert_eq!(image.names_of("manifest-").len(), 2);
    assert!(image.names_of("chunk-").len() >= 2);
    Case::of("a store with snapshots", image, ledger)
}

fn cases() -> Vec<Case> {
    vec![
        closed(),
        unclean(false),
        unclean(true),
        given_up(),
        with_snapshots(),
    ]
}

/// What came of many damages.
#[derive(Default)]
struct Tally {
    whole: u64,
    refused: u64,
    /// Of those that are whole: without frames that nothing else speaks of.
    untold: u64,
}

impl Tally {
    fn count(&mut self, case: &Case, outcome: &Outcome) {
        match outcome {
            Outcome::Refused(_) => self.refused += 1,
            Outcome::Whole { frames, .. } if *frames < case.frames => self.untold += 1,
            Outcome::Whole { .. } => self.whole += 1,
        }
    }
}

/// What comes of a damage; a broken promise ends the test.
fn judge(case: &Case, image: &DiskImage, ledger: &Ledger, what: &str) -> Outcome {
    let judged = outcome(image, &case.image, ledger);
    judged.unwrap_or_else(|why| panic!("{}, {what}: {why}", case.name))
}

/// As [`judge`], and where it can be opened it must go on too.
fn judge_and_go_on(case: &Case, image: &DiskImage, ledger: &Ledger, what: &str) -> Outcome {
    let outcome = judge(case, image, ledger, what);
    if let Outcome::Whole { .. } = outcome {
        let went = goes_on(image, ledger);
        went.unwrap_or_else(|why| panic!("{}, {what}: {why}", case.name));
    }
    outcome
}

/// With a ledger that lets be lost what nothing else speaks of.
fn lenient(case: &Case) -> Ledger {
    Ledger {
        has_lost_writes: true,
        ..case.ledger.clone()
    }
}

/// How far apart the bytes are that are flipped.
const STEP: usize = if cfg!(debug_assertions) { 7 } else { 1 };

/// One bit of a byte, or where DUEWHEEL_DISK_EVERY_BIT is set each in turn, and all at once.
fn bits(offset: u64) -> Vec<u8> {
    if std::env::var_os("DUEWHEEL_DISK_EVERY_BIT").is_none() {
        return vec![1 << (offset % 8)];
    }
    (0..8).map(|bit| 1 << bit).chain([0xFF]).collect()
}

#[test]
fn a_flipped_bit_anywhere_is_refused_by_name_or_of_no_consequence() {
    for case in cases() {
        let mut tally = Tally::default();
        for name in case.image.names() {
            for offset in (0..case.image.size(name)).step_by(STEP) {
                for bits in bits(offset) {
                    let mut image = case.image.clone();
                    image.flip(name, offset, bits);
                    let what = format!("{name} byte {offset} flipped by {bits:#x}");
                    let outcome = judge(&case, &image, &case.ledger, &what);
                    check_names_the_place(&case, &outcome, name, offset, &what);
                    tally.count(&case, &outcome);
                }
            }
        }
        assert!(tally.refused > 0 && tally.whole > 0, "{}", case.name);
    }
}

/// What is complained of is the file that was damaged, not behind the damage.
fn check_names_the_place(case: &Case, outcome: &Outcome, name: &str, offset: u64, what: &str) {
    for complaint in outcome.complaints() {
        let named = match complaint {
            StoreError::Damaged(damage) => damage.place == name && damage.offset <= offset,
            complaint => complaint.to_string().contains(name),
        };
        assert!(named, "{}, {what}: {complaint}", case.name);
    }
}

/// One byte in the middle of a journal whose writer had closed it. There are stores that open then with half their keys
/// gone, and without a word.
#[test]
fn one_flipped_byte_in_the_middle_never_opens_with_half_the_records_gone() {
    let case = closed();
    let segments = written_segments(&case.image);
    let middle = &segments[1];
    let mut refused = BTreeMap::<String, u32>::new();
    for offset in 0..case.image.size(middle) {
        let mut image = case.image.clone();
        image.flip(middle, offset, 0xFF);
        let what = format!("{middle} byte {offset}");
        match judge(&case, &image, &case.ledger, &what) {
            Outcome::Refused(StoreError::Damaged(damage)) => {
                assert_eq!(damage.place, *middle, "{damage}");
                *refused.entry(damage.found).or_default() += 1;
            }
            Outcome::Refused(error) => panic!("{what}: {error}"),
            Outcome::Whole { frames, .. } => assert_eq!(frames, case.ledger.frames.len(), "{what}"),
        }
    }
    let refused = refused.values().sum::<u32>();
    assert!(refused > 1_000, "{refused} bytes matter");
}

#[test]
fn a_sector_that_reads_as_zeros_is_refused_unless_nothing_else_speaks_of_it() {
    for case in cases() {
        let mut tally = Tally::default();
        for name in case.image.names() {
            for sector in 0..case.image.sectors(name) {
                let mut image = case.image.clone();
                image.zero_sector(name, sector);
                let what = format!("{name} sector {sector} zeroed");
                let outcome = judge_and_go_on(&case, &image, &lenient(&case), &what);
                tally.count(&case, &outcome);
            }
        }
        assert!(tally.refused > 0, "{}", case.name);
        // A write that was acknowledged, lost, and followed by none: one copy cannot tell it from one never made.
        assert!(tally.untold <= 8, "{}: {} untold", case.name, tally.untold);
    }
}

#[test]
fn a_sector_in_the_place_of_another_is_refused_or_of_no_consequence() {
    for case in cases() {
        let mut tally = Tally::default();
        for name in case.image.names() {
            let sectors = case.image.sectors(name);
            for (from, to) in (0..sectors * sectors).map(|pair| (pair / sectors, pair % sectors)) {
                if from == to || cfg!(debug_assertions) && (from + to) % 3 != 0 {
                    continue;
                }
                let mut image = case.image.clone();
                image.copy_sector(name, from, to);
                let what = format!("{name} sector {to} overwritten by {from}");
                let outcome = judge_and_go_on(&case, &image, &lenient(&case), &what);
                tally.count(&case, &outcome);
            }
        }
        assert!(tally.refused > 0, "{}", case.name);
    }
}

#[test]
fn a_sector_of_another_file_in_the_same_place_is_refused_or_of_no_consequence() {
    for case in cases() {
        let names = case.image.names().map(str::to_owned).collect::<Vec<_>>();
        for (one, other) in pairs(&names) {
            let from = case.image.bytes(one);
            for sector in 0..case.image.sectors(one).min(case.image.sectors(other)) {
                let at = usize::try_from(sector * SECTOR_BYTES).unwrap();
                let mut bytes = case.image.bytes(other);
                let length = (from.len() - at).min(bytes.len() - at).min(512);
                bytes[at..at + length].copy_from_slice(&from[at..at + length]);
                let mut image = case.image.clone();
                image.set(other, &bytes);
                let what = format!("{other} sector {sector} overwritten by that of {one}");
                judge_and_go_on(&case, &image, &lenient(&case), &what);
            }
        }
    }
}

fn pairs(names: &[String]) -> impl Iterator<Item = (&String, &String)> {
    let pairs = names
        .iter()
        .flat_map(|one| names.iter().map(move |other| (one, other)));
    pairs.filter(|(one, other)| one != other)
}

#[test]
fn a_file_cut_at_any_sector_is_refused_or_of_no_consequence() {
    for case in cases() {
        let mut tally = Tally::default();
        for name in case.image.names() {
            for size in (0..case.image.size(name)).step_by(512) {
                let mut image = case.image.clone();
                image.truncate(name, size);
                let what = format!("{name} cut to {size} bytes");
                let outcome = judge_and_go_on(&case, &image, &case.ledger, &what);
                tally.count(&case, &outcome);
            }
        }
        assert!(tally.refused > 0, "{}", case.name);
    }
}

#[test]
fn a_file_that_is_missing_is_refused_or_of_no_consequence() {
    for case in cases() {
        let mut tally = Tally::default();
        for name in case.image.names() {
            let mut image = case.image.clone();
            image.remove(name);
            let what = format!("{name} missing");
            let outcome = judge_and_go_on(&case, &image, &case.ledger, &what);
            tally.count(&case, &outcome);
        }
        assert!(tally.refused > 0, "{}", case.name);
    }
}

#[test]
fn two_files_swapped_are_refused_or_of_no_consequence() {
    for case in cases() {
        let names = case.image.names().map(str::to_owned).collect::<Vec<_>>();
        for (one, other) in pairs(&names).filter(|(one, other)| one < other) {
            let mut image = case.image.clone();
            image.swap(one, other);
            let what = format!("{one} and {other} swapped");
            judge_and_go_on(&case, &image, &case.ledger, &what);
        }
    }
}
