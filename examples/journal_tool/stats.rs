//! `stats`: counts.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Write};

use duewheel::{StoreInspector, StoreStats, Tally};

pub(crate) fn run(store: &StoreInspector, json: bool) -> Result<bool, Box<dyn Error>> {
    let stats = store.stats()?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &stats)?;
        writeln!(out)?;
    } else {
        print(&mut out, &stats)?;
    }
    Ok(stats.damaged == 0)
}

fn print(out: &mut impl Write, stats: &StoreStats) -> io::Result<()> {
    writeln!(
        out,
        "{} requests are pending, {} have ended and are remembered",
        stats.pending, stats.ended
    )?;
    if let Some(number) = stats.snapshot {
        writeln!(out, "snapshot {number}")?;
        kinds(out, &stats.snapshot_kinds)?;
    }
    match stats.first.zip(stats.last) {
        Some((first, last)) => writeln!(out, "journal, records {first} to {last}")?,
        None => writeln!(out, "journal, without a record")?,
    }
    kinds(out, &stats.journal_kinds)?;
    let epochs: Vec<_> = stats.epochs.iter().map(u32::to_string).collect();
    writeln!(out, "  epochs {}", epochs.join(", "))?;
    writeln!(
        out,
        "  {} frames of {:.1} records, {} bytes: {:.2} for each byte of a record",
        stats.frames, stats.records_per_frame, stats.frame_bytes, stats.bytes_per_record_byte
    )?;
    for (location, tally) in &stats.locations {
        writeln!(
            out,
            "location {location}: {} records, {} pending, {} ended",
            tally.records, tally.pending, tally.ended
        )?;
    }
    if stats.damaged > 0 {
        let places = stats.damaged;
        writeln!(
            out,
            "{places} places are damaged, so that more may be missing: see verify"
        )?;
    }
    Ok(())
}

fn kinds(out: &mut impl Write, kinds: &BTreeMap<&'static str, Tally>) -> io::Result<()> {
    for (kind, tally) in kinds {
        let Tally { records, bytes } = tally;
        writeln!(out, "  {kind}: {records} records, {bytes} bytes")?;
    }
    Ok(())
}
