//! The engine's hold on its store: what is asked of the journal before an answer is given.
//!
//! An engine without a store has none of this; every method then says at once that all is well.
//!
//! What belongs to no request (names of locations, holds, paces) goes into stream 0. Its records are written under a
//! lock of their own, together with what they tell of, so that their order is that of what happened; no shard is
//! locked meanwhile.

use super::Engine;
use super::error::{LocationError, Unavailable};
use super::location::Pace;
use super::replies::Position;
use crate::ids::{LocationId, Timestamp};
use crate::persistence::commit::{Commit, Undurable};
use crate::persistence::record::{Record, encode};
use crate::persistence::{Journal, Lsn, Room, SnapshotStore, StoreError};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};

/// The engine's store, opened for writing.
pub(super) struct Storage {
    pub(super) commit: Arc<Commit>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    pub(super) control: Mutex<Control>,
    /// How many names of the directory are in the journal: those with the first numbers.
    names_logged: AtomicUsize,
}

/// Stream 0.
pub(super) struct Control {
    commit: Arc<Commit>,
    /// The number of its last record.
    pub(super) last_lsn: Lsn,
    bytes: Vec<u8>,
}

impl Control {
    /// Appends a record.
    pub(super) fn log(&mut self, record: &Record<'_>) -> Lsn {
        self.bytes.clear();
        encode(0, record, &mut self.bytes);
        self.last_lsn = self.commit.append(&self.bytes, 1);
        self.last_lsn
    }
}

impl Storage {
    /// A store whose journal was begun, and which has the directory's first `names` names.
    pub(super) fn new(
        commit: Commit,
        journal: Arc<dyn Journal>,
        snapshots: Arc<dyn SnapshotStore>,
        names: usize,
        last_lsn: Lsn,
    ) -> Self {
        let commit = Arc::new(commit);
        Self {
            control: Mutex::new(Control {
                commit: Arc::clone(&commit),
                last_lsn,
                bytes: Vec::new(),
            }),
            commit,
            journal,
            snapshots,
            names_logged: AtomicUsize::new(names),
        }
    }
}

/// Nobody can be told where this fails; [`Engine::seal`] says it.
impl Drop for Storage {
    fn drop(&mut self) {
        let _ = self.commit.close();
    }
}

impl Engine {
    /// Waits until everything is durable that an answer given for this position rests on, under any
    /// [`Durability`](crate::Durability); at once where it is already. It goes by shards: a later change in the
    /// same shard is waited for too.
    ///
    /// O(1), one shard lock. An engine without a store has nothing to wait for.
    ///
    /// # Errors
    /// The journal has failed, and it may not be durable.
    pub fn wait_durable(&self, position: Position) -> Result<(), Unavailable> {
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        let place = position.stream.checked_sub(1).map(|place| place as usize);
        // A position of before the store was opened with another number of shards has been durable since.
        let lsn = match place.and_then(|place| self.shards.get(place)) {
            Some(cell) => cell.lock().commit(),
            None => storage.control.lock().last_lsn,
        };
        Ok(storage.commit.wait(lsn)?)
    }

    /// Makes everything durable that has happened so far, under any [`Durability`](crate::Durability).
    ///
    /// # Errors
    /// The journal has failed, and some of it may not be durable.
    pub fn flush(&self) -> Result<(), Unavailable> {
        if let Some(storage) = &self.storage {
            storage.commit.flush()?;
        }
        Ok(())
    }

    /// Ends the journal in good order: everything so far is made durable, and nothing is taken in, changed or
    /// released any more. Dropping the engine does the same, and can tell nobody where it fails.
    ///
    /// # Errors
    /// The journal has failed, and some of what has happened may not be durable.
    pub fn seal(&self) -> Result<(), Unavailable> {
        if let Some(storage) = &self.storage {
            storage.commit.close()?;
        }
        Ok(())
    }

    /// What made the journal fail, where it has. The engine then refuses what would change anything, and releases
    /// nothing: open its store again in another engine.
    #[must_use]
    pub fn store_error(&self) -> Option<StoreError> {
        self.storage.as_ref()?.commit.error()
    }

    /// Whether anything may be changed.
    #[inline]
    pub(super) fn usable(&self) -> Result<(), Unavailable> {
        match &self.storage {
            Some(storage) => Ok(storage.commit.check()?),
            None => Ok(()),
        }
    }

    /// To be called before an answer is given that rests on this record, with no lock held.
    #[inline]
    pub(super) fn settle_log(&self, lsn: Lsn) -> Result<(), Undurable> {
        match &self.storage {
            Some(storage) => storage.commit.settle(lsn),
            None => Ok(()),
        }
    }

    /// Whether there is room in the store for further intake.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        match &self.storage {
            Some(storage) => storage.commit.room() == Room::Ample,
            None => true,
        }
    }

    /// Whether the store is waited for before an answer.
    pub(super) fn is_sync(&self) -> bool {
        self.storage
            .as_ref()
            .is_some_and(|storage| storage.commit.is_sync())
    }

    /// A location's name is in the journal before its number is first used there.
    #[inline]
    pub(super) fn log_name(&self, location: LocationId) {
        if let Some(storage) = &self.storage
            && storage.names_logged.load(Ordering::Acquire) <= location.index() as usize
        {
            self.log_names(storage, location);
        }
    }

    #[cold]
    fn log_names(&self, storage: &Storage, location: LocationId) {
        let mut control = storage.control.lock();
        let logged = storage.names_logged.load(Ordering::Acquire);
        for index in logged..=location.index() as usize {
            let location = LocationId::from_index(index as u32);
            if let Some(name) = self.directory.name(location) {
                let name = &*name;
                control.log(&Record::Named { location, name });
            }
        }
        let logged = logged.max(location.index() as usize + 1);
        storage.names_logged.store(logged, Ordering::Release);
    }

    /// Changes a location's hold or pace, and notes what they are then.
    pub(super) fn change_rule<R>(
        &self,
        location: LocationId,
        change: impl FnOnce() -> R,
    ) -> Result<(R, Lsn), LocationError> {
        let Some(storage) = &self.storage else {
            return Ok((change(), Lsn(0)));
        };
        self.usable()?;
        self.log_name(location);
        let control = self.controls.of(location);
        let mut log = storage.control.lock();
        let answer = change();
        let (held_since, pace) = control.rule();
        let lsn = log.log(&Record::Ruled {
            location,
            held_since,
            pace: pace.map_or(0, Pace::releases_per_second),
        });
        Ok((answer, lsn))
    }

    /// A poll has come to its end.
    pub(super) fn polled(&self, now: Timestamp) {
        if let Some(storage) = &self.storage {
            storage.commit.polled(now);
        }
    }
}
