//! The wheel against its model, over any sequence of operations from any start in time.

#![no_main]

use duewheel_fuzz::WheelOps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: WheelOps| {
    script.run();
});
