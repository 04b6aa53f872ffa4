//! What a script does to a wheel, and the ways in which it names ticks.
//!
//! Bytes and numbers are drawn uniformly by the fuzzer, so what must happen often has more of them:
//! see [`Distance`], [`Budget`] and [`Rare`].

/// One step, with ticks drawn as a [`Moment`]. Timers are named by number: reduced modulo those ever
/// scheduled, so that most steps hit something and stale handles are used as well.
#[derive(Clone, Debug)]
#[cfg_attr(not(test), derive(arbitrary::Arbitrary))]
pub enum Operation<M> {
    /// Schedule.
    Schedule(M),
    /// Schedule many at distances `step` apart.
    Burst { due: M, count: u8, step: u16 },
    /// Cancel.
    Cancel(u16),
    /// Give another due time.
    Reschedule(u16, M),
    /// Read.
    Get(u16),
    /// Change the value in place.
    GetMut(u16),
    /// Advance by a distance.
    Advance { by: Distance, budget: Budget },
    /// Advance to the same tick again, which may have been left unfinished.
    AdvanceSame { budget: Budget },
    /// Advance to the same tick until nothing due is left.
    AdvanceUntilDone { budget: Budget },
    /// Advance to the bound that `next_due` gives.
    AdvanceToNext { budget: Budget },
    /// Advance to any tick, forwards or back.
    Jump { to: M, budget: Budget },
    /// What would leave too little to work on if it happened as often as the others.
    Rare(Rare),
    /// Bring the wheel up to a later tick, some calls long or until it is done.
    KeepUp { by: Distance, calls: u8 },
}

/// A step that changes much at once.
#[derive(Clone, Debug)]
#[cfg_attr(not(test), derive(arbitrary::Arbitrary))]
pub enum Rare {
    /// Cancel every timer whose number leaves a rest other than 0.
    CancelMost { modulus: u8 },
    /// Advance to an earlier time.
    StepBack { by: Distance, budget: Budget },
    /// Advance and panic in the sink at the n-th timer.
    Panic { by: Distance, at: u8 },
    /// Drop all.
    Clear,
    /// Take all out, and look only at the first few.
    Drain { taken: u8 },
}

/// The budget of an advance; such as leave something due as often as none.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), derive(arbitrary::Arbitrary))]
pub enum Budget {
    /// Fewer than four timers, or none at all.
    Few(u8),
    /// Fewer than 64.
    Many(u8),
    /// All that is due.
    All,
}

impl Budget {
    /// The number that `advance` takes.
    pub fn timers(self) -> usize {
        match self {
            Self::Few(count) => usize::from(count % 4),
            Self::Many(count) => usize::from(count % 64),
            Self::All => usize::MAX,
        }
    }
}

/// A distance, most often short, of any magnitude.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), derive(arbitrary::Arbitrary))]
pub struct Distance {
    /// The bits of the distance.
    pub bits: u64,
    /// Says how many of them are dropped: for half of its values all but the last twelve or fewer,
    /// which is where slots and runs meet.
    pub shift: u8,
}

impl Distance {
    /// The distance in ticks.
    pub fn ticks(self) -> u64 {
        let shift = if self.shift < 128 {
            52 + self.shift % 12
        } else {
            self.shift % 64
        };
        self.bits >> shift
    }
}

/// What ticks are drawn around.
#[derive(Clone, Copy, Debug, Default)]
pub struct Present {
    /// The last tick advanced to.
    pub now: u64,
    /// The tick the wheel works on; before `now` if something due is left.
    pub cursor: u64,
    /// The due time of the first timer.
    pub first_due: Option<u64>,
}

/// A way to draw a tick.
pub trait Moment: Copy {
    /// The tick drawn.
    fn tick(self, present: Present) -> u64;
}

/// A tick anywhere.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), derive(arbitrary::Arbitrary))]
pub enum Anywhere {
    /// After the present.
    After(Distance),
    /// Before it.
    Before(Distance),
    /// The present itself.
    Now,
    /// Where the first timer is due.
    First,
    /// Where digits carry.
    Near(Near),
}

impl Moment for Anywhere {
    fn tick(self, present: Present) -> u64 {
        match self {
            Self::After(distance) => present.now.saturating_add(distance.ticks()),
            Self::Before(distance) => present.now.saturating_sub(distance.ticks()),
            Self::Now => present.now,
            Self::First => present.first_due.unwrap_or(present.now),
            Self::Near(near) => near.tick(present),
        }
    }
}

/// A tick at which digits of the wheel carry, or a few ticks beside it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), derive(arbitrary::Arbitrary))]
pub enum Near {
    /// Beside the present.
    Now { offset: i8 },
    /// Beside the cursor.
    Cursor { offset: i8 },
    /// Beside the boundary of the cursor's slot on a level: of its first tick, or of one so many
    /// slots ahead or behind.
    Slot { level: u8, ahead: i8, offset: i8 },
    /// Beside a multiple of 64^level.
    Multiple { level: u8, multiple: u8, offset: i8 },
    /// Beside a power of two.
    Power { exponent: u8, offset: i8 },
    /// Before the last tick there is, or that tick.
    End { before: u8 },
}

/// Bits of a digit, and levels that 64 bits make of them.
const DIGIT: u8 = 6;
const LEVELS: u8 = 11;

impl Moment for Near {
    fn tick(self, present: Present) -> u64 {
        let (base, offset) = match self {
            // Further than the others: past the distance within which the clock may tremble.
            Self::Now { offset } => return present.now.saturating_add_signed(offset.into()),
            Self::Cursor { offset } => return present.cursor.saturating_add_signed(offset.into()),
            Self::Slot {
                level,
                ahead,
                offset,
            } => {
                let shift = DIGIT * (level % LEVELS);
                // What does not fit into 64 bits is dropped, and lies elsewhere.
                let slot = (present.cursor >> shift).wrapping_add_signed((ahead / 16).into());
                (slot << shift, offset)
            }
            Self::Multiple {
                level,
                multiple,
                offset,
            } => (u64::from(multiple) << (DIGIT * (level % LEVELS)), offset),
            Self::Power { exponent, offset } => (1 << (exponent % 64), offset),
            Self::End { before } => return u64::MAX - u64::from(before / 16),
        };
        base.saturating_add_signed((offset / 32).into())
    }
}
