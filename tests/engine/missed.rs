//! The missed policy: what becomes of a request whose time passed while nothing ran.

use duewheel::{MissedPolicy, Outcome, ProcessingCondition, RequestState, ScheduleData, Timestamp};

use crate::support::{Centre, at, centre, run, secs};

const DAY: u64 = 24 * 3_600;

fn with_policy(centre: &Centre, id: u128, policy: MissedPolicy, now: Timestamp) {
    let schedule = ScheduleData::builder()
        .time(at(100))
        .missed(policy)
        .build()
        .unwrap();
    centre.schedule(centre.immediate(id).with_schedule(schedule), now);
}

fn all_policies(centre: &Centre) {
    all_policies_at(centre, at(0));
}

fn all_policies_at(centre: &Centre, now: Timestamp) {
    with_policy(centre, 1, MissedPolicy::Release, now);
    with_policy(centre, 2, MissedPolicy::Expire, now);
    with_policy(centre, 3, MissedPolicy::NextDay, now);
}

fn assert_missed(centre: &Centre) {
    assert_eq!(centre.outcome(1).0, Some(Outcome::Routed));
    assert_eq!(
        centre.outcome(2),
        (Some(Outcome::Expired), Some("missed".to_owned()))
    );
    assert_eq!(
        (centre.state(3), centre.due(3)),
        (RequestState::Scheduled, at(100 + DAY))
    );
}

fn assert_not_missed(centre: &Centre) {
    for id in 1..=3 {
        assert_eq!(centre.outcome(id).0, Some(Outcome::Routed), "request {id}");
    }
}

#[test]
fn no_poll_from_the_time_to_the_end_of_its_grace_is_missed() {
    let centre = centre();
    all_policies(&centre);
    centre.poll(at(99));
    centre.poll(at(161));
    assert_missed(&centre);
}

#[test]
fn a_poll_at_the_end_of_the_grace_is_in_time() {
    let centre = centre();
    all_policies(&centre);
    centre.poll(at(160));
    assert_not_missed(&centre);
}

#[test]
fn waiting_for_a_budget_is_not_missed() {
    let centre = centre();
    all_policies(&centre);
    let _ = centre.engine.poll(at(101), 0).unwrap();
    centre.poll(at(1_000));
    assert_not_missed(&centre);
}

#[test]
fn waiting_for_a_condition_is_not_missed() {
    let centre = centre();
    centre.desk.expects_wait(None);
    for (id, policy) in [
        (1, MissedPolicy::Release),
        (2, MissedPolicy::Expire),
        (3, MissedPolicy::NextDay),
    ] {
        let schedule = ScheduleData::builder()
            .time_if(at(100), ProcessingCondition::WaitBelow(secs(60)))
            .time(at(1_000))
            .missed(policy)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    run(&centre, at(0), at(1_000));
    assert_not_missed(&centre);
}

#[test]
fn a_time_past_at_intake_was_not_missed() {
    let centre = centre();
    for (id, policy) in [
        (1, MissedPolicy::Release),
        (2, MissedPolicy::Expire),
        (3, MissedPolicy::NextDay),
    ] {
        let schedule = ScheduleData::builder()
            .time(at(100))
            .missed(policy)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(5_000));
    }
    centre.poll(at(9_000));
    assert_not_missed(&centre);
}

#[test]
fn a_hold_over_the_time_and_its_grace_is_missed() {
    let centre = centre();
    all_policies(&centre);
    centre.engine.hold(centre.here, at(100)).unwrap();
    run(&centre, at(0), at(159));
    for id in 1..=3 {
        assert_eq!(centre.state(id), RequestState::Held);
    }
    assert_eq!(
        centre
            .engine
            .resume(centre.here, None, at(160))
            .unwrap()
            .held,
        3
    );
    centre.poll(at(160));
    assert_missed(&centre);
}

#[test]
fn a_hold_that_covers_only_a_part_is_not() {
    for (from, until) in [(101, 500), (50, 159)] {
        let centre = centre();
        // Due before the hold, but the poll has no budget until it is on.
        all_policies(&centre);
        if from > 100 {
            let _ = centre.engine.poll(at(100), 0).unwrap();
        }
        centre.engine.hold(centre.here, at(from)).unwrap();
        centre.poll(at(from.max(100)));
        centre.engine.resume(centre.here, None, at(until)).unwrap();
        centre.poll(at(until));
        assert_not_missed(&centre);
    }
}

#[test]
fn missed_for_a_year_the_next_day_lies_ahead() {
    let centre = centre();
    with_policy(&centre, 1, MissedPolicy::NextDay, at(0));
    centre.poll(at(1));
    centre.poll(at(400 * DAY));
    assert_eq!(centre.due(1), at(100 + 400 * DAY));
    assert_eq!(centre.engine.status(1.into()).unwrap().revision, 2);
    run(&centre, at(400 * DAY), at(401 * DAY));
    assert_eq!(centre.desk.take()[0].due, at(100 + 400 * DAY));
}

#[test]
fn a_missed_time_is_passed_over_where_another_is_to_come() {
    for policy in [MissedPolicy::Expire, MissedPolicy::NextDay] {
        let centre = centre();
        let schedule = ScheduleData::builder()
            .time(at(100))
            .time(at(1_000))
            .missed(policy)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
        centre.poll(at(1));
        centre.poll(at(500));
        assert_eq!(
            (centre.state(1), centre.due(1)),
            (RequestState::Scheduled, at(1_000))
        );
        run(&centre, at(500), at(1_000));
        assert_eq!(centre.desk.take()[0].due, at(1_000));
    }
}

#[test]
fn a_time_past_at_intake_was_not_missed_by_a_hold_either() {
    let centre = centre();
    centre.engine.hold(centre.here, at(50)).unwrap();
    for (id, policy) in [(2, MissedPolicy::Expire), (3, MissedPolicy::NextDay)] {
        let schedule = ScheduleData::builder()
            .time(at(100))
            .missed(policy)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(5_000));
    }
    centre.poll(at(5_000));
    centre.engine.resume(centre.here, None, at(6_000)).unwrap();
    assert_eq!(centre.poll(at(6_000)), 2);
}

#[test]
fn a_gap_that_is_over_is_forgotten_when_the_clock_steps_back_into_it() {
    let centre = centre();
    centre.poll(at(1));
    centre.poll(at(1_000));
    centre.poll(at(50));
    all_policies_at(&centre, at(50));
    centre.poll(at(100));
    assert_not_missed(&centre);
}
