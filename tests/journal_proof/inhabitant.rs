//! Who lives on a disk from one crash to the next: here a bare journal with its snapshots (`bare.rs`). A whole engine
//! fits behind the same trait.

use std::fmt::Debug;

use duewheel::StoreError;

use crate::disk::SimulatedDisk;

/// Why somebody could not go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The store says so.
    Store(StoreError),
    /// A promise is broken.
    Broken(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A promise that is broken, in words.
macro_rules! broken {
    ($($words:tt)*) => {
        return Err($crate::inhabitant::Trouble::Broken(format!($($words)*)))
    };
}
pub(crate) use broken;

/// Lives on a disk. What it was told, and must be found again, is in the ledger, which is not on the disk.
pub(crate) trait Inhabitant: Sized {
    type Step: Clone + Debug;
    type Ledger: Clone + Default;

    /// Opens what is on the disk, holds it against the ledger, and is ready for steps. When it comes back in order,
    /// what was found is there for good.
    fn open(disk: &SimulatedDisk, ledger: &mut Self::Ledger) -> Result<Self, Trouble>;

    /// Does a step. After an error of the store's it does no more.
    fn perform(&mut self, step: &Self::Step, ledger: &mut Self::Ledger) -> Result<(), Trouble>;

    /// What shows after a recovery that it goes on as before.
    fn aftermath() -> Vec<Self::Step>;
}

/// Lives some lives one after the other on one disk. Each ends as the steps leave it: closed, or not.
pub(crate) fn live<I: Inhabitant>(
    disk: &SimulatedDisk,
    lives: &[Vec<I::Step>],
    ledger: &mut I::Ledger,
) -> Result<(), Trouble> {
    for life in lives {
        let mut inhabitant = I::open(disk, ledger)?;
        for step in life {
            inhabitant.perform(step, ledger)?;
        }
    }
    Ok(())
}
