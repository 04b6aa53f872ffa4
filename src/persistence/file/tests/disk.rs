//! What a directory of the operating system's does as the file layer.

use std::io::ErrorKind;

use super::scratch::Scratch;
use crate::persistence::disk::{Disk, OpenMode};
use crate::persistence::file::DirectoryDisk;

/// The permission bits of something.
#[cfg(unix)]
fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_new_directory_and_its_files_are_for_their_owner_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("store");
    let disk = DirectoryDisk::open(&path).unwrap();
    let _lock = disk.lock("a test").unwrap();
    disk.open("file", OpenMode::Create).unwrap();
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("file")), 0o600);
    assert_eq!(mode(&path.join("LOCK")), 0o600);
}

#[cfg(unix)]
#[test]
fn a_directory_that_lets_others_in_is_closed_to_them_when_it_is_taken() {
    let scratch = Scratch::new();
    set_mode(scratch.path(), 0o2755);
    let disk = DirectoryDisk::open(scratch.path()).unwrap();
    assert_eq!(mode(scratch.path()), 0o2755);
    let _lock = disk.lock("a test").unwrap();
    assert_eq!(mode(scratch.path()), 0o2700);
}

#[test]
fn only_the_last_directory_is_made_and_an_error_names_it() {
    let scratch = Scratch::new();
    let path = scratch.path().join("parent").join("store");
    let error = DirectoryDisk::open(&path).unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(!scratch.path().join("parent").exists());

    let error = DirectoryDisk::open_existing(scratch.path().join("store")).unwrap_err();
    assert!(error.to_string().contains("store"), "{error}");
    assert_eq!(scratch.names(), [""; 0]);

    scratch.write("file", b"");
    let error = DirectoryDisk::open(scratch.path().join("file")).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

#[test]
fn files_are_made_written_read_renamed_and_removed() {
    let scratch = Scratch::new();
    let disk = scratch.disk();
    let file = disk.open("one", OpenMode::Create).unwrap();
    file.write_all_at(3, b"abcdef").unwrap();
    file.sync().unwrap();
    disk.sync_directory().unwrap();
    assert_eq!(file.size().unwrap(), 9);
    let again = disk.open("one", OpenMode::Create).map(|_| ());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);

    disk.rename("one", "two").unwrap();
    let mut read = [1; 16];
    let file = disk.open("two", OpenMode::Write).unwrap();
    assert_eq!(file.read_all_at(0, &mut read).unwrap(), 9);
    assert_eq!(&read[..9], b"\0\0\0abcdef");
    assert_eq!(file.read_at(9, &mut read).unwrap(), 0);
    let read_only = disk.open("two", OpenMode::Read).unwrap();
    assert!(read_only.write_at(0, b"x").is_err());

    disk.remove("two").unwrap();
    for mode in [OpenMode::Read, OpenMode::Write] {
        let gone = disk.open("two", mode).map(|_| ());
        assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(disk.list().unwrap(), [""; 0]);
}

#[test]
fn room_set_aside_is_zeros_and_never_cuts() {
    let scratch = Scratch::new();
    let disk = scratch.disk();
    let file = disk.open("file", OpenMode::Create).unwrap();
    file.allocate(0).unwrap();
    assert_eq!(file.size().unwrap(), 0);
    file.write_all_at(0, b"abc").unwrap();
    file.allocate(200_000).unwrap();
    assert_eq!(file.size().unwrap(), 200_000);
    file.allocate(5).unwrap();
    assert_eq!(file.size().unwrap(), 200_000);
    let mut read = vec![1; 200_001];
    assert_eq!(file.read_all_at(0, &mut read).unwrap(), 200_000);
    assert_eq!(&read[..4], b"abc\0");
    assert!(read[3..200_000].iter().all(|byte| *byte == 0));
}

#[test]
fn room_is_set_aside_by_writing_where_there_is_no_other_way() {
    let scratch = Scratch::new();
    let disk = scratch.disk();
    let file = disk.open("file", OpenMode::Create).unwrap();
    file.write_all_at(0, b"abc").unwrap();
    super::super::disk::allocate_by_writing(&*file, 100_000).unwrap();
    assert_eq!(file.size().unwrap(), 100_000);
    super::super::disk::allocate_by_writing(&*file, 10).unwrap();
    let mut expected = vec![0; 100_000];
    expected[..3].copy_from_slice(b"abc");
    assert_eq!(scratch.read("file"), expected);
}

#[test]
fn a_directory_is_taken_once_and_says_by_whom() {
    let scratch = Scratch::new();
    let first = scratch.disk();
    let second = scratch.disk();
    let lock = first.lock("the first\n one, with a long name").unwrap();
    let refused = second.lock("the second").map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert_eq!(refused.to_string(), "the first  one, with a long name");

    drop(lock);
    let _lock = second.lock("the second").unwrap();
    assert_eq!(scratch.read("LOCK"), b"the second");
    let refused = first.lock("the first").map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), "the second");
}
