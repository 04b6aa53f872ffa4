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
    names.sort_unstable_by(|one, other| folded(one).cmp(folded(other)));
    Zones { database, names }
});

/// A zone of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone(u16);

impl Zone {
    /// The zone of this IANA name, in any case.
    pub(super) fn find(name: &str) -> Option<Self> {
        let at = ZONES
            .names
            .binary_search_by(|known| folded(known).cmp(folded(name)))
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

/// The name's bytes without regard to case.
fn folded(name: &str) -> impl Iterator<Item = u8> + '_ {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_is_found_by_its_name_in_any_case() {
        assert!(ZONES.names.len() > 500 && ZONES.names.len() < usize::from(u16::MAX));
        for name in &ZONES.names {
            let zone = Zone::find(name).unwrap();
            assert_eq!(zone.name(), &**name);
            assert_eq!(Zone::find(&name.to_uppercase()), Some(zone));
            assert!(zone.rules().is_some(), "{name}");
        }
        for unknown in [
            "",
            "Mars/Olympus",
            "Asia",
            "+02:00",
            "Etc/Unknown",
            "IST-2IDT,M3.4.4/26,M10.5.0",
        ] {
            assert_eq!(Zone::find(unknown), None, "{unknown}");
        }
    }
}
