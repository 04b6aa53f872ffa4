//! Sectors, their marks, and checksums that know where they belong.
//!
//! A disk writes sectors of 512 bytes whole or not at all. A frame begins at a sector's boundary, and the last four
//! bytes of each of its sectors are its *mark*: a number, never zero, that this frame alone has. Sectors that were
//! never written are zero. So what a sector's mark says is whether it was written as part of the frame, whatever
//! became of the rest of it since.
//!
//! | mark | what happened |
//! |---|---|
//! | the frame's | the sector was written |
//! | zero, or zero from some byte on | it was not, or not to its end |
//! | another | it was written, or something else was, and was changed since |

/// Bytes of a sector.
pub(super) const SECTOR: usize = 512;

/// Bytes of a sector that a frame has for itself.
pub(super) const SPACE: usize = SECTOR - MARK;

/// Bytes of a mark.
const MARK: usize = 4;

/// What checksums and marks of one segment begin with, so that bytes of another segment, or of another store, that
/// come to stand in it are never taken for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal(u32);

impl Seal {
    /// That of a store's segment.
    pub(super) fn of(store: u128, segment: u64) -> Self {
        let store = crc32c::crc32c(&store.to_le_bytes());
        Self(crc32c::crc32c_append(store, &segment.to_le_bytes()))
    }

    /// The checksum of these bytes.
    pub(super) fn checksum(self, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.0, bytes)
    }

    /// The mark of the frame that begins at this offset and whose first record has this number. No two frames of a
    /// segment begin at the same offset, so frames without records have marks of their own too.
    pub(super) fn mark(self, offset: u64, base: u64) -> Mark {
        let mark = self.checksum(&offset.to_le_bytes());
        let mark = crc32c::crc32c_append(mark, &base.to_le_bytes());
        Mark(if mark == 0 { u32::MAX } else { mark })
    }
}

/// What tells that a sector was written as part of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark(u32);

/// What a sector's mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was written as part of the frame.
    Yes,
    /// It was not written to its end.
    No,
    /// Something else stands in it.
    Other,
}

impl Mark {
    /// What the mark of this sector says, where this is the one it should have.
    pub(super) fn is_on(self, sector: &[u8]) -> Written {
        let Some(found) = sector.last_chunk::<MARK>() else {
            return Written::No;
        };
        let mark = self.0.to_le_bytes();
        // A write may stop at any byte, so also within the mark.
        let same = found
            .iter()
            .zip(&mark)
            .take_while(|(one, other)| one == other);
        let (_, behind) = found.split_at(same.count());
        if *found == mark {
            Written::Yes
        } else if is_blank(behind) {
            Written::No
        } else {
            Written::Other
        }
    }
}

/// The sectors of a frame that could not be read as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The offset of the first that was not written.
    pub(super) unwritten: Option<u64>,
    /// The offset of the first in which something else stands.
    pub(super) foreign: Option<u64>,
}

impl Marks {
    /// Takes note of a sector.
    pub(super) fn note(&mut self, offset: u64, written: Written) {
        match written {
            Written::Yes => {}
            Written::No => {
                self.unwritten.get_or_insert(offset);
            }
            Written::Other => {
                self.foreign.get_or_insert(offset);
            }
        }
    }
}

/// Bytes on disk of a frame that has this many bytes for itself.
pub(super) fn bytes_on_disk(bytes: u64) -> u64 {
    bytes.div_ceil(SPACE as u64).saturating_mul(SECTOR as u64)
}

/// Appends sectors that hold a head, shorter than a sector, and a body behind it, each with the mark.
pub(super) fn fill(head: &[u8], body: &[u8], mark: Mark, sectors: &mut Vec<u8>) {
    let (beside, behind) = body.split_at(body.len().min(SPACE - head.len()));
    push(&[head, beside], mark, sectors);
    for part in behind.chunks(SPACE) {
        push(&[part], mark, sectors);
    }
}

fn push(parts: &[&[u8]], mark: Mark, sectors: &mut Vec<u8>) {
    let end = sectors.len() + SPACE;
    for part in parts {
        sectors.extend_from_slice(part);
    }
    sectors.resize(end, 0);
    sectors.extend_from_slice(&mark.0.to_le_bytes());
}

/// Appends what a frame has for itself in these sectors, the first of which stands at `offset`, and takes note of
/// their marks.
pub(super) fn strip(
    sectors: &[u8],
    offset: u64,
    mark: Mark,
    marks: &mut Marks,
    into: &mut Vec<u8>,
) {
    for (place, sector) in sectors.chunks_exact(SECTOR).enumerate() {
        let written = mark.is_on(sector);
        if written != Written::Yes {
            marks.note(offset + (place * SECTOR) as u64, written);
        }
        into.extend_from_slice(&sector[..SPACE]);
    }
}

/// Whether these bytes are all zero.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    let is_zero = |block: &[u8]| block.iter().fold(0, |all, byte| all | byte) == 0;
    bytes.chunks(256).all(is_zero)
}
