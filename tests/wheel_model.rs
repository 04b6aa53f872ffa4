//! The wheel against a naive model: random operations from anywhere in time and around the
//! boundaries of its digits, and long runs with populations large enough for runs, compaction and
//! the dealing out of huge slots.

// An integration test's items are reachable by nobody; the fuzz package shares the module.
#![allow(missing_docs, unreachable_pub)]

#[path = "wheel_model/mod.rs"]
mod model;

use model::{Anywhere, Budget, Distance, Moment, Near, Operation, Pair, Present, Rare};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
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

/// Longest script of a property test.
const OPERATIONS_MAX: usize = 120;

fn distance() -> impl Strategy<Value = Distance> {
    (any::<u64>(), any::<u8>()).prop_map(|(bits, shift)| Distance { bits, shift })
}

fn near() -> impl Strategy<Value = Near> {
    prop_oneof![
        3 => any::<i8>().prop_map(|offset| Near::Now { offset }),
        2 => any::<i8>().prop_map(|offset| Near::Cursor { offset }),
        6 => (any::<u8>(), any::<i8>(), any::<i8>())
            .prop_map(|(level, ahead, offset)| Near::Slot { level, ahead, offset }),
        2 => (any::<u8>(), any::<u8>(), any::<i8>())
            .prop_map(|(level, multiple, offset)| Near::Multiple { level, multiple, offset }),
        1 => (any::<u8>(), any::<i8>())
            .prop_map(|(exponent, offset)| Near::Power { exponent, offset }),
        1 => any::<u8>().prop_map(|before| Near::End { before }),
    ]
}

fn anywhere() -> impl Strategy<Value = Anywhere> {
    prop_oneof![
        12 => distance().prop_map(Anywhere::After),
        3 => distance().prop_map(Anywhere::Before),
        2 => Just(Anywhere::Now),
        1 => Just(Anywhere::First),
        2 => near().prop_map(Anywhere::Near),
    ]
}

fn budget() -> impl Strategy<Value = Budget> {
    prop_oneof![
        4 => any::<u8>().prop_map(Budget::Few),
        1 => any::<u8>().prop_map(Budget::Many),
        2 => Just(Budget::All),
    ]
}

fn operation<M: Moment + std::fmt::Debug + 'static>(
    moment: fn() -> BoxedStrategy<M>,
) -> impl Strategy<Value = Operation<M>> {
    prop_oneof![
        10 => moment().prop_map(Operation::Schedule),
        5 => (moment(), any::<u8>(), prop_oneof![Just(0u16), 1u16..4, any::<u16>()])
            .prop_map(|(due, count, step)| Operation::Burst { due, count, step }),
        6 => any::<u16>().prop_map(Operation::Cancel),
        6 => (any::<u16>(), moment()).prop_map(|(number, due)| Operation::Reschedule(number, due)),
        2 => any::<u16>().prop_map(Operation::Get),
        2 => any::<u16>().prop_map(Operation::GetMut),
        8 => (distance(), budget()).prop_map(|(by, budget)| Operation::Advance { by, budget }),
        16 => budget().prop_map(|budget| Operation::AdvanceSame { budget }),
        1 => budget().prop_map(|budget| Operation::AdvanceUntilDone { budget }),
        4 => budget().prop_map(|budget| Operation::AdvanceToNext { budget }),
        3 => (moment(), budget()).prop_map(|(to, budget)| Operation::Jump { to, budget }),
        4 => rare().prop_map(Operation::Rare),
        6 => (distance(), any::<u8>()).prop_map(|(by, calls)| Operation::KeepUp { by, calls }),
    ]
}

fn rare() -> impl Strategy<Value = Rare> {
    prop_oneof![
        2 => any::<u8>().prop_map(|modulus| Rare::CancelMost { modulus }),
        3 => (distance(), budget()).prop_map(|(by, budget)| Rare::StepBack { by, budget }),
        2 => (distance(), 0u8..16).prop_map(|(by, at)| Rare::Panic { by, at }),
        1 => Just(Rare::Clear),
        1 => any::<u8>().prop_map(|taken| Rare::Drain { taken }),
    ]
}

/// Does a script on wheel and model; returns how often it went on with an unfinished tick.
fn run<M: Moment>(start: u64, operations: &[Operation<M>]) -> usize {
    let mut pair = Pair::starting_at(start);
    for operation in operations {
        pair.apply(operation);
        pair.check();
    }
    pair.advance(u64::MAX, usize::MAX);
    pair.check();
    assert_eq!(pair.pending(), 0);
    pair.resumed()
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
        operations in vec(operation(|| anywhere().boxed()), 1..OPERATIONS_MAX),
    ) {
        run(start, &operations);
    }

    #[test]
    fn the_wheel_agrees_with_the_model_near_boundaries(
        start in near(),
        operations in vec(operation(|| near().boxed()), 1..OPERATIONS_MAX),
    ) {
        run(start.tick(Present::default()), &operations);
    }
}

/// Operations between two budgeted advances of one tick are where wheels lose the order; scripts
/// that seldom come there prove little.
#[test]
fn scripts_often_go_on_with_an_unfinished_tick() {
    const SCRIPTS: usize = 100;
    let mut runner = TestRunner::deterministic();
    let anywhere = vec(operation(|| anywhere().boxed()), OPERATIONS_MAX);
    let near = vec(operation(|| near().boxed()), OPERATIONS_MAX);
    let (mut resumed_anywhere, mut resumed_near) = (0, 0);
    for _ in 0..SCRIPTS {
        let script = anywhere.new_tree(&mut runner).expect("no filter rejects");
        resumed_anywhere += run(1 << 36, &script.current());
        let script = near.new_tree(&mut runner).expect("no filter rejects");
        resumed_near += run(1 << 36, &script.current());
    }
    println!("resumed: {resumed_anywhere} anywhere, {resumed_near} near boundaries");
    assert!(resumed_anywhere >= 2 * SCRIPTS && resumed_near >= 2 * SCRIPTS);
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
    // Two and a half for each timer, and what came while a pass was under way.
    let bound = 3 * pair.pending() + 2_000;
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
