//! A slab of fixed-size segments: values keep their place, and growth never copies what is there.

/// Values a segment. A power of two, so that an index splits by shift and mask; at some 200 bytes a
/// value a segment is about 200 KiB, a few microseconds to allocate.
const SEGMENT: usize = 1024;

/// Values addressed by a `u32`, reused latest freed first. It keeps no generations: whoever keeps an
/// index beyond a value's life compares the value's intake number.
pub(super) struct Slab<T> {
    segments: Vec<Box<[Option<T>]>>,
    free: Vec<u32>,
    /// Slots handed out at least once; those from here on are fresh.
    used: u32,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            segments: Vec::new(),
            free: Vec::new(),
            used: 0,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One past the largest index ever in use: the bound of a walk by index.
    pub(super) fn end(&self) -> u32 {
        self.used
    }

    /// Stores a value and returns its index. O(1). The caller keeps the number of values below 2^32.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                if self.used as usize == self.segments.len() * SEGMENT {
                    self.segments.push((0..SEGMENT).map(|_| None).collect());
                }
                let index = self.used;
                self.used = index.checked_add(1).expect("fewer than 2^32 values");
                index
            }
        };
        let slot = self
            .slot_mut(index)
            .expect("a free index lies in a segment");
        debug_assert!(slot.is_none(), "index {index} was free");
        *slot = Some(value);
        self.len += 1;
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let value = self.slot_mut(index)?.take()?;
        self.free.push(index);
        self.len -= 1;
        Some(value)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.segments.get(index as usize / SEGMENT)?[index as usize % SEGMENT].as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot_mut(index)?.as_mut()
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Option<T>> {
        let segment = self.segments.get_mut(index as usize / SEGMENT)?;
        Some(&mut segment[index as usize % SEGMENT])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_reused_and_places_are_kept() {
        let mut slab = Slab::new();
        let indexes: Vec<u32> = (0..3_000).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.len(), 3_000);
        assert_eq!(slab.remove(indexes[1_500]), Some(1_500));
        assert_eq!(slab.remove(indexes[1_500]), None);
        assert_eq!(slab.get(indexes[1_500]), None);
        assert_eq!(slab.insert(7), indexes[1_500]);
        assert_eq!(slab.get(indexes[2_999]), Some(&2_999));
        assert_eq!(slab.get_mut(9_999_999), None);
        assert_eq!(slab.end(), 3_000);
    }
}
