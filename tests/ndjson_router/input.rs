//! Lines that are no command, and arguments that are none.

use crate::bridge::{events, run, transcript};

const VIRTUAL: [&str; 2] = ["--virtual-time", "2026-01-05T06:00:00Z"];

/// The reason and the path that one line is answered with.
#[track_caller]
fn refusal(line: &str) -> (String, Option<String>) {
    let mut input = line.as_bytes().to_vec();
    input.extend_from_slice(b"\n{\"op\":\"report\"}\n");
    let events = events(&VIRTUAL, &input);
    assert_eq!(events.len(), 2, "{line}: {events:?}");
    assert_eq!(events[0]["event"], "error", "{line}");
    assert_eq!(events[0]["line"], 1, "{line}");
    assert_eq!(
        (&events[1]["event"], &events[1]["line"]),
        (&"report".into(), &2.into()),
        "{line}"
    );
    let reason = events[0]["reason"].as_str().expect("a reason").to_owned();
    (
        reason,
        events[0]
            .get("path")
            .map(|path| path.as_str().expect("a string").to_owned()),
    )
}

#[test]
fn lines_that_are_no_json_object_are_bad_json() {
    for line in [
        "{",
        "not json",
        "[]",
        "42",
        "null",
        r#""op""#,
        r#"{"op":"report"} x"#,
        r#"{"op":"report",}"#,
        r#"{'op':'report'}"#,
        "{\"op\":\"re\u{1}port\"}",
    ] {
        assert_eq!(refusal(line).0, "bad_json", "{line}");
    }
}

#[test]
fn lines_without_a_known_op_are_unknown_commands() {
    for line in [
        "{}",
        r#"{"op":"dance"}"#,
        r#"{"op":"Schedule"}"#,
        r#"{"op":7}"#,
        r#"{"op":null}"#,
        r#"{"id":1}"#,
    ] {
        assert_eq!(refusal(line).0, "unknown_command", "{line}");
    }
}

#[test]
fn wrong_fields_of_the_envelope_are_named() {
    for (line, path) in [
        (r#"{"op":"report","now":1}"#, "now"),
        (r#"{"op":"report","op":"report"}"#, "op"),
        (r#"{"op":"cancel"}"#, "id"),
        (r#"{"op":"cancel","id":1,"id":1}"#, "id"),
        (r#"{"op":"cancel","id":1,"why":"changed my mind"}"#, "why"),
        (r#"{"op":"status"}"#, "id"),
        (r#"{"op":"schedule"}"#, "request"),
        (r#"{"op":"schedule","request":null}"#, "request"),
        (r#"{"op":"schedule","request":[]}"#, "request"),
        (r#"{"op":"reschedule","id":1}"#, "schedule"),
        (
            r#"{"op":"reschedule","id":1,"schedule":{"times":[]},"expected_revision":1}"#,
            "expected_revision",
        ),
        (r#"{"op":"hold"}"#, "location"),
        (r#"{"op":"hold","location":7}"#, "location"),
        (r#"{"op":"hold","location":""}"#, "location"),
        (r#"{"op":"hold","location":"a\u0000b"}"#, "location"),
        (r#"{"op":"resume","location":"AA0101","pace":0}"#, "pace"),
        (r#"{"op":"resume","location":"AA0101","pace":-1}"#, "pace"),
        (r#"{"op":"resume","location":"AA0101","pace":1.5}"#, "pace"),
        (r#"{"op":"resume","location":"AA0101","pace":"1"}"#, "pace"),
        (r#"{"op":"complete","outcome":"routed"}"#, "lease"),
        (
            r#"{"op":"complete","lease":"nonsense","outcome":"routed"}"#,
            "lease",
        ),
        (r#"{"op":"complete","lease":7,"outcome":"routed"}"#, "lease"),
        (r#"{"op":"advance"}"#, "to"),
        (r#"{"op":"advance","to":"tomorrow"}"#, "to"),
        (r#"{"op":"advance","to":"2026-01-05T09:00:00"}"#, "to"),
        (r#"{"op":"advance","to":1767600000000}"#, "to"),
        (r#"{"op":"advance","to":"2026-01-05T05:59:59.999Z"}"#, "to"),
    ] {
        assert_eq!(
            refusal(line),
            ("invalid".to_owned(), Some(path.to_owned())),
            "{line}"
        );
    }
}

#[test]
fn wrong_fields_of_a_request_are_named() {
    let request = |fields: &str| {
        format!(r#"{{"op":"schedule","request":{{"id":1,"location":"AA0101",{fields}}}}}"#)
    };
    for (fields, path) in [
        (r#""colour":"red""#, "colour"),
        (r#""media":"pigeon""#, "media"),
        (r#""priority":256"#, "priority"),
        (r#""priority":-1"#, "priority"),
        (r#""schedule":{"times":[]}"#, "schedule.times"),
        (r#""schedule":{}"#, "schedule.times"),
        (
            r#""schedule":{"times":[{"at":"2026-01-05T09:00:00Z","on":true}]}"#,
            "schedule.times[0].on",
        ),
        (
            r#""schedule":{"times":[{"at":"soon"}]}"#,
            "schedule.times[0].at",
        ),
        (
            r#""schedule":{"times":[{"at":"2026-01-05T09:00:00Z"},{"at":"2026-01-05T09:00:00Z"}]}"#,
            "schedule.times[1].at",
        ),
        (
            r#""schedule":{"times":[{"at":"2026-01-05T09:00:00Z"}],"not_before":"2026-01-05T09:00:00.001Z"}"#,
            "schedule.times[0].at",
        ),
        (
            r#""schedule":{"times":[{"at":"2026-01-05T09:00:00Z"}],"exhausted":"explode"}"#,
            "schedule.exhausted",
        ),
    ] {
        let line = request(fields);
        assert_eq!(
            refusal(&line),
            ("invalid".to_owned(), Some(path.to_owned())),
            "{line}"
        );
    }
    // The envelope leaves the request as it is, so that its duplicates are seen.
    assert_eq!(
        refusal(&request(r#""priority":1,"priority":2"#)).0,
        "invalid"
    );
}

#[test]
fn an_error_names_the_request_where_it_can() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":"007","location":"AA0101","media":"pigeon"}}
        < {"event":"error","line":1,"reason":"invalid","path":"media","id":"7"}
        > {"op":"cancel","id":"0B0E7A52-6C8E-4D8A-9F0E-1D2C3B4A5F60","extra":1}
        < {"event":"error","reason":"invalid","path":"extra","id":"0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60"}
        > {"op":"reschedule","id":9,"schedule":{"times":[]}}
        < {"event":"error","reason":"invalid","path":"schedule.times","id":"9"}
        # What was refused is not known.
        > {"op":"status","id":7}
        < {"event":"error","reason":"unknown"}
        "#,
    );
}

#[test]
fn blank_lines_are_counted_and_have_no_reply() {
    let input = b"\n  \t\r\n{\"op\":\"dance\"}\r\n\n \n{\"op\":\"report\"}";
    let events = events(&VIRTUAL, input);
    let lines: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["event"].as_str().expect("a name"),
                event["line"].as_u64().expect("a line"),
            )
        })
        .collect();
    assert_eq!(lines, [("error", 3), ("report", 6)]);
}

#[test]
fn bytes_that_are_no_utf_8_are_bad_json_and_the_next_line_is_served() {
    let events = events(
        &VIRTUAL,
        b"{\"op\":\"\xff\xfe\"}\n\x80\n{\"op\":\"report\"}\n",
    );
    let reasons: Vec<_> = events
        .iter()
        .map(|event| event["reason"].as_str().unwrap_or("none"))
        .collect();
    assert_eq!(reasons, ["bad_json", "bad_json", "none"]);
}

#[test]
fn a_line_without_end_is_refused_and_the_next_line_is_served() {
    let mut input = vec![b'x'; 40 << 20];
    input.extend_from_slice(b"\n{\"op\":\"report\"}\n");
    let events = events(&VIRTUAL, &input);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(
        (&events[0]["reason"], &events[0]["line"]),
        (&"invalid".into(), &1.into())
    );
    assert_eq!(
        (&events[1]["event"], &events[1]["line"]),
        (&"report".into(), &2.into())
    );
}

#[test]
fn nesting_without_end_is_refused() {
    let condition = format!(
        "{}\"open\"{}",
        r#"{"not":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    let schedule =
        format!(r#"{{"times":[{{"at":"2026-01-05T09:00:00Z","condition":{condition}}}]}}"#);
    assert_eq!(
        refusal(&format!(
            r#"{{"op":"schedule","request":{{"id":1,"location":"AA0101","schedule":{schedule}}}}}"#
        ))
        .0,
        "invalid"
    );
    assert_eq!(refusal(&"[".repeat(1_000_000)).0, "bad_json");
    assert_eq!(
        refusal(&format!(
            r#"{{"op":"status","id":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        ))
        .0,
        "invalid"
    );
}

#[test]
fn advance_goes_with_virtual_time_alone() {
    let events = events(
        &[],
        b"{\"op\":\"advance\",\"to\":\"2099-01-05T09:00:00Z\"}\n{\"op\":\"report\"}\n",
    );
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(
        (&events[0]["event"], &events[0]["reason"]),
        (&"error".into(), &"invalid".into())
    );
}

#[test]
fn a_message_names_the_field_that_its_path_names() {
    for (line, path, message) in [
        (
            r#"{"op":"schedule","request":null}"#,
            "request",
            "request: null: expected a request object, such as ",
        ),
        (
            r#"{"op":"schedule","request":["s3cret"]}"#,
            "request",
            "request: a list: expected a request object, such as ",
        ),
        (
            r#"{"op":"reschedule","id":1,"schedule":7}"#,
            "schedule",
            "schedule: a number: expected a schedule object, such as ",
        ),
        (
            r#"{"op":"complete","lease":"1/1/1","outcome":"busy","retry_after":"-1s"}"#,
            "retry_after",
            "retry_after: \"-1s\": expected a duration of zero or more",
        ),
    ] {
        let events = events(&VIRTUAL, line.as_bytes());
        assert_eq!(events[0]["path"], path, "{events:?}");
        let said = events[0]["message"].as_str().expect("a message");
        assert!(said.starts_with(message), "{said}");
    }
}

#[test]
fn what_is_left_is_counted_in_words_that_fit() {
    let request = |id: u32| {
        format!(
            "{{\"op\":\"schedule\",\"request\":{{\"id\":{id},\"location\":\"L\",\"schedule\":{{\"times\":[{{\"at\":\"2026-01-05T09:00:00Z\"}}]}}}}}}\n"
        )
    };
    for (left, said) in [
        (0, "0 requests left"),
        (1, "1 request left"),
        (2, "2 requests left"),
    ] {
        let input: String = (1..=left).map(request).collect();
        let output = run(&VIRTUAL, input.as_bytes());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.trim_end().ends_with(said), "{stderr}");
    }
}

#[test]
fn an_empty_input_ends_well() {
    assert!(events(&VIRTUAL, b"").is_empty());
    assert!(events(&[], b"").is_empty());
}

#[test]
fn bad_arguments_exit_with_2() {
    for arguments in [
        &["--router", "magic"][..],
        &["--virtual-time", "soon"],
        &["--virtual-time"],
        &["--lease", "0"],
        &["--lease", "-5"],
        &["--lease", "long"],
        &["--expected-wait", "-1"],
        &["--expected-wait", "inf"],
        &["--agents", "many"],
        &["--agents", "-1"],
        &["--queue", "1.5"],
        &["--colour", "red"],
        &["file.ndjson"],
    ] {
        let output = run(arguments, b"{\"op\":\"report\"}\n");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}
