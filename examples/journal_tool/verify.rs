//! `verify`: the files, what is wrong with each, and the outlook.

use std::error::Error;
use std::io::{self, Write};

use duewheel::{StoreInspector, VerifyReport};

pub(crate) fn run(store: &StoreInspector, json: bool) -> Result<bool, Box<dyn Error>> {
    let report = store.verify()?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        print(&mut out, &report)?;
    }
    Ok(report.is_whole())
}

/// In words.
pub(crate) fn print(out: &mut impl Write, report: &VerifyReport) -> io::Result<()> {
    writeln!(out, "store {}", report.store)?;
    for segment in &report.segments {
        write!(
            out,
            "{}: {}, {} bytes, {} frames, {} records",
            segment.file, segment.role, segment.bytes, segment.frames, segment.records
        )?;
        if segment.records > 0 {
            write!(out, " from {} to {}", segment.first, segment.last)?;
        }
        if segment.torn_bytes > 0 {
            let torn = segment.torn_bytes;
            write!(out, ", {torn} bytes behind them that were never durable")?;
        }
        writeln!(out)?;
    }
    for snapshot in &report.snapshots {
        writeln!(
            out,
            "{}: {} chunks, {} bytes, {} records, all up to record {}",
            snapshot.file, snapshot.chunks, snapshot.bytes, snapshot.records, snapshot.floor
        )?;
    }
    for damage in report.damage() {
        writeln!(out, "damaged: {damage}")?;
    }
    let recovery = &report.recovery;
    match &recovery.obstacle {
        Some(obstacle) => writeln!(out, "it cannot be recovered: {obstacle}"),
        None => {
            let last = recovery.last;
            match recovery.snapshot {
                Some(number) => writeln!(
                    out,
                    "it can be recovered, from snapshot {number} and the journal up to record {last}"
                ),
                None => writeln!(
                    out,
                    "it can be recovered, from the journal up to record {last}"
                ),
            }
        }
    }
}
