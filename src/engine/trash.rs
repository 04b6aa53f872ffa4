//! What the holder of a shard's lock leaves for after it: entries that ended, and news.
//!
//! What a user gave may run code of the user's when it is dropped, and so does whoever subscribes to news. A trash is
//! therefore declared before the lock is taken, so that it is dropped after it was released, or cleared then.

use super::entry::Entry;
use crate::telemetry::News;

/// Ended entries and news, for when no lock is held.
#[derive(Default)]
pub(super) struct Trash {
    entries: Vec<Entry>,
    pub(super) news: News,
}

impl Trash {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Tells the news and drops the entries. No lock may be held.
    pub(super) fn clear(&mut self) {
        self.news.tell();
        self.entries.clear();
    }
}
