//! The wheel against its model, over any sequence of operations from any start in time.
//!
//! A thin shell: operations, model and comparison are those of the model test.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

// Some of it is for the long runs alone.
#[allow(dead_code)]
#[path = "../../tests/wheel_model/mod.rs"]
mod model;

/// Longest sequence; longer ones find nothing that these do not, and slowly.
const OPERATIONS_MAX: usize = 200;

#[derive(Arbitrary, Debug)]
struct Script {
    start: u64,
    operations: Vec<model::Operation>,
}

fuzz_target!(|script: Script| {
    let mut pair = model::Pair::starting_at(script.start);
    for operation in script.operations.iter().take(OPERATIONS_MAX) {
        pair.apply(operation);
        pair.check();
    }
    pair.advance(u64::MAX, usize::MAX);
    pair.check();
    assert_eq!(pair.pending(), 0);
});
