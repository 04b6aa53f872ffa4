//! Attempts: dispositions, leases, completions, retries, dead letters, batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use duewheel::{
    CompleteError, Completion, Consultation, Disposition, DueRequest, Engine, Outcome,
    RequestState, RetryPolicy, Router, RoutingCommand, ScheduleData,
};

use crate::support::{Centre, at, centre, centre_with, run, secs};

fn busy(retry_after: Option<u64>) -> Disposition {
    Disposition::Busy {
        retry_after: retry_after.map(secs),
    }
}

fn accepted(seconds: u64) -> Disposition {
    Disposition::Accepted {
        lease_for: secs(seconds),
    }
}

/// When each attempt was released, and its number.
fn attempts(centre: &Centre) -> Vec<(duewheel::Timestamp, u32)> {
    centre
        .desk
        .take()
        .iter()
        .map(|command| (command.released, command.attempt))
        .collect()
}

#[test]
fn busy_is_retried_with_doubling_backoff_and_then_dead_lettered() {
    let centre = centre();
    centre.desk.answer(|_| busy(None));
    centre.schedule(centre.request(1, at(0)), at(0));
    run(&centre, at(0), at(1_000));
    assert_eq!(attempts(&centre), [(at(0), 1), (at(30), 2), (at(90), 3)]);
    assert_eq!(
        centre.outcome(1),
        (Some(Outcome::DeadLettered), Some("busy".to_owned()))
    );
    assert_eq!(centre.engine.status(1.into()).unwrap().attempts, 3);
    assert_eq!(centre.engine.pending(), 0);
}

#[test]
fn backoff_is_capped_and_jitter_stays_within_its_bounds() {
    let centre = centre();
    centre.desk.answer(|_| busy(None));
    for id in 0..50 {
        let retry = RetryPolicy::new(6, secs(100), secs(400), 0.2).unwrap();
        let schedule = ScheduleData::builder()
            .time(at(0))
            .retry(retry)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    run(&centre, at(0), at(10_000));
    let commands = centre.desk.take();
    assert_eq!(commands.len(), 300);
    let mut distinct = std::collections::BTreeSet::new();
    for id in 0..50 {
        let times: Vec<u64> = commands
            .iter()
            .filter(|command| command.id == id.into())
            .map(|command| command.released.as_millis())
            .collect();
        let delays: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (delay, base) in delays
            .iter()
            .zip([100_000, 200_000, 400_000, 400_000, 400_000])
        {
            assert!(
                (base * 8 / 10..=base * 12 / 10).contains(delay) && *delay <= 400_000,
                "{delays:?}"
            );
        }
        distinct.insert(delays[0]);
    }
    assert!(distinct.len() > 40, "spread, not in step: {distinct:?}");
}

#[test]
fn the_router_may_say_when_to_come_back() {
    let centre = centre();
    centre.desk.answer(|command| {
        if command.attempt == 1 {
            busy(Some(7))
        } else {
            Disposition::Routed
        }
    });
    centre.schedule(centre.request(1, at(0)), at(0));
    run(&centre, at(0), at(1_000));
    assert_eq!(attempts(&centre), [(at(0), 1), (at(7), 2)]);
    assert_eq!(centre.outcome(1).0, Some(Outcome::Routed));
}

#[test]
fn a_retry_does_not_judge_its_condition_again_and_keeps_its_due_time() {
    let centre = centre();
    centre.desk.opinion(|due| Consultation {
        expected_wait: Some(secs(if due.attempt == 1 { 1 } else { 1_000 })),
        ..Consultation::default()
    });
    centre.desk.answer(|command| {
        if command.attempt == 1 {
            busy(None)
        } else {
            Disposition::Routed
        }
    });
    let schedule = ScheduleData::builder()
        .time_if(at(10), duewheel::ProcessingCondition::WaitBelow(secs(60)))
        .time(at(35))
        .exhausted(duewheel::ExhaustedRule::Expire)
        .build()
        .unwrap();
    centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
    run(&centre, at(0), at(1_000));
    let commands = centre.desk.take();
    assert_eq!(commands.len(), 2);
    assert!(
        commands
            .iter()
            .all(|command| command.due == at(10) && !command.redelivery)
    );
    assert_eq!(commands[1].released, at(40));
}

#[test]
fn rejected_is_final_and_keeps_its_reason() {
    let centre = centre();
    centre
        .desk
        .answer(|_| Disposition::Rejected("do not call".into()));
    centre.schedule(centre.request(1, at(0)), at(0));
    run(&centre, at(0), at(1_000));
    assert_eq!(attempts(&centre).len(), 1);
    assert_eq!(
        centre.outcome(1),
        (Some(Outcome::Rejected), Some("do not call".to_owned()))
    );
}

#[test]
fn rescheduled_by_the_router_is_no_failed_attempt() {
    let centre = centre();
    centre.desk.answer(|command| match command.attempt {
        1..=5 => Disposition::Reschedule(ScheduleData::at(at(u64::from(command.attempt) * 100))),
        _ => Disposition::Routed,
    });
    centre.schedule(centre.request(1, at(0)), at(0));
    run(&centre, at(0), at(1_000));
    let released: Vec<_> = attempts(&centre).into_iter().map(|(at, _)| at).collect();
    assert_eq!(released, [0, 100, 200, 300, 400, 500].map(at));
    assert_eq!(centre.engine.status(1.into()).unwrap().revision, 6);
}

#[test]
fn a_router_that_never_answers_loses_its_lease() {
    let centre = centre();
    centre.desk.answer(|_| accepted(300));
    centre.schedule(centre.request(1, at(0)), at(0));
    run(&centre, at(0), at(299));
    assert_eq!(centre.state(1), RequestState::Routing);
    run(&centre, at(299), at(5_000));
    let commands = centre.desk.take();
    let seen: Vec<_> = commands
        .iter()
        .map(|c| (c.released, c.attempt, c.redelivery))
        .collect();
    assert_eq!(
        seen,
        [(at(0), 1, false), (at(330), 2, true), (at(690), 3, true)]
    );
    assert_eq!(
        centre.outcome(1),
        (
            Some(Outcome::DeadLettered),
            Some("lease_ran_out".to_owned())
        )
    );
}

#[test]
fn a_completion_settles_the_lease_once() {
    for (completion, outcome) in [
        (Completion::Routed, Outcome::Routed),
        (Completion::Rejected("no".into()), Outcome::Rejected),
    ] {
        let centre = centre();
        centre.desk.answer(|_| accepted(300));
        centre.schedule(centre.request(1, at(0)), at(0));
        centre.poll(at(0));
        let lease = centre.desk.take()[0].lease;
        let state = centre
            .engine
            .complete(&lease, completion.clone(), at(5))
            .unwrap();
        assert_eq!(state, RequestState::Completed);
        assert_eq!(centre.outcome(1).0, Some(outcome));
        let again = centre
            .engine
            .complete(&lease, completion, at(6))
            .unwrap_err();
        assert_eq!(
            again,
            CompleteError::Stale {
                id: 1.into(),
                state: RequestState::Completed
            }
        );
        run(&centre, at(6), at(1_000));
        assert_eq!(centre.desk.take(), []);
    }
}

#[test]
fn a_busy_completion_is_one_failed_attempt() {
    let centre = centre();
    centre.desk.answer(|_| accepted(300));
    centre.schedule(centre.request(1, at(0)), at(0));
    centre.poll(at(0));
    let lease = centre.desk.take()[0].lease;
    let completion = Completion::Busy {
        retry_after: Some(secs(9)),
    };
    assert_eq!(
        centre.engine.complete(&lease, completion, at(5)),
        Ok(RequestState::Scheduled)
    );
    run(&centre, at(5), at(20));
    let command = centre.desk.take().remove(0);
    assert_eq!(
        (command.released, command.attempt, command.redelivery),
        (at(14), 2, false)
    );
}

#[test]
fn a_late_completion_wins_until_a_newer_attempt_is_released() {
    let centre = centre();
    centre.desk.answer(|_| accepted(300));
    centre.schedule(centre.request(1, at(0)), at(0));
    centre.schedule(centre.request(2, at(0)), at(0));
    centre.poll(at(0));
    let leases: Vec<_> = centre
        .desk
        .take()
        .iter()
        .map(|command| command.lease)
        .collect();
    run(&centre, at(0), at(329));
    assert_eq!(
        centre.state(1),
        RequestState::Scheduled,
        "its lease ran out"
    );
    centre
        .engine
        .complete(&leases[0], Completion::Routed, at(329))
        .unwrap();
    assert_eq!(centre.outcome(1).0, Some(Outcome::Routed));
    run(&centre, at(329), at(331));
    let stale = centre
        .engine
        .complete(&leases[1], Completion::Routed, at(331))
        .unwrap_err();
    assert_eq!(
        stale,
        CompleteError::Stale {
            id: 2.into(),
            state: RequestState::Routing
        }
    );
    assert_eq!(attempts(&centre), [(at(330), 2)]);
}

#[test]
fn a_lease_of_nothing_is_unknown_and_another_epochs_is_stale() {
    let centre = centre();
    let lease = "5/1/1".parse().unwrap();
    let unknown = centre.engine.complete(&lease, Completion::Routed, at(0));
    assert_eq!(unknown, Err(CompleteError::Unknown(5.into())));
    centre.desk.answer(|_| accepted(300));
    centre.schedule(centre.request(5, at(0)), at(0));
    let before = centre
        .engine
        .complete(&"5/0/1".parse().unwrap(), Completion::Routed, at(0));
    assert!(
        matches!(before, Err(CompleteError::Stale { .. })),
        "no attempt was released yet"
    );
    centre.poll(at(0));
    for text in ["5/1/2", "5/2/1"] {
        let stale = centre
            .engine
            .complete(&text.parse().unwrap(), Completion::Routed, at(0));
        assert!(matches!(stale, Err(CompleteError::Stale { .. })), "{text}");
    }
    assert!(
        centre
            .engine
            .complete(&lease, Completion::Routed, at(0))
            .is_ok()
    );
}

#[test]
fn a_completion_from_inside_route_beats_the_disposition() {
    let centre = centre();
    let engine = Arc::downgrade(&centre.engine);
    centre.desk.answer(move |command| {
        let engine = engine.upgrade().unwrap();
        engine
            .complete(&command.lease, Completion::Routed, command.released)
            .unwrap();
        Disposition::Rejected("too late to say so".into())
    });
    centre.schedule(centre.request(1, at(0)), at(0));
    centre.poll(at(0));
    assert_eq!(centre.outcome(1), (Some(Outcome::Routed), None));
}

#[test]
fn a_request_whose_lifespan_ends_while_it_is_retried_expires() {
    let centre = centre();
    centre.desk.answer(|_| busy(None));
    let schedule = ScheduleData::builder()
        .time(at(0))
        .not_after(at(20))
        .build()
        .unwrap();
    centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
    run(&centre, at(0), at(100));
    assert_eq!(attempts(&centre).len(), 1);
    assert_eq!(
        centre.outcome(1),
        (Some(Outcome::Expired), Some("not_after".to_owned()))
    );
}

/// Counts its batches, answers all but the last command of each.
#[derive(Default)]
struct Forgetful {
    batches: AtomicUsize,
}

impl Router for Forgetful {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        Disposition::Routed
    }

    fn route_batch(&self, commands: Vec<RoutingCommand>) -> Vec<Disposition> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        commands
            .iter()
            .skip(1)
            .map(|_| Disposition::Routed)
            .collect()
    }
}

#[test]
fn batches_are_of_the_size_asked_for_and_a_missing_answer_is_a_failed_attempt() {
    let router = Arc::new(Forgetful::default());
    let engine = Engine::builder()
        .route_batch(4)
        .build(Arc::clone(&router) as Arc<dyn Router>)
        .unwrap();
    let here = engine.directory().enter("AA0101").unwrap();
    for id in 0..10_u64 {
        let request = duewheel::InteractionRequest::new(id.into(), here);
        engine.schedule(request, at(0)).map(drop).unwrap();
    }
    assert_eq!(engine.poll(at(0), 100).unwrap().released, 10);
    engine.check_invariants();
    assert_eq!(router.batches.load(Ordering::Relaxed), 3, "4 + 4 + 2");
    assert_eq!(engine.pending(), 3, "one of each batch is tried again");
    assert_eq!(engine.report(at(0)).router_panics, 3);
}

#[test]
fn the_payload_is_shared_with_every_attempt() {
    let centre = centre_with(Engine::builder());
    let payload: Arc<[u8]> = Arc::from(vec![1_u8; 100]);
    centre.desk.answer(|c| {
        if c.attempt == 1 {
            busy(None)
        } else {
            Disposition::Routed
        }
    });
    centre.schedule(
        centre.request(1, at(0)).with_payload(Arc::clone(&payload)),
        at(0),
    );
    run(&centre, at(0), at(100));
    let commands = centre.desk.take();
    assert_eq!(commands.len(), 2);
    assert!(
        commands
            .iter()
            .all(|command| Arc::ptr_eq(&command.payload, &payload))
    );
    drop(commands);
    assert_eq!(Arc::strong_count(&payload), 1, "the engine lets go of it");
}
