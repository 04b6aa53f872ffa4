//! What the tests of the JSON contract share.
#![allow(dead_code)] // Each test takes what it needs.

pub(crate) mod strategies;

use std::sync::Arc;

use duewheel::{
    AccessError, AccessPoint, Directory, InteractionRequest, JsonAccessPoint, Timestamp,
};

pub(crate) const EXAMPLE: &str = r#"
{"id": "0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60", "location": "AA0101", "media": "voice", "priority": 2, "customer": "9664491", "payload": "free text",
 "schedule": {
   "times": [{"at": "2026-01-05T09:00:00+02:00", "condition": {"wait_below": "60s"}}, {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}],
   "not_before": "2026-01-05T08:30:00+02:00", "not_after": "2026-01-05T23:00:00+02:00",
   "response_media": [{"from": "2026-01-05T09:00:00+02:00", "until": "2026-01-05T22:00:00+02:00", "media": "voice"}, {"from": "2026-01-05T22:00:00+02:00", "until": "2026-01-05T23:00:00+02:00", "media": "sms"}],
   "threshold_wait": "120s", "recheck": "30s", "exhausted": "release", "missed": "release", "retry": {"attempts": 5, "initial": "30s", "max": "15m", "jitter": 0.2}}}
"#;

pub(crate) fn access() -> JsonAccessPoint {
    JsonAccessPoint::new(Arc::new(Directory::new()))
}

pub(crate) fn accept(message: &str) -> InteractionRequest {
    access()
        .detect(message.as_bytes())
        .unwrap_or_else(|error| panic!("{message}: {error}"))
        .into_request()
}

/// The error of a message, after a check that it entered no name.
pub(crate) fn refuse(message: impl AsRef<[u8]>) -> AccessError {
    let directory = Arc::new(Directory::new());
    let message = message.as_ref();
    let detection = JsonAccessPoint::new(Arc::clone(&directory)).detect(message);
    assert!(
        directory.is_empty() || detection.is_ok(),
        "a refused message entered a name"
    );
    detection.expect_err(&String::from_utf8_lossy(&message[..message.len().min(200)]))
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A request with this schedule's fields beside one time.
pub(crate) fn with_rules(rules: &str) -> String {
    format!(
        r#"{{"id": 1, "location": "L", "schedule": {{"times": [{{"at": "2026-01-05T09:00:00Z"}}], {rules}}}}}"#
    )
}

/// A request with this list of times.
pub(crate) fn with_times(times: &str) -> String {
    format!(r#"{{"id": 1, "location": "L", "schedule": {{"times": [{times}]}}}}"#)
}

pub(crate) fn with_condition(condition: &str) -> String {
    with_times(&format!(
        r#"{{"at": "2026-01-05T09:00:00Z", "condition": {condition}}}"#
    ))
}

/// A request with these fields beside id and location.
pub(crate) fn with_fields(fields: &str) -> String {
    format!(r#"{{"id": 1, "location": "L", {fields}}}"#)
}
