//! [`HeldDisk`]: a directory together with the lock on it.
//!
//! Journal and snapshots each hold on to their disk, on threads of their own too; whoever of them is the last gives the
//! directory back. So nobody else has it while anything may still be written.

use std::io;

use crate::persistence::disk::{Disk, DiskFile, DiskLock, OpenMode};
use crate::sync::{Arc, Mutex};

/// A directory that is held, and given back when this is dropped.
pub(super) struct HeldDisk {
    disk: Arc<dyn Disk>,
    read_only: bool,
    /// `None` where nobody can write the directory, so that nobody need be kept from it.
    _lock: Option<DiskLock>,
    /// What the first sync of the names that failed said. Names that others had just made may be lost with it, and a
    /// later sync would say "done" of them too: so none is tried again, and one is done at a time.
    names_failed: Mutex<Option<(io::ErrorKind, String)>>,
}

impl HeldDisk {
    pub(super) fn new(disk: Arc<dyn Disk>, lock: Option<DiskLock>, read_only: bool) -> Self {
        Self {
            disk,
            read_only,
            _lock: lock,
            names_failed: Mutex::new(None),
        }
    }

    fn may_write(&self) -> io::Result<()> {
        if self.read_only {
            let text = "the store is open to be read";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        Ok(())
    }
}

impl Disk for HeldDisk {
    fn place(&self) -> String {
        self.disk.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        if mode != OpenMode::Read {
            self.may_write()?;
        }
        self.disk.open(name, mode)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.may_write()?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.may_write()?;
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.may_write()?;
        let mut failed = self.names_failed.lock();
        if let Some((kind, text)) = &*failed {
            return Err(io::Error::new(*kind, text.clone()));
        }
        self.disk
            .sync_directory()
            .inspect_err(|error| *failed = Some((error.kind(), error.to_string())))
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        self.disk.lock(holder)
    }
}
