//! SQLite, through `rusqlite`: a table and its indices in one file, with a write-ahead log.

use std::path::Path;

use rusqlite::{Connection, Row, params};

use crate::peer::{Answer, Beat, DurablePeer, Promise};
use crate::request::{Due, Request};

/// In order of due time, so that the scan reads payloads in order; a unique index tells the ids. (With
/// the id as the primary key and an index by due time, scanning came out slower, and nothing faster.)
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS requests (
        due INTEGER NOT NULL,
        id BLOB NOT NULL,
        location INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (due, id)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX IF NOT EXISTS by_id ON requests (id);
";

const INSERT: &str = "INSERT INTO requests (due, id, location, payload) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (id) DO NOTHING";
const CANCEL: &str = "DELETE FROM requests WHERE id = ?1";
const READ_DUE: &str =
    "SELECT due, id, location, payload FROM requests WHERE due <= ?1 ORDER BY due";
const REMOVE_DUE: &str = "DELETE FROM requests WHERE due <= ?1";
const FIRST_DUE: &str = "SELECT due, id, location, payload FROM requests ORDER BY due LIMIT 1";

/// Kibibytes of pages that a connection keeps: the same 1 GiB that redb has unless told otherwise,
/// where SQLite's own default is 2 MB.
const CACHE: i64 = 1 << 20;

/// Pages of 4 KiB in the write-ahead log after which they are moved to their places: 64 MiB, where
/// SQLite's own default is 4 MB. Fewer moves write less.
const CHECKPOINT: i64 = 1 << 14;

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
            Promise::HandedOver(_) => "NORMAL",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "cache_size", -CACHE)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
        connection.execute_batch(TABLES)?;
        Ok(Self {
            connection,
            beat: promise.beat(),
            is_begun: false,
        })
    }

    fn schedule(&mut self, batch: &[Request]) -> Answer<usize> {
        self.change(|connection| {
            let mut insert = connection.prepare_cached(INSERT)?;
            let mut taken = 0;
            for request in batch {
                taken += insert.execute(params![
                    request.due as i64,
                    request.id.to_be_bytes(),
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
    let id = row.get_ref(1)?.as_blob()?;
    Ok(Due {
        id: u128::from_be_bytes(id.try_into()?),
        due: u64::try_from(row.get_ref(0)?.as_i64()?)?,
        location: u32::try_from(row.get_ref(2)?.as_i64()?)?,
        payload: row.get_ref(3)?.as_blob()?,
    })
}
