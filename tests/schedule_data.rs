//! Schedule data as built by hand: what the builder refuses and why, and what "the next day" is where
//! clocks change.

use std::time::Duration;

use duewheel::{
    Consultation, ExhaustedRule, Media, MissedPolicy, PointInTime, ProcessingCondition,
    RetryPolicy, ScheduleData, ScheduleDataBuilder, Timestamp,
};

const DAY_MILLIS: u64 = 86_400_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn jerusalem(civil: &str) -> PointInTime {
    PointInTime::local(civil, "Asia/Jerusalem").unwrap()
}

/// Path, value and expectation of the error.
fn refused(builder: ScheduleDataBuilder) -> (String, String, String) {
    let error = builder.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: {}: expected {}",
            error.path(),
            error.value(),
            error.expected()
        )
    );
    (
        error.path().to_owned(),
        error.value().to_owned(),
        error.expected().to_owned(),
    )
}

fn one() -> ScheduleDataBuilder {
    ScheduleData::builder().time(at(1000))
}

#[test]
fn the_builder_says_which_field_is_wrong_and_why() {
    let second = "1970-01-01T00:00:01Z";
    let deep = (0..32).fold(ProcessingCondition::Open, |inner, _| {
        ProcessingCondition::Not(Box::new(inner))
    });
    let cases = [
        (ScheduleData::builder(), "times", "an empty list", "at least one processing time".to_owned()),
        (one().time(at(1000)), "times[1].at", second, format!("a time after times[0].at ({second}), for times ascend strictly")),
        (one().time(at(2000)).time(at(1500)), "times[2].at", "1970-01-01T00:00:01.500Z", "a time after times[1].at (1970-01-01T00:00:02Z), for times ascend strictly".to_owned()),
        (one().time_if(at(2000), deep), "times[1].condition", "more than 32 levels of conditions", "at most 32 levels".to_owned()),
        (one().not_before(at(1001)), "times[0].at", second, "a time at or after not_before (1970-01-01T00:00:01.001Z)".to_owned()),
        (one().not_after(at(1000)), "not_after", second, format!("a time after the first processing time, times[0].at ({second})")),
        (one().time(at(2000)).not_after(at(2000)), "times[1].at", "1970-01-01T00:00:02Z", "a time before not_after (1970-01-01T00:00:02Z)".to_owned()),
        (one().not_before(at(500)).not_after(at(500)), "not_after", "1970-01-01T00:00:00.500Z", "a time after not_before (1970-01-01T00:00:00.500Z)".to_owned()),
        (one().response_media(at(5), at(5), Media::Sms), "response_media[0].until", "1970-01-01T00:00:00.005Z", "a time after the window's from (1970-01-01T00:00:00.005Z)".to_owned()),
        (one().response_media(at(5), at(7), Media::Sms).response_media(at(6), at(9), Media::Chat), "response_media[1].from", "1970-01-01T00:00:00.006Z",
            "a time at or after response_media[0].until (1970-01-01T00:00:00.007Z), for windows do not overlap".to_owned()),
        (one().response_media(at(5), at(7), Media::Sms).response_media(at(5), at(6), Media::Chat), "response_media[1].from", "1970-01-01T00:00:00.005Z",
            "a time at or after response_media[0].until (1970-01-01T00:00:00.007Z), for windows do not overlap".to_owned()),
        (one().response_media(at(5), at(7), Media::Sms).response_media(at(1), at(6), Media::Chat), "response_media[1].until", "1970-01-01T00:00:00.006Z",
            "a time at or before response_media[0].from (1970-01-01T00:00:00.005Z), for windows do not overlap".to_owned()),
        // Around two of them: the one it reaches first.
        (one().response_media(at(9), at(10), Media::Sms).response_media(at(5), at(6), Media::Sms).response_media(at(1), at(20), Media::Chat), "response_media[2].until", "1970-01-01T00:00:00.020Z",
            "a time at or before response_media[1].from (1970-01-01T00:00:00.005Z), for windows do not overlap".to_owned()),
        (one().response_media(at(9), at(10), Media::Sms).response_media(at(5), at(5), Media::Sms), "response_media[1].until", "1970-01-01T00:00:00.005Z",
            "a time after the window's from (1970-01-01T00:00:00.005Z)".to_owned()),
        (one().recheck(Duration::ZERO), "recheck", "0s", "a duration from 1ms to 366 days".to_owned()),
        (one().recheck(Duration::MAX), "recheck", "5124095576030h25m51s615ms", "a duration from 1ms to 366 days".to_owned()),
    ];
    for (builder, path, value, expected) in cases {
        assert_eq!(
            refused(builder),
            (path.to_owned(), value.to_owned(), expected)
        );
    }
}

#[test]
fn what_just_fits_is_accepted() {
    let schedule = one()
        .time(at(1001))
        .not_before(at(1000))
        .not_after(at(1002))
        .response_media(at(1), at(2), Media::Email)
        .response_media(at(4), at(5), Media::Chat)
        .response_media(at(0), at(1), Media::Sms)
        .recheck(Duration::from_nanos(1))
        .threshold_wait(Duration::ZERO)
        .exhausted(ExhaustedRule::Expire)
        .missed(MissedPolicy::NextDay)
        .retry(
            RetryPolicy::new(1, Duration::from_millis(1), Duration::from_millis(1), 1.0).unwrap(),
        )
        .build()
        .unwrap();
    assert_eq!(
        schedule.recheck(),
        Duration::from_millis(1),
        "a fraction rounds up"
    );
    assert_eq!(schedule.times().len(), 2);
    assert_eq!(
        (schedule.not_before(), schedule.not_after()),
        (Some(at(1000)), Some(at(1002)))
    );
    assert_eq!(
        (schedule.exhausted(), schedule.missed()),
        (ExhaustedRule::Expire, MissedPolicy::NextDay)
    );
    let media: Vec<_> = (0..6)
        .map(|millis| schedule.response_media_at(at(millis)))
        .collect();
    let (sms, email, chat) = (Some(Media::Sms), Some(Media::Email), Some(Media::Chat));
    assert_eq!(media, [sms, email, None, None, chat, None]);
    let starts: Vec<_> = schedule
        .media_windows()
        .iter()
        .map(|window| window.from())
        .collect();
    assert_eq!(starts, [at(0), at(1), at(4)], "in order of time");
}

#[test]
fn defaults_given_are_the_same_as_defaults_left_out() {
    let given = one()
        .recheck(Duration::from_secs(30))
        .exhausted(ExhaustedRule::Release)
        .missed(MissedPolicy::Release)
        .retry(RetryPolicy::default())
        .build()
        .unwrap();
    assert_eq!(given, ScheduleData::at(at(1000)));
}

#[test]
fn the_last_point_in_time_works_everywhere() {
    let schedule = ScheduleData::builder()
        .time(at(u64::MAX - 1))
        .not_before(at(u64::MAX - 1))
        .not_after(Timestamp::MAX)
        .response_media(at(0), Timestamp::MAX, Media::Web)
        .threshold_wait(Duration::MAX)
        .build()
        .unwrap();
    assert_eq!(
        schedule.response_media_at(at(u64::MAX - 1)),
        Some(Media::Web)
    );
    assert_eq!(schedule.response_media_at(Timestamp::MAX), None);
    assert_eq!(schedule.next_day(0, Timestamp::EPOCH), None);
    let json = serde_json::to_string(&schedule).unwrap();
    assert_eq!(
        serde_json::from_str::<ScheduleData>(&json).unwrap(),
        schedule
    );
    let last = ScheduleData::at(Timestamp::MAX);
    assert_eq!(last.next_day(0, Timestamp::MAX), None);
    assert_eq!(
        ScheduleData::at(Timestamp::EPOCH).next_day(0, Timestamp::MAX),
        None
    );
}

#[test]
fn conditions_are_judged_on_the_consultation() {
    use ProcessingCondition::{AgentsReady, All, Always, Any, Not, Open, QueueBelow, WaitBelow};
    let minute = Duration::from_secs(60);
    let busy = Consultation {
        expected_wait: Some(minute),
        agents_ready: 1,
        queue_length: 3,
        ..Consultation::default()
    };
    let calm = Consultation {
        expected_wait: Some(minute - Duration::from_nanos(1)),
        agents_ready: 2,
        queue_length: 2,
        open: true,
        good_for: None,
    };
    let nobody = Consultation {
        expected_wait: None,
        ..Consultation::default()
    };
    for condition in [WaitBelow(minute), AgentsReady(2), QueueBelow(3), Open] {
        assert!(
            condition.holds(&calm) && !condition.holds(&busy),
            "{condition:?}"
        );
        assert!(
            !Not(Box::new(condition.clone())).holds(&calm) && Not(Box::new(condition)).holds(&busy)
        );
    }
    assert!(
        !WaitBelow(Duration::MAX).holds(&nobody),
        "an unbounded wait is never below"
    );
    assert!(Always.holds(&nobody) && ProcessingCondition::default().holds(&nobody));
    assert!(All(Box::new([])).holds(&nobody) && !Any(Box::new([])).holds(&nobody));
    assert!(
        All(Box::new([Open, QueueBelow(3)])).holds(&calm)
            && !All(Box::new([Open, QueueBelow(2)])).holds(&calm)
    );
    assert!(
        Any(Box::new([Open, QueueBelow(4)])).holds(&busy)
            && !Any(Box::new([Open, QueueBelow(3)])).holds(&busy)
    );
}

#[test]
fn the_same_wall_clock_the_next_day_across_a_spring_gap() {
    // Clocks in Jerusalem go from 02:00 to 03:00 on 2026-03-27.
    let before = jerusalem("2026-03-26T10:00:00");
    let after = before.days_later(1).unwrap();
    assert_eq!(after, jerusalem("2026-03-27T10:00:00"));
    assert_eq!(
        after
            .timestamp()
            .saturating_duration_since(before.timestamp()),
        Duration::from_secs(23 * 3600)
    );
    let gap = jerusalem("2026-03-26T02:30:00").days_later(1).unwrap();
    assert_eq!(
        gap.timestamp(),
        time("2026-03-27T03:30:00+03:00"),
        "moved forward by the gap"
    );
    assert_eq!(
        gap.days_later(1).unwrap().timestamp(),
        time("2026-03-28T02:30:00+03:00"),
        "the gap does not stick"
    );
    assert_eq!(
        gap.to_string(),
        "2026-03-27T02:30:00[Asia/Jerusalem]",
        "written as it was"
    );
}

#[test]
fn the_same_wall_clock_the_next_day_across_an_autumn_overlap() {
    // Clocks in Jerusalem go from 02:00 back to 01:00 on 2026-10-25.
    let before = jerusalem("2026-10-24T01:30:00");
    let overlap = before.days_later(1).unwrap();
    assert_eq!(
        overlap.timestamp(),
        time("2026-10-25T01:30:00+03:00"),
        "the first of the two"
    );
    assert_eq!(
        overlap.days_later(1).unwrap().timestamp(),
        time("2026-10-26T01:30:00+02:00")
    );
    let ten = jerusalem("2026-10-24T10:00:00");
    let later = ten.days_later(1).unwrap().timestamp();
    assert_eq!(
        later.saturating_duration_since(ten.timestamp()),
        Duration::from_secs(25 * 3600)
    );
}

#[test]
fn a_day_that_a_zone_left_out_moves_to_the_next() {
    let before = PointInTime::local("2011-12-29T10:00:00", "Pacific/Apia").unwrap();
    let moved = before.days_later(1).unwrap();
    assert_eq!(moved.timestamp(), time("2011-12-31T10:00:00+14:00"));
    assert_eq!(
        moved.days_later(1).unwrap().timestamp(),
        time("2011-12-31T10:00:00+14:00")
    );
}

#[test]
fn what_rounds_up_past_an_overlap_is_a_clock_the_zone_shows() {
    let point = jerusalem("2026-10-25T01:59:59.9999");
    assert_eq!(point, jerusalem("2026-10-25T02:00:00"));
    assert_eq!(
        jerusalem("2026-03-27T01:59:59.9999").timestamp(),
        time("2026-03-27T03:00:00+03:00")
    );
}

#[test]
fn a_fixed_offset_knows_no_dst() {
    let point = PointInTime::rfc3339("2026-03-26T10:00:00+02:00").unwrap();
    let moved = point.days_later(2).unwrap();
    assert_eq!(moved.to_string(), "2026-03-28T10:00:00+02:00");
    assert_eq!(point.days_later(0), Some(point.clone()));
    let west = PointInTime::rfc3339("2026-03-26T10:00:00-03:30").unwrap();
    assert_eq!(west.to_string(), "2026-03-26T10:00:00-03:30");
    assert_eq!(
        PointInTime::rfc3339("2026-03-26T10:00:00+00:00")
            .unwrap()
            .to_string(),
        "2026-03-26T10:00:00Z"
    );
}

#[test]
fn days_later_ends_where_times_end() {
    assert_eq!(
        PointInTime::from(at(5))
            .days_later(u32::MAX)
            .unwrap()
            .timestamp(),
        at(5 + DAY_MILLIS * u64::from(u32::MAX))
    );
    assert_eq!(PointInTime::from(Timestamp::MAX).days_later(1), None);
    assert_eq!(jerusalem("9999-12-31T10:00:00").days_later(1), None);
    // Past year 9999, in UTC or on its own clock, a text has none to become.
    for (last, zone) in [
        ("9999-12-31T10:00:00+02:00", None),
        ("9999-12-31T01:00:00+02:00", None),
        ("9999-12-30T23:00:00-02:00", None),
        ("9999-12-30T23:00:00", Some("America/New_York")),
        ("9999-12-31T01:00:00", Some("Asia/Jerusalem")),
    ] {
        let point = match zone {
            Some(zone) => PointInTime::local(last, zone).unwrap(),
            None => PointInTime::rfc3339(last).unwrap(),
        };
        assert_eq!(point.days_later(1), None, "{last}");
        let schedule = ScheduleData::at(point.clone());
        assert_eq!(schedule.next_day(0, point.timestamp()), None, "{last}");
    }
    let point = PointInTime::rfc3339("9999-12-30T21:00:00-02:00").unwrap();
    assert_eq!(
        point.days_later(1).unwrap().to_string(),
        "9999-12-31T21:00:00-02:00"
    );
    // One that a program makes goes on.
    let last = PointInTime::from(time("9999-12-31T23:59:59.999Z"));
    assert_eq!(last.days_later(1).unwrap().to_string(), "253402387199999ms");
}

#[test]
fn a_text_reaches_to_the_end_of_year_9999_in_utc() {
    for text in [
        "9999-12-31T23:59:59.9995Z",
        "9999-12-31T23:00:00-20:00",
        "9999-12-31T23:59:59.999-00:01",
    ] {
        let error = PointInTime::rfc3339(text).unwrap_err();
        assert_eq!(
            (error.value(), error.expected()),
            (
                text,
                "a time from 1970-01-01T00:00:00Z to the end of year 9999 in UTC"
            )
        );
    }
    for (civil, zone) in [
        ("9999-12-31T19:00:00", "America/New_York"),
        ("9999-12-31T23:59:59.9995", "UTC"),
        ("1970-01-01T01:00:00", "Asia/Jerusalem"),
    ] {
        let error = PointInTime::local(civil, zone).unwrap_err();
        assert_eq!(error.value(), format!("{civil}[{zone}]"));
        let json = format!(r#"{{"local": "{civil}", "zone": "{zone}"}}"#);
        let error = serde_json::from_str::<PointInTime>(&json).unwrap_err();
        let named = format!("local time {}[{zone}]", &civil[..19]);
        assert!(error.to_string().contains(&named), "{error}");
    }
    // On a clock ahead of UTC the year 10000 may have begun.
    let point = PointInTime::rfc3339("9999-12-31T23:59:59.9995+02:00").unwrap();
    assert_eq!(point.to_string(), "9999-12-31T22:00:00Z");
    // What a program makes goes on to the end of all times, in JSON as a number.
    for millis in [253_402_300_800_000, u64::MAX] {
        let point = PointInTime::from(at(millis));
        let json = serde_json::to_string(&point).unwrap();
        assert_eq!(json, millis.to_string());
        assert_eq!(serde_json::from_str::<PointInTime>(&json).unwrap(), point);
    }
}

#[test]
fn points_in_time_say_what_is_wrong_with_them() {
    let error = PointInTime::local("2026-01-05T10:00:00", "Mars/Olympus").unwrap_err();
    assert_eq!(
        (error.value(), error.expected()),
        ("Mars/Olympus", "an IANA time zone, such as Asia/Jerusalem")
    );
    assert!(
        PointInTime::local("2026-01-05T10:00:00Z", "UTC")
            .unwrap_err()
            .expected()
            .contains("without offset")
    );
    assert!(
        PointInTime::local("1960-01-05T10:00:00", "UTC")
            .unwrap_err()
            .expected()
            .contains("1970")
    );
    assert!(
        PointInTime::rfc3339("2026-01-05T10:00:00")
            .unwrap_err()
            .expected()
            .starts_with("an offset")
    );
    assert!(PointInTime::local("9999-12-31T23:59:59.9999", "UTC").is_err());
}

#[test]
fn next_day_moves_all_times_by_the_fewest_days_that_bring_one_past_now() {
    let schedule = ScheduleData::builder()
        .time_if(jerusalem("2026-01-05T09:00:00"), ProcessingCondition::Open)
        .time(jerusalem("2026-01-05T10:00:00"))
        .not_after(jerusalem("2026-01-05T23:00:00"))
        .missed(MissedPolicy::NextDay)
        .build()
        .unwrap();
    let first = schedule.times()[0].at();
    let moved = |index: usize, now: Timestamp| {
        let moved = schedule.next_day(index, now).unwrap();
        assert_eq!(moved.not_after(), schedule.not_after());
        assert_eq!(moved.missed(), MissedPolicy::NextDay);
        assert_eq!(moved.times()[0].condition(), &ProcessingCondition::Open);
        [moved.times()[0].at(), moved.times()[1].at()]
    };
    let days = |days: u64| {
        [
            at(first.as_millis() + days * DAY_MILLIS),
            at(first.as_millis() + 3_600_000 + days * DAY_MILLIS),
        ]
    };
    assert_eq!(moved(0, Timestamp::EPOCH), days(1), "at least one day");
    assert_eq!(moved(0, first), days(1));
    assert_eq!(moved(0, at(first.as_millis() + DAY_MILLIS - 1)), days(1));
    assert_eq!(
        moved(0, at(first.as_millis() + DAY_MILLIS)),
        days(2),
        "strictly after now"
    );
    assert_eq!(moved(1, at(first.as_millis() + DAY_MILLIS)), days(1));
    assert_eq!(schedule.next_day(2, first), None);
    // Centuries on; counted, not walked.
    let moved = schedule.next_day(0, time("9999-06-01T00:00:00Z")).unwrap();
    assert_eq!(
        moved.times()[0].point().to_string(),
        "9999-06-01T09:00:00[Asia/Jerusalem]"
    );
    assert_eq!(schedule.next_day(0, time("9999-12-31T23:59:59Z")), None);
}

#[test]
fn times_stay_in_order_where_a_gap_pushes_one_past_the_other() {
    let schedule = ScheduleData::builder()
        .time_if(jerusalem("2026-03-26T02:45:00"), ProcessingCondition::Open)
        .time(jerusalem("2026-03-26T03:30:00"))
        .build()
        .unwrap();
    let moved = schedule.next_day(0, schedule.times()[0].at()).unwrap();
    let at: Vec<_> = moved.times().iter().map(|time| time.at()).collect();
    assert_eq!(
        at,
        [
            time("2026-03-27T03:30:00+03:00"),
            time("2026-03-27T03:45:00+03:00")
        ]
    );
}

#[test]
fn a_window_between_two_milliseconds_ends_loses_none() {
    let point = |text: &str| PointInTime::rfc3339(text).unwrap();
    let border = || point("2026-01-05T10:00:00.0005Z");
    let schedule = ScheduleData::builder()
        .time(time("2026-01-05T09:00:00Z"))
        .response_media(point("2026-01-05T09:00:00Z"), border(), Media::Voice)
        .response_media(border(), point("2026-01-05T11:00:00Z"), Media::Sms)
        .build()
        .unwrap();
    assert_eq!(
        schedule.response_media_at(time("2026-01-05T10:00:00Z")),
        Some(Media::Voice)
    );
    assert_eq!(
        schedule.response_media_at(time("2026-01-05T10:00:00.001Z")),
        Some(Media::Sms)
    );
}
