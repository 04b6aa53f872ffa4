//! Properties of the JSON form: what is written is read again, and nothing that is read can do harm.

mod json_common;

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    AccessPoint, Directory, ExhaustedRule, InteractionRequest, JsonAccessPoint, LocationId, Media,
    MissedPolicy, PointInTime, Priority, ProcessingCondition, RequestId, RetryPolicy, ScheduleData,
    Timestamp,
};
use json_common::EXAMPLE;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Points in time in all their forms; for a zone, one near its clock changes as likely as not.
fn point() -> impl Strategy<Value = PointInTime> {
    let civil = (
        1971..10_000u32,
        1..13u32,
        1..29u32,
        0..24u32,
        0..60u32,
        0..60u32,
        0..2000u32,
    )
        .prop_map(|(y, mo, d, h, mi, s, ms)| {
            format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:04}")
        });
    let changing = (select(vec!["2026-03-27", "2026-10-25"]), 0..4u32, 0..60u32)
        .prop_map(|(date, h, m)| format!("{date}T{h:02}:{m:02}:59.9995"));
    let zones = vec![
        "Asia/Jerusalem",
        "America/New_York",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "UTC",
        "Africa/Monrovia",
    ];
    prop_oneof![
        any::<u64>().prop_map(|millis| Timestamp::from_millis(millis).into()),
        (0..4_000_000_000_000u64).prop_map(|millis| Timestamp::from_millis(millis).into()),
        (civil.clone(), -23..24i32, 0..60i32).prop_map(|(civil, hours, minutes)| {
            PointInTime::rfc3339(&format!("{civil}{hours:+03}:{minutes:02}")).unwrap()
        }),
        (prop_oneof![civil, changing], select(zones)).prop_filter_map(
            "past year 9999",
            |(civil, zone)| PointInTime::local(&civil, zone).ok()
        ),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        any::<(u64, u32)>().prop_map(|(seconds, nanos)| Duration::from_secs(seconds)
            .saturating_add(Duration::from_nanos(nanos.into()))),
        (0..100_000_000_000u64).prop_map(Duration::from_micros),
    ]
}

fn condition() -> impl Strategy<Value = ProcessingCondition> {
    let leaf = prop_oneof![
        Just(ProcessingCondition::Always),
        Just(ProcessingCondition::Open),
        duration().prop_map(ProcessingCondition::WaitBelow),
        any::<u32>().prop_map(ProcessingCondition::AgentsReady),
        any::<u32>().prop_map(ProcessingCondition::QueueBelow),
    ];
    leaf.prop_recursive(6, 20, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|inner| ProcessingCondition::All(inner.into())),
            vec(inner.clone(), 0..4).prop_map(|inner| ProcessingCondition::Any(inner.into())),
            inner.prop_map(|inner| ProcessingCondition::Not(Box::new(inner))),
        ]
    })
}

fn retry() -> impl Strategy<Value = RetryPolicy> {
    (1..=1000u32, duration(), duration(), 0.0..=1.0f64).prop_map(
        |(attempts, one, other, jitter)| {
            let initial = one.min(other).max(Duration::from_millis(1));
            RetryPolicy::new(attempts, initial, one.max(initial).max(other), jitter).unwrap()
        },
    )
}

fn schedule() -> impl Strategy<Value = ScheduleData> {
    let rules = (
        option::of(duration()),
        1..31_000_000_000u64,
        0..3usize,
        0..3usize,
        option::of(retry()),
    );
    let limits = (any::<bool>(), any::<bool>());
    (
        vec((point(), condition()), 1..5),
        vec(point(), 0..6),
        select(Media::ALL.to_vec()),
        limits,
        rules,
    )
        .prop_map(
            |(
                mut times,
                mut windows,
                media,
                (not_before, not_after),
                (threshold, recheck, exhausted, missed, retry),
            )| {
                times.sort_by_key(|(point, _)| point.timestamp());
                times.dedup_by_key(|(point, _)| point.timestamp());
                windows.sort_by_key(PointInTime::timestamp);
                windows.dedup_by_key(|point| point.timestamp());
                let mut builder = ScheduleData::builder();
                if not_before {
                    builder = builder.not_before(times[0].0.clone());
                }
                if not_after && times.len() > 1 {
                    builder = builder.not_after(times.pop().unwrap().0);
                }
                for (point, condition) in times {
                    builder = builder.time_if(point, condition);
                }
                // In any order: here the later ones first.
                for pair in windows.chunks_exact(2).rev() {
                    builder = builder.response_media(&pair[0], &pair[1], media);
                }
                if let Some(threshold) = threshold {
                    builder = builder.threshold_wait(threshold);
                }
                if let Some(retry) = retry {
                    builder = builder.retry(retry);
                }
                builder
                    .recheck(Duration::from_millis(recheck))
                    .exhausted(
                        [
                            ExhaustedRule::Release,
                            ExhaustedRule::Expire,
                            ExhaustedRule::NextDay,
                        ][exhausted],
                    )
                    .missed(
                        [
                            MissedPolicy::Release,
                            MissedPolicy::Expire,
                            MissedPolicy::NextDay,
                        ][missed],
                    )
                    .build()
                    .unwrap()
            },
        )
}

fn request() -> impl Strategy<Value = InteractionRequest> {
    let id = (any::<u128>(), any::<bool>()).prop_map(|(bits, uuid)| {
        if uuid {
            RequestId::uuid(bits)
        } else {
            RequestId::integer(bits)
        }
    });
    let payload = prop_oneof![vec(any::<u8>(), 0..40), ".*".prop_map(String::into_bytes)];
    let parts = (
        id,
        any::<u32>(),
        select(Media::ALL.to_vec()),
        any::<u8>(),
        option::of(".*"),
        payload,
        option::of(schedule()),
    );
    parts.prop_map(
        |(id, location, media, priority, customer, payload, schedule)| InteractionRequest {
            id,
            location: LocationId::from_index(location),
            media,
            priority: Priority(priority),
            customer: customer.map(Arc::from),
            payload: payload.into(),
            schedule,
        },
    )
}

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
