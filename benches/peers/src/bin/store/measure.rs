//! Times one workload in a fresh directory.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::disk;
use crate::peer::{Answer, DurablePeer};
use crate::request::{self, BYTES, DAY, Due, Request, Sum};
use crate::workload::{Figure, Workload};

/// Figures of one run, in their units.
pub(crate) type Figures = Vec<(Figure, f64)>;

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Requests of S1, S1i, S1n and S3.
    pub(crate) requests: usize,
    /// Requests of S2 and S4.
    pub(crate) stored: usize,
    /// The batches of S1, S1i or S1n.
    pub(crate) batches: Vec<usize>,
    /// The batch in which S2, S3 and S4 are filled.
    pub(crate) fill: usize,
    /// The batch of S3.
    pub(crate) cancels: usize,
    /// The steps of S2, in milliseconds.
    pub(crate) step: u64,
    /// How often S1i is to be durable.
    pub(crate) interval: Duration,
}

/// Runs a workload once in an empty directory; S4, in one that [`fill`] has filled.
///
/// # Errors
/// What the peer says, and what it does otherwise than it should.
pub(crate) fn measure<P: DurablePeer>(
    workload: Workload,
    sizes: &Sizes,
    directory: &Path,
) -> Answer<Figures> {
    match workload {
        Workload::S1 | Workload::S1i | Workload::S1n => schedule::<P>(workload, sizes, directory),
        Workload::S2 => release::<P>(sizes, directory),
        Workload::S3 => cancel::<P>(sizes, directory),
        Workload::S4 => recover::<P>(sizes, directory),
    }
}

/// Schedules what S4 will find, and calls `then` with all of it durable and the peer not closed.
///
/// # Errors
/// What the peer says.
pub(crate) fn fill<P: DurablePeer>(
    sizes: &Sizes,
    directory: &Path,
    then: fn() -> Answer<()>,
) -> Answer<()> {
    let requests = request::requests(sizes.stored);
    let mut peer = open::<P>(Workload::S4, sizes, directory)?;
    schedule_all(&mut peer, &requests, sizes.fill)?;
    then()
}

fn schedule<P: DurablePeer>(
    workload: Workload,
    sizes: &Sizes,
    directory: &Path,
) -> Answer<Figures> {
    let &[batch] = &sizes.batches[..] else {
        return Err("a directory is for one size of batches".into());
    };
    let requests = request::requests(sizes.requests);
    let mut peer = open::<P>(workload, sizes, directory)?;
    let start = Instant::now();
    schedule_all(&mut peer, &requests, batch)?;
    peer.flush()?;
    let time = microseconds_each(start.elapsed(), requests.len());
    Ok(vec![(Figure::Schedule { workload, batch }, time)])
}

fn release<P: DurablePeer>(sizes: &Sizes, directory: &Path) -> Answer<Figures> {
    let requests = request::requests(sizes.stored);
    let written_before = disk::written()?;
    let mut peer = open::<P>(Workload::S2, sizes, directory)?;
    schedule_all(&mut peer, &requests, sizes.fill)?;
    peer.flush()?;
    let kept = disk::kept(directory)?;
    let written_scheduling = disk::written()?;

    let mut sum = Sum::default();
    let mut last = 0;
    let mut is_ordered = true;
    let steps = DAY.div_ceil(sizes.step);
    let start = Instant::now();
    for step in 1..=steps {
        let now = step * sizes.step;
        peer.release(now, |request| {
            is_ordered &= last <= request.due && request.due <= now;
            last = request.due;
            sum.add(&request);
        })?;
    }
    peer.flush()?;
    let time = microseconds_each(start.elapsed(), requests.len());
    let written_releasing = disk::written()?;
    expect(is_ordered, "released in order of due time, and none early")?;
    if P::IS_FLOOR {
        expect(sum.count == requests.len(), "all released")?;
    } else {
        expect(sum == Sum::of(&requests), "all released as they came in")?;
    }
    let each = |bytes: u64| bytes as f64 / requests.len() as f64;
    let written = written_releasing - written_before;
    Ok(vec![
        (Figure::Release, time),
        (Figure::Disk, each(kept)),
        (
            Figure::WrittenScheduling,
            each(written_scheduling - written_before),
        ),
        (
            Figure::WrittenReleasing,
            each(written_releasing - written_scheduling),
        ),
        (Figure::Amplification, each(written) / BYTES as f64),
    ])
}

fn cancel<P: DurablePeer>(sizes: &Sizes, directory: &Path) -> Answer<Figures> {
    let requests = request::requests(sizes.requests);
    let ids = request::shuffled_ids(&requests);
    let mut peer = open::<P>(Workload::S3, sizes, directory)?;
    schedule_all(&mut peer, &requests, sizes.fill)?;
    peer.flush()?;
    let mut cancelled = 0;
    let start = Instant::now();
    for ids in ids.chunks(sizes.cancels) {
        cancelled += peer.cancel(ids)?;
    }
    peer.flush()?;
    let time = microseconds_each(start.elapsed(), ids.len());
    expect(cancelled == ids.len(), "all cancelled")?;
    Ok(vec![(Figure::Cancel, time)])
}

fn recover<P: DurablePeer>(sizes: &Sizes, directory: &Path) -> Answer<Figures> {
    let requests = request::requests(sizes.stored);
    // Written to before anything is timed: its pages are not the peer's.
    let mut held: Vec<(u64, u128, u32, Box<[u8]>)> = Vec::new();
    held.resize_with(sizes.stored, Default::default);
    held.clear();

    let start = Instant::now();
    let mut peer = open::<P>(Workload::S4, sizes, directory)?;
    let first = peer.first_due()?;
    let first_after = start.elapsed();
    let count = peer.load(|request| {
        held.push((
            request.due,
            request.id,
            request.location,
            request.payload.into(),
        ));
    })?;
    let all_after = start.elapsed();

    let earliest = requests.iter().map(|request| request.due).min();
    expect(first == earliest, "the first due request is found")?;
    expect(count == requests.len(), "all requests were recovered")?;
    let mut sum = Sum::default();
    if held.is_empty() {
        peer.release(DAY, |request| sum.add(&request))?;
    }
    expect(held.is_sorted_by_key(|&(due, ..)| due), "loaded in order")?;
    for &(due, id, location, ref payload) in &held {
        let payload = &payload[..];
        sum.add(&Due {
            id,
            location,
            due,
            payload,
        });
    }
    expect(sum == Sum::of(&requests), "recovered as they came in")?;
    Ok(vec![
        (Figure::FirstDue, milliseconds(first_after)),
        (Figure::Load, milliseconds(all_after)),
    ])
}

fn open<P: DurablePeer>(workload: Workload, sizes: &Sizes, directory: &Path) -> Answer<P> {
    P::open(directory, workload.promise(sizes.interval))
}

fn schedule_all<P: DurablePeer>(peer: &mut P, requests: &[Request], batch: usize) -> Answer<()> {
    let mut taken = 0;
    for batch in requests.chunks(batch) {
        taken += peer.schedule(batch)?;
    }
    expect(taken == requests.len(), "all taken in")
}

fn expect(holds: bool, what: &str) -> Answer<()> {
    if holds {
        Ok(())
    } else {
        Err(format!("expected: {what}").into())
    }
}

fn microseconds_each(time: Duration, operations: usize) -> f64 {
    time.as_secs_f64() * 1e6 / operations as f64
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
