//! What small files of a store look like, and how they are written so that they are there as a whole or not at all.
//!
//! Every file begins with a [`Header`], the same in all versions, so that a reader always finds out what it has before
//! it:
//!
//! | bytes | |
//! |---|---|
//! | 0..8 | what kind of file it is |
//! | 8..10 | version of its format |
//! | 10..12 | 0 |
//! | 12..16 | the stream, of a chunk; else 0 |
//! | 16..32 | the store's identity |
//! | 32..40 | the file's number; that of `STORE` is 0 |
//! | 40..44 | bytes of the body, of a sealed file; else 0 |
//! | 44..48 | CRC32C of the 44 bytes before |
//!
//! All numbers are little-endian. A *sealed* file (`STORE`, manifests) is a header, a body and the body's CRC32C, and
//! nothing behind it. Checksums of what follows a header begin with its kind, the store's identity and the number, so
//! that what lies in the wrong file is never taken for its content.

use std::io;

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::names::FileName;
use super::trying;
use crate::persistence::disk::{Disk, OpenMode};
use crate::persistence::error::StoreError;
use crate::persistence::record::RECORD_VERSION;

/// The version of the formats of `STORE`, chunks and manifests that is written, and the only one read.
pub(super) const VERSION: u16 = 1;

// A chunk's records have no version of their own in its file: theirs grows with that of the file.
const _: () = assert!(VERSION == RECORD_VERSION);

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 48;

/// Bytes of a checksum behind a body.
const SEAL_BYTES: usize = 4;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) stream: u32,
    pub(super) uuid: u128,
    pub(super) number: u64,
    pub(super) body_bytes: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeaderLayout {
    magic: [u8; 8],
    version: U16,
    zero: U16,
    stream: U32,
    uuid: U128,
    number: U64,
    body_bytes: U32,
    crc: U32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut layout = HeaderLayout {
            magic: self.magic,
            version: U16::new(VERSION),
            zero: U16::new(0),
            stream: U32::new(self.stream),
            uuid: U128::new(self.uuid),
            number: U64::new(self.number),
            body_bytes: U32::new(self.body_bytes),
            crc: U32::new(0),
        };
        layout.crc = U32::new(layout.checksum());
        zerocopy::transmute!(layout)
    }

    /// Reads what is at the beginning of the file `place`, which is to be of this kind.
    pub(super) fn decode(bytes: &[u8], magic: [u8; 8], place: &str) -> Result<Self, StoreError> {
        let damaged = |offset, found: String, expected: &str| {
            Err(StoreError::damaged(place, offset, found, expected))
        };
        let Ok((layout, _)) = HeaderLayout::ref_from_prefix(bytes) else {
            let found = format!("it ends after {} bytes", bytes.len());
            return damaged(bytes.len() as u64, found, "a header of 48 bytes");
        };
        if layout.magic != magic {
            // Not what is there: it may be a customer's.
            let expected = format!("{:?}", String::from_utf8_lossy(&magic));
            return damaged(0, "it begins with something else".to_owned(), &expected);
        }
        if layout.crc.get() != layout.checksum() {
            let found = "the header is not what its checksum says".to_owned();
            return damaged(0, found, "what was written");
        }
        if layout.version.get() != VERSION {
            return Err(StoreError::Mismatch {
                what: format!("the format of {place}"),
                found: format!("version {}", layout.version),
                expected: format!("version {VERSION}, the only one this program reads"),
            });
        }
        if layout.zero.get() != 0 {
            return damaged(10, format!("{:#x}", layout.zero), "0");
        }
        Ok(Self {
            magic,
            stream: layout.stream.get(),
            uuid: layout.uuid.get(),
            number: layout.number.get(),
            body_bytes: layout.body_bytes.get(),
        })
    }

    /// Whether it is the header of this store's file of this number.
    pub(super) fn belongs(&self, uuid: u128, number: u64, place: &str) -> Result<(), StoreError> {
        if self.uuid != uuid {
            return Err(StoreError::Mismatch {
                what: format!("the store that {place} belongs to"),
                found: format!("{:032x}", self.uuid),
                expected: format!("{uuid:032x}"),
            });
        }
        if self.number != number {
            return Err(StoreError::damaged(
                place,
                32,
                format!("it says it is number {:#x}", self.number),
                format!("number {number:#x}"),
            ));
        }
        Ok(())
    }

    /// What checksums of all that follows begin with.
    pub(super) fn seed(&self) -> u32 {
        let seed = crc32c::crc32c(&self.magic);
        let seed = crc32c::crc32c_append(seed, &self.uuid.to_le_bytes());
        crc32c::crc32c_append(seed, &self.number.to_le_bytes())
    }
}

impl HeaderLayout {
    fn checksum(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[..HEADER_BYTES - 4])
    }
}

/// A sealed file: its header, with the size of the body put in, the body and its checksum. The body has to be below
/// 4 GiB.
pub(super) fn seal(header: Header, body: &[u8]) -> Vec<u8> {
    debug_assert!(u32::try_from(body.len()).is_ok());
    let header = Header {
        body_bytes: body.len() as u32,
        ..header
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + SEAL_BYTES);
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(body);
    let crc = crc32c::crc32c_append(header.seed(), body);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Bytes of a sealed file whose body has so many.
pub(super) const fn bytes(body: usize) -> u64 {
    (HEADER_BYTES + body + SEAL_BYTES) as u64
}

/// The header and the body of a sealed file, all of which is in `bytes`.
pub(super) fn open<'a>(
    bytes: &'a [u8],
    magic: [u8; 8],
    place: &str,
) -> Result<(Header, &'a [u8]), StoreError> {
    let header = Header::decode(bytes, magic, place)?;
    if header.stream != 0 {
        let found = format!("it is of stream {}", header.stream);
        return Err(StoreError::damaged(place, 12, found, "0"));
    }
    let (_, behind) = bytes.split_at(HEADER_BYTES);
    let expected = u64::from(header.body_bytes) + self::bytes(0);
    if bytes.len() as u64 != expected {
        return Err(StoreError::damaged(
            place,
            expected.min(bytes.len() as u64),
            format!("it has {} bytes", bytes.len()),
            format!("{expected} bytes"),
        ));
    }
    let (body, seal) = behind.split_at(behind.len() - SEAL_BYTES);
    if crc32c::crc32c_append(header.seed(), body).to_le_bytes() != seal {
        return Err(StoreError::damaged(
            place,
            HEADER_BYTES as u64,
            "the body is not what its checksum says",
            "what was written",
        ));
    }
    Ok((header, body))
}

/// Reads a whole file, whose size is not to be above `bytes_max`.
pub(super) fn read(disk: &dyn Disk, name: &str, bytes_max: u64) -> Result<Vec<u8>, StoreError> {
    let what = || trying("reading", disk, name);
    let reading = |error| StoreError::from_io(what(), error);
    let file = disk.open(name, OpenMode::Read).map_err(reading)?;
    let size = file.size().map_err(reading)?;
    if size > bytes_max {
        return Err(StoreError::damaged(
            name,
            bytes_max,
            format!("it has {size} bytes"),
            format!("at most {bytes_max} bytes"),
        ));
    }
    // What is behind its end where it has grown meanwhile is not wanted.
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    let read = file.read_all_at(0, &mut bytes).map_err(reading)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Makes this the content of a file, whether or not there was one of this name: durable, and read back, when it
/// returns. Where it fails or is cut short there is the old content, or the new one, and nothing else.
pub(super) fn write(disk: &dyn Disk, name: FileName, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = name.temporary();
    let name = name.to_string();
    let failed = |doing, name: &str| {
        let what = trying(doing, disk, name);
        move |error| StoreError::from_io(what, error)
    };
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("removing", &temporary)(error));
        }
        _ => {}
    }
    let written = disk
        .open(&temporary, OpenMode::Create)
        .and_then(|file| {
            file.write_all_at(0, bytes)?;
            file.sync()
        })
        .map_err(failed("writing", &temporary))
        .and_then(|()| is_what_was_written(disk, &temporary, bytes));
    if let Err(error) = written {
        // It is removed at the next opening at the latest.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, &name)
        .map_err(failed("renaming", &temporary))?;
    disk.sync_directory().map_err(failed("syncing", ""))?;
    is_what_was_written(disk, &name, bytes)
}

fn is_what_was_written(disk: &dyn Disk, name: &str, written: &[u8]) -> Result<(), StoreError> {
    let read = read(disk, name, written.len() as u64)?;
    let differs = read
        .iter()
        .zip(written)
        .position(|(read, wrote)| read != wrote);
    let differs = differs.or_else(|| (read.len() < written.len()).then_some(read.len()));
    match differs {
        None => Ok(()),
        Some(at) => Err(StoreError::damaged(
            name,
            at as u64,
            "what was read back differs from what was just written",
            "the same",
        )),
    }
}
