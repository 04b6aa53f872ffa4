//! What the engine is put through.

use crate::centre::Step;
use crate::dice::Dice;

const fn take(due_s: u64, payload: usize) -> Step {
    Step::Schedule { due_s, payload }
}

/// Fifty steps in four lives.
pub(crate) fn fifty_steps() -> Vec<Vec<Step>> {
    use Step::{Cancel, CancelLocation, Complete, Flush, Hold, Poll, Reschedule, Resume, Snapshot};
    vec![
        vec![
            take(10, 40),
            take(60, 900),
            take(0, 0),
            Poll(1),
            take(20, 300),
            Cancel(1),
            Poll(10),
            Complete,
            take(90, 2_000),
            take(5, 10),
            Poll(5),
            Snapshot,
            take(30, 64),
            Reschedule(4, 120),
        ],
        vec![
            Poll(20),
            take(15, 500),
            Hold(0),
            Poll(15),
            Step::Batch(4),
            Cancel(7),
            Snapshot,
            Poll(1),
            Resume(0),
            Poll(2),
            Complete,
            Complete,
        ],
        vec![
            take(500, 100),
            take(500, 100),
            Poll(40),
            Complete,
            Snapshot,
            Hold(1),
            take(3, 30),
            Poll(4),
            CancelLocation(1),
            Resume(1),
            Poll(70),
            take(2, 3_000),
            Flush,
        ],
        vec![
            Poll(3),
            Complete,
            Snapshot,
            Poll(60),
            take(1, 1),
            Reschedule(14, 40),
            Cancel(13),
            Step::Batch(3),
            Poll(2),
            Complete,
            Poll(300),
        ],
    ]
}

/// Any steps.
pub(crate) fn random(dice: &mut Dice, steps: u64) -> Vec<Step> {
    (0..steps).map(|_| random_step(dice)).collect()
}

fn random_step(dice: &mut Dice) -> Step {
    let some = |dice: &mut Dice| usize::try_from(dice.below(2)).unwrap();
    match dice.weighted(&[30, 3, 8, 6, 25, 12, 4, 3, 3, 1, 2]) {
        0 => {
            let far = dice.pick(&[1, 20, 200, 2_000]);
            let payload = dice.pick(&[0, 30, 700, 5_000]);
            take(dice.below(far), payload)
        }
        1 => Step::Batch(dice.between(1, 6)),
        2 => Step::Cancel(dice.below(1_000)),
        3 => Step::Reschedule(dice.below(1_000), dice.below(100)),
        4 => {
            let far = dice.pick(&[2, 30, 400]);
            Step::Poll(dice.below(far))
        }
        5 => Step::Complete,
        6 => Step::Snapshot,
        7 => Step::Hold(some(dice)),
        8 => Step::Resume(some(dice)),
        9 => Step::CancelLocation(some(dice)),
        _ => Step::Flush,
    }
}
