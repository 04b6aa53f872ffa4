//! A folder for a store, removed when it is done with.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// A folder of its own.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// One that is not there yet.
    pub(crate) fn new(name: &str) -> Self {
        let below = env::var_os("DUEWHEEL_DURABLE_DIR");
        let below = below.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        let path = below.join(format!("durable-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&below).expect("a folder for temporary files");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
