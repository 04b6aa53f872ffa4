//! What is written is what is read, and nothing that is read can do harm.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::lifecycle::Rule;
use crate::strategies;
use crate::sync::Arc;

/// A record with what it borrows, as strategies have nothing to borrow from.
#[derive(Clone, Debug)]
struct Sample {
    stream: u16,
    record: Record<'static>,
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn id() -> impl Strategy<Value = RequestId> {
    any::<(u128, bool)>().prop_map(|(bits, uuid)| match uuid {
        true => RequestId::uuid(bits),
        false => RequestId::integer(bits),
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn location() -> impl Strategy<Value = LocationId> {
    any::<u32>().prop_map(LocationId::from_index)
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![
        Just(Why::Plain),
        (1..=8u8).prop_map(|code| Why::Rule(Rule::from_code(code).unwrap())),
        ".*".prop_map(|words| Why::Told(Arc::from(words))),
    ]
}

fn course() -> impl Strategy<Value = CourseImage> {
    (time(), time(), any::<[u32; 6]>()).prop_map(|(accepted, eligible, numbers)| {
        let [
            revision,
            attempts,
            attempts_before,
            open_attempt,
            step,
            redeliveries,
        ] = numbers;
        CourseImage {
            accepted,
            eligible,
            revision,
            attempts,
            attempts_before,
            open_attempt,
            step,
            redeliveries,
        }
    })
}

/// With the due time that a plain one needs.
fn schedule() -> impl Strategy<Value = (Timestamp, ScheduleImage<'static>)> {
    let last_day = 253_402_214_400_000..253_402_300_800_000_u64;
    prop_oneof![
        time().prop_map(|due| (due, ScheduleImage::Immediate)),
        time().prop_map(|due| (due, ScheduleImage::Plain(0))),
        (
            prop_oneof![0..4_000_000_000_000_u64, last_day],
            -1439..1440i32
        )
            .prop_filter_map("past year 9999", |(millis, minutes)| {
                let (due, offset) = (Timestamp::from_millis(millis), minutes * 60);
                ScheduleData::can_be_plain(due, offset)
                    .then_some((due, ScheduleImage::Plain(offset)))
            }),
        (time(), strategies::schedule())
            .prop_map(|(due, data)| (due, ScheduleImage::Full(Cow::Owned(data)))),
    ]
}

fn contents() -> impl Strategy<Value = Contents<'static>> {
    prop_oneof![
        Just(Contents::Kept),
        (option::of(".*"), vec(any::<u8>(), 0..300)).prop_map(|(customer, payload)| {
            Contents::Given {
                customer: customer.map(leaked),
                payload: Box::leak(payload.into_boxed_slice()),
            }
        }),
    ]
}

fn request() -> impl Strategy<Value = Record<'static>> {
    let changes = vec![
        Change::Accepted,
        Change::Rescheduled,
        Change::Examined,
        Change::Released,
        Change::Returned,
        Change::Retry,
        Change::Moved,
        Change::Seen,
    ];
    let numbers = (any::<(u64, u64, u8, u8, bool)>(), location());
    let parts = (
        select(changes),
        id(),
        select(Media::ALL.to_vec()),
        numbers,
        schedule(),
        option::of(course()),
        contents(),
    );
    parts.prop_map(
        |(change, id, media, numbers, (due, schedule), course, contents)| {
            let ((fingerprint, intake, priority, flags, in_flight), location) = numbers;
            Record::Request(
                change,
                RequestImage {
                    id,
                    fingerprint,
                    location,
                    media,
                    priority: Priority(priority),
                    flags,
                    in_flight,
                    due,
                    intake,
                    schedule,
                    course,
                    contents,
                },
            )
        },
    )
}

fn ended() -> impl Strategy<Value = Record<'static>> {
    let parts = (
        id(),
        any::<(u64, u64, u32, u32)>(),
        location(),
        (time(), time()),
        select(Outcome::ALL.to_vec()),
        why(),
    );
    parts.prop_map(|(id, numbers, location, (due, ended), outcome, why)| {
        let (fingerprint, intake, attempts, revision) = numbers;
        Record::Ended(EndedImage {
            id,
            fingerprint,
            intake,
            location,
            due,
            ended,
            attempts,
            revision,
            outcome,
            why,
        })
    })
}

fn record() -> impl Strategy<Value = Record<'static>> {
    let durability = prop_oneof![
        Just(Durability::Sync),
        any::<std::time::Duration>().prop_map(Durability::Interval),
        Just(Durability::NoSync),
    ];
    prop_oneof![
        4 => request(),
        2 => ended(),
        1 => (location(), ".*").prop_map(|(location, name)| Record::Named { location, name: leaked(name) }),
        1 => (location(), option::of(time()), any::<u32>())
            .prop_map(|(location, held_since, pace)| Record::Ruled { location, held_since, pace }),
        1 => (any::<(u32, u32, u64)>(), durability).prop_map(|((epoch, shards, next_intake), durability)| {
            Record::Opened { epoch, shards, durability, next_intake }
        }),
        1 => any::<(u64, u64)>().prop_map(|(manifest, floor)| Record::Marked { manifest, floor: Lsn(floor) }),
        1 => (location(), select(Outcome::ALL.to_vec()), why(), any::<u64>())
            .prop_map(|(location, outcome, why, count)| Record::Totals { location, outcome, why, count }),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    (any::<u16>(), record()).prop_map(|(stream, record)| Sample { stream, record })
}

fn encoded(samples: &[Sample]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Sample { stream, record } in samples {
        encode(*stream, record, &mut bytes);
    }
    bytes
}

/// Reads everything there is; what is a record is written as it was read.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut at = 0;
    for record in Records::new(bytes) {
        let Ok(raw) = record else { return Ok(()) };
        prop_assert_eq!(raw.offset(), at);
        at += raw.bytes().len();
        let Ok(record) = raw.decode() else { continue };
        let mut again = Vec::new();
        encode(raw.stream(), &record, &mut again);
        prop_assert_eq!(&again, raw.bytes());
    }
    prop_assert_eq!(at, bytes.len());
    Ok(())
}

proptest! {
    #[test]
    fn records_written_are_the_records_read(samples in vec(sample(), 0..6)) {
        let bytes = encoded(&samples);
        let mut records = Records::new(&bytes);
        for Sample { stream, record } in &samples {
            let raw = records.next().unwrap().unwrap();
            prop_assert_eq!(raw.stream(), *stream);
            let id = match record {
                Record::Request(_, image) => Some(image.id),
                Record::Ended(image) => Some(image.id),
                _ => None,
            };
            prop_assert_eq!(raw.id(), id);
            prop_assert_eq!(&raw.decode().unwrap(), record);
        }
        prop_assert!(records.next().is_none());
        read(&bytes)?;
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        read(&bytes)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_edit_of_a_record_panics(sample in sample(), edits in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = encoded(&[sample]);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // An edit may name a zone that there is not, which is written as its offset.
        if !bytes.windows(5).any(|word| word == b"Zone ") {
            let _ = read(&bytes);
        }
    }
}
