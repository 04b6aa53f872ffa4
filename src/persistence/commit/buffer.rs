//! Where records gather between two rounds: bytes, one behind the other, and where a frame may end.
//!
//! Nothing here waits or allocates in a steady course: the leader of a round takes the bytes away and leaves those of
//! the round before it, emptied, in their place.

use crate::persistence::journal::Lsn;

/// Bytes of a frame: what gathers beyond them makes another one. A sixteenth of a segment, so that no more than that
/// is left over at a segment's end.
pub(super) const FRAME_BYTES: usize = 4 << 20;

/// Bytes that stay allocated for the next round; a burst's are given back.
const KEPT_BYTES: usize = 16 << 20;

/// Records on their way into the journal together.
#[derive(Default)]
pub(super) struct Batch {
    /// The number of the first, and of the next where there is none.
    pub(super) base: Lsn,
    pub(super) bytes: Vec<u8>,
    /// One for each frame that they make; none where there are no records.
    pub(super) pieces: Vec<Piece>,
}

/// What goes into one frame. Records that were appended together stay together.
pub(super) struct Piece {
    /// Where it ends in the batch's bytes.
    pub(super) end: usize,
    pub(super) count: u32,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The same memory, with nothing in it.
    pub(super) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.pieces.clear();
        self
    }

    fn push(&mut self, records: &[u8], count: u32) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(records);
        let end = self.bytes.len();
        let begin = match &self.pieces[..] {
            [.., before, _] => before.end,
            _ => 0,
        };
        if let Some(piece) = self.pieces.last_mut()
            && end - begin <= FRAME_BYTES
            && let Some(together) = piece.count.checked_add(count)
        {
            debug_assert_eq!(piece.end, start);
            *piece = Piece {
                end,
                count: together,
            };
        } else {
            self.pieces.push(Piece { end, count });
        }
    }
}

/// What becomes of records that are appended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Intake {
    /// They will be written.
    Written,
    /// They never will be; kept up to some bytes, so that they can be named.
    Lost,
    /// They never will be, and nobody asks.
    Dropped,
}

/// What the lock of the commit buffer keeps.
pub(super) struct Buffer {
    gathering: Batch,
    next: Lsn,
    intake: Intake,
    /// What the writer thread and those who wake it tell each other.
    pub(super) bell: Bell,
}

/// The writer thread sleeps on a condition variable under the buffer's lock, so that no append goes by unheard.
#[derive(Default)]
pub(super) struct Bell {
    /// It sleeps until something is appended.
    pub(super) listening: bool,
    /// The time of the last poll is to be written, whatever else there is.
    pub(super) heartbeat: bool,
}

impl Buffer {
    pub(super) fn new(next: Lsn) -> Self {
        Self {
            gathering: Batch {
                base: next,
                ..Batch::default()
            },
            next,
            intake: Intake::Written,
            bell: Bell::default(),
        }
    }

    /// Copies records behind those that wait, and answers the number of the first.
    pub(super) fn push(&mut self, records: &[u8], count: u32) -> Lsn {
        let first = self.next;
        self.next = Lsn(first.0.saturating_add(u64::from(count)));
        let kept = match self.intake {
            Intake::Written => true,
            Intake::Lost => self.gathering.bytes.len() + records.len() <= KEPT_BYTES,
            Intake::Dropped => false,
        };
        if kept && count > 0 {
            self.gathering.push(records, count);
        }
        first
    }

    /// The number of the last record; 0 where there was none.
    pub(super) fn last(&self) -> Lsn {
        Lsn(self.next.0.saturating_sub(1))
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.gathering.bytes.len()
    }

    /// Takes what waits, and leaves an empty batch in its place.
    pub(super) fn take(&mut self, spare: Batch) -> Batch {
        debug_assert!(spare.is_empty() && spare.bytes.is_empty());
        let base = self.next;
        std::mem::replace(&mut self.gathering, Batch { base, ..spare })
    }

    /// From here on no record is written. Those that wait, and some that are still appended, are kept for
    /// [`take`](Self::take).
    pub(super) fn fail(&mut self) {
        self.intake = Intake::Lost;
    }

    /// From here on no record is written; those that wait may be taken.
    pub(super) fn close(&mut self) {
        self.intake = Intake::Dropped;
    }
}
