//! How an engine that is driven comes to its end: what a drain waits for, what is left, who is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use duewheel::{
    Clock, ClockObserver, Completion, Consultation, Disposition, DriverOptions, DueRequest, Engine,
    InteractionRequest, ManualClock, Pace, RequestState, Router, RoutingCommand, Running,
    ScheduleData, Shutdown, ShutdownReport, Timestamp,
};

use crate::driver::{PATIENCE, eventually, gated, start};
use crate::support::{at, centre, centre_with, secs};

const BATTERY: &str = "the battery of the clock is empty";

/// A clock that panics on some thread, once it is told to.
struct FailingClock {
    inner: ManualClock,
    on_thread: &'static str,
    fails: AtomicBool,
}

impl FailingClock {
    fn new(on_thread: &'static str) -> Arc<Self> {
        Arc::new(Self {
            inner: ManualClock::new(at(0)),
            on_thread,
            fails: AtomicBool::new(false),
        })
    }
}

impl Clock for FailingClock {
    fn now(&self) -> Timestamp {
        let thread = std::thread::current();
        let here = thread
            .name()
            .is_some_and(|name| name.contains(self.on_thread));
        if here && self.fails.load(Ordering::SeqCst) {
            panic!("{BATTERY}");
        }
        self.inner.now()
    }

    fn real_time_until(&self, until: Timestamp) -> Option<Duration> {
        self.inner.real_time_until(until)
    }

    fn on_change(&self, observer: ClockObserver) {
        self.inner.on_change(observer);
    }
}

fn workers(workers: usize) -> DriverOptions {
    DriverOptions {
        workers,
        ..DriverOptions::default()
    }
}

type Slot<T> = Arc<parking_lot::Mutex<Option<T>>>;

#[test]
fn a_drain_from_inside_a_poll_made_by_hand_does_not_wait_for_that_poll() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let slot: Slot<Running> = Arc::default();
    let said: Slot<ShutdownReport> = Arc::default();
    let (inner, report) = (Arc::clone(&slot), Arc::clone(&said));
    centre.desk.answer(move |_| {
        let running = inner.lock().take().unwrap();
        *report.lock() = Some(running.shutdown(Shutdown::Drain, PATIENCE));
        Disposition::Routed
    });
    *slot.lock() = Some(start(&centre, &clock, 0));
    centre.schedule(centre.request(1, at(10)), at(0));
    // The driver's clock stands still: the poll by hand gets there first.
    eventually("the driver sleeps", || {
        centre.engine.poll(at(10), 10).is_ok()
    });
    let report = said.lock().take().unwrap();
    assert!(!report.timed_out, "it would have waited for itself");
    assert_eq!(report.in_flight, 1);
    assert_eq!(centre.state(1), RequestState::Completed);
}

#[test]
fn a_worker_that_dies_loses_nothing_and_the_others_go_on() {
    let centre = centre();
    let clock = FailingClock::new("duewheel-dispatch-0");
    let running = centre
        .engine
        .start(Arc::clone(&clock) as Arc<dyn Clock>, workers(2))
        .unwrap();
    clock.fails.store(true, Ordering::SeqCst);
    for id in 0..20 {
        centre.schedule(centre.request(id, at(0)), at(0));
    }
    eventually(
        "the other routes all, what the dead one had taken too",
        || centre.engine.pending() == 0,
    );
    // The first is at work whenever it gets anything: let it.
    let mut id = 20;
    eventually("the first dies of its clock", || {
        centre.schedule(centre.request(id, at(0)), at(0));
        id += 1;
        centre.engine.report(at(0)).router_panics > 0 || id > 500
    });
    eventually("nothing of it is stuck", || centre.engine.pending() == 0);

    let report = running.shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!((report.pending, report.timed_out), (0, false));
    assert_eq!(report.panics, [BATTERY]);
    centre.engine.check_invariants();
}

#[test]
fn a_drain_waits_for_what_is_due_and_stands_in_line_for_its_pace() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let pace = Pace::per_second(1).unwrap();
    let _ = centre
        .engine
        .resume(centre.here, Some(pace), at(0))
        .unwrap();
    for id in 0..4 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    let running = start(&centre, &clock, 0);
    clock.set(at(10));
    eventually("the first is routed", || centre.engine.pending() == 3);
    let drain = std::thread::spawn(move || running.shutdown(Shutdown::Drain, PATIENCE));
    for second in 11..=13 {
        std::thread::sleep(Duration::from_millis(5));
        assert!(!drain.is_finished(), "something due is left");
        clock.set(at(second));
        let left = 13 - usize::try_from(second).unwrap();
        eventually("the next is routed", || centre.engine.pending() <= left);
    }
    let report = drain.join().unwrap();
    assert_eq!((report.pending, report.timed_out), (0, false));
}

#[test]
fn a_driver_that_dies_says_so_at_once_and_its_message_outlives_it() {
    let told: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&told);
    let settings =
        Engine::builder().on_thread_panic(move |message| seen.lock().push(message.to_owned()));
    let centre = centre_with(settings);
    let clock = FailingClock::new("duewheel-driver");
    let start = || {
        centre
            .engine
            .start(Arc::clone(&clock) as Arc<dyn Clock>, workers(1))
            .unwrap()
    };
    let running = start();
    assert!(running.is_alive());
    centre.schedule(centre.request(1, at(10)), at(0));
    clock.fails.store(true, Ordering::SeqCst);
    clock.inner.set(at(10));
    eventually("it has died", || !running.is_alive());
    assert_eq!(*told.lock(), [BATTERY], "nobody had to ask");
    let began = Instant::now();
    let report = running.shutdown(Shutdown::Drain, PATIENCE);
    assert!(began.elapsed() < PATIENCE, "nobody is left to drain");
    assert_eq!((report.due, report.timed_out), (1, false));
    assert_eq!(report.panics, [BATTERY]);

    // And where nobody asks for a report.
    let running = start();
    eventually("it has died again", || !running.is_alive());
    drop(running);
    assert_eq!(centre.engine.panics(), [BATTERY, BATTERY]);
    clock.fails.store(false, Ordering::SeqCst);
    let again = centre.engine.start(clock.clone(), workers(0)).unwrap();
    eventually("a new one goes on", || centre.engine.pending() == 0);
    assert!(again.is_alive());
    assert_eq!(again.shutdown(Shutdown::Stop, PATIENCE).panics.len(), 0);
}

#[test]
fn a_thread_left_behind_that_panics_is_not_lost() {
    let centre = centre();
    let clock = FailingClock::new("duewheel-dispatch");
    let gate = gated(&centre);
    let running = centre.engine.start(clock.clone(), workers(1)).unwrap();
    centre.schedule(centre.request(1, at(0)), at(0));
    eventually("it is at the router", || !centre.desk.is_empty());
    let report = running.shutdown(Shutdown::Stop, Duration::from_millis(20));
    assert_eq!((report.in_flight, report.timed_out), (1, true));
    assert_eq!(report.panics.len(), 0);
    clock.fails.store(true, Ordering::SeqCst);
    gate.open();
    eventually("the engine remembers", || {
        centre.engine.panics() == [BATTERY]
    });
}

/// Says when it is dropped, with a panic.
struct Farewell(std::sync::mpsc::Sender<()>);

impl Router for Farewell {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        Disposition::Routed
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
        panic!("the router would rather have stayed");
    }
}

/// Lets go of all the test holds, from inside the call of `route`.
struct LetsGo {
    slot: Slot<(Arc<Engine>, Running)>,
    farewell: Farewell,
}

impl Router for LetsGo {
    fn consult(&self, request: &DueRequest) -> Consultation {
        self.farewell.consult(request)
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        drop(self.slot.lock().take());
        self.farewell.route(command)
    }
}

#[test]
fn an_engine_dropped_by_its_own_threads_is_gone_and_its_last_panic_is_told() {
    for threads in [0, 2] {
        let (gone, farewell) = std::sync::mpsc::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let slot: Slot<(Arc<Engine>, Running)> = Arc::default();
        let router = LetsGo {
            slot: Arc::clone(&slot),
            farewell: Farewell(gone),
        };
        let engine = Engine::builder()
            .on_thread_panic(move |message| tell.send(message.to_owned()).unwrap())
            .build(Arc::new(router))
            .unwrap();
        let engine = Arc::new(engine);
        let here = engine.directory().enter("AA0101").unwrap();
        let clock = Arc::new(ManualClock::new(at(0)));
        let running = engine.start(clock.clone(), workers(threads)).unwrap();
        let request =
            InteractionRequest::new(1.into(), here).with_schedule(ScheduleData::at(at(5)));
        let _ = engine.schedule(request, at(0)).unwrap();
        *slot.lock() = Some((engine, running));
        clock.set(at(5));
        assert_eq!(farewell.recv_timeout(PATIENCE), Ok(()));
        assert_eq!(
            told.recv_timeout(PATIENCE).as_deref(),
            Ok("the router would rather have stayed")
        );
    }
}

#[test]
fn a_drain_waits_for_leases_until_they_run_out_and_leaves_the_retry() {
    let centre = centre();
    centre.desk.answer(|_| Disposition::Accepted {
        lease_for: secs(60),
    });
    let clock = Arc::new(ManualClock::new(at(0)));
    let running = start(&centre, &clock, 1);
    for id in 1..=2 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    clock.set(at(10));
    eventually("both are accepted", || centre.desk.len() == 2);
    let drain = std::thread::spawn(move || running.shutdown(Shutdown::Drain, PATIENCE));
    let lease = centre.desk.take()[0].lease;
    let mut later = 0;
    eventually("it takes nothing in", || {
        let request = centre.request(100 + later as u128, at(999));
        let refused = centre.engine.schedule(request, at(10)).is_err();
        later += usize::from(!refused);
        refused
    });
    assert_eq!(
        centre.engine.complete(&lease, Completion::Routed, at(10)),
        Ok(RequestState::Completed)
    );
    std::thread::sleep(Duration::from_millis(10));
    assert!(!drain.is_finished(), "the other's lease runs on");
    clock.set(at(70));
    let report = drain.join().unwrap();
    assert_eq!((report.pending, report.in_flight), (1 + later, 0));
    assert_eq!((report.due, report.timed_out), (0, false));
    assert_eq!(centre.state(2), RequestState::Scheduled, "a retry, later");
}

#[test]
fn a_shutdown_says_how_much_of_what_is_left_had_fallen_due() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    let gate = gated(&centre);
    let running = start(&centre, &clock, 0);
    for id in 0..5 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    centre.schedule(centre.request(9, at(11)), at(0));
    clock.set(at(10));
    eventually("the first is at the router", || {
        centre.engine.in_flight() == 1
    });
    let report = running.shutdown(Shutdown::Drain, Duration::from_millis(20));
    assert_eq!((report.pending, report.in_flight, report.due), (6, 1, 4));
    assert!(report.timed_out);
    gate.open();
    eventually("the first has ended", || centre.engine.pending() == 5);

    let _ = centre.engine.hold(centre.here, at(10)).unwrap();
    let report = start(&centre, &clock, 0).shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!((report.pending, report.in_flight, report.due), (5, 0, 4));
    assert!(!report.timed_out, "what is on hold is not waited for");
}

#[test]
fn one_of_two_engines_on_a_clock_is_drained_and_started_again_while_the_other_goes_on() {
    let (one, other) = (centre(), centre());
    let clock = Arc::new(ManualClock::new(at(0)));
    let first = start(&one, &clock, 1);
    let second = start(&other, &clock, 1);
    for due in 1..=3 {
        one.schedule(one.request(due.into(), at(due)), at(0));
        other.schedule(other.request(due.into(), at(due)), at(0));
    }
    clock.set(at(1));
    let report = first.shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!(
        (report.pending, report.due, report.timed_out),
        (2, 0, false)
    );
    clock.set(at(2));
    eventually("the other goes on", || other.engine.pending() == 1);
    assert_eq!(one.engine.pending(), 2, "nobody drives it");
    let again = start(&one, &clock, 1);
    eventually("and so does the first, again", || one.engine.pending() == 1);
    clock.set(at(3));
    eventually("both to the end", || {
        one.engine.pending() + other.engine.pending() == 0
    });
    assert!(!again.shutdown(Shutdown::Drain, PATIENCE).timed_out);
    assert!(!second.shutdown(Shutdown::Drain, PATIENCE).timed_out);
}

#[test]
fn dropping_what_drives_does_not_wait_for_ever_for_a_router_that_is_stuck() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(10)));
    let gate = gated(&centre);
    let running = start(&centre, &clock, 2);
    for id in 0..3 {
        centre.schedule(centre.request(id, at(10)), at(10));
    }
    eventually("one is at the router", || !centre.desk.is_empty());
    let dropped = std::thread::spawn(move || drop(running));
    eventually("it is dropped all the same", || dropped.is_finished());
    assert_eq!(centre.engine.in_flight(), 1, "what waited was taken back");
    gate.open();
    eventually("its answer still counts", || centre.engine.pending() == 2);
    assert_eq!(centre.poll(at(10)), 2);
}
