//! Dispatch workers: fairness, order, backpressure, leases of workers that are stuck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use duewheel::{
    Completion, Disposition, DriverOptions, Engine, ManualClock, RequestState, ScheduleData,
    Shutdown,
};

use crate::support::{at, centre, centre_with, secs};

use crate::driver::{Gate, PATIENCE, eventually, gated, quickest, start};

#[test]
fn workers_keep_the_order_within_a_location() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let places: Vec<_> = (0..5)
        .map(|n| {
            centre
                .engine
                .directory()
                .enter(&format!("BB{n:04}"))
                .unwrap()
        })
        .collect();
    let running = start(&centre, &clock, 2);
    for id in 0..1_000_u128 {
        let mut request = centre.request(id, at(10));
        request.location = places[usize::try_from(id % 5).unwrap()];
        centre.schedule(request, at(0));
    }
    clock.set(at(10));
    eventually("all are routed", || centre.engine.pending() == 0);
    let commands = centre.desk.take();
    assert_eq!(commands.len(), 1_000);
    for place in places {
        let here = commands.iter().filter(|command| command.location == place);
        assert!(
            here.map(|command| command.id).is_sorted(),
            "order within {place:?}"
        );
    }
    drop(running);
    centre.engine.check_invariants();
}

#[test]
fn one_slow_location_does_not_take_all_workers() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let fast = centre.engine.directory().enter("fast").unwrap();
    let gate = Gate::shut();
    let (shut, slow) = (Arc::clone(&gate), centre.here);
    centre.desk.answer(move |command| {
        if command.location == slow {
            shut.pass();
        }
        Disposition::Routed
    });
    let running = start(&centre, &clock, 3);
    for id in 0..100 {
        let mut request = centre.request(id, at(10));
        if id >= 4 {
            request.location = fast;
        }
        centre.schedule(request, at(0));
    }
    clock.set(at(10));
    eventually("the fast location's are routed", || {
        centre.engine.pending() == 4
    });
    assert_eq!(centre.engine.in_flight(), 4);
    gate.open();
    eventually("the slow one's too", || centre.engine.pending() == 0);
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
}

#[test]
fn a_full_dispatch_queue_keeps_what_is_due_in_order_and_cancellable() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = Gate::shut();
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |_| {
        shut.pass();
        Disposition::Routed
    });
    let running = start(&centre, &clock, 1);
    for id in 0..50 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    // One at the router, eight in the queue.
    eventually("the queue is full", || centre.engine.in_flight() == 9);
    assert!(centre.engine.cancel(3.into(), at(10)).is_err(), "released");
    let guessed = "3/1/1".parse().unwrap();
    let early = centre.engine.complete(&guessed, Completion::Routed, at(10));
    assert!(early.is_err(), "nobody was told of this lease yet");
    assert!(
        centre.engine.cancel(30.into(), at(10)).is_ok(),
        "not released"
    );
    gate.open();
    eventually("all are routed", || centre.engine.pending() == 0);
    assert_eq!(
        centre.desk.take_ids(),
        (0..50).filter(|&id| id != 30).collect::<Vec<_>>()
    );
    drop(running);
}

#[test]
fn a_worker_checks_the_hold_once_more_right_before_route() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let engine = Arc::downgrade(&centre.engine);
    centre.desk.answer(move |command| {
        if command.id == 0.into() {
            // The others are queued behind this one by now, or will be: all of them must stop.
            engine
                .upgrade()
                .unwrap()
                .hold(command.location, command.released)
                .unwrap();
        }
        Disposition::Routed
    });
    let running = start(&centre, &clock, 1);
    for id in 0..5 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    eventually("the others are parked", || {
        (1..5).all(|id| centre.state(id) == RequestState::Held)
    });
    assert_eq!(centre.desk.take_ids(), [0]);
    assert_eq!(
        centre.engine.status(1.into()).unwrap().attempts,
        0,
        "nobody was told of an attempt"
    );
    centre.engine.resume(centre.here, None, at(10)).unwrap();
    eventually("and go on", || centre.engine.pending() == 0);
    drop(running);
    centre.engine.check_invariants();
}

#[test]
fn a_worker_stuck_in_the_router_loses_its_lease_and_the_request_goes_to_another() {
    let centre = centre_with(Engine::builder().lease(secs(60)));
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = Gate::shut();
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |command| {
        if command.attempt == 1 {
            shut.pass();
        }
        Disposition::Routed
    });
    let running = start(&centre, &clock, 3);
    centre.schedule(centre.request(1, at(10)), at(0));
    clock.set(at(10));
    eventually("it is at the router", || {
        centre.state(1) == RequestState::Routing
    });
    clock.set(at(70));
    eventually("its lease has run out", || {
        centre.state(1) == RequestState::Scheduled
    });
    clock.set(at(100));
    eventually("another worker has it", || {
        centre.state(1) == RequestState::Completed
    });
    let report = running.shutdown(Shutdown::Stop, Duration::from_millis(50));
    assert!(
        report.timed_out,
        "a thread is still inside the router: it is left behind"
    );
    gate.open();
    let commands = centre.desk.take();
    assert_eq!(
        commands
            .iter()
            .map(|c| (c.attempt, c.redelivery))
            .collect::<Vec<_>>(),
        [(1, false), (2, true)]
    );
}

#[test]
fn an_answer_after_the_lease_ran_out_counts_until_a_newer_attempt_is_released() {
    let centre = centre_with(Engine::builder().lease(secs(60)));
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = Gate::shut();
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |_| {
        shut.pass();
        Disposition::Routed
    });
    let running = start(&centre, &clock, 1);
    centre.schedule(centre.request(1, at(10)), at(0));
    clock.set(at(10));
    eventually("it is at the router", || {
        centre.state(1) == RequestState::Routing
    });
    clock.set(at(70));
    eventually("its lease has run out", || {
        centre.state(1) == RequestState::Scheduled
    });
    gate.open();
    eventually("the late answer is taken", || {
        centre.state(1) == RequestState::Completed
    });
    clock.set(at(1_000));
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    assert_eq!(centre.desk.take().len(), 1, "it went out once");
}

#[test]
fn stop_hands_back_what_no_worker_took() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = Gate::shut();
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |_| {
        shut.pass();
        Disposition::Routed
    });
    let running = start(&centre, &clock, 1);
    for id in 0..5 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    eventually("one is at the router, four wait", || {
        centre.engine.in_flight() == 5 && centre.state(0) == RequestState::Routing
    });
    let report = running.shutdown(Shutdown::Stop, Duration::from_millis(20));
    assert_eq!(
        (report.pending, report.in_flight, report.timed_out),
        (5, 1, true)
    );
    gate.open();
    eventually("its answer is taken when it comes", || {
        centre.state(0) == RequestState::Completed
    });
    centre.engine.check_invariants();
    assert_eq!(centre.poll(at(10)), 4);
    assert_eq!(centre.desk.take_ids(), [0, 1, 2, 3, 4]);
}

#[test]
fn leases_run_out_and_lifespans_end_while_the_dispatch_queue_is_full() {
    let centre = centre_with(Engine::builder().lease(secs(60)));
    let clock = Arc::new(ManualClock::new(at(0)));
    let there = centre.engine.directory().enter("AA0102").unwrap();
    centre.engine.hold(there, at(0)).unwrap();
    let mut parked = centre.immediate(100);
    parked.location = there;
    parked.schedule = Some(
        ScheduleData::builder()
            .time(at(5))
            .not_after(at(40))
            .build()
            .unwrap(),
    );
    centre.schedule(parked, at(0));
    let gate = gated(&centre);
    let running = start(&centre, &clock, 1);
    for id in 0..20 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    eventually("the queue is full", || {
        centre.engine.in_flight() == 9 && centre.state(0) == RequestState::Routing
    });
    clock.set(at(40));
    eventually("a lifespan ends on hold", || {
        centre.state(100) == RequestState::Completed
    });
    clock.set(at(70));
    eventually("a lease runs out", || {
        centre.state(0) == RequestState::Scheduled
    });
    gate.open();
    clock.set(at(200));
    eventually("all end", || centre.engine.pending() == 0);
    drop(running);
}

#[test]
fn room_in_the_dispatch_queue_wakes_the_driver() {
    let took = quickest(|| {
        let centre = centre();
        let gate = gated(&centre);
        let options = DriverOptions {
            workers: 4,
            dispatch_max: 1,
            ..DriverOptions::default()
        };
        let clock = Arc::new(ManualClock::new(at(0)));
        let running = centre.engine.start(clock.clone(), options).unwrap();
        for id in 0..5 {
            centre.schedule(centre.request(id, at(10)), at(0));
        }
        clock.set(at(10));
        let began = Instant::now();
        // Three are at the router, which is the location's share, and one waits.
        eventually("the workers are busy", || centre.engine.in_flight() == 4);
        let took = began.elapsed();
        gate.open();
        drop(running);
        took
    });
    assert!(took < Duration::from_millis(400), "{took:?}");
}

#[test]
fn a_request_that_no_worker_took_to_the_router_has_its_condition_judged_again() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let engine = Arc::downgrade(&centre.engine);
    centre.desk.answer(move |command| {
        if command.id == 0.into() {
            let engine = engine.upgrade().unwrap();
            // The other is queued behind this one.
            eventually("both are released", || engine.in_flight() == 2);
            engine.hold(command.location, command.released).unwrap();
        }
        Disposition::Routed
    });
    centre.desk.expects_wait(Some(secs(1)));
    let running = start(&centre, &clock, 1);
    let schedule = ScheduleData::builder()
        .time_if(at(10), duewheel::ProcessingCondition::WaitBelow(secs(60)))
        .time(at(5_000))
        .build()
        .unwrap();
    centre.schedule(centre.request(0, at(10)), at(0));
    centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
    clock.set(at(10));
    eventually("the other is parked", || {
        centre.state(1) == RequestState::Held
    });
    centre.desk.take();
    centre.desk.take_consulted();
    centre.desk.expects_wait(None);
    clock.set(at(1_000));
    centre.engine.resume(centre.here, None, at(1_000)).unwrap();
    eventually("it is consulted upon", || {
        !centre.desk.take_consulted().is_empty()
    });
    assert!(!running.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    assert_eq!(centre.desk.take(), [], "nobody is free now");
    assert_eq!(centre.state(1), RequestState::Scheduled);
}
