//! A slow, stuck or flooded location delays its own requests: not the clock, and not other locations.

use std::sync::Arc;
use std::sync::mpsc;

use duewheel::{
    Clock, Disposition, DriverOptions, LocationId, ManualClock, Outcome, RequestState, Running,
    ScheduleData, Shutdown, StartError, Timestamp,
};

use crate::driver::{Gate, PATIENCE, eventually, gated};
use crate::support::{Centre, at, centre, secs};

fn location(centre: &Centre, name: &str) -> LocationId {
    centre.engine.directory().enter(name).unwrap()
}

fn drive(centre: &Centre, clock: &Arc<ManualClock>, options: DriverOptions) -> Running {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    centre.engine.start(clock, options).unwrap()
}

/// The requests of one location keep their order at the router, too.
fn strict(workers: usize, dispatch_max: usize) -> DriverOptions {
    DriverOptions {
        workers,
        dispatch_max,
        location_in_flight_max: Some(1),
        ..DriverOptions::default()
    }
}

/// So many are at the router or wait for it, and nothing is left for a poll to do before the clock moves or a
/// worker comes back.
fn settled(centre: &Centre, clock: &ManualClock, in_flight: usize) {
    eventually("the driver has nothing to do", || {
        let idle = |next: Option<Timestamp>| next.is_none_or(|next| next > clock.now());
        // A poll that runs would make this one busy.
        let poll = centre.engine.poll(clock.now(), 0);
        centre.engine.in_flight() == in_flight
            && poll.is_ok_and(|poll| !poll.more && idle(poll.next_wakeup))
            && idle(centre.engine.next_wakeup())
    });
}

/// Commands of these locations stay at the router until the gate is opened.
fn stuck(centre: &Centre, locations: &[LocationId]) -> Arc<Gate> {
    let gate = Gate::shut();
    let (shut, stuck) = (Arc::clone(&gate), locations.to_vec());
    centre.desk.answer(move |command| {
        if stuck.contains(&command.location) {
            shut.pass();
        }
        Disposition::Routed
    });
    gate
}

fn ids_of(centre: &Centre, location: LocationId) -> Vec<u128> {
    let commands = centre.desk.take();
    let here = commands
        .iter()
        .filter(|command| command.location == location);
    here.map(|command| command.id.value()).collect()
}

#[test]
fn locations_that_never_return_delay_nobody_while_a_worker_is_left() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let lost = [location(&centre, "lost 1"), location(&centre, "lost 2")];
    let fine: Vec<_> = (0..5)
        .map(|n| location(&centre, &format!("fine {n}")))
        .collect();
    let gate = stuck(&centre, &lost);
    let running = drive(&centre, &clock, strict(3, 16));
    for id in 0..1_000_u64 {
        let mut request = centre.request(id.into(), at(10));
        request.location = lost[usize::try_from(id % 2).unwrap()];
        centre.schedule(request, at(0));
    }
    for id in 1_000..2_000_u64 {
        // In two bursts, one of them when the others have been stuck for long.
        let mut request = centre.request(id.into(), at(10 + id % 2 * 50));
        request.location = fine[usize::try_from(id % 5).unwrap()];
        centre.schedule(request, at(0));
    }
    clock.set(at(10));
    eventually("the first burst is out", || {
        centre.engine.pending() == 1_500
    });
    clock.set(at(60));
    eventually("the second too", || centre.engine.pending() == 1_000);
    let commands = centre.desk.take();
    for &place in &fine {
        let here = || {
            commands
                .iter()
                .filter(move |command| command.location == place)
        };
        assert_eq!(here().count(), 200);
        assert!(
            here().is_sorted_by_key(|command| (command.due, command.id)),
            "{place:?}"
        );
    }
    let late: Vec<_> = commands
        .iter()
        .filter(|command| !lost.contains(&command.location) && command.released > command.due)
        .collect();
    assert!(
        late.is_empty(),
        "the clock stood still until all were out: {late:?}"
    );
    centre.engine.check_invariants();
    gate.open();
    eventually("the lost ones' are out", || centre.engine.pending() == 0);
    let commands = centre.desk.take();
    for place in lost {
        let here = commands.iter().filter(|command| command.location == place);
        assert!(here.map(|command| command.id).is_sorted(), "{place:?}");
    }
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    centre.engine.check_invariants();
}

#[test]
fn nobody_waits_for_a_hundred_thousand_of_one_location() {
    const FLOOD: u128 = 100_000;
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = stuck(&centre, &[centre.here]);
    let running = drive(&centre, &clock, strict(2, 12));
    for id in 0..FLOOD {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    let there = location(&centre, "there");
    for id in FLOOD..FLOOD + 100 {
        let mut request = centre.request(id, at(20));
        request.location = there;
        centre.schedule(request, at(0));
    }
    clock.set(at(20));
    eventually("theirs are out", || {
        usize::try_from(FLOOD).unwrap() == centre.engine.pending()
    });
    // One at the router, and a third of twelve places.
    settled(&centre, &clock, 5);
    assert_eq!(
        ids_of(&centre, there),
        (FLOOD..FLOOD + 100).collect::<Vec<_>>()
    );
    centre.engine.check_invariants();
    gate.open();
    eventually("the flood is out", || centre.engine.pending() == 0);
    let flood = ids_of(&centre, centre.here);
    assert!(flood.is_sorted(), "in order");
    assert_eq!(flood.len() + 1, usize::try_from(FLOOD).unwrap());
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    centre.engine.check_invariants();
}

#[test]
fn a_location_that_falls_due_last_waits_for_one_turn_of_each_flooded_one() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = gated(&centre);
    let running = drive(&centre, &clock, strict(1, 8));
    // Many more locations than places, all of it due before.
    for id in 0..2_000_u128 {
        let mut request = centre.request(id, at(10));
        request.location = location(&centre, &format!("flooded {}", id % 20));
        centre.schedule(request, at(0));
    }
    clock.set(at(10));
    // One at the router, and all places are taken.
    settled(&centre, &clock, 9);
    clock.set(at(20));
    centre.schedule(centre.request(5_000, at(20)), at(20));
    settled(&centre, &clock, 9);
    assert_eq!(centre.state(5_000), RequestState::Scheduled);
    centre.engine.check_invariants();
    gate.open();
    eventually("all are out", || centre.engine.pending() == 0);
    let commands = centre.desk.take();
    let turn = commands.iter().position(|c| c.id == 5_000.into()).unwrap();
    // Nine were released before it came, and each of the twenty may have had a turn since.
    assert!(turn <= 29, "it was number {turn} of 2001");
    for number in 0..20 {
        let ids = commands
            .iter()
            .map(|command| command.id.value())
            .filter(|id| id % 20 == number && *id < 2_000);
        assert!(
            ids.eq((0..100).map(|n| n * 20 + number)),
            "none dropped, in order"
        );
    }
    drop(running);
    centre.engine.check_invariants();
}

#[test]
fn what_waits_for_dispatch_can_be_cancelled_rescheduled_and_moved() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = stuck(&centre, &[centre.here]);
    let running = drive(&centre, &clock, strict(2, 6));
    let there = location(&centre, "there");
    for id in 0..50 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    // One at the router, and a share of two.
    settled(&centre, &clock, 3);
    centre.engine.cancel(20.into(), at(10)).map(drop).unwrap();
    let later = ScheduleData::at(at(30));
    centre
        .engine
        .reschedule(21.into(), later, None, at(10))
        .map(drop)
        .unwrap();
    centre.engine.check_invariants();
    let moved = centre.engine.move_location(centre.here, there, at(10));
    assert_eq!(moved.unwrap().changed, 46);
    eventually("those go out there", || centre.engine.pending() == 4);
    // They move shard by shard, and the first may go out while others are still on the way.
    let mut gone = ids_of(&centre, there);
    gone.sort_unstable();
    let moved = (3..50).filter(|id| ![20, 21].contains(id));
    assert_eq!(gone, moved.collect::<Vec<_>>());
    clock.set(at(30));
    eventually("the later one too", || centre.engine.pending() == 3);
    gate.open();
    eventually("all are out", || centre.engine.pending() == 0);
    drop(running);
    centre.engine.check_invariants();
}

#[test]
fn lifespans_end_and_holds_park_while_dispatch_has_no_room() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = stuck(&centre, &[centre.here]);
    let running = drive(&centre, &clock, strict(1, 4));
    let limited = ScheduleData::builder()
        .time(at(10))
        .not_after(at(40))
        .build()
        .unwrap();
    for id in 0..50_u128 {
        let schedule = if id == 30 {
            limited.clone()
        } else {
            ScheduleData::at(at(10))
        };
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    clock.set(at(10));
    settled(&centre, &clock, 3);
    clock.set(at(40));
    eventually("its lifespan has ended", || {
        centre.outcome(30) == (Some(Outcome::Expired), Some("not_after".to_owned()))
    });
    centre.engine.hold(centre.here, at(40)).unwrap();
    gate.open();
    eventually("all but the one at the router are parked", || {
        centre.engine.report(at(40)).states[&RequestState::Held] == 48
    });
    assert_eq!(centre.desk.take_ids(), [0]);
    let resumed = centre.engine.resume(centre.here, None, at(41)).unwrap();
    assert_eq!(resumed.held, 48);
    eventually("none was dropped", || centre.engine.pending() == 0);
    assert_eq!(
        centre.desk.take_ids(),
        (1..50).filter(|&id| id != 30).collect::<Vec<_>>()
    );
    drop(running);
    centre.engine.check_invariants();
}

#[test]
fn lateness_shows_the_wait_for_dispatch() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = stuck(&centre, &[centre.here]);
    let running = drive(&centre, &clock, strict(2, 3));
    let there = location(&centre, "there");
    for id in 0..10 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    let mut other = centre.request(100, at(70));
    other.location = there;
    centre.schedule(other, at(0));
    clock.set(at(10));
    settled(&centre, &clock, 2);
    clock.set(at(70));
    eventually("the other location's is out", || {
        centre.state(100) == RequestState::Completed
    });
    gate.open();
    eventually("all are out", || centre.engine.pending() == 0);
    let report = centre.engine.report(at(70));
    let lateness = |place: LocationId| {
        let location = report.locations.iter().find(|l| l.id == place).unwrap();
        (location.lateness.count, location.lateness.max_ms)
    };
    let (count, max_ms) = lateness(centre.here);
    assert_eq!(count, 10);
    assert!((60_000..61_000).contains(&max_ms), "{max_ms}");
    assert_eq!(lateness(there), (1, 0));
    drop(running);
}

#[test]
fn what_waits_for_dispatch_is_for_the_next_poll_when_dispatch_ends() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = stuck(&centre, &[centre.here]);
    let running = drive(&centre, &clock, strict(1, 2));
    for id in 0..50_u128 {
        let mut request = centre.request(id, at(10));
        if id >= 25 {
            request.location = location(&centre, &format!("other {}", id % 2));
        }
        centre.schedule(request, at(0));
    }
    clock.set(at(10));
    settled(&centre, &clock, 3);
    gate.open();
    let report = running.shutdown(Shutdown::Stop, PATIENCE);
    assert!(!report.timed_out);
    // The worker may have been quick enough to route them all before the stop.
    let left = centre.engine.pending();
    let due = centre.engine.next_wakeup();
    let is_due = due.is_some_and(|due| due <= at(10));
    assert!(is_due || left == 0, "{left} left, the next poll at {due:?}");
    centre.poll(at(10));
    assert_eq!(centre.engine.pending(), 0);
    let ids: Vec<_> = centre.desk.take_ids();
    assert_eq!(ids.len(), 50);
    assert!(ids.iter().filter(|&&id| id < 25).is_sorted());
    // And with workers again.
    let running = drive(&centre, &clock, strict(2, 2));
    for id in 100..150 {
        centre.schedule(centre.request(id, at(20)), at(10));
    }
    clock.set(at(20));
    eventually("all are out", || centre.engine.pending() == 0);
    assert_eq!(centre.desk.take_ids(), (100..150).collect::<Vec<_>>());
    drop(running);
}

#[test]
fn a_command_that_is_completed_from_outside_gives_its_place_back_too() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let (tell, leases) = mpsc::channel();
    centre.desk.answer(move |command| {
        tell.send(command.lease).unwrap();
        Disposition::Accepted {
            lease_for: secs(3_600),
        }
    });
    let running = drive(&centre, &clock, strict(2, 2));
    for id in 0..500 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    // The cap is on calls of the router: what it has accepted is its own to bound.
    for id in 0..500_u64 {
        let lease = leases.recv_timeout(PATIENCE).unwrap();
        assert_eq!(lease.id(), id.into());
        let routed = duewheel::Completion::Routed;
        let _ = centre.engine.complete(&lease, routed, at(10)).unwrap();
    }
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    assert_eq!(centre.engine.pending(), 0);
}

#[test]
fn an_option_out_of_range_is_named() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    for (options, name) in [
        (
            DriverOptions {
                location_dispatch_max: Some(0),
                ..DriverOptions::default()
            },
            "location_dispatch_max",
        ),
        (
            DriverOptions {
                location_in_flight_max: Some(0),
                ..DriverOptions::default()
            },
            "location_in_flight_max",
        ),
    ] {
        let error = centre.engine.start(clock.clone(), options).unwrap_err();
        let StartError::Options(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.setting(), name);
        assert_eq!(error.to_string(), format!("{name}: 0: expected at least 1"));
    }
    drop(drive(&centre, &clock, DriverOptions::default()));
}
