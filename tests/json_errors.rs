//! What an error of the JSON access point says is part of the contract: path, value, expectation, kind.

mod json_common;

use std::sync::Arc;

use duewheel::{AccessErrorKind, AccessPoint, Directory, JsonAccessPoint, JsonLimits};
use json_common::{accept, access, refuse, with_condition, with_fields, with_rules, with_times};

/// Each line: message, path, value, the beginning of what was expected.
#[test]
#[rustfmt::skip] // One case a line.
fn errors_name_the_field_the_value_and_what_was_expected() {
    let times = "schedule.times[0].at";
    let known = "a known field: one of";
    let cases: &[(String, &str, &str, &str)] = &[
        // Fields of the request.
        ("{}".into(), "id", "nothing", "this field, which is required"),
        (r#"{"id": 1}"#.into(), "location", "nothing", "this field, which is required"),
        (r#"{"id": 1, "location": "L", "id": 2}"#.into(), "id", "a second value", "the field once"),
        (r#"{"id": 1, "location": 5}"#.into(), "location", "5", "a string"),
        (r#"{"id": 1, "location": ""}"#.into(), "location", "\"\"", "a name of 1 to 256 bytes"),
        (r#"{"id": 1, "location": "a\nb"}"#.into(), "location", r#""a\nb""#, "a name without control characters"),
        (with_fields(r#""media": "fax""#), "media", "\"fax\"", "one of voice, voip, email"),
        (with_fields(r#""media": {"voice": null}"#), "media", r#"{"voice":null}"#, "one of voice"),
        (with_fields(r#""media": {"kind": ["fax", {"customer": "9664491"}]}"#), "media", "an object", "one of voice"),
        (r#"{"id": {"number": 7}, "location": "L"}"#.into(), "id", r#"{"number":7}"#, "a UUID with hyphens"),
        (with_fields(r#""media": null"#), "media", "null", "one of voice"),
        (with_fields(r#""priority": 256"#), "priority", "256", "an integer from 0 to 255"),
        (with_fields(r#""priority": -1"#), "priority", "-1", "an integer from 0 to 255"),
        (with_fields(r#""priority": 2.5"#), "priority", "2.5", "an integer from 0 to 255"),
        (with_fields(r#""priority": "2""#), "priority", "\"2\"", "an integer from 0 to 255"),
        (with_fields(r#""customer": null"#), "customer", "null", "a string"),
        (with_fields(r#""customer": 9664491"#), "customer", "a number", "a string"),
        (with_fields(r#""payload": null"#), "payload", "null", "a string, or a list of bytes"),
        (with_fields(r#""payload": {"secret": 1}"#), "payload", "an object", "a string, or a list of bytes"),
        (with_fields(r#""payload": [1, 256]"#), "payload[1]", "a number", "an integer from 0 to 255"),
        (with_fields(r#""payload": "\ud800""#), "payload", "a string", "a value that can be held ("),
        (with_fields(r#""priority": 1e999"#), "priority", "1e999", "a value that can be held (number out of range)"),
        (with_fields(r#""custmer": "9664491""#), "custmer", "a string", known),
        (r#"["9664491"]"#.into(), "", "a list", "a request object"),
        (r#""9664491""#.into(), "", "a string", "a request object"),
        // The schedule.
        (with_fields(r#""schedule": null"#), "schedule", "null", "a schedule object"),
        (with_fields(r#""schedule": {}"#), "schedule.times", "nothing", "this field"),
        (with_fields(r#""schedule": [[]]"#), "schedule", "[[]]", "a schedule object"),
        (with_fields(r#""schedule": [{"customer": "9664491"}]"#), "schedule", "a list", "a schedule object"),
        (with_fields(r#""schedule": {"times": {}}"#), "schedule.times", "{}", "a list"),
        (with_fields(r#""schedule": {"times": {"payload": "9664491"}}"#), "schedule.times", "an object", "a list"),
        (with_fields(r#""schedule": {"payload": "9664491"}"#), "schedule.payload", "a string", known),
        (with_fields(r#""shedule": {"times": []}"#), "shedule", "an object", known),
        (with_times(""), "schedule.times", "an empty list", "at least one processing time"),
        (with_times("5"), "schedule.times[0]", "5", "a processing time, such as"),
        (with_times(r#"["2026-01-05T09:00:00Z"]"#), "schedule.times[0]", r#"["2026-01-05T09:00:00Z"]"#, "a processing time, such as"),
        (with_times("{}"), times, "nothing", "this field"),
        (with_rules(r#""timess": 1"#), "schedule.timess", "1", known),
        (with_rules(r#""note": { "a b":
            [ "c\" d" ] }"#), "schedule.note", r#"{"a b":["c\" d"]}"#, known),
        (with_rules(r#""recheck": "1s", "recheck": "2s""#), "schedule.recheck", "a second value", "the field once"),
        // Times.
        (with_times(r#"{"at": null}"#), times, "null", "an RFC 3339 time with offset"),
        (with_times(r#"{"at": 1767603600000}"#), times, "1767603600000", "an RFC 3339 time with offset"),
        (with_times(r#"{"at": "tomorrow"}"#), times, "\"tomorrow\"", "an RFC 3339 time with offset"),
        (with_times(r#"{"at": "2026-01-05 09:00:00Z"}"#), times, "\"2026-01-05 09:00:00Z\"", "an RFC 3339 time with offset"),
        (with_times(r#"{"at": "2026-01-05T09:00:00+02:00[Asia/Jerusalem]"}"#), times, "\"2026-01-05T09:00:00+02:00[Asia/Jerusalem]\"", "an RFC 3339 time"),
        (with_times(r#"{"at": "2026-02-30T09:00:00Z"}"#), times, "\"2026-02-30T09:00:00Z\"", "an RFC 3339 time"),
        (with_times(r#"{"at": "2026-01-05T09:00:00"}"#), times, "\"2026-01-05T09:00:00\"", "an offset at the end"),
        (with_times(r#"{"at": "1969-12-31T23:59:59Z"}"#), times, "\"1969-12-31T23:59:59Z\"", "a time from 1970-01-01T00:00:00Z"),
        (with_times(r#"{"at": {"local": "2026-01-05T10:00:00"}}"#), "schedule.times[0].at.zone", "nothing", "this field"),
        (with_times(r#"{"at": {"zone": "Asia/Jerusalem"}}"#), "schedule.times[0].at.local", "nothing", "this field"),
        (with_times(r#"{"at": {"local": "2026-01-05T10:00:00", "zone": "Mars/Olympus"}}"#), "schedule.times[0].at.zone", "\"Mars/Olympus\"", "an IANA time zone"),
        (with_times(r#"{"at": {"local": "2026-01-05T10:00:00+02:00", "zone": "Asia/Jerusalem"}}"#), "schedule.times[0].at.local", "\"2026-01-05T10:00:00+02:00\"", "a local date-time without offset"),
        (with_times(r#"{"at": {"local": "1970-01-01T01:00:00", "zone": "Asia/Jerusalem"}}"#), times, r#"{"local":"1970-01-01T01:00:00","zone":"Asia/Jerusalem"}"#, "a time from 1970-01-01T00:00:00Z to the end of year 9999 in UTC"),
        (with_times(r#"{"at": {"zone": "America/New_York", "local": "9999-12-31T19:00:00"}}"#), times, r#"{"zone":"America/New_York","local":"9999-12-31T19:00:00"}"#, "a time from 1970-01-01T00:00:00Z to the end of year 9999 in UTC"),
        (with_times(r#"{"at": "9999-12-31T23:59:59.9995Z"}"#), times, "\"9999-12-31T23:59:59.9995Z\"", "a time from 1970-01-01T00:00:00Z to the end of year 9999 in UTC"),
        (with_times(r#"{"at": "9999-12-31T23:00:00-20:00"}"#), times, "\"9999-12-31T23:00:00-20:00\"", "a time from 1970-01-01T00:00:00Z to the end of year 9999 in UTC"),
        (with_times(r#"{"at": {"local": "2026-01-05T10:00:00", "zone": "UTC", "local": "2026-01-05T10:00:00"}}"#), "schedule.times[0].at.local", "a second value", "the field once"),
        (with_times(r#"{"at": {"local": "2026-01-05T10:00:00", "tz": "UTC"}}"#), "schedule.times[0].at.tz", "\"UTC\"", "a known field: local or zone"),
        (with_times(r#"{"at": "2026-01-05T09:00:00Z"}, {"at": "2026-01-05T09:00:00Z"}"#), "schedule.times[1].at", "\"2026-01-05T09:00:00Z\"", "a time after times[0].at (2026-01-05T09:00:00Z)"),
        (with_times(r#"{"at": "2026-01-05T09:00:00Z"}, {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}"#), "schedule.times[1].at", "2026-01-05T10:00:00[Asia/Jerusalem]", "a time after times[0].at"),
        // Limits.
        (with_rules(r#""not_before": "2026-01-05T09:00:00.001Z""#), times, "\"2026-01-05T09:00:00Z\"", "a time at or after not_before (2026-01-05T09:00:00.001Z)"),
        (with_rules(r#""not_after": "2026-01-05T09:00:00Z""#), "schedule.not_after", "\"2026-01-05T09:00:00Z\"", "a time after the first processing time, times[0].at (2026-01-05T09:00:00Z)"),
        (with_rules(r#""not_before": "2026-01-05T08:00:00Z", "not_after": "2026-01-05T08:00:00Z""#), "schedule.not_after", "\"2026-01-05T08:00:00Z\"", "a time after not_before (2026-01-05T08:00:00Z)"),
        (with_fields(r#""schedule": {"not_after": "2026-01-05T10:00:00Z", "times": [{"at": "2026-01-05T09:00:00Z"}, {"at": "2026-01-05T10:00:00Z"}]}"#), "schedule.times[1].at", "\"2026-01-05T10:00:00Z\"", "a time before not_after (2026-01-05T10:00:00Z)"),
        (with_rules(r#""not_after": null"#), "schedule.not_after", "null", "an RFC 3339 time"),
        // Windows.
        (with_rules(r#""response_media": null"#), "schedule.response_media", "null", "a list"),
        (with_rules(r#""response_media": [{"from": "2026-01-05T09:00:00Z", "media": "sms"}]"#), "schedule.response_media[0].until", "nothing", "this field"),
        (with_rules(r#""response_media": [{"from": "2026-01-05T09:00:00Z", "until": "2026-01-05T09:00:00Z", "media": "sms"}]"#), "schedule.response_media[0].until", "\"2026-01-05T09:00:00Z\"", "a time after the window's from (2026-01-05T09:00:00Z)"),
        (with_rules(r#""response_media": [{"from": "2026-01-05T09:00:00Z", "until": "2026-01-05T10:00:00Z", "media": "sms"}, {"from": "2026-01-05T09:59:59Z", "until": "2026-01-05T11:00:00Z", "media": "sms"}]"#), "schedule.response_media[1].from", "\"2026-01-05T09:59:59Z\"", "a time at or after response_media[0].until (2026-01-05T10:00:00Z), for windows do not overlap"),
        (with_rules(r#""response_media": [{"from": "2026-01-05T20:00:00Z", "until": "2026-01-05T21:00:00Z", "media": "sms"}, {"from": "2026-01-05T09:00:00Z", "until": "2026-01-05T20:00:01Z", "media": "sms"}]"#), "schedule.response_media[1].until", "\"2026-01-05T20:00:01Z\"", "a time at or before response_media[0].from (2026-01-05T20:00:00Z), for windows do not overlap"),
        // Durations and rules.
        (with_rules(r#""recheck": 30"#), "schedule.recheck", "30", "a duration from 1ms to 366 days"),
        (with_rules(r#""recheck": "-1s""#), "schedule.recheck", "\"-1s\"", "a duration from 1ms to 366 days"),
        (with_rules(r#""recheck": "30""#), "schedule.recheck", "\"30\"", "a duration from 1ms to 366 days"),
        (with_rules(r#""recheck": "1 month""#), "schedule.recheck", "\"1 month\"", "a duration from 1ms to 366 days without years and months"),
        (with_rules(r#""recheck": "0s""#), "schedule.recheck", "\"0s\"", "a duration from 1ms to 366 days"),
        (with_rules(r#""recheck": "367 days""#), "schedule.recheck", "\"367 days\"", "a duration from 1ms to 366 days"),
        (with_rules(r#""threshold_wait": "-1s""#), "schedule.threshold_wait", "\"-1s\"", "a duration of zero or more"),
        (with_rules(r#""threshold_wait": null"#), "schedule.threshold_wait", "null", "a duration of zero or more"),
        (with_rules(r#""exhausted": "nextday""#), "schedule.exhausted", "\"nextday\"", "one of release, expire, next_day"),
        (with_rules(r#""missed": null"#), "schedule.missed", "null", "one of release, expire, next_day"),
        (with_rules(r#""retry": null"#), "schedule.retry", "null", "a retry policy"),
        (with_rules(r#""retry": {"initial": "0ms"}"#), "schedule.retry.initial", "\"0ms\"", "a duration of at least 1ms"),
        (with_rules(r#""retry": {"initial": 30}"#), "schedule.retry.initial", "30", "a duration of at least 1ms"),
        (with_rules(r#""retry": {"initial": "1h", "max": "15m"}"#), "schedule.retry.max", "\"15m\"", "a duration of at least retry.initial (1h)"),
        (with_rules(r#""retry": {"max": "-1s"}"#), "schedule.retry.max", "\"-1s\"", "a duration of at least retry.initial"),
        (with_rules(r#""retry": {"jitter": 1.5}"#), "schedule.retry.jitter", "1.5", "a number from 0 to 1"),
        (with_rules(r#""retry": {"jitter": 2}"#), "schedule.retry.jitter", "2", "a number from 0 to 1"),
        (with_rules(r#""retry": {"jitter": -1}"#), "schedule.retry.jitter", "-1", "a number from 0 to 1"),
        (with_rules(r#""retry": {"jitter": "0.5"}"#), "schedule.retry.jitter", "\"0.5\"", "a number from 0 to 1"),
        (with_rules(r#""retry": {"delay": "1s"}"#), "schedule.retry.delay", "\"1s\"", known),
        // Conditions.
        (with_condition("null"), "schedule.times[0].condition", "null", "a condition: \"always\""),
        (with_condition("\"never\""), "schedule.times[0].condition", "\"never\"", "a condition: \"always\""),
        (with_condition("{}"), "schedule.times[0].condition", "{}", "a condition: \"always\""),
        (with_condition(r#"{"wait_below": "1s", "agents_ready": 1}"#), "schedule.times[0].condition", r#"{"wait_below":"1s","agents_ready":1}"#, "a condition: \"always\""),
        (with_condition(r#"{"wait_below": "1s", "wait_below": "1s"}"#), "schedule.times[0].condition", r#"{"wait_below":"1s","wait_below":"1s"}"#, "a condition: \"always\""),
        (with_condition(r#"{"wait_above": "1s"}"#), "schedule.times[0].condition.wait_above", "\"1s\"", known),
        (with_condition(r#"{"wait_below": 60}"#), "schedule.times[0].condition.wait_below", "60", "a duration"),
        (with_condition(r#"{"agents_ready": -1}"#), "schedule.times[0].condition.agents_ready", "-1", "an integer from 0 to 4294967295"),
        (with_condition(r#"{"any": ["open", {"not": 5}]}"#), "schedule.times[0].condition.any[1].not", "5", "a condition"),
        (with_condition(r#"{"all": "open"}"#), "schedule.times[0].condition.all", "\"open\"", "a list of conditions"),
        (with_condition(r#"{"open": true}"#), "schedule.times[0].condition.open", "true", known),
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
    // Neither takes more stack than any other message.
    assert_eq!(refuse(&deep).path(), "");
    assert_eq!(
        refuse(&deep_condition).to_string(),
        "schedule.times[0].condition: more than 8 levels: expected at most 8 levels of conditions"
    );
}

/// Whether the levels could be counted or reading met its own guard first, the one limit in force is named.
#[test]
fn one_limit_of_nesting_is_named() {
    let nested = |levels: usize| {
        format!(
            r#"{{"times": [{{"at": "2026-01-05T09:00:00Z", "condition": {}"open"{}}}]}}"#,
            r#"{"all": [{"not":"#.repeat(levels / 2),
            "}]}".repeat(levels / 2)
        )
    };
    for (nesting_max, levels, value, named) in [
        (8, 8, "9 levels", 8),
        (8, 30, "31 levels", 8),
        (8, 32, "more than 8 levels", 8),
        (8, 120, "more than 8 levels", 8),
        (20, 120, "more than 20 levels", 20),
        (100, 120, "more than 32 levels", 32),
    ] {
        let mut limits = JsonLimits::default();
        limits.nesting_max = nesting_max;
        let access = JsonAccessPoint::with_limits(Arc::new(Directory::new()), limits);
        let schedule = nested(levels);
        let request = with_fields(&format!(r#""schedule": {schedule}"#));
        for error in [
            access.schedule_data(schedule.as_bytes()).unwrap_err(),
            access.detect(request.as_bytes()).unwrap_err(),
        ] {
            assert_eq!(
                (error.path(), error.value()),
                ("schedule.times[0].condition", value),
                "{error}"
            );
            assert_eq!(
                error.expected(),
                format!("at most {named} levels of conditions"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_number_has_one_range_whatever_is_wrong_with_it() {
    /// A message with this number in it, the number's path, what it may not be, and what is said of that.
    type Case = (
        fn(&str) -> String,
        &'static str,
        &'static [&'static str],
        &'static str,
    );
    let cases: &[Case] = &[
        (
            |value| with_rules(&format!(r#""retry": {{"attempts": {value}}}"#)),
            "schedule.retry.attempts",
            &[
                "-1",
                "1.0",
                "0",
                "1001",
                "5000000000",
                "\"5\"",
                "null",
                "true",
                "[5]",
            ],
            "an integer from 1 to 1000",
        ),
        (
            |value| with_fields(&format!(r#""priority": {value}"#)),
            "priority",
            &["-1", "1.0", "256", "5000000000", "\"5\"", "null", "[5]"],
            "an integer from 0 to 255",
        ),
        (
            |value| with_condition(&format!(r#"{{"agents_ready": {value}}}"#)),
            "schedule.times[0].condition.agents_ready",
            &["-1", "1.0", "4294967296", "\"5\"", "null", "[5]"],
            "an integer from 0 to 4294967295",
        ),
        (
            |value| with_condition(&format!(r#"{{"queue_below": {value}}}"#)),
            "schedule.times[0].condition.queue_below",
            &["-1", "1.0", "4294967296", "\"5\"", "null", "[5]"],
            "an integer from 0 to 4294967295",
        ),
    ];
    for (message, path, values, expected) in cases {
        for value in *values {
            let error = refuse(message(value));
            assert_eq!(
                (error.path(), error.value(), error.expected()),
                (*path, *value, *expected)
            );
        }
    }
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
        (
            r#"{"times": [{"at": "2026-01-05T09:00:00Z"}], "note": "x"}"#,
            "schedule.note",
            "\"x\"",
        ),
        (
            r#"{"times": [{"at": "2026-01-05T09:00:00Z"}], "customer": "x"}"#,
            "schedule.customer",
            "a string",
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
    let error = refuse(with_fields(&format!(
        r#""media": ["{}"]"#,
        "x".repeat(10_000)
    )));
    assert!(
        error.value().starts_with(r#"["xxx"#)
            && error.value().ends_with("xxx...")
            && error.value().len() < 100,
        "{error}"
    );
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
        r#""schedule": {"\u0063ustomer": ["s3cret"]}"#,
        r#""schedule": {"note": {"a": [{"payload": "s3cret"}]}}"#,
        r#""schedule": {"times": [{"at": {"p\u0061yload": "s3cret"}}]}"#,
        r#""schedule": {"times": [{"at": [{"payload": "s3cret"}]}]}"#,
        r#""media": {"customer": "s3cret"}"#,
        r#""request": {"note": "s3cret"}"#,
    ] {
        let error = refuse(with_fields(fields));
        let all = format!("{error} {error:?}");
        assert!(!all.contains("s3cret"), "{all}");
    }
    let request = accept(&with_fields(r#""customer": "s3cret", "payload": "s3cret""#));
    assert!(!format!("{request:?}").contains("s3cret"));
}
