//! Repair: a plan carried out, in an order in which a crash at any point leaves a store that is refused or repaired,
//! and every file.
//!
//! First the journal is written anew (see `journal/rewrite.rs`), beside the old one, which is not looked at from then
//! on. Then files get their other names; damaged snapshots last, for a recovery passes over them in any case.

use super::StoreInspector;
use super::plan::{RepairPlan, Rewriting};
use super::verify::VerifyReport;
use crate::persistence::error::StoreError;
use crate::persistence::file::journal::inspect::{Event, inspect};
use crate::persistence::file::journal::rewrite::Rewrite;
use crate::persistence::file::trying;

impl StoreInspector {
    /// Carries a plan out, and verifies the store.
    ///
    /// Needs room for what is kept of the journal once more. No file is removed: those that were set aside are its
    /// user's to keep or to remove.
    ///
    /// # Errors
    /// - [`StoreError::Mismatch`] where the plan is not this store's as it is now, or cannot be carried out.
    /// - Else [`StoreError`]: some of it may be done. Every file is there, and another plan can be made.
    pub fn repair(&self, plan: &RepairPlan) -> Result<VerifyReport, StoreError> {
        if let Some(obstacle) = &plan.obstacle {
            return Err(unfit(obstacle.clone(), "one that can be carried out"));
        }
        if self.repair_plan()? != *plan {
            let found = "that of another store, or of another moment".to_owned();
            return Err(unfit(found, "this store's, as it is now"));
        }
        if let Some(rewriting) = &plan.rewrite {
            self.rewrite(rewriting)?;
        }
        let disk = &*self.writable;
        for aside in &plan.set_aside {
            let failed = |error| StoreError::from_io(trying("renaming", disk, &aside.file), error);
            disk.rename(&aside.file, &aside.to).map_err(failed)?;
        }
        if !plan.set_aside.is_empty() {
            let failed = |error| StoreError::from_io(trying("syncing", disk, ""), error);
            disk.sync_directory().map_err(failed)?;
        }
        self.verify()
    }

    fn rewrite(&self, rewriting: &Rewriting) -> Result<(), StoreError> {
        let Rewriting {
            start,
            kept,
            next,
            segment_bytes,
        } = *rewriting;
        let mut rewrite = Rewrite::begin(&self.writable, self.uuid, segment_bytes, start)?;
        if let Some((first, last)) = kept {
            let mut outcome = Ok(());
            inspect(&*self.disk, self.uuid, &mut |event| {
                if let Event::Frame { at, frame, .. } = event
                    && (first..=last).contains(at)
                    && outcome.is_ok()
                {
                    outcome = rewrite.put(frame, start.epoch);
                }
            })?;
            outcome?;
        }
        rewrite.publish(next)
    }
}

fn unfit(found: String, expected: &str) -> StoreError {
    StoreError::Mismatch {
        what: "the plan of a repair".to_owned(),
        found,
        expected: expected.to_owned(),
    }
}
