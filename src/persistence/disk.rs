//! The file layer: what the file adapters ask of an operating system, so that a test can put a disk in its place that
//! crashes, tears and lies.

use std::any::Any;
use std::io;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing one, to read it.
    Read,
    /// An existing one, to read and write it.
    Write,
    /// A new one, to read and write it; an error where there is one of this name. For its owner alone (0600).
    Create,
}

/// One directory, flat, with files by name.
///
/// What was written is durable after [`DiskFile::sync`], and names (after creation, rename and removal) after
/// [`sync_directory`](Self::sync_directory); before that any part of it may or may not be, in sectors of 512 bytes.
pub trait Disk: Send + Sync {
    /// How errors name the directory.
    fn place(&self) -> String;

    /// The names of all that is in it, in no order.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system says; `NotFound` and `AlreadyExists` where it is not or is there.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, at once; a file that had it is gone.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which names there are.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_directory(&self) -> io::Result<()>;

    /// Takes the directory for one process alone, until what is returned is dropped or the process ends. `holder`
    /// is what another is told of who has it.
    ///
    /// # Errors
    /// `WouldBlock` where somebody has it, with what that one says of itself as the error's message; else as the
    /// operating system says.
    fn lock(&self, holder: &str) -> io::Result<DiskLock>;
}

/// A directory taken for one process alone; dropping it gives it back.
pub struct DiskLock(
    /// Whatever the disk needs to hold on to.
    pub Box<dyn Any + Send + Sync>,
);

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads up to as many bytes as there is room for; 0 at the end.
    ///
    /// # Errors
    /// As the operating system says.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes some of these bytes, at least one where there is one, and says how many.
    ///
    /// # Errors
    /// As the operating system says; `StorageFull` where there is no room.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes durable what was written, and the file's size. An error means that what was written and not durable may be
    /// lost, whatever a later call says; room set aside is durable after a later one that succeeds.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync(&self) -> io::Result<()>;

    /// Its size in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn size(&self) -> io::Result<u64>;

    /// Sets room aside, so that the file has at least this size and writing inside it needs no more. What was not
    /// written reads as zeros.
    ///
    /// # Errors
    /// As the operating system says; `StorageFull` where there is no room.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Gives back all room behind this size, where the file is larger.
    ///
    /// # Errors
    /// As the operating system says.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
}

impl dyn DiskFile + '_ {
    /// Reads until there is no more room in `into`, or the file ends; says how many bytes there are.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn read_all_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < into.len() {
            match self.read_at(offset + read as u64, &mut into[read..]) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// Writes all of these bytes.
    ///
    /// # Errors
    /// As the operating system says; some of them may be written then.
    pub fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_at(offset + written as u64, &bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
