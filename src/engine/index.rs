//! The id index of a shard: from a request's hash to its entry.

use hashbrown::HashTable;

/// An entry's number beside 32 bits of its id's hash: a probe rarely touches a wrong entry, and growth
/// touches none.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    entry: u32,
}

/// Finds entries by the hash of their ids.
#[derive(Default)]
pub(super) struct Index {
    slots: HashTable<Slot>,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn insert(&mut self, hash: u64, entry: u32) {
        let tag = tag_of(hash);
        self.slots
            .insert_unique(spread(tag), Slot { tag, entry }, |slot| spread(slot.tag));
    }

    /// The entry with this hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag_of(hash);
        let found = self
            .slots
            .find(spread(tag), |slot| slot.tag == tag && is_it(slot.entry))?;
        Some(found.entry)
    }

    /// Takes an entry out, and says whether it was there.
    pub(super) fn remove(&mut self, hash: u64, entry: u32) -> bool {
        let found = self
            .slots
            .find_entry(spread(tag_of(hash)), |slot| slot.entry == entry);
        found.map(|slot| slot.remove()).is_ok()
    }
}

/// The half of the hash that the shard is not chosen by.
fn tag_of(hash: u64) -> u32 {
    (hash & u64::from(u32::MAX)) as u32
}

/// The table's hash, made from the tag alone. The multiplier (2^64 divided by the golden ratio, Knuth
/// volume 3, 6.4) carries the tag into the top bits; the rotation brings well-mixed bits down to where the
/// table takes its bucket from, and others up to where it takes its control byte from.
fn spread(tag: u32) -> u64 {
    u64::from(tag)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_right(25)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_equal_hashes_are_told_apart() {
        let mut index = Index::default();
        for entry in 0..1_000 {
            index.insert(u64::from(entry % 10), entry);
        }
        assert_eq!(index.find(3, |entry| entry == 503), Some(503));
        assert_eq!(index.find(4, |entry| entry == 503), None);
        assert!(index.remove(3, 503));
        assert!(!index.remove(3, 503));
        assert_eq!(index.len(), 999);
    }
}
