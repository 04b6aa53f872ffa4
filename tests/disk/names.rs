//! Which names there are, now and after a crash.
//!
//! A journaling file system does each change of names whole or not at all, and those of one name in their order. So of
//! the changes that no sync of the directory has made durable any set survives a crash that has, with each change,
//! also those before it that had a name in common with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::survival::Survival;
use crate::dice::Dice;

/// Tells files apart, whatever their names are.
pub(crate) type FileId = u64;

#[derive(Clone, Debug)]
enum Change {
    Made(Arc<str>, FileId),
    Renamed(Arc<str>, Arc<str>),
    Removed(Arc<str>),
}

impl Change {
    fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        let (one, other) = match self {
            Self::Made(name, _) | Self::Removed(name) => (name, None),
            Self::Renamed(from, to) => (from, Some(to)),
        };
        std::iter::once(one).chain(other)
    }

    /// Does what is possible of it.
    fn apply(&self, names: &mut BTreeMap<Arc<str>, FileId>) {
        match self {
            Self::Made(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Renamed(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Removed(name) => {
                names.remove(name);
            }
        }
    }
}

/// A flat directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    seen: BTreeMap<Arc<str>, FileId>,
    durable: BTreeMap<Arc<str>, FileId>,
    pending: Vec<Change>,
}

impl Names {
    pub(crate) fn of(names: BTreeMap<Arc<str>, FileId>) -> Self {
        Self {
            seen: names.clone(),
            durable: names,
            pending: Vec::new(),
        }
    }

    pub(crate) fn seen(&self) -> &BTreeMap<Arc<str>, FileId> {
        &self.seen
    }

    pub(crate) fn durable(&self) -> &BTreeMap<Arc<str>, FileId> {
        &self.durable
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.seen == self.durable
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.pending.push(change);
    }

    pub(crate) fn make(&mut self, name: &str, file: FileId) {
        self.change(Change::Made(name.into(), file));
    }

    /// Two different names.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        self.change(Change::Renamed(from.into(), to.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.change(Change::Removed(name.into()));
    }

    pub(crate) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed, or a crash: some of what was to be done is done, the rest never will be.
    pub(crate) fn settle(&mut self, dice: &mut Dice) {
        let survival = Survival::thrown(self.pending.len() as u64, dice);
        let mut lost = BTreeSet::new();
        for (before, change) in self.pending.drain(..).enumerate() {
            let survives = survival.survives(before as u64, dice);
            if survives && !change.names().any(|name| lost.contains(name)) {
                change.apply(&mut self.durable);
            } else {
                lost.extend(change.names().cloned());
            }
        }
    }
}
