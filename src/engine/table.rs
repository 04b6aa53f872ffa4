//! A small hash table of fixed size, the part that the id index is made of.
//!
//! Open addressing with linear probing and deletion by shifting back (Knuth, volume 3, 6.4, algorithm R). A
//! slot holds the tag beside the place, eight to a cache line, so that a look touches one line, rarely two. Nothing is
//! left behind by deletion: under churn a table neither fills up with tombstones, which a general-purpose
//! table answers by growing to twice the size, nor allocates.

use super::index::Place;

/// Slots a table: 4 KiB.
const SLOTS: usize = if cfg!(test) { 16 } else { 512 };
const MASK: usize = SLOTS - 1;

/// Used slots at most, some four fifths: beyond, runs of used slots get long.
pub(super) const USED_MAX: usize = SLOTS / 5 * 4;

#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) tag: u32,
    pub(super) place: Place,
}

const FREE: Slot = Slot {
    tag: 0,
    place: Place::NOWHERE,
};

/// Places by tag.
pub(super) struct Table {
    slots: Box<[Slot; SLOTS]>,
    len: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            slots: Box::new([FREE; SLOTS]),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= USED_MAX
    }

    /// Loads the first slot of a tag's run into the cache, without looking at it: what the processor would have to
    /// guess from keeps it from looking ahead.
    #[inline]
    pub(super) fn touch(&self, tag: u32) -> u32 {
        self.slots[home(tag)].tag
    }

    /// The used slots, in no order.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        let used = |slot: &Slot| slot.place != Place::NOWHERE;
        self.slots.iter().copied().filter(used)
    }

    /// The place with this tag for which `is_it` holds.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(Place) -> bool) -> Option<Place> {
        let at = self.position(tag, is_it)?;
        Some(self.slots[at].place)
    }

    #[inline]
    fn position(&self, tag: u32, is_it: impl Fn(Place) -> bool) -> Option<usize> {
        let mut at = home(tag);
        loop {
            let slot = self.slots[at];
            if slot.place == Place::NOWHERE {
                return None;
            }
            if slot.tag == tag && is_it(slot.place) {
                return Some(at);
            }
            at = (at + 1) & MASK;
        }
    }

    /// Adds a place to a table that is not full.
    pub(super) fn insert(&mut self, tag: u32, place: Place) {
        debug_assert!(!self.is_full());
        let mut at = home(tag);
        while self.slots[at].place != Place::NOWHERE {
            at = (at + 1) & MASK;
        }
        self.slots[at] = Slot { tag, place };
        self.len += 1;
    }

    /// Puts `to` where `from` stands, and says whether it stood there.
    #[inline]
    pub(super) fn replace(&mut self, tag: u32, from: Place, to: Place) -> bool {
        let at = self.position(tag, |place| place == from);
        if let Some(at) = at {
            self.slots[at].place = to;
        }
        at.is_some()
    }

    /// Takes a place out, and says whether it was there.
    pub(super) fn remove(&mut self, tag: u32, place: Place) -> bool {
        let Some(mut hole) = self.position(tag, |other| other == place) else {
            return false;
        };
        // What stands behind it in its run moves up, unless it would come before its home.
        let mut at = hole;
        loop {
            at = (at + 1) & MASK;
            let slot = self.slots[at];
            if slot.place == Place::NOWHERE {
                break;
            }
            let from_home = at.wrapping_sub(home(slot.tag)) & MASK;
            let from_hole = at.wrapping_sub(hole) & MASK;
            if from_home >= from_hole {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = FREE;
        self.len -= 1;
        true
    }

    /// Moves the slots whose tags are to leave into a table of their own.
    pub(super) fn split(&mut self, leaves: impl Fn(u32) -> bool) -> Self {
        let mut leaving = Self::new();
        let slots = *self.slots;
        for slot in slots {
            if slot.place != Place::NOWHERE && leaves(slot.tag) {
                self.remove(slot.tag, slot.place);
                leaving.insert(slot.tag, slot.place);
            }
        }
        leaving
    }

    /// Panics unless every slot is found from its home.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.slots().count(), self.len);
        assert!(self.len <= USED_MAX);
        for slot in self.slots() {
            let found = self.find(slot.tag, |place| place == slot.place);
            assert_eq!(found, Some(slot.place));
        }
    }
}

/// Where the run of a tag begins. The tags of one table share their first bits, so it goes by the last, mixed
/// by a multiplier (2^32 divided by the golden ratio; Knuth, volume 3, 6.4).
#[inline]
fn home(tag: u32) -> usize {
    (tag.wrapping_mul(0x9e37_79b9) >> (32 - SLOTS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every sequence of a few inserts and removals in one crowded region, against a list.
    #[test]
    fn removals_keep_every_run_whole() {
        let mut seed = 1_u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for _ in 0..2_000 {
            let mut table = Table::new();
            let mut list: Vec<(u32, Place)> = Vec::new();
            for number in 0..40 {
                if !table.is_full() && next(3) > 0 {
                    // Few tags, so that runs meet and wrap around.
                    let tag = u32::try_from(next(6)).unwrap().wrapping_mul(0x1234_5671);
                    list.push((tag, Place::pending(number)));
                    table.insert(tag, Place::pending(number));
                } else if !list.is_empty() {
                    let (tag, place) = list.swap_remove(next(list.len()));
                    assert!(table.remove(tag, place));
                    assert!(!table.remove(tag, place));
                }
                table.check_invariants();
                for &(tag, place) in &list {
                    assert_eq!(table.find(tag, |other| other == place), Some(place));
                }
                assert_eq!(table.len(), list.len());
            }
        }
    }
}
