//! An engine with a store, from outside: what it has answered is true after a crash, whatever it was doing.
//!
//! The store is one in memory that loses what was not durable. How files behave is for others to prove.

#[cfg(not(any(loom, shuttle)))]
mod callers;
#[cfg(not(any(loom, shuttle)))]
mod driven;
#[cfg(not(any(loom, shuttle)))]
mod failing;
#[cfg(not(any(loom, shuttle)))]
mod gathering;
#[cfg(not(any(loom, shuttle)))]
mod script;
#[cfg(not(any(loom, shuttle)))]
mod support;
