//! Files of each format that was ever released, in `tests/golden/`: they are written as they were, and read as what
//! they were written from.
//!
//! A file that is not there yet is made from what is written now, which fails the test once. A file of a released format
//! is never changed.

use std::path::Path;

use super::scratch::Scratch;
use super::snapshots::{UUID, block, manifest, read, write};
use crate::persistence::file::{FileSnapshots, directory, manifest as files};
use crate::persistence::journal::Lsn;
use crate::persistence::snapshots::ChunkRef;
use crate::persistence::store::StoreIdentity;

/// Compares what is written now with the file, and returns the file's content.
pub(in crate::persistence::file) fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, written).unwrap();
        panic!("{} was not there, and is now", path.display());
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(
        golden == written,
        "what is written differs from {}",
        path.display()
    );
    golden
}

#[test]
fn an_identity_is_written_and_read_as_in_version_1() {
    let identity = StoreIdentity {
        uuid: UUID,
        hash_key: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
    };
    let bytes = golden("STORE.1", &directory::encode(identity));
    assert_eq!(directory::decode(&bytes, "STORE").unwrap(), identity);
}

fn chunks() -> Vec<ChunkRef> {
    let chunk = |stream, number, bytes, records, as_of| ChunkRef {
        stream,
        number,
        bytes,
        records,
        as_of: Lsn(as_of),
    };
    vec![
        chunk(0, 0x1234, 300, 2, 1),
        chunk(2, 1, u64::from(u32::MAX), 5_000_000, u64::MAX),
    ]
}

#[test]
fn a_manifest_is_written_and_read_as_in_version_1() {
    let manifest = manifest(9, chunks());
    let bytes = golden("manifest.1", &files::encode(&manifest, UUID).unwrap());
    assert_eq!(
        files::decode(&bytes, UUID, 9, "manifest").unwrap(),
        manifest
    );
}

#[test]
fn a_chunk_is_written_and_read_as_in_version_1() {
    let blocks = [block(3, 2, 40), block(9, 0, 0), block(5, 1, 700)];
    let scratch = Scratch::new();
    let snapshots = FileSnapshots::open(scratch.disk(), UUID).unwrap();
    let chunk = write(&snapshots, 2, &blocks).unwrap();
    let name = "chunk-0000000000000001";
    let bytes = golden("chunk.1", &scratch.read(name));
    scratch.write(name, &bytes);
    assert_eq!(read(&snapshots, &chunk).unwrap(), blocks);
}
