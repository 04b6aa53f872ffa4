//! Every lock, every atomic and every thread of the crate comes through here, so that a model checker's take
//! their place by changing this module alone.
//!
//! The real ones are the standard library's and parking_lot's. Under `--cfg loom` and `--cfg shuttle` they are
//! those of the model checkers, given parking_lot's form by `model.rs`. `Arc`, `Weak` and `LazyLock` stay
//! the standard library's in every build: they order nothing that the engine relies on beyond what the
//! locks around them do, and a checker's `Arc` holds no `dyn Trait`.

pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::{Arc, LazyLock, Weak};

#[cfg(not(any(loom, shuttle)))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
    pub(crate) use std::thread;

    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
}

#[cfg(any(loom, shuttle))]
mod model;

#[cfg(any(loom, shuttle))]
use model as real;

pub(crate) use real::thread::yield_now;
pub(crate) use real::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard, RwLock, thread,
};
