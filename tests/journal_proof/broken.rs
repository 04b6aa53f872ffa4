//! A device that fails, a disk that is full, and writes that are acknowledged and lost or go astray, at every operation in
//! turn.

use duewheel::{Room, StoreError};

use crate::bare::{Bare, Step};
use crate::dice::Dice;
use crate::disk::{Fault, Operation, SimulatedDisk};
use crate::drive::founded;
use crate::inhabitant::{Inhabitant, Trouble, live};
use crate::ledger::Ledger;
use crate::outcome::{goes_on, outcome};
use crate::script::{fifty_steps, three_segments};

/// Ways in which each crash goes.
const CRASHES: u64 = if cfg!(debug_assertions) { 1 } else { 5 };

/// Lives as [`live`] does, but goes on after errors as an engine does: of snapshots with what comes next, of the journal
/// with a new life, which is the process started anew. Answers how many errors there were.
pub(crate) fn live_with_errors(
    disk: &SimulatedDisk,
    lives: &[Vec<Step>],
    ledger: &mut Ledger,
) -> Result<u32, String> {
    let mut errors = 0;
    for life in lives {
        let mut bare = match Bare::open(disk, ledger) {
            Ok(bare) => bare,
            Err(Trouble::Store(error)) => {
                check_kind(&error)?;
                errors += 1;
                continue;
            }
            Err(Trouble::Broken(why)) => return Err(why),
        };
        for step in life {
            match bare.perform(step, ledger) {
                Ok(()) => {}
                Err(Trouble::Broken(why)) => return Err(why),
                Err(Trouble::Store(error)) => {
                    check_kind(&error)?;
                    errors += 1;
                    if bare.has_failed() {
                        check_poisoned(&mut bare, disk)?;
                        break;
                    }
                }
            }
        }
    }
    Ok(errors)
}

/// A device that fails and a full disk damage nothing.
fn check_kind(error: &StoreError) -> Result<(), String> {
    match error {
        StoreError::Unavailable { .. } | StoreError::Full { .. } => Ok(()),
        _ => Err(format!(
            "{error:?} is said of a device that failed or is full"
        )),
    }
}

/// After the first error nothing is done any more, and nothing said to be durable.
fn check_poisoned(bare: &mut Bare, disk: &SimulatedDisk) -> Result<(), String> {
    let before = disk.operations();
    let mut unknown = Ledger::default();
    for step in [
        Step::Wait,
        Step::Append {
            records: 1,
            bytes: 9,
        },
        Step::Word,
        Step::Wait,
    ] {
        match bare.perform(&step, &mut unknown) {
            Err(Trouble::Store(_)) => {}
            outcome => return Err(format!("after an error {step:?} comes to {outcome:?}")),
        }
    }
    if disk.operations() != before {
        return Err(format!(
            "after an error something was done\n{}",
            disk.trace()
        ));
    }
    Ok(())
}

/// Whatever became of the process, all that was confirmed is found, by another process and after a crash.
fn all_is_found_after(disk: &SimulatedDisk, ledger: &Ledger, what: &str) {
    for seed in 0..CRASHES {
        let mut dice = Dice::new(seed, 1);
        let image = disk.crash(&mut dice);
        goes_on(&image, ledger)
            .unwrap_or_else(|why| panic!("{what}, crash {seed}: {why}\n{}", disk.trace()));
        let killed = disk.kill(&mut dice);
        let image = killed.crash(&mut dice);
        goes_on(&image, ledger).unwrap_or_else(|why| panic!("{what}, end {seed}: {why}"));
    }
}

/// The operations of the script, on a disk without faults.
fn operations() -> Vec<Operation> {
    let disk = founded(1);
    live::<Bare>(&disk, &fifty_steps(), &mut Ledger::default()).unwrap();
    disk.trace().operations().cloned().collect()
}

fn at_every_operation(fault: Fault) -> u32 {
    let mut errors = 0;
    for operation in 1..=operations().len() as u64 {
        let disk = founded(operation);
        disk.plan(operation, fault);
        let mut ledger = Ledger::default();
        let what = format!("{fault:?} at operation {operation}");
        let lived = live_with_errors(&disk, &fifty_steps(), &mut ledger);
        errors += lived.unwrap_or_else(|why| panic!("{what}: {why}\n{}", disk.trace()));
        all_is_found_after(&disk, &ledger, &what);
    }
    errors
}

#[test]
fn after_a_failed_operation_nothing_is_confirmed_and_all_that_was_is_found() {
    assert!(at_every_operation(Fault::Error) > 100);
}

#[test]
fn a_disk_that_is_full_at_any_operation_loses_nothing_that_was_confirmed() {
    assert!(at_every_operation(Fault::NoRoom) > 50);
}

#[test]
fn short_writes_and_signals_change_nothing() {
    for seed in 0..CRASHES {
        let disk = founded(seed);
        disk.set_moods(crate::disk::Moods::harmless());
        let mut ledger = Ledger::default();
        live::<Bare>(&disk, &fifty_steps(), &mut ledger).unwrap();
        assert_eq!(ledger.confirmed, ledger.frames.len());
        let image = disk.crash(&mut Dice::new(seed, 1));
        outcome(&image, &image, &ledger).unwrap();
    }
}

/// The process ends at the first error, and the machine goes on: what a failed sync has lost still reads as it was written.
/// It is written anew before anybody is told that it is there.
#[test]
fn what_a_failed_sync_has_lost_is_not_taken_for_durable_by_the_next_process() {
    for operation in 1..=operations().len() as u64 {
        let disk = founded(operation);
        disk.plan(operation, Fault::Error);
        let mut ledger = Ledger::default();
        if live::<Bare>(&disk, &fifty_steps(), &mut ledger).is_ok() {
            continue;
        }
        for seed in 0..CRASHES {
            let mut dice = Dice::new(seed, 3);
            let disk = disk.kill(&mut dice);
            let mut ledger = ledger.clone();
            let opened = live::<Bare>(&disk, &[Bare::aftermath()], &mut ledger);
            match opened {
                Ok(()) | Err(Trouble::Store(StoreError::Unavailable { .. })) => {}
                _ => panic!(
                    "operation {operation}, {seed}: {opened:?}\n{}",
                    disk.trace()
                ),
            }
            let image = disk.crash(&mut dice);
            let what = format!("operation {operation} failed, {seed}");
            goes_on(&image, &ledger).unwrap_or_else(|why| panic!("{what}: {why}"));
        }
    }
}

#[test]
fn a_disk_of_any_size_fills_up_without_loss_and_goes_on_when_there_is_room() {
    let disk = founded(1);
    live::<Bare>(&disk, &fifty_steps(), &mut Ledger::default()).unwrap();
    let most = disk.taken() * 3;
    let mut errors = 0;
    for capacity in (512..most).step_by(if cfg!(debug_assertions) { 4_096 } else { 512 }) {
        let disk = founded(capacity);
        disk.set_capacity(Some(capacity));
        let mut ledger = Ledger::default();
        let lived = live_with_errors(&disk, &fifty_steps(), &mut ledger);
        errors += lived.unwrap_or_else(|why| panic!("{capacity}: {why}\n{}", disk.trace()));
        let what = format!("a disk of {capacity} bytes");
        all_is_found_after(&disk, &ledger, &what);
        let disk = disk.kill(&mut Dice::new(capacity, 4));
        disk.set_capacity(None);
        let lives = [Bare::aftermath(), vec![Step::Close], Vec::new()];
        let went = live::<Bare>(&disk, &lives, &mut ledger);
        went.unwrap_or_else(|trouble| panic!("{what}: {trouble:?}\n{}", disk.trace()));
    }
    assert!(errors > 20, "{errors} errors");
}

#[test]
fn a_disk_says_that_it_is_nearly_full_before_it_is() {
    let disk = founded(1);
    let mut ledger = Ledger::default();
    let mut bare = Bare::open(&disk, &mut ledger).unwrap();
    assert_eq!(bare.journal().room(), Room::Ample);
    // No more than what is set aside already: the segment that is written, and the one made ahead.
    disk.set_capacity(Some(disk.taken()));
    let mut reserved = 0;
    loop {
        let step = Step::Append {
            records: 1,
            bytes: 100,
        };
        match bare.perform(&step, &mut ledger) {
            Ok(()) => bare.perform(&Step::Wait, &mut ledger).unwrap(),
            Err(Trouble::Store(StoreError::Full { .. })) => break,
            Err(trouble) => panic!("{trouble:?}"),
        }
        reserved += u32::from(bare.journal().room() == Room::Reserved);
    }
    assert_eq!(
        reserved, 6,
        "a segment is left for the ends of what was taken in"
    );
    drop(bare);
    all_is_found_after(&disk, &ledger, "a full disk");
}

/// Loses or misdirects one write, lives on to the end, and looks what is there after a crash and for another process.
fn one_write_does(fault: Fault, lives: &[Vec<Step>]) -> [u32; 3] {
    let probe = founded(1);
    live::<Bare>(&probe, lives, &mut Ledger::default()).unwrap();
    let mut tally = [0; 3];
    for (before, operation) in probe.trace().operations().enumerate() {
        if !matches!(operation, Operation::Write(..)) {
            continue;
        }
        for seed in 0..if fault == Fault::Lost { 1 } else { CRASHES } {
            let number = before as u64 + 1;
            let disk = founded(seed);
            disk.plan(number, fault);
            let mut ledger = Ledger::default();
            let what = format!("{fault:?} at operation {number}, {operation}, {seed}");
            let lived = live::<Bare>(&disk, lives, &mut ledger);
            match lived {
                // What went astray may be found out at once.
                Ok(()) | Err(Trouble::Store(StoreError::Damaged(_))) => {}
                _ => panic!("{what}: {lived:?}\n{}", disk.trace()),
            }
            ledger.is_damaged = true;
            ledger.has_lost_writes = true;
            let image = disk.crash(&mut Dice::new(seed, 1));
            let found = outcome(&image, &image, &ledger);
            let found = found.unwrap_or_else(|why| panic!("{what}: {why}\n{}", disk.trace()));
            match found {
                crate::outcome::Outcome::Refused(_) => tally[0] += 1,
                crate::outcome::Outcome::Whole { frames, .. } if frames < ledger.frames.len() => {
                    tally[1] += 1;
                }
                crate::outcome::Outcome::Whole { .. } => tally[2] += 1,
            }
        }
    }
    tally
}

/// A write that is lost and followed by no other cannot be told from one that was never made, and is left out here; the
/// last frame of a journal that was closed says only that it was.
#[test]
fn a_write_that_was_lost_is_refused_or_of_no_consequence_where_another_speaks_of_it() {
    for life in [
        vec![[three_segments(), vec![Step::Close]].concat()],
        fifty_steps(),
    ] {
        let [refused, untold, whole] = one_write_does(Fault::Lost, &life);
        assert!(refused > 5 && whole > 0, "{refused} refused, {whole} whole");
        assert_eq!(untold, 1, "the closing frame");
    }
}

#[test]
fn a_write_that_went_astray_is_refused_or_of_no_consequence() {
    let [refused, ..] = one_write_does(Fault::Misdirected, &fifty_steps());
    let expected = if cfg!(debug_assertions) { 10 } else { 50 };
    assert!(refused > expected, "{refused} refused");
}

/// Nothing is damaged when a device cannot be read for once, and nothing is given up either.
#[test]
fn a_read_that_fails_is_an_error_of_its_own_and_loses_nothing() {
    let disk = founded(1);
    let mut ledger = Ledger::default();
    live::<Bare>(&disk, &fifty_steps(), &mut ledger).unwrap();
    let image = disk.image();
    let mut failed = 0;
    for read in 1.. {
        let disk = SimulatedDisk::from_image(&image, 1);
        disk.fail_read(read);
        let mut ledger = ledger.clone();
        // An older snapshot serves as well.
        ledger.is_damaged = true;
        let lived = live::<Bare>(&disk, &[Bare::aftermath()], &mut ledger);
        ledger.is_damaged = false;
        match lived {
            Ok(()) if disk.reads() < read => break,
            Ok(()) => {}
            Err(Trouble::Store(StoreError::Unavailable { .. })) => failed += 1,
            trouble => panic!("read {read}: {trouble:?}"),
        }
        all_is_found_after(&disk, &ledger, &format!("read {read} failed"));
    }
    assert!(failed > 10, "{failed} reads failed");
}
