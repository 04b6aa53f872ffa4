//! Arbitrary bytes in the place of a store's small files: of a chunk, of a manifest, of the store's identity.
//!
//! Bytes that nobody has sealed are refused by the first checksum that looks at them. So an input may ask for its
//! checksums to be put right, and, in a chunk, for all else that says where something is and how much there is of it;
//! what is left is what a program with a fault of its own might have written.

use std::sync::Arc;

use duewheel::{
    ChunkBlock, ChunkRef, Disk, FileOptions, Lsn, Manifest, OpenMode, Positions, Store, StoreError,
};

use crate::Outcome;
use crate::disk::{DiskImage, SimulatedDisk};

const IDENTITY: &[u8] = include_bytes!("../../tests/golden/STORE.1");
/// The store's in that file.
const UUID: u128 = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321;

const CHUNK: &str = "chunk-0000000000000001";
const MANIFEST: &str = "manifest-0000000000000001";

const HEADER_BYTES: usize = 48;
const HEAD_BYTES: usize = 36;
const SEAL_BYTES: usize = 4;

/// Reads an input: its first byte says in whose place the others are, and what is put right in them.
pub(crate) fn decode(input: &[u8]) -> Outcome {
    let Some((mode, bytes)) = input.split_first() else {
        return Outcome::default();
    };
    let bytes = bytes.to_vec();
    let put_right = mode & 0x10 != 0;
    let read = match mode % 4 {
        0 | 1 => chunk(bytes, put_right, mode & 0x20 != 0),
        2 => manifest(bytes, put_right),
        _ => identity(bytes, put_right),
    };
    Outcome {
        operations: 1,
        counted: usize::from(read),
    }
}

/// A store that has this file beside its identity.
fn store(name: &str, bytes: &[u8]) -> (SimulatedDisk, Result<Store, StoreError>) {
    let mut image = DiskImage::default();
    image.set("STORE", IDENTITY);
    image.set(name, bytes);
    let disk = SimulatedDisk::from_image(&image, 0);
    let store = Store::on_disk(Arc::new(disk.clone()), FileOptions::new());
    (disk, store)
}

/// Whether the bytes are a chunk. They are one just where writing what was read makes these bytes again.
fn chunk(mut bytes: Vec<u8>, put_right: bool, totals_too: bool) -> bool {
    let mut expected = ChunkRef {
        stream: u32_at(&bytes, 12).unwrap_or(0),
        number: 1,
        bytes: bytes.len() as u64,
        records: 0,
        as_of: Lsn(0),
    };
    put_chunk_right(&mut bytes, put_right, totals_too, &mut expected);
    let (_, store) = store(CHUNK, &bytes);
    let store = store.expect("what is in a chunk is looked at when it is read");
    let mut blocks = Vec::new();
    let mut seen_bytes = 0;
    let read = store.snapshots().read(&expected, &mut |block| {
        seen_bytes += block.records.len();
        blocks.push((block.as_of, block.count, block.records.to_vec()));
        Ok(())
    });
    assert!(seen_bytes <= bytes.len());
    let whole = read.is_ok();
    if whole {
        assert_eq!(written(expected.stream, &blocks), bytes);
    }
    // It goes with the next publication, whatever it is.
    store.snapshots().publish(&snapshot(1)).unwrap();
    assert_eq!(store.snapshots().find().unwrap().good, [snapshot(1)]);
    assert!(store.snapshots().read(&expected, &mut |_| Ok(())).is_err());
    whole
}

/// The file of a chunk of these blocks.
fn written(stream: u32, blocks: &[(Lsn, u32, Vec<u8>)]) -> Vec<u8> {
    let mut image = DiskImage::default();
    image.set("STORE", IDENTITY);
    let disk = SimulatedDisk::from_image(&image, 0);
    let store = Store::on_disk(Arc::new(disk.clone()), FileOptions::new()).unwrap();
    let mut writer = store.snapshots().begin(stream).unwrap();
    for (as_of, count, records) in blocks {
        let block = ChunkBlock {
            as_of: *as_of,
            count: *count,
            records,
        };
        writer.put(&block).unwrap();
    }
    let chunk = writer.finish().unwrap();
    assert_eq!(chunk.number, 1);
    read(&disk, CHUNK)
}

/// Whether the bytes are a manifest. If they are none, the snapshots after it are made all the same.
fn manifest(mut bytes: Vec<u8>, put_right: bool) -> bool {
    if put_right {
        seal(&mut bytes, b"DUEWMANI", 1);
    }
    let (_, store) = store(MANIFEST, &bytes);
    let store = store.expect("what is in a manifest is no reason not to open a store");
    let snapshots = store.snapshots();
    let found = snapshots.find().unwrap();
    assert_eq!(found.good.len() + found.bad.len(), 1);
    for manifest in &found.good {
        assert_eq!(manifest.number, 1);
        assert!(manifest.chunks.is_empty(), "there are no chunks");
    }
    snapshots.publish(&snapshot(2)).unwrap();
    let after = snapshots.find().unwrap();
    assert_eq!(after.good[0], snapshot(2));
    assert_eq!(after.good[1..], found.good);
    !found.good.is_empty()
}

/// Whether the bytes are an identity. Whatever they are, they stay.
fn identity(mut bytes: Vec<u8>, put_right: bool) -> bool {
    if put_right {
        seal(&mut bytes, b"DUEWSTOR", 0);
    }
    let (disk, store) = store("STORE", &bytes);
    assert_eq!(read(&disk, "STORE"), bytes);
    if let Ok(store) = &store {
        let written = store.identity();
        assert_eq!(bytes[16..32], written.uuid.to_le_bytes());
        assert_eq!(bytes[48..64], written.hash_key.to_le_bytes());
    }
    store.is_ok()
}

fn snapshot(number: u64) -> Manifest {
    Manifest {
        number,
        positions: Positions(vec![Lsn(number)]),
        ..Manifest::default()
    }
}

fn read(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name, OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    let read = file.read_all_at(0, &mut bytes).unwrap();
    assert_eq!(read, bytes.len());
    bytes
}

/// Puts a header right, but for its version and what it says of a body, and returns what checksums begin with.
fn put_header_right(bytes: &mut [u8], magic: &[u8; 8], number: u64) -> Option<u32> {
    let header = bytes.get_mut(..HEADER_BYTES)?;
    header[..8].copy_from_slice(magic);
    header[16..32].copy_from_slice(&UUID.to_le_bytes());
    header[32..40].copy_from_slice(&number.to_le_bytes());
    let crc = crc32c::crc32c(&header[..44]);
    header[44..].copy_from_slice(&crc.to_le_bytes());
    let seed = crc32c::crc32c_append(crc32c::crc32c(magic), &UUID.to_le_bytes());
    Some(crc32c::crc32c_append(seed, &number.to_le_bytes()))
}

/// Puts the checksums of a sealed file right.
fn seal(bytes: &mut [u8], magic: &[u8; 8], number: u64) {
    let Some(seed) = put_header_right(bytes, magic, number) else {
        return;
    };
    if let Some(body_bytes) = bytes.len().checked_sub(HEADER_BYTES + SEAL_BYTES) {
        let end = HEADER_BYTES + body_bytes;
        let crc = crc32c::crc32c_append(seed, &bytes[HEADER_BYTES..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Puts a chunk right as far as is asked for, and `expected` to what its blocks say.
fn put_chunk_right(
    bytes: &mut [u8],
    checksums: bool,
    totals: bool,
    expected: &mut ChunkRef,
) -> Option<()> {
    let size = bytes.len();
    let seed = if checksums {
        put_header_right(bytes, b"DUEWCHNK", 1)?
    } else {
        0
    };
    let mut at = HEADER_BYTES;
    let mut blocks = 0_u64;
    loop {
        let body_at = at + HEAD_BYTES;
        let body_bytes = u32_at(bytes, at + 4)? as usize;
        let is_end = bytes.get(at..at + 4)? == b"DEND";
        let end = body_at.checked_add(body_bytes)?;
        if is_end && totals && body_bytes == 24 && end <= size {
            let sums = [blocks, expected.records, size as u64].map(u64::to_le_bytes);
            bytes[body_at..end].copy_from_slice(sums.as_flattened());
            bytes[at + 16..at + 24].copy_from_slice(&expected.as_of.0.to_le_bytes());
        }
        if checksums {
            let head = bytes.get_mut(at..body_at)?;
            head[24..32].copy_from_slice(&(at as u64).to_le_bytes());
            let crc = crc32c::crc32c_append(seed, bytes.get(body_at..end).unwrap_or_default());
            bytes[at + 12..at + 16].copy_from_slice(&crc.to_le_bytes());
            let crc = crc32c::crc32c_append(seed, &bytes[at..at + 32]);
            bytes[at + 32..at + 36].copy_from_slice(&crc.to_le_bytes());
        }
        if is_end || end > size {
            return Some(());
        }
        blocks += 1;
        expected.records += u64::from(u32_at(bytes, at + 8)?);
        let as_of = u64::from_le_bytes(bytes.get(at + 16..at + 24)?.try_into().ok()?);
        expected.as_of = expected.as_of.max(Lsn(as_of));
        at = end;
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}
