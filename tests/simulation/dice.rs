//! Everything that is random in a world, out of its seed.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

pub(crate) struct Dice(Pcg64Mcg);

impl Dice {
    /// `stream` tells apart the dice of one world, which are thrown independently of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream,
        ))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end)
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        self.0.random_range(first..=last)
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
