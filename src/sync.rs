//! Every lock and every atomic of the crate comes through here, so that a model checker's types can take
//! their place by changing one file.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, LazyLock, Weak};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
