//! The slab of entries: who is scheduled, until when, with which value.
//!
//! Entries live in segments of fixed size that are filled from the front and never move, so growth
//! costs one allocation of a segment and no copy. An entry carries two numbers that only rise:
//!
//! - its **generation** goes into the [`Handle`] and rises when the entry is given up (fired or
//!   cancelled), which makes every older handle inert;
//! - its **arming number** goes into the record that waits in the wheel and rises whenever that
//!   record loses its meaning (fired, cancelled, rescheduled). A record is live if and only if its
//!   number equals the entry's.
//!
//! Two numbers, because a reschedule keeps the handle but not the record. Neither wraps: an entry
//! that comes to the last value of one is retired, that is, never used again. 32 bits of either
//! last for four thousand million lives of one entry.
//!
//! **Reuse goes in address order within the emptiest segment.** Entries are small, so a fresh timer
//! after a fresh timer shares its cache line and page; taking the entry that was freed last instead
//! scatters young timers over all of memory (measured: 110 ns a schedule against 30). Vacant
//! entries are bits, 64 to a word; a whole word is taken out at a time and used up bit by bit.

use super::chunks::Record;
use super::handle::Handle;

/// Entries a segment. Large enough that choosing the emptiest of all segments, a scan over one
/// small count a segment, is nothing beside the entries the choice yields; small enough that a
/// wheel of few timers stays small (pages not yet used cost nothing).
const SEGMENT: usize = 4096;
const SEGMENT_BITS: u32 = SEGMENT.trailing_zeros();
const WORDS: usize = SEGMENT / 64;

/// A segment less than one in so many of whose entries are vacant is left alone while memory can
/// grow: searching it would cost more than it yields, and scatter what is scheduled.
const WORTHWHILE: usize = 8;

/// Most entries a wheel can hold. Half of what an index could name, so that the records, at most
/// about twice the timers, can be counted in 32 bits.
pub(super) const LIMIT: usize = 1 << 31;

/// The value no life and no record ever carries: an entry whose number comes to it is retired.
const EXHAUSTED: u32 = u32::MAX;

/// One timer: everything a cancel needs, side by side.
struct Entry<T> {
    due: u64,
    generation: u32,
    arming: u32,
    /// `None` in a vacant or retired entry.
    value: Option<T>,
}

struct Segment<T> {
    /// Filled from the front as the need arises, up to `SEGMENT`; its memory is set aside at once
    /// and never moves.
    entries: Vec<Entry<T>>,
    /// One bit an entry, set while it is vacant and not in `Entries::open`.
    vacant: Box<[u64; WORDS]>,
}

/// The slab.
pub(super) struct Entries<T> {
    segments: Vec<Segment<T>>,
    /// Bits set in each segment's `vacant`; apart from the segments so that the search for the
    /// emptiest streams over it.
    vacancies: Vec<u16>,
    /// The word of vacancies that is being used up, and the index of its first entry.
    open: u64,
    open_base: u32,
    /// The segment the open word came from and the first word of it not yet looked at.
    current: usize,
    next_word: usize,
    /// How many words of new entries to open until the segments are searched again: after a search
    /// in vain, as many as make its cost small beside theirs.
    patience: usize,
    /// Entries in use.
    live: usize,
    /// Entries that will never be used again.
    retired: usize,
}

impl<T> Entries<T> {
    pub(super) const fn new() -> Self {
        Self {
            segments: Vec::new(),
            vacancies: Vec::new(),
            open: 0,
            open_base: 0,
            current: 0,
            next_word: WORDS,
            patience: 0,
            live: 0,
            retired: 0,
        }
    }

    /// A slab with vacant entries for `timers`, their memory already touched.
    pub(super) fn with_capacity(timers: usize) -> Self {
        let mut entries = Self::new();
        let mut wanted = timers.min(LIMIT);
        while wanted > 0 {
            let count = wanted.min(SEGMENT);
            let segment = entries.add_segment();
            for slot in 0..count {
                entries.segments[segment].entries.push(Entry::vacant());
                entries.segments[segment].vacant[slot / 64] |= 1 << (slot % 64);
            }
            entries.vacancies[segment] = count as u16;
            wanted -= count;
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
        if self.open == 0 {
            self.refill();
        }
        let index = self.open_base + self.open.trailing_zeros();
        self.open &= self.open - 1;
        self.live += 1;
        let entry = self.entry_mut(index);
        debug_assert!(entry.value.is_none(), "a vacant entry holds no value");
        entry.due = due;
        entry.value = Some(value);
        let record = Record {
            due,
            entry: index,
            arming: entry.arming,
        };
        (Handle::new(index, entry.generation), record)
    }

    /// Takes the timer out: its due time and value.
    #[inline]
    pub(super) fn remove(&mut self, handle: Handle) -> Option<(u64, T)> {
        let entry = self.named_mut(handle)?;
        let value = entry.value.take()?;
        let due = entry.due;
        self.vacate(handle.index());
        Some((due, value))
    }

    /// Takes the timer of a record out, if the record is live.
    #[inline]
    pub(super) fn fire(&mut self, record: Record) -> Option<(Handle, T)> {
        let entry = self.entry_mut(record.entry);
        if entry.arming != record.arming {
            return None;
        }
        let handle = Handle::new(record.entry, entry.generation);
        let value = entry.value.take()?;
        self.vacate(record.entry);
        Some((handle, value))
    }

    /// Gives the timer a new due time and arming number; returns the old due time and the new
    /// record.
    ///
    /// `None` where the handle is inert. Call [`arming_is_exhausted`](Self::arming_is_exhausted)
    /// first.
    #[inline]
    pub(super) fn rearm(&mut self, handle: Handle, due: u64) -> Option<(u64, Record)> {
        let entry = self.named_mut(handle)?;
        debug_assert!(
            entry.arming + 1 < EXHAUSTED,
            "the numbers start anew before they run out"
        );
        entry.arming += 1;
        let old = std::mem::replace(&mut entry.due, due);
        Some((
            old,
            Record {
                due,
                entry: handle.index(),
                arming: entry.arming,
            },
        ))
    }

    /// Whether the next [`rearm`](Self::rearm) would run out of arming numbers.
    #[inline]
    pub(super) fn arming_is_exhausted(&self, handle: Handle) -> bool {
        self.named(handle)
            .is_some_and(|entry| entry.arming + 1 == EXHAUSTED)
    }

    /// Starts the arming numbers of one timer anew. Its record that waits now becomes stale, unless
    /// it carries the number 0; the caller has removed every stale record of this entry, and
    /// re-arms it next.
    pub(super) fn restart_arming(&mut self, handle: Handle) {
        if let Some(entry) = self.named_mut(handle) {
            entry.arming = 0;
        }
    }

    #[inline]
    pub(super) fn get(&self, handle: Handle) -> Option<&T> {
        self.named(handle)?.value.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        self.named_mut(handle)?.value.as_mut()
    }

    #[inline]
    pub(super) fn due(&self, handle: Handle) -> Option<u64> {
        self.named(handle).map(|entry| entry.due)
    }

    /// Whether the record still stands for a timer.
    #[inline]
    pub(super) fn is_live(&self, record: Record) -> bool {
        self.entry(record.entry).arming == record.arming
    }

    /// Loads the entry into the cache. The result means nothing; it keeps the load from being
    /// optimised away.
    #[inline]
    pub(super) fn touch(&self, record: Record) -> u32 {
        self.entry(record.entry).arming
    }

    /// Every live timer, by entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle, u64, &T)> {
        self.segments
            .iter()
            .enumerate()
            .flat_map(|(segment, content)| {
                content
                    .entries
                    .iter()
                    .enumerate()
                    .filter_map(move |(slot, entry)| {
                        let value = entry.value.as_ref()?;
                        Some((
                            Handle::new(index_of(segment, slot), entry.generation),
                            entry.due,
                            value,
                        ))
                    })
            })
    }

    /// Takes out the first live timer at or after entry `from`; returns it with the entry to go on
    /// from.
    pub(super) fn take_from(&mut self, from: usize) -> Option<(usize, Handle, u64, T)> {
        let (mut segment, mut slot) = (from >> SEGMENT_BITS, from & (SEGMENT - 1));
        while let Some(content) = self.segments.get_mut(segment) {
            while let Some(entry) = content.entries.get_mut(slot) {
                if let Some(value) = entry.value.take() {
                    let index = index_of(segment, slot);
                    let (handle, due) = (Handle::new(index, entry.generation), entry.due);
                    self.vacate(index);
                    return Some((index as usize + 1, handle, due, value));
                }
                slot += 1;
            }
            (segment, slot) = (segment + 1, 0);
        }
        None
    }

    /// Panics unless counts, vacancy bits and entries agree.
    pub(super) fn check_invariants(&self) {
        let mut live = 0;
        let mut total = 0;
        let mut vacant = self.open.count_ones() as usize;
        for (number, segment) in self.segments.iter().enumerate() {
            let bits: u32 = segment.vacant.iter().map(|word| word.count_ones()).sum();
            assert_eq!(
                bits,
                u32::from(self.vacancies[number]),
                "vacancies of segment {number}"
            );
            vacant += bits as usize;
            total += segment.entries.len();
            live += segment
                .entries
                .iter()
                .filter(|entry| entry.value.is_some())
                .count();
            for (slot, entry) in segment.entries.iter().enumerate() {
                let index = index_of(number, slot);
                let in_map = segment.vacant[slot / 64] >> (slot % 64) & 1 == 1;
                let open = index >= self.open_base
                    && index - self.open_base < 64
                    && self.open >> (index - self.open_base) & 1 == 1;
                assert!(!(in_map && open), "entry {index} is vacant twice");
                let idle = entry.value.is_none();
                assert!(
                    idle || !(in_map || open),
                    "entry {index} is vacant and in use"
                );
                assert!(
                    idle || entry.arming < EXHAUSTED,
                    "entry {index} is armed with a number that means nothing"
                );
                assert!(
                    idle || entry.generation < EXHAUSTED,
                    "entry {index} lives past its generations"
                );
            }
        }
        assert_eq!(live, self.live, "live entries");
        assert_eq!(
            live + vacant + self.retired,
            total,
            "every entry is live, vacant or retired"
        );
    }

    #[inline]
    fn entry(&self, index: u32) -> &Entry<T> {
        &self.segments[(index >> SEGMENT_BITS) as usize].entries[index as usize & (SEGMENT - 1)]
    }

    #[inline]
    fn entry_mut(&mut self, index: u32) -> &mut Entry<T> {
        &mut self.segments[(index >> SEGMENT_BITS) as usize].entries[index as usize & (SEGMENT - 1)]
    }

    /// The entry of a handle that is not inert. A vacant entry's generation is in no handle yet, a
    /// retired one's never will be.
    #[inline]
    fn named(&self, handle: Handle) -> Option<&Entry<T>> {
        let segment = self
            .segments
            .get((handle.index() >> SEGMENT_BITS) as usize)?;
        let entry = segment
            .entries
            .get(handle.index() as usize & (SEGMENT - 1))?;
        (entry.generation == handle.generation()).then_some(entry)
    }

    #[inline]
    fn named_mut(&mut self, handle: Handle) -> Option<&mut Entry<T>> {
        let segment = self
            .segments
            .get_mut((handle.index() >> SEGMENT_BITS) as usize)?;
        let entry = segment
            .entries
            .get_mut(handle.index() as usize & (SEGMENT - 1))?;
        (entry.generation == handle.generation()).then_some(entry)
    }

    /// Ends the life of an entry whose value was just taken.
    #[inline]
    fn vacate(&mut self, index: u32) {
        self.live -= 1;
        let number = (index >> SEGMENT_BITS) as usize;
        let slot = index as usize & (SEGMENT - 1);
        let segment = &mut self.segments[number];
        let entry = &mut segment.entries[slot];
        entry.generation += 1;
        entry.arming += 1;
        if entry.generation == EXHAUSTED || entry.arming == EXHAUSTED {
            self.retired += 1;
            return;
        }
        segment.vacant[slot / 64] |= 1 << (slot % 64);
        self.vacancies[number] += 1;
    }

    /// Opens the next word of vacancies: of the current segment, else of the emptiest, else of new
    /// entries.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        if self.open_next_word() {
            return;
        }
        let room = self.room_to_grow();
        if self.patience > 0 && room {
            self.patience -= 1;
            return self.grow();
        }
        // Two passes, as a plain maximum is one the compiler vectorises. The first of equals: low
        // addresses fill up before high ones.
        let most = self.vacancies.iter().copied().max().unwrap_or(0);
        if let Some(segment) = self
            .vacancies
            .iter()
            .position(|&vacancies| vacancies == most)
        {
            let entries = self.segments[segment].entries.len();
            let worthwhile = most > 0 && usize::from(most) * WORTHWHILE >= entries;
            if worthwhile || (most > 0 && !room) {
                (self.current, self.next_word) = (segment, 0);
                let found = self.open_next_word();
                debug_assert!(found, "a segment with vacancies has a word with one");
                return;
            }
        }
        assert!(room, "a wheel holds at most {LIMIT} timers");
        self.patience = self.segments.len() / WORTHWHILE;
        self.grow();
    }

    /// Takes the current segment's next word with a vacancy out of the map.
    fn open_next_word(&mut self) -> bool {
        let Some(segment) = self.segments.get_mut(self.current) else {
            return false;
        };
        while self.next_word < WORDS {
            let word = self.next_word;
            self.next_word += 1;
            if segment.vacant[word] != 0 {
                self.open = std::mem::take(&mut segment.vacant[word]);
                self.open_base = index_of(self.current, word * 64);
                self.vacancies[self.current] -= self.open.count_ones() as u16;
                return true;
            }
        }
        false
    }

    fn room_to_grow(&self) -> bool {
        let partial = self
            .segments
            .last()
            .is_some_and(|segment| segment.entries.len() < SEGMENT);
        partial || self.segments.len() < LIMIT / SEGMENT
    }

    /// Opens up to 64 entries that were never used.
    fn grow(&mut self) {
        let partial = self
            .segments
            .last()
            .is_some_and(|segment| segment.entries.len() < SEGMENT);
        let number = if partial {
            self.segments.len() - 1
        } else {
            self.add_segment()
        };
        let entries = &mut self.segments[number].entries;
        let first = entries.len();
        // Up to the end of a word, so that the open word never straddles two.
        let count = 64 - first % 64;
        entries.extend(std::iter::repeat_with(Entry::vacant).take(count));
        self.open = u64::MAX >> (64 - count);
        self.open_base = index_of(number, first);
    }

    fn add_segment(&mut self) -> usize {
        self.segments.push(Segment {
            entries: Vec::with_capacity(SEGMENT),
            vacant: Box::new([0; WORDS]),
        });
        self.vacancies.push(0);
        self.segments.len() - 1
    }
}

impl<T> Entry<T> {
    const fn vacant() -> Self {
        Self {
            due: 0,
            generation: 1,
            arming: 0,
            value: None,
        }
    }
}

#[inline]
fn index_of(segment: usize, slot: usize) -> u32 {
    ((segment << SEGMENT_BITS) | slot) as u32
}

#[cfg(test)]
impl<T> Entries<T> {
    /// Puts the numbers of a live entry where a test wants them; returns the handle and record that
    /// carry them.
    pub(super) fn renumber(
        &mut self,
        handle: Handle,
        generation: u32,
        arming: u32,
    ) -> (Handle, Record) {
        let entry = self.entry_mut(handle.index());
        (entry.generation, entry.arming) = (generation, arming);
        (
            Handle::new(handle.index(), generation),
            Record {
                due: entry.due,
                entry: handle.index(),
                arming,
            },
        )
    }
}

#[cfg(test)]
mod tests;
