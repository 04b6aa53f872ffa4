//! [`Spare`]: room that the journal has set aside for later, and lends to a snapshot that finds none.
//!
//! On a full disk snapshots make room: the journal is shortened below the one before the newest. What stands in their
//! way is the segment that the journal has made ahead, or is just trying to make. So that one gives up most of its room
//! until the snapshot is done; what is taken in meanwhile is refused, as on any full disk.

use std::io;

use crate::persistence::disk::{Disk, DiskFile, DiskLock, OpenMode};
use crate::persistence::error::StoreError;
use crate::sync::Arc;

/// Who has set room aside.
pub(super) trait Spare: Send + Sync {
    /// Gives room up until it is [reclaimed](Self::reclaim). Says whether a write that found none is worth another
    /// attempt.
    fn lend(&self) -> bool;

    /// Sets aside again what was lent.
    fn reclaim(&self);
}

/// A disk on which a file that finds no room borrows some.
pub(super) struct BorrowingDisk {
    disk: Arc<dyn Disk>,
    spare: Arc<dyn Spare>,
}

struct BorrowingFile {
    file: Box<dyn DiskFile>,
    spare: Arc<dyn Spare>,
}

impl BorrowingDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, spare: Arc<dyn Spare>) -> Self {
        Self { disk, spare }
    }
}

/// Does something that needs room; once more where room was lent for it.
fn with_room<T>(spare: &dyn Spare, attempt: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match attempt() {
        Err(error) if StoreError::is_for_room(&error) && spare.lend() => attempt(),
        done => done,
    }
}

impl Disk for BorrowingDisk {
    fn place(&self) -> String {
        self.disk.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = with_room(&*self.spare, || self.disk.open(name, mode))?;
        Ok(Box::new(BorrowingFile {
            file,
            spare: Arc::clone(&self.spare),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        with_room(&*self.spare, || self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        self.disk.lock(holder)
    }
}

impl DiskFile for BorrowingFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        with_room(&*self.spare, || self.file.write_at(offset, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        // What is lost by a sync that failed does not come back by another one.
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        with_room(&*self.spare, || self.file.allocate(bytes))
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }
}
