//! The time zones of the compiled-in database, as two-byte numbers.
//!
//! A number is a position in the sorted list of names: it is good for this process alone, and whatever is
//! stored or sent holds the name. The database is the bundled one even where another crate of the same build
//! has jiff look at the system's, so that one time means the same everywhere.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::sync::LazyLock;

struct Zones {
    database: TimeZoneDatabase,
    /// Sorted without regard to case.
    names: Vec<Box<str>>,
}

static ZONES: LazyLock<Zones> = LazyLock::new(|| {
    let database = TimeZoneDatabase::bundled();
    let mut names: Vec<Box<str>> = database
        .available()
        .map(|name| name.as_str().into())
        .collect();
    names.sort_unstable_by_key(|name| name.to_ascii_lowercase());
    Zones { database, names }
});

/// A zone of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone(u16);

impl Zone {
    /// The zone of this IANA name, in any case.
    pub(super) fn find(name: &str) -> Option<Self> {
        let wanted = name.to_ascii_lowercase();
        let at = ZONES
            .names
            .binary_search_by_key(&wanted, |name| name.to_ascii_lowercase())
            .ok()?;
        u16::try_from(at).ok().map(Self)
    }

    /// The name as the database writes it.
    pub(super) fn name(self) -> &'static str {
        &ZONES.names[usize::from(self.0)]
    }

    /// The zone's rules; jiff keeps them ready after the first use.
    pub(super) fn rules(self) -> Option<TimeZone> {
        ZONES.database.get(self.name()).ok()
    }
}
