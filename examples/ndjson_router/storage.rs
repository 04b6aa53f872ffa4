//! `--data` and `--durability`: where requests are kept so that they outlive the process, and when an answer rests on
//! that.

use std::error::Error;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use duewheel::{Durability, EngineBuilder, FileOptions, RecoveryReport, Store};

use crate::events::note;

/// `sync`, `interval:MS` or `none`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DurabilityArgument(pub(crate) Durability);

impl FromStr for DurabilityArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || format!("{text:?}: expected sync, interval:MS (1 to 3600000) or none");
        let durability = match (text, text.strip_prefix("interval:")) {
            ("sync", _) => Durability::Sync,
            ("none", _) => Durability::NoSync,
            (_, Some(millis)) => match millis.parse() {
                Ok(millis @ 1..=3_600_000) => Durability::Interval(Duration::from_millis(millis)),
                _ => return Err(expected()),
            },
            _ => return Err(expected()),
        };
        Ok(Self(durability))
    }
}

/// Has the engine keep what it holds in this directory.
pub(crate) fn keep(
    engine: EngineBuilder,
    data: &Path,
    durability: DurabilityArgument,
) -> Result<EngineBuilder, Box<dyn Error>> {
    let store = Store::open(data, FileOptions::new());
    let store = store.map_err(|error| format!("{}: {error}", data.display()))?;
    Ok(engine.store(store).durability(durability.0))
}

/// Says what was found, where there was anything.
pub(crate) fn tell(found: &RecoveryReport) {
    if found.pending + found.remembered == 0 {
        return;
    }
    note(format_args!(
        "found {} requests pending, {} of them in doubt, and {} that have ended",
        found.pending, found.in_doubt, found.remembered
    ));
}
