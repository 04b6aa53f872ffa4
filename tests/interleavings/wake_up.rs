//! No sleep goes past an earlier due time. The clock stands in most of these, so that nothing but the engine's own bell
//! wakes the driver; where it is not rung, the program never ends.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    Completion, Disposition, DriverOptions, InteractionRequest, Pace, RequestId, ScheduleData,
    Shutdown,
};
use shuttle::sync::Barrier;

use super::support::{Centre, NEVER, aside, at, centre, centre_that, explore, hesitate};

fn end(centre: &Centre, running: duewheel::Running) {
    let report = running.shutdown(Shutdown::Stop, NEVER);
    assert!(report.panics.is_empty(), "{report:?}");
    assert!(!report.timed_out);
    centre.engine.check_invariants();
}

#[test]
fn an_intake_due_now_wakes_a_driver_that_sleeps_for_later() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(1, at(100)));
        let running = centre.start(0);
        let one = aside(&centre, |centre| {
            centre.schedule(centre.request(2, at(0)));
        });
        let other = aside(&centre, |centre| centre.schedule(centre.immediate(3)));
        centre.desk.wait_for(2);
        one.join().unwrap();
        other.join().unwrap();
        end(&centre, running);
        assert_eq!(centre.engine.pending(), 1);
    });
}

#[test]
fn a_batch_that_holds_something_due_wakes_the_driver() {
    explore(|| {
        let centre = centre();
        let running = centre.start(0);
        let later = aside(&centre, |centre| {
            centre.schedule(centre.request(1, at(50)));
        });
        let batch = vec![centre.request(2, at(100)), centre.immediate(3)];
        hesitate();
        let answers = centre.engine.schedule_batch(batch, at(0));
        assert!(answers.iter().all(Result::is_ok));
        centre.desk.wait_for(1);
        later.join().unwrap();
        end(&centre, running);
        assert_eq!(centre.desk.routed(), [(3, 1)]);
    });
}

#[test]
fn a_reschedule_to_now_wakes_the_driver() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(1, at(100)));
        let running = centre.start(0);
        hesitate();
        let (id, now) = (RequestId::integer(1), at(0));
        let receipt = centre
            .engine
            .reschedule(id, ScheduleData::at(now), None, now);
        assert!(receipt.is_ok());
        centre.desk.wait_for(1);
        end(&centre, running);
    });
}

#[test]
fn a_clock_that_moves_on_wakes_the_driver() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(1, at(100)));
        let running = centre.start(0);
        let intake = aside(&centre, |centre| {
            centre.schedule(centre.request(2, at(50)));
        });
        hesitate();
        centre.clock.set(at(60));
        centre.desk.wait_for(1);
        centre.clock.set(at(100));
        centre.desk.wait_for(2);
        intake.join().unwrap();
        end(&centre, running);
        assert_eq!(centre.desk.routed(), [(2, 1), (1, 1)]);
    });
}

#[test]
fn an_attempt_that_failed_and_is_due_again_wakes_the_driver() {
    explore(|| {
        let centre = centre_that(|command| match command.attempt {
            1 => Disposition::Accepted {
                lease_for: Duration::from_secs(1_000),
            },
            _ => Disposition::Routed,
        });
        let running = centre.start(0);
        centre.schedule(centre.immediate(1));
        centre.desk.wait_for(1);
        let again = Completion::Busy {
            retry_after: Some(Duration::ZERO),
        };
        let lease = centre.desk.command(0).lease;
        hesitate();
        let state = centre.engine.complete(&lease, again, at(0));
        assert!(state.is_ok());
        centre.desk.wait_for(2);
        end(&centre, running);
    });
}

#[test]
fn a_location_taken_off_hold_wakes_the_driver() {
    explore(|| {
        let centre = centre();
        centre.engine.hold(centre.here, at(0)).unwrap();
        let running = centre.start(0);
        let intake = aside(&centre, |centre| centre.schedule(centre.immediate(1)));
        hesitate();
        centre.engine.resume(centre.here, None, at(0)).unwrap();
        centre.desk.wait_for(1);
        intake.join().unwrap();
        end(&centre, running);
    });
}

#[test]
fn a_pace_that_is_lifted_wakes_the_driver() {
    explore(|| {
        let centre = centre();
        let pace = Pace::per_second(1);
        centre.engine.resume(centre.here, pace, at(0)).unwrap();
        centre.schedule(centre.immediate(1));
        centre.schedule(centre.immediate(2));
        let running = centre.start(0);
        let lift = aside(&centre, |centre| {
            centre.engine.resume(centre.here, None, at(0)).unwrap();
        });
        centre.desk.wait_for(2);
        lift.join().unwrap();
        end(&centre, running);
    });
}

#[test]
fn room_in_the_workers_queue_wakes_a_poll_that_was_blocked() {
    explore(|| {
        let centre = centre();
        for id in 1..=3 {
            centre.schedule(centre.immediate(id));
        }
        let running = centre.start_with(DriverOptions {
            workers: 2,
            dispatch_max: 1,
            ..DriverOptions::default()
        });
        centre.desk.wait_for(3);
        end(&centre, running);
        assert_eq!(centre.engine.pending(), 0);
    });
}

/// Its two answers wait for one another, so that nothing but a command taken out of the queue makes room in it.
#[test]
fn room_in_the_queue_wakes_a_blocked_poll_while_the_router_is_called() {
    explore(|| {
        let both = Arc::new(Barrier::new(2));
        let centre = centre_that(move |_| {
            both.wait();
            Disposition::Routed
        });
        let there = centre.engine.directory().enter("BB0202").unwrap();
        let elsewhere = InteractionRequest::new(RequestId::integer(2), there);
        centre.schedule(centre.immediate(1));
        centre.schedule(elsewhere);
        let running = centre.start_with(DriverOptions {
            workers: 2,
            dispatch_max: 1,
            ..DriverOptions::default()
        });
        centre.desk.wait_for(2);
        end(&centre, running);
        assert_eq!(centre.engine.pending(), 0);
    });
}
