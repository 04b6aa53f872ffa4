//! [`FileOptions`]: what may be chosen of a store in a directory.

use std::fmt;

use super::journal::JournalOptions;
use crate::persistence::error::StoreError;

/// What may be chosen of a store in a directory ([`Store::open`](crate::Store::open)).
///
/// ```
/// use duewheel::FileOptions;
///
/// let options = FileOptions::new().segment_bytes(16 << 20);
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct FileOptions {
    pub(super) journal: JournalOptions,
    pub(super) hash_key: Option<u128>,
    pub(super) read_only: bool,
}

impl FileOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            journal: JournalOptions::default(),
            hash_key: None,
            read_only: false,
        }
    }

    /// Bytes of a new segment of the journal: 4 KiB to 1 GiB, by default 64 MiB. Twice as much is set aside on the disk
    /// at any time, less on a full one, and so much is given back at a time once snapshots hold what is in it. For a
    /// frame that is larger a larger segment is made. Segments that there are stay as they are.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.journal.segment_bytes = bytes;
        self
    }

    /// The key of a new store's hashes, by which shards are chosen and repeated intake is recognised; by default the
    /// operating system draws one. It is kept for good: of a store that is there it must be this one.
    #[must_use]
    pub fn hash_key(mut self, key: u128) -> Self {
        self.hash_key = Some(key);
        self
    }

    /// Opens a store that is there, to read it: nothing is made, written, renamed or removed, but for what says who
    /// has it. By default a store is opened to be written, and made where there is none.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Whether all is in its range.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.journal.check()
    }
}

impl Default for FileOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Not the key: who knows it can crowd one shard.
impl fmt::Debug for FileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileOptions")
            .field("segment_bytes", &self.journal.segment_bytes)
            .field("hash_key_given", &self.hash_key.is_some())
            .field("read_only", &self.read_only)
            .finish()
    }
}
