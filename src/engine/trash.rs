//! What the holder of a shard's lock leaves for after it: what the user gave, and news.
//!
//! What a user gave may run code of the user's when it is dropped, and so does whoever subscribes to news. A trash is
//! therefore declared before the lock is taken, so that it is dropped after it was released, or cleared then.

use super::store::Gone;
use crate::sync::Arc;
use crate::telemetry::News;

/// What ended requests held and news of them, for when no lock is held. One of a kind takes no allocation.
#[derive(Default)]
pub(super) struct Trash {
    pub(super) news: News,
    first: Option<Gone>,
    others: Vec<Gone>,
    /// Reasons of the router's that are remembered no longer.
    pub(super) told: Vec<Arc<str>>,
}

impl Trash {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&mut self, gone: Gone) {
        if gone.is_nothing() {
            return;
        }
        match &self.first {
            None => self.first = Some(gone),
            Some(_) => self.others.push(gone),
        }
    }

    /// Tells the news and drops what is in it: not under a lock.
    pub(super) fn clear(&mut self) {
        self.news.tell();
        self.first = None;
        self.others.clear();
        self.told.clear();
    }
}
