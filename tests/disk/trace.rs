//! What was asked of the disk, to read when something came out wrong.

use std::fmt;
use std::sync::Arc;

use super::faults::Fault;

/// An operation that changes something, or makes it durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create(Arc<str>),
    Write(Arc<str>, u64, usize),
    Allocate(Arc<str>, u64),
    Truncate(Arc<str>, u64),
    Sync(Arc<str>),
    Rename(Arc<str>, Arc<str>),
    Remove(Arc<str>),
    SyncDirectory,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name) => write!(f, "create {name}"),
            Self::Write(name, offset, bytes) => {
                write!(f, "write {name} at {offset}, {bytes} bytes")
            }
            Self::Allocate(name, bytes) => write!(f, "allocate {name} up to {bytes} bytes"),
            Self::Truncate(name, bytes) => write!(f, "truncate {name} to {bytes} bytes"),
            Self::Sync(name) => write!(f, "sync {name}"),
            Self::Rename(from, to) => write!(f, "rename {from} to {to}"),
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::SyncDirectory => write!(f, "sync the directory"),
        }
    }
}

/// The operations of a disk, numbered from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Vec<(Operation, Option<Fault>)>);

impl Trace {
    pub(crate) fn push(&mut self, operation: Operation, fault: Option<Fault>) {
        self.0.push((operation, fault));
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.0.iter().map(|(operation, _)| operation)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (before, (operation, fault)) in self.0.iter().enumerate() {
            write!(f, "{:5} {operation}", before + 1)?;
            match fault {
                Some(fault) => writeln!(f, ": {fault:?}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
