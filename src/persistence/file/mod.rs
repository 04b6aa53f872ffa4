//! The file adapters: a store in a directory.

mod chunk;
mod disk;
mod manifest;
mod names;
mod sealed;
mod snapshots;

pub use disk::DirectoryDisk;
pub(crate) use snapshots::FileSnapshots;

#[cfg(test)]
mod tests;

use super::disk::Disk;

/// How an error names what was done, and to which file of which directory.
fn trying(doing: &str, disk: &dyn Disk, name: &str) -> String {
    let place = disk.place();
    if name.is_empty() {
        format!("{doing} {place}")
    } else {
        format!("{doing} {place}/{name}")
    }
}
