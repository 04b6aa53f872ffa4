//! Promise 9: threads and clocks for those who ask, and for nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use duewheel::{
    Clock, Completion, Disposition, DriverOptions, Engine, ManualClock, RequestState, Running,
    ScheduleData, ScheduleErrorReason, Shutdown, StartError, SystemClock, Timestamp,
};

use crate::support::{Centre, at, centre, centre_with, secs};

const PATIENCE: Duration = Duration::from_secs(30);

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps whoever comes through waiting until it is opened.
#[derive(Default)]
struct Gate {
    open: parking_lot::Mutex<bool>,
    opened: parking_lot::Condvar,
}

impl Gate {
    fn shut() -> Arc<Self> {
        Arc::default()
    }

    fn pass(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
    }

    fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

fn start(centre: &Centre, clock: &Arc<ManualClock>, workers: usize) -> Running {
    let options = DriverOptions {
        workers,
        dispatch_max: 8,
        ..DriverOptions::default()
    };
    centre
        .engine
        .start(Arc::clone(clock) as Arc<dyn Clock>, options)
        .unwrap()
}

#[test]
fn without_start_nothing_runs() {
    let centre = centre();
    centre.schedule(
        centre.request(1, Timestamp::from_millis(0)),
        Timestamp::from_millis(0),
    );
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(centre.desk.take(), []);
}

#[test]
fn a_driver_releases_when_the_clock_gets_there() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let running = start(&centre, &clock, 0);
    centre.schedule(centre.request(1, at(10)), at(0));
    centre.schedule(centre.request(2, at(5)), at(0));
    clock.set(at(9));
    eventually("the second is released", || {
        centre.state(2) == RequestState::Completed
    });
    assert_eq!(centre.state(1), RequestState::Scheduled);
    clock.set(at(10));
    eventually("the first is released", || {
        centre.state(1) == RequestState::Completed
    });
    let report = running.shutdown(Shutdown::Stop, PATIENCE);
    assert_eq!(
        (report.pending, report.timed_out, report.panics.len()),
        (0, false, 0)
    );
}

#[test]
fn an_earlier_intake_wakes_a_sleeping_driver_in_real_time() {
    let centre = centre();
    let clock = Arc::new(SystemClock);
    let running = centre
        .engine
        .start(
            Arc::clone(&clock) as Arc<dyn Clock>,
            DriverOptions::default(),
        )
        .unwrap();
    let now = clock.now();
    centre.schedule(centre.request(1, now.saturating_add(secs(3_600))), now);
    std::thread::sleep(Duration::from_millis(50));
    let due = clock.now().saturating_add(Duration::from_millis(30));
    centre.schedule(centre.request(2, due), clock.now());
    eventually("the near one is released", || {
        centre.state(2) == RequestState::Completed
    });
    let command = centre.desk.take().remove(0);
    assert!(command.released >= due, "never early");
    assert_eq!(centre.state(1), RequestState::Scheduled);
    assert_eq!(running.shutdown(Shutdown::Stop, PATIENCE).pending, 1);
}

#[test]
fn an_engine_is_driven_once_at_a_time_and_can_be_started_again() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let running = start(&centre, &clock, 2);
    let again = centre.engine.start(
        Arc::clone(&clock) as Arc<dyn Clock>,
        DriverOptions::default(),
    );
    assert!(matches!(again, Err(StartError::Running)));
    drop(running);
    centre.schedule(centre.request(1, at(10)), at(0));
    let running = start(&centre, &clock, 2);
    clock.set(at(10));
    eventually("released by the second driver", || {
        centre.state(1) == RequestState::Completed
    });
    assert!(!running.shutdown(Shutdown::Stop, PATIENCE).timed_out);
    // And by hand again.
    centre.schedule(centre.request(2, at(11)), at(10));
    assert_eq!(centre.poll(at(11)), 1);
}

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
fn drain_ends_when_all_that_is_due_has_ended_and_takes_nothing_in() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(10)));
    let routed = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&routed);
    centre.desk.answer(move |_| {
        std::thread::sleep(Duration::from_millis(1));
        seen.fetch_add(1, Ordering::SeqCst);
        Disposition::Routed
    });
    let running = start(&centre, &clock, 2);
    for id in 0..100 {
        centre.schedule(centre.request(id, at(10)), at(10));
    }
    centre.schedule(centre.request(1_000, at(11)), at(10));
    let report = running.shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!(routed.load(Ordering::SeqCst), 100);
    assert_eq!(
        (report.pending, report.in_flight, report.timed_out),
        (1, 0, false)
    );
    let error = centre
        .engine
        .schedule(centre.request(5_000, at(11)), at(10))
        .unwrap_err();
    assert_eq!(error.reason, ScheduleErrorReason::Closed);
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
fn a_shutdown_from_inside_the_router_waits_for_no_thread() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let slot: Arc<parking_lot::Mutex<Option<Running>>> = Arc::default();
    let inner = Arc::clone(&slot);
    let report = Arc::new(parking_lot::Mutex::new(None));
    let said = Arc::clone(&report);
    centre.desk.answer(move |_| {
        let running = inner.lock().take().unwrap();
        *said.lock() = Some(running.shutdown(Shutdown::Drain, PATIENCE));
        Disposition::Routed
    });
    let mut guard = slot.lock();
    *guard = Some(start(&centre, &clock, 1));
    drop(guard);
    centre.schedule(centre.request(1, at(10)), at(0));
    clock.set(at(10));
    eventually("it is shut down", || report.lock().is_some());
    eventually("and the answer still counts", || {
        centre.state(1) == RequestState::Completed
    });
}

#[test]
fn two_engines_in_one_process_are_independent() {
    let (one, other) = (centre(), centre());
    let clock = Arc::new(ManualClock::new(at(0)));
    let first = start(&one, &clock, 1);
    let second = start(&other, &clock, 0);
    one.schedule(one.request(1, at(10)), at(0));
    other.schedule(other.request(1, at(10)), at(0));
    drop(first);
    clock.set(at(10));
    eventually("the other goes on", || {
        other.state(1) == RequestState::Completed
    });
    assert_eq!(one.state(1), RequestState::Scheduled);
    drop(second);
}

#[test]
fn a_clocks_observer_may_use_the_clock() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let clock = Arc::new(ManualClock::new(at(0)));
        let inner = Arc::downgrade(&clock);
        clock.on_change(Box::new(move || {
            let clock = inner.upgrade().unwrap();
            if clock.now() < at(3) {
                clock.advance(secs(1));
            }
            clock.on_change(Box::new(|| {}));
        }));
        clock.set(at(1));
        done.send(clock.now()).unwrap();
    });
    let now = finished.recv_timeout(PATIENCE);
    assert_eq!(now, Ok(at(3)), "observers run with no lock held");
}

/// A router that lets nobody out until it is opened.
fn gated(centre: &Centre) -> Arc<(parking_lot::Mutex<bool>, parking_lot::Condvar)> {
    let gate = Arc::new((parking_lot::Mutex::new(false), parking_lot::Condvar::new()));
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |_| {
        let mut open = shut.0.lock();
        while !*open {
            shut.1.wait(&mut open);
        }
        Disposition::Routed
    });
    gate
}

fn open(gate: &(parking_lot::Mutex<bool>, parking_lot::Condvar)) {
    *gate.0.lock() = true;
    gate.1.notify_all();
}

#[test]
fn a_stop_ends_the_poll_that_runs() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = gated(&centre);
    let running = start(&centre, &clock, 0);
    for id in 0..10 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    eventually("the first is at the router", || {
        centre.engine.in_flight() == 1
    });
    let report = running.shutdown(Shutdown::Stop, Duration::from_millis(20));
    assert_eq!((report.pending, report.timed_out), (10, true));
    open(&gate);
    eventually("the first has ended", || centre.engine.in_flight() == 0);
    eventually("the poll has ended", || {
        centre.engine.poll(at(0), 1).is_ok()
    });
    assert_eq!(centre.desk.take_ids(), [0], "nothing more is released");
    assert_eq!(centre.poll(at(10)), 9);
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
    open(&gate);
    clock.set(at(200));
    eventually("all end", || centre.engine.pending() == 0);
    drop(running);
}

/// The quickest of a few rounds: what waits for the driver's own half second is never quick.
fn quickest(mut round: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| round()).min().unwrap()
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
        open(&gate);
        drop(running);
        took
    });
    assert!(took < Duration::from_millis(400), "{took:?}");
}

#[test]
fn a_completion_wakes_a_driver_that_drains() {
    let took = quickest(|| {
        let centre = centre();
        centre.desk.answer(|_| Disposition::Accepted {
            lease_for: secs(300),
        });
        let clock = Arc::new(ManualClock::new(at(10)));
        let running = start(&centre, &clock, 0);
        centre.schedule(centre.request(1, at(10)), at(10));
        eventually("it is accepted", || {
            centre.engine.in_flight() == 1 && !centre.desk.is_empty()
        });
        let drain = std::thread::spawn(move || running.shutdown(Shutdown::Drain, PATIENCE));
        std::thread::sleep(Duration::from_millis(20));
        let lease = centre.desk.take()[0].lease;
        let began = Instant::now();
        let routed = duewheel::Completion::Routed;
        let _ = centre.engine.complete(&lease, routed, at(10)).unwrap();
        assert!(!drain.join().unwrap().timed_out);
        began.elapsed()
    });
    assert!(took < Duration::from_millis(250), "{took:?}");
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

/// Counts who registers with it.
struct CountingClock(AtomicUsize);

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        at(0)
    }

    fn on_change(&self, _: duewheel::ClockObserver) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_engine_that_is_started_again_observes_its_clock_once() {
    let centre = centre();
    let clocks = [(); 2].map(|()| Arc::new(CountingClock(AtomicUsize::new(0))));
    for _ in 0..3 {
        for clock in &clocks {
            drop(
                centre
                    .engine
                    .start(clock.clone(), DriverOptions::default())
                    .unwrap(),
            );
        }
    }
    for clock in clocks {
        assert_eq!(clock.0.load(Ordering::SeqCst), 1);
    }
}
