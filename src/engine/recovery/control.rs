//! What belongs to no request: the names of locations, their holds and paces, and who wrote the store.

use crate::directory::Directory;
use crate::engine::config::BuildError;
use crate::engine::location::{Controls, Pace};
use crate::ids::LocationId;
use crate::persistence::record::Record;
use crate::persistence::{Durability, StoreError};

/// What records that belong to no request say.
pub(super) struct Control<'a> {
    directory: &'a Directory,
    pub(super) controls: Controls,
    /// The greatest epoch of a writer.
    pub(super) epoch: u32,
    /// How the last writer made things durable, where that is known.
    pub(super) durability: Option<Durability>,
    /// Shards of the last writer, where that is known.
    pub(super) shards: Option<u32>,
    /// A number above all in the order of intake that writers knew of when they began.
    pub(super) next_intake: u64,
    /// Locations that have a name in the store.
    pub(super) named: u32,
}

impl<'a> Control<'a> {
    pub(super) fn new(directory: &'a Directory, default_pace: Option<Pace>) -> Self {
        Self {
            directory,
            controls: Controls::new(default_pace),
            epoch: 0,
            durability: None,
            shards: None,
            next_intake: 0,
            named: 0,
        }
    }

    /// Takes note of a record.
    ///
    /// # Errors
    /// Where the directory numbers a location otherwise, or a name cannot have come here.
    pub(super) fn note(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        match *record {
            Record::Named { location, name } => self.name(location, name)?,
            Record::Ruled {
                location,
                held_since,
                pace,
            } => {
                if !self.directory.contains(location) {
                    return Err(unnamed(location).into());
                }
                let control = self.controls.of(location);
                control.restore(held_since, Pace::per_second(pace));
            }
            Record::Opened {
                epoch,
                shards,
                durability,
                next_intake,
            } => {
                self.shards = Some(shards);
                self.epoch = self.epoch.max(epoch);
                self.durability = Some(durability);
                self.next_intake = self.next_intake.max(next_intake);
            }
            Record::Marked { .. }
            | Record::Totals { .. }
            | Record::Request(..)
            | Record::Ended(_) => {}
        }
        Ok(())
    }

    fn name(&mut self, location: LocationId, name: &str) -> Result<(), BuildError> {
        let number = location.index();
        let conflict = |given: String| BuildError::Directory {
            number,
            stored: name.to_owned(),
            given,
        };
        match self.directory.name(location) {
            Some(given) if *given == *name => {}
            Some(given) => return Err(conflict(format!("{given:?}"))),
            None => {
                if let Some(other) = self.directory.find(name) {
                    let other = other.index();
                    return Err(conflict(format!("that name as location {other}")));
                }
                let next = self.directory.len();
                if number as usize != next {
                    return Err(StoreError::damaged(
                        "the journal",
                        0,
                        format!("a name of location {number}"),
                        format!("one of location {next} before it"),
                    )
                    .into());
                }
                let entered = self.directory.enter(name);
                match entered {
                    Ok(entered) if entered == location => {}
                    Ok(other) => return Err(conflict(format!("it as location {}", other.index()))),
                    Err(error) => return Err(conflict(error.to_string())),
                }
            }
        }
        self.named = self.named.max(number.saturating_add(1));
        Ok(())
    }
}

/// A location is told of whose name is not.
#[cold]
pub(super) fn unnamed(location: LocationId) -> StoreError {
    StoreError::damaged(
        "the journal",
        0,
        format!("no record of the name of location {}", location.index()),
        "one before all that is of it",
    )
}
