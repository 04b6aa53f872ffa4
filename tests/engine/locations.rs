//! Hold, resume with a pace, cancel, move and list a location.

use std::collections::BTreeSet;

use duewheel::{Outcome, Pace, RequestState, ScheduleData};

use crate::support::{Centre, at, centre, run};

fn fill(centre: &Centre, count: u128) {
    for id in 0..count {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
}

#[test]
fn a_hold_parks_what_falls_due_and_resume_releases_it_in_order() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    for id in (0..20).rev() {
        centre.schedule(
            centre.request(id, at(10 + u64::try_from(id).unwrap())),
            at(0),
        );
    }
    let mut other = centre.request(100, at(15));
    other.location = there;
    centre.schedule(other, at(0));
    assert_eq!(
        centre.engine.hold(centre.here, at(12)).unwrap().in_flight,
        0
    );
    assert_eq!(
        centre.engine.hold(centre.here, at(13)).unwrap().in_flight,
        0,
        "idempotent"
    );
    run(&centre, at(9), at(25));
    assert_eq!(centre.desk.take_ids(), [100], "other locations go on");
    assert_eq!(centre.state(0), RequestState::Held);
    assert_eq!(centre.state(19), RequestState::Scheduled, "not due yet");
    let report = centre.engine.report(at(25));
    assert_eq!(report.states[&RequestState::Held], 16);
    assert!(report.locations[0].held);
    assert_eq!(report.oldest_overdue.unwrap().late_ms, 15_000);
    assert_eq!(
        centre
            .engine
            .resume(centre.here, None, at(26))
            .unwrap()
            .held,
        16
    );
    assert_eq!(
        centre
            .engine
            .resume(centre.here, None, at(26))
            .unwrap()
            .held,
        0,
        "idempotent"
    );
    run(&centre, at(26), at(40));
    assert_eq!(
        centre.desk.take_ids(),
        (0..20).collect::<Vec<_>>(),
        "by original processing time"
    );
}

#[test]
fn immediate_requests_are_held_too_and_a_held_one_can_be_cancelled_or_rescheduled() {
    let centre = centre();
    centre.engine.hold(centre.here, at(0)).unwrap();
    for id in 0..3 {
        centre.schedule(centre.immediate(id), at(0));
    }
    centre.poll(at(1));
    assert_eq!(centre.state(0), RequestState::Held);
    centre.engine.cancel(0.into(), at(2)).map(drop).unwrap();
    centre
        .engine
        .reschedule(1.into(), ScheduleData::at(at(50)), None, at(2))
        .map(drop)
        .unwrap();
    assert_eq!(centre.state(1), RequestState::Scheduled);
    centre.engine.resume(centre.here, None, at(3)).unwrap();
    run(&centre, at(3), at(100));
    assert_eq!(centre.desk.take_ids(), [2, 1]);
}

#[test]
fn a_held_request_expires_at_its_not_after() {
    let centre = centre();
    let schedule = ScheduleData::builder()
        .time(at(10))
        .not_after(at(30))
        .build()
        .unwrap();
    centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
    centre.engine.hold(centre.here, at(0)).unwrap();
    run(&centre, at(0), at(29));
    assert_eq!(centre.state(1), RequestState::Held);
    run(&centre, at(29), at(30));
    assert_eq!(centre.outcome(1).0, Some(Outcome::Expired));
}

#[test]
fn a_pace_spreads_the_releases_oldest_first_until_it_is_lifted() {
    let centre = centre();
    fill(&centre, 20);
    centre.engine.hold(centre.here, at(0)).unwrap();
    centre.poll(at(20));
    centre
        .engine
        .resume(centre.here, Pace::per_second(2), at(20))
        .unwrap();
    run(&centre, at(20), at(23));
    let commands = centre.desk.take();
    let released: Vec<_> = commands
        .iter()
        .map(|c| c.released.as_millis() - at(20).as_millis())
        .collect();
    assert_eq!(released, [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000]);
    assert!(commands.is_sorted_by_key(|command| command.id));
    assert_eq!(centre.engine.report(at(23)).locations[0].pace, Some(2));
    centre.engine.resume(centre.here, None, at(23)).unwrap();
    assert_eq!(
        centre.poll(at(23)),
        13,
        "no pace, no waiting for reserved slots"
    );
    assert_eq!(centre.desk.take_ids(), (7..20).collect::<Vec<_>>());
}

#[test]
fn a_hold_while_paced_parks_what_waits_for_its_slot() {
    let centre = centre();
    fill(&centre, 5);
    centre
        .engine
        .resume(centre.here, Pace::per_second(1), at(0))
        .unwrap();
    run(&centre, at(0), at(11));
    assert_eq!(centre.desk.take_ids(), [0, 1]);
    centre.engine.hold(centre.here, at(11)).unwrap();
    run(&centre, at(11), at(30));
    assert_eq!(centre.desk.take_ids(), []);
    assert_eq!(centre.state(4), RequestState::Held);
    centre.engine.resume(centre.here, None, at(30)).unwrap();
    centre.poll(at(30));
    assert_eq!(centre.desk.take_ids(), [2, 3, 4]);
}

#[test]
fn cancel_location_cancels_all_that_was_not_released() {
    let centre = centre();
    fill(&centre, 300);
    centre.desk.answer(|_| duewheel::Disposition::Accepted {
        lease_for: crate::support::secs(60),
    });
    let _ = centre.poll_once(at(10), 3);
    let change = centre.engine.cancel_location(centre.here, at(11)).unwrap();
    assert_eq!((change.changed, change.too_late), (297, 3));
    centre.engine.check_invariants();
    assert_eq!(
        centre.outcome(200),
        (
            Some(Outcome::Cancelled),
            Some("location_cancelled".to_owned())
        )
    );
    assert!(centre.engine.cancel(200.into(), at(12)).unwrap().already);
    assert_eq!(centre.engine.pending(), 3);
}

#[test]
fn a_moved_location_keeps_times_and_order_and_obeys_the_new_ones_hold() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    fill(&centre, 200);
    centre.engine.hold(centre.here, at(0)).unwrap();
    centre.poll(at(10));
    let change = centre
        .engine
        .move_location(centre.here, there, at(11))
        .unwrap();
    assert_eq!((change.changed, change.too_late), (200, 0));
    centre.engine.check_invariants();
    assert_eq!(
        centre
            .engine
            .list_location(centre.here, None, 10)
            .unwrap()
            .requests,
        []
    );
    centre.engine.hold(there, at(11)).unwrap();
    centre.poll(at(11));
    assert_eq!(centre.state(3), RequestState::Held);
    assert_eq!(
        centre
            .engine
            .move_location(there, there, at(11))
            .unwrap()
            .changed,
        0
    );
    centre.engine.resume(there, None, at(12)).unwrap();
    centre.poll(at(12));
    let commands = centre.desk.take();
    assert!(commands.iter().all(|command| command.location == there));
    assert_eq!(
        commands.iter().map(|c| c.id.value()).collect::<Vec<_>>(),
        (0..200).collect::<Vec<_>>()
    );
}

#[test]
fn a_listing_in_pages_has_every_request_once() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    for id in 0..1_000_u128 {
        let mut request = centre.request(id, at(10));
        if id % 4 == 0 {
            request.location = there;
        }
        centre.schedule(request, at(0));
    }
    for id in (0..1_000_u64).step_by(5) {
        centre.engine.cancel(id.into(), at(0)).map(drop).unwrap();
    }
    let mut seen = BTreeSet::new();
    let mut next = None;
    loop {
        let page = centre.engine.list_location(centre.here, next, 7).unwrap();
        assert!(page.requests.len() <= 7);
        for status in page.requests {
            assert!(seen.insert(status.id.value()), "{} twice", status.id);
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(
        seen,
        (0..1_000).filter(|id| id % 4 != 0 && id % 5 != 0).collect()
    );
}

#[test]
fn the_book_does_not_grow_with_what_has_left() {
    let centre = centre();
    for round in 0..200_u128 {
        for id in 0..50 {
            centre.schedule(centre.request(round * 50 + id, at(10)), at(0));
        }
        centre.engine.cancel_location(centre.here, at(0)).unwrap();
        centre.engine.check_invariants();
    }
    assert_eq!(centre.engine.pending(), 0);
    assert_eq!(centre.engine.next_wakeup(), None);
}

#[test]
fn a_moved_location_leaves_its_pace_behind() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    centre
        .engine
        .resume(centre.here, Pace::per_second(1), at(0))
        .unwrap();
    for id in 0..100 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    // One goes out, the others wait for their slots.
    assert_eq!(centre.poll(at(10)), 1);
    centre
        .engine
        .resume(there, Pace::per_second(10), at(10))
        .unwrap();
    let moved = centre.engine.move_location(centre.here, there, at(10));
    assert_eq!(moved.unwrap().changed, 99);
    run(&centre, at(10), at(20));
    assert_eq!(centre.engine.pending(), 0, "99 at ten a second");
    let seconds: Vec<_> = centre.desk.take()[1..]
        .chunks(10)
        .map(|second| second[0].released)
        .collect();
    assert_eq!(seconds, (10..20).map(at).collect::<Vec<_>>());
}
