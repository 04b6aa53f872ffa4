//! Directories for tests, gone afterwards.

use std::path::{Path, PathBuf};

use crate::persistence::disk::Disk;
use crate::persistence::file::DirectoryDisk;
use crate::sync::{Arc, AtomicU64, Ordering};

/// A directory of a test's own, empty at first.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("duewheel-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(DirectoryDisk::open(&self.0).unwrap())
    }

    /// The names in it, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = self.disk().list().unwrap();
        names.sort();
        names
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    pub(super) fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.join(name)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
