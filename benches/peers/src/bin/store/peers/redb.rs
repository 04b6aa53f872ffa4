//! `redb`: a B-tree that is copied on write, in one file.

use std::path::Path;

use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};

use crate::peer::{Answer, Beat, DurablePeer, Promise};
use crate::request::{Due, Request};

/// Requests in order of due time: by due time and id; location and payload.
///
/// The payload is here, where the scan reads it in order, and not beside the id.
const BY_DUE: TableDefinition<'_, (u64, u128), (u32, &[u8])> = TableDefinition::new("by_due");

/// When the request of an id is due.
const BY_ID: TableDefinition<'_, u128, u64> = TableDefinition::new("by_id");

/// With `QUICK_REPAIR` each commit syncs twice and saves what was allocated, so that opening after a
/// kill need not walk through the whole file.
///
/// Fields in this order: the database waits for an open transaction where it is dropped first.
pub(crate) struct Redb<const QUICK_REPAIR: bool> {
    /// Where transactions stay open from one beat to the next.
    begun: Option<WriteTransaction>,
    database: Database,
    beat: Option<Beat>,
}

impl<const QUICK_REPAIR: bool> Redb<QUICK_REPAIR> {
    /// Changes something, in a transaction that is committed as was promised. (With a commit of
    /// `Durability::None` for each call instead, an interval came out slower.)
    fn change<T>(&mut self, change: impl FnOnce(&WriteTransaction) -> Answer<T>) -> Answer<T> {
        let transaction = match self.begun.take() {
            Some(transaction) => transaction,
            None => self.begin()?,
        };
        let answer = change(&transaction)?;
        let is_over = match &mut self.beat {
            Some(beat) => beat.is_over(),
            None => true,
        };
        if is_over {
            transaction.commit()?;
        } else {
            self.begun = Some(transaction);
        }
        Ok(answer)
    }

    fn begin(&self) -> Answer<WriteTransaction> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(QUICK_REPAIR);
        Ok(transaction)
    }
}

impl<const QUICK_REPAIR: bool> DurablePeer for Redb<QUICK_REPAIR> {
    const NAME: &'static str = if QUICK_REPAIR {
        "redb quick-repair"
    } else {
        "redb"
    };

    fn open(directory: &Path, promise: Promise) -> Answer<Self> {
        let database = Database::create(directory.join("requests.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(BY_DUE)?;
        transaction.open_table(BY_ID)?;
        transaction.commit()?;
        Ok(Self {
            begun: None,
            database,
            beat: promise.beat(),
        })
    }

    fn schedule(&mut self, batch: &[Request]) -> Answer<usize> {
        self.change(|transaction| {
            let mut by_due = transaction.open_table(BY_DUE)?;
            let mut by_id = transaction.open_table(BY_ID)?;
            let mut taken = 0;
            for request in batch {
                // One way down the tree, where asking first would be two; few are there already.
                let before = by_id.insert(request.id, request.due)?;
                if let Some(due) = before.map(|due| due.value()) {
                    by_id.insert(request.id, due)?;
                    continue;
                }
                let value = (request.location, &request.payload[..]);
                by_due.insert((request.due, request.id), value)?;
                taken += 1;
            }
            Ok(taken)
        })
    }

    fn cancel(&mut self, ids: &[u128]) -> Answer<usize> {
        self.change(|transaction| {
            let mut by_due = transaction.open_table(BY_DUE)?;
            let mut by_id = transaction.open_table(BY_ID)?;
            let mut cancelled = 0;
            for &id in ids {
                let due = by_id.remove(id)?.map(|due| due.value());
                if let Some(due) = due {
                    by_due.remove((due, id))?;
                    cancelled += 1;
                }
            }
            Ok(cancelled)
        })
    }

    fn release(&mut self, now: u64, mut visit: impl FnMut(Due<'_>)) -> Answer<()> {
        self.change(|transaction| {
            let mut by_due = transaction.open_table(BY_DUE)?;
            let mut by_id = transaction.open_table(BY_ID)?;
            for entry in by_due.extract_from_if(..=(now, u128::MAX), |_, _| true)? {
                let (key, value) = entry?;
                let (due, id) = key.value();
                let (location, payload) = value.value();
                visit(Due {
                    id,
                    location,
                    due,
                    payload,
                });
                by_id.remove(id)?;
            }
            Ok(())
        })
    }

    fn flush(&mut self) -> Answer<()> {
        if let Some(transaction) = self.begun.take() {
            transaction.commit()?;
        }
        Ok(())
    }

    fn first_due(&mut self) -> Answer<Option<u64>> {
        // What is not committed is not read.
        self.flush()?;
        let by_due = self.database.begin_read()?.open_table(BY_DUE)?;
        let first = by_due.first()?;
        Ok(first.map(|(key, _)| key.value().0))
    }

    fn load(&mut self, mut visit: impl FnMut(Due<'_>)) -> Answer<usize> {
        self.flush()?;
        let by_due = self.database.begin_read()?.open_table(BY_DUE)?;
        for entry in by_due.iter()? {
            let (key, value) = entry?;
            let (due, id) = key.value();
            let (location, payload) = value.value();
            visit(Due {
                id,
                location,
                due,
                payload,
            });
        }
        Ok(usize::try_from(by_due.len()?)?)
    }

    fn can_keep(promise: Promise) -> Result<(), &'static str> {
        match promise {
            Promise::Returned | Promise::Within(_) => Ok(()),
            Promise::HandedOver(_) => {
                Err("what it commits is synced, or stays in its own memory; nothing in between")
            }
        }
    }
}
