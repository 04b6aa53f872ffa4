//! What is asked of the journal before an answer is given. An engine without a store is told at once that all is well.

use super::Engine;
use super::error::Unavailable;
use super::replies::Position;
use crate::ids::Timestamp;
use crate::persistence::commit::Undurable;
use crate::persistence::{Lsn, Room, StoreError};

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
        let Some(durable) = &self.durable else {
            return Ok(());
        };
        let place = position.stream.checked_sub(1).map(|place| place as usize);
        // A position of before the store was opened with another number of shards has been durable since.
        let lsn = match place.and_then(|place| self.shards.get(place)) {
            Some(cell) => cell.lock().commit(),
            None => durable.control.last(),
        };
        Ok(durable.commit.wait(lsn)?)
    }

    /// Makes everything durable that has happened so far, under any [`Durability`](crate::Durability).
    ///
    /// # Errors
    /// The journal has failed, and some of it may not be durable.
    pub fn flush(&self) -> Result<(), Unavailable> {
        if let Some(durable) = &self.durable {
            durable.commit.flush()?;
        }
        Ok(())
    }

    /// Ends the journal in good order: everything so far is made durable, and nothing is taken in, changed or
    /// released any more. Dropping the engine does the same, and can tell nobody where it fails.
    ///
    /// # Errors
    /// The journal has failed, and some of what has happened may not be durable.
    pub fn seal(&self) -> Result<(), Unavailable> {
        if let Some(durable) = &self.durable {
            durable.commit.close()?;
        }
        Ok(())
    }

    /// What made the journal fail, where it has. The engine then refuses what would change anything, and releases
    /// nothing: open its store again in another engine.
    #[must_use]
    pub fn store_error(&self) -> Option<StoreError> {
        self.durable.as_ref()?.commit.error()
    }

    /// Whether anything may be changed.
    #[inline]
    pub(super) fn usable(&self) -> Result<(), Unavailable> {
        match &self.durable {
            Some(durable) => Ok(durable.commit.check()?),
            None => Ok(()),
        }
    }

    /// To be called before an answer is given that rests on this record, with no lock held.
    #[inline]
    pub(super) fn settle_log(&self, lsn: Lsn) -> Result<(), Undurable> {
        match &self.durable {
            Some(durable) => durable.commit.settle(lsn),
            None => Ok(()),
        }
    }

    /// Whether there is room in the store for further intake.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        match &self.durable {
            Some(durable) => durable.commit.room() == Room::Ample,
            None => true,
        }
    }

    /// Whether the store is waited for before an answer, and before the router is told.
    pub(super) fn is_sync(&self) -> bool {
        let durable = self.durable.as_ref();
        durable.is_some_and(|durable| durable.commit.is_sync())
    }

    /// A poll has come to its end.
    pub(super) fn polled(&self, now: Timestamp) {
        if let Some(durable) = &self.durable {
            durable.commit.polled(now);
        }
    }
}
