//! A whole engine on a disk that crashes and fails: what it has answered under `Durability::Sync` holds ever after.
//!
//! | promise | what is checked |
//! |---|---|
//! | nothing lost | a request that was taken in is known until it has ended, and in the end was routed, unless it was cancelled |
//! | one winner | a request whose cancel was answered is not routed from then on, and was not before |
//! | never early | it is routed at a time it was scheduled for, and not before |
//! | told again says so | a command given again has its attempt's number and is marked; after a completion that is durable there is none |
//! | nothing invented | nothing is routed that was not handed in |
//!
//! `DUEWHEEL_DISK_SEED=n cargo test --release --test engine_on_disk` does one random run again.

mod centre;
#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../simulation/dice.rs"]
mod dice;
#[path = "../disk/mod.rs"]
mod disk;
#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../journal_proof/drive.rs"]
mod drive;
mod filled;
#[path = "../journal_proof/inhabitant.rs"]
mod inhabitant;
mod promises;
mod script;

use std::env;

use duewheel::StoreError;

use centre::{Centre, LARGE, Lender, Step};
use dice::Dice;
use disk::{Fault, Moods, Operation, SimulatedDisk};
use drive::{Told, after_every_operation, founded, recover, recover_from_crashes_of_recoveries};
use inhabitant::{Inhabitant, Trouble, live};
use promises::Promises;
use script::{fifty_steps, random};

/// Ways in which each crash goes.
const CRASHES: u64 = if cfg!(debug_assertions) { 1 } else { 3 };

const SECTOR: u64 = 512;

/// What a segment keeps that is lent.
const KEPT: u64 = 16 << 20;

const RUNS: u64 = if cfg!(debug_assertions) { 40 } else { 800 };

/// Lives of a random run at most.
const LIVES: u64 = 6;

#[test]
fn a_crash_after_any_operation_breaks_no_promise() {
    let operations =
        after_every_operation::<Centre>(&fifty_steps(), |disk, promises, operation| {
            for seed in 0..CRASHES {
                let mut dice = Dice::new(seed, 1);
                let image = disk.crash(&mut dice);
                let what = format!("operation {operation} and crash {seed}");
                let disk = SimulatedDisk::from_image(&image, 1);
                recover::<Centre>(&disk, promises.clone(), &mut dice, &what);
            }
        });
    assert!(operations > 100, "{operations} operations");
}

#[test]
fn crashes_in_the_midst_of_recoveries_break_no_promise() {
    let every = if cfg!(debug_assertions) { 19 } else { 9 };
    after_every_operation::<Centre>(&fifty_steps(), |disk, promises, operation| {
        if operation % every == 0 {
            let image = disk.crash(&mut Dice::new(operation, 1));
            let what = format!("operation {operation}");
            recover_from_crashes_of_recoveries::<Centre>(&image, promises, &what);
        }
    });
}

/// The machine goes on, and crashes once the next process has begun.
#[test]
fn the_end_of_the_process_after_any_operation_breaks_no_promise() {
    after_every_operation::<Centre>(&fifty_steps(), |disk, promises, operation| {
        for seed in 0..CRASHES.div_ceil(2) {
            let mut dice = Dice::new(seed, 1);
            let what = format!("the end of the process after operation {operation}, {seed}");
            let killed = disk.kill(&mut dice);
            let mut promises = promises.clone();
            let told = Told {
                what: what.clone(),
                disk: &killed,
            };
            told.check(live::<Centre>(&killed, &[Vec::new()], &mut promises));
            let image = killed.crash(&mut dice);
            let disk = SimulatedDisk::from_image(&image, 1);
            recover::<Centre>(&disk, promises, &mut dice, &what);
        }
    });
}

/// Whatever cannot be read for once, it is an error of the device's or another snapshot serves as well; and the next
/// snapshot can be taken.
#[test]
fn a_read_that_fails_breaks_no_promise_and_stands_in_no_snapshots_way() {
    let disk = founded(1);
    let mut promises = Promises::default();
    live::<Centre>(&disk, &fifty_steps(), &mut promises).unwrap();
    let image = disk.image();
    let mut failed = 0;
    for read in 1.. {
        let disk = SimulatedDisk::from_image(&image, 1);
        disk.fail_read(read);
        let mut promises = promises.clone();
        match live::<Centre>(&disk, &[Centre::aftermath()], &mut promises) {
            Ok(()) => {}
            Err(Trouble::Store(StoreError::Unavailable { .. })) => failed += 1,
            trouble => panic!("read {read}: {trouble:?}\n{}", disk.trace()),
        }
        if disk.reads() < read {
            break;
        }
        let mut dice = Dice::new(read, 1);
        let disk = SimulatedDisk::from_image(&disk.crash(&mut dice), 1);
        recover::<Centre>(&disk, promises, &mut dice, &format!("read {read}"));
    }
    assert!(failed > 10, "{failed} reads failed");
}

/// Lives on a disk with so much room beside what is there, and with power for so many operations, and then recovers.
/// Answers whether it lived to the end.
fn cramped<I>(room: u64, power: Option<u64>, then: impl FnOnce(&SimulatedDisk)) -> bool
where
    I: Inhabitant<Step = Step, Ledger = Promises>,
{
    let disk = founded(room);
    disk.set_capacity(Some(disk.taken() + room));
    if let Some(operation) = power {
        disk.fail_power_after(operation);
    }
    let mut promises = Promises::default();
    let lived = live::<I>(&disk, &fifty_steps(), &mut promises);
    let what = format!("room for {room} bytes, power for {power:?}");
    let ended = match lived {
        Err(Trouble::Store(_)) => false,
        lived => {
            let what = what.clone();
            Told { what, disk: &disk }.check(lived);
            true
        }
    };
    then(&disk);
    let mut dice = Dice::new(room, 1);
    let disk = SimulatedDisk::from_image(&disk.crash(&mut dice), 1);
    recover::<I>(&disk, promises, &mut dice, &what);
    ended
}

/// However much room there is; the power fails on the way, or not before the end.
#[test]
fn a_disk_that_fills_up_anywhere_breaks_no_promise() {
    let (rooms, powers) = if cfg!(debug_assertions) {
        (8, 190)
    } else {
        (1, 97)
    };
    let ample = founded(0);
    live::<Centre>(&ample, &fifty_steps(), &mut Promises::default()).unwrap();
    let (mut ended, mut stopped) = (0, 0);
    for sectors in (1..2 * ample.taken() / SECTOR).step_by(rooms) {
        let room = sectors * SECTOR;
        for power in (sectors..ample.operations()).step_by(powers) {
            cramped::<Centre>(room, Some(power), |_| {});
        }
        match cramped::<Centre>(room, None, |_| {}) {
            true => ended += 1,
            false => stopped += 1,
        }
    }
    assert!(ended >= 3 && stopped >= 3, "{ended} ended, {stopped} not");
}

/// Whether a snapshot was published on room that was lent to it.
fn borrowed(disk: &SimulatedDisk) -> bool {
    let trace = disk.trace();
    let mut operations = trace.operations();
    let lent = operations.any(|operation| {
        matches!(operation, Operation::Truncate(name, KEPT) if name.starts_with("journal-"))
    });
    let published = operations.any(|operation| {
        matches!(operation, Operation::Rename(_, name) if name.starts_with("manifest-"))
    });
    lent && published
}

#[test]
fn snapshots_on_borrowed_room_break_no_promise() {
    let ample = founded(0);
    live::<Lender>(&ample, &fifty_steps(), &mut Promises::default()).unwrap();
    let mut loans = 0;
    for sectors in (0..60).step_by(if cfg!(debug_assertions) { 20 } else { 3 }) {
        // Of the segments that there are there is room for two, and for so much of snapshots.
        let room = 2 * LARGE + sectors * SECTOR;
        for power in (sectors..ample.operations()).step_by(41) {
            cramped::<Lender>(room, Some(power), |disk| loans += u32::from(borrowed(disk)));
        }
    }
    assert!(loans > 3, "{loans} snapshots on borrowed room");
}

/// Lives of which each may end by an error, by a crash, by the end of the process, or in good order.
fn run(seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed, 0);
    let mut disk = founded(seed);
    let mut promises = Promises::default();
    for life in 0..dice.between(1, LIVES) {
        let steps = dice.below(40);
        let steps = random(&mut dice, steps);
        let far = 1 << dice.between(2, 8);
        let moment = 1 + dice.below(far);
        match dice.below(6) {
            0 | 1 => disk.fail_power_after(moment),
            2 => disk.plan(moment, Fault::Error),
            3 => disk.set_capacity(Some(disk.taken() + moment * 512)),
            4 => disk.set_moods(Moods::harmless()),
            _ => {}
        }
        match live::<Centre>(&disk, &[steps], &mut promises) {
            Ok(()) | Err(Trouble::Store(_)) => {}
            Err(Trouble::Broken(why)) => {
                return Err(format!("life {life}: {why}\n{}", disk.trace()));
            }
        }
        disk = if dice.chance(60) {
            let image = disk.crash(&mut dice);
            SimulatedDisk::from_image(&image, dice.below(u64::MAX))
        } else {
            disk.kill(&mut dice)
        };
        disk.set_capacity(None);
        disk.set_moods(Moods::default());
    }
    let image = disk.crash(&mut dice);
    let disk = SimulatedDisk::from_image(&image, 1);
    let lives = [Centre::aftermath(), Centre::aftermath()];
    let lived = live::<Centre>(&disk, &lives, &mut promises);
    lived.map_err(|trouble| format!("at the end: {trouble:?}\n{}", disk.trace()))
}

#[test]
fn runs_of_many_seeds_break_no_promise() {
    let mut seeds = 1..RUNS + 1;
    if let Ok(seed) = env::var("DUEWHEEL_DISK_SEED") {
        let seed = seed.parse().expect("DUEWHEEL_DISK_SEED is a number");
        seeds = seed..seed + 1;
    }
    for seed in seeds {
        run(seed).unwrap_or_else(|why| {
            panic!(
                "seed {seed}: {why}\nto see it again:\n    DUEWHEEL_DISK_SEED={seed} cargo test --release \
                 --test engine_on_disk seed"
            )
        });
    }
}
