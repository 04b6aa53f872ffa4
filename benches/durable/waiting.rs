//! Callers that wait until their request is on disk, beside a bare loop that writes and syncs.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{
    DirectoryDisk, Disk, Durability, Engine, FileOptions, InteractionRequest, OpenMode,
    ScheduleData, Store, Timestamp,
};
use hdrhistogram::Histogram;

use crate::counting::{CountingDisk, Counts};
use crate::folder::Folder;
use crate::recovery::Nobody;

const CALLERS: usize = 64;

/// Bytes set aside for the bare loop at a time, as for a segment of a journal.
const SEGMENT: u64 = 64 << 20;

/// How many turns each has.
const TURNS: u64 = 8;

/// A file that is written to and synced, as a journal is.
struct Bare {
    file: std::fs::File,
    at: u64,
}

impl Bare {
    fn new(folder: &Folder) -> Self {
        let disk = DirectoryDisk::open(folder.path()).expect("a new directory");
        let made = disk.open("bare", OpenMode::Create).expect("a new file");
        made.allocate(SEGMENT).expect("room");
        made.sync().expect("a disk that works");
        disk.sync_directory().expect("a disk that works");
        let options = std::fs::OpenOptions::new()
            .write(true)
            .open(folder.path().join("bare"));
        Self {
            file: options.expect("the file just made"),
            at: 0,
        }
    }

    /// Writes so many bytes behind the others, and syncs.
    fn append(&mut self, bytes: &[u8]) {
        if self.at + bytes.len() as u64 > SEGMENT {
            self.at = 0;
        }
        self.file.write_all_at(bytes, self.at).expect("room");
        self.file.sync_data().expect("a disk that works");
        self.at += bytes.len() as u64;
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}

fn request(number: u64, engine: &Engine) -> InteractionRequest {
    let location = engine.directory().enter("AA0101").expect("a name");
    let due = Timestamp::from_millis(1_800_000_000_000 + number % 86_400_000);
    InteractionRequest::new(number.into(), location).with_schedule(ScheduleData::at(due))
}

/// A lone caller and many at once.
pub(crate) fn measure(span_ms: u64) {
    let folder = Folder::new("waiting");
    let bare_folder = Folder::new("bare");
    let counts = Arc::new(Counts::default());
    let disk = Arc::new(CountingDisk::new(&folder, &counts));
    let store = Store::on_disk(disk, FileOptions::new()).expect("a new store");
    let engine = Engine::builder().store(store).durability(Durability::Sync);
    let engine = engine.build(Arc::new(Nobody)).expect("a new store");
    let now = Timestamp::from_millis(1_767_596_400_000);
    let next = AtomicU64::new(0);
    let turn = Duration::from_millis(span_ms / TURNS);
    let mut bare = Bare::new(&bare_folder);

    let (mut alone, mut floor) = (histogram(), histogram());
    for _ in 0..TURNS {
        timed(turn, &mut floor, || bare.append(&[1; 512]));
        timed(turn, &mut alone, || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let taken = engine.schedule(request(number, &engine), now);
            assert!(taken.is_ok());
        });
    }
    println!("# Waiting for the disk\n");
    println!("One caller, microseconds a call, by turns:\n");
    println!("| | p50 | p99 | calls |");
    println!("|---|---|---|---|");
    row("write 512 bytes and sync, bare", &floor);
    row("schedule, durable when it returns", &alone);
    println!(
        "\nThe p50 is {:.2} times the bare one.\n",
        alone.value_at_quantile(0.5) as f64 / floor.value_at_quantile(0.5) as f64
    );

    let (mut calls, mut syncs, mut written, mut time) = (0, 0, 0, Duration::ZERO);
    let (mut bare_syncs, mut bare_time) = (0_u64, Duration::ZERO);
    let mut latencies = histogram();
    let mut frame = vec![1; 4096];
    for _ in 0..TURNS {
        let begin = Instant::now();
        while begin.elapsed() < turn {
            bare.append(&frame);
            bare_syncs += 1;
        }
        bare_time += begin.elapsed();

        let (written_before, syncs_before) = counts.now();
        let begin = Instant::now();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut latencies = histogram();
                        while !stop.load(Ordering::Relaxed) {
                            let number = next.fetch_add(1, Ordering::Relaxed);
                            let begin = Instant::now();
                            let taken = engine.schedule(request(number, &engine), now);
                            latencies.saturating_record(begin.elapsed().as_nanos() as u64);
                            assert!(taken.is_ok());
                        }
                        latencies
                    })
                })
                .collect();
            thread::sleep(turn);
            stop.store(true, Ordering::Relaxed);
            for caller in callers {
                let own = caller.join().expect("no panic");
                calls += own.len();
                latencies.add(own).expect("equal bounds");
            }
        });
        time += begin.elapsed();
        let (written_after, syncs_after) = counts.now();
        syncs += syncs_after - syncs_before;
        written += written_after - written_before;
        // The bare loop writes as much a sync as the journal did.
        frame.resize(((written / syncs.max(1)) as usize).clamp(512, 1 << 20), 1);
    }
    let rate = calls as f64 / time.as_secs_f64();
    let bare_rate = bare_syncs as f64 / bare_time.as_secs_f64();
    let batch = calls as f64 / syncs as f64;
    println!("{CALLERS} callers:\n");
    println!("| | |");
    println!("|---|---|");
    println!(
        "| bare loop, {} bytes a sync: syncs a second | {bare_rate:.0} |",
        frame.len()
    );
    println!("| requests a second, each durable when its call returns | {rate:.0} |");
    println!(
        "| syncs a second | {:.0} |",
        syncs as f64 / time.as_secs_f64()
    );
    println!("| requests a sync | {batch:.1} |");
    println!(
        "| the bare rate times the requests a sync, by the requests a second | {:.2} |",
        bare_rate * batch / rate
    );
    println!(
        "| the bare rate times {CALLERS}, by the requests a second | {:.2} |",
        bare_rate * CALLERS as f64 / rate
    );
    println!(
        "| microseconds a call, p50 and p99 | {} and {} |\n",
        latencies.value_at_quantile(0.5) / 1_000,
        latencies.value_at_quantile(0.99) / 1_000
    );
}

fn timed(span: Duration, histogram: &mut Histogram<u64>, mut work: impl FnMut()) {
    let begin = Instant::now();
    while begin.elapsed() < span {
        let begin = Instant::now();
        work();
        histogram.saturating_record(begin.elapsed().as_nanos() as u64);
    }
}

fn row(name: &str, histogram: &Histogram<u64>) {
    println!(
        "| {name} | {:.0} | {:.0} | {} |",
        histogram.value_at_quantile(0.5) as f64 / 1e3,
        histogram.value_at_quantile(0.99) as f64 / 1e3,
        histogram.len()
    );
}
