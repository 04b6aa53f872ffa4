//! The simulated disk as the library sees it: [`Disk`] and [`DiskFile`].

use std::io::{self, ErrorKind};
use std::sync::Arc;

use duewheel::{Disk, DiskFile, DiskLock, OpenMode};

use super::content::{Content, SECTOR_BYTES};
use super::file::{Fate, File};
use super::names::FileId;
use super::{Fault, Operation, SimulatedDisk, State, device_error, no_room};

impl SimulatedDisk {
    fn before_sync(&self, name: Option<&str>) {
        let hook = self.state().sync_hook.clone();
        if let Some(hook) = hook {
            hook(name);
        }
    }
}

impl Disk for SimulatedDisk {
    fn place(&self) -> String {
        "a simulated disk".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.check_power()?;
        let names = state.names.seen().keys();
        Ok(names.map(ToString::to_string).collect())
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.check_power()?;
        let there = state.names.seen().get(name).copied();
        let file = match (there, mode) {
            (Some(file), OpenMode::Read | OpenMode::Write) => file,
            (None, OpenMode::Create) => state.create(name)?,
            (Some(_), OpenMode::Create) => return Err(ErrorKind::AlreadyExists.into()),
            (None, _) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            file,
            name: name.into(),
            may_write: mode != OpenMode::Read,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.check_power()?;
        if !state.names.seen().contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        state.begin_names(Operation::Rename(from.into(), to.into()))?;
        if from != to {
            state.names.rename(from, to);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.check_power()?;
        if !state.names.seen().contains_key(name) {
            return Err(ErrorKind::NotFound.into());
        }
        state.begin_names(Operation::Remove(name.into()))?;
        state.names.remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.before_sync(None);
        let state = &mut *self.state();
        match state.begin(Operation::SyncDirectory)? {
            Some(Fault::Error) => {
                state.names.settle(&mut state.dice);
                state.read_only = true;
                Err(device_error())
            }
            _ => {
                state.names.sync();
                Ok(())
            }
        }
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        let mut state = self.state();
        state.check_power()?;
        if let Some(holder) = &state.holder {
            return Err(io::Error::new(ErrorKind::WouldBlock, holder.clone()));
        }
        state.holder = Some(holder.to_owned());
        Ok(DiskLock(Box::new(Hold(self.clone()))))
    }
}

/// Lets go when it is dropped.
struct Hold(SimulatedDisk);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().holder = None;
    }
}

impl State {
    fn begin_names(&mut self, operation: Operation) -> io::Result<()> {
        match self.begin(operation)? {
            Some(Fault::Error) => Err(device_error()),
            Some(Fault::NoRoom) => Err(no_room()),
            _ => Ok(()),
        }
    }

    fn create(&mut self, name: &str) -> io::Result<FileId> {
        self.begin_names(Operation::Create(name.into()))?;
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, File::of(Content::default()));
        self.names.make(name, file);
        Ok(file)
    }

    fn file(&mut self, file: FileId) -> &mut File {
        self.files.get_mut(&file).expect("files are kept")
    }

    /// How many of these bytes there is room for.
    fn fitting(&mut self, file: FileId, offset: u64, bytes: usize) -> usize {
        let mut left = self.left();
        let mut fitting = 0;
        while fitting < bytes {
            let at = usize::try_from(offset).unwrap() + fitting;
            let needs = self.files[&file].needs(at / SECTOR_BYTES);
            if needs > left {
                break;
            }
            left -= needs;
            fitting += (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes - fitting);
        }
        fitting
    }

    fn write(
        &mut self,
        file: FileId,
        offset: u64,
        bytes: &[u8],
        fault: Option<Fault>,
    ) -> io::Result<usize> {
        let fitting = self.fitting(file, offset, bytes.len());
        if fault == Some(Fault::NoRoom) || fitting == 0 && !bytes.is_empty() {
            return Err(no_room());
        }
        let length = match fault {
            Some(Fault::Short) => self.dice.between(1, fitting.max(1) as u64) as usize,
            Some(Fault::Error) => self.dice.below(fitting as u64 + 1) as usize,
            _ => fitting,
        };
        let bytes = &bytes[..length.min(bytes.len())];
        let fate = match fault {
            Some(Fault::Lost) => Fate::Nowhere,
            Some(Fault::Misdirected) => self.misdirection(),
            _ => Fate::Home,
        };
        let order = self.operations;
        let first = usize::try_from(offset).unwrap() / SECTOR_BYTES;
        self.file(file)
            .write(order, offset, bytes, |index| match fate {
                Fate::Elsewhere(file, to) => Fate::Elsewhere(file, to + (index - first)),
                fate => fate,
            });
        match fault {
            Some(Fault::Error) => Err(device_error()),
            _ => Ok(bytes.len()),
        }
    }

    fn allocate(&mut self, file: FileId, bytes: u64, fault: Option<Fault>) -> io::Result<()> {
        let sectors = bytes.div_ceil(SECTOR_BYTES as u64);
        match fault {
            Some(Fault::Error) => return Err(device_error()),
            Some(Fault::NoRoom) => return Err(no_room()),
            _ => {}
        }
        if self.files[&file].reserving_needs(sectors) > self.left() {
            return Err(no_room());
        }
        let order = self.operations;
        self.file(file).reserve(sectors, order, bytes);
        Ok(())
    }

    fn truncate(&mut self, file: FileId, bytes: u64, fault: Option<Fault>) -> io::Result<()> {
        if matches!(fault, Some(Fault::Error | Fault::NoRoom)) {
            return Err(device_error());
        }
        let order = self.operations;
        self.file(file).cut(order, bytes);
        Ok(())
    }

    /// Makes durable what was written up to the operation `order`.
    fn sync(&mut self, file: FileId, order: u64, fault: Option<Fault>) -> io::Result<()> {
        let synced = self.files.get_mut(&file).expect("files are kept");
        let strays = match fault {
            Some(Fault::Error) => synced.fail_to_sync(&mut self.dice),
            _ => synced.sync(order),
        };
        self.go_astray(strays);
        match fault {
            Some(Fault::Error) => Err(device_error()),
            _ => Ok(()),
        }
    }
}

struct OpenFile {
    disk: SimulatedDisk,
    file: FileId,
    /// As it was when it was opened.
    name: Arc<str>,
    may_write: bool,
}

impl OpenFile {
    fn check_mode(&self) -> io::Result<()> {
        if !self.may_write {
            return Err(io::Error::new(
                ErrorKind::PermissionDenied,
                "the file was opened to read it",
            ));
        }
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.disk.state();
        state.check_read()?;
        if state.moods.interrupts(&mut state.dice) {
            return Err(ErrorKind::Interrupted.into());
        }
        let length = match state.moods.read(&mut state.dice) {
            Some(Fault::Error) => return Err(device_error()),
            Some(_) if !into.is_empty() => state.dice.between(1, into.len() as u64) as usize,
            _ => into.len(),
        };
        let file = &state.files[&self.file];
        Ok(file.seen().read(offset, &mut into[..length]))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.check_mode()?;
        let state = &mut *self.disk.state();
        state.check_power()?;
        if state.moods.interrupts(&mut state.dice) {
            return Err(ErrorKind::Interrupted.into());
        }
        let fault = state.begin(Operation::Write(self.name.clone(), offset, bytes.len()))?;
        state.write(self.file, offset, bytes, fault)
    }

    fn sync(&self) -> io::Result<()> {
        // What is written while it goes on may wait for the next.
        let order = self.disk.state().operations;
        self.disk.before_sync(Some(&self.name));
        let state = &mut *self.disk.state();
        let fault = state.begin(Operation::Sync(self.name.clone()))?;
        state.sync(self.file, order, fault)
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.check_power()?;
        Ok(state.files[&self.file].seen().size())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.check_mode()?;
        let state = &mut *self.disk.state();
        let fault = state.begin(Operation::Allocate(self.name.clone(), bytes))?;
        state.allocate(self.file, bytes, fault)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.check_mode()?;
        let state = &mut *self.disk.state();
        let fault = state.begin(Operation::Truncate(self.name.clone(), bytes))?;
        state.truncate(self.file, bytes, fault)
    }
}
