//! What a crash leaves open.

use super::*;
use crate::engine::{CancelError, CompleteError, RescheduleError};
use crate::lifecycle::RequestState;
use crate::persistence::record::ScheduleImage;
use crate::router::{Completion, Lease};
use crate::schedule::{RetryPolicy, ScheduleData};

/// A store in which request 1 was released at 1000, and the process killed at the router.
fn in_flight(redeliveries: u32) -> MemoryStore {
    scheduled_in_flight(redeliveries, ScheduleImage::Plain(0))
}

fn scheduled_in_flight(redeliveries: u32, schedule: ScheduleImage<'_>) -> MemoryStore {
    let taken_in = RequestImage {
        schedule: schedule.clone(),
        course: released(1, 1_000, 0).course.map(|course| CourseImage {
            attempts: 0,
            ..course
        }),
        ..plain(1, 1_000)
    };
    let gone_out = RequestImage {
        schedule,
        ..released(1, 1_000, redeliveries)
    };
    Hand::new()
        .named(0, "AA0101")
        .request(Change::Accepted, taken_in)
        .request(Change::Released, gone_out)
        .crash(Some(1_000))
}

fn retrying(attempts: u32) -> ScheduleData {
    let second = Duration::from_secs(1);
    let retry = RetryPolicy::new(attempts, second, Duration::from_secs(60), 0.0).unwrap();
    let schedule = ScheduleData::builder().time(at(1_000)).retry(retry);
    schedule.build().unwrap()
}

fn full(schedule: &ScheduleData) -> ScheduleImage<'_> {
    ScheduleImage::Full(std::borrow::Cow::Borrowed(schedule))
}

#[test]
fn what_was_in_flight_is_handed_over_again_under_its_number_and_says_so() {
    let desk = Arc::<Desk>::default();
    let engine = recover(&in_flight(0), &desk);
    assert_eq!(engine.recovery().unwrap().in_doubt, 1);
    assert_eq!((engine.pending(), engine.in_flight()), (1, 1));
    assert_eq!(engine.poll(at(999), 10).unwrap().released, 0, "never early");
    assert_eq!(engine.poll(at(1_000), 10).unwrap().released, 1);
    let command = desk.take().remove(0);
    assert_eq!((command.attempt, command.redelivery), (1, true));
    assert_eq!(command.lease, Lease::new(id(1), 1, 2), "of the new epoch");
    assert_eq!(command.customer.as_deref(), Some("someone"));
    assert_eq!(&*command.payload, b"something");
    assert_eq!((engine.pending(), engine.in_flight()), (0, 0));
    engine.check_invariants();
}

#[test]
fn what_is_in_doubt_cannot_be_changed() {
    let engine = recover(&in_flight(0), &Arc::default());
    let now = at(1_000);
    let elsewhere = engine.directory().enter("BB").unwrap();
    let late = RequestState::Released;
    let cancelled = engine.cancel(id(1), now).unwrap_err();
    assert_eq!(
        cancelled,
        CancelError::TooLate {
            id: id(1),
            state: late
        }
    );
    let schedule = ScheduleData::at(at(9_000));
    let moved = engine.reschedule(id(1), schedule, None, now).unwrap_err();
    assert_eq!(
        moved,
        RescheduleError::TooLate {
            id: id(1),
            state: late
        }
    );
    for change in [
        engine.cancel_location(place(0), now).unwrap(),
        engine.move_location(place(0), elsewhere, now).unwrap(),
    ] {
        assert_eq!((change.changed, change.too_late), (0, 1));
    }
    assert_eq!(engine.status(id(1)).unwrap().state, late);
    let listed = engine.list_location(place(0), None, 10).unwrap();
    assert_eq!(listed.requests[0].state, late);
    assert_eq!(engine.report(now).states[&late], 1);
    assert_eq!(engine.report(now).states[&RequestState::Scheduled], 0);
    engine.check_invariants();
}

#[test]
fn a_late_completion_counts_while_it_waits() {
    let desk = Arc::<Desk>::default();
    let engine = recover(&in_flight(0), &desk);
    let lease = Lease::new(id(1), 1, 1);
    let stranger = Lease::new(id(1), 1, 3);
    let refused = engine.complete(&stranger, Completion::Routed, at(1_000));
    assert!(matches!(refused, Err(CompleteError::Stale { .. })));
    let state = engine.complete(&lease, Completion::Routed, at(1_000));
    assert_eq!(state, Ok(RequestState::Completed));
    assert_eq!(engine.poll(at(2_000), 10).unwrap().released, 0);
    assert_eq!((engine.in_flight(), routed_count(&engine)), (0, 1));
    engine.check_invariants();
}

#[test]
fn a_late_completion_as_busy_is_a_failed_attempt() {
    let schedule = retrying(2);
    let desk = Arc::<Desk>::default();
    let engine = recover(&scheduled_in_flight(0, full(&schedule)), &desk);
    let busy = Completion::Busy { retry_after: None };
    let lease = Lease::new(id(1), 1, 1);
    let state = engine.complete(&lease, busy, at(5_000));
    assert_eq!(state, Ok(RequestState::Scheduled));
    engine.check_invariants();
    assert_eq!(engine.poll(at(5_999), 10).unwrap().released, 0, "backoff");
    assert_eq!(engine.poll(at(6_000), 10).unwrap().released, 1);
    assert_eq!(desk.take()[0].attempt, 2);
}

#[test]
fn a_late_completion_as_busy_of_the_last_attempt_makes_a_dead_letter() {
    let schedule = retrying(1);
    let engine = recover(&scheduled_in_flight(0, full(&schedule)), &Arc::default());
    let busy = Completion::Busy { retry_after: None };
    let state = engine.complete(&Lease::new(id(1), 1, 1), busy, at(5_000));
    assert_eq!(state, Ok(RequestState::Completed));
    let outcome = engine.status(id(1)).unwrap().outcome;
    assert_eq!(outcome, Some(Outcome::DeadLettered));
    engine.check_invariants();
}

#[test]
fn a_crash_does_not_spend_the_last_attempt() {
    let schedule = retrying(1);
    let desk = Arc::<Desk>::default();
    let engine = recover(&scheduled_in_flight(3, full(&schedule)), &desk);
    assert_eq!(engine.poll(at(1_000), 10).unwrap().released, 1);
    assert_eq!(desk.take()[0].attempt, 1);
    let outcome = engine.status(id(1)).unwrap().outcome;
    assert_eq!(outcome, Some(Outcome::Routed));
}

#[test]
fn the_end_of_its_lifespan_ends_it_as_in_doubt() {
    let schedule = ScheduleData::builder().time(at(1_000)).not_after(at(5_000));
    let schedule = schedule.build().unwrap();
    let store = scheduled_in_flight(0, full(&schedule));
    let desk = Arc::<Desk>::default();
    let engine = recover(&store, &desk);
    assert_eq!(engine.poll(at(5_000), 10).unwrap().released, 0);
    let status = engine.status(id(1)).unwrap();
    assert_eq!(status.outcome, Some(Outcome::Expired));
    assert_eq!(status.reason.as_deref(), Some("in_doubt"));
    assert_eq!(engine.in_flight(), 0);
    engine.check_invariants();
}

#[test]
fn a_completion_after_its_lifespan_still_tells_how_it_went() {
    let schedule = ScheduleData::builder().time(at(1_000)).not_after(at(5_000));
    let schedule = schedule.build().unwrap();
    let engine = recover(&scheduled_in_flight(0, full(&schedule)), &Arc::default());
    let state = engine.complete(&Lease::new(id(1), 1, 1), Completion::Routed, at(6_000));
    assert_eq!(state, Ok(RequestState::Completed));
    let outcome = engine.status(id(1)).unwrap().outcome;
    assert_eq!(outcome, Some(Outcome::Routed));
}

#[test]
fn a_hold_parks_it_and_it_stays_out_of_reach() {
    let desk = Arc::<Desk>::default();
    let engine = recover(&in_flight(0), &desk);
    let _ = engine.hold(place(0), at(900)).unwrap();
    assert_eq!(engine.poll(at(2_000), 10).unwrap().released, 0);
    assert_eq!(engine.status(id(1)).unwrap().state, RequestState::Released);
    assert!(engine.cancel(id(1), at(2_000)).is_err());
    engine.check_invariants();
    // Hours later: the hold covered its time, but that was judged before.
    let _ = engine.resume(place(0), None, at(9_000_000)).unwrap();
    assert_eq!(engine.poll(at(9_000_000), 10).unwrap().released, 1);
    let command = desk.take().remove(0);
    assert_eq!((command.attempt, command.redelivery), (1, true));
    engine.check_invariants();
}

#[test]
fn handed_over_again_too_often_it_waits_for_its_backoff_first() {
    let schedule = retrying(1);
    let desk = Arc::<Desk>::default();
    for (redeliveries, from) in [(7, 3_000), (8, 4_000), (9, 5_000), (10, 7_000)] {
        let engine = recover(&scheduled_in_flight(redeliveries, full(&schedule)), &desk);
        let early = engine.poll(at(3_000), 10).unwrap().released;
        engine.check_invariants();
        assert_eq!(engine.status(id(1)).unwrap().attempts, 1);
        if from > 3_000 {
            assert_eq!(early, 0);
            assert_eq!(engine.poll(at(from - 1), 10).unwrap().released, 0);
            assert_eq!(engine.poll(at(from), 10).unwrap().released, 1);
        } else {
            assert_eq!(early, 1);
        }
    }
}

#[test]
fn a_redelivery_that_reached_no_router_is_in_doubt_again() {
    let desk = Desk::accepting();
    let engine = recover(&in_flight(0), &desk);
    let now = at(2_000);
    assert_eq!(engine.poll(now, 10).unwrap().released, 1);
    engine.check_invariants();
    let (shard, hash) = engine.place(id(1));
    let mut shard = engine.shards[shard].lock();
    let index = shard.find(id(1), hash).unwrap();
    assert_eq!(shard.pending(index).redeliveries(), 1);
    shard.take_attempt_back(index, &mut crate::telemetry::News::default());
    shard.wait(index);
    let pending = shard.pending(index);
    assert_eq!((pending.attempts(), pending.redeliveries()), (1, 0));
    drop(shard);
    engine.check_invariants();
    assert_eq!(engine.status(id(1)).unwrap().state, RequestState::Released);
    assert_eq!(engine.poll(now, 10).unwrap().released, 1);
    assert_eq!(desk.take()[1].attempt, 1);
}

/// Requests 1 and 2 were due at 1000 and 5000, and 3 was taken in since.
fn suspicious(desk: &Arc<Desk>, durability: Durability, closing: bool) -> Engine {
    let mut hand = Hand::new();
    hand.opened(1, durability)
        .named(0, "AA0101")
        .request(Change::Accepted, plain(1, 1_000))
        .request(Change::Accepted, plain(2, 5_000));
    let store = match closing {
        true => hand.close(Some(900)),
        false => hand.crash(Some(900)),
    };
    let engine = recover(&store, desk);
    let newcomer = crate::request::InteractionRequest::new(id(3), place(0));
    let _ = engine.schedule(newcomer, at(2_000)).unwrap();
    engine
}

#[test]
fn what_is_overdue_after_an_unclean_stop_may_have_been_routed() {
    let desk = Arc::<Desk>::default();
    let engine = suspicious(&desk, Durability::NoSync, false);
    assert!(engine.recovery().unwrap().overdue_are_suspect);
    let _ = engine.poll(at(2_000), 1).unwrap();
    let _ = engine.poll(at(2_000), 10).unwrap();
    let _ = engine.poll(at(5_000), 10).unwrap();
    let told = desk.take();
    let told: Vec<_> = told.iter().map(|c| (c.id.value(), c.redelivery)).collect();
    assert_eq!(told, [(1, true), (3, false), (2, false)]);
}

#[test]
fn what_is_suspect_stays_so_until_a_poll_has_seen_it() {
    let mut hand = Hand::new();
    let store = hand
        .opened(1, Durability::NoSync)
        .named(0, "AA0101")
        .request(Change::Accepted, plain(1, 1_000))
        .crash(Some(900));
    // Closed in good order, and written under `Sync`, but never polled.
    for _ in 0..2 {
        let engine = recover(&store, &Arc::default());
        assert!(engine.recovery().unwrap().overdue_are_suspect);
        engine.seal().unwrap();
    }
    let engine = recover(&store, &Arc::default());
    let _ = engine.hold(place(0), at(2_000)).unwrap();
    let _ = engine.poll(at(2_000), 10).unwrap();
    engine.flush().unwrap();
    store.crash();
    drop(engine);
    let desk = Arc::<Desk>::default();
    let engine = recover(&store, &desk);
    assert!(!engine.recovery().unwrap().overdue_are_suspect);
    let _ = engine.resume(place(0), None, at(3_000)).unwrap();
    let _ = engine.poll(at(3_000), 10).unwrap();
    assert!(desk.take()[0].redelivery, "that was written down");
}

#[test]
fn nothing_is_suspect_after_a_clean_stop_or_under_sync() {
    for (durability, closing) in [(Durability::NoSync, true), (Durability::Sync, false)] {
        let desk = Arc::<Desk>::default();
        let engine = suspicious(&desk, durability, closing);
        assert!(!engine.recovery().unwrap().overdue_are_suspect);
        let _ = engine.poll(at(2_000), 10).unwrap();
        assert!(desk.take().iter().all(|command| !command.redelivery));
    }
}
