//! The names of the workloads and of the figures they give.

use std::fmt;

use clap::ValueEnum;

/// Milliseconds of a day: how far ahead timers are scheduled.
pub(crate) const DAY: u64 = 86_400_000;

/// What is timed; README.md describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub(crate) enum Workload {
    W1,
    W1r,
    W2,
    W3,
    W3j,
    W3e,
    W4,
    W5,
}

impl Workload {
    /// The workloads that run in one structure after one another are measured together.
    pub(crate) fn group(self) -> Group {
        match self {
            Self::W1 | Self::W1r | Self::W2 => Group::Fill,
            Self::W3 => Group::Ticks,
            Self::W3j => Group::Jump,
            Self::W3e => Group::Empty,
            Self::W4 => Group::Churn,
            Self::W5 => Group::Timeouts,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is measured in one fresh structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// W1, then W2, then W1r.
    Fill,
    /// W3.
    Ticks,
    /// W3j.
    Jump,
    /// W3e.
    Empty,
    /// W4.
    Churn,
    /// W5.
    Timeouts,
}

/// A column of the table: a workload's nanoseconds, or bytes a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    Time(Workload),
    /// Bytes a timer after W1.
    BytesLive,
    /// Bytes for each of the most timers pending at once, at the peak of W5.
    BytesPeak,
}

impl Figure {
    pub(crate) const ALL: [Self; 10] = [
        Self::Time(Workload::W1),
        Self::Time(Workload::W1r),
        Self::Time(Workload::W2),
        Self::Time(Workload::W3),
        Self::Time(Workload::W3j),
        Self::Time(Workload::W3e),
        Self::Time(Workload::W4),
        Self::Time(Workload::W5),
        Self::BytesLive,
        Self::BytesPeak,
    ];

    /// The workload that gives this figure.
    pub(crate) fn workload(self) -> Workload {
        match self {
            Self::Time(workload) => workload,
            Self::BytesLive => Workload::W1,
            Self::BytesPeak => Workload::W5,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(workload) => workload.fmt(f),
            Self::BytesLive => f.write_str("bytes-live"),
            Self::BytesPeak => f.write_str("bytes-peak"),
        }
    }
}
