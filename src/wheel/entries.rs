//! The slab of entries: who is scheduled, with which value.
//!
//! Entries live in segments of fixed size that are filled from the front and never move, so growth
//! costs one allocation of a segment and no copy. An entry is as small as can be, 16 bytes for a
//! `u64`: between a timer's schedule and its cancel the caller schedules others, and only what is
//! small stays in the cache that long. The due time is in the timer's record and nowhere else.
//!
//! An entry carries a **stamp** that rises at every schedule and reschedule. The timer's one live
//! record carries the same number; any other record of the entry is stale. The stamp a timer was
//! scheduled with is its **birth**, and goes into the [`Handle`]: it stays when the timer is
//! rescheduled, and is never used again after the timer is gone, which makes every older handle
//! inert. Births do not wrap: an entry whose stamps come to their end is retired, that is, never
//! used again. It has lasted for two thousand million lives.

use std::num::NonZeroU32;

use super::chunks::Record;
use super::handle::Handle;
use super::vacancies::{Open, Vacancies, WORD};

/// Most timers a wheel can hold. A quarter of what an index could name, so that the records, two to
/// three times the timers, can be counted in 32 bits.
pub(super) const LIMIT: usize = 1 << 30;

/// Entries a segment.
const SEGMENT: usize = 4096;

/// The last stamp. A timer that was rescheduled so often that it carries it starts anew, with the
/// stamp it was born with, when no record of its entry is left.
const EXHAUSTED: u32 = u32::MAX;

/// An entry whose stamp came so far is retired. As many stamps again are left for reschedules, so
/// that those start anew rarely.
const RETIRED: u32 = 1 << 31;

/// One timer, or the place of one. The compiler keeps the distinction in the stamp's 0: a stamp,
/// and no more than a stamp, tells whether a record is live, without a branch.
enum Entry<T> {
    Vacant {
        /// The last stamp used.
        last: u32,
    },
    Live {
        stamp: NonZeroU32,
        /// Not 0. (A second number that cannot be 0 would leave the compiler the choice.)
        birth: u32,
        value: T,
    },
}

/// A part of the slab.
struct Segment<T> {
    /// Filled from the front as the need arises, up to `SEGMENT`; its memory is set aside at once
    /// and never moves.
    entries: Vec<Entry<T>>,
    /// The low byte of each entry's stamp, and of the next one while it is vacant. It is written
    /// when a record goes stale, for sweeps to read: 64 to a cache line, where an entry would take
    /// a line almost for itself.
    tags: Box<[u8; SEGMENT]>,
}

/// The slab.
pub(super) struct Entries<T> {
    segments: Vec<Segment<T>>,
    vacancies: Vacancies,
    /// The word that is being used up.
    open: Open,
    /// Entries in use.
    live: usize,
    /// Entries of all segments.
    capacity: usize,
    /// Entries that will never be used again.
    retired: usize,
}

impl<T> Entries<T> {
    pub(super) const fn new() -> Self {
        Self {
            segments: Vec::new(),
            vacancies: Vacancies::new(),
            open: Open::NOTHING,
            live: 0,
            capacity: 0,
            retired: 0,
        }
    }

    /// A slab with vacant entries for `timers`, their memory already touched.
    pub(super) fn with_capacity(timers: usize) -> Self {
        let mut entries = Self::new();
        while entries.capacity < timers.min(LIMIT) {
            entries.grow();
        }
        entries.open = Open::NOTHING;
        // The first words last, so that they are used first.
        for entry in (0..entries.capacity as u32).rev() {
            entries.vacancies.add(entry);
        }
        entries
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.live
    }

    /// Puts a timer into a vacant entry and returns its handle and the record that stands for it.
    #[inline]
    pub(super) fn insert(&mut self, due: u64, value: T) -> (Handle, Record) {
        if self.open.free == 0 {
            self.refill();
        }
        let index = self.open.base + self.open.free.trailing_zeros();
        self.open.free &= self.open.free - 1;
        self.live += 1;
        let entry = self.entry_mut(index);
        let stamp = NonZeroU32::MIN.saturating_add(entry.last_stamp());
        *entry = Entry::Live {
            stamp,
            birth: stamp.get(),
            value,
        };
        (
            Handle::new(index, stamp),
            Record::new(due, index, stamp.get()),
        )
    }

    /// Takes the timer out: its value.
    #[inline]
    pub(super) fn remove(&mut self, handle: Handle) -> Option<T> {
        let index = handle.index() as usize;
        let segment = self.segments.get_mut(index / SEGMENT)?;
        let entry = segment.entries.get_mut(index % SEGMENT)?;
        if !entry.is_born(handle) {
            return None;
        }
        let (last, value) = entry.vacate()?;
        segment.tags[index % SEGMENT] = next_tag(last);
        self.reclaim(handle.index(), last);
        Some(value)
    }

    /// Takes the timer of a record out, if the record is live.
    #[inline]
    pub(super) fn fire(&mut self, record: Record) -> Option<(Handle, T)> {
        let index = record.entry() as usize;
        let segment = &mut self.segments[index / SEGMENT];
        let entry = &mut segment.entries[index % SEGMENT];
        let handle = entry.handle_of(record)?;
        let (last, value) = entry.vacate()?;
        segment.tags[index % SEGMENT] = next_tag(last);
        self.reclaim(record.entry(), last);
        Some((handle, value))
    }

    /// Gives the timer a new stamp and returns the record that stands for it from now on.
    ///
    /// `None` where the handle is inert. Call [`is_exhausted`](Self::is_exhausted) first.
    #[inline]
    pub(super) fn rearm(&mut self, handle: Handle, due: u64) -> Option<Record> {
        let index = handle.index() as usize;
        let segment = self.segments.get_mut(index / SEGMENT)?;
        let entry = segment.entries.get_mut(index % SEGMENT)?;
        match entry {
            Entry::Live { stamp, birth, .. } if *birth == handle.birth().get() => {
                segment.tags[index % SEGMENT] = next_tag(stamp.get());
                *stamp = stamp.saturating_add(1);
                Some(Record::new(due, handle.index(), stamp.get()))
            }
            _ => None,
        }
    }

    /// Whether the next [`rearm`](Self::rearm) would run out of stamps.
    #[inline]
    pub(super) fn is_exhausted(&self, handle: Handle) -> bool {
        matches!(self.named(handle), Some(Entry::Live { stamp, .. }) if stamp.get() == EXHAUSTED)
    }

    /// Starts the stamps of one timer anew, and so makes its record stale. The caller sees to it
    /// that no record of this entry is left, and rearms it next.
    pub(super) fn restart(&mut self, handle: Handle) {
        if let Some(Entry::Live { stamp, birth, .. }) = self.named_mut(handle) {
            *stamp = NonZeroU32::new(*birth).unwrap_or(*stamp);
            let tag = stamp.get() as u8;
            let index = handle.index() as usize;
            self.segments[index / SEGMENT].tags[index % SEGMENT] = tag;
        }
    }

    #[inline]
    pub(super) fn get(&self, handle: Handle) -> Option<&T> {
        match self.named(handle)? {
            Entry::Live { value, .. } => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        match self.named_mut(handle)? {
            Entry::Live { value, .. } => Some(value),
            Entry::Vacant { .. } => None,
        }
    }

    /// The handle of the timer in an entry, if there is one.
    #[inline]
    pub(super) fn handle_at(&self, index: u32) -> Option<Handle> {
        let segment = self.segments.get(index as usize / SEGMENT)?;
        match segment.entries.get(index as usize % SEGMENT)? {
            Entry::Live { birth, .. } => Some(Handle::new(index, NonZeroU32::new(*birth)?)),
            Entry::Vacant { .. } => None,
        }
    }

    /// Whether the record still stands for a timer.
    #[inline]
    pub(super) fn is_live(&self, record: Record) -> bool {
        self.entry(record.entry()).stamp() == record.stamp()
    }

    /// Whether the record may still stand for a timer. Of 256 stale records of one entry that came
    /// one after another, it takes one for live; never the other way round.
    #[inline]
    pub(super) fn may_be_live(&self, record: Record) -> bool {
        let index = record.entry() as usize;
        self.segments[index / SEGMENT].tags[index % SEGMENT] == record.stamp() as u8
    }

    /// Loads what firing a record needs into the cache. The result means nothing; it keeps the
    /// loads from being optimised away.
    #[inline]
    pub(super) fn touch(&self, record: Record) -> u32 {
        let index = record.entry();
        let tag = self.segments[index as usize / SEGMENT].tags[index as usize % SEGMENT];
        self.entry(index).last_stamp() ^ u32::from(tag) ^ self.vacancies.touch(index)
    }

    /// The timer of a live record.
    pub(super) fn timer(&self, record: Record) -> Option<(Handle, &T)> {
        let entry = self.entry(record.entry());
        let handle = entry.handle_of(record)?;
        match entry {
            Entry::Live { value, .. } => Some((handle, value)),
            Entry::Vacant { .. } => None,
        }
    }

    /// Panics unless counts, vacancies and entries agree.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.vacancies.check_invariants(), self.free());
        let mut live = 0;
        let segments = self.segments.iter();
        let entries = segments.flat_map(|segment| segment.entries.iter().zip(&*segment.tags));
        let mut count = 0;
        for (index, (entry, &tag)) in (0..).zip(entries) {
            count += 1;
            let place = index - self.open.base.min(index);
            let open = index >= self.open.base && place < 64 && self.open.free >> place & 1 == 1;
            let vacant = self.vacancies.contains(index);
            assert!(!(open && vacant), "entry {index} is vacant twice");
            match entry {
                Entry::Live { stamp, birth, .. } => {
                    live += 1;
                    assert!(!open && !vacant, "entry {index} is used twice");
                    assert!(stamp.get() >= *birth && *birth > 0, "no birth {birth}");
                    assert!(*birth <= RETIRED, "a life too many");
                    assert_eq!(tag, stamp.get() as u8, "the tag of {stamp}");
                }
                Entry::Vacant { last } => {
                    assert_eq!(open || vacant, *last < RETIRED, "entry {index} is lost");
                    assert_eq!(tag, next_tag(*last), "the tag after {last}");
                }
            }
        }
        assert_eq!(count, self.capacity, "entries");
        assert_eq!(live, self.live, "live entries");
    }

    #[inline]
    fn entry(&self, index: u32) -> &Entry<T> {
        &self.segments[index as usize / SEGMENT].entries[index as usize % SEGMENT]
    }

    #[inline]
    fn entry_mut(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.segments[index as usize / SEGMENT].entries[index as usize % SEGMENT]
    }

    /// The entry of a handle that is not inert.
    #[inline]
    fn named(&self, handle: Handle) -> Option<&Entry<T>> {
        let index = handle.index() as usize;
        let segment = self.segments.get(index / SEGMENT)?;
        let entry = segment.entries.get(index % SEGMENT)?;
        entry.is_born(handle).then_some(entry)
    }

    #[inline]
    fn named_mut(&mut self, handle: Handle) -> Option<&mut Entry<T>> {
        let index = handle.index() as usize;
        let segment = self.segments.get_mut(index / SEGMENT)?;
        let entry = segment.entries.get_mut(index % SEGMENT)?;
        entry.is_born(handle).then_some(entry)
    }

    /// Makes an entry that was just vacated free for another timer.
    #[inline]
    fn reclaim(&mut self, index: u32, last: u32) {
        self.live -= 1;
        if last < RETIRED {
            self.vacancies.add(index);
        } else {
            self.retired += 1;
        }
    }

    /// Entries that are free and not in the open word.
    fn free(&self) -> usize {
        self.capacity - self.live - self.retired - self.open.free.count_ones() as usize
    }

    /// Opens the next word: a used one, else new entries.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        if let Some(word) = self.vacancies.take(self.free()) {
            self.open = word;
        } else if self.capacity < LIMIT {
            self.grow();
        } else {
            let word = self.vacancies.take_any();
            self.open = word.unwrap_or_else(|| panic!("a wheel holds at most {LIMIT} timers"));
        }
    }

    /// Opens a word of entries that were never used.
    fn grow(&mut self) {
        if self.capacity.is_multiple_of(SEGMENT) {
            self.segments.push(Segment {
                entries: Vec::with_capacity(SEGMENT),
                tags: Box::new([next_tag(0); SEGMENT]),
            });
        }
        if let Some(segment) = self.segments.last_mut() {
            let fresh = std::iter::repeat_with(|| Entry::Vacant { last: 0 });
            segment.entries.extend(fresh.take(WORD));
        }
        self.vacancies.push_word();
        self.open = Open {
            base: self.capacity as u32,
            free: u64::MAX,
        };
        self.capacity += WORD;
    }
}

impl<T> Entry<T> {
    /// The last stamp used.
    #[inline]
    const fn last_stamp(&self) -> u32 {
        match self {
            Self::Vacant { last } => *last,
            Self::Live { stamp, .. } => stamp.get(),
        }
    }

    /// The stamp of the live record, 0 where there is none.
    #[inline]
    const fn stamp(&self) -> u32 {
        match self {
            Self::Vacant { .. } => 0,
            Self::Live { stamp, .. } => stamp.get(),
        }
    }

    #[inline]
    fn is_born(&self, handle: Handle) -> bool {
        matches!(self, Self::Live { birth, .. } if *birth == handle.birth().get())
    }

    /// The handle of the timer that a record stands for, if it is live.
    #[inline]
    fn handle_of(&self, record: Record) -> Option<Handle> {
        match self {
            Self::Live { stamp, birth, .. } if stamp.get() == record.stamp() => {
                Some(Handle::new(record.entry(), NonZeroU32::new(*birth)?))
            }
            _ => None,
        }
    }

    /// Takes the value out; the last stamp with it.
    #[inline]
    fn vacate(&mut self) -> Option<(u32, T)> {
        let last = self.last_stamp();
        match std::mem::replace(self, Self::Vacant { last }) {
            Self::Live { value, .. } => Some((last, value)),
            Self::Vacant { .. } => None,
        }
    }
}

/// The tag of an entry whose next record will be the first live one.
#[inline]
const fn next_tag(last: u32) -> u8 {
    last.wrapping_add(1) as u8
}

#[cfg(test)]
impl<T> Entries<T> {
    /// Puts the stamp of a live entry where a test wants it; returns the record that carries it.
    pub(super) fn restamp(&mut self, handle: Handle, due: u64, to: u32) -> Record {
        if let Some(Entry::Live { stamp, .. }) = self.named_mut(handle) {
            *stamp = NonZeroU32::new(to).expect("a stamp is not 0");
        }
        let index = handle.index() as usize;
        self.segments[index / SEGMENT].tags[index % SEGMENT] = to as u8;
        Record::new(due, handle.index(), to)
    }
}

#[cfg(test)]
mod tests;
