//! The directory of locations: one number a name, both ways.
//!
//! Names come from outside (an access point enters one at first use), so their number, length and characters
//! are bounded. A name once entered stays, with its number, for the life of the directory.

use std::collections::HashMap;
use std::fmt;

use crate::ids::{LocationId, excerpt};
use crate::sync::{Arc, AtomicUsize, Ordering, RwLock};

/// Names of locations and their numbers; shared between access points and the engine as `Arc<Directory>`.
///
/// Names are compared byte by byte. A name takes its own bytes plus some 100.
pub struct Directory {
    names_max: usize,
    names: RwLock<Names>,
    /// How many there are, so that who asks whether there is such a number takes no lock.
    len: AtomicUsize,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Arc<str>, LocationId>,
    by_index: Vec<Arc<str>>,
}

impl Directory {
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 256;

    /// An empty directory for up to 1 000 000 names.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity_max(1_000_000)
    }

    /// An empty directory for up to `names_max` names (at most 2^32, the numbers there are). Allocates nothing yet.
    #[must_use]
    pub fn with_capacity_max(names_max: usize) -> Self {
        Self {
            names_max,
            names: RwLock::default(),
            len: AtomicUsize::new(0),
        }
    }

    /// The number of `name`, entered at its first use.
    ///
    /// # Errors
    /// Where the name is empty, longer than [`NAME_BYTES_MAX`](Self::NAME_BYTES_MAX) bytes, or holds a control
    /// character, and where it is new and the directory full.
    pub fn enter(&self, name: &str) -> Result<LocationId, DirectoryError> {
        if let Some(id) = self.find(name) {
            return Ok(id);
        }
        if name.is_empty() {
            return Err(DirectoryError::Empty);
        }
        if name.len() > Self::NAME_BYTES_MAX {
            return Err(DirectoryError::TooLong { bytes: name.len() });
        }
        if name.chars().any(char::is_control) {
            return Err(DirectoryError::ControlCharacter {
                name: excerpt(name),
            });
        }
        let mut names = self.names.write();
        if let Some(&id) = names.by_name.get(name) {
            return Ok(id);
        }
        let full = DirectoryError::Full {
            names_max: self.names_max,
        };
        if names.by_index.len() >= self.names_max {
            return Err(full);
        }
        let id = u32::try_from(names.by_index.len())
            .map(LocationId::from_index)
            .map_err(|_| full)?;
        let shared: Arc<str> = Arc::from(name);
        names.by_index.push(Arc::clone(&shared));
        names.by_name.insert(shared, id);
        self.len.store(names.by_index.len(), Ordering::Release);
        Ok(id)
    }

    /// The number of `name`, if it was entered.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<LocationId> {
        self.names.read().by_name.get(name).copied()
    }

    /// The name with this number, if there is one.
    #[must_use]
    pub fn name(&self, id: LocationId) -> Option<Arc<str>> {
        self.names.read().by_index.get(id.index() as usize).cloned()
    }

    /// Whether a name has this number.
    #[must_use]
    pub fn contains(&self, id: LocationId) -> bool {
        (id.index() as usize) < self.len()
    }

    /// How many names there are; their numbers are 0 to one less.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whether there is no name yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("len", &self.len())
            .field("names_max", &self.names_max)
            .finish()
    }
}

/// Why a name was not entered into a [`Directory`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The name has no character.
    #[error("the name is empty: expected 1 to {} bytes", Directory::NAME_BYTES_MAX)]
    Empty,
    /// The name is too long.
    #[error(
        "the name has {bytes} bytes: expected at most {}",
        Directory::NAME_BYTES_MAX
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The name holds a control character.
    #[error("{name:?}: expected a name without control characters")]
    ControlCharacter {
        /// The name, its control characters escaped, cut where it is long.
        name: String,
    },
    /// No further name fits.
    #[error("the directory is full: expected at most {names_max} names")]
    Full {
        /// How many it holds.
        names_max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let directory = Directory::new();
        assert!(directory.is_empty());
        let first = directory.enter("AA0101").unwrap();
        let second = directory.enter("aa0101").unwrap();
        assert_eq!((first.index(), second.index()), (0, 1));
        assert_eq!(directory.enter("AA0101"), Ok(first));
        assert_eq!(directory.find("AA0101"), Some(first));
        assert_eq!(directory.find("BB"), None);
        assert_eq!(directory.name(second).as_deref(), Some("aa0101"));
        assert_eq!(directory.name(LocationId::from_index(2)), None);
        assert_eq!(directory.len(), 2);
        assert!(directory.contains(second) && !directory.contains(LocationId::from_index(2)));
    }

    #[test]
    fn a_bad_name_is_refused_and_enters_nothing() {
        let directory = Directory::with_capacity_max(1);
        assert_eq!(directory.enter(""), Err(DirectoryError::Empty));
        assert_eq!(
            directory.enter(&"x".repeat(257)),
            Err(DirectoryError::TooLong { bytes: 257 })
        );
        assert!(matches!(
            directory.enter("a\nb"),
            Err(DirectoryError::ControlCharacter { .. })
        ));
        assert!(directory.is_empty());
        directory.enter(&"x".repeat(256)).unwrap();
        assert_eq!(
            directory.enter("y"),
            Err(DirectoryError::Full { names_max: 1 })
        );
        assert!(
            directory.enter(&"x".repeat(256)).is_ok(),
            "a known name is found in a full directory"
        );
    }

    #[test]
    fn two_threads_entering_the_same_names_agree() {
        let directory = Directory::new();
        let enter_all = || {
            (0..500)
                .map(|n| directory.enter(&format!("L{n}")).unwrap())
                .collect::<Vec<_>>()
        };
        let (one, other) = std::thread::scope(|scope| {
            let other = scope.spawn(enter_all);
            (enter_all(), other.join().unwrap())
        });
        assert_eq!(one, other);
        assert_eq!(directory.len(), 500);
    }
}
