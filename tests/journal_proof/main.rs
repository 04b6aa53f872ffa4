//! The journal and the snapshots in files, on a disk that crashes, tears and lies: after every crash all that was said
//! to be durable is there, exactly and in order, and nothing else; damage is refused, and named.
//!
//! | module | proves |
//! |---|---|
//! | `crashes` | a crash after every operation, also in the midst of recoveries; the end of a process after every operation |
//! | `damage` | every bit flipped, every sector zeroed or overwritten, every file cut, missing or swapped |
//! | `broken` | the device fails at every operation, the disk is full at every operation, writes get lost |
//! | `seeds` | long random runs of all that |
//!
//! A random run that fails names its seed: `DUEWHEEL_DISK_SEED=n cargo test --release --test journal_proof` does that one
//! again, and `DUEWHEEL_DISK_SEEDS=from..to` does others than the usual ones. With `DUEWHEEL_DISK_EVERY_BIT` set all bits of
//! each byte are flipped, not one.

mod bare;
mod broken;
mod crashes;
mod damage;
#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../simulation/dice.rs"]
mod dice;
#[path = "../disk/mod.rs"]
mod disk;
mod drive;
mod inhabitant;
mod ledger;
mod outcome;
mod script;
mod seeds;

use duewheel::FileOptions;

/// A few frames fill a segment of this size.
const SEGMENT_BYTES: u64 = 4 << 10;

fn options() -> FileOptions {
    FileOptions::new().segment_bytes(SEGMENT_BYTES)
}
