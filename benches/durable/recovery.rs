//! How long it takes to read a store back.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{
    Consultation, Disposition, DueRequest, Durability, Engine, FileOptions, InteractionRequest,
    Router, RoutingCommand, ScheduleData, Store, Timestamp,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::folder::Folder;
use crate::places::{Places, Spread};

const BATCH: usize = 256;
const DAY: u64 = 86_400_000;
const BEGIN: u64 = 1_767_596_400_000;

/// How often each is read back.
const TURNS: usize = 3;

/// Takes what comes.
pub(crate) struct Nobody;

impl Router for Nobody {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        Disposition::Routed
    }
}

pub(crate) fn open(folder: &Folder, requests: usize) -> Engine {
    let store = Store::open(folder.path(), FileOptions::new()).expect("a store");
    let engine = Engine::builder()
        .store(store)
        // The caller of the snapshots takes in more than it cancels.
        .max_pending(2 * requests + 5_000_000)
        .durability(Durability::Interval(Duration::from_millis(5)));
    engine
        .build(Arc::new(Nobody))
        .expect("a store that is whole")
}

/// Takes in so many requests, due within a day, at ten thousand locations.
pub(crate) fn fill(engine: &Engine, requests: usize) {
    let places = Places::new(engine, Spread::Uniform);
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let now = Timestamp::from_millis(BEGIN);
    for first in (0..requests).step_by(BATCH) {
        let batch = (first..requests.min(first + BATCH)).map(|number| {
            let due = BEGIN + random.random_range(1..=DAY);
            let location = places.draw(&mut random);
            let schedule = ScheduleData::at(Timestamp::from_millis(due));
            InteractionRequest::new((number as u64).into(), location).with_schedule(schedule)
        });
        let taken = engine.schedule_batch(batch.collect(), now);
        assert!(taken.iter().all(Result::is_ok));
    }
}

/// Of so many requests that are all in a snapshot.
pub(crate) fn from_snapshot(requests: usize) {
    let folder = Folder::new("from-snapshot");
    let engine = open(&folder, requests);
    fill(&engine, requests);
    let begin = Instant::now();
    let snapshot = engine.snapshot().expect("a disk that works");
    let taken = begin.elapsed();
    engine.seal().expect("a disk that works");
    drop(engine);
    println!("# Recovery\n");
    println!(
        "A snapshot of {requests} requests: {} bytes, taken in {:.2} s.\n",
        snapshot.bytes,
        taken.as_secs_f64()
    );
    read_back(&folder, requests, "snapshot");
}

/// Of so many requests that are all in the journal.
pub(crate) fn from_journal(requests: usize) {
    let folder = Folder::new("from-journal");
    let engine = open(&folder, requests);
    fill(&engine, requests);
    engine.seal().expect("a disk that works");
    drop(engine);
    read_back(&folder, requests, "journal");
}

fn read_back(folder: &Folder, requests: usize, from: &str) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let begin = Instant::now();
        let engine = open(folder, requests);
        times.push(begin.elapsed());
        assert_eq!(engine.pending(), requests);
        let report = engine.recovery().expect("it has a store");
        println!(
            "- {:.2} s: snapshot {:.2} s, journal {:.2} s ({} records)",
            times[times.len() - 1].as_secs_f64(),
            report.snapshot_time.as_secs_f64(),
            report.journal_time.as_secs_f64(),
            report.journal_records
        );
    }
    times.sort_unstable();
    let median = times[times.len() / 2].as_secs_f64();
    println!(
        "\n{requests} requests from the {from} on {cores} cores: median {median:.2} s, {:.2} million a second, {:.2} a core.\n",
        requests as f64 / median / 1e6,
        requests as f64 / median / 1e6 / cores as f64
    );
}
