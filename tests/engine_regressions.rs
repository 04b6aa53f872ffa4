//! What broke once in the engine, by name.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use duewheel::{
    CompleteError, Completion, Consultation, Disposition, DueRequest, Engine, InteractionRequest,
    LocationId, MissedPolicy, Outcome, Pace, ProcessingCondition, RequestState, Router,
    RoutingCommand, ScheduleData, Timestamp,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + seconds * 1_000)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Opinion = Box<dyn Fn(&Engine, &DueRequest) -> Consultation + Send + Sync>;
type Answer = Box<dyn Fn(&RoutingCommand) -> Disposition + Send + Sync>;

struct Desk {
    engine: OnceLock<std::sync::Weak<Engine>>,
    consult: Opinion,
    route: Answer,
    commands: Mutex<Vec<RoutingCommand>>,
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        let engine = self.engine.get().unwrap().upgrade().unwrap();
        (self.consult)(&engine, request)
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let answer = (self.route)(&command);
        self.commands.lock().unwrap().push(command);
        answer
    }
}

struct Centre {
    engine: Arc<Engine>,
    desk: Arc<Desk>,
    here: LocationId,
    there: LocationId,
}

fn centre(
    consult: impl Fn(&Engine, &DueRequest) -> Consultation + Send + Sync + 'static,
    route: impl Fn(&RoutingCommand) -> Disposition + Send + Sync + 'static,
) -> Centre {
    let desk = Arc::new(Desk {
        engine: OnceLock::new(),
        consult: Box::new(consult),
        route: Box::new(route),
        commands: Mutex::default(),
    });
    let engine = Engine::builder().build(Arc::clone(&desk) as Arc<dyn Router>);
    let engine = Arc::new(engine.unwrap());
    desk.engine.set(Arc::downgrade(&engine)).unwrap();
    let here = engine.directory().enter("here").unwrap();
    let there = engine.directory().enter("there").unwrap();
    Centre {
        engine,
        desk,
        here,
        there,
    }
}

impl Centre {
    fn schedule(&self, id: u64, schedule: ScheduleData, now: Timestamp) {
        let request = InteractionRequest::new(id.into(), self.here).with_schedule(schedule);
        let _ = self.engine.schedule(request, now).unwrap();
    }

    fn poll(&self, now: Timestamp) -> usize {
        let poll = self.engine.poll(now, 1_000).unwrap();
        self.engine.check_invariants();
        poll.released
    }

    fn last(&self) -> RoutingCommand {
        let commands = self.desk.commands.lock().unwrap();
        commands.last().unwrap().clone()
    }

    fn state(&self, id: u64) -> RequestState {
        self.engine.status(id.into()).unwrap().state
    }
}

fn nothing_known(_: &Engine, _: &DueRequest) -> Consultation {
    Consultation::default()
}

fn routed(_: &RoutingCommand) -> Disposition {
    Disposition::Routed
}

#[test]
fn a_request_moved_while_the_router_is_consulted_was_lost() {
    let moved = |engine: &Engine, due: &DueRequest| {
        let there = engine.directory().find("there").unwrap();
        if due.location != there {
            let change = engine.move_location(due.location, there, due.now).unwrap();
            assert_eq!(change.changed, 1);
        }
        Consultation::default()
    };
    let centre = centre(moved, routed);
    centre.schedule(1, ScheduleData::at(at(10)), at(0));
    assert_eq!(centre.poll(at(10)), 1);
    assert_eq!(centre.last().location, centre.there);
    assert_eq!(centre.state(1), RequestState::Completed);
}

#[test]
fn a_retry_went_out_early_after_the_clock_had_stepped_back() {
    let centre = centre(nothing_known, |_| Disposition::Accepted {
        lease_for: secs(300),
    });
    centre.schedule(1, ScheduleData::at(at(100)), at(0));
    assert_eq!(centre.poll(at(100)), 1);
    let busy = Completion::Busy {
        retry_after: Some(secs(1)),
    };
    let lease = centre.last().lease;
    assert_eq!(
        centre.engine.complete(&lease, busy, at(50)),
        Ok(RequestState::Scheduled)
    );
    assert_eq!(centre.poll(at(99)), 0, "before its processing time");
    assert_eq!(centre.poll(at(100)), 1);
}

#[test]
fn a_lease_that_the_router_had_settled_was_taken_again() {
    let centre = centre(nothing_known, |_| Disposition::Busy { retry_after: None });
    centre.schedule(1, ScheduleData::at(at(10)), at(0));
    assert_eq!(centre.poll(at(10)), 1);
    let lease = centre.last().lease;
    let stale = CompleteError::Stale {
        id: 1.into(),
        state: RequestState::Scheduled,
    };
    let late = centre.engine.complete(&lease, Completion::Routed, at(11));
    assert_eq!(late, Err(stale));
}

#[test]
fn a_completed_lease_was_taken_again() {
    let centre = centre(nothing_known, |_| Disposition::Accepted {
        lease_for: secs(300),
    });
    centre.schedule(1, ScheduleData::at(at(10)), at(0));
    assert_eq!(centre.poll(at(10)), 1);
    let lease = centre.last().lease;
    let busy = Completion::Busy { retry_after: None };
    assert!(centre.engine.complete(&lease, busy, at(11)).is_ok());
    let again = centre.engine.complete(&lease, Completion::Routed, at(12));
    assert!(matches!(again, Err(CompleteError::Stale { .. })));
}

#[test]
fn a_completion_brought_an_expired_request_back_where_no_poll_had_seen_it_expire() {
    let centre = centre(nothing_known, |_| Disposition::Accepted {
        lease_for: secs(5),
    });
    let until = ScheduleData::builder()
        .time(at(10))
        .not_after(at(20))
        .build();
    centre.schedule(1, until.unwrap(), at(0));
    assert_eq!(centre.poll(at(10)), 1);
    assert_eq!(centre.poll(at(16)), 0, "the lease runs out");
    let lease = centre.last().lease;
    let late = centre.engine.complete(&lease, Completion::Routed, at(20));
    assert!(matches!(late, Err(CompleteError::Stale { .. })));
    let status = centre.engine.status(1.into()).unwrap();
    assert_eq!(status.outcome, Some(Outcome::Expired));
}

#[test]
fn what_waited_for_its_pace_went_out_at_once_after_a_stall() {
    let centre = centre(nothing_known, routed);
    let pace = Pace::per_second(1);
    let _ = centre.engine.resume(centre.here, pace, at(0)).unwrap();
    for id in 0..100 {
        centre.schedule(id, ScheduleData::at(at(10)), at(0));
    }
    assert_eq!(centre.poll(at(10)), 1);
    assert_eq!(centre.poll(at(70)), 1, "sixty places have passed");
    assert_eq!(centre.poll(at(71)), 1);
}

#[test]
fn a_moved_request_kept_its_place_in_the_line_of_its_former_location() {
    let centre = centre(nothing_known, routed);
    let pace = Pace::per_second(1);
    let _ = centre.engine.resume(centre.here, pace, at(0)).unwrap();
    for id in 0..100 {
        centre.schedule(id, ScheduleData::at(at(10)), at(0));
    }
    assert_eq!(centre.poll(at(10)), 1);
    let moved = centre
        .engine
        .move_location(centre.here, centre.there, at(11));
    assert_eq!(moved.unwrap().changed, 99);
    assert_eq!(centre.poll(at(11)), 99, "no pace there");
}

#[test]
fn a_new_pace_did_not_hold_for_what_was_ready_under_the_old_one() {
    let centre = centre(nothing_known, routed);
    let fast = Pace::per_second(1_000);
    let _ = centre.engine.resume(centre.here, fast, at(0)).unwrap();
    for id in 0..100 {
        centre.schedule(id, ScheduleData::at(at(10)), at(0));
    }
    assert_eq!(centre.poll(at(10)), 1);
    assert!(centre.engine.poll(at(11), 0).unwrap().more, "all are ready");
    let slow = Pace::per_second(1);
    let _ = centre.engine.resume(centre.here, slow, at(11)).unwrap();
    assert_eq!(centre.poll(at(11)), 1);
}

#[test]
fn a_request_that_waited_for_a_budget_was_judged_by_a_time_long_taken_over() {
    let half_a_minute = |_: &Engine, _: &DueRequest| Consultation {
        expected_wait: Some(secs(30)),
        ..Consultation::default()
    };
    let centre = centre(half_a_minute, routed);
    let schedule = ScheduleData::builder()
        .time_if(at(10), ProcessingCondition::WaitBelow(secs(60)))
        .time_if(at(20), ProcessingCondition::WaitBelow(secs(5)))
        .time(at(90))
        .build();
    centre.schedule(1, schedule.unwrap(), at(0));
    assert!(centre.engine.poll(at(10), 0).unwrap().more);
    assert_eq!(centre.poll(at(20)), 0, "by now the wait must be below 5 s");
    assert_eq!(centre.poll(at(90)), 1);
    assert_eq!(centre.last().due, at(90));
}

#[test]
fn a_poll_out_of_budget_said_more_was_due_where_all_was_cancelled() {
    let centre = centre(nothing_known, routed);
    centre.schedule(1, ScheduleData::at(at(10)), at(0));
    assert!(centre.engine.poll(at(10), 0).unwrap().more);
    assert!(centre.engine.cancel(1.into(), at(10)).is_ok());
    let poll = centre.engine.poll(at(10), 0).unwrap();
    assert_eq!((poll.more, poll.next_wakeup), (false, None));
}

#[test]
fn a_request_that_had_expired_was_counted_as_moved() {
    let centre = centre(nothing_known, routed);
    let until = ScheduleData::builder()
        .time(at(10))
        .not_after(at(20))
        .build();
    centre.schedule(1, until.unwrap(), at(0));
    let _ = centre.engine.hold(centre.here, at(0)).unwrap();
    assert_eq!(centre.poll(at(10)), 0);
    let moved = centre
        .engine
        .move_location(centre.here, centre.there, at(20));
    let moved = moved.unwrap();
    assert_eq!((moved.changed, moved.too_late), (0, 1));
    assert_eq!(centre.state(1), RequestState::Completed);
}

#[test]
fn more_than_65536_past_times_hung_the_intake() {
    let times = (1..=70_000).map(at);
    let schedule = times.fold(ScheduleData::builder(), |builder, time| {
        builder.time_if(time, ProcessingCondition::Open)
    });
    let centre = centre(nothing_known, routed);
    centre.schedule(1, schedule.build().unwrap(), at(80_000));
    assert_eq!(centre.poll(at(80_000)), 1, "exhausted: released");
    assert_eq!(centre.last().due, at(70_000));
}

#[test]
fn what_had_waited_for_its_pace_went_first_or_last_by_its_shard() {
    for other in 2..20 {
        let centre = centre(nothing_known, routed);
        let pace = Pace::per_second(1);
        let _ = centre.engine.resume(centre.here, pace, at(0)).unwrap();
        for id in 0..2 {
            centre.schedule(id, ScheduleData::at(at(10)), at(0));
        }
        assert_eq!(centre.poll(at(10)), 1, "the second waits in line");
        let between = Timestamp::from_millis(at(10).as_millis() + 500);
        let elsewhere = InteractionRequest::new(other.into(), centre.there)
            .with_schedule(ScheduleData::at(between));
        let _ = centre.engine.schedule(elsewhere, at(10)).unwrap();
        assert_eq!(centre.poll(at(20)), 2);
        assert_eq!(
            centre.last().id,
            other.into(),
            "by its tick, whatever its shard"
        );
    }
}

#[test]
fn an_answer_that_came_after_the_completion_undid_it() {
    let slot = Arc::new(OnceLock::<std::sync::Weak<Engine>>::new());
    let inner = Arc::clone(&slot);
    let centre = centre(nothing_known, move |command| {
        let engine = inner.get().unwrap().upgrade().unwrap();
        let busy = Completion::Busy {
            retry_after: Some(secs(5)),
        };
        let taken = engine.complete(&command.lease, busy, command.released);
        assert_eq!(taken, Ok(RequestState::Scheduled));
        Disposition::Routed
    });
    slot.set(Arc::downgrade(&centre.engine)).unwrap();
    centre.schedule(1, ScheduleData::at(at(10)), at(0));
    assert_eq!(centre.poll(at(10)), 1);
    assert_eq!(centre.state(1), RequestState::Scheduled);
    assert_eq!(centre.poll(at(15)), 1);
}

#[test]
fn a_request_was_missed_in_a_gap_from_before_the_clock_stepped_back() {
    let centre = centre(nothing_known, routed);
    assert_eq!(centre.poll(at(0)), 0);
    centre.schedule(1, ScheduleData::at(at(73)), at(0));
    assert!(
        centre.engine.poll(at(73), 0).unwrap().more,
        "the gap is kept"
    );
    let strict = ScheduleData::builder()
        .time(at(10))
        .missed(MissedPolicy::Expire);
    centre.schedule(2, strict.build().unwrap(), at(5));
    assert_eq!(centre.poll(at(40)), 1, "within its grace");
}

#[test]
fn places_in_a_paced_line_were_lost_when_their_requests_left() {
    let centre = centre(nothing_known, routed);
    let pace = Pace::per_second(1);
    let _ = centre.engine.resume(centre.here, pace, at(0)).unwrap();
    for id in 0..100 {
        centre.schedule(id, ScheduleData::at(at(10)), at(0));
    }
    assert_eq!(centre.poll(at(10)), 1);
    let _ = centre.engine.cancel_location(centre.here, at(10)).unwrap();
    centre.schedule(200, ScheduleData::at(at(11)), at(10));
    assert_eq!(centre.poll(at(11)), 1, "nothing stands before it");
}

#[test]
fn a_later_and_more_urgent_request_waited_behind_the_whole_paced_line() {
    let centre = centre(nothing_known, routed);
    let pace = Pace::per_second(1);
    let _ = centre.engine.resume(centre.here, pace, at(0)).unwrap();
    for id in 0..5 {
        centre.schedule(id, ScheduleData::at(at(10)), at(0));
    }
    assert_eq!(centre.poll(at(10)), 1);
    let urgent = InteractionRequest::new(9.into(), centre.here)
        .with_priority(duewheel::Priority(255))
        .with_schedule(ScheduleData::at(at(10)));
    let _ = centre.engine.schedule(urgent, at(10)).unwrap();
    assert_eq!(centre.poll(at(11)), 1);
    assert_eq!(centre.last().id, 9.into(), "the same tick, and more urgent");
}

#[test]
fn a_retry_that_its_next_time_had_overtaken_went_out_of_order() {
    // The shards of 15 and of the others differ for some of these.
    for other in 100..120 {
        let panics = std::sync::atomic::AtomicBool::new(true);
        let once = move |_: &Engine, _: &duewheel::DueRequest| {
            let panicked = panics.swap(false, std::sync::atomic::Ordering::SeqCst);
            assert!(!panicked, "a panic that the test makes");
            duewheel::Consultation::default()
        };
        let centre = centre(once, routed);
        let schedule = ScheduleData::builder()
            .time_if(at(10), ProcessingCondition::Open)
            .time_if(at(20), ProcessingCondition::Open);
        centre.schedule(15, schedule.build().unwrap(), at(0));
        assert_eq!(centre.poll(at(10)), 0, "its retry is due at 40 s");
        centre.schedule(other, ScheduleData::at(at(20)), at(10));
        assert_eq!(centre.poll(at(50)), 2);
        assert_eq!(centre.last().id, other.into(), "by intake at one tick");
    }
}
