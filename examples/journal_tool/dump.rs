//! `dump`: records as lines.

use std::error::Error;
use std::io::{self, BufWriter, Write};

use duewheel::{DumpItem, StoreInspector};

pub(crate) fn run(
    store: &StoreInspector,
    from: u64,
    snapshot: bool,
) -> Result<bool, Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut is_whole = true;
    store.dump(snapshot, &mut |item| {
        let is_wanted = match item {
            DumpItem::Journal { record, .. } => record.lsn().is_none_or(|lsn| lsn.0 >= from),
            DumpItem::Damaged(_) => {
                is_whole = false;
                true
            }
            _ => true,
        };
        if is_wanted && written.is_ok() {
            written = line(&mut out, item);
        }
    })?;
    written?;
    out.flush()?;
    Ok(is_whole)
}

fn line(out: &mut impl Write, item: &DumpItem<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, item)?;
    out.write_all(b"\n")
}
