//! Snapshots: what is in them, what is replayed over them, and which of two is used.

use super::*;
use crate::engine::{SnapshotError, SnapshotReport};
use crate::persistence::{
    ChunkBlock, ChunkRef, ChunkWriter, FoundSnapshots, Manifest, SnapshotStore, Store, StoreError,
};
use crate::schedule::{ProcessingCondition, ScheduleData};

/// Requests of every kind: plain, of several times, released, held, ended.
fn varied() -> MemoryStore {
    let several = ScheduleData::builder()
        .time_if(at(1_000), ProcessingCondition::AgentsReady(3))
        .time(at(90_000))
        .not_after(at(100_000));
    let several = several.build().unwrap();
    let mut hand = Hand::new();
    hand.opened(8, Durability::Sync)
        .named(0, "AA0101")
        .named(1, "BB")
        .record(
            0,
            &Record::Ruled {
                location: place(1),
                held_since: Some(at(3)),
                pace: 0,
            },
        );
    for number in 1..=600 {
        let location = place(number % 2);
        let image = match number % 5 {
            0 => RequestImage {
                schedule: ScheduleImage::Full(std::borrow::Cow::Borrowed(&several)),
                course: released(number, 1_000, 0).course.map(|course| CourseImage {
                    attempts: 0,
                    ..course
                }),
                ..plain(number, 1_000)
            },
            1 => RequestImage {
                contents: Contents::Given {
                    customer: None,
                    payload: &[],
                },
                schedule: ScheduleImage::Immediate,
                ..plain(number, 700)
            },
            _ => plain(number, 50_000),
        };
        hand.request(Change::Accepted, RequestImage { location, ..image });
        if number % 7 == 0 {
            hand.request(
                Change::Released,
                RequestImage {
                    location,
                    ..released(number, 50_000, 2)
                },
            );
        }
        if number % 11 == 0 {
            hand.ended(EndedImage {
                location,
                why: match number % 3 {
                    0 => Why::Told("no".into()),
                    _ => Why::Plain,
                },
                ..routed(number, 800)
            });
        }
    }
    hand.crash(Some(900))
}

/// All that can be seen of an engine from outside.
fn seen(engine: &Engine) -> String {
    use std::fmt::Write as _;
    let mut seen = String::new();
    for number in 1..=700 {
        writeln!(seen, "{:?}", engine.status(id(number))).unwrap();
    }
    let mut report = engine.report(at(1_000));
    report.now = at(0);
    write!(seen, "{report:?} {}", engine.in_flight()).unwrap();
    seen
}

#[test]
fn a_snapshot_holds_all_that_the_journal_told() {
    let memory = varied();
    let engine = try_recover(settings().shards(4), &memory, &Arc::default()).unwrap();
    let before = seen(&engine);
    let SnapshotReport { number, .. } = engine.snapshot().unwrap();
    drop(engine);
    let engine = try_recover(settings().shards(4), &memory, &Arc::default()).unwrap();
    let report = engine.recovery().unwrap();
    assert_eq!((report.snapshot, number), (Some(1), 1));
    // The mark of the snapshot, and who wrote since.
    assert!(report.journal_records <= 3, "{report:?}");
    assert_eq!(seen(&engine), before);
}

#[test]
fn only_what_has_changed_is_written_again() {
    let memory = varied();
    let engine = try_recover(settings().shards(4), &memory, &Arc::default()).unwrap();
    let first = engine.snapshot().unwrap();
    assert_eq!((first.shards_written, first.shards_kept), (4, 0));
    let (shard, _) = engine.place(id(1));
    engine.shards[shard].lock().last_lsn += 1;
    let second = engine.snapshot().unwrap();
    assert_eq!((second.shards_written, second.shards_kept), (1, 3));
    let before = seen(&engine);
    drop(engine);
    let engine = try_recover(settings().shards(4), &memory, &Arc::default()).unwrap();
    assert_eq!(engine.recovery().unwrap().snapshot, Some(2));
    assert_eq!(seen(&engine), before);
    // Nothing came behind their chunks.
    let third = engine.snapshot().unwrap();
    assert_eq!((third.shards_written, third.shards_kept), (0, 4));
}

#[test]
fn the_journal_is_kept_as_far_back_as_the_older_snapshot() {
    let memory = varied();
    let engine = recover(&memory, &Arc::default());
    let frames = memory.frames();
    engine.snapshot().unwrap();
    assert_eq!(memory.frames(), frames, "the first may be damaged");
    engine.snapshot().unwrap();
    assert!(memory.frames() < frames + 2);
    let positions: Vec<_> = memory.snapshots();
    let [newer, older] = &positions[..] else {
        panic!("two are kept");
    };
    assert!(older.positions.floor() <= newer.positions.floor());
    assert!(newer.positions.floor() > Lsn(700));
}

#[test]
fn an_engine_without_a_store_has_no_snapshot() {
    let engine = Engine::new(Desk::default());
    let error = engine.snapshot().unwrap_err();
    assert!(matches!(error, SnapshotError::NoStore));
    assert!(engine.recovery().is_none());
}

/// Snapshots with something odd about them.
struct Odd {
    snapshots: Arc<dyn SnapshotStore>,
    /// Is asked before the chunk of a stream is begun.
    begins: Box<dyn Fn(u32) -> Result<(), StoreError> + Send + Sync>,
    /// Chunks that are damaged.
    damaged: Vec<u64>,
}

impl Odd {
    fn new(snapshots: Arc<dyn SnapshotStore>) -> Self {
        Self {
            snapshots,
            begins: Box::new(|_| Ok(())),
            damaged: Vec::new(),
        }
    }
}

impl SnapshotStore for Odd {
    fn find(&self) -> Result<FoundSnapshots, StoreError> {
        self.snapshots.find()
    }

    fn read(
        &self,
        chunk: &ChunkRef,
        visit: &mut dyn FnMut(&ChunkBlock<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut blocks = 0;
        self.snapshots.read(chunk, &mut |block| {
            if blocks == 1 && self.damaged.contains(&chunk.number) {
                return Err(StoreError::damaged("a chunk", 7, "this", "that"));
            }
            blocks += 1;
            visit(block)
        })
    }

    fn begin(&self, stream: u32) -> Result<Box<dyn ChunkWriter>, StoreError> {
        (self.begins)(stream)?;
        self.snapshots.begin(stream)
    }

    fn publish(&self, manifest: &Manifest) -> Result<(), StoreError> {
        self.snapshots.publish(manifest)
    }

    fn abandon(&self) {
        self.snapshots.abandon();
    }

    fn bytes(&self) -> u64 {
        self.snapshots.bytes()
    }
}

#[test]
fn a_snapshot_that_fails_leaves_no_chunks_behind() {
    let store = varied().store();
    let mut odd = Odd::new(store.snapshots);
    odd.begins = Box::new(|stream| match stream {
        1 => Err(StoreError::Full {
            what: "begin a chunk".to_owned(),
        }),
        _ => Ok(()),
    });
    let snapshots = Arc::new(odd) as Arc<dyn SnapshotStore>;
    let store = Store::new(IDENTITY, store.journal, Arc::clone(&snapshots));
    let engine = settings().store(store).build(Arc::<Desk>::default());
    let before = snapshots.bytes();
    let failed = engine.unwrap().snapshot();
    assert!(
        matches!(failed, Err(SnapshotError::Store(StoreError::Full { .. }))),
        "{failed:?}"
    );
    assert_eq!(snapshots.bytes(), before);
}

#[test]
fn one_snapshot_is_taken_at_a_time() {
    let store = varied().store();
    let outer = Arc::<Mutex<Option<crate::sync::Weak<Engine>>>>::default();
    let mut odd = Odd::new(store.snapshots);
    let within = Arc::clone(&outer);
    odd.begins = Box::new(move |_| {
        let engine = within.lock().as_ref().and_then(crate::sync::Weak::upgrade);
        if let Some(engine) = engine {
            let second = engine.snapshot();
            assert!(matches!(second, Err(SnapshotError::Busy)), "{second:?}");
        }
        Ok(())
    });
    let store = Store::new(IDENTITY, store.journal, Arc::new(odd));
    let engine = settings().store(store).build(Arc::<Desk>::default());
    let engine = Arc::new(engine.unwrap());
    *outer.lock() = Some(Arc::downgrade(&engine));
    assert_eq!(engine.snapshot().unwrap().number, 1);
    assert_eq!(engine.snapshot().unwrap().number, 2);
}

/// The store, with the last chunk of some of its snapshots damaged: 0 is the newest.
fn damaged(memory: &MemoryStore, which: &[usize]) -> Store {
    let snapshots = memory.snapshots();
    let chunk = |&n: &usize| snapshots[n].chunks.last().unwrap().number;
    let store = memory.store();
    let mut odd = Odd::new(store.snapshots);
    odd.damaged = which.iter().map(chunk).collect();
    Store::new(IDENTITY, store.journal, Arc::new(odd))
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before() {
    let memory = varied();
    let engine = recover(&memory, &Arc::default());
    engine.snapshot().unwrap();
    engine.shards[0].lock().last_lsn += 1;
    engine.snapshot().unwrap();
    let before = seen(&engine);
    drop(engine);
    let build = |which: &[usize]| {
        let store = damaged(&memory, which);
        settings().store(store).build(Arc::<Desk>::default())
    };
    let engine = build(&[0]).unwrap();
    let report = engine.recovery().unwrap();
    assert_eq!(report.snapshot, Some(1));
    assert_eq!(
        report.snapshots_bad,
        ["snapshot 2: a chunk is damaged at byte 7: this: expected that"]
    );
    assert_eq!(seen(&engine), before);
    engine.check_invariants();
    drop(engine);
    // The journal does not reach back to the beginning any more.
    let error = build(&[0, 1]).unwrap_err();
    assert!(
        matches!(&error, BuildError::Store(StoreError::Damaged(_))),
        "{error}"
    );
}

#[test]
fn a_damaged_snapshot_is_no_loss_while_the_journal_is_whole() {
    let memory = varied();
    let engine = recover(&memory, &Arc::default());
    engine.snapshot().unwrap();
    let before = seen(&engine);
    drop(engine);
    let store = damaged(&memory, &[0]);
    let engine = settings().store(store).build(Arc::<Desk>::default());
    let engine = engine.unwrap();
    assert_eq!(engine.recovery().unwrap().snapshot, None);
    assert_eq!(seen(&engine), before);
}

/// A chunk of blocks that were seen at different moments, and a journal behind its position.
#[test]
fn an_end_is_counted_once_whatever_the_snapshot_saw() {
    let mut hand = Hand::new();
    hand.named(0, "AA0101").named(1, "BB");
    for number in 1..=4 {
        hand.request(Change::Accepted, plain(number, 50_000));
    }
    // Records 7 to 10.
    hand.ended(routed(1, 800)).ended(routed(2, 800));
    hand.ended(EndedImage {
        location: place(1),
        ..routed(3, 800)
    });
    hand.ended(routed(4, 800));
    let memory = hand.crash(None);
    let snapshots = memory.store().snapshots;
    let block = |as_of: u64, records: &[Record<'_>]| {
        let mut bytes = Vec::new();
        for record in records {
            encode(1, record, &mut bytes);
        }
        (Lsn(as_of), records.len() as u32, bytes)
    };
    let total = |location, count| Record::Totals {
        location: place(location),
        outcome: Outcome::Routed,
        why: Why::Plain,
        count,
    };
    // The walk began behind record 7, saw request 2 pending, and the totals of the first location behind record 8.
    let blocks = [
        block(7, &[Record::Request(Change::Seen, plain(2, 50_000))]),
        block(
            7,
            &[
                Record::Request(Change::Seen, plain(3, 50_000)),
                Record::Request(Change::Seen, plain(4, 50_000)),
            ],
        ),
        block(
            8,
            &[Record::Ended(routed(1, 800)), Record::Ended(routed(2, 800))],
        ),
        block(8, &[total(0, 2)]),
    ];
    let mut writer = snapshots.begin(1).unwrap();
    for (as_of, count, records) in &blocks {
        let block = ChunkBlock {
            as_of: *as_of,
            count: *count,
            records,
        };
        writer.put(&block).unwrap();
    }
    let chunk = writer.finish().unwrap();
    let mut control = snapshots.begin(0).unwrap();
    let mut names = Vec::new();
    for (index, name) in [(0, "AA0101"), (1, "BB")] {
        let location = place(index);
        encode(0, &Record::Named { location, name }, &mut names);
    }
    let names = ChunkBlock {
        as_of: Lsn(2),
        count: 2,
        records: &names,
    };
    control.put(&names).unwrap();
    let control = control.finish().unwrap();
    let manifest = Manifest {
        number: 1,
        epoch: 1,
        shards: 1,
        positions: Positions(vec![Lsn(7), Lsn(7)]),
        chunks: vec![control, chunk],
        next_intake: 5,
        last: Lsn(10),
        polled_until: None,
    };
    snapshots.publish(&manifest).unwrap();
    let engine = recover(&memory, &Arc::default());
    assert_eq!(engine.recovery().unwrap().snapshot, Some(1));
    assert_eq!((engine.pending(), routed_count(&engine)), (0, 4));
    assert_eq!(engine.recovery().unwrap().remembered, 4);
}
