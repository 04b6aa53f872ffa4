//! After a stall or downtime: overdue requests go out oldest first, paced where their location is paced, under
//! their missed policy; and nobody else waits for that.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    Clock, DriverOptions, Engine, LocationId, ManualClock, MissedPolicy, Outcome, Pace,
    RoutingCommand, ScheduleData, Shutdown, Timestamp,
};

use crate::driver::{PATIENCE, eventually, gated};
use crate::support::{Centre, at, centre, centre_with, run};

/// Twenty requests that fall due one a second from 10 s on, taken in in another order, at two a second.
fn paced(centre: &Centre) {
    let pace = Pace::per_second(2);
    centre.engine.resume(centre.here, pace, at(0)).unwrap();
    for n in 0..20_u64 {
        let id = n * 7 % 20;
        centre.schedule(centre.request(id.into(), at(10 + id)), at(0));
    }
}

/// One of another location.
fn elsewhere(centre: &Centre, id: u128, due: Timestamp) -> LocationId {
    let there = centre.engine.directory().enter("there").unwrap();
    let mut request = centre.request(id, due);
    request.location = there;
    centre.schedule(request, at(0));
    there
}

fn of(commands: &[RoutingCommand], location: LocationId) -> Vec<(u128, u64)> {
    let here = commands.iter().filter(|c| c.location == location);
    here.map(|c| (c.id.value(), c.released.as_millis() - at(0).as_millis()))
        .collect()
}

#[test]
fn a_pace_set_before_the_stall_holds_after_it_and_the_oldest_go_first() {
    let centre = centre();
    paced(&centre);
    let there = elsewhere(&centre, 100, at(5));
    elsewhere(&centre, 101, at(103));
    // Nothing polls for a hundred seconds.
    run(&centre, at(100), at(200));
    let commands = centre.desk.take();
    let caught_up: Vec<_> = (0..20).map(|n| (n, 100_000 + n as u64 * 500)).collect();
    assert_eq!(of(&commands, centre.here), caught_up);
    assert_eq!(of(&commands, there), [(100, 100_000), (101, 103_000)]);
}

#[test]
fn what_falls_due_while_a_location_catches_up_stands_behind_what_is_older() {
    let centre = centre();
    paced(&centre);
    // Due while the twenty go out, and taken in before them or meanwhile.
    centre.schedule(centre.request(200, at(102)), at(0));
    centre.poll(at(100));
    centre.schedule(centre.immediate(201), at(101));
    run(&centre, at(101), at(200));
    let ids: Vec<_> = of(&centre.desk.take(), centre.here)
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    let expected: Vec<_> = (0..20).chain([201, 200]).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_stalled_clock_thread_catches_up_by_the_pace_with_workers_too() {
    let centre = centre();
    paced(&centre);
    let there = elsewhere(&centre, 100, at(50));
    elsewhere(&centre, 101, at(103));
    let clock = Arc::new(ManualClock::new(at(0)));
    let options = DriverOptions {
        workers: 3,
        location_in_flight_max: Some(1),
        dispatch_max: 4,
        ..DriverOptions::default()
    };
    let driving = Arc::clone(&clock) as Arc<dyn Clock>;
    let running = centre.engine.start(driving, options).unwrap();
    let gate = gated(&centre);
    // From 0 s to 100 s at once: the machine was suspended.
    clock.set(at(100));
    gate.open();
    for released in 1..=20_usize {
        eventually("the next is out", || {
            let late = usize::from(clock.now() >= at(103));
            centre.engine.pending() == 22 - released - 1 - late
        });
        clock.advance(Duration::from_millis(500));
    }
    let commands = centre.desk.take();
    let caught_up: Vec<_> = (0..20).map(|n| (n, 100_000 + n as u64 * 500)).collect();
    assert_eq!(of(&commands, centre.here), caught_up);
    assert_eq!(of(&commands, there), [(100, 100_000), (101, 103_000)]);
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    centre.engine.check_invariants();
}

#[test]
fn what_its_missed_policy_gives_up_takes_no_token() {
    let centre = centre();
    let pace = Pace::per_second(1);
    centre.engine.resume(centre.here, pace, at(0)).unwrap();
    for id in 0..10_u128 {
        let policy = if id % 2 == 0 {
            MissedPolicy::Expire
        } else {
            MissedPolicy::Release
        };
        let schedule = ScheduleData::builder()
            .time(at(10))
            .missed(policy)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    run(&centre, at(1_000), at(1_100));
    let released: Vec<_> = (0..5)
        .map(|n| (2 * n + 1, 1_000_000 + n as u64 * 1_000))
        .collect();
    assert_eq!(of(&centre.desk.take(), centre.here), released);
    for id in [0, 2, 4, 6, 8] {
        let expired = (Some(Outcome::Expired), Some("missed".to_owned()));
        assert_eq!(centre.outcome(id), expired);
    }
}

#[test]
fn a_backlog_of_many_locations_goes_out_oldest_first_in_each() {
    let centre = centre();
    for id in 0..300_u64 {
        let name = format!("location {}", id % 7);
        let mut request = centre.request(id.into(), at(10 + id * 11 % 300));
        request.location = centre.engine.directory().enter(&name).unwrap();
        centre.schedule(request, at(0));
    }
    let clock = Arc::new(ManualClock::new(at(500)));
    let options = DriverOptions {
        workers: 1,
        location_dispatch_max: Some(1_024),
        ..DriverOptions::default()
    };
    let gate = gated(&centre);
    let driving = Arc::clone(&clock) as Arc<dyn Clock>;
    let running = centre.engine.start(driving, options).unwrap();
    eventually("all are released", || centre.engine.in_flight() == 300);
    gate.open();
    eventually("all are out", || centre.engine.pending() == 0);
    let commands = centre.desk.take();
    for place in commands.iter().map(|command| command.location) {
        let here = commands.iter().filter(|command| command.location == place);
        assert!(here.is_sorted_by_key(|command| command.due));
    }
    drop(running);
}

#[test]
fn a_default_pace_is_each_locations_own_until_it_is_given_another() {
    let pace = |releases| Pace::per_second(releases).unwrap();
    let centre = centre_with(Engine::builder().default_pace(pace(2)));
    let there = elsewhere(&centre, 100, at(5));
    for id in 101..104 {
        elsewhere(&centre, id, at(5));
    }
    for id in 0..4 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    assert_eq!(centre.engine.report(at(0)).locations[0].pace, Some(2));
    run(&centre, at(100), at(101));
    let commands = centre.desk.take();
    let expected = [(0, 100_000), (1, 100_500), (2, 101_000)];
    assert_eq!(of(&commands, centre.here), expected);
    let expected = [(100, 100_000), (101, 100_500), (102, 101_000)];
    assert_eq!(of(&commands, there), expected);
    // Its own, and the default again.
    centre
        .engine
        .resume(there, Some(pace(10)), at(101))
        .unwrap();
    run(&centre, at(101), at(200));
    let commands = centre.desk.take();
    assert_eq!(of(&commands, there), [(103, 101_100)]);
    assert_eq!(of(&commands, centre.here), [(3, 101_500)]);
    centre.engine.resume(there, None, at(200)).unwrap();
    let report = centre.engine.report(at(200));
    assert!(
        report
            .locations
            .iter()
            .all(|location| location.pace == Some(2))
    );
}
