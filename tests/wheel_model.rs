//! The wheel against a naive model: random operations from anywhere in time, and long runs with
//! populations large enough for runs, compaction and the dealing out of huge slots.

// An integration test's items are reachable by nobody; the fuzz target shares the module.
#![allow(missing_docs, unreachable_pub)]

#[path = "wheel_model/mod.rs"]
mod model;

use model::{Distance, Due, Operation, Pair};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Where wheels start: at the beginning, at digit boundaries, in the middle, before the end.
const STARTS: [u64; 8] = [
    0,
    1,
    (1 << 30) - 1,
    1 << 36,
    (1 << 36) + 4095,
    1 << 63,
    u64::MAX - 100,
    u64::MAX - (1 << 20),
];

fn distance() -> impl Strategy<Value = Distance> {
    // Weighted to where slots and runs meet; the rest of any magnitude.
    let shift = prop_oneof![4 => 52u8..64, 2 => 40u8..52, 1 => 0u8..40];
    (any::<u64>(), shift).prop_map(|(bits, shift)| Distance { bits, shift })
}

fn due() -> impl Strategy<Value = Due> {
    prop_oneof![
        12 => distance().prop_map(Due::After),
        3 => distance().prop_map(Due::Before),
        1 => (0u8..64, any::<bool>()).prop_map(|(exponent, minus)| Due::Power { exponent, minus }),
        1 => Just(Due::Last),
    ]
}

fn budget() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(1u8), 1 => Just(0u8), 2 => 2u8..20, 4 => Just(u8::MAX)]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => due().prop_map(Operation::Schedule),
        3 => (due(), any::<u8>(), prop_oneof![Just(0u16), 1u16..4, any::<u16>()])
            .prop_map(|(due, count, step)| Operation::Burst { due, count, step }),
        6 => any::<u32>().prop_map(Operation::Cancel),
        1 => any::<u8>().prop_map(|modulus| Operation::CancelMost { modulus }),
        6 => (any::<u32>(), due()).prop_map(|(number, due)| Operation::Reschedule(number, due)),
        2 => any::<u32>().prop_map(Operation::Get),
        2 => any::<u32>().prop_map(Operation::GetMut),
        10 => (distance(), budget()).prop_map(|(by, budget)| Operation::Advance { by, budget }),
        4 => Just(Operation::AdvanceToNext),
        2 => distance().prop_map(|by| Operation::StepBack { by }),
        1 => (distance(), any::<u8>()).prop_map(|(by, at)| Operation::Panic { by, at: at % 16 }),
        1 => prop_oneof![
            3 => any::<u8>().prop_map(|taken| Operation::Drain { taken }),
            1 => Just(Operation::Clear),
        ],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(debug_assertions) { 96 } else { 1024 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_wheel_agrees_with_the_model(
        start in prop_oneof![(0..STARTS.len()).prop_map(|at| STARTS[at]), any::<u64>()],
        operations in vec(operation(), 1..120),
    ) {
        let mut pair = Pair::starting_at(start);
        for operation in &operations {
            pair.apply(operation);
            pair.check();
        }
        pair.advance(u64::MAX, usize::MAX);
        pair.check();
        prop_assert_eq!(pair.pending(), 0);
    }
}

/// Timers of one long run, and steps of it.
const POPULATION: u64 = if cfg!(debug_assertions) {
    12_000
} else {
    200_000
};

/// A steady life: schedule, cancel, reschedule and advance around a large population.
fn live_long(seed: u64, start: u64, span: u64) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut pair = Pair::starting_at(start);
    for _ in 0..POPULATION {
        let due = pair.now().saturating_add(random.random_range(0..span));
        pair.schedule(due);
    }
    pair.check();
    for step in 0..POPULATION {
        let due = pair.now().saturating_add(random.random_range(0..span));
        let number = random.random_range(0..pair.scheduled());
        match random.random_range(0..20u32) {
            0..8 => pair.schedule(due),
            8..14 => pair.cancel(number),
            14..18 => pair.reschedule(number, due),
            18 => {
                let by = random.random_range(0..span / 500 + 2);
                let budget = [1, 7, usize::MAX][random.random_range(0..3)];
                pair.advance(pair.now().saturating_add(by), budget);
            }
            // Rarely: a burst on one tick, a stall, a step back of the clock.
            _ if random.random_range(0..200) == 0 => {
                let back = pair
                    .now()
                    .saturating_sub(random.random_range(0..span / 10 + 1));
                pair.advance(back, 100);
                for _ in 0..POPULATION / 20 {
                    pair.schedule(due);
                }
            }
            _ => {}
        }
        pair.compare();
        if step % (POPULATION / 16) == 0 {
            pair.check();
        }
    }
    pair.check();
    // Then most timers go, as they do in life, and the rest fires.
    for number in 0..pair.scheduled() {
        if number % 16 != 0 {
            pair.cancel(number);
        }
    }
    pair.check();
    let bound = 4 * pair.pending() + 12_000;
    assert!(
        pair.wheel.records() < bound,
        "{} records for {}",
        pair.wheel.records(),
        pair.pending()
    );
    pair.advance(u64::MAX, usize::MAX);
    assert_eq!(pair.pending(), 0);
    pair.check();
}

#[test]
fn a_long_life_within_a_few_seconds() {
    live_long(1, 1 << 36, 5_000);
}

#[test]
fn a_long_life_within_minutes() {
    live_long(2, (1 << 30) - 1, 300_000);
}

#[test]
fn a_long_life_within_a_day() {
    live_long(3, 1_700_000_000_000, 86_400_000);
}

#[test]
fn a_long_life_over_ages() {
    live_long(4, 1 << 40, 1 << 50);
}

#[test]
fn a_long_life_before_the_end_of_time() {
    live_long(5, u64::MAX - 250_000, 300_000);
}

#[test]
fn a_huge_slot_is_dealt_out_ahead_while_its_timers_come_and_go() {
    let mut random = Pcg64Mcg::seed_from_u64(6);
    let mut pair = Pair::starting_at(0);
    // Everything lies in one slot of level 4; ticks before it pass one by one.
    let base = 1 << 24;
    for _ in 0..POPULATION {
        pair.schedule(base + random.random_range(0..1 << 24));
    }
    pair.check();
    for tick in 0..2_000 {
        let number = random.random_range(0..pair.scheduled());
        pair.cancel(number);
        pair.cancel(random.random_range(0..pair.scheduled()));
        pair.reschedule(number / 2, base + random.random_range(0..1 << 24));
        pair.schedule(base + random.random_range(0..1 << 10));
        pair.advance(tick, usize::MAX);
        if tick % 200 == 0 {
            pair.check();
        }
    }
    for tick in 0..5_000 {
        pair.advance(base + tick, 1 + tick as usize % 50);
    }
    pair.check();
    // Back to before the slot: it is closed again, and opened again.
    pair.advance(1_000, usize::MAX);
    pair.check();
    pair.schedule(500);
    pair.schedule(5_000);
    pair.advance(u64::MAX, usize::MAX);
    assert_eq!(pair.pending(), 0);
}
