//! The pool's own book, where the centre is run durably: who joined its queue, and when, line by line in a file.
//!
//! A routing system outlives the engine's process, or remembers as the engine does. This one is a part of the same
//! process, so it remembers by this book: a line is written before the engine hears that the pool has the request.
//! Started again, the pool lives through all of its lines once more, at the times that stand there, and is where it
//! was. Who is routed to it once more is known by the book too, and does not join twice.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use duewheel::{LocationId, Media, RequestId, Timestamp};
use serde::{Deserialize, Serialize};

/// Its name in the directory of the store, which leaves others' files alone.
const NAME: &str = "call_center.book";

/// Somebody joined the queue.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Joined {
    pub(crate) at: Timestamp,
    pub(crate) id: RequestId,
    pub(crate) location: LocationId,
    pub(crate) scheduled: bool,
    pub(crate) ahead: bool,
    pub(crate) priority: u8,
    pub(crate) media: Media,
    pub(crate) takes: Duration,
}

/// The book, open at its end.
#[derive(Debug)]
pub(crate) struct Book {
    file: File,
    /// Lines are on disk before they count.
    syncs: bool,
    known: HashSet<RequestId>,
}

impl Book {
    /// Opens the book in this directory, and reads what stands in it. A last line that was cut off is taken out: nobody
    /// was told that it was written.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn open(directory: &Path, syncs: bool) -> io::Result<(Self, Vec<Joined>)> {
        let path = directory.join(NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let (mut joined, mut end) = (Vec::new(), 0);
        let mut reader = BufReader::new(&file);
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
            joined.push(serde_json::from_str::<Joined>(&line)?);
            end += line.len() as u64;
            line.clear();
        }
        file.set_len(end)?;
        file.seek(SeekFrom::End(0))?;
        let known = joined.iter().map(|joined| joined.id).collect();
        let book = Self { file, syncs, known };
        Ok((book, joined))
    }

    /// Whether this request has joined before.
    pub(crate) fn knows(&self, id: RequestId) -> bool {
        self.known.contains(&id)
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Where it cannot be written: it does not count then.
    pub(crate) fn write(&mut self, joined: &Joined) -> io::Result<()> {
        let mut line = serde_json::to_vec(joined)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if self.syncs {
            self.file.sync_data()?;
        }
        self.known.insert(joined.id);
        Ok(())
    }
}
