//! Black-box tests of the JSON-lines bridge, `examples/ndjson_router`: lines in, events out.

mod bridge;
mod commands;
#[path = "../example/mod.rs"]
mod example;
mod input;
mod leases;
mod locations;
mod real_time;
mod schedules;
