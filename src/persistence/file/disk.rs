//! [`DirectoryDisk`]: the file layer over a directory of the operating system's.
//!
//! What is in it came from customers, so it is for its owner alone: a directory made here has mode 0700, and files
//! have 0600. A directory that was there before and lets others in is closed to them when it is taken
//! ([`Disk::lock`]); where that is not allowed, it is not taken. Closing it beats refusing it: whoever made the
//! directory with a plain `mkdir` wanted a store in it, and no file in it was ever open to others.
//!
//! The directory itself is kept open, so that an error of the disk between two syncs of it is seen by the second.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::persistence::disk::{Disk, DiskFile, DiskLock, OpenMode};
use crate::persistence::error::StoreError;

#[cfg(not(unix))]
use portable as platform;
#[cfg(unix)]
use unix as platform;

/// The file whose lock says who has the directory.
pub(super) const LOCK: &str = "LOCK";

/// What is read at most of what the holder of a lock says of itself.
const HOLDER_BYTES_MAX: usize = 1024;

/// A directory of the operating system's.
#[derive(Debug)]
pub struct DirectoryDisk {
    path: PathBuf,
    directory: platform::Directory,
}

impl DirectoryDisk {
    /// Takes a directory; where there is none it is made, for its owner alone (0700), and durable when this returns.
    /// The one that it is to be in must be there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], which names the path, where there is something else, or it cannot be had.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let make = |path: &Path| {
            let made = platform::create_directory(path);
            let named = || platform::Directory::open(path.parent().unwrap_or(path))?.sync();
            match made {
                Ok(()) => named(),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // Whoever made it may have stopped before this. It may also be where this is not allowed, and
                    // something else by this name shows when it is opened.
                    let _ = named();
                    Ok(())
                }
                Err(error) => Err(error),
            }
        };
        std::path::absolute(path)
            .and_then(|path| make(&path))
            .map_err(|error| {
                StoreError::from_io(format!("making the directory {}", path.display()), error)
            })?;
        Self::open_existing(path)
    }

    /// Takes a directory that is there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], which names the path, where there is none, or it cannot be had.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        std::path::absolute(path)
            .and_then(|path| {
                let directory = platform::Directory::open(&path)?;
                Ok(Self { path, directory })
            })
            .map_err(|error| {
                StoreError::from_io(format!("opening the directory {}", path.display()), error)
            })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Disk for DirectoryDisk {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        std::fs::read_dir(&self.path)?
            // A name that is no text is none of a store's; how it is shown matters to nobody else.
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create_new(true);
            }
        }
        let file = platform::open_file(&mut options, &self.path.join(name))?;
        Ok(Box::new(platform::OpenFile::new(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync()
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        self.directory.close_to_others()?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = platform::open_file(&mut options, &self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    said_by_holder(file),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Written before it is cut, so that who looks meanwhile finds some text.
        let file = platform::OpenFile::new(file);
        let text: &dyn DiskFile = &file;
        text.write_all_at(0, holder.as_bytes())?;
        file.cut(holder.len() as u64)?;
        Ok(DiskLock(Box::new(HeldLock(file))))
    }
}

/// A lock that is held.
struct HeldLock(platform::OpenFile);

/// Given back in so many words. Closing the file would do it too, but not while a child process that was just begun
/// still has it open, until its own program takes over.
impl Drop for HeldLock {
    fn drop(&mut self) {
        // Where it fails, closing the file is what is left.
        let _ = self.0.unlock();
    }
}

/// What the holder of a lock says of itself.
fn said_by_holder(file: File) -> String {
    let mut text = [0; HOLDER_BYTES_MAX];
    let file = platform::OpenFile::new(file);
    let file: &dyn DiskFile = &file;
    let read = file.read_all_at(0, &mut text).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..read]);
    let text = text.trim();
    if text.is_empty() {
        "another process".to_owned()
    } else {
        text.replace(char::is_control, " ")
    }
}

/// Writes zeros from the file's end on, where room cannot be set aside in another way.
pub(super) fn allocate_by_writing(file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut end = file.size()?;
    while end < bytes {
        let step = (bytes - end).min(ZEROS.len() as u64);
        // At most the length of the zeros.
        file.write_all_at(end, &ZEROS[..step as usize])?;
        end += step;
    }
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use super::{DiskFile, allocate_by_writing};

    /// The bits of a mode that let others than the owner in.
    const OTHERS: u32 = 0o077;

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    pub(super) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        options.mode(0o600).open(path)
    }

    #[derive(Debug)]
    pub(super) struct Directory(File);

    impl Directory {
        pub(super) fn open(path: &Path) -> io::Result<Self> {
            // Without the flag, opening a pipe waits for whoever writes it.
            let flags = rustix::fs::OFlags::DIRECTORY.bits();
            OpenOptions::new()
                .read(true)
                .custom_flags(flags.cast_signed())
                .open(path)
                .map(Self)
        }

        pub(super) fn sync(&self) -> io::Result<()> {
            self.0.sync_all()
        }

        pub(super) fn close_to_others(&self) -> io::Result<()> {
            let mode = self.0.metadata()?.mode() & 0o7777;
            if mode & OTHERS == 0 {
                return Ok(());
            }
            let closed = Permissions::from_mode(mode & !OTHERS);
            self.0.set_permissions(closed).map_err(|error| {
                let text = format!("it is open to others (mode {mode:04o}), and stays so: {error}");
                io::Error::new(error.kind(), text)
            })
        }
    }

    #[derive(Debug)]
    pub(super) struct OpenFile(File);

    impl OpenFile {
        pub(super) fn new(file: File) -> Self {
            Self(file)
        }

        pub(super) fn cut(&self, bytes: u64) -> io::Result<()> {
            self.0.set_len(bytes)
        }

        pub(super) fn unlock(&self) -> io::Result<()> {
            self.0.unlock()
        }
    }

    impl DiskFile for OpenFile {
        fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            self.0.read_at(into, offset)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
            self.0.write_at(bytes, offset)
        }

        fn sync(&self) -> io::Result<()> {
            self.0.sync_data()
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.0.metadata()?.len())
        }

        fn truncate(&self, bytes: u64) -> io::Result<()> {
            if self.size()? > bytes {
                self.0.set_len(bytes)?;
            }
            Ok(())
        }

        #[cfg(any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_vendor = "apple"
        ))]
        fn allocate(&self, bytes: u64) -> io::Result<()> {
            use rustix::fs::{FallocateFlags, fallocate};
            use rustix::io::Errno;
            if bytes == 0 {
                return Ok(());
            }
            loop {
                match fallocate(&self.0, FallocateFlags::empty(), 0, bytes) {
                    Ok(()) => return Ok(()),
                    Err(Errno::INTR) => {}
                    Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                        return allocate_by_writing(self, bytes);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }

        #[cfg(not(any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_vendor = "apple"
        )))]
        fn allocate(&self, bytes: u64) -> io::Result<()> {
            allocate_by_writing(self, bytes)
        }
    }
}

/// Where there are no modes, no reads at an offset and no syncs of a directory: the directory's protection is its
/// owner's business, and the file system's that of its names.
#[cfg(not(unix))]
mod portable {
    use std::fs::{File, OpenOptions};
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::path::Path;

    use super::{DiskFile, allocate_by_writing};
    use crate::sync::Mutex;

    pub(super) fn create_directory(path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    pub(super) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        options.open(path)
    }

    #[derive(Debug)]
    pub(super) struct Directory;

    impl Directory {
        pub(super) fn open(path: &Path) -> io::Result<Self> {
            if !std::fs::metadata(path)?.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(Self)
        }

        pub(super) fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        pub(super) fn close_to_others(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Its place is shared, so whoever moves it holds the lock.
    pub(super) struct OpenFile(Mutex<File>);

    impl OpenFile {
        pub(super) fn new(file: File) -> Self {
            Self(Mutex::new(file))
        }

        pub(super) fn cut(&self, bytes: u64) -> io::Result<()> {
            self.0.lock().set_len(bytes)
        }

        pub(super) fn unlock(&self) -> io::Result<()> {
            self.0.lock().unlock()
        }
    }

    impl DiskFile for OpenFile {
        fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
            let mut file = self.0.lock();
            file.seek(SeekFrom::Start(offset))?;
            file.read(into)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
            let mut file = self.0.lock();
            file.seek(SeekFrom::Start(offset))?;
            file.write(bytes)
        }

        fn sync(&self) -> io::Result<()> {
            self.0.lock().sync_data()
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.0.lock().metadata()?.len())
        }

        fn allocate(&self, bytes: u64) -> io::Result<()> {
            allocate_by_writing(self, bytes)
        }

        fn truncate(&self, bytes: u64) -> io::Result<()> {
            if self.size()? > bytes {
                self.0.lock().set_len(bytes)?;
            }
            Ok(())
        }
    }
}
