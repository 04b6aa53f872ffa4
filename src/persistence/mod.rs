//! What outlives the process: a journal of what happened to each request, and snapshots of what is pending.
//!
//! The engine knows two traits. A [`Journal`] takes frames of many records, makes them durable, gives them back
//! and drops what is no longer needed; a [`SnapshotStore`] keeps images of shards under a manifest. A [`Store`] is
//! the two of one engine and their identity. Adapters: files in a directory (`file/`), and memory (`memory/`),
//! which is for tests; a replicated log fits behind the same traits.
//!
//! # Records, frames, positions
//!
//! A record is the absolute after-image of one request, or of one thing that belongs to no request (a location's
//! name, its hold); see `record/`. Every record has an [`Lsn`], one more than the record's before it. Records are
//! copied, in the order of their numbers, into a commit buffer (`commit.rs`); what has gathered there when somebody
//! waits is one [`Frame`], which is appended and made durable as a whole.
//!
//! Each record belongs to a *stream*: 0 for what belongs to no request, else one more than the number of the
//! request's shard. A snapshot says of each stream up to which number it is in the snapshot ([`Positions`]); replay
//! begins behind that.
//!
//! # Why a snapshot may be fuzzy
//!
//! A shard is walked in steps, and changes between them. Each step is written with the number of the shard's last
//! record at that moment, and the whole with that of the moment before the first step: its position. All records
//! after the position are replayed, in order, over what the steps saw. Because a record says all that is to be
//! known of its request, the last one decides, whatever was seen before it; and the last one is never left out. So
//! a step that saw too new a state goes back for a moment and arrives at the same end.

pub(crate) mod commit;
mod contract;
mod disk;
mod error;
mod file;
mod journal;
mod memory;
pub(crate) mod record;
mod snapshots;
mod store;

pub use disk::{Disk, DiskFile, DiskLock, OpenMode};
pub use error::{Damage, StoreError};
pub use file::{
    DirectoryDisk, DumpItem, FileOptions, LocationTally, LostRange, LostRecord, RecoveryOutlook,
    RepairPlan, SegmentState, SetAside, SnapshotState, StoreInspector, StoreStats, Tally,
    VerifyReport,
};
pub use journal::{Durability, Frame, Journal, JournalTail, Lsn, Positions, Room, TornTail};
pub use memory::MemoryStore;
pub use record::{RecordView, check_records};
pub use snapshots::{ChunkBlock, ChunkRef, ChunkWriter, FoundSnapshots, Manifest, SnapshotStore};
pub use store::{Store, StoreIdentity};
