//! Promise 7: callbacks outside locks, re-entrant routers, panicking routers.

use std::sync::Arc;

use duewheel::{
    CancelError, Disposition, Engine, Outcome, Pace, PollError, RequestState, RescheduleError,
    ScheduleData,
};

use crate::support::{at, centre, centre_with, run};

#[test]
fn the_router_may_call_back_into_the_engine_from_route() {
    // One shard, so that a lock held while the router runs would be met by every call back.
    let centre = centre_with(Engine::builder().shards(1));
    let engine = Arc::downgrade(&centre.engine);
    let here = centre.here;
    centre.desk.answer(move |command| {
        let engine = engine.upgrade().unwrap();
        let (id, now) = (command.id, command.released);
        let next = id.value() + 100;
        if next < 400 {
            let request =
                duewheel::InteractionRequest::new(duewheel::RequestId::integer(next), here);
            engine.schedule(request, now).map(drop).unwrap();
        }
        let too_late = CancelError::TooLate {
            id,
            state: RequestState::Routing,
        };
        assert_eq!(engine.cancel(id, now), Err(too_late), "cancel of itself");
        let too_late = RescheduleError::TooLate {
            id,
            state: RequestState::Routing,
        };
        assert_eq!(
            engine.reschedule(id, ScheduleData::at(now), None, now),
            Err(too_late)
        );
        assert_eq!(engine.status(id).unwrap().state, RequestState::Routing);
        assert!(
            matches!(engine.poll(now, 1), Err(PollError::Busy)),
            "one poll at a time"
        );
        assert!(engine.report(now).pending > 0);
        assert_eq!(
            engine.list_location(here, None, 1).unwrap().requests.len(),
            1
        );
        let _ = (engine.next_wakeup(), engine.pending());
        engine.check_invariants();
        Disposition::Routed
    });
    for id in 1..=3 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    centre.poll(at(10));
    let ids = centre.desk.take_ids();
    assert_eq!(ids, [1, 2, 3, 101, 102, 103, 201, 202, 203, 301, 302, 303]);
}

#[test]
fn a_hold_from_inside_route_stops_the_rest_of_the_poll() {
    let centre = centre_with(Engine::builder().shards(1));
    let engine = Arc::downgrade(&centre.engine);
    centre.desk.answer(move |command| {
        let engine = engine.upgrade().unwrap();
        if command.id == 2.into() {
            let held = engine.hold(command.location, command.released).unwrap();
            assert_eq!(held.in_flight, 1, "itself");
        }
        Disposition::Routed
    });
    for id in 1..=5 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [1, 2]);
    centre
        .engine
        .resume(centre.here, Pace::per_second(1_000), at(11))
        .unwrap();
    run(&centre, at(11), at(12));
    assert_eq!(centre.desk.take_ids(), [3, 4, 5]);
}

#[test]
fn the_router_may_call_back_from_consult_too() {
    let centre = centre_with(Engine::builder().shards(1));
    let engine = Arc::downgrade(&centre.engine);
    centre.desk.opinion(move |due| {
        let engine = engine.upgrade().unwrap();
        match due.id.value() {
            1 => drop(engine.cancel(due.id, due.now).unwrap()),
            2 => drop(
                engine
                    .reschedule(due.id, ScheduleData::at(at(50)), None, due.now)
                    .unwrap(),
            ),
            _ => {}
        }
        duewheel::Consultation {
            good_for: Some(1),
            ..Default::default()
        }
    });
    for id in 1..=3 {
        let request = centre.request(id, at(10));
        centre.schedule(request, at(0));
    }
    centre.poll(at(10));
    // What was cancelled or rescheduled while it was consulted upon is not released.
    assert_eq!(centre.desk.take_ids(), [3]);
    assert_eq!(centre.outcome(1).0, Some(Outcome::Cancelled));
    assert_eq!(centre.due(2), at(50));
}

#[test]
fn a_panic_in_route_is_one_failed_attempt() {
    let centre = centre();
    centre.desk.answer(|command| {
        assert!(
            command.id != 1.into() || command.attempt > 1,
            "a panic that the test makes"
        );
        Disposition::Routed
    });
    centre.schedule(centre.request(1, at(10)), at(0));
    centre.schedule(centre.request(2, at(10)), at(0));
    run(&centre, at(0), at(100));
    let commands = centre.desk.take();
    let seen: Vec<_> = commands
        .iter()
        .map(|c| (c.id.value(), c.attempt, c.redelivery))
        .collect();
    assert_eq!(seen, [(1, 1, false), (2, 1, false), (1, 2, true)]);
    assert_eq!(centre.outcome(1).0, Some(Outcome::Routed));
    assert_eq!(centre.engine.report(at(100)).router_panics, 1);
}

#[test]
fn a_router_that_always_panics_ends_in_the_dead_letters_and_the_engine_goes_on() {
    let centre = centre();
    centre.desk.answer(|command| {
        assert!(command.id != 1.into(), "a panic that the test makes");
        Disposition::Routed
    });
    centre.schedule(centre.request(1, at(10)), at(0));
    run(&centre, at(0), at(1_000));
    assert_eq!(
        centre.outcome(1),
        (
            Some(Outcome::DeadLettered),
            Some("router_panicked".to_owned())
        )
    );
    centre.schedule(centre.request(2, at(1_001)), at(1_000));
    run(&centre, at(1_000), at(1_001));
    assert_eq!(centre.outcome(2).0, Some(Outcome::Routed));
}

#[test]
fn a_panic_in_consult_is_one_failed_attempt() {
    let centre = centre();
    centre.desk.opinion(|due| {
        assert!(due.attempt > 1, "a panic that the test makes");
        duewheel::Consultation::default()
    });
    centre.schedule(centre.request(1, at(10)), at(0));
    run(&centre, at(0), at(100));
    let command = centre.desk.take().remove(0);
    assert_eq!(
        (command.released, command.attempt, command.redelivery),
        (at(40), 2, false)
    );
}

#[test]
fn a_location_moved_while_the_router_is_consulted_loses_no_request() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    let engine = Arc::downgrade(&centre.engine);
    let here = centre.here;
    centre.desk.opinion(move |due| {
        if due.location == here {
            let engine = engine.upgrade().unwrap();
            let _ = engine.move_location(here, there, due.now).unwrap();
        }
        duewheel::Consultation::default()
    });
    for id in 1..=3 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [1, 2, 3]);
    assert_eq!(centre.engine.pending(), 0, "none is examined for ever");
}

/// What a router's panic may carry: something of the user's that does as it likes when it is dropped.
struct Noisy(Box<dyn Fn() + Send>);

impl Drop for Noisy {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn what_a_panic_in_consult_carried_is_dropped_outside_locks() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let centre = centre_with(Engine::builder().shards(1));
        let engine = Arc::downgrade(&centre.engine);
        centre.desk.opinion(move |due| {
            let (engine, id) = (engine.clone(), due.id);
            std::panic::panic_any(Noisy(Box::new(move || {
                let _ = engine.upgrade().unwrap().status(id);
            })));
        });
        centre.schedule(centre.request(1, at(10)), at(0));
        run(&centre, at(0), at(1_000));
        done.send(centre.outcome(1).0).unwrap();
    });
    let outcome = finished
        .recv_timeout(std::time::Duration::from_secs(20))
        .expect("no lock is held while it is dropped");
    assert_eq!(outcome, Some(Outcome::DeadLettered));
}

#[test]
fn a_panic_that_panics_again_when_dropped_is_one_failed_attempt() {
    let noisy = || {
        std::panic::panic_any(Noisy(Box::new(|| {
            panic!("a second panic that the test makes")
        })));
    };
    for batch in [1, 2] {
        let centre = centre_with(Engine::builder().route_batch(batch));
        centre.desk.answer(move |command| {
            if command.attempt == 1 && command.id == 1.into() {
                noisy();
            }
            Disposition::Routed
        });
        centre.desk.opinion(move |due| {
            if due.attempt == 1 && due.id == 2.into() {
                noisy();
            }
            duewheel::Consultation::default()
        });
        centre.schedule(centre.immediate(1), at(10));
        centre.schedule(centre.request(2, at(10)), at(0));
        run(&centre, at(0), at(100));
        let report = centre.engine.report(at(100));
        assert_eq!((report.router_panics, report.pending), (2, 0));
        assert_eq!(report.outcomes[&Outcome::Routed], 2);
    }
}

#[test]
fn a_batch_that_waits_is_routed_before_anybody_is_consulted() {
    let centre = centre_with(Engine::builder().shards(1).route_batch(10));
    let engine = Arc::downgrade(&centre.engine);
    let there = centre.engine.directory().enter("AA0102").unwrap();
    centre.desk.opinion(move |due| {
        assert_eq!(engine.upgrade().unwrap().pending(), 1, "the batch is done");
        assert_eq!(due.id, 3.into());
        duewheel::Consultation::default()
    });
    centre.schedule(centre.immediate(1), at(0));
    centre.schedule(centre.immediate(2), at(0));
    let mut other = centre.request(3, at(1));
    other.location = there;
    centre.schedule(other, at(0));
    centre.poll(at(1));
    assert_eq!(centre.desk.take_ids(), [1, 2, 3]);
}

#[test]
fn nobody_is_consulted_about_a_request_that_its_batch_has_cancelled_moved_or_held() {
    for does in ["cancel", "move", "hold"] {
        let centre = centre_with(Engine::builder().shards(1).route_batch(10));
        let engine = Arc::downgrade(&centre.engine);
        let there = centre.engine.directory().enter("AA0102").unwrap();
        centre.desk.answer(move |command| {
            let engine = engine.upgrade().unwrap();
            if command.id == 1.into() {
                match does {
                    "cancel" => drop(engine.cancel(3.into(), at(1)).unwrap()),
                    "move" => {
                        let change = engine.move_location(command.location, there, at(1));
                        assert_eq!(change.unwrap().changed, 1);
                    }
                    _ => drop(engine.hold(command.location, at(1)).unwrap()),
                }
            }
            Disposition::Routed
        });
        centre.schedule(centre.immediate(1), at(0));
        centre.schedule(centre.request(3, at(1)), at(0));
        centre.poll(at(1));
        let consulted = centre.desk.take_consulted();
        match does {
            "move" => assert_eq!(consulted[0].location, there),
            _ => assert!(consulted.is_empty(), "{does}: {consulted:?}"),
        }
        assert_eq!(
            centre.engine.status(3.into()).unwrap().attempts,
            u32::from(does == "move")
        );
    }
}

#[test]
fn what_a_batch_sends_back_to_now_is_taken_up_by_the_same_poll() {
    for batch in [1, 10] {
        let centre = centre_with(Engine::builder().route_batch(batch));
        centre.desk.answer(|command| match command.attempt {
            1 => Disposition::Reschedule(duewheel::ScheduleData::at(at(5))),
            2 => Disposition::Busy {
                retry_after: Some(std::time::Duration::ZERO),
            },
            _ => Disposition::Routed,
        });
        centre.schedule(centre.request(1, at(10)), at(0));
        let poll = centre.engine.poll(at(10), 100).unwrap();
        assert_eq!((poll.released, poll.more), (3, false), "batches of {batch}");
        assert_eq!(centre.engine.pending(), 0);
    }
}
