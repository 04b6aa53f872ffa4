//! The engine's promises, each with a test that fails without it, and its behaviour clause by clause.

mod early;
mod order;
mod support;
