//! The floor: the same bytes appended to a file and synced as often, with nothing that finds them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use crate::peer::{Answer, Beat, DurablePeer, Promise};
use crate::request::{BYTES, Due, Request};

pub(crate) struct Bare {
    file: File,
    /// What one call appends.
    buffer: Vec<u8>,
    promise: Promise,
    beat: Option<Beat>,
    /// What was in the file when it was opened.
    _found: Vec<u8>,
    /// Those that were not released, so that as much is written for each release as a peer must write
    /// at least. The next to be released last, where they are sorted.
    waiting: Vec<(u64, u128)>,
    is_sorted: bool,
}

impl Bare {
    /// Appends what the buffer holds, and syncs as was promised.
    fn append(&mut self) -> Answer<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        let is_over = match &mut self.beat {
            Some(beat) => beat.is_over(),
            None => true,
        };
        if is_over {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&self) -> Answer<()> {
        if !matches!(self.promise, Promise::HandedOver(_)) {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

impl DurablePeer for Bare {
    const NAME: &'static str = "append + fdatasync";
    const IS_FLOOR: bool = true;

    fn open(directory: &Path, promise: Promise) -> Answer<Self> {
        let mut options = OpenOptions::new();
        options.create(true).read(true).append(true);
        let mut file = options.open(directory.join("requests"))?;
        let mut found = Vec::new();
        file.read_to_end(&mut found)?;
        let (requests, []) = found.as_chunks::<BYTES>() else {
            return Err("half a request".into());
        };
        let key = |request| {
            let due = u64::from_le_bytes(part(request, 16));
            (due, u128::from_le_bytes(part(request, 0)))
        };
        Ok(Self {
            file,
            buffer: Vec::new(),
            promise,
            beat: promise.beat(),
            waiting: requests.iter().map(key).collect(),
            _found: found,
            is_sorted: false,
        })
    }

    fn schedule(&mut self, batch: &[Request]) -> Answer<usize> {
        for request in batch {
            self.buffer.extend_from_slice(&request.id.to_le_bytes());
            self.buffer.extend_from_slice(&request.due.to_le_bytes());
            self.buffer
                .extend_from_slice(&request.location.to_le_bytes());
            self.buffer.extend_from_slice(&request.payload);
            self.waiting.push((request.due, request.id));
        }
        self.is_sorted = false;
        self.append()?;
        Ok(batch.len())
    }

    fn cancel(&mut self, ids: &[u128]) -> Answer<usize> {
        for id in ids {
            self.buffer.extend_from_slice(&id.to_le_bytes());
        }
        self.append()?;
        Ok(ids.len())
    }

    fn release(&mut self, now: u64, mut visit: impl FnMut(Due<'_>)) -> Answer<()> {
        if !self.is_sorted {
            self.waiting.sort_unstable_by(|one, other| other.cmp(one));
            self.is_sorted = true;
        }
        while let Some((due, id)) = self.waiting.pop_if(|(due, _)| *due <= now) {
            self.buffer.extend_from_slice(&id.to_le_bytes());
            visit(Due {
                id,
                location: 0,
                due,
                payload: &[],
            });
        }
        self.append()
    }

    fn flush(&mut self) -> Answer<()> {
        self.sync()
    }

    fn load(&mut self, _visit: impl FnMut(Due<'_>)) -> Answer<usize> {
        Ok(self.waiting.len())
    }
}

fn part<const N: usize>(request: &[u8; BYTES], from: usize) -> [u8; N] {
    std::array::from_fn(|place| request[from + place])
}
