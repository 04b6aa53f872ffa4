//! What requests and schedules there are, for property tests.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    ExhaustedRule, InteractionRequest, LocationId, Media, MissedPolicy, PointInTime, Priority,
    ProcessingCondition, RequestId, RetryPolicy, ScheduleData, Timestamp,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Points in time in all their forms; for a zone, one near its clock changes as likely as not.
pub(crate) fn point() -> impl Strategy<Value = PointInTime> {
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

pub(crate) fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        any::<(u64, u32)>().prop_map(|(seconds, nanos)| Duration::from_secs(seconds)
            .saturating_add(Duration::from_nanos(nanos.into()))),
        (0..100_000_000_000u64).prop_map(Duration::from_micros),
    ]
}

pub(crate) fn condition() -> impl Strategy<Value = ProcessingCondition> {
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

pub(crate) fn retry() -> impl Strategy<Value = RetryPolicy> {
    (1..=1000u32, duration(), duration(), 0.0..=1.0f64).prop_map(
        |(attempts, one, other, jitter)| {
            let initial = one.min(other).max(Duration::from_millis(1));
            RetryPolicy::new(attempts, initial, one.max(initial).max(other), jitter).unwrap()
        },
    )
}

pub(crate) fn schedule() -> impl Strategy<Value = ScheduleData> {
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

pub(crate) fn request() -> impl Strategy<Value = InteractionRequest> {
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
