//! Manifest files: sealed files that hold a [`Manifest`] in postcard's form, its fields in their order.

use super::names::FileName;
use super::sealed::{self, Header};
use crate::persistence::disk::Disk;
use crate::persistence::error::StoreError;
use crate::persistence::snapshots::Manifest;

/// What a manifest begins with.
pub(super) const MAGIC: [u8; 8] = *b"DUEWMANI";

/// Bytes that a manifest may have in its file. A chunk takes at most 45 of them and a stream 10, so that there is room
/// for hundreds of thousands of shards.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A manifest's file.
pub(super) fn encode(manifest: &Manifest, uuid: u128) -> Result<Vec<u8>, StoreError> {
    let header = Header {
        magic: MAGIC,
        stream: 0,
        uuid,
        number: manifest.number,
        body_bytes: 0,
    };
    let unfit = |found: String| StoreError::Mismatch {
        what: FileName::Manifest(manifest.number).to_string(),
        found,
        expected: format!("a manifest of at most {BODY_BYTES_MAX} bytes"),
    };
    let body = postcard::to_stdvec(manifest).map_err(|error| unfit(error.to_string()))?;
    if body.len() > BODY_BYTES_MAX {
        return Err(unfit(format!("{} bytes", body.len())));
    }
    Ok(sealed::seal(header, &body))
}

/// Reads a manifest's file, which is to be this store's of this number.
pub(super) fn decode(
    bytes: &[u8],
    uuid: u128,
    number: u64,
    place: &str,
) -> Result<Manifest, StoreError> {
    let (header, body) = sealed::open(bytes, MAGIC, place)?;
    header.belongs(uuid, number, place)?;
    let damaged = |found: String| {
        let offset = sealed::HEADER_BYTES as u64;
        StoreError::damaged(place, offset, found, "a manifest")
    };
    match postcard::take_from_bytes::<Manifest>(body) {
        Ok((manifest, [])) if manifest.number == number => Ok(manifest),
        Ok((manifest, [])) => Err(damaged(format!("a manifest of number {}", manifest.number))),
        Ok(_) => Err(damaged("more than a manifest".to_owned())),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Reads a manifest from its directory.
pub(super) fn read(disk: &dyn Disk, uuid: u128, number: u64) -> Result<Manifest, StoreError> {
    let name = FileName::Manifest(number).to_string();
    let bytes = sealed::read(disk, &name, sealed::bytes(BODY_BYTES_MAX))?;
    decode(&bytes, uuid, number, &name)
}
