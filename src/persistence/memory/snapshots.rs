//! The snapshots of a store in memory.

use super::Content;
use crate::persistence::error::StoreError;
use crate::persistence::journal::Lsn;
use crate::persistence::snapshots::{
    ChunkBlock, ChunkRef, ChunkWriter, FoundSnapshots, Manifest, SnapshotStore,
};
use crate::sync::{Arc, Mutex, MutexGuard};

/// A chunk that was finished.
pub(super) struct StoredChunk {
    name: ChunkRef,
    blocks: Vec<StoredBlock>,
}

struct StoredBlock {
    as_of: Lsn,
    count: u32,
    records: Box<[u8]>,
}

/// Snapshots that are kept: the newest, and one to fall back on.
const KEPT: usize = 2;

/// One opening of a store's snapshots.
pub(super) struct MemorySnapshots {
    content: Arc<Mutex<Content>>,
    life: u64,
}

impl MemorySnapshots {
    pub(super) fn new(content: Arc<Mutex<Content>>, life: u64) -> Self {
        Self { content, life }
    }

    fn content(&self, what: &str) -> Result<MutexGuard<'_, Content>, StoreError> {
        let content = self.content.lock();
        content.alive(self.life, what)?;
        Ok(content)
    }
}

impl SnapshotStore for MemorySnapshots {
    fn find(&self) -> Result<FoundSnapshots, StoreError> {
        let content = self.content("find the snapshots in memory")?;
        Ok(FoundSnapshots {
            good: content.manifests.clone(),
            bad: Vec::new(),
            highest: content.manifests.first().map_or(0, |newest| newest.number),
        })
    }

    fn read(
        &self,
        chunk: &ChunkRef,
        visit: &mut dyn FnMut(&ChunkBlock<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let content = self.content("read a chunk in memory")?;
        let stored = content.chunk(chunk)?;
        drop(content);
        for block in &stored.blocks {
            visit(&ChunkBlock {
                as_of: block.as_of,
                count: block.count,
                records: &block.records,
            })?;
        }
        Ok(())
    }

    fn begin(&self, stream: u32) -> Result<Box<dyn ChunkWriter>, StoreError> {
        let mut content = self.content("begin a chunk in memory")?;
        content.chunk += 1;
        let name = ChunkRef {
            stream,
            number: content.chunk,
            bytes: 0,
            records: 0,
            as_of: Lsn::default(),
        };
        Ok(Box::new(MemoryChunk {
            content: Arc::clone(&self.content),
            life: self.life,
            name,
            blocks: Vec::new(),
        }))
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let mut content = self.content("publish a snapshot in memory")?;
        let content = &mut *content;
        content.current(manifest.epoch)?;
        for chunk in &manifest.chunks {
            content.chunk(chunk)?;
        }
        let before = content.manifests.first().map_or(0, |newest| newest.number);
        if manifest.number <= before {
            return Err(StoreError::Mismatch {
                what: "the number of a snapshot".to_owned(),
                found: manifest.number.to_string(),
                expected: format!("more than {before}"),
            });
        }
        content.manifests.insert(0, manifest.clone());
        content.manifests.truncate(KEPT);
        content.drop_unnamed();
        Ok(())
    }

    fn abandon(&self) {
        if let Ok(mut content) = self.content("abandon a snapshot in memory") {
            content.drop_unnamed();
        }
    }

    fn bytes(&self) -> u64 {
        let content = self.content.lock();
        content.chunks.values().map(|chunk| chunk.name.bytes).sum()
    }
}

impl Content {
    fn chunk(&self, name: &ChunkRef) -> Result<Arc<StoredChunk>, StoreError> {
        let place = || format!("chunk {} in memory", name.number);
        let Some(stored) = self.chunks.get(&name.number) else {
            return Err(StoreError::damaged(place(), 0, "nothing", "a chunk"));
        };
        if stored.name != *name {
            let (found, expected) = (format!("{:?}", stored.name), format!("{name:?}"));
            return Err(StoreError::damaged(place(), 0, found, expected));
        }
        Ok(Arc::clone(stored))
    }

    /// Drops the chunks that no snapshot has.
    fn drop_unnamed(&mut self) {
        let Self {
            manifests, chunks, ..
        } = self;
        chunks.retain(|_, stored| {
            let mut named = manifests.iter().flat_map(|manifest| &manifest.chunks);
            named.any(|chunk| *chunk == stored.name)
        });
    }
}

/// A chunk being written.
struct MemoryChunk {
    content: Arc<Mutex<Content>>,
    life: u64,
    name: ChunkRef,
    blocks: Vec<StoredBlock>,
}

impl ChunkWriter for MemoryChunk {
    fn put(&mut self, block: &ChunkBlock<'_>) -> Result<(), StoreError> {
        self.name.bytes += (size_of::<StoredBlock>() + block.records.len()) as u64;
        self.name.records += u64::from(block.count);
        self.name.as_of = self.name.as_of.max(block.as_of);
        self.blocks.push(StoredBlock {
            as_of: block.as_of,
            count: block.count,
            records: block.records.into(),
        });
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<ChunkRef, StoreError> {
        let mut content = self.content.lock();
        content.alive(self.life, "finish a chunk in memory")?;
        let stored = Arc::new(StoredChunk {
            name: self.name.clone(),
            blocks: self.blocks,
        });
        content.chunks.insert(self.name.number, stored);
        Ok(self.name)
    }
}
