//! How many requests of a location ended, and how: a count for each outcome and reason.

use crate::lifecycle::{Outcome, Why};
use crate::sync::Arc;

/// Distinct reasons counted a location; further ones are counted together under [`OTHER`].
const REASONS_MAX: usize = 32;
const OTHER: &str = "other";

/// Counts of ended requests by outcome and reason.
#[derive(Default)]
pub(super) struct Endings {
    /// Those that ended for no other reason than the outcome, in the order of [`Outcome`].
    plain: [u64; Outcome::ALL.len()],
    /// Those that ended for a reason.
    reasons: Vec<(Outcome, Why, u64)>,
}

impl Endings {
    /// Counts so many more.
    pub(super) fn add(&mut self, outcome: Outcome, why: &Why, count: u64) {
        if *why == Why::Plain {
            self.plain[outcome as usize] += count;
            return;
        }
        let reasons = &mut self.reasons;
        if let Some(line) = reasons.iter_mut().find(|l| l.0 == outcome && l.1 == *why) {
            line.2 += count;
        } else if reasons.len() < REASONS_MAX {
            reasons.push((outcome, why.clone(), count));
        } else {
            let is_other = |line: &&mut (Outcome, Why, u64)| {
                line.0 == outcome && matches!(&line.1, Why::Told(words) if **words == *OTHER)
            };
            match reasons.iter_mut().find(is_other) {
                Some(line) => line.2 += count,
                None => reasons.push((outcome, Why::Told(Arc::from(OTHER)), count)),
            }
        }
    }

    /// Those of some that there are.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Outcome, &Why, u64)> {
        let plain = Outcome::ALL.iter().zip(&self.plain);
        let plain = plain.filter(|(_, count)| **count > 0);
        let plain = plain.map(|(&outcome, &count)| (outcome, &Why::Plain, count));
        let reasons = self.reasons.iter();
        plain.chain(reasons.map(|(outcome, why, count)| (*outcome, why, *count)))
    }

    /// Loads what a further end needs into the cache. The result means nothing.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        self.plain[0] as u32
    }
}
