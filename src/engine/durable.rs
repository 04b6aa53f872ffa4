//! What an engine has of its store while it runs.

use super::Engine;
use super::config::BuildError;
use super::control::ControlLog;
use super::recovery::RecoveryReport;
use super::snapshot::Snapshots;
use crate::persistence::commit::{Commit, Undurable};
use crate::persistence::record::Record;
use crate::persistence::{Durability, Store, StoreError};
use crate::sync::{Arc, Mutex};

/// An engine's store, opened for writing.
pub(super) struct Durable {
    pub(super) store: Store,
    pub(super) commit: Arc<Commit>,
    pub(super) control: ControlLog,
    /// What was found.
    pub(super) recovery: RecoveryReport,
    /// Gone while a snapshot is taken.
    pub(super) snapshots: Mutex<Option<Snapshots>>,
}

impl Durable {
    pub(super) fn new(
        store: Store,
        commit: Commit,
        recovery: RecoveryReport,
        snapshots: Snapshots,
    ) -> Self {
        let commit = Arc::new(commit);
        let names = recovery.locations as usize;
        Self {
            store,
            control: ControlLog::new(Arc::clone(&commit), names),
            commit,
            recovery,
            snapshots: Mutex::new(Some(snapshots)),
        }
    }

    /// Why the journal writes no more.
    pub(super) fn failure(&self) -> StoreError {
        let closed = || StoreError::Mismatch {
            what: "the journal".to_owned(),
            found: "a closed one".to_owned(),
            expected: "an open one".to_owned(),
        };
        self.commit.error().unwrap_or_else(closed)
    }
}

/// Nobody can be told where this fails; [`Engine::seal`] says it.
impl Drop for Durable {
    fn drop(&mut self) {
        let _ = self.commit.close();
    }
}

impl Engine {
    /// What was found in the store when the engine was built; `None` for an engine without one.
    #[must_use]
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        Some(&self.durable.as_ref()?.recovery)
    }

    /// Writes down who writes from here on. Before that, where the shards are others than the store's, a snapshot of
    /// all of them, because their records' streams mean something else from here on.
    pub(super) fn open_store(&self, needs_snapshot: bool) -> Result<(), BuildError> {
        let Some(durable) = &self.durable else {
            return Ok(());
        };
        if needs_snapshot {
            // Nobody else has the engine yet, who could take one.
            let _ = self.take_snapshot(durable, false)?;
        }
        let lsn = durable.control.log(&self.opened());
        let written = durable.commit.wait(lsn);
        written.map_err(|Undurable| BuildError::Store(durable.failure()))
    }

    /// Who writes.
    pub(super) fn opened(&self) -> Record<'static> {
        Record::Opened {
            epoch: self.settings.epoch,
            shards: self.shards.len() as u32,
            // As long as something is suspect, because a writer before wrote otherwise, it stays so after a crash.
            durability: match &self.durable {
                Some(durable) if durable.commit.is_unsettled() => Durability::NoSync,
                _ => self.settings.durability,
            },
            next_intake: self.next_intake(),
        }
    }
}
