//! [`Writer`]: frames appended to the current segment, and made durable.

use super::frame::{self, Place, RECORDS_MAX, encode};
use super::sectors::Seal;
use super::segment::{self, Binding, FRAMES, Link};
use super::stock::{Closed, Made, Stock};
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Lsn};

use std::io;

/// Bytes of the buffer that are kept from one frame to the next.
const BUFFER_KEPT: usize = 4 << 20;

/// What a journal is written by.
pub(super) struct Writer {
    segment: Made,
    seal: Seal,
    /// Where the next frame goes.
    offset: u64,
    /// Up to where the segment is durable.
    synced_bytes: u64,
    /// The number of the next record.
    next: Lsn,
    link: Link,
    /// All up to this record is durable.
    synced: Lsn,
    epoch: u32,
    polled_until: Option<Timestamp>,
    buffer: Vec<u8>,
}

impl Writer {
    /// Of a segment that was just bound.
    pub(super) fn new(segment: Made, binding: &Binding, store: u128) -> Self {
        Self {
            seal: Seal::of(store, segment.number),
            segment,
            offset: FRAMES,
            synced_bytes: FRAMES,
            next: binding.next,
            link: binding.follows,
            synced: Lsn(binding.next.0.saturating_sub(1)),
            epoch: binding.epoch,
            polled_until: binding.polled_until,
            buffer: Vec::new(),
        }
    }

    /// Appends a frame.
    pub(super) fn append(&mut self, frame: &Frame<'_>, stock: &Stock) -> Result<Lsn, StoreError> {
        let next = self.check(frame)?;
        let bytes = frame::bytes(frame.records.len() as u64);
        let fits = self.segment.bytes.saturating_sub(self.offset) >= bytes;
        let turned = !fits && self.offset > FRAMES;
        if turned {
            self.turn(FRAMES + bytes, stock)?;
        } else if !fits {
            stock.grow(&mut self.segment, FRAMES + bytes)?;
        }
        self.write(frame)
            .map_err(|error| stock.failed("write", &segment::name(self.segment.number), error))?;
        self.next = next;
        if turned {
            stock.refill();
        } else {
            stock.refill_at_times();
        }
        Ok(self.last())
    }

    /// Makes what was appended durable, where it is not.
    pub(super) fn wait_durable(&mut self, lsn: Lsn, stock: &Stock) -> Result<Lsn, StoreError> {
        if lsn > self.last() {
            return Err(misuse(format!(
                "wait for record {lsn}, which was not appended"
            )));
        }
        // A frame without records is waited for by the number of the last record.
        if lsn > self.synced || lsn == self.last() {
            self.sync(stock)?;
        }
        Ok(self.synced)
    }

    /// Leaves numbers out: goes on in the next segment, whose first record has the number `next`. Everything is durable
    /// when it returns.
    pub(super) fn skip_to(&mut self, next: Lsn, stock: &Stock) -> Result<(), StoreError> {
        self.next = self.next.max(next);
        self.turn(FRAMES, stock)
    }

    /// The number of the next record.
    pub(super) fn next(&self) -> Lsn {
        self.next
    }

    /// The number of its segment.
    pub(super) fn segment(&self) -> u64 {
        self.segment.number
    }

    /// The number of the last record appended.
    fn last(&self) -> Lsn {
        Lsn(self.next.0.saturating_sub(1))
    }

    /// The number after the frame's last record, where the frame is the one that comes next.
    fn check(&self, frame: &Frame<'_>) -> Result<Lsn, StoreError> {
        if frame.base != self.next || frame.epoch != self.epoch {
            return Err(misuse(format!(
                "append record {} in epoch {}, where record {} in epoch {} is next",
                frame.base, frame.epoch, self.next, self.epoch
            )));
        }
        let next = frame.base.0.checked_add(frame.count.into());
        match next {
            Some(next) if frame.records.len() <= RECORDS_MAX => Ok(Lsn(next)),
            _ => Err(misuse(format!(
                "append {} records of {} bytes in one frame",
                frame.count,
                frame.records.len()
            ))),
        }
    }

    fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let place = Place {
            seal: self.seal,
            offset: self.offset,
            synced_bytes: self.synced_bytes,
            previous: self.link.frame,
        };
        let checksum = encode(frame, &place, &mut self.buffer);
        self.segment.file.write_all_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT);
        if frame.count > 0 {
            self.link.last = frame.last();
        }
        self.link.frame = checksum;
        self.polled_until = frame.polled_until.or(self.polled_until);
        Ok(())
    }

    fn sync(&mut self, stock: &Stock) -> Result<(), StoreError> {
        if self.synced_bytes < self.offset {
            let synced = self.segment.file.sync();
            synced.map_err(|error| {
                stock.failed("sync", &segment::name(self.segment.number), error)
            })?;
            self.synced_bytes = self.offset;
        }
        self.synced = self.last();
        Ok(())
    }

    /// Goes on in the next segment, which has at least so many bytes: once all of this one is durable.
    fn turn(&mut self, bytes: u64, stock: &Stock) -> Result<(), StoreError> {
        self.sync(stock)?;
        let made = stock.take(bytes)?;
        let binding = Binding {
            follows: self.link,
            end: self.offset,
            next: self.next,
            epoch: self.epoch,
            bytes: made.bytes,
            polled_until: self.polled_until,
        };
        stock.bind(&made, &binding)?;
        let full = std::mem::replace(&mut self.segment, made);
        stock.close(Closed {
            number: full.number,
            bytes: full.bytes,
            last: self.link.last,
        });
        self.seal = Seal::of(stock.store(), self.segment.number);
        self.offset = FRAMES;
        self.synced_bytes = FRAMES;
        Ok(())
    }
}

/// A call that makes no sense.
pub(super) fn misuse(what: String) -> StoreError {
    StoreError::from_io(what, io::ErrorKind::InvalidInput.into())
}
