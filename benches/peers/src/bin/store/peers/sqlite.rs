//! SQLite, through `rusqlite`: a table and its indices in one file, with a write-ahead log.

use std::path::Path;

use rusqlite::{Connection, Row, params};

use crate::peer::{Answer, Beat, DurablePeer, Promise};
use crate::request::{Due, Request};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS requests (
        id BLOB NOT NULL PRIMARY KEY,
        due INTEGER NOT NULL,
        location INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS by_due ON requests (due);
";

const INSERT: &str = "INSERT INTO requests (id, due, location, payload) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO NOTHING";
const CANCEL: &str = "DELETE FROM requests WHERE id = ?1";
const READ_DUE: &str =
    "SELECT id, due, location, payload FROM requests WHERE due <= ?1 ORDER BY due";
const REMOVE_DUE: &str = "DELETE FROM requests WHERE due <= ?1";
const FIRST_DUE: &str = "SELECT id, due, location, payload FROM requests ORDER BY due LIMIT 1";

/// Kibibytes of pages that a connection keeps; the same 1 GiB that redb has unless told otherwise,
/// where SQLite's own default is 2 MB.
const CACHE: i64 = 1 << 20;

pub(crate) struct Sqlite {
    connection: Connection,
    /// Where transactions stay open from one beat to the next.
    beat: Option<Beat>,
    is_begun: bool,
}

impl Sqlite {
    /// Changes something, in a transaction that is committed as was promised.
    fn change<T>(&mut self, change: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
        if !self.is_begun {
            self.run("BEGIN IMMEDIATE")?;
            self.is_begun = true;
        }
        let answer = change(&self.connection)?;
        let is_over = match &mut self.beat {
            Some(beat) => beat.is_over(),
            None => true,
        };
        if is_over {
            self.commit()?;
        }
        Ok(answer)
    }

    fn commit(&mut self) -> Answer<()> {
        self.run("COMMIT")?;
        self.is_begun = false;
        Ok(())
    }

    fn run(&self, statement: &str) -> Answer<()> {
        self.connection.prepare_cached(statement)?.execute([])?;
        Ok(())
    }
}

impl DurablePeer for Sqlite {
    const NAME: &'static str = "SQLite";

    fn open(directory: &Path, promise: Promise) -> Answer<Self> {
        let connection = Connection::open(directory.join("requests.sqlite"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // In WAL mode `FULL` syncs at each commit, `NORMAL` only before a checkpoint.
        let synchronous = match promise {
            Promise::Returned | Promise::Within(_) => "FULL",
            Promise::Sometime => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", -CACHE)?;
        connection.execute_batch(TABLES)?;
        let beat = match promise {
            Promise::Within(every) => Some(Beat::new(every)),
            Promise::Returned | Promise::Sometime => None,
        };
        Ok(Self {
            connection,
            beat,
            is_begun: false,
        })
    }

    fn schedule(&mut self, batch: &[Request]) -> Answer<usize> {
        self.change(|connection| {
            let mut insert = connection.prepare_cached(INSERT)?;
            let mut taken = 0;
            for request in batch {
                taken += insert.execute(params![
                    request.id.to_be_bytes(),
                    request.due as i64,
                    request.location,
                    request.payload,
                ])?;
            }
            Ok(taken)
        })
    }

    fn cancel(&mut self, ids: &[u128]) -> Answer<usize> {
        self.change(|connection| {
            let mut cancel = connection.prepare_cached(CANCEL)?;
            let mut cancelled = 0;
            for id in ids {
                cancelled += cancel.execute([id.to_be_bytes()])?;
            }
            Ok(cancelled)
        })
    }

    fn release(&mut self, now: u64, mut visit: impl FnMut(Due<'_>)) -> Answer<()> {
        self.change(|connection| {
            let mut read = connection.prepare_cached(READ_DUE)?;
            let mut rows = read.query([now as i64])?;
            while let Some(row) = rows.next()? {
                visit(due_of(row)?);
            }
            connection
                .prepare_cached(REMOVE_DUE)?
                .execute([now as i64])?;
            Ok(())
        })
    }

    fn flush(&mut self) -> Answer<()> {
        if self.is_begun {
            self.commit()?;
        }
        // What `NORMAL` has left in the log is synced by a checkpoint alone.
        let mut checkpoint = self
            .connection
            .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?;
        checkpoint.query_row([], |_| Ok(()))?;
        Ok(())
    }

    fn first_due(&mut self) -> Answer<Option<u64>> {
        let mut first = self.connection.prepare_cached(FIRST_DUE)?;
        let mut rows = first.query([])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(due_of(row)?.due))
    }

    fn load(&mut self, mut visit: impl FnMut(Due<'_>)) -> Answer<usize> {
        let mut read = self.connection.prepare_cached(READ_DUE)?;
        let mut rows = read.query([i64::MAX])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            visit(due_of(row)?);
            count += 1;
        }
        Ok(count)
    }
}

fn due_of<'row>(row: &'row Row<'_>) -> Answer<Due<'row>> {
    let id = row.get_ref(0)?.as_blob()?;
    Ok(Due {
        id: u128::from_be_bytes(id.try_into()?),
        due: u64::try_from(row.get_ref(1)?.as_i64()?)?,
        location: u32::try_from(row.get_ref(2)?.as_i64()?)?,
        payload: row.get_ref(3)?.as_blob()?,
    })
}
