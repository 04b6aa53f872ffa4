//! Full lives at a steady population, without a store and with one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use duewheel::{Durability, Engine, EngineBuilder, FileOptions, Store};

use crate::centre::Centre;
use crate::counting::{CountingDisk, Counts};
use crate::folder::Folder;
use crate::life::Batches;
use crate::places::Spread;

/// How often what happened is made durable.
const INTERVAL: Duration = Duration::from_millis(5);

/// Time is virtual in the engine, which would make things durable by it; a thread does that by real time.
const NEVER: Durability = Durability::Interval(Duration::from_secs(u64::MAX / 1_000_000));

fn with_store(folder: &Folder, counts: &Arc<Counts>) -> EngineBuilder {
    let disk = Arc::new(CountingDisk::new(folder, counts));
    let store = Store::on_disk(disk, FileOptions::new()).expect("a new store");
    Engine::builder().store(store).durability(NEVER)
}

/// Does something while what happens in an engine is made durable every [`INTERVAL`].
fn every_interval<R>(engine: &Arc<Engine>, work: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(INTERVAL);
                engine.flush().expect("a disk that works");
            }
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    })
}

/// Lives a second without a store and with one, by turns.
pub(crate) fn measure(population: usize, turns: usize) {
    let (folder, counts) = (Folder::new("lives"), Arc::new(Counts::default()));
    let mut bare = Centre::with(Engine::builder(), population, Spread::Uniform);
    let mut kept = Centre::with(with_store(&folder, &counts), population, Spread::Uniform);
    let operations = Centre::operations(population) as f64;
    println!("# Lives in batches of 256, {population} pending, one caller\n");
    println!("| | thousand lives a second | of that without a store |");
    println!("|---|---|---|");
    for (name, workload) in [
        ("bare", Batches::BARE),
        ("with a payload of 128 bytes and a customer", Batches::LADEN),
    ] {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            without.push(operations / bare.iteration(&workload, 1).as_secs_f64());
            let engine = Arc::clone(kept.engine());
            let time = every_interval(&engine, || kept.iteration(&workload, 1));
            with.push(operations / time.as_secs_f64());
        }
        let (without, with) = (median(without), median(with));
        println!("| {name}, no store | {:.0} | |", without / 1e3);
        println!(
            "| {name}, durable every 5 ms | {:.0} | {:.2} |",
            with / 1e3,
            with / without
        );
    }
    println!();
}

/// Bytes on disk of what is accepted, and bytes written in a day of lives.
pub(crate) fn measure_bytes(population: usize) {
    let (folder, counts) = (Folder::new("bytes"), Arc::new(Counts::default()));
    let mut kept = Centre::with(with_store(&folder, &counts), population, Spread::Uniform);
    let engine = Arc::clone(kept.engine());
    engine.flush().expect("a disk that works");
    let (before, _) = counts.now();
    kept.grow(population / 2);
    engine.flush().expect("a disk that works");
    let (after, _) = counts.now();
    let accepted = (after - before) as f64 / (population / 2) as f64;

    let _ = engine.snapshot().expect("a disk that works");
    let operations = Centre::operations(population);
    let (before, _) = counts.now();
    let (mut lives, mut snapshots) = (0, 0);
    // As many lives as there are requests: by the steady population that is most of a day.
    while lives < population {
        let _ = every_interval(&engine, || kept.iteration(&Batches::BARE, 1));
        lives += operations;
        if lives * 4 / population > snapshots {
            let _ = engine.snapshot().expect("a disk that works");
            snapshots += 1;
        }
    }
    engine.flush().expect("a disk that works");
    let (after, _) = counts.now();
    let written = (after - before) as f64 / lives as f64;
    println!("# Bytes, {population} pending\n");
    println!("| | bytes |");
    println!("|---|---|");
    println!(
        "| written for an accepted request without payload and customer, in batches of 256 | {accepted:.1} |"
    );
    println!(
        "| written for a life (accepted, and cancelled or released and routed), {snapshots} snapshots of all among {lives} lives | {written:.1} |"
    );
    println!(
        "| the same by the bytes of its accepted record | {:.2} |",
        written / accepted
    );
    println!();
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
