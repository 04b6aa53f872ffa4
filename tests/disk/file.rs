//! One file: as it reads now, as it is on the medium, and what lies between the two.

use std::sync::Arc;

use super::content::{Content, SECTOR_BYTES, Sector};
use super::names::FileId;
use super::survival::Survival;
use crate::dice::Dice;

/// Where a sector goes when it is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Home,
    Nowhere,
    Elsewhere(FileId, usize),
}

#[derive(Clone, Debug)]
enum What {
    /// The whole sector as it was in memory after the write.
    Sector(usize, Arc<Sector>, Fate),
    /// The size that a write behind the end has made.
    Size(u64),
    /// That which was set aside.
    Allocated(u64),
    /// That which was left of it.
    Cut(u64),
}

/// Written, and not durable yet. `order` counts over all files.
#[derive(Clone, Debug)]
struct Change {
    order: u64,
    what: What,
}

/// A sector on its way into another file.
pub(crate) struct Stray {
    pub(crate) file: FileId,
    pub(crate) index: usize,
    pub(crate) sector: Arc<Sector>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    /// What reads answer: the operating system's memory of it.
    seen: Content,
    durable: Content,
    pending: Vec<Change>,
    /// Sectors up to here are set aside.
    reserved: u64,
    /// Sectors behind these that are taken.
    beyond: u64,
}

impl File {
    pub(crate) fn of(durable: Content) -> Self {
        let mut file = Self {
            seen: durable.clone(),
            durable,
            ..Self::default()
        };
        file.reserved = file.seen.size().div_ceil(SECTOR_BYTES as u64);
        file
    }

    pub(crate) fn seen(&self) -> &Content {
        &self.seen
    }

    pub(crate) fn durable(&self) -> &Content {
        &self.durable
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.seen.bytes() == self.durable.bytes()
    }

    /// Sectors that it takes of the disk's room.
    pub(crate) fn room(&self) -> u64 {
        self.reserved + self.beyond
    }

    /// How many sectors of room a write of a sector needs: one, or none where it has it.
    pub(crate) fn needs(&self, index: usize) -> u64 {
        let has = (index as u64) < self.reserved || self.seen.sector(index).is_some();
        u64::from(!has)
    }

    /// Sets sectors aside up to this one; what lay behind the old ones and before the new ones counts once.
    pub(crate) fn reserve(&mut self, sectors: u64, order: u64, size: u64) {
        let from = usize::try_from(self.reserved).unwrap();
        let to = usize::try_from(sectors.max(self.reserved)).unwrap();
        let written = (from..to.min(self.seen.sectors().max(from)))
            .filter(|&index| self.seen.sector(index).is_some());
        self.beyond -= written.count() as u64;
        self.reserved = to as u64;
        self.grow(order, size, What::Allocated(size));
    }

    /// How many sectors of room setting aside up to this one needs.
    pub(crate) fn reserving_needs(&self, sectors: u64) -> u64 {
        let from = usize::try_from(self.reserved).unwrap();
        let to = usize::try_from(sectors.max(self.reserved)).unwrap();
        (from..to).map(|index| self.needs(index)).sum()
    }

    fn grow(&mut self, order: u64, size: u64, what: What) {
        if size > self.seen.size() {
            self.seen.set_size(size);
            self.pending.push(Change { order, what });
        }
    }

    /// Drops what is behind this size. What was to be made durable there before never is.
    pub(crate) fn cut(&mut self, order: u64, size: u64) {
        if size >= self.seen.size() {
            return;
        }
        self.seen.set_size(size);
        self.seen.trim();
        let sectors = size.div_ceil(SECTOR_BYTES as u64);
        self.reserved = self.reserved.min(sectors);
        let behind = self.reserved as usize..self.seen.sectors();
        let taken = behind.filter(|&index| self.seen.sector(index).is_some());
        self.beyond = taken.count() as u64;
        self.pending.retain(|change| match change.what {
            What::Sector(index, _, Fate::Home) => (index as u64) < sectors,
            _ => true,
        });
        self.pending.push(Change {
            order,
            what: What::Cut(size),
        });
    }

    /// Writes; `fate` says of each sector where it will go.
    pub(crate) fn write(
        &mut self,
        order: u64,
        offset: u64,
        bytes: &[u8],
        mut fate: impl FnMut(usize) -> Fate,
    ) {
        let end = offset + bytes.len() as u64;
        let first = usize::try_from(offset / SECTOR_BYTES as u64).unwrap();
        let last = usize::try_from(end.div_ceil(SECTOR_BYTES as u64)).unwrap();
        self.beyond += (first..last).map(|index| self.needs(index)).sum::<u64>();
        self.grow(order, end, What::Size(end));
        for index in self.seen.write(offset, bytes) {
            let sector = self.seen.sector(index).expect("it was written").clone();
            let what = What::Sector(index, sector, fate(index));
            self.pending.push(Change { order, what });
        }
    }

    /// Makes durable what was written up to this operation. Answers what goes elsewhere.
    pub(crate) fn sync(&mut self, order: u64) -> Vec<Stray> {
        let later = self.pending.partition_point(|change| change.order <= order);
        let due = self.pending.drain(..later).collect::<Vec<_>>();
        let mut strays = Vec::new();
        for change in due {
            strays.extend(self.arrive(change.what));
        }
        strays
    }

    /// A sync that failed: some of what was written is on the medium, and the rest never will be. Room set aside is no
    /// matter of what was written, and waits for the next sync.
    pub(crate) fn fail_to_sync(&mut self, dice: &mut Dice) -> Vec<Stray> {
        let pending = std::mem::take(&mut self.pending);
        let (later, pending) = pending
            .into_iter()
            .partition(|change| matches!(change.what, What::Allocated(_)));
        self.pending = later;
        self.settle_those(pending, dice)
    }

    /// A crash: some of what was to be done is done, the rest never will be.
    pub(crate) fn settle(&mut self, dice: &mut Dice) -> Vec<Stray> {
        let pending = std::mem::take(&mut self.pending);
        self.settle_those(pending, dice)
    }

    fn settle_those(&mut self, pending: Vec<Change>, dice: &mut Dice) -> Vec<Stray> {
        let survival = Survival::thrown(pending.len() as u64, dice);
        let mut strays = Vec::new();
        for (before, change) in pending.into_iter().enumerate() {
            if survival.survives(before as u64, dice) {
                strays.extend(self.arrive(change.what));
            }
        }
        strays
    }

    fn arrive(&mut self, what: What) -> Option<Stray> {
        match what {
            What::Sector(index, sector, Fate::Home) => self.set(index, sector),
            What::Sector(_, _, Fate::Nowhere) => {}
            What::Sector(_, sector, Fate::Elsewhere(file, index)) => {
                return Some(Stray {
                    file,
                    index,
                    sector,
                });
            }
            What::Size(size) | What::Allocated(size) => self.durable.set_size(size),
            What::Cut(size) => {
                self.durable.set_size(size);
                self.durable.trim();
            }
        }
        None
    }

    /// Puts a sector onto the medium, past what the operating system knows.
    pub(crate) fn set(&mut self, index: usize, sector: Arc<Sector>) {
        self.durable.set_sector(index, Some(sector));
    }

    /// What is on the medium, as it reads after a crash.
    pub(crate) fn after_a_crash(&self) -> Content {
        let mut content = self.durable.clone();
        content.trim();
        content
    }

    /// The process that wrote it ends. Of sectors that nothing is pending for the operating system may forget what
    /// it knows, and the medium's own show.
    pub(crate) fn outlive(&mut self, dice: &mut Dice) {
        let mut pending = vec![false; self.seen.sectors()];
        for change in &mut self.pending {
            // Before all that the next process does.
            change.order = 0;
            if let What::Sector(index, ..) = change.what {
                pending[index] = true;
            }
        }
        let survival = Survival::thrown(pending.len() as u64, dice);
        for (index, pending) in pending.into_iter().enumerate() {
            if !pending && !survival.survives(index as u64, dice) {
                let durable = self.durable.sector(index).cloned();
                self.seen.set_sector(index, durable);
            }
        }
    }
}
