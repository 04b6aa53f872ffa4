//! The engine's promises, each with a test that fails without it, and its behaviour clause by clause.

mod callbacks;
mod conditions;
mod delivery;
mod dispatch;
mod driver;
mod drops;
mod early;
mod intake;
mod locations;
mod missed;
mod order;
mod report;
mod shutdown;
mod support;
mod winner;
