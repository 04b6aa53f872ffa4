//! Dispatch under pressure: a few places, many locations, a router that dawdles, clients that change their minds.
//! Whatever the threads do, nothing is dropped, nothing goes out twice, and each location's order holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use duewheel::{
    Disposition, DriverOptions, LocationId, ManualClock, Pace, Priority, ScheduleData, Shutdown,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::driver::{PATIENCE, eventually};
use crate::support::{Centre, at, centre};

const LOCATIONS: usize = 12;

/// Half of all is for the first location.
fn any_location(random: &mut Pcg64Mcg, locations: &[LocationId]) -> LocationId {
    if random.random_bool(0.5) {
        locations[0]
    } else {
        locations[random.random_range(0..locations.len())]
    }
}

/// What was taken in, and what was cancelled.
#[derive(Default)]
struct Ledger {
    taken_in: u64,
    cancelled: BTreeSet<u128>,
}

/// Forty seconds of clients. `with_commands`: they also hold, resume, pace and move whole locations, after which
/// the order at the router is no longer that of the due times.
fn forty_seconds(
    centre: &Centre,
    clock: &ManualClock,
    locations: &[LocationId],
    random: &mut Pcg64Mcg,
    with_commands: bool,
) -> Ledger {
    let mut ledger = Ledger::default();
    for second in 0..40 {
        let now = at(second);
        clock.set(now);
        for _ in 0..random.random_range(0..60) {
            // Not before the next second, so that what is due together is known in time.
            let due = at(second + random.random_range(1..6));
            let mut request = centre.immediate(ledger.taken_in.into());
            request.location = any_location(random, locations);
            request.priority = Priority(random.random_range(0..3));
            let mut schedule = ScheduleData::builder().time(due);
            if random.random_bool(0.05) {
                // By the end all of these have expired or gone out.
                schedule = schedule.not_after(due.saturating_add(crate::support::secs(10)));
            }
            request.schedule = Some(schedule.build().unwrap());
            centre.schedule(request, now);
            ledger.taken_in += 1;
        }
        for _ in 0..random.random_range(0..10) {
            let id = random.random_range(0..ledger.taken_in.max(1));
            if centre.engine.cancel(id.into(), now).is_ok() {
                ledger.cancelled.insert(id.into());
            }
        }
        if with_commands {
            let place = any_location(random, locations);
            match random.random_range(0..4) {
                0 => {
                    let _ = centre.engine.hold(place, now).unwrap();
                }
                1 => {
                    let _ = centre.engine.resume(place, None, now).unwrap();
                }
                2 => {
                    let pace = Pace::per_second(random.random_range(1..50));
                    let _ = centre.engine.resume(place, pace, now).unwrap();
                }
                _ => {
                    let to = any_location(random, locations);
                    let _ = centre.engine.move_location(place, to, now).unwrap();
                }
            }
        }
        if random.random_bool(0.3) {
            centre.engine.check_invariants();
        }
    }
    ledger
}

fn under_pressure(seed: u64, with_commands: bool) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let locations: Vec<_> = (0..LOCATIONS)
        .map(|n| centre.engine.directory().enter(&format!("place {n}")))
        .collect::<Result<_, _>>()
        .unwrap();
    let calls = AtomicU64::new(seed);
    centre.desk.answer(move |_| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        for _ in 0..call % 7 {
            std::thread::yield_now();
        }
        Disposition::Routed
    });
    let workers = random.random_range(1..5);
    let options = DriverOptions {
        workers,
        dispatch_max: random.random_range(1..20),
        location_dispatch_max: random.random_bool(0.5).then(|| random.random_range(1..20)),
        location_in_flight_max: Some(1),
        poll_budget: random.random_range(1..50),
    };
    let running = centre.engine.start(clock.clone(), options).unwrap();
    let ledger = forty_seconds(&centre, &clock, &locations, &mut random, with_commands);
    clock.set(at(100));
    for &place in &locations {
        let _ = centre.engine.resume(place, None, at(100)).unwrap();
    }
    eventually(&format!("seed {seed}: all have ended"), || {
        centre.engine.pending() == 0
    });
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    centre.engine.check_invariants();
    let commands = centre.desk.take();
    let routed: BTreeSet<_> = commands.iter().map(|c| c.id.value()).collect();
    assert_eq!(
        routed.len(),
        commands.len(),
        "seed {seed}: none goes out twice"
    );
    let report = centre.engine.report(at(100));
    let ended: u64 = report.outcomes.values().sum();
    assert_eq!(ended, ledger.taken_in, "seed {seed}: none is dropped");
    assert_eq!(
        routed.intersection(&ledger.cancelled).count(),
        0,
        "seed {seed}: one winner"
    );
    if with_commands {
        return;
    }
    for &place in &locations {
        let here = commands.iter().filter(|command| command.location == place);
        let order = here.map(|command| {
            let priority = std::cmp::Reverse(command.priority);
            (command.due, priority, command.id)
        });
        assert!(order.is_sorted(), "seed {seed}: the order in {place:?}");
    }
}

#[test]
fn nothing_is_dropped_or_doubled_and_each_location_keeps_its_order() {
    for seed in 0..60 {
        under_pressure(seed, false);
    }
}

#[test]
fn nothing_is_dropped_or_doubled_while_locations_are_held_paced_and_moved() {
    for seed in 1_000..1_060 {
        under_pressure(seed, true);
    }
}
