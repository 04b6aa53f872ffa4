//! Idempotent intake, cancel, reschedule, status.

use duewheel::{
    CancelError, Outcome, Priority, RequestId, RequestState, RescheduleError, ScheduleData,
    ScheduleErrorReason,
};

use crate::support::{at, centre, centre_with, secs};

#[test]
fn the_same_id_and_content_is_answered_with_the_original_receipt() {
    let centre = centre();
    let request = centre.request(1, at(10)).with_payload(*b"hello");
    let first = centre.engine.schedule(request.clone(), at(0)).unwrap();
    let again = centre.engine.schedule(request.clone(), at(5)).unwrap();
    assert_eq!(
        (again.position, again.state, again.duplicate),
        (first.position, RequestState::Scheduled, true)
    );
    assert_eq!(centre.engine.pending(), 1);
    centre.poll(at(10));
    let after = centre.engine.schedule(request.clone(), at(11)).unwrap();
    assert_eq!(
        (after.position, after.outcome),
        (first.position, Some(Outcome::Routed))
    );
    assert_eq!(centre.poll(at(12)), 0, "a finished id does not come back");
}

#[test]
fn other_content_is_a_conflict_and_hands_the_request_back() {
    let centre = centre();
    let request = centre.request(1, at(10)).with_payload(*b"hello");
    centre.schedule(request.clone(), at(0));
    for other in [
        request.clone().with_payload(*b"hullo"),
        request.clone().with_priority(Priority(1)),
        request.clone().with_customer("9664491"),
        request.clone().with_schedule(ScheduleData::at(at(11))),
        centre.immediate(1).with_payload(*b"hello"),
    ] {
        let error = centre.engine.schedule(other.clone(), at(1)).unwrap_err();
        assert_eq!(
            error.reason,
            ScheduleErrorReason::Conflict {
                state: RequestState::Scheduled
            }
        );
        assert_eq!(*error.request, other);
    }
    centre.poll(at(10));
    let error = centre
        .engine
        .schedule(centre.immediate(1), at(11))
        .unwrap_err();
    assert_eq!(
        error.reason,
        ScheduleErrorReason::Conflict {
            state: RequestState::Completed
        }
    );
}

#[test]
fn idempotency_is_by_the_request_as_submitted_whatever_was_rescheduled() {
    let centre = centre();
    let request = centre.request(1, at(10));
    centre.schedule(request.clone(), at(0));
    centre
        .engine
        .reschedule(1.into(), ScheduleData::at(at(50)), None, at(1))
        .map(drop)
        .unwrap();
    assert!(centre.engine.schedule(request, at(2)).unwrap().duplicate);
    assert!(
        centre
            .engine
            .schedule(centre.request(1, at(50)), at(2))
            .is_err()
    );
}

#[test]
fn integers_and_uuids_never_collide() {
    let centre = centre();
    let mut uuid = centre.request(7, at(10));
    uuid.id = RequestId::uuid(7);
    centre.schedule(centre.request(7, at(10)), at(0));
    centre.schedule(uuid, at(0));
    assert_eq!(centre.poll(at(10)), 2);
}

#[test]
fn a_completed_id_is_remembered_for_its_span_by_the_engines_clock() {
    let centre = centre_with(duewheel::Engine::builder().remember(secs(100), 1_000));
    centre.schedule(centre.request(1, at(10)), at(0));
    centre.poll(at(10));
    assert!(
        centre
            .engine
            .schedule(centre.request(1, at(10)), at(109))
            .unwrap()
            .duplicate
    );
    assert!(
        !centre
            .engine
            .schedule(centre.request(1, at(10)), at(110))
            .unwrap()
            .duplicate
    );
    assert_eq!(centre.poll(at(110)), 1);
    centre.poll(at(300));
    assert_eq!(centre.engine.status(1.into()), None);
    assert_eq!(
        centre.engine.cancel(1.into(), at(300)),
        Err(CancelError::Unknown(1.into()))
    );
}

#[test]
fn cancel_is_idempotent_and_comes_too_late_after_release() {
    let centre = centre();
    centre.schedule(centre.request(1, at(10)), at(0));
    centre.schedule(centre.request(2, at(10)), at(0));
    assert!(!centre.engine.cancel(1.into(), at(1)).unwrap().already);
    assert!(centre.engine.cancel(1.into(), at(2)).unwrap().already);
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [2]);
    let too_late = CancelError::TooLate {
        id: 2.into(),
        state: RequestState::Completed,
    };
    assert_eq!(centre.engine.cancel(2.into(), at(11)), Err(too_late));
    assert_eq!(
        centre.engine.cancel(3.into(), at(11)),
        Err(CancelError::Unknown(3.into()))
    );
    assert!(
        centre.engine.cancel(1.into(), at(20)).unwrap().already,
        "still"
    );
}

#[test]
fn a_request_that_is_ready_but_was_not_released_can_be_cancelled_and_rescheduled() {
    let centre = centre();
    for id in 0..10 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    let _ = centre.poll_once(at(10), 1);
    centre.engine.cancel(5.into(), at(10)).map(drop).unwrap();
    centre
        .engine
        .reschedule(6.into(), ScheduleData::at(at(20)), None, at(10))
        .map(drop)
        .unwrap();
    centre.engine.check_invariants();
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [0, 1, 2, 3, 4, 7, 8, 9]);
    centre.poll(at(20));
    assert_eq!(centre.desk.take_ids(), [6]);
}

#[test]
fn reschedule_is_in_place_and_guarded_by_the_revision() {
    let centre = centre();
    centre.schedule(centre.request(1, at(10)), at(0));
    let receipt = centre
        .engine
        .reschedule(1.into(), ScheduleData::at(at(50)), Some(1), at(1))
        .unwrap();
    assert_eq!(receipt.state, RequestState::Scheduled);
    let error = centre
        .engine
        .reschedule(1.into(), ScheduleData::at(at(60)), Some(1), at(1))
        .unwrap_err();
    assert_eq!(
        error,
        RescheduleError::Revision {
            id: 1.into(),
            expected: 1,
            found: 2
        }
    );
    assert_eq!(error.to_string(), "request 1 is at revision 2: expected 1");
    let status = centre.engine.status(1.into()).unwrap();
    assert_eq!((status.due, status.revision), (at(50), 2));
    assert_eq!(centre.poll(at(49)), 0);
    assert_eq!(centre.poll(at(50)), 1);
    let error = centre
        .engine
        .reschedule(1.into(), ScheduleData::at(at(60)), None, at(51))
        .unwrap_err();
    assert_eq!(
        error,
        RescheduleError::TooLate {
            id: 1.into(),
            state: RequestState::Completed
        }
    );
    let unknown = centre
        .engine
        .reschedule(2.into(), ScheduleData::at(at(60)), None, at(51));
    assert_eq!(unknown.unwrap_err(), RescheduleError::Unknown(2.into()));
}

#[test]
fn an_immediate_request_can_become_a_scheduled_one() {
    let centre = centre();
    centre.schedule(centre.immediate(1), at(0));
    centre
        .engine
        .reschedule(1.into(), ScheduleData::at(at(50)), None, at(0))
        .map(drop)
        .unwrap();
    assert_eq!(centre.poll(at(1)), 0);
    assert_eq!(centre.poll(at(50)), 1);
    assert!(centre.desk.take()[0].scheduled);
}

#[test]
fn bad_input_is_refused_by_name_and_touches_nothing() {
    let centre = centre_with(duewheel::Engine::builder().payload_bytes_max(8));
    let mut nowhere = centre.request(1, at(10));
    nowhere.location = duewheel::LocationId::from_index(77);
    let error = centre.engine.schedule(nowhere.clone(), at(0)).unwrap_err();
    assert_eq!(
        error.reason,
        ScheduleErrorReason::UnknownLocation(nowhere.location)
    );
    let large = centre.request(1, at(10)).with_payload(vec![0_u8; 9]);
    let error = centre.engine.schedule(large, at(0)).unwrap_err();
    assert_eq!(
        error.reason,
        ScheduleErrorReason::PayloadTooLarge {
            bytes: 9,
            bytes_max: 8
        }
    );
    assert!(centre.engine.hold(nowhere.location, at(0)).is_err());
    assert!(centre.engine.resume(nowhere.location, None, at(0)).is_err());
    assert!(
        centre
            .engine
            .cancel_location(nowhere.location, at(0))
            .is_err()
    );
    assert!(
        centre
            .engine
            .move_location(centre.here, nowhere.location, at(0))
            .is_err()
    );
    assert!(
        centre
            .engine
            .list_location(nowhere.location, None, 1)
            .is_err()
    );
    assert_eq!(centre.engine.pending(), 0);
    centre.engine.close();
    let error = centre
        .engine
        .schedule(centre.request(1, at(10)), at(0))
        .unwrap_err();
    assert_eq!(error.reason, ScheduleErrorReason::Closed);
}

#[test]
fn a_batch_is_answered_one_by_one_in_order() {
    let centre = centre();
    let batch = vec![
        centre.request(1, at(10)),
        centre.request(1, at(11)),
        centre.request(2, at(9)),
    ];
    let answers = centre.engine.schedule_batch(batch, at(0));
    let taken: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(taken, [true, false, true]);
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [2, 1]);
}

#[test]
fn a_repeated_intake_is_answered_after_close() {
    let centre = centre();
    centre.schedule(centre.request(1, at(10)), at(0));
    centre.engine.close();
    let again = centre.engine.schedule(centre.request(1, at(10)), at(1));
    assert!(again.unwrap().duplicate);
    let new = centre.engine.schedule(centre.request(2, at(10)), at(1));
    assert_eq!(new.unwrap_err().reason, ScheduleErrorReason::Closed);
}
