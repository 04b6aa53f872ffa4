//! The wheel against its model, with start, due times and present near the boundaries of digits,
//! near powers of two and at the end of time.

#![no_main]

use duewheel_fuzz::WheelFar;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: WheelFar| {
    script.run();
});
