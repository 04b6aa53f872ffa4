//! Recovery from stores whose content is written by hand, record by record.

mod doubt;
mod hostile;
mod journal;
mod shards;
mod snapshots;

use std::time::Duration;

use crate::engine::{BuildError, Engine, EngineBuilder};
use crate::ids::{LocationId, Media, Priority, RequestId, Timestamp};
use crate::lifecycle::{Outcome, Why};
use crate::persistence::record::{
    Change, Contents, CourseImage, EndedImage, Record, RequestImage, ScheduleImage, encode,
};
use crate::persistence::{Durability, Frame, Journal, Lsn, MemoryStore, Positions, StoreIdentity};
use crate::router::{Disposition, DueRequest, Router, RoutingCommand};
use crate::schedule::Consultation;
use crate::sync::{Arc, Mutex};

const IDENTITY: StoreIdentity = StoreIdentity {
    uuid: 1,
    hash_key: 0x5eed,
};

/// Remembers what it was told, and answers what it was told to.
#[derive(Default)]
pub(super) struct Desk {
    commands: Mutex<Vec<RoutingCommand>>,
    answer: Mutex<Option<Disposition>>,
}

impl Desk {
    fn answering(answer: Disposition) -> Arc<Self> {
        let desk = Self::default();
        *desk.answer.lock() = Some(answer);
        Arc::new(desk)
    }

    /// One that says later how it went.
    fn accepting() -> Arc<Self> {
        Self::answering(Disposition::Accepted {
            lease_for: Duration::from_secs(60),
        })
    }

    fn take(&self) -> Vec<RoutingCommand> {
        std::mem::take(&mut *self.commands.lock())
    }

    /// The ids of what came since the last look, in order.
    fn ids(&self) -> Vec<u128> {
        let commands = self.take();
        commands.iter().map(|command| command.id.value()).collect()
    }
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        self.commands.lock().push(command);
        let answer = self.answer.lock().clone();
        answer.unwrap_or(Disposition::Routed)
    }
}

pub(super) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn place(index: u32) -> LocationId {
    LocationId::from_index(index)
}

fn id(number: u32) -> RequestId {
    RequestId::from(u64::from(number))
}

/// A store, and a hand that writes its journal as an engine would.
struct Hand {
    memory: MemoryStore,
    journal: Arc<dyn Journal>,
    next: u64,
    bytes: Vec<u8>,
    count: u32,
}

impl Hand {
    fn new() -> Self {
        Self::on(MemoryStore::new(IDENTITY), 1, 1)
    }

    /// A writer of this epoch, whose first record has this number.
    fn on(memory: MemoryStore, epoch: u32, next: u64) -> Self {
        let journal = memory.store().journal;
        journal
            .replay(&Positions::default(), &mut |_| Ok(()))
            .unwrap();
        journal.begin(epoch, Lsn(next)).unwrap();
        Self {
            memory,
            journal,
            next,
            bytes: Vec::new(),
            count: 0,
        }
    }

    fn record(&mut self, stream: u16, record: &Record<'_>) -> &mut Self {
        encode(stream, record, &mut self.bytes);
        self.count += 1;
        self
    }

    fn opened(&mut self, shards: u32, durability: Durability) -> &mut Self {
        let record = Record::Opened {
            epoch: 1,
            shards,
            durability,
            next_intake: 1,
        };
        self.record(0, &record)
    }

    fn named(&mut self, index: u32, name: &str) -> &mut Self {
        let location = place(index);
        self.record(0, &Record::Named { location, name })
    }

    fn request(&mut self, change: Change, image: RequestImage<'_>) -> &mut Self {
        self.record(1, &Record::Request(change, image))
    }

    fn ended(&mut self, image: EndedImage) -> &mut Self {
        self.record(1, &Record::Ended(image))
    }

    /// Writes what was recorded as one frame.
    fn write(&mut self, polled_until: Option<u64>, closing: bool) -> &mut Self {
        let frame = Frame {
            base: Lsn(self.next),
            count: self.count,
            epoch: 1,
            synced: Lsn(self.next - 1),
            polled_until: polled_until.map(at),
            closing,
            records: &self.bytes,
        };
        let last = self.journal.append(&frame).unwrap();
        self.journal.wait_durable(last).unwrap();
        self.next += u64::from(self.count);
        self.count = 0;
        self.bytes.clear();
        self
    }

    /// Writes what was recorded and leaves the store as a process that is killed does.
    fn crash(&mut self, polled_until: Option<u64>) -> MemoryStore {
        self.write(polled_until, false);
        self.memory.clone()
    }

    /// Writes what was recorded and closes the store in good order.
    fn close(&mut self, polled_until: Option<u64>) -> MemoryStore {
        self.write(polled_until, true);
        self.memory.clone()
    }
}

fn settings() -> EngineBuilder {
    Engine::builder().shards(1)
}

fn recover(memory: &MemoryStore, desk: &Arc<Desk>) -> Engine {
    try_recover(settings(), memory, desk).unwrap()
}

fn try_recover(
    settings: EngineBuilder,
    memory: &MemoryStore,
    desk: &Arc<Desk>,
) -> Result<Engine, BuildError> {
    let engine = settings
        .store(memory.store())
        .build(Arc::clone(desk) as Arc<dyn Router>)?;
    engine.check_invariants();
    Ok(engine)
}

/// A plain request for this time, just taken in.
fn plain(number: u32, due: u64) -> RequestImage<'static> {
    RequestImage {
        id: id(number),
        fingerprint: 7,
        location: place(0),
        media: Media::Voice,
        priority: Priority::default(),
        flags: 0,
        in_flight: false,
        due: at(due),
        intake: u64::from(number),
        schedule: ScheduleImage::Plain(0),
        course: None,
        contents: Contents::Given {
            customer: Some("someone"),
            payload: b"something",
        },
    }
}

/// Its first attempt was released when it was due, after so many redeliveries.
fn released(number: u32, due: u64, redeliveries: u32) -> RequestImage<'static> {
    RequestImage {
        // Judged, examined, its condition held.
        flags: 2 | 4 | 8,
        in_flight: true,
        course: Some(CourseImage {
            accepted: at(0),
            eligible: at(due),
            revision: 1,
            attempts: 1,
            attempts_before: 0,
            open_attempt: 0,
            step: 0,
            redeliveries,
        }),
        contents: Contents::Kept,
        ..plain(number, due)
    }
}

fn routed(number: u32, ended: u64) -> EndedImage {
    EndedImage {
        id: id(number),
        fingerprint: 7,
        intake: u64::from(number),
        location: place(0),
        due: at(0),
        ended: at(ended),
        attempts: 1,
        revision: 1,
        outcome: Outcome::Routed,
        why: Why::Plain,
    }
}

/// How many requests of the first location ended as routed, by the report.
fn routed_count(engine: &Engine) -> u64 {
    engine.report(at(0)).outcomes[&Outcome::Routed]
}
