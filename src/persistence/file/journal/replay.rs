//! Replay: the survey's segments read one after the other, and the journal's end found.

use super::frames::{Frames, Step};
use super::proof::{Torn, judge};
use super::sectors::Seal;
use super::segment::{self, Link};
use super::survey::{Bound, Survey, survey};
use super::window::Window;
use crate::ids::Timestamp;
use crate::persistence::disk::Disk;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, JournalTail, Lsn, Positions};

/// What gets the frames.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&Frame<'_>) -> Result<(), StoreError>;

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) survey: Survey,
    pub(super) tail: JournalTail,
    pub(super) end: End,
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    /// Where the frames of the last segment end; 0 where there is no segment.
    pub(super) offset: u64,
    /// Up to where the last segment is known to be durable.
    pub(super) proven: u64,
    /// What the next frame follows on.
    pub(super) link: Link,
    /// The last segment has frames, or a torn one.
    pub(super) written: bool,
}

/// Reads the journal of a store.
pub(super) fn replay(
    disk: &dyn Disk,
    store: u128,
    from: &Positions,
    visit: Visit<'_>,
) -> Result<Found, StoreError> {
    let survey = survey(disk, store, from)?;
    let mut reading = Reading {
        disk,
        store,
        floor: from.floor(),
        visit,
        polled_until: None,
        tail: JournalTail::default(),
        closing: false,
    };
    let mut end = End::default();
    let mut next = Lsn(1);
    for (place, bound) in survey.bound.iter().enumerate() {
        let frames = match survey.bound.get(place + 1) {
            Some(behind) => reading.sealed(bound, behind)?,
            None => {
                let (frames, torn) = reading.last(bound)?;
                end = End {
                    offset: frames.offset,
                    proven: frames.proven,
                    link: frames.link,
                    written: torn.is_some() || frames.offset > segment::FRAMES,
                };
                reading.tail.highest = torn.as_ref().map_or(Lsn(0), |torn| torn.highest);
                reading.tail.torn = torn.map(|torn| torn.tail);
                frames
            }
        };
        next = frames.next;
    }
    check_end(&survey, next, from)?;
    let mut tail = reading.tail;
    tail.last = end.link.last;
    tail.highest = tail.highest.max(Lsn(next.0 - 1));
    tail.polled_until = reading.polled_until;
    // A writer that had begun and of which no frame is left may have written some.
    tail.closed =
        survey.bound.is_empty() || (reading.closing && end.written && tail.torn.is_none());
    Ok(Found { survey, tail, end })
}

struct Reading<'a> {
    disk: &'a dyn Disk,
    store: u128,
    floor: Lsn,
    visit: Visit<'a>,
    polled_until: Option<Timestamp>,
    tail: JournalTail,
    /// The last frame was a closing one.
    closing: bool,
}

impl Reading<'_> {
    /// Reads a segment with another one behind it, which says where it ends: all up to there was durable, and what
    /// stands behind was given up.
    fn sealed(&mut self, bound: &Bound, behind: &Bound) -> Result<Frames, StoreError> {
        let mut frames = self.open(bound)?;
        let end = behind.binding.end;
        while frames.offset < end {
            if let Step::Stop(fault) = self.step(&mut frames)? {
                let place = frames.window.name();
                return Err(fault.change(frames.offset, frames.next).error(place));
            }
        }
        check_seam(&frames, behind)?;
        Ok(frames)
    }

    /// Reads the last segment, and decides what stands at its end.
    fn last(&mut self, bound: &Bound) -> Result<(Frames, Option<Torn>), StoreError> {
        let mut frames = self.open(bound)?;
        let fault = loop {
            if let Step::Stop(fault) = self.step(&mut frames)? {
                break fault;
            }
        };
        let torn = judge(&mut frames, fault)?;
        Ok((frames, torn))
    }

    fn open(&mut self, bound: &Bound) -> Result<Frames, StoreError> {
        self.tail.epoch = self.tail.epoch.max(bound.binding.epoch);
        self.polled_until = bound.binding.polled_until.or(self.polled_until);
        let window = Window::open(self.disk, segment::name(bound.number))?;
        let seal = Seal::of(self.store, bound.number);
        Ok(Frames::new(window, seal, &bound.binding))
    }

    fn step(&mut self, frames: &mut Frames) -> Result<Step, StoreError> {
        let step = frames.step()?;
        if let Step::Frame(header) = &step {
            self.tail.frames += 1;
            self.tail.records += u64::from(header.count);
            self.tail.bytes += header.bytes();
            self.polled_until = header.polled_until.or(self.polled_until);
            self.closing = header.closing;
            let frame = frames.frame(header);
            if frame.last() > self.floor {
                (self.visit)(&frame)?;
            }
        }
        Ok(step)
    }
}

/// Whether a segment's frames end where the segment behind says.
pub(super) fn check_seam(frames: &Frames, behind: &Bound) -> Result<(), StoreError> {
    let binding = &behind.binding;
    let fits = frames.offset == binding.end
        && frames.link == binding.follows
        && frames.next <= binding.next;
    if fits {
        return Ok(());
    }
    Err(StoreError::damaged(
        frames.window.name(),
        frames.offset,
        format!("that the frames end with record {}", frames.link.last),
        format!(
            "that they end at byte {} with record {}, on which {} follows",
            binding.end,
            binding.follows.last,
            segment::name(behind.number)
        ),
    ))
}

/// Whether the journal goes as far as the snapshots, which were published when all they know was durable here.
fn check_end(survey: &Survey, next: Lsn, from: &Positions) -> Result<(), StoreError> {
    let Some(last) = survey.bound.last() else {
        return Ok(());
    };
    let known = from.0.iter().copied().max().unwrap_or_default();
    if known < next {
        return Ok(());
    }
    Err(StoreError::damaged(
        segment::name(last.number),
        segment::FRAMES,
        format!("that the journal ends before record {next}"),
        format!("the records up to {known}, of which snapshots know"),
    ))
}
