//! The durable peers, one adapter each.

mod bare;
mod redb;
mod sqlite;

use std::path::Path;

use crate::check;
use crate::measure::{self, Figures, Sizes};
use crate::peer::{Answer, DurablePeer, Promise};
use crate::workload::Workload;

/// Fills a directory, and then does something more.
type Fill = fn(&Sizes, &Path, fn() -> Answer<()>) -> Answer<()>;

/// A peer, as the harness knows it.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) is_floor: bool,
    pub(crate) check: fn(&Path) -> Answer<()>,
    pub(crate) measure: fn(Workload, &Sizes, &Path) -> Answer<Figures>,
    pub(crate) fill: Fill,
    pub(crate) can_keep: fn(Promise) -> Result<(), &'static str>,
}

const fn entry<P: DurablePeer>() -> Entry {
    Entry {
        name: P::NAME,
        is_floor: P::IS_FLOOR,
        check: check::check::<P>,
        measure: measure::measure::<P>,
        fill: measure::fill::<P>,
        can_keep: P::can_keep,
    }
}

/// In the order of the table's columns.
pub(crate) static ALL: [Entry; 4] = [
    entry::<redb::Redb<false>>(),
    entry::<redb::Redb<true>>(),
    entry::<sqlite::Sqlite>(),
    entry::<bare::Bare>(),
];
