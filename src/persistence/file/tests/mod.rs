//! Tests of the file adapters over real directories.

mod disk;
mod scratch;
mod snapshots;
