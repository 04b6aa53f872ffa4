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
//!
//! Only the number of free entries is kept of a word, one byte, so that giving one up touches
//! little; which they are is seen when the word is used.

/// Entries a word.
pub(super) const WORD: usize = 64;

/// A word that was used lately is ready again with so many free entries.
const READY: u8 = 16;

/// "Lately": within the last one in so many of all words to be used, but not of the last few.
const LATELY: u32 = 8;
const FEW: u32 = 64;

/// While at least one in so many entries is free, those are used rather than new ones.
const SPARE: usize = 3;

/// A window is left when its emptiest word has fewer free entries.
const WORTHWHILE: u8 = 48;

/// Words a window.
const WINDOW: usize = 64;

/// No word: the end of the stack.
const NONE: u32 = u32::MAX;

/// The words of a slab.
pub(super) struct Vacancies {
    /// Free entries of each word; 0 while it is being used up, but for those freed since.
    counts: Vec<u8>,
    /// When each word was used last, by `clock`.
    used: Vec<u32>,
    /// Counts the words used; wraps.
    clock: u32,
    /// The stack of the words that are ready: the next below each.
    below: Vec<u32>,
    ready: u32,
    /// The first word of the window to be searched next.
    window: usize,
}

impl Vacancies {
    pub(super) const fn new() -> Self {
        Self {
            counts: Vec::new(),
            used: Vec::new(),
            clock: 0,
            below: Vec::new(),
            ready: NONE,
            window: 0,
        }
    }

    /// Adds a word in which nothing is free yet.
    pub(super) fn push_word(&mut self) {
        self.counts.push(0);
        self.below.push(NONE);
        self.used.push(self.clock);
    }

    /// Counts an entry as free.
    #[inline]
    pub(super) fn add(&mut self, entry: u32) {
        let word = entry as usize / WORD;
        let count = &mut self.counts[word];
        *count += 1;
        if *count == READY {
            self.push_if_lately_used(word);
        }
    }

    /// The word to be used next, where `free` entries in all are free and not being used up: the
    /// latest that is ready, else one that is not if many are free.
    pub(super) fn take(&mut self, free: usize) -> Option<usize> {
        if self.ready != NONE {
            let word = self.ready as usize;
            self.ready = self.below[word];
            return Some(self.open(word));
        }
        if free * SPARE < self.counts.len() * WORD {
            return None;
        }
        self.take_from_window()
    }

    /// Any word with a free entry, however long the search, where none is ready.
    pub(super) fn take_any(&mut self) -> Option<usize> {
        let windows = self.counts.len().div_ceil(WINDOW);
        (0..windows).find_map(|_| self.take_from_window())
    }

    /// The word with the most free entries of the next window.
    fn take_from_window(&mut self) -> Option<usize> {
        if self.window >= self.counts.len() {
            self.window = 0;
        }
        let start = self.window;
        let end = self.counts.len().min(start + WINDOW);
        let counts = &self.counts[start..end];
        let most = counts.iter().copied().max().unwrap_or(0);
        if most < WORTHWHILE {
            self.window = end;
        }
        let place = counts.iter().position(|&count| count == most)?;
        (most > 0).then(|| self.open(start + place))
    }

    fn open(&mut self, word: usize) -> usize {
        self.clock = self.clock.wrapping_add(1);
        self.used[word] = self.clock;
        self.counts[word] = 0;
        word
    }

    #[cold]
    fn push_if_lately_used(&mut self, word: usize) {
        let age = self.clock.wrapping_sub(self.used[word]);
        if age <= FEW.max(self.counts.len() as u32 / LATELY) {
            self.below[word] = self.ready;
            self.ready = word as u32;
        }
    }

    /// Free entries counted in a word.
    pub(super) fn count(&self, word: usize) -> usize {
        usize::from(self.counts[word])
    }

    /// Panics unless counts and stack agree.
    pub(super) fn check_invariants(&self) {
        let mut on_stack = Vec::new();
        let mut at = self.ready;
        while at != NONE {
            on_stack.push(at);
            assert!(on_stack.len() <= self.counts.len(), "the stack ends");
            at = self.below[at as usize];
        }
        on_stack.sort_unstable();
        let ready = |&word: &u32| self.counts[word as usize] >= READY;
        assert!(on_stack.iter().all(ready), "words on the stack are ready");
        on_stack.dedup_by(|word, next| {
            assert_ne!(word, next, "on the stack once");
            false
        });
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

    #[test]
    fn a_word_used_lately_goes_first_when_a_part_of_it_is_free() {
        let mut vacancies = words(1_000);
        for word in [5, 3, 9] {
            for place in 0..u32::from(READY) - u32::from(word == 9) {
                vacancies.add(word * 64 + place);
            }
        }
        vacancies.check_invariants();
        assert_eq!(vacancies.take(47), Some(3));
        assert_eq!(vacancies.take(31), Some(5));
        // The third lacks one, and far fewer than a third of all entries are free.
        assert_eq!(vacancies.take(15), None);
        assert_eq!(vacancies.count(9), 15);
        assert_eq!(vacancies.take_any(), Some(9));
        vacancies.check_invariants();
    }

    #[test]
    fn a_word_not_used_for_long_waits_until_much_is_free() {
        let mut vacancies = words(1_000);
        for _ in 0..=1_000 / LATELY {
            // In turn used up and freed.
            (0..u32::from(READY)).for_each(|entry| vacancies.add(entry));
            assert_eq!(vacancies.take(16), Some(0));
        }
        (0..64).for_each(|entry| vacancies.add(999 * 64 + entry));
        assert_eq!(vacancies.take(64), None);
        assert_eq!(
            vacancies.take(1_000 * WORD / SPARE + 1),
            None,
            "not in this window"
        );
        assert_eq!(vacancies.take_any(), Some(999));
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
            let word = vacancies.take(free).expect("many are free");
            free -= (word * WORD..(word + 1) * WORD)
                .filter(|entry| entry % 5 < 2)
                .count();
            vacancies.check_invariants();
        }
        assert_eq!(vacancies.take(free), None);
    }
}
