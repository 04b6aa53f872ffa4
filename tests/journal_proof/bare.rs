//! [`Bare`]: a journal and its snapshots without an engine, used as an engine uses them.

use duewheel::{
    ChunkBlock, ChunkRef, Journal, JournalTail, Lsn, Manifest, Positions, SnapshotStore, Store,
    StoreError, Timestamp,
};

use crate::disk::SimulatedDisk;
use crate::inhabitant::{Inhabitant, Trouble, broken};
use crate::ledger::{Appended, Block, Chunk, Ledger, Snapshot};

/// Shards, beside which there is a stream 0.
const SHARDS: u32 = 2;

/// Numbers that a new life leaves out.
const GAP: u64 = 5;

/// What a script is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A frame with so many records, and so many bytes of them together.
    Append { records: u32, bytes: u32 },
    /// A frame without records, which says when the last poll was.
    Word,
    /// Until all is durable.
    Wait,
    /// Until all but the last so many records are.
    WaitBut(u64),
    /// The image of a stream.
    Chunk {
        stream: u32,
        blocks: u32,
        bytes: u32,
    },
    /// A snapshot of the chunks made since the last.
    Publish,
    /// What both snapshots know is dropped.
    Trim,
    /// Nothing comes after that.
    Close,
}

/// A journal that has begun, and its snapshots.
pub(crate) struct Bare {
    store: Store,
    epoch: u32,
    next: Lsn,
    /// All up to here is durable.
    synced: Lsn,
    /// Made, and in no snapshot yet.
    chunks: Vec<Chunk>,
    /// Those that are there, newest first.
    snapshots: Vec<Manifest>,
    /// The number of the next: none is used twice, also where one could not be published, for it may be there.
    next_snapshot: u64,
    has_failed: bool,
}

/// What is found on a disk.
#[derive(Debug)]
pub(crate) struct Found {
    /// Snapshots whose chunks can be read, newest first.
    pub(crate) good: Vec<Manifest>,
    /// What is wrong with the others.
    pub(crate) bad: Vec<StoreError>,
    /// What was read back from behind the newest of the good ones.
    pub(crate) frames: Vec<Appended>,
    pub(crate) tail: JournalTail,
}

impl Found {
    /// Up to where the newest snapshot knows all.
    pub(crate) fn positions(&self) -> Positions {
        let newest = self.good.first();
        newest.map_or_else(Positions::default, |newest| newest.positions.clone())
    }
}

pub(crate) fn store(disk: &SimulatedDisk) -> Result<Store, StoreError> {
    Store::on_disk(std::sync::Arc::new(disk.clone()), crate::options())
}

/// The blocks of a chunk.
pub(crate) fn blocks(
    snapshots: &dyn SnapshotStore,
    chunk: &ChunkRef,
) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    snapshots.read(chunk, &mut |block| {
        blocks.push(Block::of(block));
        Ok(())
    })?;
    Ok(blocks)
}

/// Reads all as a recovery does: the snapshots, each with its chunks, and the journal from behind the newest that is
/// whole.
pub(crate) fn read(store: &Store, ledger: &Ledger) -> Result<Found, Trouble> {
    let snapshots = store.snapshots();
    let found = snapshots.find()?;
    let mut good = Vec::new();
    let mut bad = found.bad;
    for manifest in found.good {
        match read_chunks(&**snapshots, &manifest, ledger) {
            Ok(()) => good.push(manifest),
            Err(Trouble::Store(error @ StoreError::Damaged(_))) => bad.push(error),
            Err(trouble) => return Err(trouble),
        }
    }
    let positions = match good.first() {
        Some(newest) => newest.positions.clone(),
        None => Positions::default(),
    };
    let mut frames = Vec::new();
    let tail = store.journal().replay(&positions, &mut |frame| {
        frames.push(Appended::of(frame));
        Ok(())
    })?;
    Ok(Found {
        good,
        bad,
        frames,
        tail,
    })
}

fn read_chunks(
    snapshots: &dyn SnapshotStore,
    manifest: &Manifest,
    ledger: &Ledger,
) -> Result<(), Trouble> {
    let known = ledger.snapshot(manifest)?;
    for chunk in &manifest.chunks {
        let found = blocks(snapshots, chunk)?;
        let put = known.chunks.iter().find(|known| known.chunk == *chunk);
        if put.is_none_or(|put| put.blocks != found) {
            broken!("{chunk:?} is not what was put into it");
        }
    }
    Ok(())
}

impl Inhabitant for Bare {
    type Step = Step;
    type Ledger = Ledger;

    fn open(disk: &SimulatedDisk, ledger: &mut Ledger) -> Result<Self, Trouble> {
        let store = store(disk)?;
        let found = read(&store, ledger)?;
        ledger.hold_snapshots_against(&found.good)?;
        if !found.bad.is_empty() && !ledger.is_damaged {
            broken!("snapshots are damaged: {:?}", found.bad);
        }
        let floor = found.positions().floor();
        let survivors = ledger.hold_against(floor, &found.frames, &found.tail)?;
        ledger.go_on_with(&found.good, disk.is_durable());
        let newest = found.good.first();
        let last = newest.map_or(Lsn(0), |newest| newest.last);
        let epoch = found
            .tail
            .epoch
            .max(newest.map_or(0, |newest| newest.epoch))
            + 1;
        let next = Lsn(found.tail.highest.max(last).0 + 1 + GAP);
        ledger.tried = epoch;
        ledger.highest = ledger.highest.max(Lsn(next.0 - 1));
        store.journal().begin(epoch, next)?;
        ledger.go_on_behind(survivors);
        ledger.begun = epoch;
        Ok(Self {
            store,
            epoch,
            next,
            synced: Lsn(next.0 - 1),
            chunks: Vec::new(),
            next_snapshot: newest.map_or(0, |newest| newest.number) + 1,
            snapshots: found.good,
            has_failed: false,
        })
    }

    fn perform(&mut self, step: &Step, ledger: &mut Ledger) -> Result<(), Trouble> {
        match *step {
            Step::Append { records, bytes } => {
                let contents = contents(self.epoch, self.next, bytes as usize);
                self.append(records, &contents, false, ledger)
            }
            Step::Word => self.append(0, &[], false, ledger),
            Step::Wait => self.wait(self.last(), ledger),
            Step::WaitBut(records) => self.wait(Lsn(self.last().0.saturating_sub(records)), ledger),
            Step::Chunk {
                stream,
                blocks,
                bytes,
            } => self.chunk(stream, blocks, bytes),
            Step::Publish => self.publish(ledger),
            Step::Trim => self.trim(),
            Step::Close => {
                self.wait(self.last(), ledger)?;
                self.append(0, &[], true, ledger)?;
                self.wait(self.last(), ledger)
            }
        }
    }

    fn aftermath() -> Vec<Step> {
        let append = |bytes| Step::Append { records: 2, bytes };
        vec![
            append(700),
            append(90),
            Step::Wait,
            append(3_000),
            Step::Word,
        ]
    }
}

impl Bare {
    pub(crate) fn journal(&self) -> &dyn Journal {
        &**self.store.journal()
    }

    /// Whether the journal has said of an error that it is the last.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn last(&self) -> Lsn {
        Lsn(self.next.0 - 1)
    }

    /// A frame that fits behind the last one.
    pub(crate) fn next_frame(&self, records: u32, contents: &[u8], closing: bool) -> Appended {
        let base = self.next;
        Appended {
            base,
            count: records,
            epoch: self.epoch,
            synced: self.synced,
            // Some frames tell of a poll, others do not.
            polled_until: (base.0.is_multiple_of(3) || records == 0)
                .then(|| Timestamp::from_millis(1_000 + base.0)),
            closing,
            records: contents.into(),
        }
    }

    pub(crate) fn append(
        &mut self,
        records: u32,
        contents: &[u8],
        closing: bool,
        ledger: &mut Ledger,
    ) -> Result<(), Trouble> {
        let frame = self.next_frame(records, contents, closing);
        ledger.highest = ledger.highest.max(frame.last());
        // Whatever comes of it, it may be there.
        ledger.frames.push(frame.clone());
        let appended = self.journal().append(&frame.frame());
        self.has_failed |= appended.is_err();
        let last = appended?;
        if last != frame.last() {
            broken!("{frame:?} was appended, and its last record is said to be {last}");
        }
        self.next = last.next();
        Ok(())
    }

    fn wait(&mut self, lsn: Lsn, ledger: &mut Ledger) -> Result<(), Trouble> {
        let waited = self.journal().wait_durable(lsn);
        self.has_failed |= waited.is_err();
        let durable = waited?;
        if durable < lsn || durable > self.last() {
            let last = self.last();
            broken!("waited for {lsn} of {last}, and all up to {durable} is said to be durable");
        }
        self.synced = self.synced.max(durable);
        ledger.confirm(durable, lsn == self.last());
        Ok(())
    }

    fn chunk(&mut self, stream: u32, blocks: u32, bytes: u32) -> Result<(), Trouble> {
        let mut writer = self.store.snapshots().begin(stream)?;
        let mut put = Vec::new();
        for block in 0..blocks {
            let as_of = Lsn(self.last().0.saturating_sub(u64::from(blocks - block)));
            let records = contents(self.epoch, Lsn(as_of.0 + 1_000_000), bytes as usize);
            writer.put(&ChunkBlock {
                as_of,
                count: block + 1,
                records: &records,
            })?;
            put.push(Block {
                as_of,
                count: block + 1,
                records,
            });
        }
        let chunk = writer.finish()?;
        self.chunks.push(Chunk { chunk, blocks: put });
        Ok(())
    }

    fn publish(&mut self, ledger: &mut Ledger) -> Result<(), Trouble> {
        // What a snapshot knows is durable before it is published.
        self.wait(self.last(), ledger)?;
        let chunks = std::mem::take(&mut self.chunks);
        let last = self.last();
        let positions = (0..=SHARDS).map(|stream| Lsn(last.0.saturating_sub(stream.into())));
        let manifest = Manifest {
            number: self.next_snapshot,
            epoch: self.epoch,
            shards: SHARDS,
            positions: Positions(positions.collect()),
            chunks: chunks.iter().map(|made| made.chunk.clone()).collect(),
            next_intake: last.0,
            last,
            polled_until: None,
        };
        self.next_snapshot += 1;
        ledger.snapshots.push(Snapshot {
            manifest: manifest.clone(),
            chunks,
        });
        self.store.snapshots().publish(&manifest)?;
        ledger.publish(manifest.number);
        self.snapshots.insert(0, manifest);
        Ok(())
    }

    fn trim(&mut self) -> Result<(), Trouble> {
        if let Some(older) = self.snapshots.get(1) {
            self.journal().trim(&older.positions)?;
        }
        Ok(())
    }
}

/// Bytes that are found again only if they are these: some look like nothing, some like noise.
pub(crate) fn contents(epoch: u32, lsn: Lsn, bytes: usize) -> Vec<u8> {
    let tag = u64::from(epoch) << 40 ^ lsn.0;
    let mut contents = tag.to_le_bytes().to_vec();
    let mut state = tag.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match lsn.0 % 4 {
        0 => contents.resize(bytes.max(8), 0),
        1 => contents.resize(bytes.max(8), 0xFF),
        _ => {
            while contents.len() < bytes {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                contents.push((state >> 56) as u8);
            }
        }
    }
    contents.truncate(bytes);
    contents
}
