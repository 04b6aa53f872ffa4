//! The commands that every client starts with, the ids they are about, and the forms of the replies.

use serde_json::Value;

use crate::bridge::{Bridge, events, transcript};

/// The request of the documented contract.
const CONTRACT: &str = r#"{"id": "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60", "location": "AA0101", "media": "voice", "priority": 2, "customer": "9664491", "payload": "free text",
 "schedule": {
   "times": [{"at": "2026-01-05T09:00:00+02:00", "condition": {"wait_below": "60s"}}, {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}],
   "not_before": "2026-01-05T08:30:00+02:00", "not_after": "2026-01-05T23:00:00+02:00",
   "response_media": [{"from": "2026-01-05T09:00:00+02:00", "until": "2026-01-05T22:00:00+02:00", "media": "voice"}, {"from": "2026-01-05T22:00:00+02:00", "until": "2026-01-05T23:00:00+02:00", "media": "sms"}],
   "threshold_wait": "120s", "recheck": "30s", "exhausted": "release", "missed": "release", "retry": {"attempts": 5, "initial": "30s", "max": "15m", "jitter": 0.2}}}"#;

fn contract() -> String {
    format!(
        r#"{{"op":"schedule","request":{}}}"#,
        CONTRACT.replace('\n', " ")
    )
}

#[track_caller]
fn assert_fields(event: &Value, fields: &[&str]) {
    let mut found: Vec<&str> = event
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    let mut fields = fields.to_vec();
    found.sort_unstable();
    fields.sort_unstable();
    assert_eq!(found, fields, "{event}");
}

#[test]
fn contract_example_is_routed_at_its_first_time() {
    let mut bridge = Bridge::start(&["--virtual-time", "2026-01-05T06:00:00Z"]);
    let accepted = bridge.ask(&contract());
    assert_fields(&accepted[0], &["event", "line", "id"]);
    assert_eq!(accepted[0]["event"], "accepted");
    assert_eq!(accepted[0]["id"], "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60");

    let advanced = bridge.ask(r#"{"op":"advance","to":"2026-01-05T08:00:00Z"}"#);
    let [route, advanced] = advanced.as_slice() else {
        panic!("{advanced:?}")
    };
    let fields = [
        "event",
        "id",
        "location",
        "due",
        "released",
        "response_media",
        "ahead",
        "attempt",
        "redelivery",
        "lease",
    ];
    assert_fields(route, &fields);
    assert_eq!(route["id"], "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60");
    assert_eq!(route["location"], "AA0101");
    assert_eq!(route["due"], "2026-01-05T07:00:00Z");
    assert_eq!(route["released"], "2026-01-05T07:00:00Z");
    assert_eq!(route["response_media"], "voice");
    assert_eq!(
        (&route["ahead"], &route["attempt"], &route["redelivery"]),
        (&false.into(), &1.into(), &false.into())
    );
    assert!(route["lease"].is_string(), "{route}");
    assert_eq!(advanced["event"], "advanced");

    let (events, _) = bridge.finish();
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn contract_example_waits_for_its_second_time_and_goes_ahead_while_the_queue_is_long() {
    let mut bridge = Bridge::start(&[
        "--virtual-time",
        "2026-01-05T06:00:00Z",
        "--expected-wait",
        "121",
    ]);
    bridge.ask(&contract());
    let before = bridge.ask(r#"{"op":"advance","to":"2026-01-05T07:59:59.999Z"}"#);
    assert_eq!(before.len(), 1, "{before:?}");
    let after = bridge.ask(r#"{"op":"advance","to":"2026-01-05T08:00:00Z"}"#);
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after[0]["due"], "2026-01-05T08:00:00Z");
    assert_eq!(after[0]["released"], "2026-01-05T08:00:00Z");
    assert_eq!(after[0]["ahead"], true);
    bridge.finish();
}

#[test]
fn status_has_its_fields_and_no_other() {
    let mut bridge = Bridge::start(&["--virtual-time", "2026-01-05T06:00:00Z"]);
    bridge.ask(&contract());
    let status = bridge
        .ask(r#"{"op":"status","id":"0B0E7A52-6C8E-4D8A-9F0E-1D2C3B4A5F60"}"#)
        .remove(0);
    assert_fields(
        &status,
        &[
            "event", "line", "id", "location", "state", "outcome", "due", "attempts", "revision",
        ],
    );
    assert_eq!(status["location"], "AA0101");
    assert_eq!(status["state"], "scheduled");
    assert_eq!(status["outcome"], Value::Null);
    assert_eq!(status["due"], "2026-01-05T07:00:00Z");
    assert_eq!(status["attempts"], 0);
    assert!(status["revision"].is_u64(), "{status}");
    bridge.finish();
}

#[test]
fn a_request_without_schedule_is_routed_at_the_next_poll() {
    transcript(
        &["--expected-wait", "100000", "--agents", "0"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","media":"email"}}
        < {"event":"accepted","id":"1"}
        # Under virtual time only advance polls.
        > {"op":"status","id":1}
        < {"event":"status","state":"scheduled","outcome":null,"due":"@06:00"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","id":"1","due":"@06:00","released":"@06:00","response_media":"email","ahead":false,"attempt":1}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"routed"}
        # At the end of the input, what is already due is routed; the rest is left.
        > {"op":"schedule","request":{"id":2,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@06:00:01"}]}}}
        < {"event":"accepted"}
        > end
        < {"event":"route","id":"2","due":"@06:00","released":"@06:00"}
        "#,
    );
}

#[test]
fn what_is_left_is_counted_on_standard_error() {
    let stderr = transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        "#,
    );
    assert!(stderr.contains('2'), "{stderr}");
}

#[test]
fn integer_ids_in_any_form_are_one_id() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":12,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted","id":"12"}
        > {"op":"schedule","request":{"id":"12","location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted","id":"12"}
        > {"op":"schedule","request":{"id":"012","location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted","id":"12"}
        > {"op":"cancel","id":"0012"}
        < {"event":"cancelled","id":"12"}
        > {"op":"schedule","request":{"id":18446744073709551615,"location":"AA0101"}}
        < {"event":"accepted","id":"18446744073709551615"}
        > {"op":"schedule","request":{"id":"340282366920938463463374607431768211455","location":"AA0101"}}
        < {"event":"accepted","id":"340282366920938463463374607431768211455"}
        > {"op":"cancel","id":"340282366920938463463374607431768211455"}
        < {"event":"cancelled","id":"340282366920938463463374607431768211455"}
        # A UUID of the value 12 is another request.
        > {"op":"status","id":"00000000-0000-0000-0000-00000000000c"}
        < {"event":"error","reason":"unknown","id":"00000000-0000-0000-0000-00000000000c"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","id":"18446744073709551615"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn ids_of_no_known_form_are_invalid() {
    for id in [
        "18446744073709551616",
        "-1",
        "1.0",
        "1e3",
        "true",
        "null",
        r#""""#,
        r#""x""#,
        r#""+1""#,
        r#"" 1""#,
        r#""340282366920938463463374607431768211456""#,
        "[1]",
        "{}",
    ] {
        for line in [
            format!(r#"{{"op":"status","id":{id}}}"#),
            format!(r#"{{"op":"schedule","request":{{"id":{id},"location":"AA0101"}}}}"#),
        ] {
            let events = events(&["--virtual-time", "2026-01-05T06:00:00Z"], line.as_bytes());
            assert_eq!(events.len(), 1, "{line}");
            assert_eq!(events[0]["event"], "error", "{line}");
            assert_eq!(events[0]["reason"], "invalid", "{line}: {}", events[0]);
            assert_eq!(events[0]["path"], "id", "{line}: {}", events[0]);
            assert!(events[0].get("id").is_none(), "{line}: {}", events[0]);
        }
    }
}

#[test]
fn the_same_again_is_accepted_again_and_other_content_conflicts() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","payload":"a","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted","id":"1"}
        # Field order and defaults written out make no difference.
        > {"op":"schedule","request":{"schedule":{"times":[{"at":"@09:00"}]},"payload":"a","priority":0,"media":"voice","location":"AA0101","id":"1"}}
        < {"event":"accepted","id":"1"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","payload":"b","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"error","reason":"conflict","id":"1"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","payload":"a","schedule":{"times":[{"at":"@09:30"}]}}}
        < {"event":"error","reason":"conflict","id":"1"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"route","id":"1"}
        < {"event":"advanced"}
        # Nor is anything routed twice, once it is done.
        > {"op":"schedule","request":{"id":1,"location":"AA0101","payload":"a","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted","id":"1"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","payload":"b","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"error","reason":"conflict"}
        > {"op":"advance","to":"@10:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn content_is_compared_as_submitted_and_not_as_rescheduled() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"reschedule","id":1,"schedule":{"times":[{"at":"@10:00"}]}}
        < {"event":"rescheduled","id":"1"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@10:00"}]}}}
        < {"event":"error","reason":"conflict"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"1","due":"@10:00","released":"@10:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn cancel_is_idempotent_and_the_request_is_never_routed() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"cancel","id":1}
        < {"event":"cancelled","line":2,"id":"1"}
        > {"op":"cancel","id":"1"}
        < {"event":"cancelled","line":3,"id":"1"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"cancelled","attempts":0}
        > {"op":"reschedule","id":1,"schedule":{"times":[{"at":"@10:00"}]}}
        < {"event":"error","reason":"too_late","id":"1"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted","id":"1"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn commands_on_unknown_and_finished_requests_say_which() {
    transcript(
        &[],
        r#"
        > {"op":"cancel","id":1}
        < {"event":"error","line":1,"reason":"unknown","id":"1"}
        > {"op":"status","id":1}
        < {"event":"error","line":2,"reason":"unknown","id":"1"}
        > {"op":"reschedule","id":1,"schedule":{"times":[{"at":"@09:00"}]}}
        < {"event":"error","line":3,"reason":"unknown","id":"1"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route"}
        < {"event":"advanced"}
        > {"op":"cancel","id":1}
        < {"event":"error","reason":"too_late","id":"1"}
        > {"op":"reschedule","id":1,"schedule":{"times":[{"at":"@09:00"}]}}
        < {"event":"error","reason":"too_late","id":"1"}
        "#,
    );
}

#[test]
fn reschedule_moves_a_request_and_bumps_its_revision() {
    let mut bridge = Bridge::start(&["--virtual-time", "2026-01-05T06:00:00Z"]);
    bridge.ask(&contract());
    let id = r#""0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60""#;
    let before = bridge
        .ask(&format!(r#"{{"op":"status","id":{id}}}"#))
        .remove(0);
    let reply = bridge.ask(&format!(r#"{{"op":"reschedule","id":{id},"schedule":{{"times":[{{"at":"2026-01-05T12:00:00Z"}}]}}}}"#)).remove(0);
    assert_eq!(reply["event"], "rescheduled");
    let after = bridge
        .ask(&format!(r#"{{"op":"status","id":{id}}}"#))
        .remove(0);
    assert_eq!(after["due"], "2026-01-05T12:00:00Z");
    assert_eq!(after["state"], "scheduled");
    assert!(
        after["revision"].as_u64() > before["revision"].as_u64(),
        "{before} {after}"
    );
    let events = bridge.ask(r#"{"op":"advance","to":"2026-01-06T00:00:00Z"}"#);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["released"], "2026-01-05T12:00:00Z");
    bridge.finish();
}

#[test]
fn report_carries_the_engines_report() {
    let events = events(
        &["--virtual-time", "2026-01-05T06:00:00Z"],
        br#"{"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"2026-01-05T09:00:00Z"}]}}}
{"op":"advance","to":"2026-01-05T10:00:00Z"}
{"op":"report"}"#,
    );
    let report = events.last().expect("a report");
    assert_fields(report, &["event", "line", "report"]);
    assert_eq!(report["event"], "report");
    assert_eq!(report["line"], 3);
    assert!(
        report["report"]
            .as_object()
            .is_some_and(|report| !report.is_empty()),
        "{report}"
    );
}
