//! Everything that is random in a world: out of its seed, or out of a script, as a fuzzer writes them.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

pub(crate) struct Dice {
    random: Pcg64Mcg,
    /// Bytes that are taken first.
    script: Arc<[u8]>,
    next: usize,
}

impl Dice {
    /// `stream` tells apart the dice of one world, which are thrown independently of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream;
        Self {
            random: Pcg64Mcg::seed_from_u64(seed),
            script: Arc::new([]),
            next: 0,
        }
    }

    /// Throws what the script says, and once it has said everything, what it likes.
    pub(crate) fn scripted(script: &[u8], stream: u64) -> Self {
        Self {
            script: script.into(),
            ..Self::new(0, stream)
        }
    }

    /// Whether there was a script, and it has said everything.
    pub(crate) fn is_spent(&self) -> bool {
        self.next > 0 && self.next >= self.script.len()
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let mut thrown = 0;
        let mut left = end - 1;
        while left > 0 {
            let Some(&byte) = self.script.get(self.next) else {
                return self.random.random_range(0..end);
            };
            self.next += 1;
            thrown = thrown << 8 | u64::from(byte);
            left >>= 8;
        }
        thrown % end
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// The index of one of these weights, by weight.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let sum = weights.iter().copied().map(u64::from).sum();
        let mut left = self.below(sum);
        for (index, &weight) in weights.iter().enumerate() {
            match left.checked_sub(weight.into()) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        unreachable!("the throw lies below the sum")
    }

    /// Often short, seldom long: from 0 to eight times the mean.
    pub(crate) fn delay_ms(&mut self, mean_ms: u64) -> u64 {
        let doublings = self.weighted(&[8, 8, 6, 4, 2, 1]);
        self.below((mean_ms / 4).max(1) << doublings)
    }
}
