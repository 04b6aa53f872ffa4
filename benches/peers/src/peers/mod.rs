//! The peers: an adapter each.

mod bitwheel;
mod delay_queue;
mod duewheel;
mod floor;
mod hash_wheels;
mod marks;
mod nexus_timer;
mod pi_cancel_timer;
#[cfg(target_feature = "avx2")]
mod quickheap;
mod removing;
mod slab_wheel;
mod tombstones;

use crate::check;
use crate::measure::{Figures, measure};
use crate::peer::{Kind, Order, Peer};
use crate::workload::{Group, Workload};

/// A peer, with its type erased.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether timers fire at their time; a peer whose do not is no measure for the others.
    pub(crate) is_exact: bool,
    /// Size of a handle, which the caller keeps; no figure of bytes includes it.
    pub(crate) handle_bytes: usize,
    /// Checks the peer against the model; panics where it fails.
    pub(crate) check: fn(),
    pub(crate) measure: fn(Group, usize) -> Figures,
    pub(crate) can_do: fn(Workload, usize) -> Result<(), &'static str>,
}

impl Entry {
    const fn of<P: Peer>() -> Self {
        Self {
            name: P::NAME,
            kind: P::KIND,
            is_exact: !matches!(P::ORDER, Order::Coarse),
            handle_bytes: size_of::<P::Handle>(),
            check: check::check::<P>,
            measure: measure::<P>,
            can_do: P::can_do,
        }
    }

    /// A peer that this build does not have.
    #[cfg(not(target_feature = "avx2"))]
    const fn absent(
        name: &'static str,
        kind: Kind,
        can_do: fn(Workload, usize) -> Result<(), &'static str>,
    ) -> Self {
        Self {
            name,
            kind,
            is_exact: true,
            handle_bytes: 0,
            check: || (),
            measure: |_, _| Vec::new(),
            can_do,
        }
    }
}

/// Ourselves first, then those that remove, then those that mark, then none.
pub(crate) const ALL: &[Entry] = &[
    Entry::of::<duewheel::Duewheel>(),
    Entry::of::<nexus_timer::NexusTimer>(),
    Entry::of::<pi_cancel_timer::PiCancelTimer>(),
    Entry::of::<slab_wheel::SlabWheel>(),
    Entry::of::<delay_queue::TokioDelayQueue>(),
    Entry::of::<bitwheel::Bitwheel>(),
    Entry::of::<removing::Tree>(),
    Entry::of::<removing::Skip>(),
    Entry::of::<removing::Indexed>(),
    Entry::of::<hash_wheels::HashWheelTimer>(),
    Entry::of::<hash_wheels::OraTimer>(),
    #[cfg(target_feature = "avx2")]
    Entry::of::<quickheap::Quickheap>(),
    #[cfg(not(target_feature = "avx2"))]
    Entry::absent("quickheap", Kind::Marking, |_, _| {
        Err("this build has no AVX2; see the README for target-cpu=native")
    }),
    Entry::of::<tombstones::Radix>(),
    Entry::of::<tombstones::Binary>(),
    Entry::of::<floor::Floor>(),
];
