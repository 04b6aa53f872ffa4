//! Which entry is used next.
//!
//! Entries are reused in words of 64 neighbours, and a word's free entries are used up in address
//! order. Words come round in two ways:
//!
//! - A word that was used **lately** is used again when a fair part of it is free, the latest
//!   first: its entries are still in the cache. What is scheduled and soon cancelled, as most
//!   timeouts are, thus goes round in few words, until timers that stay have filled them.
//! - Else, where a good part of all entries is free, the **emptiest** of a window of words is used,
//!   window after window. So there are never many more entries than three for every two timers of
//!   the peak.
//!
//! Single entries, latest first, would scatter over all of memory as soon as some timers outlive
//! their neighbours: every schedule would touch another line of another page. Address order, or the
//! emptiest region first, would walk through memory that has long left the cache.

/// Entries a word.
pub(super) const WORD: usize = 64;

/// A word that was used lately is ready again with so many free entries.
const READY: u32 = 16;

/// "Lately": one of the last words to be used, as many as one in so many of all words, or a few.
const LATELY: u32 = 8;
const FEW: u32 = 64;

/// While at least one in so many entries is free, those are used rather than new ones.
const SPARE: usize = 3;

/// A window is left when its emptiest word has fewer free entries.
const WORTHWHILE: u32 = 48;

/// Words a window.
const WINDOW: usize = 64;

/// No word: the end of the stack.
const NONE: u32 = u32::MAX;

/// 64 neighbouring entries. What giving one up touches is side by side.
#[derive(Clone, Copy)]
struct Word {
    /// One bit an entry, set while it is free and the word not open.
    free: u64,
    /// When it was used last, by `Vacancies::clock`.
    used: u32,
    /// Bits set in `free`.
    count: u32,
}

/// The free entries of a word that is being used up.
#[derive(Clone, Copy)]
pub(super) struct Open {
    /// Number of the word's first entry.
    pub(super) base: u32,
    /// One bit an entry.
    pub(super) free: u64,
}

impl Open {
    pub(super) const NOTHING: Self = Self { base: 0, free: 0 };
}

/// The words of a slab.
pub(super) struct Vacancies {
    words: Vec<Word>,
    /// Of a word on the stack of those that are ready, the next below.
    below: Vec<u32>,
    /// Counts the words used; wraps.
    clock: u32,
    /// The stack of the words that are ready.
    ready: u32,
    /// The first word of the window to be searched next.
    window: usize,
}

impl Vacancies {
    pub(super) const fn new() -> Self {
        Self {
            words: Vec::new(),
            below: Vec::new(),
            clock: 0,
            ready: NONE,
            window: 0,
        }
    }

    /// Adds a word in which nothing is free.
    pub(super) fn push_word(&mut self) {
        self.words.push(Word {
            free: 0,
            used: self.clock,
            count: 0,
        });
        self.below.push(NONE);
    }

    /// Marks an entry as free.
    #[inline]
    pub(super) fn add(&mut self, entry: u32) {
        let number = entry as usize / WORD;
        let word = &mut self.words[number];
        debug_assert!(word.free >> (entry % 64) & 1 == 0, "freed once");
        word.free |= 1 << (entry % 64);
        word.count += 1;
        if word.count == READY {
            self.push_if_used_lately(number);
        }
    }

    /// Loads what marking an entry as free needs into the cache. The result means nothing.
    #[inline]
    pub(super) fn touch(&self, entry: u32) -> u32 {
        self.words[entry as usize / WORD].count
    }

    /// The word to be used next, where `free` entries in all are free and in no open word: the
    /// latest that is ready, else one that is not if many are free.
    pub(super) fn take(&mut self, free: usize) -> Option<Open> {
        if self.ready != NONE {
            let number = self.ready as usize;
            self.ready = self.below[number];
            return Some(self.open(number));
        }
        if free * SPARE < self.words.len() * WORD {
            return None;
        }
        self.take_from_window()
    }

    /// Any word with a free entry, however long the search, where none is ready.
    pub(super) fn take_any(&mut self) -> Option<Open> {
        let windows = self.words.len().div_ceil(WINDOW);
        (0..windows).find_map(|_| self.take_from_window())
    }

    /// Whether an entry is free and its word not open.
    pub(super) fn contains(&self, entry: u32) -> bool {
        self.words[entry as usize / WORD].free >> (entry % 64) & 1 == 1
    }

    /// The word with the most free entries of the next window.
    fn take_from_window(&mut self) -> Option<Open> {
        if self.window >= self.words.len() {
            self.window = 0;
        }
        let start = self.window;
        let end = self.words.len().min(start + WINDOW);
        let window = &self.words[start..end];
        let most = window.iter().map(|word| word.count).max().unwrap_or(0);
        if most < WORTHWHILE {
            self.window = end;
        }
        let place = window.iter().position(|word| word.count == most)?;
        (most > 0).then(|| self.open(start + place))
    }

    fn open(&mut self, number: usize) -> Open {
        self.clock = self.clock.wrapping_add(1);
        let word = &mut self.words[number];
        word.used = self.clock;
        word.count = 0;
        Open {
            base: (number * WORD) as u32,
            free: std::mem::take(&mut word.free),
        }
    }

    #[cold]
    fn push_if_used_lately(&mut self, number: usize) {
        let lately = FEW.max(self.words.len() as u32 / LATELY);
        if self.clock.wrapping_sub(self.words[number].used) <= lately {
            self.below[number] = self.ready;
            self.ready = number as u32;
        }
    }

    /// Panics unless bits, counts and stack agree. The number of free entries in words not open.
    pub(super) fn check_invariants(&self) -> usize {
        let mut on_stack = Vec::new();
        let mut at = self.ready;
        while at != NONE {
            on_stack.push(at);
            assert!(on_stack.len() <= self.words.len(), "the stack ends");
            let count = self.words[at as usize].count;
            assert!(count >= READY, "words on the stack are ready");
            at = self.below[at as usize];
        }
        on_stack.sort_unstable();
        assert!(on_stack.is_sorted_by(|a, b| a < b), "on the stack once");
        let count = |word: &Word| {
            assert_eq!(word.free.count_ones(), word.count);
            word.count as usize
        };
        self.words.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> Vacancies {
        let mut vacancies = Vacancies::new();
        (0..count).for_each(|_| vacancies.push_word());
        vacancies
    }

    /// Number of the word taken, and of its free entries.
    fn take(vacancies: &mut Vacancies, free: usize) -> Option<(u32, u32)> {
        let open = vacancies.take(free)?;
        Some((open.base / 64, open.free.count_ones()))
    }

    #[test]
    fn a_word_used_lately_goes_first_when_a_part_of_it_is_free() {
        let mut vacancies = words(1_000);
        for word in [5, 3, 9] {
            for place in 0..READY - u32::from(word == 9) {
                vacancies.add(word * 64 + place);
            }
        }
        assert_eq!(vacancies.check_invariants(), 47);
        assert_eq!(take(&mut vacancies, 47), Some((3, 16)));
        assert_eq!(take(&mut vacancies, 31), Some((5, 16)));
        // The third lacks one, and far fewer than a third of all entries are free.
        assert_eq!(take(&mut vacancies, 15), None);
        assert_eq!(vacancies.check_invariants(), 15);
        assert_eq!(vacancies.take_any().map(|word| word.base), Some(9 * 64));
        assert_eq!(vacancies.check_invariants(), 0);
    }

    #[test]
    fn a_word_not_used_for_long_waits_until_much_is_free() {
        let mut vacancies = words(1_000);
        for _ in 0..=1_000 / LATELY {
            // In turn used up and freed.
            (0..READY).for_each(|entry| vacancies.add(entry));
            assert_eq!(take(&mut vacancies, 16), Some((0, 16)));
        }
        (0..64).for_each(|place| vacancies.add(999 * 64 + place));
        assert_eq!(take(&mut vacancies, 64), None);
        // Not in the first window.
        assert_eq!(take(&mut vacancies, 1_000 * WORD), None);
        assert_eq!(vacancies.take_any().map(|word| word.base), Some(999 * 64));
    }

    #[test]
    fn where_a_third_is_free_it_is_used_however_scattered() {
        let mut vacancies = words(256);
        vacancies.clock = 1_000;
        let mut free = 0;
        for entry in (0..256 * WORD as u32).filter(|entry| entry % 5 < 2) {
            vacancies.add(entry);
            free += 1;
        }
        while free * SPARE >= 256 * WORD {
            let (_, taken) = take(&mut vacancies, free).expect("many are free");
            free -= taken as usize;
            assert_eq!(vacancies.check_invariants(), free);
        }
        assert_eq!(take(&mut vacancies, free), None);
    }
}
