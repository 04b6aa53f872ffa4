//! The JSON form of a request is a contract: what is read, what it means, and how large it may be.

mod json_common;

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    AccessErrorKind, AccessPoint, Detection, Directory, ExhaustedRule, JsonAccessPoint, JsonLimits,
    Media, MissedPolicy, Priority, ProcessingCondition, RequestId, ScheduleData, Timestamp,
};
use json_common::{
    EXAMPLE, accept, access, refuse, time, with_condition, with_fields, with_rules, with_times,
};

#[test]
fn the_example_means_what_it_says() {
    let directory = Arc::new(Directory::new());
    let detection = JsonAccessPoint::new(Arc::clone(&directory))
        .detect(EXAMPLE.as_bytes())
        .unwrap();
    assert!(detection.is_scheduled());
    let request = detection.into_request();
    assert_eq!(
        request.id.to_string(),
        "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60"
    );
    assert_eq!(directory.name(request.location).as_deref(), Some("AA0101"));
    assert_eq!(
        (request.media, request.priority),
        (Media::Voice, Priority(2))
    );
    assert_eq!(request.customer.as_deref(), Some("9664491"));
    assert_eq!(&*request.payload, b"free text");
    let schedule = request.schedule.unwrap();
    let times = schedule.times();
    assert_eq!(times[0].at(), time("2026-01-05T07:00:00Z"));
    assert_eq!(
        times[0].condition(),
        &ProcessingCondition::WaitBelow(Duration::from_secs(60))
    );
    assert_eq!(times[1].at(), time("2026-01-05T08:00:00Z"));
    assert_eq!(times[1].condition(), &ProcessingCondition::Always);
    assert_eq!(schedule.not_before(), Some(time("2026-01-05T06:30:00Z")));
    assert_eq!(schedule.not_after(), Some(time("2026-01-05T21:00:00Z")));
    assert_eq!(
        schedule.response_media_at(time("2026-01-05T06:59:59.999Z")),
        None
    );
    assert_eq!(
        schedule.response_media_at(time("2026-01-05T07:00:00Z")),
        Some(Media::Voice)
    );
    assert_eq!(
        schedule.response_media_at(time("2026-01-05T20:00:00Z")),
        Some(Media::Sms)
    );
    assert_eq!(
        schedule.response_media_at(time("2026-01-05T21:00:00Z")),
        None
    );
    assert_eq!(schedule.threshold_wait(), Some(Duration::from_secs(120)));
    assert_eq!(schedule.recheck(), Duration::from_secs(30));
    assert_eq!(
        (schedule.exhausted(), schedule.missed()),
        (ExhaustedRule::Release, MissedPolicy::Release)
    );
    let retry = schedule.retry();
    assert_eq!((retry.attempts(), retry.jitter()), (5, 0.2));
    assert_eq!(
        (retry.initial(), retry.max()),
        (Duration::from_secs(30), Duration::from_secs(900))
    );
}

#[test]
fn a_message_without_schedule_is_immediate_and_all_else_is_default() {
    let detection = access()
        .detect(br#" {"id": 7, "location": "AA0101"} "#)
        .unwrap();
    let Detection::Immediate(request) = detection else {
        panic!("{detection:?}")
    };
    assert_eq!(request.id, RequestId::integer(7));
    assert_eq!(
        (request.media, request.priority),
        (Media::Voice, Priority(0))
    );
    assert_eq!(
        (request.customer, request.payload.len(), request.schedule),
        (None, 0, None)
    );
}

#[test]
fn a_schedule_with_times_alone_has_the_defaults() {
    let schedule = accept(&with_times(r#"{"at": "2026-01-05T09:00:00Z"}"#))
        .schedule
        .unwrap();
    assert_eq!(schedule, ScheduleData::at(time("2026-01-05T09:00:00Z")));
    assert_eq!(
        (
            schedule.not_before(),
            schedule.not_after(),
            schedule.threshold_wait()
        ),
        (None, None, None)
    );
    assert_eq!(schedule.recheck(), Duration::from_secs(30));
    assert_eq!(
        (schedule.exhausted(), schedule.missed()),
        (ExhaustedRule::Release, MissedPolicy::Release)
    );
    let retry = schedule.retry();
    assert_eq!((retry.attempts(), retry.jitter()), (3, 0.0));
    assert_eq!(
        (retry.initial(), retry.max()),
        (Duration::from_secs(30), Duration::from_secs(900))
    );
    let written_out = with_rules(
        r#""response_media": [], "recheck": "PT30S", "exhausted": "release", "missed": "release", "retry": {}"#,
    );
    assert_eq!(accept(&written_out).schedule.unwrap(), schedule);
}

#[test]
fn a_cap_left_out_is_no_shorter_than_the_first_delay() {
    for (retry, initial, max) in [
        (r#"{"initial": "20m"}"#, 1200, 1200),
        (r#"{"initial": "15m"}"#, 900, 900),
        (r#"{"initial": "10s"}"#, 10, 900),
        (r#"{"max": "1m"}"#, 30, 60),
    ] {
        let schedule = accept(&with_rules(&format!(r#""retry": {retry}"#))).schedule;
        let policy = schedule.unwrap().retry().clone();
        assert_eq!(
            (policy.initial().as_secs(), policy.max().as_secs()),
            (initial, max),
            "{retry}"
        );
        assert_eq!(
            serde_json::from_str::<duewheel::RetryPolicy>(retry).unwrap(),
            policy
        );
    }
}

#[test]
fn windows_come_in_any_order_and_mean_the_same() {
    let window = |from: &str, until: &str, media: &str| {
        format!(
            r#"{{"from": "2026-01-05T{from}:00Z", "until": "2026-01-05T{until}:00Z", "media": "{media}"}}"#
        )
    };
    let windows = [
        window("20:00", "21:00", "chat"),
        window("09:00", "12:00", "voice"),
        window("12:00", "20:00", "sms"),
    ];
    let listed = |order: [usize; 3]| {
        let list = order.map(|index| windows[index].as_str()).join(",");
        accept(&with_rules(&format!(r#""response_media": [{list}]"#)))
    };
    let sorted = listed([1, 2, 0]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 0, 1], [2, 1, 0]] {
        let request = listed(order);
        assert_eq!(request, sorted, "{order:?}");
        assert_eq!(request.fingerprint(0), sorted.fingerprint(0), "{order:?}");
    }
    let schedule = sorted.schedule.unwrap();
    let media = ["08:59", "09:00", "11:59", "12:00", "20:00", "21:00"]
        .map(|clock| schedule.response_media_at(time(&format!("2026-01-05T{clock}:00Z"))));
    let voice = Some(Media::Voice);
    assert_eq!(
        media,
        [
            None,
            voice,
            voice,
            Some(Media::Sms),
            Some(Media::Chat),
            None
        ]
    );
    let written = serde_json::to_string(&schedule).unwrap();
    assert_eq!(
        serde_json::from_str::<ScheduleData>(&written).unwrap(),
        schedule
    );
}

#[test]
fn a_location_is_entered_once() {
    let access = access();
    let first = access
        .detect(br#"{"id": 1, "location": "AA0101"}"#)
        .unwrap()
        .into_request();
    let other = access
        .detect(br#"{"id": 2, "location": "BB"}"#)
        .unwrap()
        .into_request();
    let again = access
        .detect(br#"{"id": 3, "location": "AA0101"}"#)
        .unwrap()
        .into_request();
    assert_eq!(first.location, again.location);
    assert_ne!(first.location, other.location);
}

#[test]
fn one_id_has_many_spellings() {
    for (json, id) in [
        ("12", RequestId::integer(12)),
        ("\"12\"", RequestId::integer(12)),
        ("\"012\"", RequestId::integer(12)),
        ("18446744073709551615", RequestId::from(u64::MAX)),
        (
            "\"340282366920938463463374607431768211455\"",
            RequestId::integer(u128::MAX),
        ),
        (
            "\"0B0E7A52-6C8E-4D8A-9F0E-1D2C3B4A5F60\"",
            RequestId::uuid(0x0b0e_7a52_6c8e_4d8a_9f0e_1d2c_3b4a_5f60),
        ),
    ] {
        assert_eq!(
            accept(&format!(r#"{{"id": {json}, "location": "L"}}"#)).id,
            id,
            "{json}"
        );
    }
}

#[test]
fn what_is_no_id_is_an_error() {
    for json in [
        "18446744073709551616",
        "-1",
        "-0",
        "1.0",
        "1.5",
        "1e3",
        "\"\"",
        "\"-1\"",
        "\"+1\"",
        "\" 12\"",
        "\"12 \"",
        "\"1 2\"",
        "\"0b0e7a526c8e4d8a9f0e1d2c3b4a5f60\"",
        "\"340282366920938463463374607431768211456\"",
        "null",
        "true",
        "[]",
        "{}",
    ] {
        let error = refuse(format!(r#"{{"id": {json}, "location": "L"}}"#));
        assert_eq!(
            (error.path(), error.kind()),
            ("id", AccessErrorKind::Invalid),
            "{json}: {error}"
        );
        assert!(
            error
                .expected()
                .starts_with("a UUID with hyphens, or an unsigned decimal integer"),
            "{error}"
        );
    }
    let error = refuse(r#"{"id": 18446744073709551616, "location": "L"}"#);
    assert_eq!(
        error.value(),
        "18446744073709551616",
        "the number is quoted as it was sent"
    );
}

#[test]
fn payloads_are_text_or_bytes() {
    assert_eq!(
        &*accept(&with_fields(r#""payload": "h\u00e9""#)).payload,
        "hé".as_bytes()
    );
    assert_eq!(
        &*accept(&with_fields(r#""payload": [255, 0, 7]"#)).payload,
        [255, 0, 7]
    );
    assert_eq!(&*accept(&with_fields(r#""payload": []"#)).payload, b"");
}

#[test]
fn every_condition_is_read() {
    use ProcessingCondition::{AgentsReady, All, Always, Any, Not, Open, QueueBelow, WaitBelow};
    let minute = || WaitBelow(Duration::from_secs(60));
    for (json, condition) in [
        (r#""always""#, Always),
        (r#""open""#, Open),
        (r#"{"wait_below": "PT1M"}"#, minute()),
        (r#"{"agents_ready": 2}"#, AgentsReady(2)),
        (r#"{"queue_below": 10}"#, QueueBelow(10)),
        (r#"{"all": []}"#, All(Box::new([]))),
        (
            r#"{"any": ["open", {"wait_below": "60s"}]}"#,
            Any(Box::new([Open, minute()])),
        ),
        (
            r#"{"not": {"all": [{"not": "open"}]}}"#,
            Not(Box::new(All(Box::new([Not(Box::new(Open))])))),
        ),
    ] {
        let schedule = accept(&with_condition(json)).schedule.unwrap();
        assert_eq!(schedule.times()[0].condition(), &condition, "{json}");
    }
}

#[test]
fn times_are_read_with_offset_or_zone() {
    let at = |json: &str| {
        accept(&with_times(&format!(r#"{{"at": {json}}}"#)))
            .schedule
            .unwrap()
            .times()[0]
            .at()
    };
    assert_eq!(
        at(r#""2026-01-05T09:00:00Z""#),
        time("2026-01-05T09:00:00Z")
    );
    assert_eq!(
        at(r#""2026-01-05T09:00:00-00:00""#),
        time("2026-01-05T09:00:00Z")
    );
    assert_eq!(
        at(r#""2026-01-05T09:00:00.0001+02:00""#),
        time("2026-01-05T07:00:00.001Z")
    );
    assert_eq!(
        at(r#""9999-12-31T23:59:59Z""#),
        time("9999-12-31T23:59:59Z")
    );
    assert_eq!(at("18446744073709551615"), Timestamp::MAX);
    let local = |civil: &str| {
        at(&format!(
            r#"{{"zone": "Asia/Jerusalem", "local": "{civil}"}}"#
        ))
    };
    assert_eq!(local("2026-01-05T10:00:00"), time("2026-01-05T08:00:00Z"));
    assert_eq!(
        local("2026-01-05T10:00:00.0001"),
        time("2026-01-05T08:00:00.001Z")
    );
    assert_eq!(
        local("2026-03-27T02:30:00"),
        time("2026-03-27T00:30:00Z"),
        "a gap moves forward, to 03:30 summer time"
    );
    assert_eq!(
        local("2026-10-25T01:30:00"),
        time("2026-10-24T22:30:00Z"),
        "of an overlap the first"
    );
    assert_eq!(local("9999-12-31T23:59:59"), time("9999-12-31T21:59:59Z"));
    let schedule = accept(&with_times(
        r#"{"at": {"local": "2026-01-05T10:00:00", "zone": "asia/jerusalem"}}"#,
    ))
    .schedule
    .unwrap();
    assert_eq!(
        schedule.times()[0].point().to_string(),
        "2026-01-05T10:00:00[Asia/Jerusalem]"
    );
}

#[test]
fn sizes_are_bounded() {
    let text = |length: usize| "x".repeat(length);
    let list = |item: &dyn Fn(usize) -> String, count: usize| {
        (0..count).map(item).collect::<Vec<_>>().join(",")
    };
    let time = |n: usize| format!(r#"{{"at": "2026-01-05T09:{:02}:{:02}Z"}}"#, n / 60, n % 60);
    let window = |n: usize| {
        format!(r#"{{"from": "2026-01-05T09:{0:02}:00Z", "until": "2026-01-05T09:{0:02}:30Z", "media": "sms"}}"#, n % 60)
            .replace("T09", if n < 60 { "T09" } else { "T10" })
    };
    let nested = |levels: usize| {
        with_condition(&format!(
            "{}\"open\"{}",
            r#"{"not":"#.repeat(levels - 1),
            "}".repeat(levels - 1)
        ))
    };
    let wide = |nodes: usize| {
        with_condition(&format!(
            r#"{{"any": [{}]}}"#,
            list(&|_| "\"open\"".into(), nodes - 1)
        ))
    };
    let payload = |length: usize| with_fields(&format!(r#""payload": "{}""#, text(length)));
    let customer = |length: usize| with_fields(&format!(r#""customer": "{}""#, text(length)));
    let location = |length: usize| format!(r#"{{"id": 1, "location": "{}"}}"#, text(length));
    let padded = |length: usize| {
        let message = r#"{"id": 1, "location": "L"}"#;
        message.to_owned() + &" ".repeat(length - message.len())
    };
    let windows =
        |count: usize| with_rules(&format!(r#""response_media": [{}]"#, list(&window, count)));
    let largest = [
        (
            padded(1 << 20),
            padded((1 << 20) + 1),
            "",
            "1048577 bytes",
            "at most 1048576 bytes",
        ),
        (
            payload(65_536),
            payload(65_537),
            "payload",
            "65537 bytes",
            "at most 65536 bytes",
        ),
        (
            customer(256),
            customer(257),
            "customer",
            "257 bytes",
            "at most 256 bytes",
        ),
        (
            location(256),
            location(257),
            "location",
            "257 bytes",
            "at most 256 bytes",
        ),
        (
            with_times(&list(&time, 64)),
            with_times(&list(&time, 65)),
            "schedule.times",
            "a list of 65",
            "at most 64 times",
        ),
        (
            windows(64),
            windows(65),
            "schedule.response_media",
            "a list of 65",
            "at most 64 windows",
        ),
        (
            nested(8),
            nested(9),
            "schedule.times[0].condition",
            "9 levels",
            "at most 8 levels of conditions",
        ),
        (
            wide(64),
            wide(65),
            "schedule.times[0].condition",
            "65 conditions",
            "at most 64 conditions in all",
        ),
    ];
    for (fits, does_not, path, value, expected) in &largest {
        accept(fits);
        let error = refuse(does_not);
        assert_eq!(
            (error.path(), error.value(), error.expected()),
            (*path, *value, *expected)
        );
    }
}

#[test]
fn limits_can_be_set() {
    let mut limits = JsonLimits::default();
    limits.times_max = 1;
    limits.message_bytes_max = 200;
    let access = JsonAccessPoint::with_limits(Arc::new(Directory::new()), limits);
    let two = with_times(r#"{"at": "2026-01-05T09:00:00Z"}, {"at": "2026-01-05T10:00:00Z"}"#);
    assert_eq!(
        access.detect(two.as_bytes()).unwrap_err().path(),
        "schedule.times"
    );
    assert_eq!(
        access.detect(&[b' '; 201]).unwrap_err().value(),
        "201 bytes"
    );
}

#[test]
fn a_full_directory_refuses_new_names_alone() {
    let access = JsonAccessPoint::new(Arc::new(Directory::with_capacity_max(1)));
    assert!(access.detect(br#"{"id": 1, "location": "A"}"#).is_ok());
    let error = access.detect(br#"{"id": 2, "location": "B"}"#).unwrap_err();
    assert_eq!((error.path(), error.value()), ("location", "\"B\""));
    assert!(error.expected().contains("full"), "{error}");
    assert!(access.detect(br#"{"id": 3, "location": "A"}"#).is_ok());
}

#[test]
fn an_access_point_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<JsonAccessPoint>();
    shared::<Detection>();
    shared::<duewheel::AccessError>();
    shared::<duewheel::ScheduleDataError>();
}
