//! `repair`: what would be done, and with `--write`, that it is done.

use std::error::Error;
use std::io::{self, Write};

use duewheel::{RepairPlan, StoreInspector};

use crate::verify;

pub(crate) fn run(store: &StoreInspector, write: bool, json: bool) -> Result<bool, Box<dyn Error>> {
    let plan = store.repair_plan()?;
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &plan)?;
        writeln!(out)?;
    } else {
        print(&mut out, &plan)?;
    }
    // What is lost is told before anything is written.
    out.flush()?;
    if plan.is_empty() {
        return Ok(true);
    }
    if !write || plan.obstacle.is_some() {
        return Ok(false);
    }
    let report = store.repair(&plan)?;
    if json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        writeln!(out, "it is done")?;
        verify::print(&mut out, &report)?;
    }
    Ok(report.is_whole())
}

fn print(out: &mut impl Write, plan: &RepairPlan) -> io::Result<()> {
    if plan.is_empty() {
        return writeln!(out, "the store is whole: there is nothing to do");
    }
    if let Some(obstacle) = &plan.obstacle {
        return writeln!(out, "it cannot be repaired: {obstacle}");
    }
    for aside in &plan.set_aside {
        writeln!(
            out,
            "set aside: {} as {}: {}",
            aside.file, aside.to, aside.reason
        )?;
    }
    if let Some(last) = plan.journal_ends_with {
        writeln!(out, "the journal is written anew, up to record {last}")?;
    }
    for range in &plan.unreadable {
        let place = format!("{} from byte {} on", range.file, range.offset);
        match range.last {
            Some(last) => writeln!(
                out,
                "lost: records {} to {last}, unreadable in {place}",
                range.first
            )?,
            None => writeln!(
                out,
                "lost: all records from {} on, any number and maybe none, unreadable in {place}",
                range.first
            )?,
        }
    }
    for record in &plan.lost {
        write!(out, "lost: record {}, {}", record.lsn, record.kind)?;
        if let Some(id) = record.id {
            write!(out, ", request {id}")?;
        }
        if let Some(location) = record.location {
            write!(out, ", location {}", location.index())?;
        }
        writeln!(out)?;
    }
    if !plan.is_loss() {
        writeln!(out, "nothing is lost")?;
    }
    Ok(())
}
