//! What a journal and its snapshots were told, kept outside of them, and what must and may be found of it.

use std::sync::Arc;

use duewheel::{ChunkBlock, ChunkRef, Frame, JournalTail, Lsn, Manifest, Timestamp};

use crate::inhabitant::{Trouble, broken};

/// A frame as it was appended, or as it was read back.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base: Lsn,
    pub(crate) count: u32,
    pub(crate) epoch: u32,
    pub(crate) synced: Lsn,
    pub(crate) polled_until: Option<Timestamp>,
    pub(crate) closing: bool,
    pub(crate) records: Arc<[u8]>,
}

/// Without the records, which are many bytes.
impl std::fmt::Debug for Appended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let closing = if self.closing { ", closing" } else { "" };
        let (base, count, epoch) = (self.base, self.count, self.epoch);
        let bytes = self.records.len();
        write!(
            f,
            "frame {base}+{count} of epoch {epoch}, {bytes} bytes{closing}"
        )
    }
}

impl Appended {
    pub(crate) fn of(frame: &Frame<'_>) -> Self {
        Self {
            base: frame.base,
            count: frame.count,
            epoch: frame.epoch,
            synced: frame.synced,
            polled_until: frame.polled_until,
            closing: frame.closing,
            records: frame.records.into(),
        }
    }

    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            base: self.base,
            count: self.count,
            epoch: self.epoch,
            synced: self.synced,
            polled_until: self.polled_until,
            closing: self.closing,
            records: &self.records,
        }
    }

    pub(crate) fn last(&self) -> Lsn {
        self.frame().last()
    }
}

/// A block of a chunk as it was put, or as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) as_of: Lsn,
    pub(crate) count: u32,
    pub(crate) records: Vec<u8>,
}

impl Block {
    pub(crate) fn of(block: &ChunkBlock<'_>) -> Self {
        Self {
            as_of: block.as_of,
            count: block.count,
            records: block.records.to_vec(),
        }
    }
}

/// A chunk that was finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) chunk: ChunkRef,
    pub(crate) blocks: Vec<Block>,
}

/// A snapshot that was published, or was to be.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) chunks: Vec<Chunk>,
}

/// All that was appended and published and not given up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// In order.
    pub(crate) frames: Vec<Appended>,
    /// So many of them are durable, as was said.
    pub(crate) confirmed: usize,
    /// The greatest epoch that a journal was begun with, and the greatest with which one was to be begun.
    pub(crate) begun: u32,
    pub(crate) tried: u32,
    /// No number above this was used.
    pub(crate) highest: Lsn,
    /// All that were published or were to be.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The numbers of those that are there, as was said, in order.
    pub(crate) there: Vec<u64>,
    /// The number of the newest that is durable, as was said.
    pub(crate) published: u64,
    /// Somebody has changed what was on the disk: what was durable may be refused, and a snapshot be bad.
    pub(crate) is_damaged: bool,
    /// The disk has lost writes that it had acknowledged: those that nothing else speaks of may be gone.
    pub(crate) has_lost_writes: bool,
}

/// What a reading back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survivors {
    /// So many of the ledger's frames are there.
    pub(crate) frames: usize,
}

impl Ledger {
    /// Takes note that everything up to this record is durable; `words` says whether frames without records behind
    /// it are too.
    pub(crate) fn confirm(&mut self, lsn: Lsn, words: bool) {
        let up_to = |frame: &&Appended| frame.last() <= lsn;
        let mut confirmed = self.frames.iter().take_while(up_to).count();
        while !words && confirmed > 0 && self.frames[confirmed - 1].count == 0 {
            confirmed -= 1;
        }
        self.confirmed = self.confirmed.max(confirmed);
    }

    /// Whether a disk that lies may lose the frames from this one on without a trace: where nothing was begun after
    /// them and none of them says that the first was durable. From one copy that cannot be told from a write that was
    /// never made.
    fn may_be_lost_from(&self, frame: usize) -> bool {
        let lost = &self.frames[frame..self.confirmed.max(frame)];
        let with_records = lost.iter().find(|lost| lost.count > 0);
        let proves =
            |later: &Appended| with_records.is_some_and(|lost| later.synced >= lost.last());
        lost.iter().all(|lost| lost.epoch == self.begun) && !lost.iter().any(proves)
    }

    /// Holds what was read back from behind `floor` against what was appended. All that is confirmed must be there,
    /// the rest may be, from the front and without a gap.
    pub(crate) fn hold_against(
        &self,
        floor: Lsn,
        found: &[Appended],
        tail: &JournalTail,
    ) -> Result<Survivors, Trouble> {
        let mut found_records = found
            .iter()
            .filter(|frame| frame.count > 0 && frame.last() > floor);
        // Behind the last frame with records that is there, and behind those without that follow on it.
        let mut least = 0;
        let mut most = self.frames.len();
        for (place, frame) in self.frames.iter().enumerate() {
            if frame.count == 0 {
                continue;
            }
            if frame.last() <= floor {
                least = place + 1;
                continue;
            }
            match found_records.next() {
                Some(found) if found == frame => least = place + 1,
                Some(found) => broken!("{found:?} was read back, where {frame:?} was appended"),
                None => {
                    most = place;
                    break;
                }
            }
        }
        if let Some(found) = found_records.next() {
            broken!("{found:?} was read back and never appended, or given up");
        }
        let untold = self.has_lost_writes && self.may_be_lost_from(most);
        if most < self.confirmed && !untold {
            let lost = &self.frames[most];
            broken!("{lost:?} is lost, and was durable: tail {tail:?}");
        }
        let least = if untold {
            least
        } else {
            least.max(self.confirmed)
        };
        let fits = |frames: &usize| self.tail_fits(*frames, tail);
        let Some(frames) = (least..=most).find(fits) else {
            broken!(
                "the tail {tail:?} fits none of the ends possible, {least} to {most} of {} frames, the last {:?}",
                self.frames.len(),
                self.frames[..most].last()
            );
        };
        self.check_numbers(floor, frames, tail)?;
        Ok(Survivors { frames })
    }

    /// Whether a journal with so many of the frames has such an end.
    fn tail_fits(&self, frames: usize, tail: &JournalTail) -> bool {
        let frames = &self.frames[..frames];
        let polled = frames.iter().rev().find_map(|frame| frame.polled_until);
        let closed = match frames.last() {
            None => self.begun == 0,
            Some(last) => last.closing && last.epoch == self.begun,
        };
        // Who began after that may have left its mark, although it was not told so.
        let begun_after = self.tried > self.begun;
        let may_be_open = begun_after || tail.torn.is_some();
        tail.polled_until == polled
            && (self.has_lost_writes || tail.closed == closed || !tail.closed && may_be_open)
    }

    fn check_numbers(&self, floor: Lsn, frames: usize, tail: &JournalTail) -> Result<(), Trouble> {
        let with_records = self.frames[..frames].iter().filter(|frame| frame.count > 0);
        let last = with_records.map(Appended::last).max().unwrap_or_default();
        if tail.last > last || last > floor && tail.last < last {
            broken!("the last record is said to be {}, and is {last}", tail.last);
        }
        if tail.highest < tail.last || tail.highest > self.highest {
            let highest = self.highest;
            broken!("no record was above {highest}, and the tail is {tail:?}");
        }
        if self.is_damaged {
            return Ok(());
        }
        if !(self.begun..=self.tried).contains(&tail.epoch) {
            let (begun, tried) = (self.begun, self.tried);
            broken!("the epoch is from {begun} to {tried}, and the tail is {tail:?}");
        }
        if tail.torn.is_some() && frames == self.frames.len() {
            broken!("nothing can be torn, and the tail is {tail:?}");
        }
        Ok(())
    }

    /// Takes note that the journal goes on behind so many frames, which are durable; the rest is given up.
    pub(crate) fn go_on_behind(&mut self, survivors: Survivors) {
        self.frames.truncate(survivors.frames);
        self.confirmed = survivors.frames;
    }

    /// What is known of a snapshot that was found.
    pub(crate) fn snapshot(&self, manifest: &Manifest) -> Result<&Snapshot, Trouble> {
        let known = self.snapshots.iter();
        let mut same = known.filter(|known| known.manifest == *manifest);
        let Some(snapshot) = same.next() else {
            broken!("{manifest:?} was found and never published");
        };
        Ok(snapshot)
    }

    /// Holds the snapshots found, newest first, against those published.
    pub(crate) fn hold_snapshots_against(&self, good: &[Manifest]) -> Result<(), Trouble> {
        for manifest in good {
            self.snapshot(manifest)?;
        }
        if !good.is_sorted_by(|newer, older| newer.number > older.number) {
            broken!("the snapshots are not in order: {good:?}");
        }
        if self.is_damaged {
            return Ok(());
        }
        let published = self.published;
        let newest = good.first().map_or(0, |manifest| manifest.number);
        if newest < published {
            broken!("snapshot {newest} is the newest, and {published} was published");
        }
        // Two are kept.
        let kept = if newest > published {
            published
        } else {
            let before = |number: &&u64| **number < published;
            self.there.iter().rev().find(before).copied().unwrap_or(0)
        };
        let second = good.get(1).map_or(0, |manifest| manifest.number);
        if second < kept {
            broken!("behind snapshot {newest} is {second}, and {kept} was kept");
        }
        Ok(())
    }

    /// Takes note of which snapshots there are, newest first, and whether they are there for good.
    pub(crate) fn go_on_with(&mut self, good: &[Manifest], durable: bool) {
        let numbers = good.iter().rev().map(|manifest| manifest.number);
        self.there = numbers.collect();
        if durable {
            self.published = self.there.last().copied().unwrap_or(0);
        }
    }

    /// Takes note that a snapshot is published.
    pub(crate) fn publish(&mut self, number: u64) {
        self.there.push(number);
        self.published = number;
    }
}
