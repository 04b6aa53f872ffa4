//! What the engine keeps of a pending request, in bytes, and which operations allocate: by an allocator that counts.
//!
//! The figures are printed (`cargo test --release --test engine_memory -- --nocapture`).

#![allow(unsafe_code)] // An allocator is an unsafe trait.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use duewheel::{
    Completion, Consultation, Disposition, DueRequest, Engine, InteractionRequest, Lease,
    LocationId, RequestId, Router, RoutingCommand, ScheduleData, Timestamp,
};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Bytes that a pending request may take, payload and customer apart, and the references to them.
const BYTES_MAX: f64 = 128.0;

const DAY: u64 = 86_400_000;
const BEGIN: u64 = 1_767_596_400_000; // 2026-01-05T09:00:00+02:00

// ---- the allocator ----

thread_local! {
    /// Of this thread alone: tests run beside each other.
    static COUNTED: Cell<Counted> = const { Cell::new(Counted { allocations: 0, bytes: 0 }) };
}

/// What was allocated, and what of that was not given back.
#[derive(Clone, Copy, Debug)]
struct Counted {
    allocations: u64,
    bytes: i64,
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(allocations: u64, bytes: i64) {
    let mut counted = COUNTED.get();
    counted.allocations += allocations;
    counted.bytes += bytes;
    COUNTED.set(counted);
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller keeps the contract, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller keeps the contract, which is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: the caller keeps the contract, which is passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, signed(size) - signed(layout.size()));
        // SAFETY: the caller keeps the contract, which is passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// What this thread allocates meanwhile.
fn counting<R>(work: impl FnOnce() -> R) -> (Counted, R) {
    let before = COUNTED.get();
    let result = work();
    let after = COUNTED.get();
    let counted = Counted {
        allocations: after.allocations - before.allocations,
        bytes: after.bytes - before.bytes,
    };
    (counted, result)
}

#[test]
fn the_allocator_counts() {
    let (made, block) = counting(|| vec![1_u8; 1_000]);
    assert_eq!((made.allocations, made.bytes), (1, 1_000));
    let (dropped, ()) = counting(|| drop(block));
    assert_eq!((dropped.allocations, dropped.bytes), (0, -1_000));
}

// ---- an engine ----

/// Routes at once, or accepts and keeps the lease.
#[derive(Default)]
struct Desk {
    accepts: AtomicBool,
    leases: Mutex<Vec<Lease>>,
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        if !self.accepts.load(Ordering::Relaxed) {
            return Disposition::Routed;
        }
        self.leases.lock().unwrap().push(command.lease);
        Disposition::Accepted {
            lease_for: Duration::from_secs(60 * 60),
        }
    }
}

/// An engine, its desk, and what is pending in it.
struct Centre {
    engine: Engine,
    desk: Arc<Desk>,
    locations: Vec<LocationId>,
    random: Pcg64Mcg,
    now: u64,
    next_id: u64,
    /// Ids and due times.
    pending: Vec<(RequestId, u64)>,
}

impl Centre {
    fn new(locations: usize, requests: usize, remembered: usize) -> Self {
        let desk = Arc::new(Desk::default());
        desk.leases.lock().unwrap().reserve(requests);
        let engine = Engine::builder()
            .remember(Duration::from_millis(DAY), remembered)
            .hash_key(7)
            .build(Arc::clone(&desk) as Arc<dyn Router>)
            .unwrap();
        let enter = |number| engine.directory().enter(&format!("L{number}")).unwrap();
        Self {
            locations: (0..locations).map(enter).collect(),
            engine,
            desk,
            random: Pcg64Mcg::seed_from_u64(1),
            now: BEGIN,
            next_id: 0,
            pending: Vec::with_capacity(requests),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn draw_schedule(&mut self) -> (ScheduleData, u64) {
        let due = self.now + self.random.random_range(1..=DAY);
        (ScheduleData::at(Timestamp::from_millis(due)), due)
    }

    /// A new request, which is to be pending.
    fn request(&mut self) -> InteractionRequest {
        self.next_id += 1;
        let id = RequestId::from(self.next_id);
        let (schedule, due) = self.draw_schedule();
        self.pending.push((id, due));
        let location = self.locations[self.random.random_range(0..self.locations.len())];
        InteractionRequest::new(id, location).with_schedule(schedule)
    }

    fn requests(&mut self, count: usize) -> Vec<InteractionRequest> {
        (0..count).map(|_| self.request()).collect()
    }

    /// Random pending requests, which are to end.
    fn victims(&mut self, count: usize) -> Vec<RequestId> {
        self.pending.shuffle(&mut self.random);
        let rest = self.pending.len() - count;
        self.pending.drain(rest..).map(|(id, _)| id).collect()
    }

    fn schedule(&self, requests: Vec<InteractionRequest>) {
        for request in requests {
            assert!(!self.engine.schedule(request, self.now()).unwrap().duplicate);
        }
    }

    fn cancel(&self, victims: &[RequestId]) {
        for &id in victims {
            assert!(!self.engine.cancel(id, self.now()).unwrap().already);
        }
    }

    /// Goes on to the time by which so many requests have fallen due.
    fn advance(&mut self, count: usize) {
        self.pending.sort_unstable_by_key(|&(_, due)| due);
        self.now = self.pending[count - 1].1;
        let now = self.now;
        self.pending.retain(|&(_, due)| due > now);
    }

    fn poll(&self) -> usize {
        let mut released = 0;
        loop {
            let poll = self.engine.poll(self.now(), 1_024).unwrap();
            released += poll.released;
            if !poll.more {
                return released;
            }
        }
    }
}

// ---- bytes ----

/// Pending requests of this test: enough that what is set aside ahead does not count.
const PENDING: usize = 1_000_000;

/// A thousand requests each: a page of the location book, some 200 bytes in each shard, is shared by them.
const LOCATIONS: usize = PENDING / 1_000;

/// Bytes that the engine takes a pending request, beside what `dress` allocates for it.
fn bytes_a_request(
    centre: &mut Centre,
    dress: impl Fn(InteractionRequest) -> InteractionRequest,
) -> f64 {
    let mut own = 0;
    let (counted, ()) = counting(|| {
        for _ in 0..PENDING {
            let request = centre.request();
            let (made, request) = counting(|| dress(request));
            own += made.bytes;
            let receipt = centre.engine.schedule(request, centre.now());
            assert!(!receipt.unwrap().duplicate);
        }
    });
    (counted.bytes - own) as f64 / PENDING as f64
}

#[test]
fn a_pending_request_takes_at_most_its_budget() {
    let new = || Centre::new(LOCATIONS, PENDING, PENDING);
    let mut centre = new();
    let bare = bytes_a_request(&mut centre, |request| request);

    // As many end and others take their place, in the memory that is there already: what grows is the
    // idempotency memory.
    let (counted, ()) = counting(|| {
        let victims: Vec<_> = std::mem::take(&mut centre.pending);
        for (id, _) in victims {
            centre.cancel(&[id]);
        }
    });
    let ended = (counted.bytes + signed(PENDING * size_of::<(RequestId, u64)>())) as f64;
    let ended = ended / PENDING as f64;

    let laden = bytes_a_request(&mut new(), |request| {
        let customer = request.id.to_string();
        request.with_payload([7; 100]).with_customer(customer)
    });
    println!(
        "{PENDING} pending, {LOCATIONS} locations: {bare:.1} bytes a pending request, {laden:.1} with payload and \
         customer (their own apart), {ended:.1} a remembered one"
    );
    let references = size_of::<Option<Arc<str>>>() + size_of::<Arc<[u8]>>();
    for (bytes, references) in [(bare, 0), (laden, references)] {
        let bytes_max = BYTES_MAX + references as f64;
        assert!(
            bytes <= bytes_max,
            "{bytes:.1} bytes a pending request: expected at most {bytes_max}"
        );
    }
}

// ---- allocations ----

/// Pending requests, and operations of each kind in a round.
const STEADY: usize = 20_000;
const OPERATIONS: usize = 10_000;

/// Rounds after which everything is as large as it will ever be.
const WARM_UP: usize = 20;

const BATCH: usize = 250;

/// Allocations of the operations of a round, by name.
type Allocations = Vec<(&'static str, u64)>;

/// Does so many of every operation, and ends with as many requests as there were.
fn round(centre: &mut Centre) -> Allocations {
    let mut allocations = Allocations::new();
    let mut note = |name, (counted, ()): (Counted, ())| {
        allocations.push((name, counted.allocations));
    };

    let victims = centre.victims(OPERATIONS);
    note("cancel", counting(|| centre.cancel(&victims)));
    let requests = centre.requests(OPERATIONS);
    note("schedule", counting(|| centre.schedule(requests)));

    centre.pending.shuffle(&mut centre.random);
    let changes: Vec<_> = (0..OPERATIONS)
        .map(|place| {
            let (schedule, due) = centre.draw_schedule();
            centre.pending[place].1 = due;
            (centre.pending[place].0, schedule)
        })
        .collect();
    let reschedule = || {
        for (id, schedule) in changes {
            let receipt = centre.engine.reschedule(id, schedule, None, centre.now());
            assert_eq!(receipt.unwrap().id, id);
        }
    };
    note("reschedule", counting(reschedule));
    let status = || {
        for &(id, due) in &centre.pending[..OPERATIONS] {
            let status = centre.engine.status(id).unwrap();
            assert_eq!(status.due, Timestamp::from_millis(due));
        }
    };
    note("status", counting(status));

    centre.advance(OPERATIONS);
    let poll = || assert!(centre.poll() >= OPERATIONS);
    note("poll that releases", counting(poll));
    let requests = centre.requests(STEADY - centre.pending.len());
    note(
        "schedule after releases",
        counting(|| centre.schedule(requests)),
    );

    centre.advance(OPERATIONS);
    centre.desk.accepts.store(true, Ordering::Relaxed);
    let poll = || assert!(centre.poll() >= OPERATIONS);
    note("poll that releases for leases", counting(poll));
    centre.desk.accepts.store(false, Ordering::Relaxed);
    let complete = || {
        for lease in centre.desk.leases.lock().unwrap().drain(..) {
            let completed = centre
                .engine
                .complete(&lease, Completion::Routed, centre.now());
            assert!(completed.is_ok());
        }
    };
    note("complete", counting(complete));

    let hold_and_resume = || {
        // They look at all that the location holds.
        for number in 0..OPERATIONS / 100 {
            let location = centre.locations[number % centre.locations.len()];
            centre.engine.hold(location, centre.now()).unwrap();
            let resumed = centre.engine.resume(location, None, centre.now());
            assert_eq!(resumed.unwrap().held, 0);
        }
    };
    note("hold and resume", counting(hold_and_resume));

    let missing = STEADY - centre.pending.len();
    let batches: Vec<_> = (0..missing.div_ceil(BATCH))
        .map(|batch| centre.requests(BATCH.min(missing - batch * BATCH)))
        .collect();
    let calls = batches.len() as u64;
    let (counted, ()) = counting(|| {
        for requests in batches {
            let receipts = centre.engine.schedule_batch(requests, centre.now());
            assert!(receipts.iter().all(Result::is_ok));
        }
    });
    // Each call has its answer to allocate.
    let beside_answers = counted.allocations.saturating_sub(calls);
    allocations.push(("schedule_batch, beside its answer", beside_answers));
    assert_eq!(centre.engine.pending(), STEADY);
    allocations
}

#[test]
fn no_operation_allocates_in_the_steady_state() {
    if cfg!(any(feature = "tracing", feature = "metrics")) {
        // What is told is noted down first, which takes memory: the promise is of an engine that tells nothing.
        return;
    }
    let mut centre = Centre::new(10, 2 * STEADY, STEADY / 2);
    let requests = centre.requests(STEADY);
    centre.schedule(requests);
    for _ in 0..WARM_UP {
        round(&mut centre);
    }
    let allocations = round(&mut centre);
    println!("allocations in a round of {OPERATIONS} operations each: {allocations:?}");
    let allocating: Vec<_> = allocations
        .iter()
        .filter(|&&(_, count)| count > 0)
        .collect();
    assert!(allocating.is_empty(), "{allocating:?} allocate");
}
