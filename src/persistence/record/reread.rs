//! What must hold of any bytes that are read as records; for fuzzing and for tests.

use super::{Record, Records, ScheduleImage, encode};

/// Reads bytes as the records of a frame, writes each that is one again, and compares. Returns how many were read.
///
/// A record is written as it was read, with one exception: a schedule whose zone this build's database does not know
/// keeps the zone's offset alone. Then what is written is read as the same.
///
/// # Panics
/// Where something is wrong with duewheel itself.
#[doc(hidden)]
pub fn check_records(bytes: &[u8]) -> usize {
    let (mut count, mut at) = (0, 0);
    for raw in Records::new(bytes) {
        let Ok(raw) = raw else { return count };
        assert_eq!(raw.offset(), at, "records follow each other");
        at += raw.bytes().len();
        let Ok(record) = raw.decode() else { continue };
        count += 1;
        assert_eq!(raw.id(), id_of(&record), "{raw:?}");
        let mut written = Vec::new();
        encode(raw.stream(), &record, &mut written);
        if written == raw.bytes() {
            continue;
        }
        assert!(has_zone(&record), "{raw:?}: it is written otherwise");
        let again = Records::new(&written).next();
        let again = again.and_then(Result::ok).map(|raw| raw.decode());
        assert_eq!(again, Some(Ok(record)), "{raw:?}: it is read otherwise");
    }
    assert_eq!(at, bytes.len(), "every byte is some record's");
    count
}

fn id_of(record: &Record<'_>) -> Option<crate::ids::RequestId> {
    match record {
        Record::Request(_, image) => Some(image.id),
        Record::Ended(image) => Some(image.id),
        _ => None,
    }
}

/// Whether it may have been stored with a zone.
fn has_zone(record: &Record<'_>) -> bool {
    matches!(record, Record::Request(_, image) if matches!(image.schedule, ScheduleImage::Full(_)))
}
