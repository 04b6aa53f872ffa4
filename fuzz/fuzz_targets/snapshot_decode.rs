//! Arbitrary bytes as a chunk, a manifest, a store's identity.

#![no_main]

use duewheel_fuzz::snapshot_decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    snapshot_decode(input);
});
