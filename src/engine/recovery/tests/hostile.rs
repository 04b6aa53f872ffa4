//! Whatever records say, recovery ends in an error or in an engine that holds together.

use std::borrow::Cow;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;
use crate::lifecycle::Rule;
use crate::router::{Completion, Lease};
use crate::schedule::{ExhaustedRule, MissedPolicy, ProcessingCondition, ScheduleData};

/// Numbers near the ends of their range as often as ordinary ones.
fn number(random: &mut Pcg64Mcg) -> u64 {
    match random.random_range(0..8_u32) {
        0 => u64::MAX - random.random_range(0..3),
        1 => random.random_range(0..3),
        2 => random.random(),
        _ => random.random_range(0..5_000),
    }
}

fn small(random: &mut Pcg64Mcg) -> u32 {
    match random.random_range(0..8_u32) {
        0 => u32::MAX - random.random_range(0..3),
        1 => random.random(),
        _ => random.random_range(0..4),
    }
}

fn schedules() -> Vec<ScheduleData> {
    let conditional = ScheduleData::builder()
        .time_if(at(1_000), ProcessingCondition::AgentsReady(1))
        .time(at(4_000))
        .not_after(at(9_000));
    let daily = ScheduleData::builder()
        .time_if(at(2_000), ProcessingCondition::Open)
        .missed(MissedPolicy::NextDay)
        .exhausted(ExhaustedRule::NextDay);
    [conditional, daily].map(|it| it.build().unwrap()).into()
}

fn image<'a>(random: &mut Pcg64Mcg, schedules: &'a [ScheduleData]) -> RequestImage<'a> {
    let mut course = CourseImage {
        accepted: at(number(random)),
        eligible: at(number(random)),
        revision: small(random),
        attempts: small(random),
        attempts_before: small(random),
        open_attempt: small(random),
        step: small(random),
        redeliveries: small(random),
    };
    let mut is_whole = false;
    if random.random_range(0..12) > 0 {
        // Sound, as far as the engine asks.
        course.attempts = course.attempts.max(1);
        course.attempts_before = course.attempts_before.min(course.attempts);
        course.open_attempt = course.open_attempt.min(course.attempts);
        course.step = 0;
        is_whole = true;
    }
    RequestImage {
        flags: random.random(),
        in_flight: random.random_range(0..3) == 0,
        intake: number(random),
        fingerprint: random.random(),
        location: place(random.random_range(0..3)),
        schedule: match random.random_range(0..4) {
            0 => ScheduleImage::Immediate,
            1 => ScheduleImage::Plain(random.random_range(-93_599..93_599)),
            more => ScheduleImage::Full(Cow::Borrowed(&schedules[more as usize - 2])),
        },
        course: (is_whole || random.random_range(0..4) > 0).then_some(course),
        contents: match random.random_range(0..3) {
            0 if !is_whole || random.random_range(0..3) == 0 => Contents::Kept,
            _ => plain(1, 1).contents,
        },
        ..plain(random.random_range(0..6), number(random))
    }
}

/// Does to an engine what may be done to one.
fn use_it(engine: &Engine, random: &mut Pcg64Mcg) {
    for _ in 0..40 {
        let now = at(number(random));
        let it = id(random.random_range(0..6));
        match random.random_range(0..6) {
            0 => drop(engine.cancel(it, now)),
            1 => drop(engine.reschedule(it, ScheduleData::at(now), None, now)),
            2 => {
                let lease = Lease::new(it, small(random), small(random));
                let busy = Completion::Busy { retry_after: None };
                let _ = engine.complete(&lease, busy, now);
            }
            3 => drop(engine.hold(place(0), now)),
            4 => drop(engine.resume(place(0), None, now)),
            _ => drop(engine.poll(now, 50)),
        }
        engine.check_invariants();
    }
    let _ = engine.report(at(0));
    engine.snapshot().unwrap();
}

#[test]
fn whatever_records_say_the_engine_holds_together() {
    let schedules = schedules();
    let (mut good, mut bad) = (0, 0);
    let asked = std::env::var("DUEWHEEL_RECOVERY_SEEDS");
    let seeds = asked.ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    for seed in 0..seeds {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut hand = Hand::new();
        hand.named(0, "AA0101").named(1, "BB").named(2, "CC");
        for _ in 0..random.random_range(0..12) {
            if random.random_range(0..4) == 0 {
                let number = random.random_range(0..6);
                hand.ended(EndedImage {
                    intake: self::number(&mut random),
                    location: place(random.random_range(0..3)),
                    attempts: small(&mut random),
                    why: match random.random_range(0..3) {
                        0 => Why::Plain,
                        1 => Why::Rule(Rule::InDoubt),
                        _ => Why::Told("no".into()),
                    },
                    ..routed(number, self::number(&mut random))
                });
            } else {
                let image = image(&mut random, &schedules);
                hand.request(Change::Examined, image);
            }
        }
        let polled_until = Some(number(&mut random)).filter(|_| seed % 2 == 0);
        let store = hand.crash(polled_until);
        let desk = Desk::accepting();
        match try_recover(settings().shards(2), &store, &desk) {
            Ok(engine) => {
                good += 1;
                use_it(&engine, &mut random);
                drop(engine);
                let again = try_recover(settings().shards(2), &store, &desk);
                assert!(again.is_ok(), "what it wrote itself it reads: {again:?}");
            }
            Err(_) => bad += 1,
        }
    }
    assert!(good > seeds / 8 && bad > seeds / 8, "{good} and {bad}");
}
