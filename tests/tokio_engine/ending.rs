//! How a run comes to its end: dropped, drained, stopped, by a panic.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use duewheel::{
    AsyncRouter, Clock, ClockObserver, Completion, Consultation, Disposition, DueRequest, Engine,
    InteractionRequest, ManualClock, RequestState, RoutingCommand, RunOptions, ScheduleData,
    ScheduleErrorReason, Shutdown, ShutdownReport, StartError, Timestamp,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Centre, PATIENCE, RuntimeClock, at, centre, centre_with, millis};

/// A run, and what ends it.
struct Running {
    stop: oneshot::Sender<Shutdown>,
    run: JoinHandle<Result<ShutdownReport, StartError>>,
}

fn start(centre: &Centre, clock: Arc<dyn Clock>, options: RunOptions) -> Running {
    let (stop, stopped) = oneshot::channel();
    let signal = async { stopped.await.unwrap() };
    let run = tokio::spawn(centre.engine.run_until(clock, options, signal));
    Running { stop, run }
}

impl Running {
    async fn shutdown(self, how: Shutdown) -> ShutdownReport {
        self.stop.send(how).unwrap();
        timeout(PATIENCE, self.run).await.unwrap().unwrap().unwrap()
    }
}

fn one_at_a_time() -> RunOptions {
    RunOptions {
        in_flight_max: 1,
        shutdown_timeout: millis(1_000),
        ..RunOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_takes_back_what_waited_and_leaves_what_was_routed_to_its_lease() {
    let centre = centre_with(Engine::builder().lease(millis(60_000)));
    centre.desk.takes(millis(1_000));
    for id in 1..=3 {
        centre.schedule(id, at(10));
    }
    let clock = RuntimeClock::new();
    let options = RunOptions {
        in_flight_max: 2,
        in_flight_per_location_max: Some(2),
        ..RunOptions::default()
    };
    {
        let mut run = Box::pin(centre.engine.run(clock.clone(), options));
        assert!(timeout(millis(20), &mut run).await.is_err(), "it goes on");
        assert_eq!(centre.engine.in_flight(), 3);
    }
    // The routes are tasks of the runtime, which drops them when it comes to them.
    sleep(millis(1)).await;
    assert_eq!(centre.desk.ids(), [1, 2]);
    assert_eq!(centre.state(1), RequestState::Routing);
    assert_eq!(centre.state(3), RequestState::Scheduled);
    assert_eq!(
        centre.status(3).attempts,
        0,
        "as if it had not been released"
    );
    centre.engine.check_invariants();

    sleep(millis(5_000)).await;
    assert_eq!(centre.engine.pending(), 3, "dropped routes do not go on");
    let lease = centre.desk.commands()[0].lease;
    let completed = centre
        .engine
        .complete(&lease, Completion::Routed, clock.now());
    assert_eq!(completed, Ok(RequestState::Completed));

    let run = tokio::spawn(centre.engine.run(clock, options));
    sleep(millis(2_000)).await;
    assert_eq!(
        centre.engine.pending(),
        1,
        "the third is routed, the second not yet"
    );
    sleep(millis(3_600_000)).await;
    assert_eq!(centre.engine.pending(), 0);
    let last = centre.desk.commands().pop().unwrap();
    assert_eq!(
        (last.id, last.attempt, last.redelivery),
        (2.into(), 2, true)
    );
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_drain_routes_all_that_is_due_and_takes_nothing_in() {
    let centre = centre();
    centre.desk.takes(millis(10));
    for id in 0..30 {
        centre.schedule(id, at(5));
    }
    centre.schedule(100, at(3_600_000));
    let running = start(&centre, RuntimeClock::new(), one_at_a_time());
    sleep(millis(6)).await;
    let report = running.shutdown(Shutdown::Drain).await;
    assert_eq!((report.pending, report.in_flight), (1, 0));
    assert_eq!((report.due, report.timed_out), (0, false));
    assert_eq!(centre.desk.ids().len(), 30);
    let request = InteractionRequest::new(200.into(), centre.here);
    let error = centre.engine.schedule(request, at(1)).unwrap_err();
    assert_eq!(error.reason, ScheduleErrorReason::Closed);

    // What lay in the future is there for the next run.
    let clock = Arc::new(ManualClock::new(at(3_600_000)));
    let report = start(&centre, clock, one_at_a_time())
        .shutdown(Shutdown::Drain)
        .await;
    assert_eq!((report.pending, report.timed_out), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_a_completion_and_is_woken_by_it() {
    let centre = centre();
    centre.desk.answer(|_| async {
        Disposition::Accepted {
            lease_for: millis(900_000),
        }
    });
    let clock = Arc::new(ManualClock::new(at(10)));
    centre.schedule(1, at(10));
    let options = RunOptions::default();
    let running = start(&centre, clock, options);
    sleep(millis(5)).await;
    let lease = centre.desk.commands()[0].lease;
    let engine = centre.engine.clone();
    tokio::spawn(async move {
        sleep(millis(200)).await;
        engine.complete(&lease, Completion::Routed, at(10)).unwrap();
    });
    let began = Instant::now();
    let report = running.shutdown(Shutdown::Drain).await;
    assert_eq!((report.pending, report.timed_out), (0, false));
    assert_eq!(began.elapsed(), millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_drain_whose_time_is_up_says_what_is_left() {
    let centre = centre();
    centre.desk.answer(|_| std::future::pending());
    for id in 0..5 {
        centre.schedule(id, at(0));
    }
    let running = start(&centre, RuntimeClock::new(), one_at_a_time());
    sleep(millis(5)).await;
    let began = Instant::now();
    let report = running.shutdown(Shutdown::Drain).await;
    assert_eq!(began.elapsed(), millis(1_000), "its time, and no longer");
    assert_eq!((report.pending, report.in_flight, report.due), (5, 1, 4));
    assert!(report.timed_out);
    centre.engine.check_invariants();
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_routes_end_and_releases_nothing_more() {
    let centre = centre();
    centre.desk.takes(millis(100));
    for id in 0..5 {
        centre.schedule(id, at(0));
    }
    let running = start(&centre, RuntimeClock::new(), one_at_a_time());
    sleep(millis(5)).await;
    let report = running.shutdown(Shutdown::Stop).await;
    assert_eq!((report.pending, report.in_flight, report.due), (4, 0, 4));
    assert!(!report.timed_out);
    assert_eq!(centre.desk.ids(), [0]);
    // Intake goes on, and so may the engine.
    centre.schedule(9, at(0));
    centre.desk.takes(millis(1));
    let report = start(&centre, RuntimeClock::new(), one_at_a_time())
        .shutdown(Shutdown::Drain)
        .await;
    assert_eq!((report.pending, report.timed_out), (0, false));
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_is_there_at_once_ends_the_run_at_once() {
    let centre = centre();
    centre.schedule(1, at(0));
    let run = centre.engine.run_until(
        RuntimeClock::new(),
        RunOptions::default(),
        std::future::ready(Shutdown::Stop),
    );
    let report = run.await.unwrap();
    assert_eq!((report.pending, report.in_flight, report.due), (1, 0, 1));
}

/// Stops in the middle of its own call.
struct StopsItself(parking_lot::Mutex<Option<oneshot::Sender<Shutdown>>>);

impl AsyncRouter for StopsItself {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    async fn route(&self, _: RoutingCommand) -> Disposition {
        if let Some(stop) = self.0.lock().take() {
            stop.send(Shutdown::Drain).unwrap();
        }
        tokio::task::yield_now().await;
        Disposition::Routed
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_may_shut_down_and_the_last_hold_on_the_engine_may_be_the_runs() {
    let (stop, stopped) = oneshot::channel();
    let router = Arc::new(StopsItself(parking_lot::Mutex::new(Some(stop))));
    let kept = Arc::downgrade(&router);
    let engine = Engine::builder().build_async(router).unwrap();
    let here = engine.directory().enter("AA0101").unwrap();
    let request = InteractionRequest::new(1.into(), here).with_schedule(ScheduleData::at(at(5)));
    let _ = engine.schedule(request, at(0)).unwrap();
    let signal = async { stopped.await.unwrap() };
    let run = engine.run_until(RuntimeClock::new(), RunOptions::default(), signal);
    drop(engine);
    let report = timeout(PATIENCE, run).await.unwrap().unwrap();
    assert_eq!((report.pending, report.timed_out), (0, false));
    assert!(kept.upgrade().is_none(), "nobody holds the engine any more");
}

/// A clock that panics once where it is told to.
struct FailingClock {
    inner: ManualClock,
    fails: AtomicBool,
}

impl Clock for FailingClock {
    fn now(&self) -> Timestamp {
        assert!(
            !self.fails.swap(false, Ordering::SeqCst),
            "the battery is empty"
        );
        self.inner.now()
    }

    fn real_time_until(&self, until: Timestamp) -> Option<Duration> {
        self.inner.real_time_until(until)
    }

    fn on_change(&self, observer: ClockObserver) {
        self.inner.on_change(observer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clocks_panic_comes_out_of_the_run_and_is_remembered() {
    let centre = centre();
    let clock = Arc::new(FailingClock {
        inner: ManualClock::new(at(0)),
        fails: AtomicBool::new(false),
    });
    centre.schedule(1, at(10));
    let run = tokio::spawn(centre.engine.run(clock.clone(), RunOptions::default()));
    sleep(millis(1)).await;
    clock.fails.store(true, Ordering::SeqCst);
    clock.inner.set(at(10));
    let error = run.await.unwrap_err();
    assert!(error.is_panic());
    assert_eq!(centre.engine.panics(), ["the battery is empty"]);
    let again = tokio::spawn(centre.engine.run(clock, RunOptions::default()));
    sleep(millis(1)).await;
    assert_eq!(centre.state(1), RequestState::Completed);
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn a_route_whose_clock_panics_is_told_and_its_request_is_not_lost() {
    let centre = centre_with(Engine::builder().lease(millis(1_000)));
    let clock = Arc::new(FailingClock {
        inner: ManualClock::new(at(10)),
        fails: AtomicBool::new(false),
    });
    let failing = Arc::clone(&clock);
    centre.desk.answer(move |command| {
        // The clock fails where the answer is settled.
        failing.fails.store(command.attempt == 1, Ordering::SeqCst);
        std::future::ready(Disposition::Routed)
    });
    centre.schedule(1, at(10));
    let running = start(&centre, clock.clone(), RunOptions::default());
    sleep(millis(5)).await;
    assert_eq!(centre.state(1), RequestState::Routing, "its lease runs on");
    assert_eq!(centre.engine.panics(), ["the battery is empty"]);
    clock.inner.set(at(5_000));
    sleep(millis(1)).await;
    clock.inner.set(at(3_600_000));
    sleep(millis(1)).await;
    assert_eq!(centre.state(1), RequestState::Completed);
    let report = running.shutdown(Shutdown::Drain).await;
    assert_eq!(report.panics, ["the battery is empty"]);
}

/// What an embedder does with the futures is to compile: both may be spawned and sent.
#[test]
fn a_run_may_be_spawned() {
    fn spawned<F: Future + Send + 'static>(_: &F) {}
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(0)));
    spawned(&centre.engine.run(clock.clone(), RunOptions::default()));
    let signal = std::future::ready(Shutdown::Stop);
    spawned(
        &centre
            .engine
            .run_until(clock, RunOptions::default(), signal),
    );
}
