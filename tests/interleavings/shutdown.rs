//! Close and shutdown against intake: what was accepted is drained or reported left, and nothing is accepted after.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    Completion, Disposition, DriverOptions, RequestId, ScheduleErrorReason, Shutdown,
    ShutdownReport,
};
use shuttle::sync::atomic::{AtomicBool, Ordering};

use super::support::{Centre, NEVER, aside, at, centre, centre_that, explore, hesitate};

/// Takes in a request that is due and one that is not, and says how many of each were accepted.
fn takes_in(centre: &Centre, first: u128) -> (usize, usize) {
    let due = centre.engine.schedule(centre.immediate(first), at(0));
    let later = centre.request(first + 1, at(100));
    let later = centre.engine.schedule(later, at(0));
    (usize::from(due.is_ok()), usize::from(later.is_ok()))
}

/// Shuts down while two threads take requests in; what was accepted by then and what was reported, as (due, later).
fn shut_down(workers: usize, how: Shutdown) -> (Centre, ShutdownReport, usize, usize) {
    let centre = centre();
    let running = centre.start(workers);
    let intakes = [1, 11].map(|first| aside(&centre, move |centre| takes_in(centre, first)));
    hesitate();
    let report = running.shutdown(how, NEVER);
    assert!(report.panics.is_empty(), "{report:?}");
    assert!(!report.timed_out);
    let accepted = intakes.map(|intake| intake.join().unwrap());
    let due = accepted.iter().map(|it| it.0).sum();
    let later = accepted.iter().map(|it| it.1).sum();
    (centre, report, due, later)
}

fn a_drain_leaves_nothing_due(workers: usize) {
    explore(move || {
        let (centre, report, due, later) = shut_down(workers, Shutdown::Drain);
        assert_eq!(
            centre.desk.routed().len(),
            due,
            "all that was due was drained"
        );
        assert_eq!((report.pending, report.in_flight), (later, 0));
        let late = centre.engine.schedule(centre.immediate(99), at(0));
        assert_eq!(late.unwrap_err().reason, ScheduleErrorReason::Closed);
        // What was left is there, for whoever polls on.
        assert_eq!(centre.poll(at(100)), later);
        assert_eq!(centre.engine.pending(), 0);
    });
}

#[test]
fn a_drain_on_one_thread_leaves_nothing_that_is_due() {
    a_drain_leaves_nothing_due(0);
}

#[test]
fn a_drain_with_workers_leaves_nothing_that_is_due() {
    a_drain_leaves_nothing_due(2);
}

fn a_stop_loses_nothing(workers: usize) {
    explore(move || {
        let (centre, report, due, later) = shut_down(workers, Shutdown::Stop);
        let routed = centre.desk.routed().len();
        assert_eq!(report.in_flight, 0, "every thread has ended");
        assert!(report.pending + routed <= due + later);
        // A stop does not close the intake.
        assert_eq!((due, later), (2, 2));
        assert_eq!(centre.engine.pending(), due + later - routed);
        assert_eq!(centre.poll(at(100)), due + later - routed);
        for id in [1, 2, 11, 12] {
            assert_eq!(centre.desk.count(id), 1, "request {id}");
        }
    });
}

#[test]
fn a_stop_on_one_thread_loses_nothing() {
    a_stop_loses_nothing(0);
}

#[test]
fn a_stop_with_workers_loses_nothing() {
    a_stop_loses_nothing(2);
}

/// The poll that runs may hear of the end and cannot act on it; then the next one must be due.
#[test]
fn what_waited_for_dispatch_is_due_when_dispatch_has_ended() {
    explore(|| {
        let centre = centre();
        let one_place = DriverOptions {
            workers: 1,
            dispatch_max: 1,
            ..DriverOptions::default()
        };
        let running = centre.start_with(one_place);
        for id in 1..=4 {
            centre.schedule(centre.immediate(id));
        }
        hesitate();
        let report = running.shutdown(Shutdown::Stop, NEVER);
        assert!(!report.timed_out);
        let next = centre.engine.next_wakeup();
        let is_due = next.is_some_and(|next| next <= at(0));
        let left = centre.engine.pending();
        assert!(
            is_due || left == 0,
            "{left} left, the next poll at {next:?}"
        );
    });
}

#[test]
fn a_drain_ends_when_what_the_router_accepted_is_completed() {
    explore(|| {
        let centre = centre_that(|_| Disposition::Accepted {
            lease_for: Duration::from_secs(1_000),
        });
        let running = centre.start(0);
        centre.schedule(centre.immediate(1));
        centre.desk.wait_for(1);
        let complete = aside(&centre, |centre| {
            let lease = centre.desk.command(0).lease;
            let state = centre.engine.complete(&lease, Completion::Routed, at(0));
            assert!(state.is_ok());
        });
        let report = running.shutdown(Shutdown::Drain, NEVER);
        complete.join().unwrap();
        assert!(report.panics.is_empty(), "{report:?}");
        assert_eq!((report.pending, report.in_flight), (0, 0));
    });
}

/// What a thread inside the router holds up is left behind, and is not lost either.
#[test]
fn a_shutdown_without_patience_loses_nothing() {
    explore(|| {
        let centre = centre();
        for id in 1..=3 {
            centre.schedule(centre.immediate(id));
        }
        let running = centre.start(2);
        hesitate();
        let report = running.shutdown(Shutdown::Drain, Duration::ZERO);
        assert!(report.panics.is_empty(), "{report:?}");
        while centre.engine.pending() > 0 {
            // Busy while the driver that was left behind still polls.
            let _poll = centre.engine.poll(at(0), 10);
            shuttle::thread::yield_now();
        }
        for id in 1..=3 {
            assert_eq!(centre.desk.count(id), 1, "request {id}");
        }
    });
}

#[test]
fn dropping_what_drives_the_engine_ends_its_threads() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(1, at(100)));
        for workers in [0, 1] {
            drop(centre.start(workers));
        }
        assert_eq!(centre.poll(at(100)), 1);
    });
}

#[test]
fn nothing_is_accepted_once_close_has_returned() {
    explore(|| {
        let centre = centre();
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let intake = aside(&centre, move |centre| {
            let mut accepted = 0;
            for id in 1..=3 {
                let was_closed = seen.load(Ordering::SeqCst);
                let request = centre.immediate(id);
                let answer = match id {
                    3 => centre.engine.schedule_batch(vec![request], at(0)).remove(0),
                    _ => centre.engine.schedule(request, at(0)),
                };
                match answer {
                    Ok(_) => {
                        assert!(!was_closed, "accepted after close had returned");
                        accepted += 1;
                    }
                    Err(error) => assert_eq!(error.reason, ScheduleErrorReason::Closed),
                }
            }
            accepted
        });
        hesitate();
        centre.engine.close();
        // Not by `pending`, which counts what a batch has reserved room for.
        let is_there = |id: &u128| centre.engine.status(RequestId::integer(*id)).is_some();
        let there = (1..=3).filter(is_there).count();
        closed.store(true, Ordering::SeqCst);
        let accepted = intake.join().unwrap();
        assert_eq!(there, accepted, "close waits for who was let in");
        assert_eq!(centre.engine.pending(), accepted);
        assert_eq!(centre.poll(at(0)), accepted);
    });
}
