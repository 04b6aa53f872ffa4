//! When the run releases, what wakes it, and what does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use duewheel::{
    Clock, ClockObserver, Disposition, ManualClock, Pace, RequestId, RequestState, RunOptions,
    Shutdown, StartError, Timestamp,
};
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, RuntimeClock, at, centre, millis};

#[tokio::test(start_paused = true)]
async fn each_request_is_routed_at_its_time_and_none_early() {
    let centre = centre();
    for id in 0..200 {
        // Some in one tick, some an hour away.
        let due = u64::try_from(id % 50).unwrap() * 73_477;
        centre.schedule(id, at(due));
    }
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), RunOptions::default()),
    );
    sleep(millis(49 * 73_477 + 10)).await;
    let commands = centre.desk.commands();
    assert_eq!(commands.len(), 200);
    for command in &commands {
        assert!(command.released >= command.due, "early: {command:?}");
        let late = command.released.saturating_duration_since(command.due);
        assert!(late <= millis(2), "{late:?} late: {command:?}");
    }
    assert!(commands.is_sorted_by_key(|command| command.due));
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn an_intake_that_is_due_earlier_wakes_the_run() {
    let centre = centre();
    centre.schedule(1, at(3_600_000));
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), RunOptions::default()),
    );
    sleep(millis(10)).await;
    centre.schedule(2, at(30));
    sleep(millis(19)).await;
    assert_eq!(centre.desk.ids(), [], "at 29 ms");
    sleep(millis(3)).await;
    assert_eq!(centre.desk.ids(), [2], "at 32 ms");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn an_intake_from_another_thread_wakes_the_run() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(10)));
    let run = tokio::spawn(centre.engine.run(clock, RunOptions::default()));
    sleep(millis(10)).await;
    std::thread::scope(|scope| {
        scope.spawn(|| centre.schedule(1, at(10)));
    });
    // A clock that real time does not move sets no timer: only the bell wakes it.
    sleep(millis(1)).await;
    assert_eq!(centre.desk.ids(), [1]);
    run.abort();
}

/// Counts how often it is looked at.
struct CountingClock {
    inner: ManualClock,
    looks: AtomicUsize,
}

impl Clock for CountingClock {
    fn now(&self) -> Timestamp {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.inner.now()
    }

    fn real_time_until(&self, until: Timestamp) -> Option<std::time::Duration> {
        self.inner.real_time_until(until)
    }

    fn on_change(&self, observer: ClockObserver) {
        self.inner.on_change(observer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_with_nothing_to_do_does_not_look_again_and_again() {
    let centre = centre();
    let clock = Arc::new(CountingClock {
        inner: ManualClock::new(at(0)),
        looks: AtomicUsize::new(0),
    });
    centre.schedule(1, at(10));
    let run = tokio::spawn(centre.engine.run(clock.clone(), RunOptions::default()));
    sleep(millis(1)).await;
    let before = clock.looks.load(Ordering::SeqCst);
    assert!(before > 0);
    // Later intakes and their cancels are none of its business.
    for id in 2..100 {
        centre.schedule(id, at(20));
        let _ = centre.engine.cancel(RequestId::integer(id), at(0)).unwrap();
    }
    sleep(millis(24 * 3_600_000)).await;
    assert_eq!(clock.looks.load(Ordering::SeqCst), before, "a day later");
    clock.inner.set(at(10));
    sleep(millis(1)).await;
    assert_eq!(centre.desk.ids(), [1]);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_runs_is_looked_at_twice_a_second_for_its_steps() {
    let centre = centre();
    let clock = RuntimeClock::new();
    centre.schedule(1, at(7 * 24 * 3_600_000));
    let run = tokio::spawn(centre.engine.run(clock.clone(), RunOptions::default()));
    sleep(millis(600_000)).await;
    let polls = clock.looks.load(Ordering::Relaxed);
    // A poll reads the clock, and so does the plan of the sleep after it.
    assert!(polls <= 4 * 2 * 600, "{polls} looks in ten minutes");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn an_engine_is_run_once_at_a_time_and_by_nothing_else() {
    let centre = centre();
    let clock = Arc::new(ManualClock::new(at(10)));
    centre.schedule(1, at(10));
    let poll = centre.engine.poll(at(10), 100).unwrap();
    assert_eq!((poll.released, poll.blocked), (0, true), "nobody routes");
    assert_eq!(centre.state(1), RequestState::Scheduled);

    let run = tokio::spawn(centre.engine.run(clock.clone(), RunOptions::default()));
    sleep(millis(1)).await;
    assert_eq!(centre.state(1), RequestState::Completed);
    let again = centre.engine.run(clock.clone(), RunOptions::default());
    assert!(matches!(again.await, Err(StartError::Running)));

    // What a poll by hand releases is routed by the run.
    centre.schedule(2, at(11));
    sleep(millis(1)).await;
    let poll = centre.engine.poll(at(11), 100).unwrap();
    assert_eq!(poll.released, 1);
    sleep(millis(1)).await;
    assert_eq!(centre.state(2), RequestState::Completed);

    // A future that was not polled does not drive, and one that was dropped no longer does.
    drop(centre.engine.run(clock.clone(), RunOptions::default()));
    run.abort();
    let _ = run.await;
    let again = tokio::spawn(centre.engine.run(clock, RunOptions::default()));
    sleep(millis(1)).await;
    assert!(!again.is_finished());
    again.abort();
}

#[tokio::test(start_paused = true)]
async fn a_paced_location_is_routed_at_its_pace() {
    let centre = centre();
    let pace = Pace::per_second(10).unwrap();
    let _ = centre
        .engine
        .resume(centre.here, Some(pace), at(0))
        .unwrap();
    for id in 0..5 {
        centre.schedule(id, at(0));
    }
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), RunOptions::default()),
    );
    for routed in 1..=5 {
        sleep(millis(10)).await;
        assert_eq!(centre.desk.ids().len(), routed);
        sleep(millis(90)).await;
    }
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn two_engines_on_one_runtime_are_independent() {
    let (one, other) = (centre(), centre());
    let clock = RuntimeClock::new();
    let first = tokio::spawn(one.engine.run(clock.clone(), RunOptions::default()));
    let second = tokio::spawn(other.engine.run(clock, RunOptions::default()));
    one.schedule(1, at(20));
    other.schedule(1, at(20));
    sleep(millis(10)).await;
    first.abort();
    sleep(millis(20)).await;
    assert_eq!(one.state(1), RequestState::Scheduled);
    assert_eq!(other.state(1), RequestState::Completed);
    second.abort();
}

/// A clock that real time does not move sets no timer, so that one wake-up lost is a run that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_intake_is_missed_however_it_meets_the_run_going_to_sleep() {
    let centre = centre();
    let (routed, mut arrived) = tokio::sync::mpsc::unbounded_channel();
    centre.desk.answer(move |command| {
        routed.send(command.id).unwrap();
        std::future::ready(Disposition::Routed)
    });
    let clock = Arc::new(ManualClock::new(at(10)));
    let run = tokio::spawn(centre.engine.run(clock, RunOptions::default()));
    for id in 0..20_000_u64 {
        centre.schedule(id.into(), at(10));
        let next = timeout(PATIENCE, arrived.recv()).await;
        assert_eq!(next, Ok(Some(id.into())), "nobody was woken for {id}");
        // At another moment of the run's way to sleep each time.
        for _ in 0..id * 7_919 % 1_000 {
            std::hint::spin_loop();
        }
    }
    run.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_route_is_begun_when_the_one_before_has_ended() {
    let centre = centre();
    centre.desk.answer(|_| async {
        tokio::task::yield_now().await;
        Disposition::Routed
    });
    for id in 0..5_000 {
        centre.schedule(id, at(10));
    }
    let clock = Arc::new(ManualClock::new(at(10)));
    let options = RunOptions {
        in_flight_max: 1,
        ..RunOptions::default()
    };
    let drain = std::future::ready(Shutdown::Drain);
    let run = centre.engine.run_until(clock, options, drain);
    let report = timeout(PATIENCE, run).await.unwrap().unwrap();
    assert_eq!((report.pending, report.timed_out), (0, false));
    assert_eq!(centre.desk.most_at_once(), 1);
}

/// In real time, on several workers: many tasks take in and cancel while the run routes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_take_in_and_cancel_and_every_request_ends_once() {
    const TASKS: u128 = 4;
    const EACH: u128 = 2_000;
    let centre = Arc::new(centre());
    let clock = Arc::new(duewheel::SystemClock);
    let options = RunOptions {
        in_flight_max: 16,
        dispatch_max: 32,
        poll_budget: 16,
        ..RunOptions::default()
    };
    let run = tokio::spawn(centre.engine.run(clock.clone(), options));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (centre, clock) = (Arc::clone(&centre), Arc::clone(&clock));
        tasks.spawn(async move {
            let mut cancelled = 0;
            for id in task * EACH..(task + 1) * EACH {
                let due = clock
                    .now()
                    .saturating_add(millis(u64::try_from(id % 20).unwrap()));
                centre.schedule(id, due);
                if id % 3 == 0 {
                    cancelled += usize::from(
                        centre
                            .engine
                            .cancel(RequestId::integer(id), clock.now())
                            .is_ok(),
                    );
                }
                if id % 64 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            cancelled
        });
    }
    let cancelled: usize = tasks.join_all().await.into_iter().sum();
    let all_end = async {
        while centre.engine.pending() > 0 {
            sleep(millis(1)).await;
        }
    };
    timeout(PATIENCE, all_end).await.expect("all end");
    let mut ids = centre.desk.ids();
    ids.sort_unstable();
    ids.dedup();
    let all = usize::try_from(TASKS * EACH).unwrap();
    assert_eq!(centre.desk.ids().len(), ids.len(), "none is routed twice");
    assert_eq!(ids.len() + cancelled, all);
    assert!(centre.desk.most_at_once() <= 16);
    for command in centre.desk.commands() {
        assert!(command.released >= command.due, "early: {command:?}");
    }
    run.abort();
    let _ = run.await;
    centre.engine.check_invariants();
}
