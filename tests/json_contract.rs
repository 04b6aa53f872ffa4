//! The JSON form of a request is a contract: what is read, what it means, and what an error says.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    AccessError, AccessErrorKind, AccessPoint, Detection, Directory, ExhaustedRule,
    InteractionRequest, JsonAccessPoint, JsonLimits, Media, MissedPolicy, Priority,
    ProcessingCondition, RequestId, ScheduleData, Timestamp,
};

const EXAMPLE: &str = r#"
{"id": "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60", "location": "AA0101", "media": "voice", "priority": 2, "customer": "9664491", "payload": "free text",
 "schedule": {
   "times": [{"at": "2026-01-05T09:00:00+02:00", "condition": {"wait_below": "60s"}}, {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}],
   "not_before": "2026-01-05T08:30:00+02:00", "not_after": "2026-01-05T23:00:00+02:00",
   "response_media": [{"from": "2026-01-05T09:00:00+02:00", "until": "2026-01-05T22:00:00+02:00", "media": "voice"}, {"from": "2026-01-05T22:00:00+02:00", "until": "2026-01-05T23:00:00+02:00", "media": "sms"}],
   "threshold_wait": "120s", "recheck": "30s", "exhausted": "release", "missed": "release", "retry": {"attempts": 5, "initial": "30s", "max": "15m", "jitter": 0.2}}}
"#;

fn access() -> JsonAccessPoint {
    JsonAccessPoint::new(Arc::new(Directory::new()))
}

fn accept(message: &str) -> InteractionRequest {
    access()
        .detect(message.as_bytes())
        .unwrap_or_else(|error| panic!("{message}: {error}"))
        .into_request()
}

/// The error of a message, after a check that it entered no name.
fn refuse(message: impl AsRef<[u8]>) -> AccessError {
    let directory = Arc::new(Directory::new());
    let message = message.as_ref();
    let detection = JsonAccessPoint::new(Arc::clone(&directory)).detect(message);
    assert!(
        directory.is_empty() || detection.is_ok(),
        "a refused message entered a name"
    );
    detection.expect_err(&String::from_utf8_lossy(&message[..message.len().min(200)]))
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A request with this schedule's fields beside one time.
fn with_rules(rules: &str) -> String {
    format!(
        r#"{{"id": 1, "location": "L", "schedule": {{"times": [{{"at": "2026-01-05T09:00:00Z"}}], {rules}}}}}"#
    )
}

/// A request with this list of times.
fn with_times(times: &str) -> String {
    format!(r#"{{"id": 1, "location": "L", "schedule": {{"times": [{times}]}}}}"#)
}

fn with_condition(condition: &str) -> String {
    with_times(&format!(
        r#"{{"at": "2026-01-05T09:00:00Z", "condition": {condition}}}"#
    ))
}

/// A request with these fields beside id and location.
fn with_fields(fields: &str) -> String {
    format!(r#"{{"id": 1, "location": "L", {fields}}}"#)
}

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

/// Each line: message, path, value, the beginning of what was expected.
#[test]
fn errors_name_the_field_the_value_and_what_was_expected() {
    let times = "schedule.times[0].at";
    let known = "a known field: one of";
    let cases: &[(String, &str, &str, &str)] = &[
        // Fields of the request.
        (
            "{}".into(),
            "id",
            "nothing",
            "this field, which is required",
        ),
        (
            r#"{"id": 1}"#.into(),
            "location",
            "nothing",
            "this field, which is required",
        ),
        (
            r#"{"id": 1, "location": "L", "id": 2}"#.into(),
            "id",
            "a second value",
            "the field once",
        ),
        (
            r#"{"id": 1, "location": 5}"#.into(),
            "location",
            "5",
            "a string",
        ),
        (
            r#"{"id": 1, "location": ""}"#.into(),
            "location",
            "\"\"",
            "a name of 1 to 256 bytes",
        ),
        (
            r#"{"id": 1, "location": "a\nb"}"#.into(),
            "location",
            r#""a\nb""#,
            "a name without control characters",
        ),
        (
            with_fields(r#""media": "fax""#),
            "media",
            "\"fax\"",
            "one of voice, voip, email",
        ),
        (
            with_fields(r#""media": {"voice": null}"#),
            "media",
            "an object",
            "one of voice",
        ),
        (
            with_fields(r#""media": null"#),
            "media",
            "null",
            "one of voice",
        ),
        (
            with_fields(r#""priority": 256"#),
            "priority",
            "256",
            "an integer from 0 to 255",
        ),
        (
            with_fields(r#""priority": -1"#),
            "priority",
            "-1",
            "an integer from 0 to 255",
        ),
        (
            with_fields(r#""priority": 2.5"#),
            "priority",
            "2.5",
            "an integer from 0 to 255",
        ),
        (
            with_fields(r#""priority": "2""#),
            "priority",
            "\"2\"",
            "an integer from 0 to 255",
        ),
        (
            with_fields(r#""customer": null"#),
            "customer",
            "null",
            "a string",
        ),
        (
            with_fields(r#""customer": 9664491"#),
            "customer",
            "a number",
            "a string",
        ),
        (
            with_fields(r#""payload": null"#),
            "payload",
            "null",
            "a string, or a list of bytes",
        ),
        (
            with_fields(r#""payload": {"secret": 1}"#),
            "payload",
            "an object",
            "a string, or a list of bytes",
        ),
        (
            with_fields(r#""payload": [1, 256]"#),
            "payload[1]",
            "a number",
            "an integer from 0 to 255",
        ),
        (
            with_fields(r#""custmer": "9664491""#),
            "custmer",
            "a string",
            known,
        ),
        (r#"["9664491"]"#.into(), "", "a list", "a request object"),
        (r#""9664491""#.into(), "", "a string", "a request object"),
        // The schedule.
        (
            with_fields(r#""schedule": null"#),
            "schedule",
            "null",
            "a schedule object",
        ),
        (
            with_fields(r#""schedule": {}"#),
            "schedule.times",
            "nothing",
            "this field",
        ),
        (
            with_fields(r#""schedule": [[]]"#),
            "schedule",
            "a list",
            "a schedule object",
        ),
        (
            with_fields(r#""schedule": {"times": {}}"#),
            "schedule.times",
            "an object",
            "a list",
        ),
        (
            with_times(""),
            "schedule.times",
            "an empty list",
            "at least one processing time",
        ),
        (
            with_times("5"),
            "schedule.times[0]",
            "5",
            "a processing time, such as",
        ),
        (
            with_times(r#"["2026-01-05T09:00:00Z"]"#),
            "schedule.times[0]",
            "a list",
            "a processing time, such as",
        ),
        (with_times("{}"), times, "nothing", "this field"),
        (
            with_rules(r#""timess": 1"#),
            "schedule.timess",
            "a number",
            known,
        ),
        (
            with_rules(r#""recheck": "1s", "recheck": "2s""#),
            "schedule.recheck",
            "a second value",
            "the field once",
        ),
        // Times.
        (
            with_times(r#"{"at": null}"#),
            times,
            "null",
            "an RFC 3339 time with offset",
        ),
        (
            with_times(r#"{"at": 1767603600000}"#),
            times,
            "1767603600000",
            "an RFC 3339 time with offset",
        ),
        (
            with_times(r#"{"at": "tomorrow"}"#),
            times,
            "\"tomorrow\"",
            "an RFC 3339 time with offset",
        ),
        (
            with_times(r#"{"at": "2026-01-05 09:00:00Z"}"#),
            times,
            "\"2026-01-05 09:00:00Z\"",
            "an RFC 3339 time with offset",
        ),
        (
            with_times(r#"{"at": "2026-01-05T09:00:00+02:00[Asia/Jerusalem]"}"#),
            times,
            "\"2026-01-05T09:00:00+02:00[Asia/Jerusalem]\"",
            "an RFC 3339 time",
        ),
        (
            with_times(r#"{"at": "2026-02-30T09:00:00Z"}"#),
            times,
            "\"2026-02-30T09:00:00Z\"",
            "an RFC 3339 time",
        ),
        (
            with_times(r#"{"at": "2026-01-05T09:00:00"}"#),
            times,
            "\"2026-01-05T09:00:00\"",
            "an offset at the end",
        ),
        (
            with_times(r#"{"at": "1969-12-31T23:59:59Z"}"#),
            times,
            "\"1969-12-31T23:59:59Z\"",
            "a time from 1970-01-01T00:00:00Z",
        ),
        (
            with_times(r#"{"at": {"local": "2026-01-05T10:00:00"}}"#),
            "schedule.times[0].at.zone",
            "nothing",
            "this field",
        ),
        (
            with_times(r#"{"at": {"zone": "Asia/Jerusalem"}}"#),
            "schedule.times[0].at.local",
            "nothing",
            "this field",
        ),
        (
            with_times(r#"{"at": {"local": "2026-01-05T10:00:00", "zone": "Mars/Olympus"}}"#),
            "schedule.times[0].at.zone",
            "\"Mars/Olympus\"",
            "an IANA time zone",
        ),
        (
            with_times(
                r#"{"at": {"local": "2026-01-05T10:00:00+02:00", "zone": "Asia/Jerusalem"}}"#,
            ),
            "schedule.times[0].at.local",
            "\"2026-01-05T10:00:00+02:00\"",
            "a local date-time without offset",
        ),
        (
            with_times(r#"{"at": {"local": "1970-01-01T01:00:00", "zone": "Asia/Jerusalem"}}"#),
            times,
            "an object",
            "a time from 1970-01-01T00:00:00Z",
        ),
        (
            with_times(
                r#"{"at": {"local": "2026-01-05T10:00:00", "zone": "UTC", "local": "2026-01-05T10:00:00"}}"#,
            ),
            "schedule.times[0].at.local",
            "a second value",
            "the field once",
        ),
        (
            with_times(r#"{"at": {"local": "2026-01-05T10:00:00", "tz": "UTC"}}"#),
            "schedule.times[0].at.tz",
            "a string",
            "a known field: local or zone",
        ),
        (
            with_times(r#"{"at": "2026-01-05T09:00:00Z"}, {"at": "2026-01-05T09:00:00Z"}"#),
            "schedule.times[1].at",
            "\"2026-01-05T09:00:00Z\"",
            "a time after times[0].at (2026-01-05T09:00:00Z)",
        ),
        (
            with_times(
                r#"{"at": "2026-01-05T09:00:00Z"}, {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}"#,
            ),
            "schedule.times[1].at",
            "2026-01-05T10:00:00[Asia/Jerusalem]",
            "a time after times[0].at",
        ),
        // Limits.
        (
            with_rules(r#""not_before": "2026-01-05T09:00:00.001Z""#),
            times,
            "\"2026-01-05T09:00:00Z\"",
            "a time at or after not_before (2026-01-05T09:00:00.001Z)",
        ),
        (
            with_rules(r#""not_after": "2026-01-05T09:00:00Z""#),
            "schedule.not_after",
            "\"2026-01-05T09:00:00Z\"",
            "a time after the first processing time, times[0].at (2026-01-05T09:00:00Z)",
        ),
        (
            with_rules(
                r#""not_before": "2026-01-05T08:00:00Z", "not_after": "2026-01-05T08:00:00Z""#,
            ),
            "schedule.not_after",
            "\"2026-01-05T08:00:00Z\"",
            "a time after not_before (2026-01-05T08:00:00Z)",
        ),
        (
            with_fields(
                r#""schedule": {"not_after": "2026-01-05T10:00:00Z", "times": [{"at": "2026-01-05T09:00:00Z"}, {"at": "2026-01-05T10:00:00Z"}]}"#,
            ),
            "schedule.times[1].at",
            "\"2026-01-05T10:00:00Z\"",
            "a time before not_after (2026-01-05T10:00:00Z)",
        ),
        (
            with_rules(r#""not_after": null"#),
            "schedule.not_after",
            "null",
            "an RFC 3339 time",
        ),
        // Windows.
        (
            with_rules(r#""response_media": null"#),
            "schedule.response_media",
            "null",
            "a list",
        ),
        (
            with_rules(r#""response_media": [{"from": "2026-01-05T09:00:00Z", "media": "sms"}]"#),
            "schedule.response_media[0].until",
            "nothing",
            "this field",
        ),
        (
            with_rules(
                r#""response_media": [{"from": "2026-01-05T09:00:00Z", "until": "2026-01-05T09:00:00Z", "media": "sms"}]"#,
            ),
            "schedule.response_media[0].until",
            "\"2026-01-05T09:00:00Z\"",
            "a time after the window's from (2026-01-05T09:00:00Z)",
        ),
        (
            with_rules(
                r#""response_media": [{"from": "2026-01-05T09:00:00Z", "until": "2026-01-05T10:00:00Z", "media": "sms"}, {"from": "2026-01-05T09:59:59Z", "until": "2026-01-05T11:00:00Z", "media": "sms"}]"#,
            ),
            "schedule.response_media[1].from",
            "\"2026-01-05T09:59:59Z\"",
            "a time at or after response_media[0].until (2026-01-05T10:00:00Z), for windows ascend and do not overlap",
        ),
        // Durations and rules.
        (
            with_rules(r#""recheck": 30"#),
            "schedule.recheck",
            "30",
            "a duration of zero or more",
        ),
        (
            with_rules(r#""recheck": "30""#),
            "schedule.recheck",
            "\"30\"",
            "a duration of zero or more",
        ),
        (
            with_rules(r#""recheck": "1 month""#),
            "schedule.recheck",
            "\"1 month\"",
            "a duration of zero or more without years and months",
        ),
        (
            with_rules(r#""recheck": "0s""#),
            "schedule.recheck",
            "\"0s\"",
            "a duration from 1ms to 366 days",
        ),
        (
            with_rules(r#""recheck": "367 days""#),
            "schedule.recheck",
            "\"367 days\"",
            "a duration from 1ms to 366 days",
        ),
        (
            with_rules(r#""threshold_wait": "-1s""#),
            "schedule.threshold_wait",
            "\"-1s\"",
            "a duration of zero or more",
        ),
        (
            with_rules(r#""threshold_wait": null"#),
            "schedule.threshold_wait",
            "null",
            "a duration of zero or more",
        ),
        (
            with_rules(r#""exhausted": "nextday""#),
            "schedule.exhausted",
            "\"nextday\"",
            "one of release, expire, next_day",
        ),
        (
            with_rules(r#""missed": null"#),
            "schedule.missed",
            "null",
            "one of release, expire, next_day",
        ),
        (
            with_rules(r#""retry": null"#),
            "schedule.retry",
            "null",
            "a retry policy",
        ),
        (
            with_rules(r#""retry": {"attempts": 0}"#),
            "schedule.retry.attempts",
            "0",
            "a number from 1 to 1000",
        ),
        (
            with_rules(r#""retry": {"attempts": 1.0}"#),
            "schedule.retry.attempts",
            "1.0",
            "an integer from 0 to 4294967295",
        ),
        (
            with_rules(r#""retry": {"initial": "0ms"}"#),
            "schedule.retry.initial",
            "\"0ms\"",
            "at least 1ms",
        ),
        (
            with_rules(r#""retry": {"initial": "1h"}"#),
            "schedule.retry.max",
            "15m",
            "at least retry.initial (1h)",
        ),
        (
            with_rules(r#""retry": {"jitter": 1.5}"#),
            "schedule.retry.jitter",
            "1.5",
            "a number from 0 to 1",
        ),
        (
            with_rules(r#""retry": {"jitter": "0.5"}"#),
            "schedule.retry.jitter",
            "\"0.5\"",
            "a number",
        ),
        (
            with_rules(r#""retry": {"delay": "1s"}"#),
            "schedule.retry.delay",
            "a string",
            known,
        ),
        // Conditions.
        (
            with_condition("null"),
            "schedule.times[0].condition",
            "null",
            "a condition: \"always\"",
        ),
        (
            with_condition("\"never\""),
            "schedule.times[0].condition",
            "\"never\"",
            "a condition: \"always\"",
        ),
        (
            with_condition("{}"),
            "schedule.times[0].condition",
            "an object",
            "a condition: \"always\"",
        ),
        (
            with_condition(r#"{"wait_below": "1s", "agents_ready": 1}"#),
            "schedule.times[0].condition",
            "an object",
            "a condition: \"always\"",
        ),
        (
            with_condition(r#"{"wait_below": "1s", "wait_below": "1s"}"#),
            "schedule.times[0].condition",
            "an object",
            "a condition: \"always\"",
        ),
        (
            with_condition(r#"{"wait_above": "1s"}"#),
            "schedule.times[0].condition.wait_above",
            "a string",
            known,
        ),
        (
            with_condition(r#"{"wait_below": 60}"#),
            "schedule.times[0].condition.wait_below",
            "60",
            "a duration",
        ),
        (
            with_condition(r#"{"agents_ready": -1}"#),
            "schedule.times[0].condition.agents_ready",
            "-1",
            "an integer from 0 to 4294967295",
        ),
        (
            with_condition(r#"{"any": ["open", {"not": 5}]}"#),
            "schedule.times[0].condition.any[1].not",
            "5",
            "a condition",
        ),
        (
            with_condition(r#"{"all": "open"}"#),
            "schedule.times[0].condition.all",
            "\"open\"",
            "a list of conditions",
        ),
        (
            with_condition(r#"{"open": true}"#),
            "schedule.times[0].condition.open",
            "a boolean",
            known,
        ),
    ];
    for (message, path, value, expected) in cases {
        let error = refuse(message);
        assert_eq!(
            (error.path(), error.value()),
            (*path, *value),
            "{message}: {error}"
        );
        assert!(error.expected().starts_with(expected), "{message}: {error}");
        assert_eq!(error.kind(), AccessErrorKind::Invalid, "{message}");
        assert!(!error.to_string().contains("9664491"), "{error}");
    }
}

#[test]
fn an_error_reads_as_a_sentence() {
    let error = refuse(with_times(
        r#"{"at": "2026-01-05T09:00:00Z"}, {"at": "2026-01-05T08:00:00Z"}"#,
    ));
    assert_eq!(
        error.to_string(),
        "schedule.times[1].at: \"2026-01-05T08:00:00Z\": expected a time after times[0].at (2026-01-05T09:00:00Z), for times ascend strictly"
    );
    let error = refuse("[");
    assert_eq!(
        error.to_string(),
        "message: line 1, column 1: expected one JSON object (EOF while parsing a list)"
    );
}

#[test]
fn what_is_no_json_is_a_syntax_error() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_condition = with_condition(&format!(
        "{}\"open\"{}",
        "{\"not\":".repeat(5000),
        "}".repeat(5000)
    ));
    for message in [
        "",
        " ",
        "{",
        "nonsense",
        r#"{"id": -1, "location" 5}"#,
        r#"{"id": 1,}"#,
        r#"{"id": 1, "location": "L"} x"#,
        r#"{"id": 1, "location": "L"}{}"#,
        r#"{'id': 1}"#,
        "\u{feff}{}",
    ] {
        let error = refuse(message);
        assert_eq!(
            (error.kind(), error.path()),
            (AccessErrorKind::Syntax, ""),
            "{message}: {error}"
        );
    }
    for message in [b"\xff".as_slice(), b"{\"id\": 1, \"location\": \"\xc3\"}"] {
        let error = refuse(message);
        assert_eq!(
            (error.kind(), error.expected()),
            (AccessErrorKind::Syntax, "UTF-8"),
            "{error}"
        );
    }
    let error = refuse(r#"{"id": 1, "location": "L", "payload": "\ud800"}"#);
    assert_eq!(error.kind(), AccessErrorKind::Syntax);
    // Neither takes more stack than any other message.
    assert_eq!(refuse(&deep).path(), "");
    let error = refuse(&deep_condition);
    assert!(
        error
            .path()
            .starts_with("schedule.times[0].condition.not.not"),
        "{error}"
    );
    assert!(
        error.path().len() < 300 && error.expected().contains("32 levels"),
        "{error}"
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
fn a_bare_schedule_is_read_and_its_paths_begin_with_schedule() {
    let access = access();
    let schedule = access
        .schedule_data(br#"{"times": [{"at": "2026-01-05T09:00:00Z"}]}"#)
        .unwrap();
    assert_eq!(schedule.times().len(), 1);
    for (message, path, value) in [
        ("[]", "schedule", "a list"),
        ("{}", "schedule.times", "nothing"),
        (r#"{"times": [{"at": 5}]}"#, "schedule.times[0].at", "5"),
        (
            r#"{"times": [{"at": "2026-01-05T09:00:00Z"}], "not_after": "2026-01-05T09:00:00Z"}"#,
            "schedule.not_after",
            "\"2026-01-05T09:00:00Z\"",
        ),
        (
            r#"{"times": [{"at": "2026-01-05T09:00:00Z", "condition": {"not": {"not": {"not": {"not": {"not": {"not": {"not": {"not": "open"}}}}}}}}}]}"#,
            "schedule.times[0].condition",
            "9 levels",
        ),
    ] {
        let error = access.schedule_data(message.as_bytes()).unwrap_err();
        assert_eq!((error.path(), error.value()), (path, value), "{error}");
    }
    assert_eq!(
        access.schedule_data(b"{").unwrap_err().kind(),
        AccessErrorKind::Syntax
    );
}

#[test]
fn long_values_and_long_paths_are_cut() {
    let error = refuse(with_fields(&format!(
        r#""media": "{}""#,
        "x".repeat(10_000)
    )));
    assert!(error.to_string().len() < 300, "{error}");
    let error = refuse(with_fields(&format!(r#""{}": 1"#, "x".repeat(10_000))));
    assert!(error.path().len() < 300, "{error}");
}

#[test]
fn errors_never_repeat_customers_or_payloads() {
    for fields in [
        r#""customer": ["s3cret"]"#,
        r#""customer": {"s3cret": 1}"#,
        r#""payload": {"a": "s3cret"}"#,
        r#""payload": ["s3cret"]"#,
        r#""paylaod": "s3cret""#,
        r#""customer": "s3cret", "payload": true"#,
        r#""payload": "s3cret", "media": 5"#,
        r#""customer": "s3cret", "customer": "s3cret""#,
        r#""payload": "s3cret" "media""#,
        r#""payload": "s3cret"#,
        r#""schedule": {"customer": "s3cret"}"#,
    ] {
        let error = refuse(with_fields(fields));
        let all = format!("{error} {error:?}");
        assert!(!all.contains("s3cret"), "{all}");
    }
    let request = accept(&with_fields(r#""customer": "s3cret", "payload": "s3cret""#));
    assert!(!format!("{request:?}").contains("s3cret"));
}
