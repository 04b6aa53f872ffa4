//! Frames: one group commit each, a header and the records behind it, in sectors that bear the frame's mark.
//!
//! The header has a checksum of its own, which covers that of the records too. So how long a frame is, and how far
//! its writer had synced, can be trusted before and without its records; and the header's checksum stands for the
//! whole frame where the next frame, or the next segment, names what it follows on.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::sectors::{Mark, SECTOR, SPACE, Seal, bytes_on_disk, fill};
use super::segment::{FORMAT, Link};
use crate::ids::Timestamp;
use crate::persistence::journal::{Frame, Lsn};

/// Bytes of a frame's header.
pub(super) const HEADER: usize = size_of::<Layout>();

/// Bytes of records a frame can hold.
pub(super) const RECORDS_MAX: usize = 1 << 30;

const MAGIC: [u8; 4] = *b"DWFR";

const CLOSING: u16 = 1;
const POLLED: u16 = 2;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    magic: [u8; 4],
    version: U16,
    flags: U16,
    offset: U64,
    base: U64,
    synced: U64,
    synced_bytes: U64,
    polled_until: U64,
    epoch: U32,
    count: U32,
    records_bytes: U32,
    records_checksum: U32,
    previous: U32,
    checksum: U32,
}

/// Bytes of the header that its checksum covers.
const COVERED: usize = HEADER - 4;

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Where it begins in its segment.
    pub(super) offset: u64,
    /// The number of its first record, or of the next one.
    pub(super) base: Lsn,
    /// How many records it has.
    pub(super) count: u32,
    /// The writer's epoch.
    pub(super) epoch: u32,
    /// Up to which record everything was durable when it was made.
    pub(super) synced: Lsn,
    /// Up to where its segment was durable when it was made.
    pub(super) synced_bytes: u64,
    /// The time of the last poll.
    pub(super) polled_until: Option<Timestamp>,
    /// The writer closed the store with it.
    pub(super) closing: bool,
    /// Bytes of its records.
    pub(super) records_bytes: u32,
    /// Their checksum.
    pub(super) records_checksum: u32,
    /// The checksum of the frame before it.
    pub(super) previous: u32,
    /// Its own, which stands for the whole frame.
    pub(super) checksum: u32,
}

impl Header {
    /// Reads the header in this sector; `None` where there is none of this segment.
    pub(super) fn read(sector: &[u8], seal: Seal) -> Option<Self> {
        let bytes = sector.get(..HEADER)?;
        if bytes[..MAGIC.len()] != MAGIC {
            return None;
        }
        let layout = Layout::ref_from_bytes(bytes).ok()?;
        let flags = layout.flags.get();
        let known = layout.version == FORMAT && flags & !(CLOSING | POLLED) == 0;
        if layout.checksum != seal.checksum(&bytes[..COVERED]) || !known {
            return None;
        }
        let header = Self {
            offset: layout.offset.get(),
            base: Lsn(layout.base.get()),
            count: layout.count.get(),
            epoch: layout.epoch.get(),
            synced: Lsn(layout.synced.get()),
            synced_bytes: layout.synced_bytes.get(),
            polled_until: (flags & POLLED != 0)
                .then(|| Timestamp::from_millis(layout.polled_until.get())),
            closing: flags & CLOSING != 0,
            records_bytes: layout.records_bytes.get(),
            records_checksum: layout.records_checksum.get(),
            previous: layout.previous.get(),
            checksum: layout.checksum.get(),
        };
        // Numbers that no writer has: then the sums below cannot overflow.
        let sane = header.base.0 > 0
            && header.base.0.checked_add(header.count.into()).is_some()
            && header.records_bytes as usize <= RECORDS_MAX;
        sane.then_some(header)
    }

    /// The number that the record behind it has.
    pub(super) fn next(&self) -> Lsn {
        Lsn(self.base.0 + u64::from(self.count))
    }

    /// Its bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        bytes(self.records_bytes.into())
    }

    /// The mark of its sectors.
    pub(super) fn mark(&self, seal: Seal) -> Mark {
        seal.mark(self.offset, self.base.0)
    }

    /// What the frame behind it follows on, `before` being what it follows on itself.
    pub(super) fn link(&self, before: Link) -> Link {
        Link {
            last: if self.count == 0 {
                before.last
            } else {
                Lsn(self.next().0 - 1)
            },
            frame: self.checksum,
        }
    }

    /// The frame, with its records.
    pub(super) fn frame<'a>(&self, records: &'a [u8]) -> Frame<'a> {
        Frame {
            base: self.base,
            count: self.count,
            epoch: self.epoch,
            synced: self.synced,
            polled_until: self.polled_until,
            closing: self.closing,
            records,
        }
    }
}

/// Bytes on disk of a frame with so many bytes of records.
pub(super) fn bytes(records_bytes: u64) -> u64 {
    bytes_on_disk((HEADER as u64).saturating_add(records_bytes))
}

/// Whether a header may begin here: cheaper than reading it.
pub(super) fn may_begin(sector: &[u8]) -> bool {
    sector.starts_with(&MAGIC)
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its segment's.
    pub(super) seal: Seal,
    /// Where it begins in its segment.
    pub(super) offset: u64,
    /// Up to where its segment is durable.
    pub(super) synced_bytes: u64,
    /// The checksum of the frame before it.
    pub(super) previous: u32,
}

/// Writes a frame's sectors into an empty buffer, and returns its checksum. It has at most [`RECORDS_MAX`] bytes of
/// records.
pub(super) fn encode(frame: &Frame<'_>, place: &Place, into: &mut Vec<u8>) -> u32 {
    let Place { seal, offset, .. } = *place;
    debug_assert!(frame.records.len() <= RECORDS_MAX);
    let closing = if frame.closing { CLOSING } else { 0 };
    let polled = frame.polled_until.map_or(0, |_| POLLED);
    let mut layout = Layout {
        magic: MAGIC,
        version: FORMAT.into(),
        flags: (closing | polled).into(),
        offset: offset.into(),
        base: frame.base.0.into(),
        synced: frame.synced.0.into(),
        synced_bytes: place.synced_bytes.into(),
        polled_until: frame.polled_until.map_or(0, Timestamp::as_millis).into(),
        epoch: frame.epoch.into(),
        count: frame.count.into(),
        records_bytes: (frame.records.len() as u32).into(),
        records_checksum: seal.checksum(frame.records).into(),
        previous: place.previous.into(),
        checksum: U32::ZERO,
    };
    let checksum = seal.checksum(&layout.as_bytes()[..COVERED]);
    layout.checksum = checksum.into();
    into.clear();
    into.reserve((HEADER + frame.records.len()).div_ceil(SPACE) * SECTOR);
    fill(
        layout.as_bytes(),
        frame.records,
        seal.mark(offset, frame.base.0),
        into,
    );
    checksum
}
