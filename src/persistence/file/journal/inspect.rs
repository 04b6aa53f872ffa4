//! Inspection: everything that a journal's files hold, and everything that is wrong with them. Unlike replay it does not
//! end at the first damage: it goes on at the next frame that can be read.

use super::frames::{Fault, Frames, Step};
use super::proof::{Torn, judge};
use super::replay::check_seam;
use super::sectors::Seal;
use super::segment::{self, Binding, FRAMES, Head, Header};
use super::survey::{Bound, check_header, check_size, headless, missing, numbers, sight, unbound};
use super::window::Window;
use crate::ids::Timestamp;
use crate::persistence::disk::Disk;
use crate::persistence::error::{Damage, StoreError};
use crate::persistence::journal::{Frame, Lsn, TornTail};

/// What one segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentReport {
    /// Its number.
    pub(crate) number: u64,
    /// The file's name.
    pub(crate) name: String,
    /// The file's bytes.
    pub(crate) bytes: u64,
    /// What it is in the journal.
    pub(crate) role: SegmentRole,
    /// The number that its first record has, or was to have; 0 where that is not known.
    pub(crate) base: Lsn,
    /// The number of its last record that can be read; of the last before it, where it has none; 0 where that is not
    /// known.
    pub(crate) last: Lsn,
    /// The epoch of its writer; 0 where that is not known.
    pub(crate) epoch: u32,
    /// Frames that can be read.
    pub(crate) frames: u64,
    /// Records in them.
    pub(crate) records: u64,
    /// Bytes of them on disk.
    pub(crate) frame_bytes: u64,
    /// Bytes behind its end that were written and given up, or will be.
    pub(crate) torn_bytes: u64,
    /// What is wrong with it, in the order of places.
    pub(crate) damage: Vec<Damage>,
}

/// What a segment is in its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentRole {
    /// Another one follows on it.
    Closed,
    /// The last that was written.
    Last,
    /// Made ahead; nothing was written to it.
    Ahead,
    /// What it follows on cannot be read.
    Unknown,
}

/// What an inspection comes across, in the order of segments and of places, but that what is wrong with a segment as a
/// whole comes before its frames.
pub(crate) enum Event<'a> {
    /// A segment begins that says what it follows on.
    Bound {
        /// Its number.
        segment: u64,
        /// The number of the last record before it.
        follows: Lsn,
        /// The checksum of the last frame before it.
        previous: u32,
        /// The number of its first record.
        next: Lsn,
        /// Its writer's epoch.
        epoch: u32,
        /// The time of the last poll before it.
        polled_until: Option<Timestamp>,
    },
    /// A frame that can be read.
    Frame {
        /// Its segment, and the byte there.
        at: (u64, u64),
        /// The checksum of the frame that it follows on.
        previous: u32,
        /// Its own, which the one behind it names.
        checksum: u32,
        /// The frame.
        frame: &'a Frame<'a>,
    },
    /// Something that is damaged.
    Damage {
        /// The segment, and the byte there.
        at: (u64, u64),
        /// What it is.
        damage: &'a Damage,
        /// The last record of a frame whose header can be read and whose records cannot.
        told: Option<Lsn>,
        /// It is no damage that was found, but something that this program cannot read.
        is_strange: bool,
    },
    /// What was written at the end and never made durable.
    Torn {
        /// Where.
        tail: &'a TornTail,
        /// The number of the last record that a header in it tells of; 0 where there is none.
        highest: Lsn,
    },
}

/// What is told of each.
pub(crate) type Inspect<'a> = &'a mut dyn FnMut(&Event<'_>);

/// Reads all that can be read of a store's journal, and reports on each segment, in order of their numbers. Frames
/// behind a damage are read too; those behind the end of a segment, which were given up, are not.
///
/// # Errors
/// [`StoreError`] where the directory cannot be read. Where a file cannot, that is reported as its damage.
pub(crate) fn inspect(
    disk: &dyn Disk,
    store: u128,
    visit: Inspect<'_>,
) -> Result<Vec<SegmentReport>, StoreError> {
    let mut heads = Vec::new();
    for number in numbers(disk)? {
        heads.push(Seen::look(disk, store, number));
    }
    let last = heads.iter().rposition(|seen| seen.bound().is_some());
    let mut reports = Vec::new();
    for (place, seen) in heads.iter().enumerate() {
        let before = place.checked_sub(1).and_then(|place| heads.get(place));
        let behind = heads
            .get(place + 1)
            .filter(|behind| seen.number.checked_add(1) == Some(behind.number));
        let mut inspection = Inspection {
            disk,
            store,
            visit: &mut *visit,
            report: seen.report(),
        };
        if let Some(before) = before
            && before.number + 1 != seen.number
        {
            inspection.note(missing(seen.number, before.number + 1))?;
        }
        let role = match last {
            Some(last) if place < last => SegmentRole::Closed,
            Some(last) if place == last => SegmentRole::Last,
            _ => SegmentRole::Ahead,
        };
        if let Err(error) = inspection.segment(seen, behind, role) {
            inspection.note(error)?;
        }
        reports.push(inspection.report);
    }
    Ok(reports)
}

/// The head of a segment.
struct Seen {
    number: u64,
    bytes: u64,
    header: Head<Header>,
    binding: Head<Binding>,
    /// Why it cannot be read.
    error: Option<StoreError>,
}

impl Seen {
    fn look(disk: &dyn Disk, store: u128, number: u64) -> Self {
        let mut seen = Self {
            number,
            bytes: 0,
            header: Head::Blank,
            binding: Head::Blank,
            error: None,
        };
        match sight(disk, store, number) {
            Ok(sight) => {
                seen.bytes = sight.window.size();
                seen.header = sight.header;
                seen.binding = sight.binding;
            }
            Err(error) => seen.error = Some(error),
        }
        seen
    }

    fn bound(&self) -> Option<Bound> {
        match self.binding {
            Head::Whole(binding) => Some(Bound {
                number: self.number,
                binding,
            }),
            _ => None,
        }
    }

    fn report(&self) -> SegmentReport {
        let binding = self.bound().map(|bound| bound.binding);
        SegmentReport {
            number: self.number,
            name: segment::name(self.number),
            bytes: self.bytes,
            role: SegmentRole::Unknown,
            base: binding.map_or(Lsn(0), |binding| binding.next),
            last: binding.map_or(Lsn(0), |binding| binding.follows.last),
            epoch: binding.map_or(0, |binding| binding.epoch),
            frames: 0,
            records: 0,
            frame_bytes: 0,
            torn_bytes: 0,
            damage: Vec::new(),
        }
    }
}

struct Inspection<'a> {
    disk: &'a dyn Disk,
    store: u128,
    visit: Inspect<'a>,
    report: SegmentReport,
}

impl Inspection<'_> {
    /// Takes note of what is wrong with the segment.
    fn note(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.note_of(error, None)
    }

    /// As [`note`](Self::note), of a frame whose last record is known.
    fn note_of(&mut self, error: StoreError, told: Option<Lsn>) -> Result<(), StoreError> {
        let is_strange = !matches!(error, StoreError::Damaged(_));
        let damage = match error {
            StoreError::Damaged(damage) => damage,
            StoreError::Mismatch {
                what,
                found,
                expected,
            } => Damage {
                place: self.report.name.clone(),
                offset: 0,
                found: format!("{what}: {found}"),
                expected,
            },
            error @ StoreError::Unavailable { .. } => Damage {
                place: self.report.name.clone(),
                offset: 0,
                found: error.to_string(),
                expected: "a file that can be read".to_owned(),
            },
            error => return Err(error),
        };
        (self.visit)(&Event::Damage {
            at: (self.report.number, damage.offset),
            damage: &damage,
            told,
            is_strange,
        });
        self.report.damage.push(damage);
        Ok(())
    }

    fn segment(
        &mut self,
        seen: &Seen,
        behind: Option<&Seen>,
        role: SegmentRole,
    ) -> Result<(), StoreError> {
        let name = self.report.name.clone();
        if let Some(error) = &seen.error {
            return Err(error.clone());
        }
        if let Head::Whole(header) = &seen.header {
            check_header(header, self.store, seen.number, &name)?;
        }
        let mut window = Window::open(self.disk, name.clone())?;
        let seal = Seal::of(self.store, seen.number);
        let Some(bound) = seen.bound() else {
            if role == SegmentRole::Ahead && window.end_of_written(FRAMES)?.is_none() {
                self.report.role = role;
                if behind.is_some() {
                    self.note(unbound(&name, "there is another one behind it"))?;
                }
                return Ok(());
            }
            self.note(unbound(
                &name,
                "it is not the last, or there are frames in it",
            ))?;
            let mut frames = Frames::unbound(window, seal);
            if frames.resume()? {
                self.report.base = frames.next;
                self.frames(&mut frames, u64::MAX)?;
                self.report.epoch = frames.epoch();
            }
            return Ok(());
        };
        self.report.role = role;
        if !matches!(seen.header, Head::Whole(_)) {
            self.note(headless(&name))?;
        }
        let behind = behind.and_then(Seen::bound);
        let size = check_size(&bound.binding, behind.as_ref(), seen.bytes, &name);
        if let Err(error) = size {
            self.note(error)?;
        }
        let binding = &bound.binding;
        (self.visit)(&Event::Bound {
            segment: self.report.number,
            follows: binding.follows.last,
            previous: binding.follows.frame,
            next: binding.next,
            epoch: binding.epoch,
            polled_until: binding.polled_until,
        });
        let mut frames = Frames::new(window, seal, binding);
        let end = behind.map_or(u64::MAX, |behind| behind.binding.end);
        self.frames(&mut frames, end)?;
        if let Some(behind) = behind {
            let written = frames.window.end_of_written(end.max(FRAMES))?;
            self.report.torn_bytes = written.map_or(0, |written| written - end);
            if self.report.damage.is_empty() {
                check_seam(&frames, &behind)?;
            }
        }
        Ok(())
    }

    /// Reads frames up to the segment's end: there where it is known, else where nothing speaks for more.
    fn frames(&mut self, frames: &mut Frames, end: u64) -> Result<(), StoreError> {
        while frames.offset < end {
            let place = frames.offset;
            let fault = match frames.step()? {
                Step::Frame(header) => {
                    let frame = frames.frame(&header);
                    self.report.frames += 1;
                    self.report.records += u64::from(header.count);
                    self.report.frame_bytes += header.bytes();
                    self.report.last = frames.link.last;
                    (self.visit)(&Event::Frame {
                        at: (self.report.number, place),
                        previous: header.previous,
                        checksum: header.checksum,
                        frame: &frame,
                    });
                    continue;
                }
                Step::Stop(fault) => fault,
            };
            if self.is_end(frames, fault, end)? || !frames.resume()? || frames.offset >= end {
                break;
            }
        }
        Ok(())
    }

    /// Whether the frames end here. Where they do not, that is a damage.
    fn is_end(&mut self, frames: &mut Frames, fault: Fault, end: u64) -> Result<bool, StoreError> {
        let told = frames.told()?;
        if end < u64::MAX {
            let change = fault.change(frames.offset, frames.next);
            self.note_of(change.error(&self.report.name), told)?;
            return Ok(false);
        }
        match judge(frames, fault) {
            Ok(None) => Ok(true),
            Ok(Some(Torn { tail, highest })) => {
                self.report.torn_bytes = tail.bytes;
                (self.visit)(&Event::Torn {
                    tail: &tail,
                    highest,
                });
                Ok(true)
            }
            Err(error) => {
                self.note_of(error, told)?;
                Ok(false)
            }
        }
    }
}
