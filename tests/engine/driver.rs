//! Promise 9: threads and clocks for those who ask, and for nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use duewheel::{
    Clock, Disposition, DriverOptions, ManualClock, RequestState, Running, ScheduleErrorReason,
    Shutdown, StartError, SystemClock, Timestamp,
};

use crate::support::{Centre, at, centre, secs};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Keeps whoever comes through waiting until it is opened.
#[derive(Default)]
pub(crate) struct Gate {
    open: parking_lot::Mutex<bool>,
    opened: parking_lot::Condvar,
}

impl Gate {
    pub(crate) fn shut() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn pass(&self) {
        let mut open = self.open.lock();
        while !*open {
            self.opened.wait(&mut open);
        }
    }

    pub(crate) fn open(&self) {
        *self.open.lock() = true;
        self.opened.notify_all();
    }
}

pub(crate) fn start(centre: &Centre, clock: &Arc<ManualClock>, workers: usize) -> Running {
    let options = DriverOptions {
        workers,
        dispatch_max: 8,
        location_dispatch_max: Some(8),
        ..DriverOptions::default()
    };
    centre
        .engine
        .start(Arc::clone(clock) as Arc<dyn Clock>, options)
        .unwrap()
}

/// A router that lets nobody out until the gate is opened.
pub(crate) fn gated(centre: &Centre) -> Arc<Gate> {
    let gate = Gate::shut();
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |_| {
        shut.pass();
        Disposition::Routed
    });
    gate
}

/// The quickest of a few rounds: what waits for the driver's own half second is never quick.
pub(crate) fn quickest(mut round: impl FnMut() -> Duration) -> Duration {
    (0..5).map(|_| round()).min().unwrap()
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
    gate.open();
    eventually("the first has ended", || centre.engine.in_flight() == 0);
    eventually("the poll has ended", || {
        centre.engine.poll(at(0), 1).is_ok()
    });
    assert_eq!(centre.desk.take_ids(), [0], "nothing more is released");
    assert_eq!(centre.poll(at(10)), 9);
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
