//! The engine on a tokio runtime: promises 1, 3, 7 and 9 where a future drives it. Nearly all of it runs in
//! the runtime's paused time, which moves when nobody has anything to do, so that to the millisecond
//! nothing depends on the machine.

mod ending;
mod routing;
mod running;
mod store;
mod support;
