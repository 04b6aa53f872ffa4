//! Adapters that keep a store in files of one directory.

pub(crate) mod journal;
