//! Marks of timers that are done with: one bit each, by number of intake.

use crate::machine;
use crate::peer::Cancelled;
use crate::workload::Workload;

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

/// Whether the machine has the memory for what a structure keeps of cancelled timers in W5: so many
/// bytes for each timer pending, which is what it was resident with at a million.
pub(crate) fn can_hold(
    workload: Workload,
    timers: usize,
    bytes_a_timer: usize,
) -> Result<(), &'static str> {
    match machine::memory() {
        Some(memory) if workload == Workload::W5 && timers * bytes_a_timer > memory => {
            Err("the cancelled timers it keeps would not fit into this machine's memory")
        }
        _ => Ok(()),
    }
}

/// A timer as the structures without removal hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    pub(crate) number: u64,
    pub(crate) value: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fits_can_be_held() {
        assert_eq!(can_hold(Workload::W5, 10_000, 1_000), Ok(()));
        assert_eq!(can_hold(Workload::W4, usize::MAX, 1), Ok(()));
        if machine::memory().is_some() {
            assert!(can_hold(Workload::W5, usize::MAX, 1).is_err());
        }
    }
}
