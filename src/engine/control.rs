//! Stream 0 of the journal: what belongs to no request. Names of locations, holds, paces.
//!
//! Its records are written under a lock of their own, together with what they tell of, so that their order is that of
//! what happened. No shard is locked meanwhile.

use super::Engine;
use super::durable::Durable;
use super::error::LocationError;
use crate::ids::LocationId;
use crate::persistence::Lsn;
use crate::persistence::commit::Commit;
use crate::persistence::record::{Record, encode};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering};

/// Stream 0, being written.
pub(super) struct ControlLog {
    writing: Mutex<Writing>,
    /// How many names of the directory are in the journal: those with the first numbers.
    names: AtomicUsize,
}

struct Writing {
    commit: Arc<Commit>,
    bytes: Vec<u8>,
    /// The number of its last record.
    last: Lsn,
}

impl Writing {
    fn log(&mut self, record: &Record<'_>) -> Lsn {
        self.bytes.clear();
        encode(0, record, &mut self.bytes);
        self.last = self.commit.append(&self.bytes, 1);
        self.last
    }
}

impl ControlLog {
    /// Behind what is in the journal, which has this many names.
    pub(super) fn new(commit: Arc<Commit>, names: usize) -> Self {
        let last = commit.appended();
        Self {
            writing: Mutex::new(Writing {
                commit,
                bytes: Vec::new(),
                last,
            }),
            names: AtomicUsize::new(names),
        }
    }

    /// Writes a record, and returns its number.
    pub(super) fn log(&self, record: &Record<'_>) -> Lsn {
        self.writing.lock().log(record)
    }

    /// The number of its last record.
    pub(super) fn last(&self) -> Lsn {
        self.writing.lock().last
    }
}

impl Engine {
    /// A location's name is in the journal before its number is first used there.
    #[inline]
    pub(super) fn log_name(&self, location: LocationId) {
        if let Some(durable) = &self.durable
            && durable.control.names.load(Ordering::Acquire) <= location.index() as usize
        {
            self.log_names(durable, location);
        }
    }

    #[cold]
    fn log_names(&self, durable: &Durable, location: LocationId) {
        let mut writing = durable.control.writing.lock();
        let logged = durable.control.names.load(Ordering::Acquire) as u32;
        for location in (logged..=location.index()).map(LocationId::from_index) {
            if let Some(name) = self.directory.name(location) {
                let name = &*name;
                writing.log(&Record::Named { location, name });
            }
        }
        let logged = logged.max(location.index() + 1);
        let names = &durable.control.names;
        names.store(logged as usize, Ordering::Release);
    }

    /// Changes a location's hold or pace, and writes down what they are then. Returns the number of that record.
    pub(super) fn change_rule<R>(
        &self,
        location: LocationId,
        change: impl FnOnce() -> R,
    ) -> Result<(R, Lsn), LocationError> {
        let Some(durable) = &self.durable else {
            return Ok((change(), Lsn(0)));
        };
        self.usable()?;
        self.log_name(location);
        let control = self.controls.of(location);
        let mut writing = durable.control.writing.lock();
        let answer = change();
        let (held_since, pace) = control.image();
        let lsn = writing.log(&Record::Ruled {
            location,
            held_since,
            pace,
        });
        Ok((answer, lsn))
    }
}
