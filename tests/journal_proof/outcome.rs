//! What comes of opening a store that was damaged: all is there, or it is refused and the damage named. Anything else is a
//! broken promise.

use duewheel::{Damage, StoreError};

use crate::bare::{Bare, Found, read, store};
use crate::disk::{DiskImage, SimulatedDisk};
use crate::inhabitant::{Inhabitant, Trouble};
use crate::ledger::Ledger;

/// What is allowed to come of it.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// All that was durable is there.
    Whole {
        /// How many frames are.
        frames: usize,
        /// Snapshots that cannot be read, and are not needed.
        bad: Vec<StoreError>,
    },
    /// The store is refused.
    Refused(StoreError),
}

impl Outcome {
    /// All that the store said of damage.
    pub(crate) fn complaints(&self) -> &[StoreError] {
        match self {
            Self::Whole { bad, .. } => bad,
            Self::Refused(error) => std::slice::from_ref(error),
        }
    }
}

/// Opens what is there and holds it against the ledger. `intact` is what was there before it was damaged.
pub(crate) fn outcome(
    image: &DiskImage,
    intact: &DiskImage,
    ledger: &Ledger,
) -> Result<Outcome, String> {
    let disk = SimulatedDisk::from_image(image, 1);
    let outcome = match open(&disk, ledger) {
        Ok((found, frames)) => Outcome::Whole {
            frames,
            bad: found.bad,
        },
        Err(Trouble::Store(error)) => Outcome::Refused(error),
        Err(Trouble::Broken(why)) => return Err(why),
    };
    for complaint in outcome.complaints() {
        check_complaint(complaint, intact)?;
    }
    Ok(outcome)
}

fn open(disk: &SimulatedDisk, ledger: &Ledger) -> Result<(Found, usize), Trouble> {
    let store = store(disk)?;
    let found = read(&store, ledger)?;
    ledger.hold_snapshots_against(&found.good)?;
    let floor = found.positions().floor();
    let survivors = ledger.hold_against(floor, &found.frames, &found.tail)?;
    Ok((found, survivors.frames))
}

/// A store that can be opened can be used.
pub(crate) fn goes_on(image: &DiskImage, ledger: &Ledger) -> Result<(), String> {
    let disk = SimulatedDisk::from_image(image, 1);
    let mut ledger = ledger.clone();
    let lives = [Bare::aftermath(), Bare::aftermath(), Vec::new()];
    match crate::inhabitant::live::<Bare>(&disk, &lives, &mut ledger) {
        Ok(()) => Ok(()),
        Err(trouble) => Err(format!("it does not go on: {trouble:?}\n{}", disk.trace())),
    }
}

/// Whether a refusal says which file it is, and where in it; and nothing of what is in it.
fn check_complaint(complaint: &StoreError, image: &DiskImage) -> Result<(), String> {
    match complaint {
        StoreError::Damaged(damage) => check_damage(damage, image),
        // What is whole, but belongs elsewhere, is told by its own words.
        StoreError::Mismatch { what, .. } if image.names().any(|name| what.contains(name)) => {
            Ok(())
        }
        _ => Err(format!("{complaint:?} names no file and offset")),
    }
}

fn check_damage(damage: &Damage, image: &DiskImage) -> Result<(), String> {
    let kinds = ["journal-", "chunk-", "manifest-", "STORE"];
    if !kinds.iter().any(|kind| damage.place.starts_with(kind)) {
        return Err(format!("{damage:?} names no file"));
    }
    // A file that should be there now is named too.
    let there = image.names().any(|name| name == damage.place);
    let size = if there { image.size(&damage.place) } else { 0 };
    if damage.offset > size {
        return Err(format!(
            "{damage:?} is behind the end that the file had, {size}"
        ));
    }
    Ok(())
}
