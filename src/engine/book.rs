//! The location book of one shard: what each location holds, so that listing, holding, cancelling or
//! moving a location costs what the location holds, and not what the engine holds.
//!
//! A location has a page, and a page has lines, one for each of its requests: the number of the entry. Lines
//! lie in chunks of one cache line, and never move: an entry knows its line, so that leaving the page
//! touches that chunk and no other, and who walks a page goes by the numbers of its chunks, whatever comes
//! and goes meanwhile. A line that was left is used again by the next arrival, and a chunk without lines is
//! given back. So nothing is ever compacted, and a page's lines take no more than a chunk for each request.

use super::endings::Endings;
use super::location::LocationControl;
use super::slab::{NONE, Slab};
use crate::ids::LocationId;
use crate::lifecycle::Why;
use crate::lifecycle::{Outcome, RequestState};
use crate::sync::Arc;

/// Lines a chunk: as many as fit into a cache line.
const LINES: usize = 11;
/// All lines of a chunk are free.
const ALL_FREE: u16 = (1 << LINES) - 1;
/// A line's number is its chunk's and, in so many bits, its place there.
const PLACE_BITS: u32 = 4;

/// Requests that one shard can hold: its chunks, one a request at the worst, can still be numbered.
pub(super) const REQUESTS_MAX: usize = 1 << (32 - PLACE_BITS);

/// Set in place of a chunk that was given back.
const GAP: u32 = 1 << 31;

/// The list of a page's chunks keeps its memory while the page is empty, if it is for no more than this.
const KEPT_MAX: usize = 1024;

/// Locations a part of the table of pages.
const PART: usize = 512;

/// Some lines of a page.
#[repr(align(64))]
struct Chunk {
    lines: [u32; LINES],
    page: u32,
    /// Where it stands among the page's chunks.
    ordinal: u32,
    /// Its neighbours among the page's chunks with a free line, where it is one.
    previous: u32,
    next: u32,
    /// A bit a line, set while the line is free.
    free: u16,
    /// Whether it is among those with a free line.
    is_open: bool,
}

/// What one shard knows of one location, in two cache lines.
#[repr(align(64))]
pub(super) struct Page {
    pub(super) location: LocationId,
    /// The first of its chunks with a free line.
    open: u32,
    pub(super) control: Arc<LocationControl>,
    /// Pending requests by state, in the order of [`RequestState`]; `Completed` is not counted here.
    counts: [u32; RequestState::PENDING],
    /// Its chunks by their ordinals. Where one was given back, the next such ordinal, marked as [`GAP`].
    chunks: Vec<u32>,
    /// The first ordinal without a chunk, or `NONE`.
    gap: u32,
    /// Requests completed since the engine, or its store, was made.
    endings: Endings,
}

impl Page {
    #[inline]
    pub(super) fn count(&self, state: RequestState) -> u32 {
        self.counts[state as usize]
    }

    /// Pending requests by state, in the order of [`RequestState`].
    pub(super) fn counts(&self) -> [u32; RequestState::PENDING] {
        self.counts
    }

    fn live(&self) -> usize {
        self.counts.iter().map(|&count| count as usize).sum()
    }

    /// Requests completed since the engine, or its store, was made, by outcome and reason.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Outcome, &Why, u64)> {
        self.endings.iter()
    }

    /// One past the last of its chunks: the bound of a walk.
    pub(super) fn end(&self) -> usize {
        self.chunks.len()
    }

    /// An ordinal for another chunk: one that was given back, else a new one.
    fn take_ordinal(&mut self) -> u32 {
        if self.gap == NONE {
            self.chunks.push(NONE);
            return self.chunks.len() as u32 - 1;
        }
        let ordinal = self.gap;
        self.gap = match self.chunks[ordinal as usize] {
            NONE => NONE,
            gap => gap & !GAP,
        };
        ordinal
    }

    fn give_ordinal_back(&mut self, ordinal: u32) {
        self.chunks[ordinal as usize] = self.gap | GAP;
        self.gap = ordinal;
        if self.live() == 0 {
            self.chunks.clear();
            self.gap = NONE;
            if self.chunks.capacity() > KEPT_MAX {
                self.chunks = Vec::new();
            }
        }
    }
}

/// The pages of one shard.
pub(super) struct Book {
    pages: Slab<Page>,
    chunks: Slab<Chunk>,
    /// By a location's number the number of its page, in parts that are made at their first use.
    table: Vec<Option<Box<[u32; PART]>>>,
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            pages: Slab::new(),
            chunks: Slab::new(),
            table: Vec::new(),
        }
    }

    /// How many pages there are; their numbers are 0 to one less.
    pub(super) fn pages(&self) -> u32 {
        self.pages.end()
    }

    pub(super) fn page_at(&self, number: u32) -> Option<&Page> {
        self.pages.get(number)
    }

    #[inline]
    pub(super) fn page(&self, location: LocationId) -> Option<&Page> {
        self.pages.get(self.number_of(location))
    }

    #[inline]
    fn number_of(&self, location: LocationId) -> u32 {
        let at = location.index() as usize;
        match self.table.get(at / PART) {
            Some(Some(part)) => part[at % PART],
            _ => NONE,
        }
    }

    /// Loads a location's page into the cache. The result means nothing.
    #[inline]
    pub(super) fn touch_page(&self, location: LocationId) -> u32 {
        self.page(location).map_or(0, |page| page.open)
    }

    /// Loads the chunk that an arrival at a location is entered in into the cache. The result means nothing.
    #[inline]
    pub(super) fn touch_open(&self, location: LocationId) -> u32 {
        let open = self.page(location).map_or(NONE, |page| page.open);
        let chunk = self.chunks.get(open);
        chunk.map_or(0, |chunk| u32::from(chunk.free))
    }

    /// Loads what a release and a departure from a location need into the cache. The result means nothing.
    #[inline]
    pub(super) fn touch_line(&self, location: LocationId, line: u32) -> u32 {
        let chunk = self.chunks.get(line >> PLACE_BITS);
        let chunk = chunk.map_or(0, |chunk| u32::from(chunk.free));
        let page = self.page(location);
        page.map_or(chunk, |page| chunk ^ page.counts[0] ^ page.endings.touch())
    }

    /// Opens a location's page at its first request in this shard.
    #[inline]
    pub(super) fn open(
        &mut self,
        location: LocationId,
        control: impl FnOnce() -> Arc<LocationControl>,
    ) {
        if self.number_of(location) == NONE {
            self.open_page(location, control());
        }
    }

    #[cold]
    fn open_page(&mut self, location: LocationId, control: Arc<LocationControl>) {
        let at = location.index() as usize;
        if self.table.len() <= at / PART {
            self.table.resize_with(at / PART + 1, || None);
        }
        let part = self.table[at / PART].get_or_insert_with(|| Box::new([NONE; PART]));
        part[at % PART] = self.pages.insert(Page {
            location,
            control,
            counts: [0; RequestState::PENDING],
            chunks: Vec::new(),
            gap: NONE,
            open: NONE,
            endings: Endings::default(),
        });
    }

    /// Enters an entry on its location's page, which must be open; returns its line. O(1).
    pub(super) fn enter(&mut self, location: LocationId, index: u32, state: RequestState) -> u32 {
        let number = self.number_of(location);
        let page = self.pages.get_mut(number).expect("the page is open");
        page.counts[state as usize] += 1;
        if page.open == NONE {
            let ordinal = page.take_ordinal();
            page.open = self.chunks.insert(Chunk {
                lines: [NONE; LINES],
                page: number,
                ordinal,
                previous: NONE,
                next: NONE,
                free: ALL_FREE,
                is_open: true,
            });
            page.chunks[ordinal as usize] = page.open;
        }
        let chunk_number = page.open;
        let chunk = self.chunks.get_mut(chunk_number);
        let chunk = chunk.expect("a page's chunks are there");
        let place = chunk.free.trailing_zeros();
        chunk.free &= chunk.free - 1;
        chunk.lines[place as usize] = index;
        if chunk.free == 0 {
            self.close_chunk(chunk_number);
        }
        chunk_number << PLACE_BITS | place
    }

    /// An entry on the page of `location` changes its state.
    #[inline]
    pub(super) fn change(&mut self, location: LocationId, from: RequestState, to: RequestState) {
        if from == to {
            return;
        }
        let number = self.number_of(location);
        if let Some(page) = self.pages.get_mut(number) {
            page.counts[from as usize] -= 1;
            page.counts[to as usize] += 1;
        }
    }

    /// An entry leaves its page. O(1).
    pub(super) fn leave(&mut self, line: u32, state: RequestState) {
        let chunk_number = line >> PLACE_BITS;
        let place = line & ((1 << PLACE_BITS) - 1);
        let chunk = self.chunks.get_mut(chunk_number);
        let chunk = chunk.expect("the chunk of a line is there");
        chunk.lines[place as usize] = NONE;
        chunk.free |= 1 << place;
        let (number, is_open, is_empty) = (chunk.page, chunk.is_open, chunk.free == ALL_FREE);
        if let Some(page) = self.pages.get_mut(number) {
            page.counts[state as usize] -= 1;
        }
        if !is_open {
            self.open_chunk(chunk_number);
        }
        if is_empty {
            self.give_back(chunk_number);
        }
    }

    /// Puts a chunk among those of its page with a free line.
    fn open_chunk(&mut self, number: u32) {
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        let Some(page) = self.pages.get_mut(chunk.page) else {
            return;
        };
        let first = std::mem::replace(&mut page.open, number);
        (chunk.is_open, chunk.previous, chunk.next) = (true, NONE, first);
        if let Some(next) = self.chunks.get_mut(first) {
            next.previous = number;
        }
    }

    /// Takes a chunk from among those of its page with a free line.
    fn close_chunk(&mut self, number: u32) {
        let Some(chunk) = self.chunks.get_mut(number) else {
            return;
        };
        chunk.is_open = false;
        let (page, previous, next) = (chunk.page, chunk.previous, chunk.next);
        if let Some(next) = self.chunks.get_mut(next) {
            next.previous = previous;
        }
        if let Some(previous) = self.chunks.get_mut(previous) {
            previous.next = next;
        } else if let Some(page) = self.pages.get_mut(page) {
            page.open = next;
        }
    }

    fn give_back(&mut self, number: u32) {
        self.close_chunk(number);
        let Some(chunk) = self.chunks.remove(number) else {
            return;
        };
        if let Some(page) = self.pages.get_mut(chunk.page) {
            page.give_ordinal_back(chunk.ordinal);
        }
    }

    /// Counts so many completions at a location whose page is open.
    pub(super) fn complete(
        &mut self,
        location: LocationId,
        outcome: Outcome,
        why: &Why,
        count: u64,
    ) {
        let number = self.number_of(location);
        if let Some(page) = self.pages.get_mut(number) {
            page.endings.add(outcome, why, count);
        }
    }

    /// The entries in the chunk of a page with this ordinal, each with its place there; nothing where it was
    /// given back.
    pub(super) fn lines<'a>(
        &'a self,
        page: &Page,
        ordinal: usize,
    ) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let number = page.chunks.get(ordinal).copied().unwrap_or(NONE);
        let lines = self.chunks.get(number).map(|chunk| &chunk.lines);
        let lines = (0..).zip(lines.into_iter().flatten().copied());
        lines.filter(|&(_, index)| index != NONE)
    }

    /// Panics unless counts, lines and the lists of chunks agree. `entry` tells an entry's location, line and
    /// state; `len` is their number.
    pub(super) fn check_invariants(
        &self,
        len: usize,
        entry: impl Fn(u32) -> Option<(LocationId, u32, RequestState)>,
    ) {
        let mut live = 0;
        let mut chunks = 0;
        for number in 0..self.pages() {
            let page = self.page_at(number).expect("pages stay");
            assert_eq!(self.number_of(page.location), number);
            let mut counts = [0; RequestState::PENDING];
            let (mut open, mut gaps) = (0, 0);
            for (ordinal, &chunk_number) in page.chunks.iter().enumerate() {
                let Some(chunk) = self.chunks.get(chunk_number) else {
                    assert!(chunk_number & GAP != 0);
                    gaps += 1;
                    continue;
                };
                chunks += 1;
                assert_eq!((chunk.page, chunk.ordinal as usize), (number, ordinal));
                assert_ne!(chunk.free, ALL_FREE, "a chunk without lines is given back");
                assert_eq!(chunk.is_open, chunk.free != 0);
                open += usize::from(chunk.is_open);
                for (place, &index) in (0..).zip(&chunk.lines) {
                    assert_eq!(chunk.free >> place & 1 == 1, index == NONE);
                    if index != NONE {
                        let (location, line, state) = entry(index).expect("lines are live");
                        assert_eq!(location, page.location);
                        assert_eq!(line, chunk_number << PLACE_BITS | place);
                        counts[state as usize] += 1;
                    }
                }
            }
            let mut at = page.open;
            let mut previous = NONE;
            while let Some(chunk) = self.chunks.get(at) {
                assert_eq!(chunk.previous, previous);
                open -= 1;
                (previous, at) = (at, chunk.next);
            }
            assert_eq!(open, 0, "every chunk with a free line is found");
            let mut at = page.gap;
            while at != NONE {
                gaps -= 1;
                at = match page.chunks[at as usize] {
                    NONE => NONE,
                    gap => gap & !GAP,
                };
            }
            assert_eq!(gaps, 0, "every ordinal without a chunk is found");
            assert_eq!(counts, page.counts, "of {:?}", page.location);
            live += page.live();
        }
        assert_eq!(live, len, "every entry stands in the book once");
        assert_eq!(chunks, self.chunks.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_documented() {
        assert_eq!(size_of::<Chunk>(), 64);
        assert_eq!(size_of::<Page>(), 128);
    }

    #[test]
    fn lines_keep_their_place_and_are_used_again() {
        let mut book = Book::new();
        let places = [3, 700].map(LocationId::from_index);
        for location in places {
            book.open(location, Arc::default);
        }
        let mut lines: Vec<(LocationId, u32)> = Vec::new();
        for index in 0..1_000 {
            let location = places[index as usize % 2];
            lines.push((
                location,
                book.enter(location, index, RequestState::Scheduled),
            ));
        }
        let check = |book: &Book, lines: &[(LocationId, u32)]| {
            let live = lines.iter().filter(|(_, line)| *line != NONE).count();
            book.check_invariants(live, |index| {
                let (location, line) = lines[index as usize];
                (line != NONE).then_some((location, line, RequestState::Scheduled))
            });
        };
        check(&book, &lines);
        for index in (0..1_000).filter(|index| index % 3 != 0) {
            book.leave(lines[index].1, RequestState::Scheduled);
            lines[index].1 = NONE;
        }
        check(&book, &lines);
        let chunks = book.chunks.end();
        for index in (0..1_000).filter(|index| index % 3 != 0) {
            let location = lines[index].0;
            let line = book.enter(
                location,
                u32::try_from(index).unwrap(),
                RequestState::Scheduled,
            );
            lines[index].1 = line;
        }
        check(&book, &lines);
        assert_eq!(book.chunks.end(), chunks, "nothing new was needed");
        for line in &mut lines {
            book.leave(line.1, RequestState::Scheduled);
            line.1 = NONE;
        }
        check(&book, &lines);
        assert_eq!(book.chunks.len(), 0, "all chunks are given back");
    }

    /// The list of chunks once grew by each chunk that came while the last one stayed.
    #[test]
    fn churn_does_not_lengthen_a_page() {
        let mut book = Book::new();
        let here = LocationId::from_index(0);
        book.open(here, Arc::default);
        let mut lines: Vec<u32> = (0..100)
            .map(|n| book.enter(here, n, RequestState::Scheduled))
            .collect();
        for round in 0..1_000 {
            // Whole chunks go, the first ones and the last ones in turn.
            let some = if round % 2 == 0 { 0..60 } else { 40..100 };
            for n in some.clone() {
                book.leave(lines[n], RequestState::Scheduled);
            }
            for n in some {
                lines[n] = book.enter(here, u32::try_from(n).unwrap(), RequestState::Scheduled);
            }
        }
        assert!(book.page(here).unwrap().end() <= 12);
        book.check_invariants(100, |n| {
            Some((here, lines[n as usize], RequestState::Scheduled))
        });
    }
}
