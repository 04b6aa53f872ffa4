//! What the fuzz targets do with their input, for the targets and for the replay of inputs without
//! a fuzzer.
//!
//! Operations, model and comparison are those of the model test.

// It has no tests, and its operations derive `Arbitrary` only outside of tests.
#![cfg(not(test))]

#[path = "../../tests/wheel_model/mod.rs"]
pub mod model;

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};

use model::{Anywhere, Moment, Near, Operation, Pair, Present};

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
    /// Advances that went on with a tick left unfinished, after timers came, went or moved.
    pub resumed: usize,
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
            resumed: pair.resumed(),
        }
    }
}

/// A fuzz target, without the fuzzer.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of the folder of its inputs.
    pub name: &'static str,
    /// Runs one input, read as the fuzzer reads it; nothing where the bytes make no script.
    pub run: fn(&[u8]) -> Option<Outcome>,
    /// The script of an input, to read.
    pub show: fn(&[u8]) -> Option<String>,
}

/// All targets.
pub const TARGETS: [Target; 2] = [
    Target {
        name: "wheel_ops",
        run: run::<Anywhere>,
        show: show::<Anywhere>,
    },
    Target {
        name: "wheel_far",
        run: run::<Near>,
        show: show::<Near>,
    },
];

fn run<M: Moment + for<'a> Arbitrary<'a>>(input: &[u8]) -> Option<Outcome> {
    Some(script::<M>(input)?.run())
}

fn show<M: Debug + for<'a> Arbitrary<'a>>(input: &[u8]) -> Option<String> {
    Some(format!("{:#?}", script::<M>(input)?))
}

fn script<M: for<'a> Arbitrary<'a>>(input: &[u8]) -> Option<Script<M>> {
    Script::arbitrary(&mut Unstructured::new(input)).ok()
}
