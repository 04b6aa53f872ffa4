//! Every lock and every atomic of the crate comes through here, so that a model checker's types can take
//! their place by changing one file.

#![allow(unused_imports)] // One list for all modules; each takes what it needs.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, LazyLock, OnceLock, Weak};

pub(crate) use parking_lot::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
