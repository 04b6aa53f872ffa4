//! Timers of one tick fire in order of intake, whatever happens to their slot in between: one test
//! for each way in which that was lost, or could have been.

// Nothing here is reachable by anyone else.
#![allow(missing_docs)]

use duewheel::{Handle, Wheel};

/// Schedules `count` timers on few ticks, so that there are many ties; the values are their order
/// of intake, from `first`.
fn schedule_ties(wheel: &mut Wheel<u64>, base: u64, first: u64, count: u64) -> Vec<Handle> {
    (first..first + count)
        .map(|value| wheel.schedule(base + value % 50 * 1_000, value))
        .collect()
}

/// Fires everything and checks the order: by due time, then intake. Returns how many.
fn fire_in_order(wheel: &mut Wheel<u64>, now: u64) -> usize {
    let mut last = None;
    let advance = wheel.advance(now, usize::MAX, |timer| {
        let key = Some((timer.due, timer.value));
        assert!(last < key, "{last:?} before {key:?}");
        last = key;
    });
    wheel.check_invariants();
    advance.fired
}

#[test]
fn late_timers_keep_their_order_when_the_clock_steps_back_past_them() {
    let cursor = 1 << 40;
    let mut wheel = Wheel::starting_at(cursor);
    for value in 0..10 {
        let _ = wheel.schedule(cursor - 5 + value % 3, value);
    }
    // The clock goes back before all of these; now the same ticks lie ahead, in the wheel.
    assert_eq!(fire_in_order(&mut wheel, cursor - 10_000), 0);
    for value in 10..20 {
        let _ = wheel.schedule(cursor - 5 + value % 3, value);
    }
    let cancelled = wheel.schedule(cursor - 5, 20);
    assert_eq!(wheel.cancel(cancelled), Some(20));
    wheel.check_invariants();
    assert_eq!(fire_in_order(&mut wheel, cursor), 20);
}

#[test]
fn a_compaction_under_way_keeps_the_order_of_intake() {
    for extra in 0..12 {
        let mut wheel = Wheel::new();
        let handles = schedule_ties(&mut wheel, 1 << 20, 0, 2_000);
        // Just over half: compaction has begun, and a few cancels more take it on.
        for &handle in handles.iter().step_by(2) {
            let _ = wheel.cancel(handle);
        }
        for &handle in handles.iter().skip(1).step_by(2).take(extra) {
            let _ = wheel.cancel(handle);
        }
        let _ = schedule_ties(&mut wheel, 1 << 20, 2_000, 100);
        wheel.check_invariants();
        assert_eq!(fire_in_order(&mut wheel, u64::MAX), 1_100 - extra);
    }
}

#[test]
fn a_slot_dealt_out_ahead_keeps_the_order_of_intake() {
    for advances in [0, 1, 5, 30] {
        for back in [false, true] {
            let start = 1 << 30;
            let base = start + (1 << 24);
            let mut wheel = Wheel::starting_at(start);
            let handles = schedule_ties(&mut wheel, base, 0, 10_000);
            for now in 0..advances {
                assert_eq!(fire_in_order(&mut wheel, start + now), 0);
            }
            let _ = schedule_ties(&mut wheel, base, 10_000, 1_000);
            for &handle in handles.iter().step_by(3) {
                let _ = wheel.cancel(handle);
            }
            let _ = schedule_ties(&mut wheel, base, 11_000, 100);
            wheel.check_invariants();
            if back {
                // Everything nearer than the digit in which the two differ is gathered again.
                assert_eq!(fire_in_order(&mut wheel, start - 10_000), 0);
            }
            let _ = schedule_ties(&mut wheel, base, 11_100, 100);
            wheel.check_invariants();
            let left = wheel.len();
            assert_eq!(fire_in_order(&mut wheel, base + 100_000), left);
        }
    }
}

#[test]
fn what_comes_while_a_slot_is_entered_in_steps_goes_behind_what_it_holds() {
    // The cursor had come to the slot, and its records were not at the bottom yet.
    let mut wheel = Wheel::new();
    let base = 1 << 24;
    schedule_ties(&mut wheel, base, 0, 20_000);
    let mut number = 20_000;
    let (mut fired, mut idle) = (Vec::new(), 0);
    loop {
        let advance = wheel.advance(base + 100_000, 1_000, |timer| {
            fired.push((timer.due, timer.value))
        });
        wheel.check_invariants();
        if !advance.more {
            break;
        }
        if advance.fired == 0 {
            idle += 1;
            schedule_ties(&mut wheel, base, number, 40);
            number += 40;
        }
    }
    assert!(idle > 2, "{idle} calls did nothing but go on");
    assert!(fired.is_sorted(), "by due time and intake");
    assert_eq!(fired.len(), number as usize);
}

#[test]
fn a_burst_on_one_tick_fires_in_order_of_intake_whatever_the_budget() {
    let count = if cfg!(debug_assertions) {
        20_000
    } else {
        100_000
    };
    let mut wheel = Wheel::new();
    for value in 0..count {
        let _ = wheel.schedule(777, value);
    }
    let mut expected = 0;
    for budget in (0..).map(|round| 1 + round % 1_000) {
        let more = wheel
            .advance(777, budget, |timer| {
                assert_eq!(timer.value, expected);
                expected += 1;
            })
            .more;
        if !more {
            break;
        }
        assert!(expected < count);
    }
    assert_eq!(expected, count);
    wheel.check_invariants();
}
