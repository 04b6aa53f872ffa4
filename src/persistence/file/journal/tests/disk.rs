//! [`MemoryDisk`]: files in memory, which a test may change, and which fail when told to.

use std::collections::BTreeMap;
use std::io;

use crate::persistence::disk::{Disk, DiskFile, DiskLock, OpenMode};
use crate::sync::{Arc, Mutex};

/// A directory in memory; copies share it.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<Contents>>);

#[derive(Clone, Default)]
struct Contents {
    files: BTreeMap<String, Vec<u8>>,
    /// Bytes that may be allocated in all; `None` for any number.
    capacity: Option<usize>,
    /// What fails from now on.
    failing: Option<Failing>,
    calls: Vec<String>,
}

/// An operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    Write,
    Sync,
    SyncDirectory,
    Remove,
}

impl MemoryDisk {
    /// A disk of its own with the same files.
    pub(super) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.lock().files.keys().cloned().collect()
    }

    pub(super) fn file(&self, name: &str) -> Vec<u8> {
        self.0.lock().files.get(name).cloned().expect(name)
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.0
            .lock()
            .files
            .values()
            .map(|file| file.len() as u64)
            .sum()
    }

    /// Changes a file, which is made where there is none.
    pub(super) fn edit<T>(&self, name: &str, change: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        change(self.0.lock().files.entry(name.to_owned()).or_default())
    }

    pub(super) fn remove_file(&self, name: &str) {
        self.0.lock().files.remove(name).expect(name);
    }

    pub(super) fn limit(&self, capacity: Option<usize>) {
        self.0.lock().capacity = capacity;
    }

    pub(super) fn fail(&self, failing: Option<Failing>) {
        self.0.lock().failing = failing;
    }

    /// What was called since this was asked last, but for reading.
    pub(super) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().calls)
    }
}

impl Contents {
    fn check(&self, failing: Failing) -> io::Result<()> {
        if self.failing == Some(failing) {
            return Err(io::Error::other(format!("{failing:?} fails")));
        }
        Ok(())
    }

    /// The file, made so long where it is shorter.
    fn extend(&mut self, name: &str, bytes: usize) -> io::Result<&mut Vec<u8>> {
        let all: usize = self.files.values().map(Vec::len).sum();
        let file = self.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let more = bytes.saturating_sub(file.len());
        if more > 0 && self.capacity.is_some_and(|capacity| all + more > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.resize(file.len() + more, 0);
        Ok(file)
    }
}

impl Disk for MemoryDisk {
    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut contents = self.0.lock();
        let is_there = contents.files.contains_key(name);
        match (mode, is_there) {
            (OpenMode::Create, true) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::Create, false) => {
                contents.files.insert(name.to_owned(), Vec::new());
                contents.calls.push(format!("create {name}"));
            }
            (_, false) => return Err(io::ErrorKind::NotFound.into()),
            (_, true) => {}
        }
        Ok(Box::new(MemoryFile {
            disk: self.clone(),
            name: name.to_owned(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut contents = self.0.lock();
        let bytes = contents.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        contents.files.insert(to.to_owned(), bytes);
        contents.calls.push(format!("rename {from} {to}"));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut contents = self.0.lock();
        contents.check(Failing::Remove)?;
        contents.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        contents.calls.push(format!("remove {name}"));
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut contents = self.0.lock();
        contents.check(Failing::SyncDirectory)?;
        contents.calls.push("sync directory".to_owned());
        Ok(())
    }

    fn lock(&self, _holder: &str) -> io::Result<DiskLock> {
        Ok(DiskLock(Box::new(())))
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    name: String,
}

impl MemoryFile {
    fn with<T>(&self, with: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let mut contents = self.disk.0.lock();
        let file = contents.files.get_mut(&self.name);
        Ok(with(file.ok_or(io::ErrorKind::NotFound)?))
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|file| {
            let rest = file.get(offset as usize..).unwrap_or_default();
            let bytes = rest.len().min(into.len());
            into[..bytes].copy_from_slice(&rest[..bytes]);
            bytes
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut contents = self.disk.0.lock();
        contents.check(Failing::Write)?;
        let range = offset as usize..offset as usize + bytes.len();
        let file = contents.extend(&self.name, range.end)?;
        file[range].copy_from_slice(bytes);
        let call = format!("write {} {offset}+{}", self.name, bytes.len());
        contents.calls.push(call);
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        let mut contents = self.disk.0.lock();
        contents.check(Failing::Sync)?;
        contents.calls.push(format!("sync {}", self.name));
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        self.with(|file| file.len() as u64)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut contents = self.disk.0.lock();
        contents.extend(&self.name, bytes as usize)?;
        contents.calls.push(format!("allocate {}", self.name));
        Ok(())
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut contents = self.disk.0.lock();
        let file = contents.files.get_mut(&self.name);
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        file.truncate(bytes as usize);
        contents.calls.push(format!("truncate {}", self.name));
        Ok(())
    }
}
