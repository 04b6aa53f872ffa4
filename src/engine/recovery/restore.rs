//! One shard on its way back: what chunks and records say of its requests is put in, in order, the later over the
//! earlier; where everything stands in wheel and book is worked out once, at the end.
//!
//! What one record costs is waiting for memory, as with batches of commands: so records are put in some dozen at a time,
//! and what they need is loaded first.

use std::hint::black_box;

use hashbrown::HashMap;

use super::control::unnamed;
use super::load::Counted;
use crate::directory::Directory;
use crate::engine::book::REQUESTS_MAX;
use crate::engine::doubt::CRASH_REDELIVERIES_AT_ONCE;
use crate::engine::endings::Endings;
use crate::engine::entry::Flags;
use crate::engine::image::unsound;
use crate::engine::index::{Index, Place, tag_of};
use crate::engine::location::Controls;
use crate::engine::memory::End;
use crate::engine::shard::Shard;
use crate::engine::slab::NONE;
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::{Outcome, Why};
use crate::persistence::record::{
    Contents, EndedImage, Malformed, RawRecord, Record, RequestImage,
};
use crate::persistence::{Lsn, StoreError};
use crate::wheel::Wheel;

/// Records put in together.
const STEP: usize = 32;

/// A record of a request, not read yet, with the shard and the hash that it goes by.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) place: usize,
    pub(super) hash: u64,
    /// Its number; 0 where it comes out of a snapshot, whose totals count all ends that are in it.
    pub(super) lsn: Lsn,
    pub(super) raw: RawRecord<'a>,
}

/// A shard that is being read back.
pub(super) struct Restoring {
    shard: Shard,
    /// Pending requests of which nothing that their customers gave was found yet.
    orphans: usize,
    /// What ended at each location.
    endings: HashMap<LocationId, Endings>,
    /// The highest number in the order of intake.
    intake_max: u64,
    /// Something was put in that its chunk does not hold.
    pub(super) is_changed: bool,
}

/// A shard that was read back, and what was found.
pub(super) struct Restored {
    pub(super) shard: Shard,
    pub(super) intake_max: u64,
    pub(super) in_doubt: usize,
    pub(super) is_changed: bool,
}

impl Restoring {
    pub(super) fn new(shard: Shard) -> Self {
        Self {
            shard,
            orphans: 0,
            endings: HashMap::new(),
            intake_max: 0,
            is_changed: false,
        }
    }

    /// Makes room for so many requests.
    pub(super) fn reserve(&mut self, requests: u64) {
        self.shard.index = Index::with_room(usize::try_from(requests).unwrap_or(0));
    }

    /// Reads records and puts them in, in order. `counted`: up to which record the totals are known that were found.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be read, or cannot be of any request.
    pub(super) fn put_all(
        &mut self,
        found: &[Found<'_>],
        counted: &Counted,
    ) -> Result<(), Malformed> {
        for some in found.chunks(STEP) {
            let hashes = some.iter().map(|found| found.hash);
            self.shard.touch_known(hashes);
            for found in some {
                let (hash, raw) = (found.hash, &found.raw);
                match raw.decode()? {
                    Record::Request(_, image) => self
                        .put(image, hash)
                        .map_err(|what| Malformed::new(raw.offset(), what, "a request"))?,
                    Record::Ended(image) => {
                        let counts = found.lsn > counted.until(raw.stream(), image.location);
                        self.end(image, hash, counts);
                    }
                    // They are of no request.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A request is pending, and as the image says.
    fn put(&mut self, image: RequestImage<'_>, hash: u64) -> Result<(), &'static str> {
        if let Some(what) = unsound(&image) {
            return Err(what);
        }
        self.intake_max = self.intake_max.max(image.intake);
        let has_contents = image.contents != Contents::Kept;
        let (id, tag) = (image.id, tag_of(hash));
        let shard = &mut self.shard;
        let place = find(shard, id, hash);
        if let Some(index) = place.and_then(Place::entry) {
            let was_orphan = shard.entry(index).flags.has(Flags::ORPHAN);
            self.orphans -= usize::from(was_orphan && has_contents);
            shard.store.restore_over(index, image);
            return Ok(());
        }
        if shard.store.len() >= REQUESTS_MAX {
            return Err("more requests than a shard can hold");
        }
        self.orphans += usize::from(!has_contents);
        let index = shard.store.restore(image);
        match place {
            // It is not the request that ended: that one is forgotten.
            Some(place) => drop(shard.index.replace(tag, place, Place::pending(index))),
            None => shard.index.insert(tag, Place::pending(index)),
        }
        Ok(())
    }

    /// A request ended.
    fn end(&mut self, image: EndedImage, hash: u64, counts: bool) {
        self.intake_max = self.intake_max.max(image.intake);
        if counts {
            let endings = self.endings.entry(image.location).or_default();
            endings.add(image.outcome, &image.why, 1);
        }
        let (id, tag) = (image.id, tag_of(hash));
        let shard = &mut self.shard;
        let place = find(shard, id, hash);
        if let Some(index) = place.and_then(Place::entry) {
            let entry = shard.entry(index);
            if entry.intake != image.intake {
                // Another request has the id since, which a snapshot saw before this.
                return;
            }
            let was_orphan = entry.flags.has(Flags::ORPHAN);
            self.orphans -= usize::from(was_orphan);
            shard.store.remove(index);
        }
        let known = place.and_then(|place| shard.memory.at(place));
        let is_same = known.is_some_and(|known| {
            known.intake == image.intake
                && known.ended == image.ended
                && known.outcome == image.outcome
        });
        if is_same {
            return;
        }
        let from = place.filter(|place| {
            let is_pending = place.entry().is_some();
            if !is_pending {
                // It was another request with this id.
                shard.index.remove(tag, *place);
            }
            is_pending
        });
        let mut told = Vec::new();
        let (end, index) = (End::from(image), &mut shard.index);
        shard.memory.remember(end, tag, from, index, &mut told);
    }

    /// So many had ended for this reason at a location.
    pub(super) fn total(&mut self, location: LocationId, outcome: Outcome, why: &Why, count: u64) {
        let endings = self.endings.entry(location).or_default();
        endings.add(outcome, why, count);
    }

    /// All has been read: every request gets its line in the book and its timer. `last_poll`: where the clock was,
    /// as far as is known; `last_lsn`: the last record that there may be of this shard.
    ///
    /// # Errors
    /// Where what was read cannot be all.
    pub(super) fn finish(
        mut self,
        directory: &Directory,
        controls: &Controls,
        last_poll: Option<Timestamp>,
        last_lsn: u64,
    ) -> Result<Restored, StoreError> {
        if self.orphans > 0 {
            return Err(self.orphan_found());
        }
        let now = last_poll.unwrap_or(Timestamp::EPOCH);
        let shard = &mut self.shard;
        shard.last_lsn = last_lsn;
        // What comes next is near to where the clock was.
        shard.wheel = Wheel::starting_at(now.as_millis());
        let mut told = Vec::new();
        while shard.memory.forget(now, &mut shard.index, &mut told) {}
        for (location, endings) in self.endings {
            open(shard, location, directory, controls)?;
            for (outcome, why, count) in endings.iter() {
                shard.book.complete(location, outcome, why, count);
            }
        }
        let mut in_doubt = 0;
        let end = shard.store.end();
        for from in (0..end).step_by(STEP) {
            let until = end.min(from + STEP as u32);
            for index in from..until {
                if let Some(entry) = shard.store.entry(index) {
                    let location = entry.location;
                    open(shard, location, directory, controls)?;
                }
            }
            in_doubt += shard.settle_in(from, until);
        }
        shard.tell_counts();
        Ok(Restored {
            in_doubt,
            intake_max: self.intake_max,
            is_changed: self.is_changed,
            shard: self.shard,
        })
    }

    #[cold]
    fn orphan_found(&self) -> StoreError {
        let store = &self.shard.store;
        let orphan = (0..store.end())
            .filter_map(|index| store.entry(index))
            .find(|entry| entry.flags.has(Flags::ORPHAN));
        let id = orphan.map_or_else(String::new, |entry| entry.id().to_string());
        StoreError::damaged(
            "the journal",
            0,
            format!("no record by which request {id} was taken in"),
            "one before those of what happened to it",
        )
    }
}

/// Opens a location's page.
fn open(
    shard: &mut Shard,
    location: LocationId,
    directory: &Directory,
    controls: &Controls,
) -> Result<(), StoreError> {
    if shard.book.page(location).is_some() {
        return Ok(());
    }
    if !directory.contains(location) {
        return Err(unnamed(location));
    }
    shard.book.open(location, || controls.of(location));
    Ok(())
}

/// Where a request is, pending or remembered.
fn find(shard: &Shard, id: RequestId, hash: u64) -> Option<Place> {
    shard.index.find(tag_of(hash), |place| match place.entry() {
        Some(index) => {
            let entry = shard.store.entry(index);
            entry.is_some_and(|entry| entry.id() == id)
        }
        None => {
            let ended = shard.memory.at(place);
            ended.is_some_and(|ended| ended.id() == id)
        }
    })
}

impl Shard {
    /// Loads what a look for these requests needs into the cache: first where they are, then their entries.
    fn touch_known(&self, hashes: impl Iterator<Item = u64> + Clone) {
        let touched = hashes.clone().map(|hash| self.index.touch(tag_of(hash)));
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
        let entries = hashes.map(|hash| {
            let place = self.index.candidate(tag_of(hash));
            let entry = place.and_then(Place::entry).unwrap_or(NONE);
            self.store.touch(entry)
        });
        black_box(entries.fold(0, |sum, touched| sum ^ touched));
    }

    /// Enters some entries in the book, whose pages are open, and arms their timers; says how many are in doubt.
    fn settle_in(&mut self, from: u32, until: u32) -> usize {
        let locations = (from..until).filter_map(|index| self.store.entry(index));
        let locations = locations.map(|entry| entry.location);
        let touched = locations.clone().map(|at| self.book.touch_page(at));
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
        let touched = locations.map(|at| self.book.touch_open(at));
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
        let mut in_doubt = 0;
        for index in from..until {
            let Some(pending) = self.store.get(index) else {
                continue;
            };
            let (location, state) = (pending.location, pending.state());
            let is_in_doubt = pending.is_in_doubt();
            let cools = is_in_doubt && pending.redeliveries() >= CRASH_REDELIVERIES_AT_ONCE;
            let time = pending.waits_until();
            let line = self.book.enter(location, index, state);
            let timer = self.wheel.schedule(time.as_millis(), index).index();
            let entry = self.entry_mut(index);
            entry.line = line;
            entry.timer = timer;
            entry.flags.set(Flags::COOLING, cools);
            in_doubt += usize::from(is_in_doubt);
        }
        self.counted.in_doubt += isize::try_from(in_doubt).unwrap_or(0);
        in_doubt
    }
}
