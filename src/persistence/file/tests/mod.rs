//! Tests of the file adapters over real directories.

mod damage;
mod directory;
mod disk;
mod faults;
mod faulty;
pub(super) mod golden;
mod scratch;
mod snapshots;
mod store;
