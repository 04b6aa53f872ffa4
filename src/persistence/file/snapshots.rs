//! [`FileSnapshots`]: chunks and manifests as files.
//!
//! A chunk is written under a temporary name, made durable, renamed, and its name made durable: a chunk that has its
//! own name is whole. A manifest comes after all its chunks in the same way, and is read back twice. So a crash at any
//! point leaves the manifests there were, all their chunks, and at most some files that no manifest names.
//!
//! What is no longer wanted goes after a manifest was published, in an order that a crash may cut anywhere: first the
//! manifests older than the two newest good ones, and those that cannot be read; then, once it is durable that these
//! are gone, the chunks that no manifest names any more. A manifest that could not be removed keeps its chunks. What is
//! left over is tried again at the next publication. A manifest of another store is nobody's to remove here.
//!
//! A snapshot that is given up takes its own chunks with it, and no more.
//!
//! Numbers of chunks count up from above all that are found at opening, in names and in manifests.

use std::collections::BTreeSet;
use std::io;

use super::chunk::{self, Encoder};
use super::manifest;
use super::names::FileName;
use super::sealed;
use super::spare::{BorrowingDisk, Spare};
use super::trying;
use crate::persistence::disk::{Disk, OpenMode};
use crate::persistence::error::StoreError;
use crate::persistence::snapshots::{
    ChunkBlock, ChunkRef, ChunkWriter, FoundSnapshots, Manifest, SnapshotStore,
};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// Manifests that are kept.
const KEPT: usize = 2;

/// The snapshots of one store, as files in a directory that nobody else writes.
pub(crate) struct FileSnapshots {
    shared: Arc<Shared>,
}

/// What those who write chunks share.
struct Shared {
    disk: Arc<dyn Disk>,
    /// Who lends room to that disk, where somebody does.
    spare: Option<Arc<dyn Spare>>,
    uuid: u128,
    numbers: Mutex<Numbers>,
    /// Bytes of all chunks and manifests.
    bytes: AtomicU64,
}

struct Numbers {
    /// The next chunk's; `None` where they are used up.
    next: Option<u64>,
    /// Of the chunks that are being written.
    writing: BTreeSet<u64>,
    /// Of those that were finished since the last publication.
    finished: BTreeSet<u64>,
}

/// A manifest that there is, and what is in it or wrong with it.
struct Candidate {
    number: u64,
    read: Result<Manifest, StoreError>,
}

impl FileSnapshots {
    /// The snapshots of the store of this identity.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be told what there is. A manifest that cannot be read is no error here.
    pub(crate) fn open(disk: Arc<dyn Disk>, uuid: u128) -> Result<Self, StoreError> {
        Self::with(disk, None, uuid)
    }

    /// As [`open`](Self::open); a snapshot that finds no room borrows some.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn borrowing(
        disk: Arc<dyn Disk>,
        uuid: u128,
        spare: Arc<dyn Spare>,
    ) -> Result<Self, StoreError> {
        let disk = Arc::new(BorrowingDisk::new(disk, Arc::clone(&spare)));
        Self::with(disk, Some(spare), uuid)
    }

    fn with(
        disk: Arc<dyn Disk>,
        spare: Option<Arc<dyn Spare>>,
        uuid: u128,
    ) -> Result<Self, StoreError> {
        let names = list(&*disk)?;
        let mut highest = 0;
        for name in &names {
            let file = FileName::parse(name).or_else(|| FileName::parse_temporary(name));
            match file {
                Some(FileName::Chunk(number)) => highest = highest.max(number),
                Some(FileName::Manifest(number)) => {
                    if let Ok(manifest) = manifest::read(&*disk, uuid, number) {
                        let numbers = manifest.chunks.iter().map(|chunk| chunk.number);
                        highest = numbers.fold(highest, u64::max);
                    }
                }
                _ => {}
            }
        }
        let shared = Shared {
            disk,
            spare,
            uuid,
            numbers: Mutex::new(Numbers {
                next: highest.checked_add(1),
                writing: BTreeSet::new(),
                finished: BTreeSet::new(),
            }),
            bytes: AtomicU64::new(0),
        };
        shared.count_bytes();
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// All manifests by number, the newest first, each read and its chunks looked for.
    fn manifests(&self) -> Result<Vec<Candidate>, StoreError> {
        let Shared { disk, uuid, .. } = &*self.shared;
        let numbers = manifest_numbers(&**disk)?;
        let read = |number| {
            let manifest = manifest::read(&**disk, *uuid, number)?;
            self.chunks_are_there(&manifest)?;
            Ok(manifest)
        };
        Ok(numbers
            .into_iter()
            .map(|number| Candidate {
                number,
                read: read(number),
            })
            .collect())
    }

    /// Whether all chunks that a manifest names are there and of the right size.
    fn chunks_are_there(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let disk = &*self.shared.disk;
        for chunk in &manifest.chunks {
            let name = FileName::Chunk(chunk.number).to_string();
            let expected = || {
                let manifest = FileName::Manifest(manifest.number);
                format!("{} bytes, as {manifest} says", chunk.bytes)
            };
            let opened = disk.open(&name, OpenMode::Read);
            match opened.and_then(|file| file.size()) {
                Ok(size) if size == chunk.bytes => {}
                Ok(size) => {
                    return Err(StoreError::damaged(
                        name,
                        size.min(chunk.bytes),
                        format!("it has {size} bytes"),
                        expected(),
                    ));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(StoreError::damaged(name, 0, "it is missing", expected()));
                }
                Err(error) => {
                    return Err(StoreError::from_io(trying("opening", disk, &name), error));
                }
            }
        }
        Ok(())
    }

    /// Writes the manifest of finished chunks, newer than any that there is.
    fn write_manifest(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let Shared { disk, uuid, .. } = &*self.shared;
        let name = FileName::Manifest(manifest.number);
        let newest = self
            .manifests()?
            .into_iter()
            .find(|candidate| candidate.read.is_ok())
            .map(|candidate| candidate.number);
        if newest.is_some_and(|newest| newest >= manifest.number) {
            return Err(StoreError::Mismatch {
                what: "the number of a new manifest".to_owned(),
                found: manifest.number.to_string(),
                expected: format!("one above {}", newest.unwrap_or_default()),
            });
        }
        self.chunks_are_there(manifest)?;
        let bytes = manifest::encode(manifest, *uuid)?;
        if let Err(error) = sealed::write(&**disk, name, &bytes) {
            // The caller holds that there is none; where it stays it is as good as any.
            let _ = disk.remove(&name.to_string());
            return Err(error);
        }
        Ok(())
    }

    /// Gives back what a snapshot that is done, one way or the other, has borrowed.
    fn give_back(&self) {
        if let Some(spare) = &self.shared.spare {
            spare.reclaim();
        }
    }

    /// Removes the chunks that were finished since the last publication, and nothing else: whether the snapshots that
    /// there are can be recovered from is not known here. Where a manifest may name them, or a crash may bring one back
    /// that does, they are left to a later publication.
    fn drop_finished(&self) {
        let mut finished = std::mem::take(&mut self.shared.numbers.lock().finished);
        let Ok(manifests) = self.manifests() else {
            return;
        };
        for candidate in manifests {
            let Ok(manifest) = candidate.read else {
                return;
            };
            for chunk in &manifest.chunks {
                finished.remove(&chunk.number);
            }
        }
        let disk = &*self.shared.disk;
        if disk.sync_directory().is_err() {
            return;
        }
        for number in finished {
            let _ = disk.remove(&FileName::Chunk(number).to_string());
        }
    }

    /// Removes what is no longer wanted, as far as that can be done.
    fn drop_old(&self) {
        let disk = &*self.shared.disk;
        let Ok(manifests) = self.manifests() else {
            return;
        };
        let mut good = 0;
        let mut named = BTreeSet::new();
        for Candidate { number, read } in manifests {
            let remove = || disk.remove(&FileName::Manifest(number).to_string());
            match read {
                Ok(manifest) => {
                    good += 1;
                    if good <= KEPT || remove().is_err() {
                        named.extend(manifest.chunks.iter().map(|chunk| chunk.number));
                    }
                }
                Err(StoreError::Damaged(_)) => {
                    let _ = remove();
                }
                Err(StoreError::Mismatch { .. }) => {}
                // It cannot be read just now, and may name any chunk.
                Err(_) => return,
            }
        }
        if disk.sync_directory().is_err() {
            return;
        }
        let Ok(names) = disk.list() else {
            return;
        };
        let numbers = self.shared.numbers.lock();
        for name in &names {
            let unwanted = match FileName::parse(name) {
                Some(FileName::Chunk(number)) => {
                    !named.contains(&number) && !numbers.writing.contains(&number)
                }
                Some(_) => false,
                None => match FileName::parse_temporary(name) {
                    Some(FileName::Chunk(number)) => !numbers.writing.contains(&number),
                    Some(FileName::Manifest(_)) => true,
                    _ => false,
                },
            };
            if unwanted {
                let _ = disk.remove(name);
            }
        }
    }
}

impl SnapshotStore for FileSnapshots {
    fn find(&self) -> Result<FoundSnapshots, StoreError> {
        let mut found = FoundSnapshots::default();
        for candidate in self.manifests()? {
            found.highest = found.highest.max(candidate.number);
            match candidate.read {
                Ok(manifest) => found.good.push(manifest),
                Err(error) => found.bad.push(error),
            }
        }
        Ok(found)
    }

    fn read(
        &self,
        chunk: &ChunkRef,
        visit: &mut dyn FnMut(&ChunkBlock<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Shared { disk, uuid, .. } = &*self.shared;
        let name = FileName::Chunk(chunk.number).to_string();
        let reading =
            |error: io::Error| StoreError::from_io(trying("reading", &**disk, &name), error);
        let file = match disk.open(&name, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let expected = format!("{} bytes", chunk.bytes);
                return Err(StoreError::damaged(name, 0, "it is missing", expected));
            }
            Err(error) => return Err(reading(error)),
        };
        chunk::decode(&*file, &name, *uuid, chunk, &reading, visit)
    }

    fn begin(&self, stream: u32) -> Result<Box<dyn ChunkWriter>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let number = shared.next_number()?;
        let name = FileName::Chunk(number).temporary();
        match shared.disk.open(&name, OpenMode::Create) {
            Ok(file) => Ok(Box::new(FileChunkWriter {
                encoder: Ok(Encoder::new(file, shared.uuid, number, stream)),
                shared,
                number,
                named: false,
            })),
            Err(error) => {
                shared.numbers.lock().writing.remove(&number);
                let what = trying("making", &*shared.disk, &name);
                Err(StoreError::from_io(what, error))
            }
        }
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let published = self.write_manifest(manifest);
        if published.is_ok() {
            self.shared.numbers.lock().finished.clear();
            self.drop_old();
            self.shared.count_bytes();
        }
        self.give_back();
        published
    }

    fn abandon(&self) {
        self.drop_finished();
        self.shared.count_bytes();
        self.give_back();
    }

    fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// A number for a chunk that is now being written.
    fn next_number(&self) -> Result<u64, StoreError> {
        let mut numbers = self.numbers.lock();
        let Some(number) = numbers.next else {
            return Err(StoreError::Mismatch {
                what: format!("the numbers of chunks in {}", self.disk.place()),
                found: "the last one is used".to_owned(),
                expected: "one that is free".to_owned(),
            });
        };
        numbers.next = number.checked_add(1);
        numbers.writing.insert(number);
        Ok(number)
    }

    /// Counts the bytes of what there is; what cannot be looked at counts as nothing.
    fn count_bytes(&self) {
        let Ok(names) = self.disk.list() else {
            return;
        };
        let size = |name: &String| match FileName::parse(name)? {
            FileName::Chunk(_) | FileName::Manifest(_) => {
                let file = self.disk.open(name, OpenMode::Read).ok()?;
                file.size().ok()
            }
            _ => None,
        };
        let bytes = names.iter().filter_map(size).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// A chunk being written.
struct FileChunkWriter {
    shared: Arc<Shared>,
    number: u64,
    /// The error that made it useless, else where it is written.
    encoder: Result<Encoder, StoreError>,
    /// It is finished, and has its own name.
    named: bool,
}

impl FileChunkWriter {
    fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let name = FileName::Chunk(self.number).temporary();
        let what = trying(doing, &*self.shared.disk, &name);
        move |error| StoreError::from_io(what, error)
    }
}

impl ChunkWriter for FileChunkWriter {
    fn put(&mut self, block: &ChunkBlock<'_>) -> Result<(), StoreError> {
        let failed = self.failed("writing");
        let encoder = match &mut self.encoder {
            Ok(encoder) => encoder,
            Err(error) => return Err(error.clone()),
        };
        let put = if block.records.len() as u64 > u64::from(chunk::BLOCK_BYTES_MAX) {
            Err(StoreError::Mismatch {
                what: "a block of a chunk".to_owned(),
                found: format!("{} bytes", block.records.len()),
                expected: format!("at most {}", chunk::BLOCK_BYTES_MAX),
            })
        } else {
            encoder.put(block).map_err(failed)
        };
        if let Err(error) = &put {
            self.encoder = Err(error.clone());
        }
        put
    }

    fn finish(mut self: Box<Self>) -> Result<ChunkRef, StoreError> {
        let useless = StoreError::Unavailable {
            what: "finishing a chunk".to_owned(),
            source: Arc::new(io::Error::other("it is finished")),
        };
        let encoder = std::mem::replace(&mut self.encoder, Err(useless))?;
        let chunk = encoder.finish().map_err(self.failed("writing"))?;
        let name = FileName::Chunk(self.number);
        let disk = &*self.shared.disk;
        disk.rename(&name.temporary(), &name.to_string())
            .map_err(self.failed("renaming"))?;
        self.named = true;
        self.shared.numbers.lock().finished.insert(self.number);
        let disk = &*self.shared.disk;
        disk.sync_directory()
            .map_err(|error| StoreError::from_io(trying("syncing", disk, ""), error))?;
        self.shared.bytes.fetch_add(chunk.bytes, Ordering::Relaxed);
        Ok(chunk)
    }
}

/// What is not finished is removed; where that fails, a later publication does it.
impl Drop for FileChunkWriter {
    fn drop(&mut self) {
        if !self.named {
            let name = FileName::Chunk(self.number).temporary();
            let _ = self.shared.disk.remove(&name);
        }
        self.shared.numbers.lock().writing.remove(&self.number);
    }
}

/// The numbers of all manifests in a store, the newest first.
pub(in crate::persistence::file) fn manifest_numbers(
    disk: &dyn Disk,
) -> Result<Vec<u64>, StoreError> {
    let mut numbers: Vec<u64> = list(disk)?
        .iter()
        .filter_map(|name| match FileName::parse(name)? {
            FileName::Manifest(number) => Some(number),
            _ => None,
        })
        .collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    Ok(numbers)
}

fn list(disk: &dyn Disk) -> Result<Vec<String>, StoreError> {
    let listing = |error| StoreError::from_io(trying("listing", disk, ""), error);
    disk.list().map_err(listing)
}
