//! Whatever is in the files of a store is refused or opened, and nothing is lost in silence.

#![no_main]

use duewheel_fuzz::recover;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    recover(input);
});
