//! The floor: the same bytes appended to a file and synced as often, with nothing that finds them.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::peer::{Answer, Beat, DurablePeer, Promise};
use crate::request::{BYTES, Due, PAYLOAD, Request};

pub(crate) struct Bare {
    file: File,
    /// What one call appends.
    buffer: Vec<u8>,
    promise: Promise,
    beat: Option<Beat>,
    /// Those that were never released, in order of due time, so that as much is written for each
    /// release as a peer must write at least.
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
        Ok(Self {
            file: options.open(directory.join("requests"))?,
            buffer: Vec::new(),
            promise,
            beat: promise.beat(),
            waiting: Vec::new(),
            is_sorted: true,
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
            // The next to be released last.
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

    fn first_due(&mut self) -> Answer<Option<u64>> {
        // Nothing but the whole file tells.
        let mut first = None::<u64>;
        self.load(|request| first = first.into_iter().chain([request.due]).min())?;
        Ok(first)
    }

    fn load(&mut self, mut visit: impl FnMut(Due<'_>)) -> Answer<usize> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        let (requests, []) = bytes.as_chunks::<BYTES>() else {
            return Err("half a request".into());
        };
        let mut requests: Vec<&[u8; BYTES]> = requests.iter().collect();
        requests.sort_by_cached_key(|request| due_of(request));
        for request in &requests {
            visit(Due {
                id: u128::from_le_bytes(part(request, 0)),
                due: due_of(request),
                location: u32::from_le_bytes(part(request, 24)),
                payload: &request[BYTES - PAYLOAD..],
            });
        }
        Ok(requests.len())
    }
}

fn due_of(request: &[u8; BYTES]) -> u64 {
    u64::from_le_bytes(part(request, 16))
}

fn part<const N: usize>(request: &[u8; BYTES], from: usize) -> [u8; N] {
    std::array::from_fn(|place| request[from + place])
}
