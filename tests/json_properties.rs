//! Properties of the JSON form: what is written is read again, and nothing that is read can do harm.

mod json_common;

use std::sync::Arc;

use duewheel::{
    AccessPoint, Directory, InteractionRequest, JsonAccessPoint, LocationId, PointInTime,
    RequestId, ScheduleData, Timestamp,
};
use json_common::EXAMPLE;
use json_common::strategies::{point, request, schedule};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Valid JSON after some edits: pieces of JSON put in, taken out, or put in place of others.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "null",
        "-1",
        "1e999",
        "0.5",
        "18446744073709551616",
        "\"\"",
        "\"at\"",
        "\"not\":{",
        "\\ud800",
        "\u{feff}",
        "{\"local\":\"2026-03-27T02:30:00\",\"zone\":\"UTC\"}",
        "9999-12-31",
        "T24:",
        ":60Z",
        "+99:99",
        "P1Y",
        "99999999999999999999h",
    ];
    let piece = prop_oneof![
        3 => select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..3),
    ];
    vec((any::<Index>(), 0..12usize, piece), 1..6).prop_map(|edits| {
        let mut message = EXAMPLE.as_bytes().to_vec();
        for (place, length, piece) in edits {
            let start = place.index(message.len() + 1);
            let end = (start + length).min(message.len());
            message.splice(start..end, piece);
        }
        message
    })
}

fn access() -> (JsonAccessPoint, Arc<Directory>) {
    let directory = Arc::new(Directory::new());
    (JsonAccessPoint::new(Arc::clone(&directory)), directory)
}

/// Reads a message; whatever it is, an answer comes, and a refused one leaves nothing behind.
fn read(message: &[u8]) -> Result<(), TestCaseError> {
    let (access, directory) = access();
    match access.detect(message) {
        Ok(detection) => {
            prop_assert_eq!(directory.len(), 1);
            // A fingerprint is there for everything that is accepted.
            let _ = detection.request().fingerprint(0);
        }
        Err(error) => {
            prop_assert!(directory.is_empty());
            prop_assert!(
                !error.expected().is_empty() && error.to_string().len() < 2000,
                "{}",
                error
            );
        }
    }
    let _ = access.schedule_data(message);
    let _ = serde_json::from_slice::<InteractionRequest>(message);
    Ok(())
}

proptest! {
    #[test]
    fn a_schedule_written_is_the_schedule_read(schedule in schedule()) {
        let json = serde_json::to_string(&schedule).unwrap();
        prop_assert_eq!(&serde_json::from_str::<ScheduleData>(&json).unwrap(), &schedule, "{}", json);
        prop_assert_eq!(&access().0.schedule_data(json.as_bytes()).unwrap(), &schedule);
        let value = serde_json::to_value(&schedule).unwrap();
        prop_assert_eq!(&serde_json::from_value::<ScheduleData>(value).unwrap(), &schedule);
    }

    #[test]
    fn a_request_written_is_the_request_read(request in request()) {
        let json = serde_json::to_string(&request).unwrap();
        let read = serde_json::from_str::<InteractionRequest>(&json).unwrap();
        prop_assert_eq!(read.fingerprint(7), request.fingerprint(7));
        prop_assert_eq!(&read, &request, "{}", json);
        // At the access point the same form, with the location's name.
        let named = json.replacen(&format!("\"location\":{}", request.location.index()), "\"location\":\"L\"", 1);
        let (access, _) = access();
        match access.detect(named.as_bytes()) {
            Ok(detection) => {
                let expected = InteractionRequest { location: LocationId::from_index(0), ..request };
                prop_assert_eq!(detection.request(), &expected);
            }
            // The one thing that fits a request and not the access point.
            Err(error) => prop_assert_eq!(error.path(), "customer"),
        }
    }

    #[test]
    fn a_point_written_is_the_point_read(point in point()) {
        let json = serde_json::to_string(&point).unwrap();
        prop_assert_eq!(serde_json::from_str::<PointInTime>(&json).unwrap(), point);
    }

    #[test]
    fn next_day_finds_what_walking_day_by_day_finds(point in point(), ahead in 0..4_000u64, millis in 0..86_400_000u64) {
        let now = Timestamp::from_millis(point.timestamp().as_millis().saturating_add(ahead * 86_400_000).saturating_add(millis));
        let walked = (1..).map_while(|days| point.days_later(days)).find(|moved| moved.timestamp() > now);
        let found = ScheduleData::at(point).next_day(0, now);
        prop_assert_eq!(found.map(|schedule| schedule.times()[0].point().clone()), walked);
    }

    #[test]
    fn any_text_is_a_timestamp_or_an_error(text in "[0-9TZtz:.+\\- ]{0,40}|.*") {
        if let Ok(point) = PointInTime::rfc3339(&text) {
            prop_assert_eq!(text.parse(), Ok(point.timestamp()));
        }
        let _ = PointInTime::local(&text, "Asia/Jerusalem");
        let _ = PointInTime::local("2026-01-05T10:00:00", &text);
        let _ = text.parse::<RequestId>();
    }

    #[test]
    fn no_bytes_panic(message in vec(any::<u8>(), 0..200)) {
        read(&message)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_edit_of_a_valid_message_panics(message in mutated()) {
        read(&message)?;
    }
}
