//! What can go wrong with an operation of the disk, on demand and by dice.

use crate::dice::Dice;

/// What one operation is to suffer. A fault that does not fit the operation does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails as a broken device does. Of a write any part may be done. What a sync was to make durable is
    /// forgotten but for what the dice let through: it still reads as it was written, and a later sync answers
    /// "done", as Linux does.
    Error,
    /// It fails for want of room, with nothing done.
    NoRoom,
    /// A write or a read stops early, and says so.
    Short,
    /// A write is acknowledged and never comes to the medium.
    Lost,
    /// A write is acknowledged, and its sectors come to another place of this or another file.
    Misdirected,
}

/// How often an operation suffers what, of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moods {
    pub(crate) error: u64,
    /// For reads too.
    pub(crate) read_error: u64,
    pub(crate) short: u64,
    pub(crate) lost: u64,
    pub(crate) misdirected: u64,
    /// For reads and writes: stopped by a signal, with nothing done.
    pub(crate) interrupted: u64,
}

impl Moods {
    /// Everything that a caller has to cope with and that loses nothing.
    pub(crate) fn harmless() -> Self {
        Self {
            short: 100,
            interrupted: 50,
            ..Self::default()
        }
    }

    pub(crate) fn change(&self, dice: &mut Dice) -> Option<Fault> {
        let moods = [
            (self.error, Fault::Error),
            (self.short, Fault::Short),
            (self.lost, Fault::Lost),
            (self.misdirected, Fault::Misdirected),
        ];
        let chances = moods.iter().map(|(chance, _)| chance).sum::<u64>();
        if chances == 0 {
            return None;
        }
        let mut thrown = dice.below(1_000);
        for (chance, fault) in moods {
            match thrown.checked_sub(chance) {
                Some(rest) => thrown = rest,
                None => return Some(fault),
            }
        }
        None
    }

    pub(crate) fn read(&self, dice: &mut Dice) -> Option<Fault> {
        let happens = |chance: u64, dice: &mut Dice| chance > 0 && dice.below(1_000) < chance;
        if happens(self.read_error, dice) {
            Some(Fault::Error)
        } else if happens(self.short, dice) {
            Some(Fault::Short)
        } else {
            None
        }
    }

    pub(crate) fn interrupts(&self, dice: &mut Dice) -> bool {
        self.interrupted > 0 && dice.below(1_000) < self.interrupted
    }
}
