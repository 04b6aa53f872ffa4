//! An engine with a store that is driven by threads: those that poll, route, write, and take snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{
    DriverOptions, Durability, Engine, InteractionRequest, LocationId, ManualClock, Outcome,
    RequestState, ScheduleData, Shutdown, SystemClock,
};

use crate::support::{House, at};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ids that the desk routes at once.
fn routed_at_once() -> impl Iterator<Item = u64> {
    (0..400).filter(|id| id % 7 > 3)
}

fn request(id: u64) -> InteractionRequest {
    InteractionRequest::new(id.into(), LocationId::from_index((id % 5) as u32))
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_was_routed_by_threads_is_known_after_a_crash() {
    for workers in [0, 3] {
        let house = House::new(Durability::Sync);
        let engine = Arc::new(house.open(4));
        let options = DriverOptions {
            workers,
            ..DriverOptions::default()
        };
        let running = engine.start(Arc::new(SystemClock), options).unwrap();
        for id in routed_at_once() {
            let _ = engine.schedule(request(id), at(0)).unwrap();
        }
        let report = running.shutdown(Shutdown::Drain, PATIENCE);
        assert!(!report.timed_out && report.pending == 0, "{report:?}");
        let mut told = BTreeMap::<u128, u32>::new();
        for command in house.desk.take() {
            assert!(!command.redelivery);
            *told.entry(command.id.value()).or_default() += 1;
        }
        let all: Vec<_> = routed_at_once().map(|id| (u128::from(id), 1)).collect();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), all);

        // A shutdown makes durable what nobody waited for.
        house.crash(Arc::into_inner(engine).unwrap());
        let engine = house.open(4);
        assert_eq!(engine.pending(), 0);
        for id in routed_at_once() {
            let status = engine.status(id.into()).unwrap();
            assert_eq!(status.outcome, Some(Outcome::Routed), "{workers}: {id}");
        }
    }
}

#[test]
fn what_nobody_waits_for_is_made_durable_by_a_thread() {
    let house = House::new(Durability::Interval(Duration::from_millis(2)));
    let engine = Arc::new(house.open(1));
    let clock = Arc::new(ManualClock::new(at(0)));
    let running = engine.start(clock, DriverOptions::default()).unwrap();
    let later = request(5).with_schedule(ScheduleData::at(at(1_000)));
    let _ = engine.schedule(later, at(0)).unwrap();
    // No poll does it, for the clock stands still, and no call waits.
    wait_for("the thread writes", || {
        engine.status(5.into()).unwrap().durable
    });
    house.store.crash();
    let _ = running.shutdown(Shutdown::Stop, PATIENCE);
    drop(engine);
    let engine = house.open(1);
    assert_eq!(
        engine.status(5.into()).unwrap().state,
        RequestState::Scheduled
    );
}

#[test]
fn snapshots_are_taken_by_a_thread_when_the_journal_has_grown() {
    let house = House::new(Durability::Sync);
    let settings = |bytes| Engine::builder().snapshot_every(bytes, Duration::MAX);
    for (bytes, taken) in [(u64::MAX, 0), (1, 1)] {
        let engine = Arc::new(house.open_with(settings(bytes)));
        let clock = Arc::new(ManualClock::new(at(0)));
        let running = engine.start(clock, DriverOptions::default()).unwrap();
        let later = request(taken as u64).with_schedule(ScheduleData::at(at(1_000)));
        let _ = engine.schedule(later, at(0)).unwrap();
        if taken > 0 {
            wait_for("a snapshot", || house.store.snapshots().len() == taken);
        }
        let _ = running.shutdown(Shutdown::Stop, PATIENCE);
        assert_eq!(house.store.snapshots().len(), taken);
        house.crash(Arc::into_inner(engine).unwrap());
    }
    let engine = house.open(1);
    assert_eq!(engine.pending(), 2);
    assert_eq!(engine.recovery().unwrap().snapshot, Some(1));
}

#[test]
fn a_drain_ends_where_the_journal_has_failed() {
    for workers in [0, 2] {
        let house = House::new(Durability::Sync);
        let engine = Arc::new(house.open(1));
        let _ = engine.schedule(request(5), at(0)).unwrap();
        house.store.fail_append_at(1);
        let options = DriverOptions {
            workers,
            ..DriverOptions::default()
        };
        let running = engine.start(Arc::new(SystemClock), options).unwrap();
        wait_for("the journal fails", || engine.store_error().is_some());
        let report = running.shutdown(Shutdown::Drain, PATIENCE);
        assert!(!report.timed_out, "{report:?}");
        assert_eq!(report.pending, 1);
        assert!(
            house.desk.take().is_empty(),
            "nothing that may be forgotten"
        );
        house.crash(Arc::into_inner(engine).unwrap());
        assert_eq!(house.open(1).pending(), 1);
    }
}
