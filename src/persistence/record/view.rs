//! [`RecordView`]: a record as a tool shows it.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde::Serialize;

use super::{Contents, CourseImage, EndedImage, Record, Records, RequestImage, ScheduleImage};
use crate::ids::{LocationId, Media, Priority, RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Durability, Frame, Lsn};
use crate::persistence::snapshots::ChunkBlock;
use crate::schedule::ScheduleData;
use crate::sync::Arc;

/// A record of a journal or a snapshot, to be shown: what it says, but for what customers gave.
///
/// # Serde
/// A flat object of `kind`, `lsn` (not in snapshots), `stream`, `bytes`, and the fields that the kind has; times as
/// RFC 3339 texts, the schedule in its JSON form, payload and customer as their lengths alone.
#[derive(Clone, Debug, Serialize)]
pub struct RecordView<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lsn: Option<Lsn>,
    stream: u16,
    bytes: usize,
    #[serde(flatten)]
    subject: Subject<'a>,
}

impl RecordView<'_> {
    /// What happened: `accepted`, `rescheduled`, `examined`, `released`, `returned`, `retry`, `moved`, `seen` (in
    /// snapshots), `cancelled`, `completed`; of what is no request, `named`, `ruled`, `opened`, `marked`, `totals`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Its number; `None` in a snapshot.
    #[must_use]
    pub fn lsn(&self) -> Option<Lsn> {
        self.lsn
    }

    /// The stream it belongs to: 0, or one more than the number of its shard.
    #[must_use]
    pub fn stream(&self) -> u16 {
        self.stream
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The request it is of; `None` where it is of none.
    #[must_use]
    pub fn id(&self) -> Option<RequestId> {
        match &self.subject {
            Subject::Pending { id, .. } | Subject::Ended { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The location it is of, or its request's; `None` where it is of the store.
    #[must_use]
    pub fn location(&self) -> Option<LocationId> {
        match &self.subject {
            Subject::Pending { location, .. }
            | Subject::Ended { location, .. }
            | Subject::Named { location, .. }
            | Subject::Ruled { location, .. }
            | Subject::Totals { location, .. } => Some(*location),
            Subject::Opened { .. } | Subject::Marked { .. } => None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Subject<'a> {
    Pending {
        id: RequestId,
        location: LocationId,
        state: RequestState,
        media: Media,
        priority: Priority,
        due: Timestamp,
        intake: u64,
        flags: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        schedule: Option<Cow<'a, ScheduleData>>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        course: Option<CourseImage>,
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        contents: Option<ContentsView>,
    },
    Ended {
        id: RequestId,
        location: LocationId,
        state: RequestState,
        outcome: Outcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
        due: Timestamp,
        ended: Timestamp,
        intake: u64,
        attempts: u32,
        revision: u32,
    },
    Named {
        location: LocationId,
        name: &'a str,
    },
    Ruled {
        location: LocationId,
        #[serde(skip_serializing_if = "Option::is_none")]
        held_since: Option<Timestamp>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pace_per_second: Option<u32>,
    },
    Opened {
        epoch: u32,
        shards: u32,
        durability: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        interval_ms: Option<f64>,
        next_intake: u64,
    },
    Marked {
        manifest: u64,
        floor: Lsn,
    },
    Totals {
        location: LocationId,
        outcome: Outcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
        count: u64,
    },
}

#[derive(Clone, Debug, Serialize)]
struct ContentsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_bytes: Option<usize>,
    payload_bytes: usize,
}

impl<'a> Subject<'a> {
    fn of(record: Record<'a>) -> Self {
        match record {
            Record::Request(_, image) => Self::pending(image),
            Record::Ended(image) => Self::ended(image),
            Record::Named { location, name } => Self::Named { location, name },
            Record::Ruled {
                location,
                held_since,
                pace,
            } => Self::Ruled {
                location,
                held_since,
                pace_per_second: (pace > 0).then_some(pace),
            },
            Record::Opened {
                epoch,
                shards,
                durability,
                next_intake,
            } => {
                let (durability, interval_ms) = match durability {
                    Durability::Sync => ("sync", None),
                    Durability::Interval(interval) => {
                        ("interval", Some(interval.as_secs_f64() * 1000.0))
                    }
                    Durability::NoSync => ("no_sync", None),
                };
                Self::Opened {
                    epoch,
                    shards,
                    durability,
                    interval_ms,
                    next_intake,
                }
            }
            Record::Marked { manifest, floor } => Self::Marked { manifest, floor },
            Record::Totals {
                location,
                outcome,
                why,
                count,
            } => Self::Totals {
                location,
                outcome,
                reason: why.text(),
                count,
            },
        }
    }

    fn pending(image: RequestImage<'a>) -> Self {
        let state = match image.in_flight {
            true => RequestState::Released,
            false => RequestState::Scheduled,
        };
        let schedule = match image.schedule {
            ScheduleImage::Immediate => None,
            ScheduleImage::Plain(offset) => {
                Some(Cow::Owned(ScheduleData::from_plain(image.due, offset)))
            }
            ScheduleImage::Full(data) => Some(data),
        };
        let contents = match image.contents {
            Contents::Kept => None,
            Contents::Given { customer, payload } => Some(ContentsView {
                customer_bytes: customer.map(str::len),
                payload_bytes: payload.len(),
            }),
        };
        Self::Pending {
            id: image.id,
            location: image.location,
            state,
            media: image.media,
            priority: image.priority,
            due: image.due,
            intake: image.intake,
            flags: image.flags,
            schedule,
            course: image.course,
            contents,
        }
    }

    fn ended(image: EndedImage) -> Self {
        Self::Ended {
            id: image.id,
            location: image.location,
            state: RequestState::Completed,
            outcome: image.outcome,
            reason: image.why.text(),
            due: image.due,
            ended: image.ended,
            intake: image.intake,
            attempts: image.attempts,
            revision: image.revision,
        }
    }
}

impl<'a> Frame<'a> {
    /// Its records, as a tool shows them. One that cannot be read is an error in its place; where not even its length
    /// can be, the error is the last.
    pub fn views(&self) -> impl Iterator<Item = Result<RecordView<'a>, StoreError>> + use<'a> {
        let base = self.base;
        views(self.records, Some(base), move || {
            format!("the frame of record {base}")
        })
    }
}

impl<'a> ChunkBlock<'a> {
    /// Its records, as a tool shows them. One that cannot be read is an error in its place; where not even its length
    /// can be, the error is the last.
    pub fn views(&self) -> impl Iterator<Item = Result<RecordView<'a>, StoreError>> + use<'a> {
        let as_of = self.as_of;
        views(self.records, None, move || {
            format!("the block as of record {as_of}")
        })
    }
}

fn views<'a>(
    records: &'a [u8],
    base: Option<Lsn>,
    place: impl Fn() -> String,
) -> impl Iterator<Item = Result<RecordView<'a>, StoreError>> {
    Records::new(records).zip(0..).map(move |(raw, index)| {
        raw.and_then(|raw| {
            Ok(RecordView {
                kind: raw.kind().as_str(),
                lsn: base.map(|base| Lsn(base.0.saturating_add(index))),
                stream: raw.stream(),
                bytes: raw.bytes().len(),
                subject: Subject::of(raw.decode()?),
            })
        })
        .map_err(|malformed| malformed.damage(place(), 0))
    })
}
