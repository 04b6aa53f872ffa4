//! Every byte of a small store damaged in turn: it is read as it was, or refused by an error that says where; it is
//! never read as something else.

use super::scratch::Scratch;
use super::snapshots::{Block, UUID, block, manifest, read, write};
use crate::persistence::error::{Damage, StoreError};
use crate::persistence::file::{FileSnapshots, directory};
use crate::persistence::snapshots::{Manifest, SnapshotStore};
use crate::persistence::store::StoreIdentity;

/// All that can be done to the bytes of a file by changing one of them, cutting it, and adding to it; each with the
/// first place where it differs.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
    let flipped = (0..bytes.len()).flat_map(move |at| {
        let masks = (0..8).map(|bit| 1 << bit).chain([0xff]);
        masks.map(move |mask: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= mask;
            (at, bytes)
        })
    });
    let cut = (0..bytes.len()).map(|at| (at, bytes[..at].to_vec()));
    let longer = [0, 1, 0xff].map(|byte| (bytes.len(), [bytes, &[byte]].concat()));
    flipped.chain(cut).chain(longer)
}

/// Whether it is told of the right file, and of a place that is not behind the damage.
fn is_told(error: &StoreError, name: &str, at: usize) {
    match error {
        StoreError::Damaged(Damage { place, offset, .. }) => {
            assert_eq!(place, name, "{error}");
            assert!(*offset <= at as u64, "{error}, and not at {at}");
        }
        _ => panic!("{error}"),
    }
}

fn snapshot(scratch: &Scratch) -> (FileSnapshots, Manifest, Vec<Block>) {
    let snapshots = FileSnapshots::open(scratch.disk(), UUID).unwrap();
    let blocks = vec![block(3, 2, 40), block(9, 0, 0), block(5, 1, 100)];
    let chunk = write(&snapshots, 1, &blocks).unwrap();
    let manifest = manifest(1, vec![chunk]);
    snapshots.publish(&manifest).unwrap();
    (snapshots, manifest, blocks)
}

#[test]
fn a_manifest_with_any_bit_flipped_or_any_part_missing_is_never_another() {
    let scratch = Scratch::new();
    let (snapshots, manifest, _) = snapshot(&scratch);
    let name = "manifest-0000000000000001";
    let bytes = scratch.read(name);
    let mut refused = 0;
    for (at, damaged) in damaged(&bytes) {
        scratch.write(name, &damaged);
        let found = snapshots.find().unwrap();
        assert!(found.good.is_empty(), "damaged at {at}");
        assert_eq!(found.bad.len(), 1);
        is_told(&found.bad[0], name, at);
        refused += 1;
    }
    assert_eq!(refused, bytes.len() * 10 + 3);
    scratch.write(name, &bytes);
    assert_eq!(snapshots.find().unwrap().good, [manifest]);
}

#[test]
fn a_chunk_with_any_bit_flipped_or_any_part_missing_is_never_another() {
    let scratch = Scratch::new();
    let (snapshots, manifest, blocks) = snapshot(&scratch);
    let chunk = &manifest.chunks[0];
    let name = "chunk-0000000000000001";
    let bytes = scratch.read(name);
    for (at, damaged) in damaged(&bytes) {
        scratch.write(name, &damaged);
        let mut seen = Vec::new();
        let error = snapshots
            .read(chunk, &mut |block| {
                seen.push((block.as_of, block.count, block.records.to_vec()));
                Ok(())
            })
            .unwrap_err();
        is_told(&error, name, at);
        assert!(blocks.starts_with(&seen), "damaged at {at}");

        let found = snapshots.find().unwrap();
        match &found.bad[..] {
            // What is in it is looked at when it is read.
            [] => assert_eq!(damaged.len(), bytes.len()),
            bad => is_told(&bad[0], name, at),
        }
    }
    scratch.write(name, &bytes);
    assert_eq!(read(&snapshots, chunk).unwrap(), blocks);
}

#[test]
fn an_identity_with_any_bit_flipped_or_any_part_missing_is_never_another() {
    let identity = StoreIdentity {
        uuid: UUID,
        hash_key: 99,
    };
    let bytes = directory::encode(identity);
    for (at, damaged) in damaged(&bytes) {
        let error = directory::decode(&damaged, "STORE").unwrap_err();
        is_told(&error, "STORE", at);
    }
    assert_eq!(directory::decode(&bytes, "STORE").unwrap(), identity);
}

#[test]
fn blocks_that_changed_places_are_told_from_those_that_were_written() {
    let scratch = Scratch::new();
    let snapshots = FileSnapshots::open(scratch.disk(), UUID).unwrap();
    let blocks = [block(1, 1, 28), block(1, 1, 28), block(2, 1, 28)];
    let chunk = write(&snapshots, 1, &blocks).unwrap();
    let name = "chunk-0000000000000001";
    let written = scratch.read(name);
    // Each is 64 bytes long, behind a header of 48.
    let mut swapped = written.clone();
    swapped[48..112].copy_from_slice(&written[112..176]);
    swapped[112..176].copy_from_slice(&written[48..112]);
    let mut twice = written.clone();
    twice[112..176].copy_from_slice(&written[48..112]);
    let mut left_out = written.clone();
    left_out.drain(112..176);
    for (damaged, at) in [(swapped, 48), (twice, 112), (left_out, 112)] {
        scratch.write(name, &damaged);
        let chunk = crate::persistence::ChunkRef {
            bytes: damaged.len() as u64,
            ..chunk.clone()
        };
        let error = read(&snapshots, &chunk).unwrap_err();
        match error {
            StoreError::Damaged(damage) => assert_eq!(damage.offset, at, "{damage}"),
            _ => panic!("{error}"),
        }
    }
}
