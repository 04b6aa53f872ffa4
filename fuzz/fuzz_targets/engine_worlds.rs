//! The whole engine in a world whose throws are the input's bytes: clients, operators, router, clock.

#![no_main]

use duewheel_fuzz::engine_world;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    engine_world(input);
});
