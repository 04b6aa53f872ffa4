//! An engine with a store on a disk that crashes and fails: operations, crash points and faults are the input's bytes.

#![no_main]

use duewheel_fuzz::engine_crash;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    engine_crash(input);
});
