//! The names of the workloads and of the figures they give.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;

use crate::peer::Promise;

/// What is measured in one fresh directory. README.md describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Workload {
    /// Schedule, each batch synced.
    S1,
    /// Schedule, synced every few milliseconds.
    S1i,
    /// Schedule, never synced.
    S1n,
    /// Read what is due, and remove it.
    S2,
    /// Cancel by id.
    S3,
    /// Open after a kill.
    S4,
}

impl Workload {
    /// What peers promise in it.
    pub(crate) fn promise(self, interval: Duration) -> Promise {
        match self {
            Self::S1i => Promise::Within(interval),
            Self::S1n => Promise::HandedOver(interval),
            Self::S1 | Self::S2 | Self::S3 | Self::S4 => Promise::Returned,
        }
    }

    /// The figures that it gives.
    pub(crate) fn figures(self, batches: &[usize]) -> Vec<Figure> {
        let schedules = batches.iter().map(|&batch| Figure::Schedule {
            workload: self,
            batch,
        });
        match self {
            Self::S1 | Self::S1i | Self::S1n => schedules.collect(),
            Self::S2 => vec![
                Figure::Release,
                Figure::Disk,
                Figure::WrittenScheduling,
                Figure::WrittenReleasing,
                Figure::Amplification,
            ],
            Self::S3 => vec![Figure::Cancel],
            Self::S4 => vec![Figure::FirstDue, Figure::Load],
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// Microseconds a request scheduled in batches of so many.
    Schedule { workload: Workload, batch: usize },
    /// Microseconds a request released.
    Release,
    /// Microseconds a request cancelled.
    Cancel,
    /// Milliseconds from opening until the first due request was read.
    FirstDue,
    /// Milliseconds from opening until all are in memory by due time.
    Load,
    /// Bytes of disk a request, all of them scheduled.
    Disk,
    /// Bytes written a request while all were scheduled.
    WrittenScheduling,
    /// Bytes written a request while all were released.
    WrittenReleasing,
    /// Bytes written by both for each byte of a request.
    Amplification,
}

impl Figure {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Schedule { .. } | Self::Release | Self::Cancel => "us",
            Self::FirstDue | Self::Load => "ms",
            Self::Disk | Self::WrittenScheduling | Self::WrittenReleasing => "bytes",
            Self::Amplification => "times",
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule { workload, batch } => write!(f, "{workload}/{batch}"),
            Self::Release => f.write_str("S2"),
            Self::Cancel => f.write_str("S3"),
            Self::FirstDue => f.write_str("S4-first"),
            Self::Load => f.write_str("S4-all"),
            Self::Disk => f.write_str("disk"),
            Self::WrittenScheduling => f.write_str("written-schedule"),
            Self::WrittenReleasing => f.write_str("written-S2"),
            Self::Amplification => f.write_str("amplification"),
        }
    }
}
