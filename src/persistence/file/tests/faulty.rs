//! A disk that fails when it is told to.

use std::io;

use crate::persistence::disk::{Disk, DiskFile, DiskLock, OpenMode};
use crate::sync::{Arc, AtomicU64, Ordering};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This operation that changes something, counted from 0, and all after it.
    Stop(u64),
    /// This one alone.
    Once(u64),
    /// This write is done, but one bit of it comes out wrong, and nothing is said.
    Spoil(u64),
}

/// A disk with a fault. Reading never fails.
pub(super) struct FaultyDisk {
    disk: Arc<dyn Disk>,
    fault: Arc<Counter>,
}

struct Counter {
    fault: Fault,
    changes: AtomicU64,
    writes: AtomicU64,
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    fault: Arc<Counter>,
}

impl FaultyDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, fault: Fault) -> Self {
        Self {
            disk,
            fault: Arc::new(Counter {
                fault,
                changes: AtomicU64::new(0),
                writes: AtomicU64::new(0),
            }),
        }
    }

    /// The operations so far that change something, and how many of these were writes.
    pub(super) fn counts(&self) -> (u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.fault.changes), count(&self.fault.writes))
    }
}

impl Counter {
    fn change(&self) -> io::Result<()> {
        let change = self.changes.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::Stop(at) if change >= at => Err(io::Error::other("stopped")),
            Fault::Once(at) if change == at => Err(io::Error::other("failed")),
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn place(&self) -> String {
        self.disk.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        if mode == OpenMode::Create {
            self.fault.change()?;
        }
        Ok(Box::new(FaultyFile {
            file: self.disk.open(name, mode)?,
            fault: Arc::clone(&self.fault),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.fault.change()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.fault.change()?;
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.fault.change()?;
        self.disk.sync_directory()
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        self.disk.lock(holder)
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.fault.change()?;
        let write = self.fault.writes.fetch_add(1, Ordering::Relaxed);
        if self.fault.fault == Fault::Spoil(write) {
            let mut spoiled = bytes.to_vec();
            spoiled[bytes.len() / 2] ^= 0x10;
            return self.file.write_at(offset, &spoiled);
        }
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.fault.change()?;
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.fault.change()?;
        self.file.allocate(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.fault.change()?;
        self.file.truncate(bytes)
    }
}
