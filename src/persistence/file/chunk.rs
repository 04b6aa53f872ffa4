//! Chunk files: the image of one stream, in blocks.
//!
//! A chunk is a [`Header`], blocks one right behind the other, and an end. Each block is a head of 36 bytes and a body:
//!
//! | bytes | |
//! |---|---|
//! | 0..4 | `DBLK`, or `DEND` for the end |
//! | 4..8 | bytes of the body |
//! | 8..12 | records in the body; 0 at the end |
//! | 12..16 | CRC32C of the body |
//! | 16..24 | the number of the stream's last record when the block was made; at the end the greatest of all |
//! | 24..32 | where in the file the head begins |
//! | 32..36 | CRC32C of the 32 bytes before |
//!
//! The end's body says how many blocks and records there were, and how large the file is; a chunk that lacks blocks, or
//! its end, is thereby told from a whole one. Both checksums begin with the file's own [`seed`](Header::seed), and the
//! place is in the head, so that a block counts in its place alone.
//!
//! A writer gathers what it is given and writes it in large pieces, in order; every few megabytes it makes durable what
//! it has written, so that the disk never has so much of a snapshot's to write that the journal's own syncs wait for it
//! long. A reader holds one piece, or one block where that is larger.

use std::io;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::sealed::{HEADER_BYTES, Header};
use crate::persistence::disk::DiskFile;
use crate::persistence::error::StoreError;
use crate::persistence::journal::Lsn;
use crate::persistence::snapshots::{ChunkBlock, ChunkRef};

/// What a chunk begins with.
pub(super) const MAGIC: [u8; 8] = *b"DUEWCHNK";

/// Bytes that a block's records may have: as many as those of a frame of the journal, in which every record was once.
pub(super) const BLOCK_BYTES_MAX: u32 = 1 << 30;

/// Bytes that are written or read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Bytes after which what was written is made durable.
const SYNC_BYTES: u64 = 8 << 20;

const BLOCK: [u8; 4] = *b"DBLK";
const END: [u8; 4] = *b"DEND";
const HEAD_BYTES: usize = 36;
const TOTALS_BYTES: usize = 24;

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    kind: [u8; 4],
    body_bytes: U32,
    count: U32,
    body_crc: U32,
    as_of: U64,
    offset: U64,
    crc: U32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
struct Totals {
    blocks: U64,
    records: U64,
    bytes: U64,
}

impl Head {
    fn checksum(&self, seed: u32) -> u32 {
        crc32c::crc32c_append(seed, &self.as_bytes()[..HEAD_BYTES - 4])
    }
}

/// What a chunk has come to so far.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    blocks: u64,
    records: u64,
    as_of: Lsn,
}

impl Sums {
    fn add(&mut self, count: u32, as_of: Lsn) {
        self.blocks += 1;
        self.records += u64::from(count);
        self.as_of = self.as_of.max(as_of);
    }

    fn totals(&self, bytes: u64) -> Totals {
        Totals {
            blocks: U64::new(self.blocks),
            records: U64::new(self.records),
            bytes: U64::new(bytes),
        }
    }
}

/// Writes a chunk's bytes into a file.
pub(super) struct Encoder {
    file: Box<dyn DiskFile>,
    header: Header,
    seed: u32,
    sums: Sums,
    /// What is not written yet, and where it belongs.
    gathered: Vec<u8>,
    written: u64,
    synced: u64,
}

impl Encoder {
    pub(super) fn new(file: Box<dyn DiskFile>, uuid: u128, number: u64, stream: u32) -> Self {
        let header = Header {
            magic: MAGIC,
            stream,
            uuid,
            number,
            body_bytes: 0,
        };
        let mut gathered = Vec::with_capacity(PIECE_BYTES);
        gathered.extend_from_slice(&header.encode());
        Self {
            file,
            header,
            seed: header.seed(),
            sums: Sums::default(),
            gathered,
            written: 0,
            synced: 0,
        }
    }

    /// Writes a block, whose records have at most [`BLOCK_BYTES_MAX`] bytes.
    pub(super) fn put(&mut self, block: &ChunkBlock<'_>) -> io::Result<()> {
        self.sums.add(block.count, block.as_of);
        self.block(BLOCK, block.count, block.as_of, block.records)
    }

    /// Writes the end, and makes all durable.
    pub(super) fn finish(mut self) -> io::Result<ChunkRef> {
        let bytes = self.offset() + (HEAD_BYTES + TOTALS_BYTES) as u64;
        let totals = self.sums.totals(bytes);
        self.block(END, 0, self.sums.as_of, totals.as_bytes())?;
        self.write_gathered()?;
        self.file.sync()?;
        Ok(ChunkRef {
            stream: self.header.stream,
            number: self.header.number,
            bytes,
            records: self.sums.records,
            as_of: self.sums.as_of,
        })
    }

    /// Where the next byte belongs.
    fn offset(&self) -> u64 {
        self.written + self.gathered.len() as u64
    }

    fn block(&mut self, kind: [u8; 4], count: u32, as_of: Lsn, body: &[u8]) -> io::Result<()> {
        let Ok(body_bytes) = body.len().try_into() else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        let mut head = Head {
            kind,
            body_bytes: U32::new(body_bytes),
            count: U32::new(count),
            body_crc: U32::new(crc32c::crc32c_append(self.seed, body)),
            as_of: U64::new(as_of.0),
            offset: U64::new(self.offset()),
            crc: U32::new(0),
        };
        head.crc = U32::new(head.checksum(self.seed));
        self.gather(head.as_bytes())?;
        self.gather(body)
    }

    fn gather(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.gathered.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.gathered.extend_from_slice(now);
            bytes = later;
            if self.gathered.len() == PIECE_BYTES {
                self.write_gathered()?;
            }
        }
        Ok(())
    }

    fn write_gathered(&mut self) -> io::Result<()> {
        self.file.write_all_at(self.written, &self.gathered)?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.written;
        }
        Ok(())
    }
}

/// Reads a chunk, which is to be this one, and shows its blocks. `reading` says what was tried, for an error of the
/// operating system's.
pub(super) fn decode(
    file: &dyn DiskFile,
    place: &str,
    uuid: u128,
    chunk: &ChunkRef,
    reading: &dyn Fn(io::Error) -> StoreError,
    visit: &mut dyn FnMut(&ChunkBlock<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let damaged = |offset, found: &str, expected: &str| {
        Err(StoreError::damaged(place, offset, found, expected))
    };
    let size = file.size().map_err(reading)?;
    if size != chunk.bytes {
        let expected = format!("{} bytes", chunk.bytes);
        return damaged(
            size.min(chunk.bytes),
            &format!("it has {size} bytes"),
            &expected,
        );
    }
    let mut window = Window {
        file,
        place,
        size,
        reading,
        start: 0,
        filled: 0,
        bytes: Vec::new(),
    };
    let header = Header::decode(window.at(0, HEADER_BYTES)?, MAGIC, place)?;
    header.belongs(uuid, chunk.number, place)?;
    if header.stream != chunk.stream {
        let found = format!("it is of stream {}", header.stream);
        return damaged(12, &found, &format!("stream {}", chunk.stream));
    }
    if header.body_bytes != 0 {
        let found = format!("it says it has a body of {} bytes", header.body_bytes);
        return damaged(40, &found, "blocks");
    }
    let seed = header.seed();
    let mut sums = Sums::default();
    let mut offset = HEADER_BYTES as u64;
    loop {
        let head = window.at(offset, HEAD_BYTES)?;
        let Ok(head) = Head::read_from_bytes(head) else {
            return damaged(offset, "the file ends", "the head of a block");
        };
        if head.crc.get() != head.checksum(seed) {
            let found = "the head of a block is not what its checksum says";
            return damaged(offset, found, "what was written");
        }
        if head.offset.get() != offset {
            let found = format!("a block that belongs at byte {}", head.offset);
            return damaged(offset, &found, "the block that was written here");
        }
        let body_at = offset + HEAD_BYTES as u64;
        let body_bytes = head.body_bytes.get();
        if body_bytes > BLOCK_BYTES_MAX {
            let found = format!("a block of {body_bytes} bytes");
            return damaged(offset, &found, &format!("at most {BLOCK_BYTES_MAX}"));
        }
        let body = window.at(body_at, body_bytes as usize)?;
        if crc32c::crc32c_append(seed, body) != head.body_crc.get() {
            let found = "the records of a block are not what their checksum says";
            return damaged(body_at, found, "what was written");
        }
        offset = body_at + u64::from(body_bytes);
        let as_of = Lsn(head.as_of.get());
        match head.kind {
            BLOCK => {
                sums.add(head.count.get(), as_of);
                visit(&ChunkBlock {
                    as_of,
                    count: head.count.get(),
                    records: body,
                })?;
            }
            END => {
                let totals = body == sums.totals(size).as_bytes();
                if !totals || head.count != 0 || as_of != sums.as_of || offset != size {
                    let found = format!("{} records in {} blocks", sums.records, sums.blocks);
                    return damaged(body_at, &found, "what the chunk's end says");
                }
                break;
            }
            _ => return damaged(offset, "a block of an unknown kind", "a block or the end"),
        }
    }
    if (sums.records, sums.as_of) != (chunk.records, chunk.as_of) {
        let found = format!("{} records as of {}", sums.records, sums.as_of);
        let expected = format!("{} records as of {}", chunk.records, chunk.as_of);
        return damaged(0, &found, &expected);
    }
    Ok(())
}

/// A piece of a file, which moves along.
struct Window<'a> {
    file: &'a dyn DiskFile,
    place: &'a str,
    size: u64,
    reading: &'a dyn Fn(io::Error) -> StoreError,
    /// Where `bytes[..filled]` begins.
    start: u64,
    filled: usize,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// So many bytes from there. Takes no more memory than a piece or that, and none for what is not in the file.
    fn at(&mut self, offset: u64, bytes: usize) -> Result<&[u8], StoreError> {
        let left = self.size.saturating_sub(offset);
        let cut = |end: u64| {
            let found = "the file ends here";
            StoreError::damaged(
                self.place,
                end,
                found,
                format!("{bytes} bytes from {offset} on"),
            )
        };
        if bytes as u64 > left {
            return Err(cut(self.size));
        }
        let within = offset
            .checked_sub(self.start)
            .filter(|skipped| skipped + bytes as u64 <= self.filled as u64);
        let skipped = match within {
            Some(skipped) => skipped as usize,
            None => {
                let wanted = left.min(PIECE_BYTES.max(bytes) as u64) as usize;
                if self.bytes.len() < wanted {
                    self.bytes.resize(wanted, 0);
                }
                self.filled = self
                    .file
                    .read_all_at(offset, &mut self.bytes[..wanted])
                    .map_err(self.reading)?;
                self.start = offset;
                if self.filled < bytes {
                    return Err(cut(offset + self.filled as u64));
                }
                0
            }
        };
        Ok(&self.bytes[skipped..skipped + bytes])
    }
}
