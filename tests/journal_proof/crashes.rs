//! A crash after every operation of the disk, and what is found then.

use crate::bare::Bare;
use crate::dice::Dice;
use crate::disk::SimulatedDisk;
use crate::drive::{
    Told, after_every_operation, founded, recover, recover_from_crashes_of_recoveries,
};
use crate::inhabitant::{Inhabitant, live};
use crate::script::fifty_steps;

/// Ways in which each crash goes.
const CRASHES: u64 = if cfg!(debug_assertions) { 3 } else { 40 };

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
