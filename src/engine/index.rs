//! The id index of a shard: from a request's hash to where it is, pending or remembered.
//!
//! One table for both, so that an intake asks once, and the end of a request changes a slot in place. A slot
//! holds 32 bits of the hash beside the place: a probe rarely touches a wrong request, and growth touches
//! none.
//!
//! It grows without a pause, by extendible hashing (Fagin, Nievergelt, Pippenger, Strong, "Extendible Hashing:
//! A Fast Access Method for Dynamic Files", 1979): the table is made of small ones, each for the hashes that
//! begin with the same bits, found through a directory of all beginnings of `depth` bits. A small table
//! that is full is split in two by one bit more, some hundred slots at a time whatever the size of the
//! whole.

use hashbrown::HashTable;

/// Slots of a small table at most: the most that 512 buckets hold. It is split in a few microseconds.
const SLOTS_MAX: usize = if cfg!(test) { 14 } else { 448 };

/// The deepest directory. Beyond it a table grows instead of being split; with keyed hashes nobody comes
/// there.
const DEPTH_MAX: u32 = 24;

/// Set in a place that is a remembered request's.
const REMEMBERED: u32 = 1 << 31;

/// Where a request is: pending under an entry's number, or remembered under a sequence number, of which 31
/// bits are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    pub(super) fn pending(index: u32) -> Self {
        debug_assert!(index < REMEMBERED);
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

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    place: Place,
}

/// A small table: of the hashes whose first `depth` bits are the same.
struct Table {
    slots: HashTable<Slot>,
    depth: u32,
}

/// Finds requests by the hash of their ids.
pub(super) struct Index {
    /// By the first `depth` bits of a hash, the table.
    directory: Vec<u32>,
    depth: u32,
    tables: Vec<Table>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            directory: vec![0],
            depth: 0,
            tables: vec![Table {
                slots: HashTable::new(),
                depth: 0,
            }],
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
        let slots = &self.tables[self.table_of(tag)].slots;
        let found = slots.find(spread(tag), |slot| slot.tag == tag);
        found.map_or(0, |slot| slot.place.0)
    }

    /// The first place with this tag, which may be another request's.
    #[inline]
    pub(super) fn candidate(&self, tag: u32) -> Option<Place> {
        let slots = &self.tables[self.table_of(tag)].slots;
        let found = slots.find(spread(tag), |slot| slot.tag == tag)?;
        Some(found.place)
    }

    /// The place with this tag for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let slots = &self.tables[self.table_of(tag)].slots;
        let found = slots.find(spread(tag), |slot| slot.tag == tag && is_it(slot.place))?;
        Some(found.place)
    }

    /// Adds a place. O(1), but for the split of a small table.
    pub(super) fn insert(&mut self, tag: u32, place: Place) {
        let mut number = self.table_of(tag);
        while self.tables[number].slots.len() >= SLOTS_MAX && self.tables[number].depth < DEPTH_MAX
        {
            self.split(number, tag);
            number = self.table_of(tag);
        }
        self.tables[number]
            .slots
            .insert_unique(spread(tag), Slot { tag, place }, |slot| spread(slot.tag));
        self.len += 1;
    }

    /// Puts `to` where `from` stands, and says whether it stood there.
    #[inline]
    pub(super) fn replace(&mut self, tag: u32, from: Place, to: Place) -> bool {
        let number = self.table_of(tag);
        let slots = &mut self.tables[number].slots;
        let found = slots.find_mut(spread(tag), |slot| slot.place == from);
        found.map(|slot| slot.place = to).is_some()
    }

    /// Takes a place out, and says whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, tag: u32, place: Place) -> bool {
        let number = self.table_of(tag);
        let slots = &mut self.tables[number].slots;
        let found = slots.find_entry(spread(tag), |slot| slot.place == place);
        let removed = found.map(|slot| slot.remove()).is_ok();
        self.len -= usize::from(removed);
        removed
    }

    #[inline]
    fn table_of(&self, tag: u32) -> usize {
        self.directory[beginning(tag, self.depth)] as usize
    }

    /// Splits the table of a tag by the next bit of its hashes.
    #[cold]
    fn split(&mut self, number: usize, tag: u32) {
        let depth = self.tables[number].depth + 1;
        if depth > self.depth {
            self.directory = self.directory.iter().flat_map(|&n| [n, n]).collect();
            self.depth = depth;
        }
        let table = &mut self.tables[number];
        table.depth = depth;
        let mut upper = HashTable::with_capacity(SLOTS_MAX);
        let goes_up = |slot: &mut Slot| beginning(slot.tag, depth) & 1 == 1;
        for slot in table.slots.extract_if(goes_up) {
            upper.insert_unique(spread(slot.tag), slot, |slot| spread(slot.tag));
        }
        let added = self.tables.len();
        self.tables.push(Table {
            slots: upper,
            depth,
        });
        // The directory's entries of a table are neighbours; the upper half of them is the new one's.
        let share = 1 << (self.depth - depth);
        let first = beginning(tag, depth - 1) * 2 * share;
        self.directory[first + share..first + 2 * share].fill(added as u32);
    }

    /// Panics unless every slot is found where it is, and every table by as many entries of the directory as
    /// its depth says.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.directory.len(), 1 << self.depth);
        let mut len = 0;
        for (number, table) in self.tables.iter().enumerate() {
            len += table.slots.len();
            let entries = self.directory.iter().filter(|&&n| n as usize == number);
            assert_eq!(entries.count(), 1 << (self.depth - table.depth));
            for slot in &table.slots {
                assert_eq!(self.table_of(slot.tag), number, "found where it is");
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

/// A small table's hash, made from the tag alone. The multiplier (2^64 divided by the golden ratio, Knuth
/// volume 3, 6.4) carries the tag into the top bits; the rotation brings well-mixed bits down to where the
/// table takes its bucket from, and others up to where it takes its control byte from. Both depend on the
/// tag's low bits, in which the tags of one small table differ.
#[inline]
fn spread(tag: u32) -> u64 {
    u64::from(tag)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_right(25)
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
        assert!(index.tables.len() > 100);
        for n in 0..3_000 {
            let found = index.find(tag(n), |place| place == Place::pending(n));
            assert_eq!(found.is_some(), n % 2 == 1);
        }
    }

    /// Nobody can choose tags; should so many be equal all the same, the table grows.
    #[test]
    fn a_table_that_no_bit_splits_grows() {
        let mut index = Index::new();
        for n in 0..100 {
            index.insert(u32::MAX, Place::pending(n));
        }
        assert_eq!(index.len(), 100);
        let last = index.find(u32::MAX, |place| place == Place::pending(99));
        assert!(last.is_some());
    }

    #[test]
    fn a_sequence_number_is_known_by_its_low_bits() {
        for oldest in [0, 5, (1 << 31) - 2, (1 << 32) - 2, 1 << 40] {
            assert_eq!(Place::remembered(oldest + 9).after(oldest), 9);
            assert_eq!(Place::remembered(oldest + 9).entry(), None);
        }
    }
}
