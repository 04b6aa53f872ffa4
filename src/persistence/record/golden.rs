//! The bytes of every kind of record, as each version of the format writes them. A file of a version that was released
//! never changes.

use std::time::Duration;

use super::*;
use crate::lifecycle::Rule;
use crate::schedule::{ExhaustedRule, MissedPolicy, PointInTime, ProcessingCondition, RetryPolicy};
use crate::sync::Arc;

pub(super) const RECORDS_V1: &[u8] = include_bytes!("../../../tests/golden/records-v1.bin");

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn location(index: u32) -> LocationId {
    LocationId::from_index(index)
}

/// All that a schedule can have.
fn schedule() -> ScheduleData {
    let zone = |civil| PointInTime::local(civil, "Asia/Jerusalem").unwrap();
    let offset = |text| PointInTime::rfc3339(text).unwrap();
    let condition = ProcessingCondition::Any(Box::new([
        ProcessingCondition::All(Box::new([
            ProcessingCondition::WaitBelow(Duration::from_secs(60)),
            ProcessingCondition::AgentsReady(2),
        ])),
        ProcessingCondition::Not(Box::new(ProcessingCondition::QueueBelow(10))),
        ProcessingCondition::Open,
    ]));
    ScheduleData::builder()
        .time_if(offset("2026-01-05T09:00:00.250+02:00"), condition)
        .time(zone("2026-01-05T10:00:00"))
        .not_before(offset("2026-01-05T06:30:00Z"))
        .not_after(zone("2026-01-05T23:00:00"))
        .response_media(
            zone("2026-01-05T09:00:00"),
            zone("2026-01-05T22:00:00"),
            Media::Voip,
        )
        .response_media(
            zone("2026-01-05T22:00:00"),
            zone("2026-01-05T23:00:00"),
            Media::Sms,
        )
        .threshold_wait(Duration::from_secs(120))
        .recheck(Duration::from_secs(15))
        .exhausted(ExhaustedRule::NextDay)
        .missed(MissedPolicy::Expire)
        .retry(RetryPolicy::new(5, Duration::from_secs(10), Duration::from_secs(600), 0.2).unwrap())
        .build()
        .unwrap()
}

/// In one time zone, and with default rules.
fn zoned() -> ScheduleData {
    ScheduleData::at(PointInTime::local("2026-03-27T02:30:00", "Asia/Jerusalem").unwrap())
}

fn requests() -> Vec<(u16, Record<'static>)> {
    let uuid = RequestId::uuid(0x0b0e_7a52_6c8e_4d8a_9f0e_1d2c_3b4a_5f60);
    let due = time("2026-01-05T07:00:00.250Z");
    let plain = RequestImage {
        id: uuid,
        fingerprint: 0x0123_4567_89ab_cdef,
        location: location(3),
        media: Media::Voice,
        priority: Priority(2),
        flags: 0,
        in_flight: false,
        due,
        intake: 1000,
        schedule: ScheduleImage::Plain(-41_400),
        course: None,
        contents: Contents::Given {
            customer: Some("9664491"),
            payload: b"free text",
        },
    };
    let course = CourseImage {
        accepted: time("2026-01-04T12:00:00Z"),
        eligible: time("2026-01-05T07:00:30Z"),
        revision: 1,
        attempts: 2,
        attempts_before: 3,
        open_attempt: 4,
        step: 5,
        redeliveries: 6,
    };
    let changed = RequestImage {
        flags: 0x1e,
        course: Some(course),
        contents: Contents::Kept,
        ..plain.clone()
    };
    let full = |data| ScheduleImage::Full(Cow::Owned(data));
    let immediate = RequestImage {
        id: RequestId::integer(u128::MAX),
        media: Media::Chat,
        priority: Priority(255),
        due: Timestamp::MAX,
        schedule: ScheduleImage::Immediate,
        contents: Contents::Given {
            customer: None,
            payload: b"",
        },
        ..plain.clone()
    };
    vec![
        (1, Record::Request(Change::Accepted, plain.clone())),
        (16, Record::Request(Change::Accepted, immediate)),
        (
            1,
            Record::Request(
                Change::Rescheduled,
                RequestImage {
                    schedule: full(schedule()),
                    ..changed.clone()
                },
            ),
        ),
        (
            1,
            Record::Request(
                Change::Examined,
                RequestImage {
                    schedule: full(zoned()),
                    ..changed.clone()
                },
            ),
        ),
        (
            1,
            Record::Request(
                Change::Released,
                RequestImage {
                    in_flight: true,
                    ..changed.clone()
                },
            ),
        ),
        (1, Record::Request(Change::Returned, changed.clone())),
        (1, Record::Request(Change::Retry, changed.clone())),
        (
            1,
            Record::Request(
                Change::Moved,
                RequestImage {
                    location: location(4),
                    ..changed
                },
            ),
        ),
        (
            1,
            Record::Request(
                Change::Seen,
                RequestImage {
                    in_flight: true,
                    schedule: full(schedule()),
                    course: Some(course),
                    contents: Contents::Given {
                        customer: Some(""),
                        payload: &[0, 255],
                    },
                    ..plain
                },
            ),
        ),
    ]
}

fn ends() -> Vec<(u16, Record<'static>)> {
    let ended = |outcome, why| {
        Record::Ended(EndedImage {
            id: RequestId::integer(12),
            fingerprint: 0xfedc_ba98_7654_3210,
            intake: 1001,
            location: location(3),
            due: time("2026-01-05T07:00:00Z"),
            ended: time("2026-01-05T07:00:01.500Z"),
            attempts: 3,
            revision: 1,
            outcome,
            why,
        })
    };
    vec![
        (2, ended(Outcome::Cancelled, Why::Rule(Rule::Location))),
        (2, ended(Outcome::Routed, Why::Plain)),
        (2, ended(Outcome::Expired, Why::Rule(Rule::InDoubt))),
        (
            2,
            ended(Outcome::Rejected, Why::Told(Arc::from("no such line"))),
        ),
        (2, ended(Outcome::DeadLettered, Why::Rule(Rule::Busy))),
    ]
}

fn others() -> Vec<(u16, Record<'static>)> {
    let opened = |durability| Record::Opened {
        epoch: 7,
        shards: 16,
        durability,
        next_intake: 1_000_000,
    };
    vec![
        (
            0,
            Record::Named {
                location: location(3),
                name: "AA0101",
            },
        ),
        (
            0,
            Record::Ruled {
                location: location(3),
                held_since: Some(time("2026-01-05T06:00:00Z")),
                pace: 0,
            },
        ),
        (
            0,
            Record::Ruled {
                location: location(4),
                held_since: None,
                pace: 50,
            },
        ),
        (0, opened(Durability::Sync)),
        (0, opened(Durability::Interval(Duration::from_micros(5500)))),
        (0, opened(Durability::NoSync)),
        (
            0,
            Record::Marked {
                manifest: 42,
                floor: Lsn(123_456_789),
            },
        ),
        (
            3,
            Record::Totals {
                location: location(3),
                outcome: Outcome::Routed,
                why: Why::Plain,
                count: 98_765,
            },
        ),
        (
            3,
            Record::Totals {
                location: location(3),
                outcome: Outcome::Rejected,
                why: Why::Told(Arc::from("no such line")),
                count: 2,
            },
        ),
    ]
}

/// What the file of version 1 holds, in order.
pub(super) fn records_v1() -> Vec<(u16, Record<'static>)> {
    let mut records = requests();
    records.append(&mut ends());
    records.append(&mut others());
    records
}

#[test]
fn the_records_of_version_1_are_written_as_they_were() {
    let mut bytes = Vec::new();
    for (stream, record) in records_v1() {
        let start = bytes.len();
        encode(stream, &record, &mut bytes);
        let golden = RECORDS_V1.get(start..bytes.len());
        assert_eq!(
            golden,
            Some(&bytes[start..]),
            "{record:?}: the format is another: it needs another version"
        );
    }
    assert_eq!(bytes.len(), RECORDS_V1.len());
}

#[test]
fn the_records_of_version_1_are_read() {
    let read: Vec<_> = Records::new(RECORDS_V1)
        .map(|raw| {
            let raw = raw.unwrap();
            (raw.stream(), raw.decode().unwrap())
        })
        .collect();
    assert_eq!(read, records_v1());
}

#[test]
fn version_1_has_every_kind_of_record() {
    let there: Vec<u8> = Records::new(RECORDS_V1)
        .map(|raw| raw.unwrap().kind().code())
        .collect();
    for code in 0..=u8::MAX {
        assert_eq!(
            there.contains(&code),
            Kind::from_code(code).is_some(),
            "kind {code}"
        );
    }
}
