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

/// One arming of one timer. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) due: u64,
    /// Index of the entry.
    pub(super) entry: u32,
    /// The record is live if and only if the entry still carries this number.
    pub(super) arming: u32,
}

impl Record {
    const BLANK: Self = Self {
        due: 0,
        entry: 0,
        arming: 0,
    };
}

/// Records a chunk: with the link and the length, 512 bytes. Longer chunks would waste more in the
/// many slots that hold few records, shorter ones would break up the streams.
pub(super) const CHUNK: usize = 31;

/// Chunks a segment: 64 KiB, so growth is one modest allocation and never a copy.
const SEGMENT: usize = 128;
const SEGMENT_BITS: u32 = SEGMENT.trailing_zeros();

/// No chunk: the end of a list.
const NONE: u32 = u32::MAX;

/// A run of records and the link to the next. Aligned to cache lines, so that a full one is eight
/// of them.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Chunk {
    records: [Record; CHUNK],
    next: u32,
    len: u32,
}

/// A list of records in order of intake. Any chunk of it may be partly filled, so that two lists
/// join in one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
    count: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
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

    /// Drops the records that fail the test. Free of branches: the test is a load that often
    /// misses, and a branch on it would hold up the loads behind it.
    #[inline]
    pub(super) fn retain(&mut self, mut keep: impl FnMut(Record) -> bool) {
        let mut kept = 0;
        for at in 0..self.len {
            let record = self.records[at];
            self.records[kept] = record;
            kept += usize::from(keep(record));
        }
        self.len = kept;
    }
}

/// The arena.
pub(super) struct Chunks {
    segments: Vec<Vec<Chunk>>,
    /// First of the free chunks, linked like a list.
    free: u32,
    /// Chunks in all segments together.
    total: usize,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self {
            segments: Vec::new(),
            free: NONE,
            total: 0,
        }
    }

    /// An arena with free chunks for `records` in full chunks, their memory already touched.
    pub(super) fn with_capacity(records: usize) -> Self {
        let mut chunks = Self::new();
        let mut list = List::EMPTY;
        for _ in 0..records.div_ceil(CHUNK) {
            let chunk = chunks.allocate();
            chunks.link(&mut list, chunk);
        }
        chunks.release(&mut list);
        chunks
    }

    /// Appends a record; true where that took a new chunk, the occasion for work that is due once
    /// in a while.
    #[inline]
    pub(super) fn append(&mut self, list: &mut List, record: Record) -> bool {
        let mut grown = false;
        if list.tail == NONE || self.chunk(list.tail).len as usize == CHUNK {
            let chunk = self.allocate();
            self.link(list, chunk);
            grown = true;
        }
        let tail = self.chunk_mut(list.tail);
        tail.records[tail.len as usize] = record;
        tail.len += 1;
        list.count += 1;
        grown
    }

    /// Appends records in order.
    pub(super) fn append_all(&mut self, list: &mut List, mut records: &[Record]) {
        while !records.is_empty() {
            if list.tail == NONE || self.chunk(list.tail).len as usize == CHUNK {
                let chunk = self.allocate();
                self.link(list, chunk);
            }
            let tail = self.chunk_mut(list.tail);
            let at = tail.len as usize;
            let (now, later) = records.split_at(records.len().min(CHUNK - at));
            tail.records[at..at + now.len()].copy_from_slice(now);
            tail.len += now.len() as u32;
            list.count += now.len() as u32;
            records = later;
        }
    }

    /// Takes the first chunk off the list and frees it.
    #[inline]
    pub(super) fn take(&mut self, list: &mut List) -> Option<Taken> {
        let head = list.head;
        if head == NONE {
            return None;
        }
        let chunk = self.chunk_mut(head);
        let taken = Taken {
            records: chunk.records,
            len: chunk.len as usize,
        };
        list.head = chunk.next;
        list.count -= chunk.len;
        if list.head == NONE {
            *list = List::EMPTY;
        }
        self.chunk_mut(head).next = std::mem::replace(&mut self.free, head);
        Some(taken)
    }

    /// Moves all of `back` behind `front`, in one step.
    pub(super) fn join(&mut self, front: &mut List, back: &mut List) {
        if front.tail == NONE {
            *front = *back;
        } else if back.head != NONE {
            self.chunk_mut(front.tail).next = back.head;
            front.tail = back.tail;
            front.count += back.count;
        }
        *back = List::EMPTY;
    }

    /// Frees a whole list, in one step.
    pub(super) fn release(&mut self, list: &mut List) {
        if list.tail != NONE {
            self.chunk_mut(list.tail).next = std::mem::replace(&mut self.free, list.head);
            *list = List::EMPTY;
        }
    }

    /// The records of a list, in order.
    pub(super) fn iter(&self, list: &List) -> impl Iterator<Item = Record> {
        let mut at = list.head;
        std::iter::from_fn(move || {
            if at == NONE {
                return None;
            }
            let chunk = self.chunk(at);
            at = chunk.next;
            Some(&chunk.records[..chunk.len as usize])
        })
        .flatten()
        .copied()
    }

    /// Number of chunks a list takes.
    pub(super) fn chunks_of(&self, list: &List) -> usize {
        self.links(list.head)
    }

    /// Chunks that are in some list. Walks the free list.
    pub(super) fn in_use(&self) -> usize {
        self.total - self.links(self.free)
    }

    fn allocate(&mut self) -> u32 {
        if self.free != NONE {
            let chunk = self.free;
            self.free = self.chunk(chunk).next;
            return chunk;
        }
        self.grow()
    }

    #[cold]
    fn grow(&mut self) -> u32 {
        if self.total == self.segments.len() * SEGMENT {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        let chunk = u32::try_from(self.total)
            .ok()
            .filter(|&chunk| chunk != NONE);
        let chunk = chunk.expect("the records of a wheel fit into 2^32 chunks");
        self.segments[self.total / SEGMENT].push(Chunk {
            records: [Record::BLANK; CHUNK],
            next: NONE,
            len: 0,
        });
        self.total += 1;
        chunk
    }

    /// Length of the chain that starts with this chunk.
    fn links(&self, first: u32) -> usize {
        let following = |&at: &u32| Some(self.chunk(at).next).filter(|&next| next != NONE);
        std::iter::successors(Some(first).filter(|&first| first != NONE), following).count()
    }

    /// Puts an unlinked chunk at the end of the list.
    fn link(&mut self, list: &mut List, chunk: u32) {
        let fresh = self.chunk_mut(chunk);
        (fresh.next, fresh.len) = (NONE, 0);
        if list.tail == NONE {
            list.head = chunk;
        } else {
            self.chunk_mut(list.tail).next = chunk;
        }
        list.tail = chunk;
    }

    #[inline]
    fn chunk(&self, chunk: u32) -> &Chunk {
        &self.segments[(chunk >> SEGMENT_BITS) as usize][chunk as usize & (SEGMENT - 1)]
    }

    #[inline]
    fn chunk_mut(&mut self, chunk: u32) -> &mut Chunk {
        &mut self.segments[(chunk >> SEGMENT_BITS) as usize][chunk as usize & (SEGMENT - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(due: u64) -> Record {
        Record {
            due,
            entry: due as u32,
            arming: 0,
        }
    }

    fn dues(chunks: &Chunks, list: &List) -> Vec<u64> {
        chunks.iter(list).map(|record| record.due).collect()
    }

    #[test]
    fn a_chunk_is_eight_cache_lines() {
        assert_eq!(size_of::<Record>(), 16);
        assert_eq!(size_of::<Chunk>(), 512);
    }

    #[test]
    fn lists_keep_their_order_through_append_take_and_join() {
        let mut chunks = Chunks::new();
        let (mut front, mut back) = (List::EMPTY, List::EMPTY);
        for due in 0..100 {
            chunks.append(&mut front, record(due));
        }
        let more: Vec<Record> = (100..250).map(record).collect();
        chunks.append_all(&mut back, &more);
        chunks.join(&mut front, &mut back);
        assert!(back.is_empty());
        assert_eq!(front.len(), 250);
        assert_eq!(dues(&chunks, &front), (0..250).collect::<Vec<_>>());
        // The chunk in the middle is partly filled; appending goes on at the very end.
        chunks.append(&mut front, record(250));
        let mut seen = Vec::new();
        while let Some(mut taken) = chunks.take(&mut front) {
            taken.retain(|record| record.due % 2 == 0);
            seen.extend(taken.records().iter().map(|record| record.due));
        }
        assert_eq!(seen, (0..=250).step_by(2).collect::<Vec<_>>());
        assert!(front.is_empty());
        assert_eq!(chunks.in_use(), 0);
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
        assert_eq!(chunks.total, total);
    }
}
