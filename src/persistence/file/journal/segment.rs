//! Segments: their names, and the two sectors at the head of each.
//!
//! ```text
//! 0     header: magic, checksum, versions, store, number          written when the segment is made
//! 512   binding: magic, checksum, what it follows, what comes     written when the first frame is about to be
//! 1024  frames
//! ```
//!
//! Both checksums cover all of their sector behind them. That of the header begins with nothing, so that a segment of
//! another store or of a newer version can say so; that of the binding begins with the segment's [`Seal`]. The place
//! of the magic and of the checksum is the same in every version.

use zerocopy::little_endian::{U16, U32, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::sectors::{SECTOR, Seal, is_blank};
use crate::ids::Timestamp;
use crate::persistence::journal::Lsn;
use crate::persistence::record::RECORD_VERSION;

/// The version of segments and frames that is written here.
pub(super) const FORMAT: u16 = 1;

/// Where the binding stands.
pub(super) const BINDING: u64 = SECTOR as u64;

/// Where the frames begin.
pub(super) const FRAMES: u64 = 2 * SECTOR as u64;

const PREFIX: &str = "journal-";
const TORN_PREFIX: &str = "torn-";

/// What a file is called while it is being made.
pub(super) const UNFINISHED: &str = ".tmp";

/// The name of a segment.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{number:016x}")
}

/// The number of the segment of this name; `None` where no segment has it.
pub(super) fn number(file: &str) -> Option<u64> {
    digits(file.strip_prefix(PREFIX)?)
}

/// The name of the file in which a segment's torn end is kept.
pub(super) fn torn_name(segment: u64, offset: u64) -> String {
    format!("{TORN_PREFIX}{segment:016x}-{offset:x}")
}

/// The number of the segment whose torn end the file of this name keeps; `None` where none has it.
pub(super) fn torn_number(file: &str) -> Option<u64> {
    let (segment, _) = file.strip_prefix(TORN_PREFIX)?.split_once('-')?;
    digits(segment)
}

/// Sixteen hexadecimal digits, none of them a capital.
fn digits(text: &str) -> Option<u64> {
    let plain = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if text.len() != 16 || !text.bytes().all(plain) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// What a sector at the head of a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head<T> {
    /// Nothing: it was never written.
    Blank,
    /// What was written.
    Whole(T),
    /// Something else.
    Damaged,
}

/// Whose segment it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: u16,
    pub(super) records: u16,
    pub(super) store: u128,
    pub(super) number: u64,
}

/// What a segment follows on, fixed when its first frame is about to be written. All that it follows on is durable
/// by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// What the segment before it ends with.
    pub(super) follows: Link,
    /// Where the frames of the segment before it end; what stands behind was given up. 0 where there is none.
    pub(super) end: u64,
    /// The number of the first record of this segment: numbers left out lie between.
    pub(super) next: Lsn,
    /// The writer's.
    pub(super) epoch: u32,
    /// Bytes of this segment, at least.
    pub(super) bytes: u64,
    /// The time of the last poll that was told of.
    pub(super) polled_until: Option<Timestamp>,
}

/// What the next frame follows on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the last record; 0 where there is none.
    pub(super) last: Lsn,
    /// The checksum of the last frame; 0 where there is none.
    pub(super) frame: u32,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct HeaderSector {
    magic: [u8; 8],
    checksum: U32,
    format: U16,
    records: U16,
    store: U128,
    number: U64,
    rest: [u8; 472],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct BindingSector {
    magic: [u8; 8],
    checksum: U32,
    epoch: U32,
    last: U64,
    end: U64,
    next: U64,
    bytes: U64,
    polled_until: U64,
    frame: U32,
    /// 1 where there is a `polled_until`.
    polled: U32,
    rest: [u8; 448],
}

const HEADER_MAGIC: [u8; 8] = *b"DUEWJRNL";
const BINDING_MAGIC: [u8; 8] = *b"DUEWBIND";

/// Where the checksum of either sector ends and what it covers begins.
const COVERED: usize = 12;

impl Header {
    /// That of a segment made here.
    pub(super) fn new(store: u128, number: u64) -> Self {
        Self {
            format: FORMAT,
            records: RECORD_VERSION,
            store,
            number,
        }
    }

    /// As it is written.
    pub(super) fn sector(&self) -> [u8; SECTOR] {
        let mut sector = HeaderSector {
            magic: HEADER_MAGIC,
            checksum: U32::ZERO,
            format: self.format.into(),
            records: self.records.into(),
            store: self.store.into(),
            number: self.number.into(),
            rest: [0; 472],
        };
        sector.checksum = crc32c::crc32c(&sector.as_bytes()[COVERED..]).into();
        zerocopy::transmute!(sector)
    }

    /// Reads it.
    pub(super) fn read(bytes: &[u8]) -> Head<Self> {
        let Some(sector) = bytes.get(..SECTOR) else {
            return short(bytes);
        };
        match HeaderSector::ref_from_bytes(sector) {
            Ok(header)
                if header.magic == HEADER_MAGIC
                    && header.checksum == crc32c::crc32c(&sector[COVERED..]) =>
            {
                Head::Whole(Self {
                    format: header.format.get(),
                    records: header.records.get(),
                    store: header.store.get(),
                    number: header.number.get(),
                })
            }
            _ => short(sector),
        }
    }
}

impl Binding {
    /// As it is written.
    pub(super) fn sector(&self, seal: Seal) -> [u8; SECTOR] {
        let mut sector = BindingSector {
            magic: BINDING_MAGIC,
            checksum: U32::ZERO,
            epoch: self.epoch.into(),
            last: self.follows.last.0.into(),
            end: self.end.into(),
            next: self.next.0.into(),
            bytes: self.bytes.into(),
            polled_until: self.polled_until.map_or(0, Timestamp::as_millis).into(),
            frame: self.follows.frame.into(),
            polled: u32::from(self.polled_until.is_some()).into(),
            rest: [0; 448],
        };
        sector.checksum = seal.checksum(&sector.as_bytes()[COVERED..]).into();
        zerocopy::transmute!(sector)
    }

    /// Reads it. One whose numbers contradict each other was not written here.
    pub(super) fn read(bytes: &[u8], seal: Seal) -> Head<Self> {
        let Some(sector) = bytes.get(..SECTOR) else {
            return short(bytes);
        };
        match BindingSector::ref_from_bytes(sector) {
            Ok(binding)
                if binding.magic == BINDING_MAGIC
                    && binding.checksum == seal.checksum(&sector[COVERED..])
                    && binding.next > binding.last =>
            {
                let polled_until = Timestamp::from_millis(binding.polled_until.get());
                Head::Whole(Self {
                    follows: Link {
                        last: Lsn(binding.last.get()),
                        frame: binding.frame.get(),
                    },
                    end: binding.end.get(),
                    next: Lsn(binding.next.get()),
                    epoch: binding.epoch.get(),
                    bytes: binding.bytes.get(),
                    polled_until: (binding.polled == 1).then_some(polled_until),
                })
            }
            _ => short(sector),
        }
    }
}

/// Of a sector that is not what it should be.
fn short<T>(bytes: &[u8]) -> Head<T> {
    if is_blank(bytes) {
        Head::Blank
    } else {
        Head::Damaged
    }
}
