//! What the disk is asked for: directories to measure in, bytes kept, bytes written.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use crate::peer::Answer;

/// A fresh directory, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one inside of `place`.
    pub(crate) fn new(place: &Path) -> io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let mut name = OsString::from("durable-peers-");
        name.push(format!("{}-{number}", std::process::id()));
        let path = place.join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left; its name says whose it is.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes of disk that the files in a directory take, and those in the directories in it.
pub(crate) fn kept(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            kept(&entry.path())?
        } else {
            // Blocks are of 512 bytes, whatever the file system's are.
            metadata.blocks() * 512
        };
    }
    Ok(bytes)
}

/// Bytes that this process has had written to disks so far, as the system counts: by the page, when a
/// page is first changed since it was last written.
pub(crate) fn written() -> Answer<u64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("no count of bytes written")?.parse()?)
}

/// What kind of file system a directory is on.
pub(crate) fn file_system(directory: &Path) -> String {
    let output = Command::new("stat")
        .args(["--file-system", "--format=%T"])
        .arg(directory)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_grows_with_what_is_written() {
        let scratch = Scratch::new(&std::env::temp_dir()).unwrap();
        assert_eq!(kept(scratch.path()).unwrap(), 0);
        let path = scratch.path().to_owned();
        let inner = path.join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("file");
        fs::write(&file, vec![1; 100_000]).unwrap();
        fs::File::open(&file).unwrap().sync_all().unwrap();
        assert!(kept(&path).unwrap() >= 100_000);
        drop(scratch);
        assert!(!path.exists());
    }
}
