//! P4, P6, P7, P9 and P12: processing times and their conditions, the response's media, the conditional
//! lift, the lifespan.

use duewheel::{
    Consultation, ExhaustedRule, Media, Outcome, ProcessingCondition, RequestState, ScheduleData,
};

use crate::support::{Centre, at, centre, centre_with, run, secs};

fn wait_below(seconds: u64) -> ProcessingCondition {
    ProcessingCondition::WaitBelow(secs(seconds))
}

fn two_times(centre: &Centre) {
    let schedule = ScheduleData::builder()
        .time_if(at(100), wait_below(60))
        .time(at(1_000))
        .build()
        .unwrap();
    centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
}

#[test]
fn the_condition_is_judged_when_due_and_not_at_intake() {
    let centre = centre();
    centre.desk.expects_wait(Some(secs(600)));
    two_times(&centre);
    assert!(centre.desk.take_consulted().is_empty());
    centre.desk.expects_wait(Some(secs(59)));
    run(&centre, at(0), at(100));
    let consulted = centre.desk.take_consulted();
    assert_eq!(consulted.len(), 1);
    assert_eq!(
        (consulted[0].due, consulted[0].now, consulted[0].attempt),
        (at(100), at(100), 1)
    );
    assert_eq!(centre.desk.take()[0].due, at(100));
}

#[test]
fn a_condition_that_fails_is_rechecked_until_the_next_time_takes_over() {
    let centre = centre();
    centre.desk.expects_wait(Some(secs(60)));
    two_times(&centre);
    run(&centre, at(0), at(999));
    let rechecks: Vec<_> = centre.desk.take_consulted().iter().map(|c| c.now).collect();
    assert_eq!(
        rechecks,
        (0..30).map(|n| at(100 + 30 * n)).collect::<Vec<_>>()
    );
    assert_eq!(centre.desk.take(), []);
    assert_eq!(centre.state(1), RequestState::Scheduled);
    run(&centre, at(999), at(1_000));
    let command = centre.desk.take().remove(0);
    assert_eq!((command.due, command.released), (at(1_000), at(1_000)));
    assert_eq!(
        centre.engine.report(at(1_000)).lateness.max_ms,
        0,
        "waiting for a condition is not late"
    );
}

#[test]
fn a_condition_that_comes_true_between_releases_at_the_recheck() {
    let centre = centre();
    centre.desk.opinion(|due| Consultation {
        expected_wait: Some(if due.now < at(145) {
            secs(90)
        } else {
            secs(10)
        }),
        ..Consultation::default()
    });
    two_times(&centre);
    run(&centre, at(0), at(2_000));
    let command = centre.desk.take().remove(0);
    assert_eq!((command.due, command.released), (at(100), at(160)));
}

#[test]
fn after_the_last_time_the_exhausted_rule_decides() {
    for (rule, outcome, reason) in [
        (ExhaustedRule::Release, Some(Outcome::Routed), None),
        (
            ExhaustedRule::Expire,
            Some(Outcome::Expired),
            Some("exhausted"),
        ),
        (ExhaustedRule::NextDay, None, None),
    ] {
        let centre = centre();
        centre.desk.expects_wait(None);
        let schedule = ScheduleData::builder()
            .time_if(at(100), wait_below(60))
            .exhausted(rule)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
        run(&centre, at(0), at(100));
        assert_eq!(
            centre.outcome(1),
            (outcome, reason.map(str::to_owned)),
            "{rule:?}"
        );
        if rule == ExhaustedRule::NextDay {
            assert_eq!(centre.due(1), at(100 + 24 * 3_600));
            centre.desk.expects_wait(Some(secs(1)));
            run(&centre, at(100), at(100 + 24 * 3_600));
            assert_eq!(centre.desk.take()[0].due, at(100 + 24 * 3_600));
        }
    }
}

#[test]
fn every_kind_of_condition_is_judged_on_the_consultation() {
    use ProcessingCondition::{AgentsReady, All, Always, Any, Not, Open, QueueBelow};
    let busy = Consultation {
        expected_wait: Some(secs(60)),
        agents_ready: 2,
        queue_length: 3,
        open: false,
        ..Consultation::default()
    };
    for (condition, holds) in [
        (Always, true),
        (wait_below(60), false),
        (wait_below(61), true),
        (AgentsReady(2), true),
        (AgentsReady(3), false),
        (QueueBelow(3), false),
        (QueueBelow(4), true),
        (Open, false),
        (Not(Box::new(Open)), true),
        (All([AgentsReady(2), Open].into()), false),
        (Any([AgentsReady(2), Open].into()), true),
    ] {
        let centre = centre();
        centre.desk.opinion(move |_| busy);
        let text = format!("{condition:?}");
        let schedule = ScheduleData::builder()
            .time_if(at(10), condition)
            .exhausted(ExhaustedRule::Expire)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
        centre.poll(at(10));
        let expected = if holds {
            Outcome::Routed
        } else {
            Outcome::Expired
        };
        assert_eq!(centre.outcome(1).0, Some(expected), "{text}");
    }
}

#[test]
fn one_free_agent_does_not_release_all_who_wait_for_one() {
    let centre = centre();
    centre.desk.opinion(|due| Consultation {
        agents_ready: u32::from(due.id.value() < 3),
        good_for: Some(1),
        ..Consultation::default()
    });
    for id in 0..10 {
        let schedule = ScheduleData::builder()
            .time_if(at(10), ProcessingCondition::AgentsReady(1))
            .time(at(500))
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [0, 1, 2]);
    // Asked for each release that it covers, and once for all that it does not release.
    assert_eq!(centre.desk.take_consulted().len(), 4);
}

#[test]
fn a_consultation_serves_one_poll_location_and_response_media() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    for id in 0..30_u128 {
        let mut request = centre.request(id, at(10));
        if id % 3 == 1 {
            request.location = there;
        }
        if id % 3 == 2 {
            request.media = Media::Sms;
        }
        centre.schedule(request, at(0));
    }
    centre.poll(at(10));
    assert_eq!(centre.desk.take_consulted().len(), 3);
    centre.schedule(centre.request(100, at(11)), at(10));
    centre.poll(at(11));
    assert_eq!(
        centre.desk.take_consulted().len(),
        1,
        "the next poll asks again"
    );
}

#[test]
fn it_goes_ahead_only_where_the_wait_exceeds_the_threshold() {
    for (wait, ahead) in [
        (Some(secs(119)), false),
        (Some(secs(120)), false),
        (Some(secs(121)), true),
        (None, true),
    ] {
        let centre = centre();
        centre.desk.expects_wait(wait);
        let schedule = ScheduleData::builder()
            .time(at(10))
            .threshold_wait(secs(120))
            .build()
            .unwrap();
        centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
        centre.schedule(centre.request(2, at(10)), at(0));
        centre.poll(at(10));
        let lifted: Vec<_> = centre
            .desk
            .take()
            .iter()
            .map(|c| (c.id.value(), c.ahead))
            .collect();
        assert_eq!(lifted, [(1, ahead), (2, false)], "{wait:?}");
    }
}

#[test]
fn the_response_media_is_that_of_the_window_at_release() {
    let centre = centre();
    for (id, due) in [(1, 99), (2, 100), (3, 199), (4, 200), (5, 300)] {
        let schedule = ScheduleData::builder()
            .time(at(due))
            .response_media(at(100), at(200), Media::Email)
            .response_media(at(200), at(300), Media::Sms)
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    run(&centre, at(0), at(400));
    let media: Vec<_> = centre
        .desk
        .take()
        .iter()
        .map(|c| (c.request_media, c.response_media))
        .collect();
    let voice = Media::Voice;
    assert_eq!(
        media,
        [
            (voice, voice),
            (voice, Media::Email),
            (voice, Media::Email),
            (voice, Media::Sms),
            (voice, voice)
        ]
    );
}

#[test]
fn at_not_after_it_has_expired_and_stays_so() {
    let centre = centre();
    centre.desk.expects_wait(None);
    let schedule = ScheduleData::builder()
        .time_if(at(100), wait_below(60))
        .time_if(at(900), wait_below(60))
        .not_after(at(950))
        .build()
        .unwrap();
    centre.schedule(centre.immediate(1).with_schedule(schedule.clone()), at(0));
    centre.schedule(centre.immediate(2).with_schedule(schedule), at(0));
    // The first is looked at all the time, the second is first looked at past its end.
    run(&centre, at(0), at(899));
    assert_eq!(centre.state(1), RequestState::Scheduled);
    assert_eq!(
        centre
            .engine
            .cancel(2.into(), at(950))
            .unwrap_err()
            .to_string(),
        "request 2 is completed: too late to cancel it"
    );
    centre.poll(at(950));
    for id in [1, 2] {
        assert_eq!(
            centre.outcome(id),
            (Some(Outcome::Expired), Some("not_after".to_owned()))
        );
    }
    centre.poll(at(10));
    assert_eq!(
        centre.outcome(1).0,
        Some(Outcome::Expired),
        "whatever the clock says later"
    );
    assert_eq!(centre.desk.take(), []);
}

#[test]
fn answered_in_time_the_limit_is_lifted() {
    let centre = centre();
    centre.desk.answer(|_| duewheel::Disposition::Accepted {
        lease_for: secs(1_000),
    });
    let schedule = ScheduleData::builder()
        .time(at(10))
        .not_after(at(20))
        .build()
        .unwrap();
    centre.schedule(centre.immediate(1).with_schedule(schedule), at(0));
    centre.poll(at(19));
    let lease = centre.desk.take()[0].lease;
    centre.poll(at(500));
    assert_eq!(centre.state(1), RequestState::Routing);
    centre
        .engine
        .complete(&lease, duewheel::Completion::Routed, at(500))
        .unwrap();
    assert_eq!(centre.outcome(1).0, Some(Outcome::Routed));
}

#[test]
fn a_batch_on_its_way_is_routed_before_the_router_is_asked_again() {
    let centre = centre_with(duewheel::Engine::builder().route_batch(8));
    let free = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(2));
    let (seen, taken) = (std::sync::Arc::clone(&free), std::sync::Arc::clone(&free));
    centre.desk.opinion(move |_| Consultation {
        agents_ready: seen.load(std::sync::atomic::Ordering::SeqCst),
        good_for: Some(1),
        ..Consultation::default()
    });
    centre.desk.answer(move |_| {
        taken.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        duewheel::Disposition::Routed
    });
    for id in 0..10 {
        let schedule = ScheduleData::builder()
            .time_if(at(10), ProcessingCondition::AgentsReady(1))
            .time(at(500))
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(schedule), at(0));
    }
    centre.poll(at(10));
    assert_eq!(centre.desk.take_ids(), [0, 1], "two agents were free");
}

#[test]
fn a_lift_uses_the_answer_up_and_a_plain_release_does_not() {
    let centre = centre();
    centre.desk.opinion(|due| Consultation {
        expected_wait: Some(secs(if due.id.value() < 5 { 100 } else { 200 })),
        good_for: Some(1),
        ..Consultation::default()
    });
    for id in 0..10 {
        let lifted = ScheduleData::builder()
            .time(at(10))
            .threshold_wait(secs(150))
            .build()
            .unwrap();
        centre.schedule(centre.immediate(id).with_schedule(lifted), at(0));
    }
    centre.poll(at(10));
    assert_eq!(centre.desk.take_consulted().len(), 10);
    let ahead: Vec<_> = centre.desk.take().iter().map(|c| c.ahead).collect();
    assert_eq!(ahead, [[false; 5], [true; 5]].concat());
    for id in 10..20 {
        centre.schedule(centre.request(id, at(20)), at(10));
    }
    centre.poll(at(20));
    assert_eq!(centre.desk.take_consulted().len(), 1);
}
