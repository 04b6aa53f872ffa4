//! Records of what happens in a shard, gathered while it is locked and handed to the group commit before it is
//! unlocked: so their order is the order of what happened.
//!
//! To hand them over is to copy them, under a lock that nobody holds for longer than that; whoever must know that
//! they are durable waits later, with no lock held.

use super::memory::End;
use super::shard::Shard;
use crate::persistence::Lsn;
use crate::persistence::commit::Commit;
use crate::persistence::record::{Change, EndedImage, encode_ended, encode_request};
use crate::sync::Arc;

/// Bytes that an outbox keeps for the next time.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The records of one shard since it was locked.
pub(super) struct Outbox {
    commit: Arc<Commit>,
    stream: u16,
    bytes: Vec<u8>,
    count: u32,
}

impl Outbox {
    pub(super) fn new(commit: Arc<Commit>, stream: u16) -> Self {
        Self {
            commit,
            stream,
            bytes: Vec::new(),
            count: 0,
        }
    }
}

impl Shard {
    /// Notes what happened to a pending request, as it is now.
    #[inline]
    pub(super) fn log(&mut self, change: Change, index: u32) {
        if self.outbox.is_some() {
            self.write_change(change, index);
        }
    }

    fn write_change(&mut self, change: Change, index: u32) {
        let Some(mut outbox) = self.outbox.take() else {
            return;
        };
        let image = self.image_of(index, change == Change::Accepted);
        encode_request(outbox.stream, change, &image, &mut outbox.bytes);
        outbox.count += 1;
        self.outbox = Some(outbox);
    }

    /// Notes that a request ended.
    #[inline]
    pub(super) fn log_end(&mut self, end: &End) {
        if let Some(outbox) = &mut self.outbox {
            encode_ended(outbox.stream, &EndedImage::from(end), &mut outbox.bytes);
            outbox.count += 1;
        }
    }

    /// Hands over what was noted, and returns the number of the shard's last record: who answers for what the
    /// shard says rests on that.
    #[inline]
    pub(super) fn commit(&mut self) -> Lsn {
        if let Some(outbox) = &mut self.outbox
            && outbox.count > 0
        {
            let first = outbox.commit.append(&outbox.bytes, outbox.count);
            self.last_lsn = first.0 + u64::from(outbox.count) - 1;
            outbox.count = 0;
            outbox.bytes.clear();
            outbox.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        Lsn(self.last_lsn)
    }
}
