//! Records in a row, told apart without being read: whose they are and how long, which is all that sorting them out
//! needs.

use std::fmt;

use zerocopy::FromBytes;
use zerocopy::little_endian::U128;

use super::layout::{Head, ID_AT, Kind, parts};
use crate::ids::RequestId;
use crate::persistence::error::StoreError;

/// Bytes that are no record. Holds nothing of what customers gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Where the record begins, in bytes from where its [`Records`] begin.
    pub(crate) offset: usize,
    pub(crate) found: String,
    pub(crate) expected: &'static str,
}

impl Malformed {
    #[cold]
    pub(crate) fn new(offset: usize, found: impl Into<String>, expected: &'static str) -> Self {
        Self {
            offset,
            found: found.into(),
            expected,
        }
    }

    /// As damage of `place`, in which the records begin at byte `records_at`.
    pub(crate) fn damage(self, place: impl Into<String>, records_at: u64) -> StoreError {
        let offset = records_at.saturating_add(self.offset as u64);
        StoreError::damaged(place, offset, self.found, self.expected)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            offset,
            found,
            expected,
        } = self;
        write!(f, "record at byte {offset}: {found}: expected {expected}")
    }
}

/// The records of a frame or a block, one after the other, up to the end or the first that is none.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    /// What is left to read.
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// The record that the bytes begin with, which are not empty.
    fn split(&self) -> Result<RawRecord<'a>, Malformed> {
        let offset = self.offset;
        let (head, _) = Head::ref_from_prefix(self.bytes).map_err(|_| {
            let found = format!("{} bytes", self.bytes.len());
            Malformed::new(offset, found, "a record's head of 8 bytes")
        })?;
        let kind = Kind::from_code(head.kind).ok_or_else(|| {
            let found = format!("kind {}", head.kind);
            Malformed::new(offset, found, "a kind that there is")
        })?;
        let length = head.length.get();
        let bytes = usize::try_from(length)
            .ok()
            .filter(|&length| length >= kind.fixed_bytes())
            .and_then(|length| self.bytes.get(..length))
            .ok_or_else(|| {
                let (least, most) = (kind.fixed_bytes(), self.bytes.len());
                let found = format!(
                    "length {length} of {} (at least {least}, with {most} bytes left)",
                    kind.as_str()
                );
                Malformed::new(offset, found, "a length that the record can have")
            })?;
        Ok(RawRecord {
            bytes,
            offset,
            kind,
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RawRecord<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let record = self.split();
        match &record {
            Ok(record) => {
                self.bytes = &self.bytes[record.bytes.len()..];
                self.offset += record.bytes.len();
            }
            Err(_) => self.bytes = &[],
        }
        Some(record)
    }
}

/// A record whose kind and length are known, and nothing more.
#[derive(Clone, Copy)]
pub(crate) struct RawRecord<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: usize,
    pub(super) kind: Kind,
}

/// Not its bytes, as these hold what customers gave.
impl fmt::Debug for RawRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("kind", &self.kind)
            .field("stream", &self.stream())
            .field("offset", &self.offset)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl<'a> RawRecord<'a> {
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    #[inline]
    pub(crate) fn stream(&self) -> u16 {
        Head::ref_from_prefix(self.bytes).map_or(0, |(head, _)| head.stream.get())
    }

    /// The request it is of; `None` where it is of none.
    #[inline]
    pub(crate) fn id(&self) -> Option<RequestId> {
        if !matches!(
            self.kind,
            Kind::Request(_) | Kind::Cancelled | Kind::Completed
        ) {
            return None;
        }
        let (head, _) = Head::ref_from_prefix(self.bytes).ok()?;
        let (value, _) = U128::ref_from_prefix(self.bytes.get(ID_AT..)?).ok()?;
        Some(id(head.parts, value.get()))
    }

    /// The record as it is stored.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where it begins, in bytes from where its [`Records`] begin.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }
}

/// The id with these bits, of the form that its record's parts tell.
#[inline]
pub(super) fn id(parts: u8, value: u128) -> RequestId {
    if parts & parts::UUID == 0 {
        RequestId::integer(value)
    } else {
        RequestId::uuid(value)
    }
}
