//! What is written is what is read, and nothing that is read can do harm.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::lifecycle::Rule;
use crate::schedule::strategies;
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
        prop_assert_eq!(check_records(&bytes), samples.len());
        let mut again = Vec::new();
        for raw in Records::new(&bytes) {
            let raw = raw.unwrap();
            encode(raw.stream(), &raw.decode().unwrap(), &mut again);
        }
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        check_records(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_edit_of_a_record_panics(sample in sample(), edits in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = encoded(&[sample]);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check_records(&bytes);
    }

    #[test]
    fn a_record_cut_short_is_an_error(sample in sample(), at in any::<Index>()) {
        let bytes = encoded(&[sample]);
        let cut = &bytes[..at.index(bytes.len() - 1) + 1];
        let mut records = Records::new(cut);
        prop_assert_eq!(records.next().unwrap().unwrap_err().offset, 0);
        prop_assert!(records.next().is_none(), "an error is the last");
    }
}

fn plain() -> RequestImage<'static> {
    RequestImage {
        id: RequestId::integer(7),
        fingerprint: 0x0123_4567_89ab_cdef,
        location: LocationId::from_index(4),
        media: Media::Email,
        priority: Priority(3),
        flags: 2,
        in_flight: false,
        due: Timestamp::from_millis(1_767_596_400_000),
        intake: 5,
        schedule: ScheduleImage::Plain(7200),
        course: None,
        contents: Contents::Given {
            customer: None,
            payload: b"",
        },
    }
}

fn accepted(image: RequestImage<'static>) -> Vec<u8> {
    let record = Record::Request(Change::Accepted, image);
    encoded(&[Sample { stream: 1, record }])
}

fn refused(bytes: &[u8]) -> Malformed {
    let raw = Records::new(bytes).next().unwrap();
    raw.and_then(|raw| raw.decode()).unwrap_err()
}

#[test]
fn a_plain_request_takes_64_bytes_and_what_was_given() {
    assert_eq!(accepted(plain()).len(), 64);
    let given = |customer, payload| {
        accepted(RequestImage {
            contents: Contents::Given { customer, payload },
            ..plain()
        })
        .len()
    };
    assert_eq!(given(Some("9664491"), b""), 71);
    assert_eq!(given(None, &[0; 100]), 164);
}

#[test]
fn every_place_of_a_request_is_told_what_is_wrong_with_it() {
    let edited = |at: usize, byte: u8| {
        let mut bytes = accepted(plain());
        bytes[at] = byte;
        refused(&bytes).to_string()
    };
    let wrong = [
        (edited(0, 0), "kind 0: expected a kind that there is"),
        (edited(0, 9), "kind 9: expected a kind that there is"),
        (edited(1, 0xa8), "parts 0xa8: expected known parts"),
        (
            edited(1, 0x38),
            "due 2026-01-05T07:00:00Z at offset 7200, parts 0x38: expected one way of being scheduled",
        ),
        (
            edited(4, 63),
            "length 63 of accepted (at least 64, with 64 bytes left): expected a length that the record can have",
        ),
        (
            edited(4, 65),
            "length 65 of accepted (at least 64, with 64 bytes left): expected a length that the record can have",
        ),
        (
            edited(7, 255),
            "length 4278190144 of accepted (at least 64, with 64 bytes left): expected a length that the record can have",
        ),
        (edited(8, 9), "media 9: expected a known media"),
        (edited(11, 1), "[1] in an unused place: expected zeros"),
        (
            edited(60, 1),
            "1 bytes of customer: expected none, as there is no customer",
        ),
    ];
    for (error, words) in wrong {
        assert_eq!(error, format!("record at byte 0: {words}"));
    }
}

#[test]
fn what_a_customer_gave_is_in_no_error_and_no_debug_output() {
    let secret = RequestImage {
        contents: Contents::Given {
            customer: Some("secret customer"),
            payload: b"secret payload",
        },
        ..plain()
    };
    let record = Record::Request(Change::Accepted, secret.clone());
    let bytes = accepted(secret);
    let raw = Records::new(&bytes).next().unwrap().unwrap();
    let told = |text: &str| text.contains("secret") || text.contains("115, 101, 99");
    assert!(!told(&format!("{record:?} {raw:?}")));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let error = Records::new(&bytes).find_map(|raw| raw.and_then(|raw| raw.decode()).err());
            assert!(error.is_none_or(|error| !told(&format!("{error:?} {error}"))));
        }
    }
}

#[test]
fn no_part_counts_that_the_record_has_no_room_for() {
    let full = || {
        let data = ScheduleData::builder()
            .time(Timestamp::from_millis(1000))
            .time(Timestamp::from_millis(2000))
            .build()
            .unwrap();
        RequestImage {
            schedule: ScheduleImage::Full(Cow::Owned(data)),
            ..plain()
        }
    };
    let mut bytes = accepted(full());
    bytes[64..68].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(
        refused(&bytes).found,
        format!("length 4294967295 with {} bytes left", bytes.len() - 68)
    );
    // A schedule that is shorter than it says, with nothing behind it.
    let mut bytes = accepted(full());
    bytes[64] += 1;
    assert!(refused(&bytes).found.contains("bytes left"));
    let mut bytes = accepted(full());
    bytes[64] -= 1;
    assert_eq!(refused(&bytes).expected, "the stored form of a schedule");

    // A plain one that has a course by its parts alone.
    let mut bytes = accepted(plain());
    bytes[1] |= 4;
    assert_eq!(refused(&bytes).expected, "a part of fixed length");

    // Things behind the end.
    let record = Record::Marked {
        manifest: 1,
        floor: Lsn(2),
    };
    let mut bytes = encoded(&[Sample { stream: 0, record }]);
    bytes[4] += 1;
    bytes.push(0);
    assert_eq!(refused(&bytes).expected, "the end of the record");
}

#[test]
fn an_outcome_has_the_kind_it_belongs_to() {
    let ended = |outcome| {
        let image = EndedImage {
            id: RequestId::uuid(9),
            fingerprint: 1,
            intake: 2,
            location: LocationId::from_index(3),
            due: Timestamp::from_millis(4),
            ended: Timestamp::from_millis(5),
            attempts: 6,
            revision: 7,
            outcome,
            why: Why::Plain,
        };
        let record = Record::Ended(image);
        encoded(&[Sample { stream: 1, record }])
    };
    let kind = |bytes: &[u8]| Records::new(bytes).next().unwrap().unwrap().kind();
    let (mut cancelled, mut routed) = (ended(Outcome::Cancelled), ended(Outcome::Routed));
    assert_eq!(
        (kind(&cancelled), kind(&routed)),
        (Kind::Cancelled, Kind::Completed)
    );
    (cancelled[0], routed[0]) = (routed[0], cancelled[0]);
    assert_eq!(
        refused(&cancelled).found,
        "completed with outcome cancelled"
    );
    assert_eq!(refused(&routed).found, "cancelled with outcome routed");
}
