//! What of the things that were written and not made durable is there after a crash.

use crate::dice::Dice;

/// How one crash goes: thrown once for the sectors and once for the names, so that all survive in some crashes,
/// none in others, the first so many in others still, and any of them in the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Survival {
    None,
    All,
    /// The first so many: what an orderly device does.
    First(u64),
    /// Each by itself, with this chance in a hundred.
    Each(u64),
}

impl Survival {
    /// `changes` is how many things are at stake.
    pub(crate) fn thrown(changes: u64, dice: &mut Dice) -> Self {
        match dice.below(8) {
            0 => Self::None,
            1 => Self::All,
            2 | 3 => Self::First(dice.below(changes + 1)),
            4 => Self::Each(10),
            5 => Self::Each(90),
            _ => Self::Each(50),
        }
    }

    /// Whether that one survives which has `before` others before it.
    pub(crate) fn survives(self, before: u64, dice: &mut Dice) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::First(changes) => before < changes,
            Self::Each(percent) => dice.chance(percent),
        }
    }
}
