//! What the journal is put through.

use crate::bare::Step;
use crate::dice::Dice;
use crate::disk::DiskImage;

const fn append(records: u32, bytes: u32) -> Step {
    Step::Append { records, bytes }
}

const fn chunk(stream: u32, blocks: u32, bytes: u32) -> Step {
    Step::Chunk {
        stream,
        blocks,
        bytes,
    }
}

/// Fifty steps in four lives, of which the second is closed and the others are not: frames of all sizes, some of them
/// larger than a segment, several segments, three snapshots, and what they know dropped.
pub(crate) fn fifty_steps() -> Vec<Vec<Step>> {
    use Step::{Close, Publish, Trim, Wait, WaitBut, Word};
    vec![
        vec![
            append(1, 100),
            Wait,
            append(3, 1_400),
            append(2, 40),
            Word,
            Wait,
            append(5, 2_500),
            WaitBut(5),
            append(1, 8),
            Wait,
            chunk(0, 1, 60),
            chunk(1, 3, 700),
            Publish,
            append(2, 508),
            append(1, 0),
        ],
        vec![
            append(4, 900),
            Wait,
            append(1, 3_500),
            Wait,
            append(2, 420),
            chunk(2, 2, 1_000),
            chunk(0, 0, 0),
            Publish,
            Trim,
            append(7, 6_000),
            Word,
            Close,
        ],
        vec![
            append(1, 444),
            append(1, 445),
            append(1, 3_000),
            Wait,
            Word,
            Wait,
            append(2, 300),
            chunk(1, 2, 300),
            Publish,
            Trim,
            append(3, 1_000),
            WaitBut(1),
            append(3, 1_000),
        ],
        vec![
            append(1, 2_000),
            append(1, 1_990),
            Wait,
            Trim,
            append(2, 12_000),
            append(1, 1),
            Wait,
            append(1, 60),
            Wait,
            Close,
        ],
    ]
}

/// Fills two segments and a third of one, and waits now and then.
pub(crate) fn three_segments() -> Vec<Step> {
    let mut steps = Vec::new();
    for bytes in [300, 900, 20, 0, 64, 1_300, 500, 700] {
        steps.push(append(1 + bytes % 4, bytes));
        if bytes % 3 != 0 {
            steps.push(Step::Wait);
        }
        if bytes % 5 == 4 {
            steps.push(Step::Word);
        }
    }
    steps
}

/// Any steps.
pub(crate) fn random(dice: &mut Dice, steps: u64) -> Vec<Step> {
    (0..steps).map(|_| random_step(dice)).collect()
}

fn random_step(dice: &mut Dice) -> Step {
    let bytes = match dice.below(8) {
        0 => 0,
        1..=4 => dice.below(600),
        5 | 6 => dice.below(3_000),
        _ => dice.below(9_000),
    };
    let bytes = u32::try_from(bytes).unwrap();
    match dice.weighted(&[40, 5, 25, 5, 6, 4, 4, 1]) {
        0 => append(1 + u32::try_from(dice.below(9)).unwrap(), bytes),
        1 => Step::Word,
        2 => Step::Wait,
        3 => Step::WaitBut(dice.below(20)),
        4 => chunk(
            u32::try_from(dice.below(3)).unwrap(),
            u32::try_from(dice.below(4)).unwrap(),
            bytes / 4,
        ),
        5 => Step::Publish,
        6 => Step::Trim,
        _ => Step::Close,
    }
}

/// The segments that frames were written to, in order. What a segment holds when it was only made ahead is its first
/// sector.
pub(crate) fn written_segments(image: &DiskImage) -> Vec<String> {
    let mut segments = image.names_of("journal-");
    segments.retain(|name| image.bytes(name)[512..].iter().any(|&byte| byte != 0));
    segments
}
