//! The main job, from outside (its program, as a user runs it) and from inside (its parts).

// The example's own modules; where the tests use a part of one, the rest is dead here.
#[path = "../../examples/call_center/book.rs"]
#[allow(dead_code)]
mod book;
#[path = "../../examples/call_center/calls.rs"]
#[allow(dead_code)]
mod calls;
#[path = "../example/mod.rs"]
mod example;
#[path = "../../examples/call_center/generate.rs"]
mod generate;
#[path = "../../examples/call_center/hours.rs"]
mod hours;
#[path = "../../examples/call_center/pool.rs"]
#[allow(dead_code)]
mod pool;
#[path = "../../examples/call_center/records.rs"]
mod records;
#[path = "../../examples/call_center/roster.rs"]
mod roster;
#[path = "../../examples/call_center/zone.rs"]
#[allow(dead_code)]
mod zone;

mod bad_lines;
mod durable;
mod meaning;
mod opening_hours;
mod program;
mod queue;
mod support;
