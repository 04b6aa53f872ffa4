//! Records and the chunks they are kept in.
//!
//! A [`Record`] stands for one arming of one timer. Slots hold records, not timers: moving a record
//! from slot to slot streams through two chunks and leaves the timer's entry alone, where a linked
//! list of timers would wait for one cache miss after another.
//!
//! Chunks are of one size, come out of one arena that never moves them, and go back to its free
//! list, the latest first: a chunk that was just read out is in the cache, and is the next to be
//! written. That makes "read a list out of its chunks and append what is kept to another" as good
//! as in place, whichever list is meant.
//!
//! Links and lengths are kept apart from the records: an append touches the list's own position
//! and the record's place, and nothing else until the chunk is full.

/// One arming of one timer. 16 bytes, in two words that are written and read as such: a record put
/// together from smaller pieces and then moved as a whole would wait for the pieces to reach the
/// cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) due: u64,
    /// The entry's number below, its stamp above.
    timer: u64,
}

impl Record {
    const BLANK: Self = Self { due: 0, timer: 0 };

    #[inline]
    pub(super) const fn new(due: u64, entry: u32, stamp: u32) -> Self {
        Self {
            due,
            timer: (stamp as u64) << 32 | entry as u64,
        }
    }

    /// Number of the entry.
    #[inline]
    pub(super) const fn entry(self) -> u32 {
        self.timer as u32
    }

    /// The record is live if and only if the entry still carries this number.
    #[inline]
    pub(super) const fn stamp(self) -> u32 {
        (self.timer >> 32) as u32
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}s{}", self.entry(), self.due, self.stamp())
    }
}

/// Records a chunk: 1 KiB, sixteen cache lines. Longer chunks would waste more in the many slots
/// that hold few records, shorter ones would break up the streams.
pub(super) const CHUNK: usize = 64;

/// Chunks a segment: 64 KiB of records, so growth is one modest allocation and never a copy.
const SEGMENT: usize = 64;

/// Bits of a record's position that name its place in the chunk, and in the segment.
const IN_CHUNK: u32 = CHUNK.trailing_zeros();
const IN_SEGMENT: u32 = IN_CHUNK + SEGMENT.trailing_zeros();

/// No chunk: the end of a list.
const NONE: u32 = u32::MAX;

/// What follows a chunk, and how many records it holds. The length of a list's last chunk is known
/// from the list, so it is set only when another chunk follows.
#[derive(Clone, Copy)]
struct Link {
    next: u32,
    len: u32,
    /// When the chunk was put to its list, by `Chunks::clock`.
    begun: u32,
}

impl Link {
    const NOTHING: Self = Self {
        next: NONE,
        len: 0,
        begun: 0,
    };
}

struct Segment {
    /// Filled chunk by chunk as the need arises; its memory is set aside at once and never moves.
    records: Vec<Record>,
    links: Box<[Link; SEGMENT]>,
}

/// A list of records in order of intake. Any chunk of it may be partly filled, so that two lists
/// join in one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    /// The first chunk.
    head: u32,
    /// Position of the last record, counted over all segments. In an empty list, one before the
    /// first of all: the next record would begin a chunk, as it would where the last is full.
    last: u32,
    count: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self {
        head: NONE,
        last: u32::MAX,
        count: 0,
    };

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.count as usize
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    const fn tail(&self) -> u32 {
        self.last >> IN_CHUNK
    }

    const fn tail_len(&self) -> u32 {
        (self.last & (CHUNK as u32 - 1)) + 1
    }
}

/// What one chunk held, copied out of the arena.
pub(super) struct Taken {
    records: [Record; CHUNK],
    len: usize,
}

impl Taken {
    #[inline]
    pub(super) fn records(&self) -> &[Record] {
        &self.records[..self.len]
    }

    /// One bit a record that passes the test, the first lowest. Free of branches: the test is a load
    /// that often misses, and a branch on it would hold up the loads behind it.
    #[inline]
    pub(super) fn select(&self, mut keep: impl FnMut(Record) -> bool) -> u64 {
        let mut selected = 0;
        for (at, &record) in self.records().iter().enumerate() {
            selected |= u64::from(keep(record)) << at;
        }
        selected
    }

    /// Calls with each selected record, in order.
    #[inline]
    pub(super) fn for_each(&self, mut selected: u64, mut call: impl FnMut(Record)) {
        while selected != 0 {
            call(self.records[selected.trailing_zeros() as usize % CHUNK]);
            selected &= selected - 1;
        }
    }
}

/// The arena.
pub(super) struct Chunks {
    segments: Vec<Segment>,
    /// First of the free chunks, linked like a list.
    free: u32,
    /// Chunks in all segments together.
    total: usize,
    /// Records in all lists together.
    held: usize,
    /// Counts the chunks put to lists; wraps.
    clock: u32,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self {
            segments: Vec::new(),
            free: NONE,
            total: 0,
            held: 0,
            clock: 0,
        }
    }

    /// An arena with free chunks for `records` in full chunks, their memory already touched.
    pub(super) fn with_capacity(records: usize) -> Self {
        let mut chunks = Self::new();
        for _ in 0..records.div_ceil(CHUNK) {
            let chunk = chunks.grow();
            let free = chunks.free;
            chunks.link_mut(chunk).next = free;
            chunks.free = chunk;
        }
        chunks
    }

    /// Records in all lists together.
    #[inline]
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// How many chunks were put to lists since the first of this one was. 0 for an empty list.
    pub(super) fn age(&self, list: &List) -> usize {
        if list.is_empty() {
            return 0;
        }
        self.clock.wrapping_sub(self.link(list.head).begun) as usize
    }

    /// Appends a record; true where that took a new chunk, the occasion for work that is due once
    /// in a while.
    #[inline]
    pub(super) fn append(&mut self, list: &mut List, record: Record) -> bool {
        let mut at = list.last.wrapping_add(1);
        let grown = at & (CHUNK as u32 - 1) == 0;
        if grown {
            at = self.extend(list);
        }
        list.last = at;
        list.count += 1;
        self.held += 1;
        self.segments[(at >> IN_SEGMENT) as usize].records[place_in_segment(at)] = record;
        grown
    }

    /// Takes the first chunk off the list and frees it.
    #[inline]
    pub(super) fn take(&mut self, list: &mut List) -> Option<Taken> {
        let head = list.head;
        if head == NONE {
            return None;
        }
        let is_last = head == list.tail();
        let Link { next, len, .. } = *self.link(head);
        let len = if is_last { list.tail_len() } else { len };
        let mut taken = Taken {
            records: [Record::BLANK; CHUNK],
            len: len as usize,
        };
        taken.records.copy_from_slice(self.chunk(head));
        if is_last {
            *list = List::EMPTY;
        } else {
            list.head = next;
            list.count -= len;
        }
        self.held -= len as usize;
        self.link_mut(head).next = self.free;
        self.free = head;
        Some(taken)
    }

    /// Moves all of `back` behind `front`, in one step.
    pub(super) fn join(&mut self, front: &mut List, back: &mut List) {
        if front.is_empty() {
            *front = *back;
        } else if !back.is_empty() {
            let tail = self.link_mut(front.tail());
            (tail.next, tail.len) = (back.head, front.tail_len());
            front.last = back.last;
            front.count += back.count;
        }
        *back = List::EMPTY;
    }

    /// Frees a whole list, in one step.
    pub(super) fn release(&mut self, list: &mut List) {
        if !list.is_empty() {
            self.held -= list.len();
            self.link_mut(list.tail()).next = std::mem::replace(&mut self.free, list.head);
            *list = List::EMPTY;
        }
    }

    /// The records of a list, in order.
    pub(super) fn iter(&self, list: &List) -> impl Iterator<Item = Record> {
        let (mut at, list) = (list.head, *list);
        std::iter::from_fn(move || {
            if at == NONE {
                return None;
            }
            let records = self.chunk(at);
            if at == list.tail() {
                at = NONE;
                return Some(&records[..list.tail_len() as usize]);
            }
            let Link { next, len, .. } = *self.link(at);
            at = next;
            Some(&records[..len as usize])
        })
        .flatten()
        .copied()
    }

    /// Number of chunks a list takes.
    pub(super) fn chunks_of(&self, list: &List) -> usize {
        if list.is_empty() {
            return 0;
        }
        let following = |&at: &u32| (at != list.tail()).then(|| self.link(at).next);
        std::iter::successors(Some(list.head), following).count()
    }

    /// Chunks that are in some list. Walks the free list.
    pub(super) fn in_use(&self) -> usize {
        let following = |&at: &u32| Some(self.link(at).next).filter(|&next| next != NONE);
        let first = Some(self.free).filter(|&first| first != NONE);
        self.total - std::iter::successors(first, following).count()
    }

    /// Puts a chunk at the end of the list; the position of its first record.
    #[cold]
    #[inline(never)]
    fn extend(&mut self, list: &mut List) -> u32 {
        let chunk = if self.free == NONE {
            self.grow()
        } else {
            let chunk = self.free;
            self.free = self.link(chunk).next;
            chunk
        };
        if list.is_empty() {
            list.head = chunk;
        } else {
            let tail = self.link_mut(list.tail());
            (tail.next, tail.len) = (chunk, list.tail_len());
        }
        self.clock = self.clock.wrapping_add(1);
        self.link_mut(chunk).begun = self.clock;
        chunk << IN_CHUNK
    }

    /// A chunk that was never used.
    fn grow(&mut self) -> u32 {
        // The last chunk there could be stays unused: its last position means "before the first".
        assert!(
            self.total < (NONE >> IN_CHUNK) as usize,
            "the records of a wheel fit into 2^32 places"
        );
        if self.total.is_multiple_of(SEGMENT) {
            self.segments.push(Segment {
                records: Vec::with_capacity(SEGMENT * CHUNK),
                links: Box::new([Link::NOTHING; SEGMENT]),
            });
        }
        if let Some(segment) = self.segments.last_mut() {
            segment
                .records
                .extend(std::iter::repeat_n(Record::BLANK, CHUNK));
        }
        self.total += 1;
        self.total as u32 - 1
    }

    #[inline]
    fn chunk(&self, chunk: u32) -> &[Record] {
        let place = place_in_segment(chunk << IN_CHUNK);
        &self.segments[chunk as usize / SEGMENT].records[place..place + CHUNK]
    }

    #[inline]
    fn link(&self, chunk: u32) -> &Link {
        &self.segments[chunk as usize / SEGMENT].links[chunk as usize % SEGMENT]
    }

    #[inline]
    fn link_mut(&mut self, chunk: u32) -> &mut Link {
        &mut self.segments[chunk as usize / SEGMENT].links[chunk as usize % SEGMENT]
    }
}

#[inline]
const fn place_in_segment(position: u32) -> usize {
    position as usize & (SEGMENT * CHUNK - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(due: u64) -> Record {
        Record::new(due, due as u32, 1)
    }

    fn dues(chunks: &Chunks, list: &List) -> Vec<u64> {
        chunks.iter(list).map(|record| record.due).collect()
    }

    #[test]
    fn a_record_is_a_quarter_of_a_cache_line() {
        assert_eq!(size_of::<Record>(), 16);
        let record = Record::new(7, u32::MAX, u32::MAX - 1);
        assert_eq!(
            (record.due, record.entry(), record.stamp()),
            (7, u32::MAX, u32::MAX - 1)
        );
    }

    #[test]
    fn lists_keep_their_order_through_append_take_and_join() {
        let mut chunks = Chunks::new();
        let (mut front, mut back) = (List::EMPTY, List::EMPTY);
        for due in 0..100 {
            chunks.append(&mut front, record(due));
        }
        for due in 100..250 {
            chunks.append(&mut back, record(due));
        }
        chunks.join(&mut front, &mut back);
        assert!(back.is_empty());
        assert_eq!(front.len(), 250);
        assert_eq!(dues(&chunks, &front), (0..250).collect::<Vec<_>>());
        // The chunk in the middle is partly filled; appending goes on at the very end.
        chunks.append(&mut front, record(250));
        assert_eq!(chunks.held(), 251);
        assert_eq!(chunks.chunks_of(&front), chunks.in_use());
        let mut seen = Vec::new();
        while let Some(taken) = chunks.take(&mut front) {
            let even = taken.select(|record| record.due % 2 == 0);
            taken.for_each(even, |record| seen.push(record.due));
        }
        assert_eq!(seen, (0..=250).step_by(2).collect::<Vec<_>>());
        assert!(front.is_empty());
        assert_eq!((chunks.in_use(), chunks.held()), (0, 0));
    }

    #[test]
    fn the_age_of_a_list_is_that_of_its_first_chunk() {
        let mut chunks = Chunks::new();
        let (mut first, mut other) = (List::EMPTY, List::EMPTY);
        assert_eq!(chunks.age(&first), 0);
        chunks.append(&mut first, record(1));
        assert_eq!(chunks.age(&first), 0);
        for due in 0..3 * CHUNK as u64 {
            chunks.append(&mut other, record(due));
        }
        assert_eq!((chunks.age(&first), chunks.age(&other)), (3, 2));
    }

    #[test]
    fn an_empty_list_joins_on_either_side() {
        let mut chunks = Chunks::new();
        let (mut empty, mut list) = (List::EMPTY, List::EMPTY);
        chunks.append(&mut list, record(1));
        chunks.join(&mut list, &mut empty);
        assert_eq!(dues(&chunks, &list), [1]);
        chunks.join(&mut empty, &mut list);
        assert_eq!(dues(&chunks, &empty), [1]);
        assert!(list.is_empty());
    }

    #[test]
    fn freed_chunks_are_used_before_new_ones() {
        let mut chunks = Chunks::with_capacity(1000);
        let total = chunks.total;
        let mut list = List::EMPTY;
        for round in 0..10 {
            for due in 0..1000 {
                chunks.append(&mut list, record(round + due));
            }
            chunks.release(&mut list);
        }
        assert_eq!((chunks.total, chunks.held()), (total, 0));
    }
}
