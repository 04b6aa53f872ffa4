//! A disk that counts what is asked of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use duewheel::{DirectoryDisk, Disk, DiskFile, DiskLock, OpenMode};

use crate::folder::Folder;

/// What was asked of a disk.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) written_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

impl Counts {
    pub(crate) fn now(&self) -> (u64, u64) {
        let (written, syncs) = (&self.written_bytes, &self.syncs);
        (
            written.load(Ordering::Relaxed),
            syncs.load(Ordering::Relaxed),
        )
    }
}

/// A directory whose writes and syncs are counted.
pub(crate) struct CountingDisk {
    disk: DirectoryDisk,
    counts: Arc<Counts>,
}

impl CountingDisk {
    pub(crate) fn new(folder: &Folder, counts: &Arc<Counts>) -> Self {
        Self {
            disk: DirectoryDisk::open(folder.path()).expect("a new directory"),
            counts: Arc::clone(counts),
        }
    }
}

impl Disk for CountingDisk {
    fn place(&self) -> String {
        self.disk.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CountingFile {
            file: self.disk.open(name, mode)?,
            counts: Arc::clone(&self.counts),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
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

struct CountingFile {
    file: Box<dyn DiskFile>,
    counts: Arc<Counts>,
}

impl DiskFile for CountingFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(offset, bytes)?;
        self.counts
            .written_bytes
            .fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn sync(&self) -> io::Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }
}
