//! The system's clock: a driver routes what falls due, with and without input. No test bounds
//! lateness; they only wait.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::bridge::{Bridge, spawn};

/// A time so far from now, as RFC 3339.
fn from_now(offset: Duration) -> String {
    jiff::Timestamp::try_from(SystemTime::now() + offset)
        .expect("a time of this era")
        .to_string()
}

fn schedule(id: u32, at: &str) -> String {
    format!(
        r#"{{"op":"schedule","request":{{"id":{id},"location":"AA0101","schedule":{{"times":[{{"at":"{at}"}}]}}}}}}"#
    )
}

fn time(event: &Value, field: &str) -> jiff::Timestamp {
    event[field]
        .as_str()
        .expect("a time")
        .parse()
        .expect("RFC 3339")
}

#[test]
fn routes_come_when_they_fall_due_without_any_input() {
    let mut bridge = Bridge::start(&[]);
    bridge.send(&schedule(1, &from_now(Duration::from_millis(400))));
    bridge.send(&schedule(2, &from_now(Duration::from_millis(200))));
    assert_eq!(bridge.event()["event"], "accepted");
    assert_eq!(bridge.event()["event"], "accepted");
    for id in ["2", "1"] {
        let route = bridge.event();
        assert_eq!(
            (&route["event"], &route["id"]),
            (&"route".into(), &id.into())
        );
        assert!(
            time(&route, "released") >= time(&route, "due"),
            "early: {route}"
        );
    }
    let (events, _) = bridge.finish();
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn a_reply_comes_before_the_route_it_causes() {
    let mut bridge = Bridge::start(&[]);
    for id in 0..100 {
        bridge.send(&format!(
            r#"{{"op":"schedule","request":{{"id":{id},"location":"AA0101"}}}}"#
        ));
    }
    let mut accepted = 0;
    let mut routed = 0;
    while routed < 100 {
        let event = bridge.event();
        match event["event"].as_str() {
            Some("accepted") => accepted += 1,
            _ => routed += 1,
        }
        assert!(routed <= accepted, "{event}");
        assert!(
            event["id"].as_str().and_then(|id| id.parse().ok()) < Some(accepted),
            "{event}"
        );
    }
    bridge.finish();
}

#[test]
fn input_without_a_pause_does_not_hold_up_routes() {
    let mut bridge = Bridge::start(&[]);
    bridge.ask(&schedule(1, &from_now(Duration::from_millis(200))));
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < Duration::from_secs(30), "no route came");
        for _ in 0..100 {
            bridge.send(r#"{"op":"status","id":1}"#);
        }
        if (0..100).any(|_| bridge.event()["event"] == "route") {
            break;
        }
    }
    bridge.finish();
}

#[test]
fn the_end_of_the_input_routes_what_is_due_and_never_waits() {
    let mut bridge = Bridge::start(&[]);
    bridge.send(&schedule(1, &from_now(Duration::from_secs(3600))));
    bridge.send(&schedule(2, "2020-01-01T00:00:00Z"));
    bridge.send(r#"{"op":"schedule","request":{"id":3,"location":"AA0101"}}"#);
    let (events, stderr) = bridge.finish();
    let mut routed: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "route")
        .map(|event| event["id"].as_str().expect("an id"))
        .collect();
    routed.sort_unstable();
    assert_eq!(routed, ["2", "3"]);
    assert_eq!(events.len(), 5, "{events:?}");
    assert!(stderr.contains('1'), "{stderr}");
}

#[test]
fn a_resume_lets_the_overdue_go_at_once() {
    let mut bridge = Bridge::start(&[]);
    bridge.ask(r#"{"op":"hold","location":"AA0101"}"#);
    bridge.ask(&schedule(1, "2020-01-01T00:00:00Z"));
    bridge.ask(r#"{"op":"resume","location":"AA0101"}"#);
    assert_eq!(bridge.event()["event"], "route");
    bridge.finish();
}

#[test]
fn a_lease_runs_out_by_the_systems_clock() {
    let mut bridge = Bridge::start(&["--router", "manual", "--lease", "100ms"]);
    bridge.ask(r#"{"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"2020-01-01T00:00:00Z"}],"retry":{"attempts":2,"initial":"10ms","max":"10ms"}}}}"#);
    let first = bridge.event();
    assert_eq!(
        (&first["attempt"], &first["redelivery"]),
        (&1.into(), &false.into()),
        "{first}"
    );
    let second = bridge.event();
    assert_eq!(
        (&second["attempt"], &second["redelivery"]),
        (&2.into(), &true.into()),
        "{second}"
    );
    bridge.finish();
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut child = spawn(&[]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    // The bridge may notice, and be gone, before the last of them.
    for id in 0..100 {
        let _ = writeln!(
            stdin,
            r#"{{"op":"schedule","request":{{"id":{id},"location":"AA0101"}}}}"#
        );
    }
    drop(stdin);
    let output = child.wait_with_output().expect("the bridge ends");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
