//! A lease that runs out, the completion that comes at the same moment, and the router's own late answer: one of
//! them decides, and a completion that was accepted is never taken back by a redelivery.

use std::time::Duration;

use duewheel::{
    CompleteError, Completion, Disposition, Outcome, RequestState, RoutingCommand, Shutdown,
};

use super::support::{Centre, NEVER, aside, at, centre, centre_that, explore, hesitate};

const ID: u128 = 1;

/// Accepts the first attempt for ten seconds, and routes the second.
fn accepts_first(command: &RoutingCommand) -> Disposition {
    match command.attempt {
        1 => Disposition::Accepted {
            lease_for: Duration::from_secs(10),
        },
        _ => Disposition::Routed,
    }
}

/// Polls past the lease's end and past the retry's delay.
fn polls_past_the_lease(centre: &Centre) -> usize {
    let expires = centre.engine.poll(at(10), 10).unwrap();
    let redelivers = centre.engine.poll(at(20), 10).unwrap();
    expires.released + redelivers.released
}

#[test]
fn a_completion_or_the_redelivery_after_its_lease_wins() {
    explore(|| {
        let lease_for = Duration::from_secs(10);
        let centre = centre_that(move |_| Disposition::Accepted { lease_for });
        centre.schedule(centre.request(ID, at(0)));
        assert_eq!(centre.poll(at(0)), 1);
        let lease = centre.desk.command(0).lease;
        let expiry = aside(&centre, polls_past_the_lease);
        hesitate();
        let completed = centre.engine.complete(&lease, Completion::Routed, at(10));
        let redelivered = expiry.join().unwrap();
        match completed {
            Ok(state) => {
                assert_eq!(state, RequestState::Completed);
                assert_eq!(redelivered, 0, "the completion won");
                assert_eq!(centre.desk.routed(), [(ID, 1)]);
            }
            Err(CompleteError::Stale { .. }) => {
                assert_eq!(redelivered, 1, "a newer attempt was released");
                assert_eq!(centre.desk.routed(), [(ID, 1), (ID, 2)]);
                let newer = centre.desk.command(1);
                assert!(newer.redelivery);
                let state = centre
                    .engine
                    .complete(&newer.lease, Completion::Routed, at(21));
                assert_eq!(state, Ok(RequestState::Completed));
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(centre.status(ID).outcome, Some(Outcome::Routed));
        assert_eq!(centre.poll(at(50)), 0);
        assert_eq!((centre.engine.pending(), centre.engine.in_flight()), (0, 0));
    });
}

/// A completion is good from the moment that the router is called; its answer after that is ignored.
#[test]
fn a_completion_or_the_answer_of_the_router_wins() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(ID, at(0)));
        let poll = aside(&centre, |centre| {
            centre.engine.poll(at(0), 10).unwrap().released
        });
        centre.desk.wait_for(1);
        let lease = centre.desk.command(0).lease;
        let busy = Completion::Busy { retry_after: None };
        hesitate();
        let completed = centre.engine.complete(&lease, busy, at(0));
        assert_eq!(poll.join().unwrap(), 1);
        let again = centre.poll(at(50));
        match completed {
            Ok(state) => {
                assert_eq!(state, RequestState::Scheduled);
                assert_eq!(again, 1, "the completion won, and it is tried again");
            }
            Err(CompleteError::Stale { .. }) => assert_eq!(again, 0, "it was routed"),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(centre.desk.count(ID), 1 + again);
        assert_eq!(centre.status(ID).outcome, Some(Outcome::Routed));
    });
}

#[test]
fn two_completions_of_one_lease_have_one_winner() {
    explore(|| {
        let centre = centre_that(accepts_first);
        centre.schedule(centre.request(ID, at(0)));
        assert_eq!(centre.poll(at(0)), 1);
        let lease = centre.desk.command(0).lease;
        let other = aside(&centre, move |centre| {
            let why = Completion::Rejected("no such number".into());
            centre.engine.complete(&lease, why, at(10)).is_ok()
        });
        let expiry = aside(&centre, |centre| {
            centre.engine.poll(at(10), 10).unwrap().released
        });
        hesitate();
        let one = centre.engine.complete(&lease, Completion::Routed, at(10));
        let (one, other) = (one.is_ok(), other.join().unwrap());
        assert_eq!(expiry.join().unwrap(), 0, "its retry is not due yet");
        assert!(one != other, "{one} {other}");
        let expected = if one {
            Outcome::Routed
        } else {
            Outcome::Rejected
        };
        assert_eq!(centre.status(ID).outcome, Some(expected));
        assert_eq!(centre.poll(at(50)), 0);
        assert_eq!((centre.engine.pending(), centre.engine.in_flight()), (0, 0));
    });
}

#[test]
fn a_failure_that_is_completed_as_its_lease_runs_out_counts_once() {
    explore(|| {
        let centre = centre_that(accepts_first);
        centre.schedule(centre.request(ID, at(0)));
        assert_eq!(centre.poll(at(0)), 1);
        let lease = centre.desk.command(0).lease;
        let expiry = aside(&centre, |centre| {
            centre.engine.poll(at(10), 10).unwrap().released
        });
        let busy = Completion::Busy { retry_after: None };
        hesitate();
        let completed = centre.engine.complete(&lease, busy, at(10));
        assert_eq!(completed, Ok(RequestState::Scheduled));
        assert_eq!(expiry.join().unwrap(), 0);
        // Of its two attempts one is left, whoever told of the first.
        assert_eq!(centre.poll(at(50)), 1);
        assert_eq!(centre.desk.routed(), [(ID, 1), (ID, 2)]);
        assert_eq!(centre.status(ID).outcome, Some(Outcome::Routed));
    });
}

#[test]
fn a_worker_that_answers_after_its_lease_ends_the_request_once() {
    explore(|| {
        let centre = centre();
        let running = centre.start(2);
        centre.schedule(centre.request(ID, at(0)));
        centre.desk.wait_for(1);
        let lease = centre.desk.command(0).lease;
        let complete = aside(&centre, move |centre| {
            centre
                .engine
                .complete(&lease, Completion::Routed, at(15))
                .is_ok()
        });
        hesitate();
        // Past the lease that an attempt with a worker has, and past the retry's delay.
        centre.clock.set(at(10));
        centre.clock.set(at(20));
        let completed = complete.join().unwrap();
        let report = running.shutdown(Shutdown::Drain, NEVER);
        assert!(report.panics.is_empty(), "{report:?}");
        assert_eq!((report.pending, report.in_flight), (0, 0));
        let status = centre.status(ID);
        assert_eq!(status.outcome, Some(Outcome::Routed));
        let routed = centre.desk.count(ID);
        assert!(routed as u32 <= status.attempts && status.attempts <= 2);
        assert!(!completed || routed == 1, "the completion won");
        centre.engine.check_invariants();
    });
}
