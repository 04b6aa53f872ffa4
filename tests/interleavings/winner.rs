//! Cancel, reschedule and release of one request: exactly one wins, and the others are told.

use duewheel::{CancelError, Outcome, RequestId, RescheduleError, ScheduleData, Shutdown};

use super::support::{NEVER, aside, at, centre, explore, hesitate};

const ID: u128 = 1;

fn id() -> RequestId {
    RequestId::integer(ID)
}

/// Cancel against a poll, of a request that the router is consulted about and of one that it is not.
fn cancel_against_a_poll(scheduled: bool) {
    explore(move || {
        let centre = centre();
        centre.schedule(match scheduled {
            true => centre.request(ID, at(5)),
            false => centre.immediate(ID),
        });
        let release = aside(&centre, |centre| {
            centre.engine.poll(at(5), 10).unwrap().released
        });
        hesitate();
        let cancelled = centre.engine.cancel(id(), at(5));
        let released = release.join().unwrap();
        let outcome = centre.status(ID).outcome;
        match cancelled {
            Ok(cancelled) => {
                assert!(!cancelled.already);
                assert_eq!((released, centre.desk.count(ID)), (0, 0));
                assert_eq!(outcome, Some(Outcome::Cancelled));
            }
            Err(CancelError::TooLate { .. }) => {
                assert_eq!((released, centre.desk.count(ID)), (1, 1));
                assert_eq!(outcome, Some(Outcome::Routed));
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(centre.poll(at(9)), 0, "nothing is left");
        assert_eq!(centre.engine.pending(), 0);
    });
}

#[test]
fn cancel_or_release_of_a_scheduled_request_wins() {
    cancel_against_a_poll(true);
}

#[test]
fn cancel_or_release_of_an_immediate_request_wins() {
    cancel_against_a_poll(false);
}

#[test]
fn cancel_or_release_to_a_worker_wins() {
    explore(|| {
        let centre = centre();
        let running = centre.start(2);
        centre.schedule(centre.immediate(ID));
        let other = aside(&centre, |centre| centre.engine.cancel(id(), at(0)));
        hesitate();
        let cancelled = centre.engine.cancel(id(), at(0));
        let cancelled = [cancelled, other.join().unwrap()];
        let report = running.shutdown(Shutdown::Drain, NEVER);
        assert_eq!((report.pending, report.in_flight), (0, 0));
        assert!(report.panics.is_empty(), "{report:?}");
        let first = cancelled.iter().flatten().filter(|it| !it.already).count();
        let repeated = cancelled.iter().flatten().filter(|it| it.already).count();
        match first {
            1 => {
                assert_eq!(repeated, 1, "a repeated cancel is no error");
                assert_eq!(centre.desk.count(ID), 0);
            }
            0 => {
                assert_eq!(repeated, 0);
                assert_eq!(centre.desk.count(ID), 1);
            }
            _ => panic!("two cancelled it first"),
        }
        centre.engine.check_invariants();
    });
}

#[test]
fn reschedule_or_release_wins() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(ID, at(5)));
        let release = aside(&centre, |centre| {
            centre.engine.poll(at(5), 10).unwrap().released
        });
        let later = ScheduleData::at(at(50));
        hesitate();
        let rescheduled = centre.engine.reschedule(id(), later, None, at(5));
        let released = release.join().unwrap();
        match rescheduled {
            Ok(_) => {
                assert_eq!((released, centre.desk.count(ID)), (0, 0));
                assert_eq!(centre.poll(at(49)), 0);
                assert_eq!(centre.poll(at(50)), 1);
            }
            Err(RescheduleError::TooLate { .. }) => assert_eq!(released, 1),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(centre.desk.routed(), [(ID, 1)]);
    });
}

#[test]
fn reschedule_or_cancel_wins_and_a_revision_is_changed_once() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(ID, at(5)));
        let reschedule = |centre: &super::support::Centre, seconds| {
            let schedule = ScheduleData::at(at(seconds));
            centre.engine.reschedule(id(), schedule, Some(1), at(0))
        };
        let other = aside(&centre, move |centre| reschedule(centre, 60));
        let cancel = aside(&centre, |centre| centre.engine.cancel(id(), at(0)));
        hesitate();
        let answers = [reschedule(&centre, 50), other.join().unwrap()];
        assert!(answers.iter().flatten().count() <= 1);
        assert!(cancel.join().unwrap().is_ok(), "nothing was released");
        assert_eq!(centre.status(ID).outcome, Some(Outcome::Cancelled));
        assert_eq!(centre.poll(at(100)), 0);
    });
}

#[test]
fn a_location_is_cancelled_or_moved_or_released_request_by_request() {
    explore(|| {
        let centre = centre();
        let there = centre.engine.directory().enter("BB0202").unwrap();
        for id in 1..=3 {
            centre.schedule(centre.request(id, at(5)));
        }
        let release = aside(&centre, |centre| {
            centre.engine.poll(at(5), 10).unwrap().released
        });
        let moving = aside(&centre, move |centre| {
            let moved = centre.engine.move_location(centre.here, there, at(5));
            moved.unwrap().changed
        });
        hesitate();
        let cancelled = centre.engine.cancel_location(centre.here, at(5)).unwrap();
        let moved = moving.join().unwrap();
        let released = release.join().unwrap() + centre.poll(at(5));
        assert_eq!(released, centre.desk.routed().len());
        assert_eq!(released + cancelled.changed, 3, "each has one end");
        assert!(cancelled.changed + cancelled.too_late + moved <= 3 + released);
        assert_eq!(centre.engine.pending(), 0);
    });
}

/// What a walk has still to visit may leave the page meanwhile, which then ends before the walk's end.
#[test]
fn a_walk_of_a_page_that_becomes_shorter_ends() {
    explore(|| {
        let centre = centre();
        centre.schedule(centre.request(ID, at(5)));
        let cancel = aside(&centre, |centre| {
            centre.engine.cancel(id(), at(0)).unwrap().already
        });
        hesitate();
        let walked = centre.engine.cancel_location(centre.here, at(0)).unwrap();
        let already = cancel.join().unwrap();
        assert_eq!((walked.changed, walked.too_late), (usize::from(already), 0));
        assert_eq!(centre.engine.pending(), 0);
    });
}
