//! Many requests at once: the answers, the order and the bounds are those of one after the other.

use duewheel::{
    CancelError, Engine, InteractionRequest, RequestId, RequestState, ScheduleErrorReason,
};

use crate::support::{at, centre, centre_with};

fn ids(ids: impl IntoIterator<Item = u128>) -> Vec<RequestId> {
    ids.into_iter().map(RequestId::integer).collect()
}

#[test]
fn a_batch_is_released_in_its_own_order_over_all_shards() {
    let centre = centre();
    // More than are taken under one lock, and more than are sorted at once.
    let requests = (0..700).rev().map(|id| centre.request(id, at(10)));
    let answers = centre.engine.schedule_batch(requests.collect(), at(0));
    let positions: Vec<_> = answers.into_iter().map(|a| a.unwrap().id.value()).collect();
    assert!(positions.iter().rev().copied().eq(0..700));
    centre.engine.check_invariants();
    assert_eq!(centre.poll(at(9)), 0);
    assert_eq!(centre.poll(at(10)), 700);
    assert!(centre.desk.take_ids().into_iter().rev().eq(0..700));
}

#[test]
fn a_repetition_within_a_batch_is_a_duplicate_and_other_content_a_conflict() {
    let centre = centre();
    let first = centre.request(1, at(10));
    let other = first.clone().with_payload(*b"other");
    let batch = vec![first.clone(), first.clone(), other.clone()];
    let mut answers = centre.engine.schedule_batch(batch, at(0)).into_iter();
    let mut next = || answers.next().unwrap();
    let (taken, again) = (next().unwrap(), next().unwrap());
    assert_eq!((taken.duplicate, again.duplicate), (false, true));
    assert_eq!(taken.position, again.position);
    let refused = next().unwrap_err();
    let state = RequestState::Scheduled;
    assert_eq!(refused.reason, ScheduleErrorReason::Conflict { state });
    assert_eq!(*refused.request, other, "handed back");
    assert_eq!(centre.engine.pending(), 1);
}

#[test]
fn a_batch_that_does_not_fit_is_taken_in_as_far_as_it_fits() {
    let centre = centre_with(Engine::builder().max_pending(300));
    let requests = (0..400).map(|id| centre.request(id, at(10)).with_payload(*b"x"));
    let answers = centre.engine.schedule_batch(requests.collect(), at(0));
    for (id, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(receipt) => assert!(id < 300 && !receipt.duplicate),
            Err(error) => {
                let pending_max = 300;
                assert!(id >= 300);
                assert_eq!(error.reason, ScheduleErrorReason::Full { pending_max });
                assert_eq!(error.request.payload[..], *b"x");
            }
        }
    }
    assert_eq!(centre.engine.pending(), 300);
    // Repetitions need no room.
    let again = (0..300).map(|id| centre.request(id, at(10)).with_payload(*b"x"));
    let answers = centre.engine.schedule_batch(again.collect(), at(1));
    assert!(answers.into_iter().all(|answer| answer.unwrap().duplicate));
    assert_eq!(centre.engine.pending(), 300);
}

#[test]
fn what_is_refused_by_itself_leaves_the_others_alone() {
    let centre = centre_with(Engine::builder().payload_bytes_max(4));
    let good = |id| centre.request(id, at(10));
    let nowhere = duewheel::LocationId::from_index(99);
    let batch = vec![
        good(1),
        InteractionRequest::new(2.into(), nowhere),
        good(3).with_payload(*b"12345"),
        good(4),
    ];
    let answers = centre.engine.schedule_batch(batch, at(0));
    let reasons: Vec<_> = answers.iter().map(|a| a.as_ref().err()).collect();
    assert_eq!(reasons[0], None);
    assert_eq!(reasons[3], None);
    let unknown = ScheduleErrorReason::UnknownLocation(nowhere);
    assert_eq!(reasons[1].unwrap().reason, unknown);
    let (bytes, bytes_max) = (5, 4);
    let large = ScheduleErrorReason::PayloadTooLarge { bytes, bytes_max };
    assert_eq!(reasons[2].unwrap().reason, large);
    assert_eq!(centre.engine.pending(), 2);
    centre.engine.close();
    let closed = centre.engine.schedule_batch(vec![good(5), good(1)], at(1));
    let reason = &closed[0].as_ref().unwrap_err().reason;
    assert_eq!(*reason, ScheduleErrorReason::Closed);
    assert!(closed[1].as_ref().unwrap().duplicate);
    assert_eq!(centre.engine.pending(), 2);
}

#[test]
fn a_batch_of_cancels_answers_one_by_one() {
    let centre = centre();
    for id in 0..600 {
        centre.schedule(centre.request(id, at(10 + u64::from(id == 7))), at(0));
    }
    centre.poll(at(10));
    centre.desk.take();
    let answers = centre.engine.cancel_batch(&ids([7, 7, 8, 600]), at(10));
    let id = RequestId::integer;
    assert_eq!(answers[0].map(|c| c.already), Ok(false));
    assert_eq!(answers[1].map(|c| c.already), Ok(true));
    let state = RequestState::Completed;
    assert_eq!(answers[2], Err(CancelError::TooLate { id: id(8), state }));
    assert_eq!(answers[3], Err(CancelError::Unknown(id(600))));
    assert_eq!(centre.engine.pending(), 0);
}

#[test]
fn a_large_batch_of_cancels_leaves_nothing() {
    let centre = centre();
    let requests = (0..1_500).map(|id| centre.request(id, at(10)).with_customer("c"));
    drop(centre.engine.schedule_batch(requests.collect(), at(0)));
    let answers = centre.engine.cancel_batch(&ids((0..1_500).rev()), at(1));
    assert!(answers.iter().all(|answer| !answer.unwrap().already));
    centre.engine.check_invariants();
    assert_eq!((centre.engine.pending(), centre.poll(at(20))), (0, 0));
}

#[test]
fn an_empty_batch_is_nothing() {
    let centre = centre();
    assert!(centre.engine.schedule_batch(Vec::new(), at(0)).is_empty());
    assert!(centre.engine.cancel_batch(&[], at(0)).is_empty());
}
