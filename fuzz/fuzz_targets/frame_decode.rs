//! Any bytes as the records of a frame: read, written, compared.

#![no_main]

use duewheel_fuzz::frame_decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    frame_decode(input);
});
