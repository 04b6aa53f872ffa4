//! `--data DIR` and `--durability WHEN`, as the examples that keep a store have them.

use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{Durability, EngineBuilder, FileOptions, RecoveryReport, Store, StoreError};

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

/// How long it is waited for a process that was killed, and is still on its way out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the engine keep what it holds in this directory.
///
/// # Errors
/// Why the directory cannot be used, with its name.
pub(crate) fn keep(
    engine: EngineBuilder,
    data: &Path,
    durability: DurabilityArgument,
) -> Result<EngineBuilder, String> {
    let begin = Instant::now();
    let store = loop {
        match Store::open(data, FileOptions::new()) {
            Err(StoreError::Locked { .. }) if begin.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(20));
            }
            opened => break opened,
        }
    };
    let store = store.map_err(|error| format!("{}: {error}", data.display()))?;
    Ok(engine.store(store).durability(durability.0))
}

/// What was found, in words, where there was anything.
pub(crate) fn found(report: &RecoveryReport) -> Option<String> {
    if report.pending + report.remembered == 0 {
        return None;
    }
    Some(format!(
        "found {} requests pending, {} of them in doubt, and {} that have ended",
        report.pending, report.in_doubt, report.remembered
    ))
}
