//! Torn or damaged: the decision, where the frames of the last segment end.
//!
//! A frame that cannot be read is either the end of what a crash left, which nobody had been told of, or damage to
//! what was durable. It is taken for the first only where nothing speaks for the second:
//!
//! | what is found | so | decision |
//! |---|---|---|
//! | a header or records that do not match, in sectors that all bear the frame's mark | the frame was written whole and has changed since | damaged |
//! | a sector with the mark of something else | it was written and has changed since | damaged |
//! | a header that matches, of a frame that does not follow on the last one | as above | damaged |
//! | a sector without a mark, and a later frame made when the sector, or the record, was durable | the sector was written and is lost | damaged |
//! | a sector without a mark, and no such frame | nothing says that it was ever written | torn |
//! | nothing but zeros | nothing was written | the end |

use super::frame::Header;
use super::frames::{Change, Fault, Frames, headers};
use super::sectors::SECTOR;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Lsn, TornTail};

/// What was written and never made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) tail: TornTail,
    /// The number of the last record that a header in it tells of; 0 where there is none.
    pub(super) highest: Lsn,
}

/// Decides what stands behind the last frame that could be read: nothing, a torn end, or, as an error, damage.
pub(super) fn judge(frames: &mut Frames, fault: Fault) -> Result<Option<Torn>, StoreError> {
    let place = frames.window.name().to_owned();
    let (sector, own) = match fault {
        Fault::Changed(change) => return Err(change.error(&place)),
        Fault::Torn { header, sector } => (sector, Lsn(header.next().0 - 1)),
        Fault::Unwritten => (frames.offset, Lsn(0)),
    };
    let begin = frames.offset;
    let Some(end) = frames.window.end_of_written(begin)? else {
        return Ok(None);
    };
    let mut highest = own;
    if let Some(proof) = proof(frames, end, &mut highest)? {
        let change = Change {
            offset: sector,
            found: format!(
                "a sector that was not written, and at byte {} a frame made when everything up to record {} and \
                 byte {} was durable",
                proof.offset, proof.synced, proof.synced_bytes
            ),
            expected: format!("the frame that begins with record {}", frames.next),
        };
        return Err(change.error(&place));
    }
    Ok(Some(Torn {
        tail: TornTail {
            place,
            offset: begin,
            bytes: end - begin,
        },
        highest,
    }))
}

/// A later frame which shows that the frame expected here had been durable.
fn proof(frames: &mut Frames, end: u64, highest: &mut Lsn) -> Result<Option<Header>, StoreError> {
    let (begin, next, seal) = (frames.offset, frames.next, frames.seal);
    let mut offset = begin + SECTOR as u64;
    while offset < end {
        let sectors = frames.window.sectors(offset)?;
        if sectors.is_empty() {
            break;
        }
        for header in headers(sectors, offset, seal) {
            *highest = (*highest).max(Lsn(header.next().0 - 1));
            if header.synced >= next || header.synced_bytes > begin {
                return Ok(Some(header));
            }
        }
        offset += sectors.len() as u64;
    }
    Ok(None)
}
