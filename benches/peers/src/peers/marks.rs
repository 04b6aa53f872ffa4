//! Marks of timers that are done with: one bit each, by number of intake.

use crate::peer::Cancelled;

/// What a structure without removal needs for cancelling. A number is never used again, so that a
/// handle needs no generation; the price is a bit for every timer ever scheduled.
#[derive(Default)]
pub(crate) struct Marks {
    words: Vec<u64>,
    taken_in: u64,
}

impl Marks {
    /// The number of a new timer.
    #[inline]
    pub(crate) fn take_in(&mut self) -> u64 {
        let number = self.taken_in;
        if number.is_multiple_of(64) {
            self.words.push(0);
        }
        self.taken_in += 1;
        number
    }

    /// Marks a timer as cancelled.
    #[inline]
    pub(crate) fn cancel(&mut self, number: u64) -> Cancelled {
        if self.finish(number) {
            Cancelled::Marked
        } else {
            Cancelled::Gone
        }
    }

    /// Marks a timer as done with; whether it was not yet.
    #[inline]
    pub(crate) fn finish(&mut self, number: u64) -> bool {
        let word = &mut self.words[(number / 64) as usize];
        let bit = 1 << (number % 64);
        let was_pending = *word & bit == 0;
        *word |= bit;
        was_pending
    }

    #[inline]
    pub(crate) fn is_pending(&self, number: u64) -> bool {
        self.words[(number / 64) as usize] & (1 << (number % 64)) == 0
    }
}

/// A timer as the structures without removal hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    pub(crate) number: u64,
    pub(crate) value: u64,
}
