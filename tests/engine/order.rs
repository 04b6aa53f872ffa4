//! Promises 6 and 8: order over all shards whatever the budget, and bounded work.

use std::sync::Arc;

use duewheel::{Engine, Priority, RequestId, ScheduleErrorReason, Timestamp};

use crate::support::{at, centre, centre_with};

/// Ids in an order that has nothing to do with their shards or their numbers.
fn shuffled(count: u128) -> impl Iterator<Item = u128> {
    (0..count).map(move |n| (n * 7_919 + 13) % count)
}

#[test]
fn by_due_tick_then_priority_then_intake_over_all_shards_and_any_budget() {
    for budget in [1, 2, 7, 100, 100_000] {
        let centre = centre();
        let mut expected = Vec::new();
        for (intake, id) in shuffled(600).enumerate() {
            let due = Timestamp::from_millis(at(0).as_millis() + u64::try_from(id % 5).unwrap());
            let priority = Priority(u8::try_from(id % 3).unwrap());
            centre.schedule(centre.request(id, due).with_priority(priority), at(0));
            expected.push((due, std::cmp::Reverse(priority), intake, id));
        }
        expected.sort();
        let mut released = 0;
        while released < 600 {
            let poll = centre.poll_once(at(1), budget);
            assert!(poll.examined <= budget);
            assert_eq!(poll.more, released + poll.released < 600);
            released += poll.released;
        }
        let expected: Vec<u128> = expected.into_iter().map(|(.., id)| id).collect();
        assert_eq!(centre.desk.take_ids(), expected, "budget {budget}");
    }
}

#[test]
fn immediate_requests_go_in_order_of_intake_and_unscheduled() {
    let centre = centre();
    for id in shuffled(100) {
        centre.schedule(centre.immediate(id), at(0));
    }
    centre.poll(at(0));
    let commands = centre.desk.take();
    let ids: Vec<u128> = commands.iter().map(|command| command.id.value()).collect();
    assert_eq!(ids, shuffled(100).collect::<Vec<_>>());
    assert!(
        commands
            .iter()
            .all(|command| !command.scheduled && !command.ahead)
    );
    assert!(
        centre.desk.take_consulted().is_empty(),
        "nobody is consulted for them"
    );
}

#[test]
fn a_backlog_larger_than_a_poll_may_move_keeps_the_order() {
    let centre = centre();
    let count = if cfg!(debug_assertions) {
        6_000
    } else {
        30_000
    };
    for id in shuffled(count) {
        let due = Timestamp::from_millis(at(0).as_millis() - u64::try_from(id % 97).unwrap());
        let priority = Priority(u8::try_from(id % 2).unwrap());
        centre
            .engine
            .schedule(centre.request(id, due).with_priority(priority), at(0))
            .map(drop)
            .unwrap();
    }
    while centre.engine.poll(at(1), 50).unwrap().more {}
    let commands = centre.desk.take();
    assert_eq!(commands.len(), usize::try_from(count).unwrap());
    assert!(
        commands.is_sorted_by_key(|command| (command.due, std::cmp::Reverse(command.priority)))
    );
    centre.engine.check_invariants();
}

#[test]
fn a_budget_of_nothing_releases_nothing_and_says_that_more_is_due() {
    let centre = centre();
    centre.schedule(centre.request(1, at(1)), at(0));
    let poll = centre.poll_once(at(1), 0);
    assert_eq!((poll.examined, poll.released, poll.more), (0, 0, true));
}

#[test]
fn intake_past_max_pending_is_refused_and_hands_the_request_back() {
    let centre = centre_with(Engine::builder().max_pending(3));
    for id in 0..3 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    let refused = centre.request(3, at(10)).with_payload(*b"keep me");
    let error = centre.engine.schedule(refused.clone(), at(0)).unwrap_err();
    assert_eq!(error.reason, ScheduleErrorReason::Full { pending_max: 3 });
    assert_eq!(*error.request, refused);
    assert_eq!(
        error.to_string(),
        "request 3: 3 requests are pending, which is the maximum"
    );
    // A repeated intake takes no room, and a completed request gives its room back.
    assert!(
        centre
            .engine
            .schedule(centre.request(1, at(10)), at(0))
            .unwrap()
            .duplicate
    );
    assert!(centre.engine.cancel(RequestId::integer(0), at(1)).is_ok());
    centre.schedule(refused, at(1));
    assert_eq!(centre.engine.pending(), 3);
    centre.engine.check_invariants();
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let desk = Arc::new(crate::support::Desk::default());
    for (settings, name) in [
        (Engine::builder().shards(0), "shards"),
        (Engine::builder().shards(12), "shards"),
        (Engine::builder().shards(2048), "shards"),
        (Engine::builder().max_pending(0), "max_pending"),
        (Engine::builder().lease(std::time::Duration::ZERO), "lease"),
        (Engine::builder().route_batch(0), "route_batch"),
    ] {
        let error = settings
            .build(Arc::clone(&desk) as Arc<dyn duewheel::Router>)
            .unwrap_err();
        let duewheel::BuildError::Config(error) = error else {
            panic!("{error}: it is a setting")
        };
        assert_eq!(error.setting(), name);
    }
}
