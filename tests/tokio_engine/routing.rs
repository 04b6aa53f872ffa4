//! What is in flight at once, whose turn it is, and what becomes of a route that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use duewheel::{
    Completion, Disposition, Engine, InteractionRequest, ManualClock, Outcome, RequestState,
    RunOptions, ScheduleData,
};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::support::{RuntimeClock, at, centre, centre_with, millis};

fn in_flight(all: usize, per_location: Option<usize>) -> RunOptions {
    RunOptions {
        in_flight_max: all,
        in_flight_per_location_max: per_location,
        ..RunOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_bound_is_in_flight_and_the_rest_waits_in_order() {
    let centre = centre();
    centre.desk.takes(millis(10));
    let there = centre.engine.directory().enter("BB0202").unwrap();
    for id in 0..40 {
        let location = if id < 20 { centre.here } else { there };
        centre.schedule_at(location, id, at(5));
    }
    let options = RunOptions {
        dispatch_max: 4,
        location_dispatch_max: Some(4),
        ..in_flight(8, Some(8))
    };
    let run = tokio::spawn(centre.engine.run(RuntimeClock::new(), options));
    sleep(millis(12)).await;
    assert_eq!(centre.desk.most_at_once(), 8);
    assert_eq!(
        centre.engine.in_flight(),
        12,
        "8 are routed, 4 wait for that"
    );
    assert_eq!(centre.engine.pending(), 40);
    sleep(millis(60)).await;
    assert_eq!(centre.engine.pending(), 0);
    assert_eq!(centre.desk.most_at_once(), 8);
    for location in [centre.here, there] {
        let commands = centre.desk.commands();
        let mut here = commands
            .iter()
            .filter(|command| command.location == location);
        assert_eq!(here.clone().count(), 20);
        assert!(here.by_ref().map(|command| command.id).is_sorted());
    }
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_location_with_a_bound_of_one_is_routed_one_after_the_other() {
    let centre = centre();
    centre.desk.takes(millis(10));
    for id in 0..5 {
        centre.schedule(id, at(0));
    }
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), in_flight(8, Some(1))),
    );
    sleep(millis(100)).await;
    assert_eq!(centre.desk.ids(), [0, 1, 2, 3, 4]);
    assert_eq!(centre.desk.most_at_once(), 1);
    assert_eq!(centre.engine.pending(), 0);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slow_location_does_not_delay_the_others() {
    let centre = centre();
    let slow = centre.here;
    centre.desk.answer(move |command| async move {
        if command.location == slow {
            sleep(millis(60_000)).await;
        }
        Disposition::Routed
    });
    let fast = centre.engine.directory().enter("fast").unwrap();
    for id in 0..50 {
        centre.schedule(id, at(10));
    }
    for id in 50..60 {
        centre.schedule_at(fast, id, at(11 + u64::try_from(id).unwrap()));
    }
    let run = tokio::spawn(centre.engine.run(RuntimeClock::new(), in_flight(4, None)));
    sleep(millis(100)).await;
    let commands = centre.desk.commands();
    let on_time = commands.iter().filter(|command| command.location == fast);
    assert_eq!(on_time.clone().count(), 10);
    for command in on_time {
        assert!(command.released <= command.due.saturating_add(millis(2)));
    }
    assert_eq!(commands.len(), 13, "and three of the slow one's");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failed_attempt_in_the_future_and_before_there_is_one() {
    let centre = centre();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    centre.desk.answer(move |_| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        assert!(call != 0, "no future at all");
        async move {
            tokio::task::yield_now().await;
            assert!(call != 1, "half-way");
            Disposition::Routed
        }
    });
    centre.schedule(1, at(10));
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), RunOptions::default()),
    );
    sleep(millis(3_600_000)).await;
    assert_eq!(centre.status(1).outcome, Some(Outcome::Routed));
    let commands = centre.desk.commands();
    let attempts: Vec<_> = commands.iter().map(|c| (c.attempt, c.redelivery)).collect();
    assert_eq!(attempts, [(1, false), (2, true), (3, true)]);
    assert_eq!(centre.engine.report(at(0)).router_panics, 2);
    assert_eq!(centre.engine.panics().len(), 0, "no thread died of it");
    assert!(!run.is_finished());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_for_its_turn_meets_a_hold_and_a_lifespans_end() {
    let centre = centre();
    let gate = Arc::new(Semaphore::new(0));
    let shut = Arc::clone(&gate);
    centre.desk.answer(move |_| {
        let shut = Arc::clone(&shut);
        async move {
            shut.acquire().await.unwrap().forget();
            Disposition::Routed
        }
    });
    let clock = Arc::new(ManualClock::new(at(10)));
    let ends = ScheduleData::builder()
        .time(at(10))
        .not_after(at(1_000))
        .build()
        .unwrap();
    centre.schedule(1, at(10));
    for id in 2..=3 {
        let mut request =
            InteractionRequest::new(id.into(), centre.here).with_schedule(ScheduleData::at(at(10)));
        if id == 2 {
            request = request.with_schedule(ends.clone());
        }
        let _ = centre.engine.schedule(request, at(0)).unwrap();
    }
    let run = tokio::spawn(centre.engine.run(clock.clone(), in_flight(8, Some(1))));
    sleep(millis(1)).await;
    assert_eq!(centre.state(1), RequestState::Routing);
    assert_eq!(centre.state(2), RequestState::Released);
    clock.set(at(2_000));
    let _ = centre.engine.hold(centre.here, at(2_000)).unwrap();
    gate.add_permits(1);
    sleep(millis(1)).await;
    assert_eq!(centre.state(1), RequestState::Completed);
    assert_eq!(centre.status(2).outcome, Some(Outcome::Expired));
    assert_eq!(centre.state(3), RequestState::Held);
    assert_eq!(centre.status(3).attempts, 0, "nobody was told of it");
    assert_eq!(centre.desk.ids(), [1]);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn an_accepted_request_is_completed_by_its_lease() {
    let centre = centre_with(Engine::builder().lease(millis(5_000)));
    centre.desk.answer(|command| async move {
        match command.attempt {
            1 => Disposition::Accepted {
                lease_for: millis(100),
            },
            _ => Disposition::Routed,
        }
    });
    for id in 1..=2 {
        centre.schedule(id, at(0));
    }
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), RunOptions::default()),
    );
    sleep(millis(50)).await;
    assert_eq!(centre.engine.in_flight(), 2);
    let lease = centre.desk.commands()[0].lease;
    let completed = centre.engine.complete(&lease, Completion::Routed, at(50));
    assert_eq!(completed, Ok(RequestState::Completed));
    sleep(millis(3_600_000)).await;
    assert_eq!(centre.engine.pending(), 0);
    let last = centre.desk.commands().pop().unwrap();
    assert_eq!(
        (last.id, last.attempt, last.redelivery),
        (2.into(), 2, true)
    );
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_route_that_outlasts_its_lease_is_redelivered() {
    let centre = centre_with(Engine::builder().lease(millis(100)));
    centre.desk.answer(|command| async move {
        if command.attempt == 1 {
            std::future::pending::<()>().await;
        }
        Disposition::Routed
    });
    centre.schedule(1, at(0));
    let run = tokio::spawn(
        centre
            .engine
            .run(RuntimeClock::new(), in_flight(2, Some(2))),
    );
    sleep(millis(3_600_000)).await;
    assert_eq!(centre.status(1).outcome, Some(Outcome::Routed));
    let last = centre.desk.commands().pop().unwrap();
    assert_eq!((last.attempt, last.redelivery), (2, true));
    run.abort();
}
