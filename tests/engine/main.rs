//! The engine's promises, each with a test that fails without it, and its behaviour clause by clause.

mod batch;
mod callbacks;
mod catch_up;
mod conditions;
mod dead_worker;
mod delivery;
mod dispatch;
mod driver;
mod drops;
mod early;
mod fairness;
mod intake;
mod locations;
mod missed;
mod order;
mod pressure;
mod report;
mod shutdown;
mod support;
mod winner;
