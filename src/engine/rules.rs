//! What all shards share: keys, the grace period, and the counts over the whole engine.

use std::hash::Hasher;
use std::time::Duration;

use crossbeam_utils::CachePadded;
use siphasher::sip::SipHasher13;

use crate::ids::RequestId;
use crate::sync::{AtomicU64, AtomicUsize};

/// What all shards share.
pub(super) struct Rules {
    pub(super) hash_key: [u64; 2],
    pub(super) grace: Duration,
    /// What every intake and every end changes: on a cache line of its own, so that it takes nothing along that
    /// is only read.
    pub(super) counts: CachePadded<Counts>,
    /// Pending requests that are at the router or on their way there. `SeqCst`: who ends one changes this and
    /// then reads whether the driver waits for that, while the driver says that it waits and then reads this.
    pub(super) in_flight: CachePadded<AtomicUsize>,
    /// Pending requests that are in doubt, which the former do not count: nobody is at work on them.
    pub(super) in_doubt: AtomicUsize,
}

/// Counts over the whole engine.
pub(super) struct Counts {
    /// Pending requests.
    pub(super) pending: AtomicUsize,
    /// The next number in the order of intake.
    pub(super) next_intake: AtomicU64,
}

impl Rules {
    pub(super) fn new(hash_key: u128, grace: Duration) -> Self {
        Self {
            hash_key: [hash_key as u64, (hash_key >> 64) as u64],
            grace,
            counts: CachePadded::new(Counts {
                pending: AtomicUsize::new(0),
                next_intake: AtomicU64::new(1),
            }),
            in_flight: CachePadded::new(AtomicUsize::new(0)),
            in_doubt: AtomicUsize::new(0),
        }
    }

    /// The keyed, stable hash that chooses a request's shard and its place in the index. SipHash-1-3, so
    /// that nobody who chooses ids can crowd one shard.
    pub(super) fn hash(&self, id: RequestId) -> u64 {
        let [key0, key1] = self.hash_key;
        let mut form = [0; 17];
        form[0] = u8::from(id.is_uuid());
        form[1..].copy_from_slice(&id.value().to_le_bytes());
        SipHasher13::new_with_keys(key0, key1).hash(&form)
    }
}

/// The number of the shard, among so many, of a request with this hash.
#[inline]
pub(super) fn place_of(hash: u64, shards: usize) -> usize {
    // The tag of the index is taken from the low half.
    (hash >> 32) as usize & (shards - 1)
}

/// The number that spreads the retries of a request: another for each attempt, and the same whenever a run
/// is repeated.
pub(super) fn spread_of(id: RequestId, attempt: u32) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&id.value().to_le_bytes());
    hasher.write_u8(u8::from(id.is_uuid()));
    hasher.write(&attempt.to_le_bytes());
    hasher.finish()
}
