//! duewheel holds deferrable contact-centre interaction requests, millions of them, and consults the
//! router when one falls due.

mod wheel;

pub use wheel::{Advance, Fired, Handle, Wheel};
