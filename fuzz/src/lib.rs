//! What the fuzz targets do with their input, for the targets and for the replay of inputs without
//! a fuzzer.
//!
//! Operations, model and comparison are those of the model tests; worlds are those of the simulation; records are
//! compared by the crate itself; files lie on the simulated disk.

// It has no tests, and its operations derive `Arbitrary` only outside of tests.
#![cfg(not(test))]

#[path = "../../tests/wheel_model/mod.rs"]
pub mod wheel_model;

// The simulation's modules, where they look for each other. What only its seeds need is left unused here.
#[path = "../../tests/simulation/calls.rs"]
mod calls;
#[path = "../../tests/simulation/clients.rs"]
mod clients;
#[path = "../../tests/simulation/desk.rs"]
mod desk;
#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../../tests/simulation/dice.rs"]
mod dice;
#[path = "../../tests/disk/mod.rs"]
mod disk;
#[path = "../../tests/simulation/follower.rs"]
mod follower;
#[path = "../../tests/simulation/ledger.rs"]
mod ledger;
#[path = "../../tests/model/mod.rs"]
mod model;
#[path = "../../tests/simulation/requests.rs"]
mod requests;
#[path = "../../tests/simulation/trace.rs"]
mod trace;
#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../../tests/simulation/world.rs"]
mod world;

/// Engines with a store on the simulated disk.
#[path = "../../tests/lives"]
mod lives {
    mod ledger;
    #[allow(dead_code, reason = "shared by path; not all of it is used here")]
    pub(crate) mod world;
}
mod recovery;
mod snapshots;

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use duewheel::{Frame, Lsn};

use trace::Trace;
use wheel_model::{Anywhere, Moment, Near, Operation, Pair, Present};

/// Longest script; longer ones find nothing that these do not, and slowly.
const OPERATIONS_MAX: usize = 200;

/// Where a wheel starts, and what is done to it.
#[derive(Debug)]
pub struct Script<M> {
    start: M,
    operations: Vec<Operation<M>>,
}

/// By hand, as it would be read as a `Vec` with a bit before each operation that says whether there is
/// one: scripts from bytes that are drawn or changed at random would end after a few.
impl<'a, M: Arbitrary<'a>> Arbitrary<'a> for Script<M> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let start = u.arbitrary()?;
        let mut operations = Vec::new();
        while !u.is_empty() && operations.len() < OPERATIONS_MAX {
            operations.push(u.arbitrary()?);
        }
        Ok(Self { start, operations })
    }
}

/// The script of `wheel_ops`: any operations, at any ticks.
pub type WheelOps = Script<Anywhere>;

/// The script of `wheel_far`: the same operations, at ticks where digits carry.
pub type WheelFar = Script<Near>;

/// What a script came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Operations done.
    pub operations: usize,
    /// What else the target counts.
    pub counted: usize,
}

impl<M: Moment> Script<M> {
    /// Does the script on a wheel and its model; panics where they part.
    pub fn run(&self) -> Outcome {
        let mut pair = Pair::starting_at(self.start.tick(Present::default()));
        for operation in &self.operations {
            pair.apply(operation);
            pair.check();
        }
        pair.advance(u64::MAX, usize::MAX);
        pair.check();
        assert_eq!(pair.pending(), 0);
        Outcome {
            operations: self.operations.len(),
            counted: pair.resumed(),
        }
    }
}

/// A fuzz target, without the fuzzer.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder of its inputs.
    pub name: &'static str,
    /// What it counts beside operations.
    pub counts: &'static str,
    /// Runs one input, read as the fuzzer reads it; nothing where the bytes make no script.
    pub run: fn(&[u8]) -> Option<Outcome>,
    /// The script of an input, to read.
    pub show: fn(&[u8]) -> Option<String>,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "wheel_ops",
        counts: "advances went on with an unfinished tick",
        run: run::<Anywhere>,
        show: show::<Anywhere>,
    },
    Target {
        name: "wheel_far",
        counts: "advances went on with an unfinished tick",
        run: run::<Near>,
        show: show::<Near>,
    },
    Target {
        name: "engine_worlds",
        counts: "commands",
        run: |input| Some(engine_world(input)),
        show: |input| {
            let trace = Trace::default();
            // Where it fails, what happened until then is all the more to be shown.
            let _ = std::panic::catch_unwind(|| world(input, trace.clone()).live());
            Some(trace.text())
        },
    },
    Target {
        name: "snapshot_decode",
        counts: "of them were what they stood for",
        run: |input| Some(snapshot_decode(input)),
        show: |input| Some(format!("{input:02x?}")),
    },
    Target {
        name: "frame_decode",
        counts: "bytes read",
        run: |input| Some(frame_decode(input)),
        show: |input| {
            let records = frame(input).views();
            Some(records.map(|record| format!("{record:#?}\n")).collect())
        },
    },
    Target {
        name: "engine_crash",
        counts: "commands",
        run: |input| Some(engine_crash(input)),
        show: |_| None,
    },
    Target {
        name: "recovery",
        counts: "stores opened",
        run: |input| Some(recover(input)),
        show: |_| None,
    },
];

/// Lives the lives of an engine with a store whose throws are these bytes; panics where a promise is broken.
pub fn engine_crash(input: &[u8]) -> Outcome {
    let (everybody, router) = input.split_at(input.len() / 8 * 7);
    let lived = lives::world::World::scripted(everybody, router).live();
    let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
    Outcome {
        operations: count(lived.events),
        counted: count(lived.commands),
    }
}

/// Opens a store of these bytes; panics where it is opened and something is lost in silence.
pub fn recover(input: &[u8]) -> Outcome {
    recovery::recover(input)
}

/// Reads the bytes as the records of a frame; panics where one is written otherwise than it was read.
pub fn frame_decode(input: &[u8]) -> Outcome {
    // What a tool shows of them is there for whatever is read.
    let shown = frame(input).views().filter(Result::is_ok).count();
    let read = duewheel::check_records(input);
    assert_eq!(read, shown);
    Outcome {
        operations: read,
        counted: input.len(),
    }
}

fn frame(records: &[u8]) -> Frame<'_> {
    Frame {
        base: Lsn(1),
        count: 0,
        epoch: 1,
        synced: Lsn(0),
        polled_until: None,
        closing: false,
        records,
    }
}

/// Reads these bytes as a part of a snapshot; panics where something comes of them that was not written.
pub fn snapshot_decode(input: &[u8]) -> Outcome {
    snapshots::decode(input)
}

/// Lives a world whose throws are these bytes; panics where the engine breaks a promise, or parts from its model.
pub fn engine_world(input: &[u8]) -> Outcome {
    let lived = world(input, Trace::default()).live();
    let count = |count| usize::try_from(count).unwrap_or(usize::MAX);
    Outcome {
        operations: count(lived.events),
        counted: count(lived.commands),
    }
}

/// A quarter of the bytes is the router's, what comes before everybody else's.
fn world(input: &[u8], trace: Trace) -> world::World {
    let (everybody, router) = input.split_at(input.len() / 4 * 3);
    world::World::scripted(everybody, router, trace)
}

fn run<M: Moment + for<'a> Arbitrary<'a>>(input: &[u8]) -> Option<Outcome> {
    Some(script::<M>(input)?.run())
}

fn show<M: Debug + for<'a> Arbitrary<'a>>(input: &[u8]) -> Option<String> {
    Some(format!("{:#?}", script::<M>(input)?))
}

fn script<M: for<'a> Arbitrary<'a>>(input: &[u8]) -> Option<Script<M>> {
    Script::arbitrary(&mut Unstructured::new(input)).ok()
}
