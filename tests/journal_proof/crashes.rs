//! A crash after every operation of the disk, and what is found then.

use crate::bare::Bare;
use crate::dice::Dice;
use crate::disk::{DiskImage, SimulatedDisk};
use crate::founded;
use crate::inhabitant::{Inhabitant, Trouble, live};
use crate::script::fifty_steps;

/// Ways in which each crash goes.
const CRASHES: u64 = if cfg!(debug_assertions) { 3 } else { 40 };

/// Crashes one after the other, each in the midst of the recovery from the one before.
const DEPTH: u64 = 4;

/// What is seen to go wrong is told with this.
struct Told<'a> {
    what: String,
    disk: &'a SimulatedDisk,
}

impl Told<'_> {
    fn check<T>(&self, outcome: Result<T, Trouble>) -> T {
        outcome.unwrap_or_else(|trouble| {
            panic!("{}: {trouble:?}\n{}", self.what, self.disk.trace());
        })
    }
}

/// Lives until the power fails after this operation. Answers whether it did before the end.
fn live_up_to<I: Inhabitant>(
    disk: &SimulatedDisk,
    operation: u64,
    lives: &[Vec<I::Step>],
    ledger: &mut I::Ledger,
) -> bool {
    disk.fail_power_after(operation);
    let told = Told {
        what: format!("power failed after operation {operation}"),
        disk,
    };
    match live::<I>(disk, lives, ledger) {
        Ok(()) => false,
        Err(Trouble::Store(error)) => {
            let out = error.to_string().contains("the power is out");
            assert!(out, "{}: {error}\n{}", told.what, disk.trace());
            true
        }
        broken => {
            told.check(broken);
            unreachable!("it is told")
        }
    }
}

/// Finds all that is to be found, goes on, and finds that too, after it was left as it was and after a crash.
fn recover<I: Inhabitant>(
    disk: &SimulatedDisk,
    mut ledger: I::Ledger,
    dice: &mut Dice,
    what: &str,
) {
    let told = Told {
        what: format!("recovering after {what}"),
        disk,
    };
    told.check(live::<I>(
        disk,
        &[I::aftermath(), I::aftermath()],
        &mut ledger,
    ));
    let again = SimulatedDisk::from_image(&disk.crash(dice), 0);
    let told = Told {
        what: format!("recovering once more after {what}"),
        disk: &again,
    };
    told.check(live::<I>(
        &again,
        &[I::aftermath(), Vec::new()],
        &mut ledger,
    ));
}

/// How many operations a recovery from this takes, with what comes after it.
fn operations_of_a_recovery<I: Inhabitant>(disk: &SimulatedDisk, mut ledger: I::Ledger) -> u64 {
    let _ = live::<I>(disk, &[I::aftermath()], &mut ledger);
    disk.operations()
}

/// As many recoveries as there are operations in one, each cut short by a crash.
fn recover_from_crashes_of_recoveries<I: Inhabitant>(
    image: &DiskImage,
    ledger: &I::Ledger,
    what: &str,
) {
    let disk = SimulatedDisk::from_image(image, 0);
    for first in 0..=operations_of_a_recovery::<I>(&disk, ledger.clone()) {
        let mut dice = Dice::new(first, 2);
        let mut image = image.clone();
        let mut ledger = ledger.clone();
        let mut cuts = Vec::new();
        for depth in 0..dice.between(1, DEPTH) {
            let cut = if depth == 0 {
                first
            } else {
                dice.below(first + 2)
            };
            cuts.push(cut);
            let disk = SimulatedDisk::from_image(&image, first);
            live_up_to::<I>(&disk, cut, &[I::aftermath()], &mut ledger);
            image = disk.crash(&mut dice);
        }
        let what = format!("{what}, and recoveries cut after operations {cuts:?}");
        recover::<I>(
            &SimulatedDisk::from_image(&image, 1),
            ledger,
            &mut dice,
            &what,
        );
    }
}

/// Does something to a disk whose power failed, with what was told by then, after each operation in turn.
fn after_every_operation<I: Inhabitant>(
    lives: &[Vec<I::Step>],
    mut then: impl FnMut(&SimulatedDisk, &I::Ledger, u64),
) -> u64 {
    for operation in 0.. {
        let disk = founded(operation);
        let mut ledger = I::Ledger::default();
        let cut = live_up_to::<I>(&disk, operation, lives, &mut ledger);
        then(&disk, &ledger, operation);
        if !cut {
            return operation;
        }
    }
    unreachable!("the steps come to an end")
}

#[test]
fn a_crash_after_any_operation_loses_nothing_that_was_durable() {
    let operations = after_every_operation::<Bare>(&fifty_steps(), |disk, ledger, operation| {
        for seed in 0..CRASHES {
            let mut dice = Dice::new(seed, 1);
            let image = disk.crash(&mut dice);
            let what = format!("operation {operation} and crash {seed}");
            recover::<Bare>(
                &SimulatedDisk::from_image(&image, 1),
                ledger.clone(),
                &mut dice,
                &what,
            );
        }
    });
    assert!(operations > 150, "{operations} operations");
}

#[test]
fn crashes_in_the_midst_of_recoveries_lose_nothing_that_was_durable() {
    after_every_operation::<Bare>(&fifty_steps(), |disk, ledger, operation| {
        if cfg!(debug_assertions) && operation % 7 != 0 {
            return;
        }
        let image = disk.crash(&mut Dice::new(operation, 1));
        let what = format!("operation {operation}");
        recover_from_crashes_of_recoveries::<Bare>(&image, ledger, &what);
    });
}

/// What is written and not durable is found then, and is there for good once the store has been opened.
#[test]
fn the_end_of_the_process_after_any_operation_loses_nothing_even_if_a_crash_comes_after() {
    after_every_operation::<Bare>(&fifty_steps(), |disk, ledger, operation| {
        for seed in 0..CRASHES.div_ceil(4) {
            let mut dice = Dice::new(seed, 1);
            let what = format!("the end of the process after operation {operation}, {seed}");
            let killed = disk.kill(&mut dice);
            let mut ledger = ledger.clone();
            let told = Told {
                what: what.clone(),
                disk: &killed,
            };
            told.check(live::<Bare>(&killed, &[Vec::new()], &mut ledger));
            let image = killed.crash(&mut dice);
            recover::<Bare>(
                &SimulatedDisk::from_image(&image, 1),
                ledger,
                &mut dice,
                &what,
            );
        }
    });
}

#[test]
fn the_script_has_fifty_steps_and_fills_several_segments() {
    let lives = fifty_steps();
    assert_eq!(lives.iter().map(Vec::len).sum::<usize>(), 50);
    let disk = founded(1);
    let mut ledger = <Bare as Inhabitant>::Ledger::default();
    live::<Bare>(&disk, &lives, &mut ledger).unwrap();
    let trace = disk.trace();
    let segments = trace.operations().filter(|operation| {
        matches!(operation, crate::disk::Operation::Create(name) if name.starts_with("journal-"))
    });
    assert!(segments.count() > 8);
    assert_eq!(ledger.confirmed, ledger.frames.len());
}
