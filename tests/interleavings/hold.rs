//! Hold against release: the answer says how many commands may still go out, and no more do.

use std::sync::Arc;

use duewheel::{Disposition, Shutdown};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::support::{NEVER, aside, at, centre_that, explore};

/// Holds while three requests go out, on the polling thread or on two workers.
fn a_hold_counts_what_may_still_go_out(workers: usize) {
    explore(move || {
        let held = Arc::new(AtomicBool::new(false));
        let after = Arc::new(AtomicUsize::new(0));
        let (is_held, counted) = (Arc::clone(&held), Arc::clone(&after));
        let centre = centre_that(move |_| {
            if is_held.load(Ordering::SeqCst) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Disposition::Routed
        });
        for id in 1..=3 {
            centre.schedule(centre.immediate(id));
        }
        let running = centre.start(workers);
        let holding = aside(&centre, move |centre| {
            let answer = centre.engine.hold(centre.here, at(0)).unwrap();
            held.store(true, Ordering::SeqCst);
            answer.in_flight
        });
        let in_flight = holding.join().unwrap();
        let report = running.shutdown(Shutdown::Drain, NEVER);
        assert!(report.panics.is_empty(), "{report:?}");
        let after = after.load(Ordering::SeqCst);
        assert!(
            after <= in_flight,
            "{after} went out after a hold said {in_flight}"
        );
        if workers > 0 {
            // What waits for a worker is looked at once more, so that only those being handed over go out.
            assert!(after <= workers, "{after} went out after a hold");
        }
        let routed = centre.desk.routed().len();
        assert_eq!(report.pending, 3 - routed);
        assert_eq!(report.in_flight, 0);
        // Nothing is lost by it.
        let resumed = centre.engine.resume(centre.here, None, at(0)).unwrap();
        assert_eq!(resumed.held, 3 - routed);
        assert_eq!(centre.poll(at(0)), 3 - routed);
        for id in 1..=3 {
            assert_eq!(centre.desk.count(id), 1, "request {id}");
        }
    });
}

#[test]
fn a_hold_on_one_thread_counts_what_may_still_go_out() {
    a_hold_counts_what_may_still_go_out(0);
}

#[test]
fn a_hold_with_workers_counts_what_may_still_go_out() {
    a_hold_counts_what_may_still_go_out(1);
    a_hold_counts_what_may_still_go_out(2);
}
