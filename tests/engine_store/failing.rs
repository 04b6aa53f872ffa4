//! Answers while the journal fails, and before it can.

use duewheel::{
    CancelError, Durability, InteractionRequest, LocationError, LocationId, Room, ScheduleData,
    ScheduleErrorReason,
};

use crate::support::{House, at};

fn request(id: u64) -> InteractionRequest {
    InteractionRequest::new(id.into(), LocationId::from_index(2))
        .with_customer("someone")
        .with_payload(*b"something")
        .with_schedule(ScheduleData::at(at(60_000)))
}

#[test]
fn who_was_waiting_gets_the_request_back_and_is_told_that_it_may_be_there() {
    for batch in [false, true] {
        let house = House::new(Durability::Sync);
        let engine = house.open(4);
        let _ = engine.schedule(request(1), at(0)).unwrap();
        house.store.fail_sync_at(1);
        let answers = match batch {
            true => engine.schedule_batch((1..9).map(request).collect(), at(0)),
            false => vec![engine.schedule(request(2), at(0))],
        };
        let ids = if batch { 1..9 } else { 2..3 };
        assert_eq!(answers.len(), ids.clone().count());
        for (id, answer) in ids.zip(answers) {
            let error = answer.unwrap_err();
            assert_eq!(error.reason, ScheduleErrorReason::Indeterminate);
            assert_eq!(*error.request, request(id));
        }
        // From here on nothing is tried.
        let error = engine.schedule(request(20), at(0)).unwrap_err();
        assert_eq!(error.reason, ScheduleErrorReason::Unavailable);
        assert_eq!(*error.request, request(20));
        let cancelled = engine.cancel(1.into(), at(0));
        assert_eq!(cancelled, Err(CancelError::Unavailable));
        let held = engine.hold(LocationId::from_index(2), at(0));
        assert!(matches!(held, Err(LocationError::Unavailable(_))));
        // What is durable is told from what may be lost.
        assert!(engine.status(1.into()).unwrap().durable);
        assert!(!engine.status(2.into()).unwrap().durable);
    }
}

#[test]
fn a_conflict_rests_on_a_record_too() {
    let house = House::new(Durability::Sync);
    let engine = house.open(1);
    let _ = engine.schedule(request(1), at(0)).unwrap();
    house.store.fail_append_at(1);
    assert!(engine.cancel(1.into(), at(0)).is_err());
    let other = request(1).with_priority(7);
    let error = engine.schedule(other.clone(), at(0)).unwrap_err();
    assert_eq!(error.reason, ScheduleErrorReason::Unavailable);
    assert_eq!(*error.request, other);
}

#[test]
fn a_full_store_refuses_intake_and_takes_the_ends() {
    let house = House::new(Durability::Sync);
    let engine = house.open(1);
    let _ = engine.schedule(request(1), at(0)).unwrap();
    house.store.set_room(Room::Reserved);
    let error = engine.schedule(request(2), at(0)).unwrap_err();
    assert_eq!(error.reason, ScheduleErrorReason::StorageFull);
    assert_eq!(*error.request, request(2));
    assert!(engine.schedule(request(1), at(0)).unwrap().duplicate);
    assert!(engine.cancel(1.into(), at(0)).is_ok());
}

#[test]
fn no_request_is_larger_than_a_record_may_be() {
    let house = House::new(Durability::NoSync);
    let engine = house.open(1);
    let large = request(1).with_customer("x".repeat((64 << 20) - 8));
    let error = engine.schedule(large, at(0)).unwrap_err();
    let too_large = ScheduleErrorReason::PayloadTooLarge {
        bytes: (64 << 20) + 1,
        bytes_max: 64 << 20,
    };
    assert_eq!(error.reason, too_large);
}
