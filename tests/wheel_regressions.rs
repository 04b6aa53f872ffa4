//! The traps that timing wheels are known to fall into, one test each, named after the trap.

// Nothing here is reachable by anyone else.
#![allow(missing_docs)]

use duewheel::{Advance, Fired, Handle, Wheel};

/// What fires where nothing does. (Of a bare `[]` the type is open: serde_json compares a `u64` with its values, too.)
const NOTHING: [u64; 0] = [];

/// Advances without a budget and returns the due times fired.
fn fire<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<u64> {
    let mut fired = Vec::new();
    let advance = wheel.advance(now, usize::MAX, |timer| fired.push(timer.due));
    assert_eq!(
        advance,
        Advance {
            fired: fired.len(),
            more: false
        }
    );
    wheel.check_invariants();
    fired
}

/// A timer fires at its tick and not at the tick before.
fn fires_exactly_at(start: u64, due: u64) {
    let mut wheel = Wheel::starting_at(start);
    let handle = wheel.schedule(due, ());
    wheel.check_invariants();
    assert_eq!(wheel.next_due(), Some(due));
    if let Some(before) = due.checked_sub(1).filter(|&before| before >= start) {
        assert_eq!(
            fire(&mut wheel, before),
            NOTHING,
            "start {start}, due {due}: early"
        );
        assert_eq!(wheel.get(handle), Some(&()));
    }
    assert_eq!(fire(&mut wheel, due), [due], "start {start}, due {due}");
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_due(), None);
}

/// Where wheels start: at the beginning, around digit boundaries, in the middle, at the end.
const STARTS: [u64; 10] = [
    0,
    63,
    64,
    (1 << 30) - 1,
    1 << 36,
    (1 << 40) + 12_345,
    1 << 63,
    u64::MAX - 4096,
    u64::MAX - 1,
    u64::MAX,
];

#[test]
fn deadlines_at_and_past_2_to_the_30() {
    for due in (1 << 30) - 2..(1 << 30) + 3 {
        fires_exactly_at(0, due);
    }
}

#[test]
fn deadlines_at_and_past_2_to_the_36() {
    // tokio's `DelayQueue` panics here (restatedev/restate#5017).
    for due in (1 << 36) - 2..(1 << 36) + 3 {
        fires_exactly_at(0, due);
        fires_exactly_at(12_345, due);
    }
}

#[test]
fn deadlines_at_and_past_2_to_the_40() {
    for due in (1 << 40) - 2..(1 << 40) + 3 {
        fires_exactly_at(0, due);
    }
}

#[test]
fn a_deadline_at_the_last_tick_there_is() {
    for start in STARTS {
        fires_exactly_at(start, u64::MAX);
    }
    // The wheel goes on at the end of time: the last tick can be added to after it was drained.
    let mut wheel = Wheel::new();
    for _ in 0..3 {
        let _ = wheel.schedule(u64::MAX, ());
        let _ = wheel.schedule(7, ());
        assert_eq!(fire(&mut wheel, u64::MAX), [7, u64::MAX]);
        assert_eq!(fire(&mut wheel, u64::MAX), NOTHING);
    }
}

#[test]
fn a_far_deadline_does_not_fire_at_once() {
    // rabbitmq-delayed-message-exchange#71: what was over the limit fired at once.
    let mut wheel = Wheel::new();
    for exponent in 0..64 {
        let _ = wheel.schedule(1 << exponent, ());
    }
    assert_eq!(fire(&mut wheel, 0), NOTHING);
    for exponent in 0..64 {
        assert_eq!(fire(&mut wheel, (1 << exponent) - 1), NOTHING);
        assert_eq!(fire(&mut wheel, 1 << exponent), [1 << exponent]);
    }
}

#[test]
fn a_wheel_whose_cursor_starts_anywhere() {
    for start in STARTS {
        for distance in [
            0,
            1,
            62,
            63,
            64,
            65,
            4095,
            4096,
            4097,
            262_143,
            262_144,
            1 << 30,
        ] {
            if let Some(due) = start.checked_add(distance) {
                fires_exactly_at(start, due);
            }
        }
    }
}

#[test]
fn a_timer_due_before_the_start_fires_at_the_first_advance() {
    for start in STARTS {
        let mut wheel = Wheel::starting_at(start);
        for due in [start / 2, 0, start.saturating_sub(1), start] {
            let _ = wheel.schedule(due, ());
        }
        wheel.check_invariants();
        assert_eq!(
            fire(&mut wheel, start),
            [0, start / 2, start.saturating_sub(1), start]
        );
    }
}

#[test]
fn the_top_level_does_not_wrap() {
    // tokio#8334: services froze after 12 days. Go once through every slot of the top levels, with
    // a timer that comes round just before the cursor and one just after it.
    let mut wheel = Wheel::starting_at(5);
    let step = 1 << 54;
    let mut now: u64 = 5;
    while let Some(next) = now.checked_add(step) {
        let _ = wheel.schedule(next, ());
        let _ = wheel.schedule(next - 1, ());
        assert_eq!(fire(&mut wheel, next - 2), NOTHING);
        assert_eq!(fire(&mut wheel, next), [next - 1, next]);
        now = next;
    }
    // And twelve days of one-second timers, an hour at a time.
    let mut wheel = Wheel::new();
    for hour in 1..=12 * 24u64 {
        let due = hour * 3_600_000;
        let _ = wheel.schedule(due, ());
        assert_eq!(fire(&mut wheel, due), [due]);
    }
}

#[test]
fn a_nearer_timer_is_not_hidden_behind_a_coarser_slot() {
    // glommio#44: of two timers the later one was taken for the next.
    let mut wheel = Wheel::starting_at(60);
    let _ = wheel.schedule(4_100, "coarse");
    let _ = wheel.schedule(66, "nearer, though on a higher level than 63 would be");
    let _ = wheel.schedule(70, "near");
    assert_eq!(wheel.next_due(), Some(66));
    assert_eq!(fire(&mut wheel, 69), [66]);
    // Now the coarse one is in the run, or its slot is next; what is nearer still comes first.
    assert_eq!(fire(&mut wheel, 4_097), [70]);
    let _ = wheel.schedule(4_099, "nearer, scheduled later");
    assert_eq!(fire(&mut wheel, u64::MAX), [4_099, 4_100]);
}

#[test]
fn one_advance_fires_all_ticks_up_to_now() {
    // camunda#767: one tick a poll, and a wheel that falls behind for good.
    let mut wheel = Wheel::new();
    let dues: Vec<u64> = (0..2_000).map(|number| number * 97).collect();
    for &due in dues.iter().rev() {
        let _ = wheel.schedule(due, ());
    }
    assert_eq!(fire(&mut wheel, 2_000 * 97), dues);
    // A stall of many rotations of every level.
    let _ = wheel.schedule(1 << 33, ());
    assert_eq!(fire(&mut wheel, 1 << 62), [1 << 33]);
}

#[test]
fn a_timer_cancelled_during_its_own_firing_is_gone() {
    let mut wheel = Wheel::new();
    let handles: Vec<Handle> = (0..6).map(|value| wheel.schedule(10, value)).collect();
    // Two of one tick fire; of the rest, one is cancelled and one rescheduled between the advances.
    let mut fired = Vec::new();
    let advance = wheel.advance(10, 2, |timer| fired.push(timer));
    assert_eq!(
        advance,
        Advance {
            fired: 2,
            more: true
        }
    );
    wheel.check_invariants();
    for timer in &fired {
        assert_eq!(wheel.cancel(timer.handle), None, "what fired is inert");
        assert!(!wheel.reschedule(timer.handle, 20));
        assert_eq!(wheel.get(timer.handle), None);
    }
    assert_eq!(wheel.cancel(handles[2]), Some(2));
    assert!(wheel.reschedule(handles[3], 10), "now the last of its tick");
    let _ = wheel.schedule(10, 6);
    let mut values = Vec::new();
    let advance = wheel.advance(10, usize::MAX, |timer| values.push(timer.value));
    assert_eq!(values, [4, 5, 3, 6]);
    assert!(!advance.more);
    wheel.check_invariants();
}

#[test]
fn a_handle_handed_to_the_sink_stays_inert_when_its_entry_is_used_again() {
    let mut wheel = Wheel::new();
    let old = wheel.schedule(1, 'a');
    let mut seen = None;
    let _ = wheel.advance(1, 1, |Fired { handle, .. }| seen = Some(handle));
    assert_eq!(seen, Some(old));
    let new: Vec<Handle> = (0..200).map(|_| wheel.schedule(2, 'b')).collect();
    assert!(!new.contains(&old));
    assert_eq!(wheel.cancel(old), None);
    assert_eq!(wheel.len(), 200);
}

#[test]
fn more_is_said_of_live_timers_only() {
    let mut wheel = Wheel::new();
    let _ = wheel.schedule(1, ());
    let second = wheel.schedule(1, ());
    assert!(wheel.advance(1, 0, drop).more);
    assert!(wheel.advance(1, 1, drop).more);
    assert_eq!(wheel.cancel(second), Some(()));
    assert_eq!(
        wheel.advance(1, 0, drop),
        Advance {
            fired: 0,
            more: false
        }
    );
}

#[test]
fn stale_records_are_freed_where_nothing_fires() {
    // nats-server#8594: 1.13 million records for 11 live timers.
    let mut wheel = Wheel::new();
    for due in 0..11 {
        let _ = wheel.schedule((1 << 40) + due, ());
    }
    for number in 0..300_000u64 {
        let handle = wheel.schedule((1 << 40) + (number * 7_919) % (1 << 34), ());
        assert_eq!(wheel.cancel(handle), Some(()));
        assert!(
            wheel.records() < 3_000,
            "{} records after {number}",
            wheel.records()
        );
    }
    wheel.check_invariants();
    // A large population that is cancelled but for 11, wherever its timers are: late, next, far.
    for far in [1, 5_000, 100_000, 1 << 35] {
        let mut wheel = Wheel::starting_at(10_000);
        let handles: Vec<Handle> = (0..100_000u64)
            .map(|number| wheel.schedule(number * 7_919 % far, ()))
            .collect();
        assert!(wheel.advance(10_000, 1, drop).fired == 1);
        for &handle in &handles[11..] {
            let _ = wheel.cancel(handle);
        }
        wheel.check_invariants();
        assert!(
            wheel.records() < 2_000,
            "{} records for {}",
            wheel.records(),
            wheel.len()
        );
    }
}

#[test]
fn stale_records_are_freed_while_the_same_timer_is_rescheduled() {
    let mut wheel = Wheel::new();
    let keep = wheel.schedule(50, ());
    let handle = wheel.schedule(100, ());
    for number in 0..300_000u64 {
        assert!(wheel.reschedule(handle, 100 + (number * 7_919) % 1_000_000));
        assert!(
            wheel.records() < 8_000,
            "{} records after {number}",
            wheel.records()
        );
    }
    wheel.check_invariants();
    assert_eq!((wheel.get(keep).is_some(), wheel.len()), (true, 2));
}

#[test]
fn stale_records_are_freed_from_run_and_late() {
    let mut wheel = Wheel::new();
    let _ = wheel.schedule(4_000, ());
    let _ = wheel.schedule(3_000, ());
    for round in 0..200 {
        // Into the run: the slot of what was just scheduled is entered, then all of it cancelled.
        let now = wheel.cursor();
        let handles: Vec<Handle> = (0..2_000).map(|_| wheel.schedule(3_500, ())).collect();
        let _ = wheel.advance(now.max(round * 10), usize::MAX, drop);
        for handle in handles {
            let _ = wheel.cancel(handle);
        }
        // Among the late: due before the cursor, and before a clock that stands still.
        let handles: Vec<Handle> = (0..500).map(|_| wheel.schedule(round, ())).collect();
        for handle in handles {
            let _ = wheel.cancel(handle);
        }
        assert!(
            wheel.records() < 8_000,
            "{} records in round {round}",
            wheel.records()
        );
        wheel.check_invariants();
    }
}

#[test]
fn next_due_is_right_above_level_0() {
    // tokio#8402: `peek` looked at a slot's first entry, not at its nearest.
    for level in 1..10 {
        let mut wheel = Wheel::new();
        let base = 3u64 << (6 * level);
        for due in [base + 40, base + 9, base + 60, base + 10] {
            let _ = wheel.schedule(due, ());
        }
        let nearest = wheel.schedule(base + 8, ());
        assert_eq!(wheel.next_due(), Some(base + 8));
        assert_eq!(fire(&mut wheel, base - 1), NOTHING);
        assert_eq!(wheel.next_due(), Some(base + 8));
        let _ = wheel.cancel(nearest);
        // A bound now; a step towards it makes it exact again.
        assert_eq!(fire(&mut wheel, base + 8), NOTHING);
        assert_eq!(wheel.next_due(), Some(base + 9));
        assert_eq!(fire(&mut wheel, base + 39), [base + 9, base + 10]);
        assert_eq!(wheel.next_due(), Some(base + 40));
    }
}

#[test]
fn following_next_due_leads_to_the_timer_in_few_steps() {
    let mut wheel = Wheel::new();
    let mut handles = Vec::new();
    for number in 0..20_000u64 {
        handles.push(wheel.schedule((1 << 40) + number * 1_000, ()));
    }
    for &handle in &handles[..19_999] {
        let _ = wheel.cancel(handle);
    }
    let mut steps = 0;
    while let Some(next) = wheel.next_due() {
        let before = next;
        let advance = wheel.advance(next, usize::MAX, drop);
        assert!(advance.fired > 0 || wheel.next_due().is_some_and(|bound| bound > before));
        steps += 1;
    }
    assert!(steps <= 12, "{steps} steps");
}

#[test]
fn nothing_is_rounded_down_to_fire_early() {
    // A slot is entered at its first tick; its timers wait for their own.
    let mut wheel = Wheel::new();
    let dues: Vec<u64> = (1..=60)
        .map(|number| number * number * number * 17 + 1)
        .collect();
    for &due in &dues {
        let _ = wheel.schedule(due, ());
    }
    let mut fired = Vec::new();
    for now in 0..=*dues.last().unwrap() {
        let _ = wheel.advance(now, usize::MAX, |timer| {
            assert_eq!(timer.due, now);
            fired.push(timer.due);
        });
    }
    assert_eq!(fired, dues);
}

#[test]
fn a_clock_that_steps_back_fires_nothing_early_and_loses_nothing() {
    for back in [1, 100, 4_096, 4_097, 1 << 20, 1 << 39] {
        let start = 1 << 40;
        let mut wheel = Wheel::starting_at(start - back);
        assert_eq!(fire(&mut wheel, start), NOTHING);
        for due in [start, start + 5, start + 5_000, start + (1 << 30)] {
            let _ = wheel.schedule(due, ());
        }
        assert_eq!(fire(&mut wheel, start - back), NOTHING);
        let _ = wheel.schedule(start - back + 1, ());
        let _ = wheel.schedule(start, ());
        assert_eq!(fire(&mut wheel, start - back), NOTHING);
        assert_eq!(fire(&mut wheel, start), [start - back + 1, start, start]);
        assert_eq!(
            fire(&mut wheel, u64::MAX),
            [start + 5, start + 5_000, start + (1 << 30)]
        );
    }
}

#[test]
fn a_clock_that_stepped_back_far_does_not_make_new_timers_late() {
    // All of them would be late for the old cursor; the cursor is moved back instead.
    let mut wheel = Wheel::starting_at(1 << 40);
    for number in 0..10_000 {
        let _ = wheel.schedule((1 << 40) + number, ());
    }
    assert_eq!(fire(&mut wheel, 1 << 40), [1 << 40]);
    assert_eq!(fire(&mut wheel, 1 << 30), NOTHING);
    assert_eq!(wheel.cursor(), 1 << 30);
    for number in 0..10_000 {
        let _ = wheel.schedule((1 << 30) + 1 + number, ());
    }
    wheel.check_invariants();
    let fired = fire(&mut wheel, (1 << 40) + 10_000);
    assert_eq!(fired.len(), 19_999);
    assert!(fired.is_sorted());
}

#[test]
fn a_sink_that_panics_takes_only_what_it_was_given() {
    for budget in [usize::MAX, 100] {
        let mut wheel = Wheel::starting_at(50);
        for value in 0..90u64 {
            let _ = wheel.schedule(value, value);
        }
        let mut taken = Vec::new();
        for _ in 0..90 {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                wheel.advance(100, budget, |timer| {
                    taken.push(timer.value);
                    std::panic::resume_unwind(Box::new(()));
                })
            }));
            assert!(outcome.is_err());
            wheel.check_invariants();
            assert_eq!(wheel.len(), 90 - taken.len());
        }
        assert_eq!(taken, (0..90).collect::<Vec<_>>());
        assert_eq!(fire(&mut wheel, 100), NOTHING);
    }
}

#[test]
fn a_drain_that_is_leaked_leaves_a_wheel_that_works() {
    let mut wheel = Wheel::new();
    for due in 0..1_000 {
        let _ = wheel.schedule(due, ());
    }
    let mut drain = wheel.drain();
    let drained: Vec<u64> = drain.by_ref().take(400).map(|timer| timer.due).collect();
    std::mem::forget(drain);
    wheel.check_invariants();
    // What the drain had taken and not yielded is leaked with it.
    let mut left: Vec<u64> = wheel.iter().map(|(_, due, ())| due).collect();
    left.sort_unstable();
    assert!(left.iter().all(|due| !drained.contains(due)));
    assert!((1_000 - 400 - 64..=1_000 - 400).contains(&left.len()));
    assert_eq!(fire(&mut wheel, 1_000), left);
}

/// An engine's wheels began at tick 0, half a century behind. All that came lay in one slot, and was dealt out
/// level by level when the first of it fell due: tens of milliseconds for a million timers.
#[test]
fn a_wheel_brought_up_to_the_present_has_its_first_timer_at_hand() {
    const NINE: u64 = 1_767_596_400_000;
    let calls = |kept_up: bool| {
        let mut wheel = Wheel::new();
        while kept_up && wheel.keep_up(NINE) {}
        for timer in 0..100_000 {
            let _ = wheel.schedule(NINE + 1_000 + timer * 864, timer);
        }
        while kept_up && wheel.keep_up(NINE + 500) {}
        let mut calls = 0;
        let mut fired = 0;
        while fired == 0 {
            fired += wheel.advance(NINE + 1_000, 64, drop).fired;
            calls += 1;
        }
        calls
    };
    assert_eq!(calls(true), 1);
    assert!(calls(false) > 20);
}
