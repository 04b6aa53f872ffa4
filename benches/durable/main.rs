//! What a store costs an engine, and what it gives back: printed as Markdown, not criterion's.
//!
//! 1. *Lives*: requests are taken in by batches, half of them cancelled, the others released, at a steady population,
//!    without a store and with one that is made durable every 5 ms; by turns, in one run.
//! 2. *Waiting*: callers that wait for the disk, alone and 64 at once, beside a bare loop that writes and syncs as much.
//! 3. *Bytes*: what an accepted request takes on disk, and what a day of lives writes.
//! 4. *Recovery*: from a snapshot, and from the journal alone.
//! 5. *Snapshots*: what a caller's calls take while one is taken, and while none is.
//!
//! ```text
//! cargo bench --bench durable
//! cargo bench --bench durable -- recovery
//! DUEWHEEL_DURABLE_RECOVERY=1000000 DUEWHEEL_DURABLE_DIR=/mnt/disk cargo bench --bench durable
//! ```
//!
//! Files are made below the build's folder for temporary files, or in `DUEWHEEL_DURABLE_DIR`, and removed. As with
//! criterion, `--test` or the lack of `--bench` asks for a short run that only shows that it works.

#[path = "../engine/centre.rs"]
mod centre;
mod counting;
mod folder;
#[path = "../engine/life.rs"]
mod life;
mod lives;
#[path = "../engine/places.rs"]
mod places;
mod recovery;
#[path = "../engine/release.rs"]
mod release;
mod snapshots;
#[path = "../engine/stopwatch.rs"]
mod stopwatch;
#[path = "../timing/mod.rs"]
mod timing;
mod waiting;

use timing::{Call, number};

/// How much of each is measured.
struct Sizes {
    /// Pending while lives go by.
    population: usize,
    /// Turns of each kind of engine.
    turns: usize,
    /// Seconds of each measurement of callers that wait.
    seconds_ms: usize,
    /// Recovered from a snapshot.
    from_snapshot: usize,
    /// Recovered from the journal.
    from_journal: usize,
    /// Pending while a snapshot is taken.
    snapshot: usize,
}

fn main() {
    let sizes = match Call::of("durable lives waiting bytes recovery snapshots") {
        Call::Measure => Sizes {
            population: number("DUEWHEEL_DURABLE_POPULATION", 1_000_000),
            turns: 7,
            seconds_ms: 4_000,
            from_snapshot: number("DUEWHEEL_DURABLE_RECOVERY", 10_000_000),
            from_journal: number("DUEWHEEL_DURABLE_REPLAY", 5_000_000),
            snapshot: number("DUEWHEEL_DURABLE_SNAPSHOT", 5_000_000),
        },
        Call::Try => Sizes {
            population: 4_000,
            turns: 1,
            seconds_ms: 50,
            from_snapshot: 10_000,
            from_journal: 10_000,
            snapshot: 10_000,
        },
        Call::Skip => return,
    };
    let named = |part: &str| {
        let mut names = std::env::args()
            .skip(1)
            .filter(|name| !name.starts_with('-'));
        names
            .next()
            .is_none_or(|name| part.contains(&*name) || name == "durable")
    };
    if named("lives") {
        lives::measure(sizes.population, sizes.turns);
    }
    if named("waiting") {
        waiting::measure(sizes.seconds_ms as u64);
    }
    if named("bytes") {
        lives::measure_bytes(sizes.population);
    }
    if named("recovery") {
        recovery::from_snapshot(sizes.from_snapshot);
        recovery::from_journal(sizes.from_journal);
    }
    if named("snapshots") {
        snapshots::measure(sizes.snapshot, sizes.seconds_ms as u64);
    }
}
