//! The id index of a shard: from a request's hash to where it is, pending or remembered.
//!
//! One table for both, so that an intake asks once, and the end of a request changes a slot in place. A slot
//! holds 32 bits of the hash beside the place: a probe rarely touches a wrong request, and growth touches
//! none.
//!
//! It grows without a pause, by extendible hashing (Fagin, Nievergelt, Pippenger, Strong, "Extendible Hashing:
//! A Fast Access Method for Dynamic Files", 1979): it is made of small tables (`table.rs`), each for the hashes
//! that begin with the same bits, found through a directory of all beginnings of `depth` bits. A small table
//! that is full is split in two by one bit more, some hundred slots at a time whatever the size of the
//! whole.

use super::table::{Table, USED_MAX};

/// The deepest directory. Beyond it a table overflows into a list; with keyed hashes nobody comes there.
const DEPTH_MAX: u32 = if cfg!(test) { 10 } else { 24 };

/// Set in a place that is a remembered request's.
const REMEMBERED: u32 = 1 << 31;

/// Where a request is: pending under an entry's number, or remembered under a sequence number, of which 31
/// bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// No place: neither an entry's number, which are below 2^28, nor a remembered one's.
    pub(super) const NOWHERE: Self = Self(1 << 30);

    pub(super) fn pending(index: u32) -> Self {
        debug_assert!(index < Self::NOWHERE.0);
        Self(index)
    }

    pub(super) fn remembered(sequence: u64) -> Self {
        Self(sequence as u32 | REMEMBERED)
    }

    /// The entry's number, where it is pending.
    pub(super) fn entry(self) -> Option<u32> {
        (self.0 & REMEMBERED == 0).then_some(self.0)
    }

    /// How many records after `oldest` the remembered one came.
    pub(super) fn after(self, oldest: u64) -> u32 {
        self.0.wrapping_sub(oldest as u32) & !REMEMBERED
    }
}

/// A small table, of the tags whose first `depth` bits are the same.
struct Part {
    table: Table,
    depth: u32,
}

/// Finds requests by the hash of their ids.
pub(super) struct Index {
    /// By the first `depth` bits of a hash, the table.
    directory: Vec<u32>,
    depth: u32,
    parts: Vec<Part>,
    /// What found its table full and no bit to split it by.
    overflow: Vec<(u32, Place)>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            directory: vec![0],
            depth: 0,
            parts: vec![Part {
                table: Table::new(),
                depth: 0,
            }],
            overflow: Vec::new(),
            len: 0,
        }
    }

    /// An empty one with room for so many places, so that hardly a table is split before they are in.
    pub(super) fn with_room(places: usize) -> Self {
        // Not filled to the brim: some get more than others.
        let tables = (places / (USED_MAX / 6 * 5)).max(1).next_power_of_two();
        let depth = tables.trailing_zeros().min(DEPTH_MAX);
        let tables = 1_u32 << depth;
        Self {
            directory: (0..tables).collect(),
            depth,
            parts: (0..tables)
                .map(|_| Part {
                    table: Table::new(),
                    depth,
                })
                .collect(),
            overflow: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Loads what a look at this tag needs into the cache. The result means nothing; it keeps the loads from
    /// being optimised away.
    #[inline]
    pub(super) fn touch(&self, tag: u32) -> u32 {
        self.parts[self.part_of(tag)].table.touch(tag)
    }

    /// The first place with this tag, which may be another request's.
    #[inline]
    pub(super) fn candidate(&self, tag: u32) -> Option<Place> {
        self.parts[self.part_of(tag)].table.find(tag, |_| true)
    }

    /// The place with this tag for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let found = self.parts[self.part_of(tag)].table.find(tag, &is_it);
        if found.is_some() || self.overflow.is_empty() {
            return found;
        }
        let mut overflow = self.overflow.iter();
        let found = overflow.find(|(other, place)| *other == tag && is_it(*place))?;
        Some(found.1)
    }

    /// Adds a place. O(1), but for the split of a small table.
    pub(super) fn insert(&mut self, tag: u32, place: Place) {
        self.len += 1;
        loop {
            let number = self.part_of(tag);
            let part = &mut self.parts[number];
            if !part.table.is_full() {
                part.table.insert(tag, place);
                return;
            }
            if part.depth == DEPTH_MAX {
                self.overflow.push((tag, place));
                return;
            }
            self.split(number, tag);
        }
    }

    /// Puts `to` where `from` stands, and says whether it stood there.
    #[inline]
    pub(super) fn replace(&mut self, tag: u32, from: Place, to: Place) -> bool {
        let number = self.part_of(tag);
        if self.parts[number].table.replace(tag, from, to) {
            return true;
        }
        let mut overflow = self.overflow.iter_mut();
        let found = overflow.find(|slot| **slot == (tag, from));
        found.map(|slot| slot.1 = to).is_some()
    }

    /// Takes a place out, and says whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, tag: u32, place: Place) -> bool {
        let number = self.part_of(tag);
        let mut removed = self.parts[number].table.remove(tag, place);
        if !removed && !self.overflow.is_empty() {
            let found = self.overflow.iter().position(|slot| *slot == (tag, place));
            removed = found.map(|at| self.overflow.swap_remove(at)).is_some();
        }
        self.len -= usize::from(removed);
        removed
    }

    #[inline]
    fn part_of(&self, tag: u32) -> usize {
        self.directory[beginning(tag, self.depth)] as usize
    }

    /// Splits the table of a tag by the next bit of its tags.
    #[cold]
    fn split(&mut self, number: usize, tag: u32) {
        let depth = self.parts[number].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|&n| [n, n]).collect();
            self.depth = depth;
        }
        let added = self.parts.len() as u32;
        let part = &mut self.parts[number];
        part.depth = depth;
        let table = part.table.split(|tag| beginning(tag, depth) & 1 == 1);
        self.parts.push(Part { table, depth });
        // The directory's entries of a table are neighbours; the upper half of them is the new one's.
        let share = 1 << (self.depth - depth);
        let first = beginning(tag, depth - 1) * 2 * share;
        self.directory[first + share..first + 2 * share].fill(added);
    }

    /// Panics unless every slot is found where it is, and every table by as many entries of the directory as
    /// its depth says.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.directory.len(), 1 << self.depth);
        let mut len = self.overflow.len();
        for (number, part) in self.parts.iter().enumerate() {
            len += part.table.len();
            part.table.check_invariants();
            let entries = self.directory.iter().filter(|&&n| n as usize == number);
            assert_eq!(entries.count(), 1 << (self.depth - part.depth));
            for slot in part.table.slots() {
                assert_eq!(self.part_of(slot.tag), number, "found where it is");
            }
        }
        assert_eq!(len, self.len);
    }
}

/// The half of a hash that the shard is not chosen by.
#[inline]
pub(super) fn tag_of(hash: u64) -> u32 {
    hash as u32
}

/// The first `depth` bits of a tag.
#[inline]
fn beginning(tag: u32, depth: u32) -> usize {
    (u64::from(tag) >> (32 - depth)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_tags_are_told_apart() {
        let mut index = Index::new();
        for entry in 0..10 {
            index.insert(7, Place::pending(entry));
        }
        let found = index.find(7, |place| place.entry() == Some(3));
        assert_eq!(found, Some(Place::pending(3)));
        assert_eq!(index.find(8, |_| true), None);
        assert!(index.remove(7, Place::pending(3)));
        assert!(!index.remove(7, Place::pending(3)));
        assert!(index.replace(7, Place::pending(4), Place::remembered(1 << 40)));
        assert_eq!(index.find(7, |place| place.entry() == Some(4)), None);
        assert!(index.remove(7, Place::remembered(1 << 40)));
        assert_eq!(index.len(), 8);
    }

    #[test]
    fn tables_split_and_lose_nothing() {
        let mut index = Index::new();
        let tag = |n: u32| n.wrapping_mul(0x9e37_79b1) ^ n >> 3;
        for n in 0..3_000 {
            index.insert(tag(n), Place::pending(n));
            if n % 100 == 0 {
                index.check_invariants();
            }
        }
        for n in (0..3_000).step_by(2) {
            assert!(index.remove(tag(n), Place::pending(n)));
        }
        index.check_invariants();
        assert!(index.parts.len() > 100);
        for n in 0..3_000 {
            let found = index.find(tag(n), |place| place == Place::pending(n));
            assert_eq!(found.is_some(), n % 2 == 1);
        }
    }

    #[test]
    fn one_with_room_has_its_tables_from_the_beginning() {
        let mut index = Index::with_room(300);
        index.check_invariants();
        let tables = index.parts.len();
        for n in 0..300_u32 {
            index.insert(n.wrapping_mul(0x9e37_79b1), Place::pending(n));
        }
        index.check_invariants();
        assert!(tables == 32 && index.parts.len() < 2 * tables);
        Index::with_room(0).check_invariants();
    }

    /// Nobody can choose tags; should so many be equal all the same, they are found all the same.
    #[test]
    fn a_table_that_no_bit_splits_overflows() {
        let mut index = Index::new();
        for n in 0..100 {
            index.insert(u32::MAX, Place::pending(n));
        }
        assert_eq!(index.len(), 100);
        for n in 0..100 {
            let (from, to) = (Place::pending(n), Place::pending(n + 100));
            assert!(index.replace(u32::MAX, from, to));
            assert_eq!(index.find(u32::MAX, |place| place == to), Some(to));
            assert!(index.remove(u32::MAX, to));
        }
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_sequence_number_is_known_by_its_low_bits() {
        for oldest in [0, 5, (1 << 31) - 2, (1 << 32) - 2, 1 << 40] {
            assert_eq!(Place::remembered(oldest + 9).after(oldest), 9);
            assert_eq!(Place::remembered(oldest + 9).entry(), None);
        }
    }
}
