//! A disk that crashes, tears and lies, in memory; one seed reproduces all it does.
//!
//! Each file is kept as it reads now, as it is on the medium, and as the list of what lies between: whole sectors of
//! 512 bytes as they were after each write, and sizes. A sync makes that list durable; without it anything may become
//! of it.
//!
//! # What survives a crash
//!
//! - Of the sectors written and not synced any subset. Where one was written several times, any of these versions or the
//!   durable one. A sector is never torn in itself.
//! - Of the sizes a file had since it was synced, any: what was written behind that end is gone, and what the file has
//!   and was never written, or was set aside by `allocate`, reads as zeros.
//! - Of the names made, changed and removed since the directory was synced any set that has, with a change, also those
//!   before it that had a name in common with it (see `names.rs`). A rename is done whole or not at all. A file whose
//!   name did not survive is gone, however well it was synced itself.
//!
//! Most crashes of real machines are kinder; what a program survives here, it survives there.
//!
//! # What dies with the process alone
//!
//! [`SimulatedDisk::kill`]: locks are free, and what was written reads as before, although it is not durable.
//!
//! # Lies
//!
//! See [`Fault`]. After a sync of a file that failed, what it lost still reads as it was written, and the next sync
//! says "done"; but a size that was set aside is made durable by that. After a sync of the directory that failed nothing
//! can be changed any more until the next crash, as journaling file systems have it.

// Shared by `#[path]`: each of its users leaves some of it unused. They have the dice as `crate::dice`.
#![allow(dead_code)]

mod adapter;
mod content;
mod faults;
mod file;
mod image;
mod names;
mod survival;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use content::SECTOR_BYTES;
use file::{Fate, File, Stray};
use names::{FileId, Names};

use crate::dice::Dice;

pub(crate) use faults::{Fault, Moods};
pub(crate) use image::DiskImage;
pub(crate) use trace::{Operation, Trace};

/// Called before a sync begins, with the file's name, or none for the directory's. Others may use the disk meanwhile.
pub(crate) type SyncHook = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// A handle; clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    names: Names,
    /// Also those without a name, which somebody may have open.
    files: BTreeMap<FileId, File>,
    next_file: FileId,
    dice: Dice,
    moods: Moods,
    /// What the operation of this number is to suffer; in order.
    planned: VecDeque<(u64, Fault)>,
    /// Operations done, and failed while there was power.
    operations: u64,
    /// No operation after the one of this number.
    last_operation: Option<u64>,
    /// Reads so far.
    reads: u64,
    /// The read of this number fails.
    failing_read: Option<u64>,
    /// Set by a kill: whoever holds this disk is no more.
    abandoned: bool,
    /// A sync of the directory has failed.
    read_only: bool,
    /// In bytes; none is without end.
    capacity: Option<u64>,
    holder: Option<String>,
    sync_hook: Option<SyncHook>,
    trace: Trace,
}

impl SimulatedDisk {
    /// An empty one.
    pub(crate) fn new(seed: u64) -> Self {
        Self::from_image(&DiskImage::default(), seed)
    }

    pub(crate) fn from_image(image: &DiskImage, seed: u64) -> Self {
        let mut names = BTreeMap::new();
        let mut files = BTreeMap::new();
        for (number, (name, content)) in (0..).zip(image.files()) {
            names.insert(name.clone(), number);
            files.insert(number, File::of(content.clone()));
        }
        Self::with(State::of(Names::of(names), files, seed))
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the operation of this number, counted from 1, is to suffer.
    pub(crate) fn plan(&self, operation: u64, fault: Fault) {
        let planned = &mut self.state().planned;
        let place = planned.partition_point(|(before, _)| *before <= operation);
        planned.insert(place, (operation, fault));
    }

    pub(crate) fn set_moods(&self, moods: Moods) {
        self.state().moods = moods;
    }

    /// The power fails after this operation, counted from 1: later calls fail, reads too, and nothing changes.
    pub(crate) fn fail_power_after(&self, operation: u64) {
        self.state().last_operation = Some(operation);
    }

    /// The read of this number, counted from 1, fails as one of a broken device does.
    pub(crate) fn fail_read(&self, read: u64) {
        self.state().failing_read = Some(read);
    }

    /// Reads so far, of files.
    pub(crate) fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Bytes there is room for, in whole sectors. A file's room is free when its name is removed.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes of that taken.
    pub(crate) fn taken(&self) -> u64 {
        self.state().taken() * SECTOR_BYTES as u64
    }

    pub(crate) fn set_sync_hook(&self, hook: Option<SyncHook>) {
        self.state().sync_hook = hook;
    }

    /// Operations so far that change something or make it durable; reads are not counted.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    pub(crate) fn trace(&self) -> Trace {
        self.state().trace.clone()
    }

    /// What is on the medium, as it would be found if nothing else came to it.
    pub(crate) fn image(&self) -> DiskImage {
        self.state().image()
    }

    /// Whether all that can be read is on the medium.
    pub(crate) fn is_durable(&self) -> bool {
        let state = self.state();
        state.names.is_durable() && state.files.values().all(File::is_durable)
    }

    /// The power fails, and this is found on the medium. The disk itself is left as it is, and may crash again in
    /// another way.
    pub(crate) fn crash(&self, dice: &mut Dice) -> DiskImage {
        self.state().crash(dice)
    }

    /// The process ends, and the machine goes on: all that was written reads as it did, or, of what was durable and of
    /// what got lost, as it is on the medium. This handle and all files of it fail from now on.
    pub(crate) fn kill(&self, dice: &mut Dice) -> Self {
        let mut state = self.state();
        state.abandoned = true;
        let mut files = state.files.clone();
        for file in files.values_mut() {
            file.outlive(dice);
        }
        Self::with(State {
            moods: state.moods,
            read_only: state.read_only,
            capacity: state.capacity,
            ..State::of(state.names.clone(), files, dice.below(u64::MAX))
        })
    }
}

impl State {
    fn of(names: Names, files: BTreeMap<FileId, File>, seed: u64) -> Self {
        Self {
            next_file: files.keys().last().map_or(0, |last| last + 1),
            names,
            files,
            dice: Dice::new(seed, 0),
            moods: Moods::default(),
            planned: VecDeque::new(),
            operations: 0,
            last_operation: None,
            reads: 0,
            failing_read: None,
            abandoned: false,
            read_only: false,
            capacity: None,
            holder: None,
            sync_hook: None,
            trace: Trace::default(),
        }
    }

    fn image(&self) -> DiskImage {
        let content = |file: &FileId| self.files[file].after_a_crash();
        let files = self.names.durable().iter();
        DiskImage::of(
            files
                .map(|(name, file)| (name.clone(), content(file)))
                .collect(),
        )
    }

    fn crash(&self, dice: &mut Dice) -> DiskImage {
        let mut after = State::of(self.names.clone(), self.files.clone(), 0);
        after.names.settle(dice);
        let mut strays = Vec::new();
        for file in after.files.values_mut() {
            strays.extend(file.settle(dice));
        }
        after.go_astray(strays);
        after.image()
    }

    fn go_astray(&mut self, strays: Vec<Stray>) {
        for stray in strays {
            if let Some(file) = self.files.get_mut(&stray.file) {
                file.set(stray.index, stray.sector);
            }
        }
    }

    fn taken(&self) -> u64 {
        let files = self.names.seen().values();
        files.map(|file| self.files[file].room()).sum()
    }

    /// Sectors that there is still room for.
    fn left(&self) -> u64 {
        let Some(capacity) = self.capacity else {
            return u64::MAX;
        };
        (capacity / SECTOR_BYTES as u64).saturating_sub(self.taken())
    }

    fn check_power(&self) -> io::Result<()> {
        let is_out = |last| self.operations >= last;
        if self.abandoned || self.last_operation.is_some_and(is_out) {
            return Err(io::Error::other("the power is out"));
        }
        Ok(())
    }

    /// Counts a read.
    fn check_read(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.reads += 1;
        if self.failing_read == Some(self.reads) {
            return Err(device_error());
        }
        Ok(())
    }

    /// Counts an operation, and says what it is to suffer.
    fn begin(&mut self, operation: Operation) -> io::Result<Option<Fault>> {
        self.check_power()?;
        self.operations += 1;
        let mut fault = None;
        while let Some((number, planned)) = self.planned.front().copied()
            && number <= self.operations
        {
            self.planned.pop_front();
            if number == self.operations {
                fault = Some(planned);
            }
        }
        let fault = fault.or_else(|| self.moods.change(&mut self.dice));
        self.trace.push(operation, fault);
        if self.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(fault)
    }

    /// Where the sectors of a write go that is to be misdirected: into the place of those of some file.
    fn misdirection(&mut self) -> Fate {
        let sectors = |file: &File| file.durable().size().div_ceil(SECTOR_BYTES as u64);
        let files = self.files.iter();
        let filled = files
            .map(|(id, file)| (*id, sectors(file)))
            .filter(|(_, sectors)| *sectors > 0)
            .collect::<Vec<_>>();
        if filled.is_empty() {
            return Fate::Nowhere;
        }
        let (file, sectors) = self.dice.pick(&filled);
        Fate::Elsewhere(file, usize::try_from(self.dice.below(sectors)).unwrap())
    }
}

fn device_error() -> io::Error {
    io::Error::other("the simulated device failed")
}

fn no_room() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full")
}
