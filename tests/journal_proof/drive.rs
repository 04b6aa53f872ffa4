//! Puts somebody who lives on a disk through crashes: one after every operation, some in the midst of recoveries.

use crate::dice::Dice;
use crate::disk::{DiskImage, SimulatedDisk};
use crate::inhabitant::{Inhabitant, Trouble, live};

/// Crashes one after the other, each in the midst of the recovery from the one before.
const DEPTH: u64 = 4;

/// What is seen to go wrong is told with this.
pub(crate) struct Told<'a> {
    pub(crate) what: String,
    pub(crate) disk: &'a SimulatedDisk,
}

impl Told<'_> {
    pub(crate) fn check<T>(&self, outcome: Result<T, Trouble>) -> T {
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
pub(crate) fn recover<I: Inhabitant>(
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
pub(crate) fn recover_from_crashes_of_recoveries<I: Inhabitant>(
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
pub(crate) fn after_every_operation<I: Inhabitant>(
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

/// The identity of every store here, so that all its bytes are the same each time.
const STORE: &[u8] = include_bytes!("../golden/STORE.1");

/// A disk with a store that nothing was ever put into.
pub(crate) fn founded(seed: u64) -> SimulatedDisk {
    let mut image = DiskImage::default();
    image.set("STORE", STORE);
    SimulatedDisk::from_image(&image, seed)
}
