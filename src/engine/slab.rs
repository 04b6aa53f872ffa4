//! A slab of fixed-size segments: values keep their place, and growth never copies what is there.

/// Values a segment. A power of two, so that an index splits by shift and mask.
const SEGMENT: usize = 1024;

/// No value: the end of the list of free places, and what stands where there is no index.
pub(super) const NONE: u32 = u32::MAX;

/// A value or a free place. Where the value has a niche this takes no more room than the value.
enum Place<T> {
    Used(T),
    /// The next free place.
    Free(u32),
}

/// Values addressed by a `u32`, reused latest freed first, which is the one most likely still in the cache.
/// It keeps no generations: whoever keeps an index beyond a value's life compares the value's intake number.
pub(super) struct Slab<T> {
    /// Each has its memory from the beginning and is filled as the need arises.
    segments: Vec<Vec<Place<T>>>,
    /// The free place to be used next.
    free: u32,
    /// Places used at least once; those from here on are fresh.
    end: u32,
    len: usize,
}

impl<T> Slab<T> {
    pub(super) fn new() -> Self {
        Self {
            segments: Vec::new(),
            free: NONE,
            end: 0,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// One past the largest index ever in use: the bound of a walk by index.
    pub(super) fn end(&self) -> u32 {
        self.end
    }

    /// Stores a value and returns its index. O(1). The caller keeps the number of values below 2^32 - 1.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        if self.free == NONE {
            return self.push(value);
        }
        let index = self.free;
        let place = &mut self.segments[index as usize / SEGMENT][index as usize % SEGMENT];
        if let Place::Free(next) = *place {
            self.free = next;
        }
        *place = Place::Used(value);
        index
    }

    fn push(&mut self, value: T) -> u32 {
        let index = self.end;
        debug_assert!(index < NONE, "fewer values than indexes");
        if (index as usize).is_multiple_of(SEGMENT) {
            self.segments.push(Vec::with_capacity(SEGMENT));
        }
        self.segments[index as usize / SEGMENT].push(Place::Used(value));
        self.end += 1;
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let free = self.free;
        let place = self.place_mut(index)?;
        if let Place::Free(_) = place {
            return None;
        }
        let Place::Used(value) = std::mem::replace(place, Place::Free(free)) else {
            return None;
        };
        self.free = index;
        self.len -= 1;
        Some(value)
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let segment = self.segments.get(index as usize / SEGMENT)?;
        match segment.get(index as usize % SEGMENT)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.place_mut(index)? {
            Place::Used(value) => Some(value),
            Place::Free(_) => None,
        }
    }

    #[inline]
    fn place_mut(&mut self, index: u32) -> Option<&mut Place<T>> {
        let segment = self.segments.get_mut(index as usize / SEGMENT)?;
        segment.get_mut(index as usize % SEGMENT)
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
        assert_eq!(slab.remove(indexes[7]), Some(7));
        assert_eq!(slab.get(indexes[1_500]), None);
        assert_eq!(slab.insert(8), indexes[7]);
        assert_eq!(slab.insert(9), indexes[1_500]);
        assert_eq!(slab.get(indexes[2_999]), Some(&2_999));
        assert_eq!(slab.get_mut(9_999_999), None);
        assert_eq!(slab.remove(9_999_999), None);
        assert_eq!((slab.end(), slab.len()), (3_000, 3_000));
    }
}
