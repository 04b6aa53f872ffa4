//! Which directories are taken for a store, which are made one, and which are refused.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use super::scratch::Scratch;
use crate::persistence::disk::{Disk, OpenMode};
use crate::persistence::error::StoreError;
use crate::persistence::file::{DirectoryDisk, FileOptions, FileSnapshots, directory};
use crate::persistence::snapshots::SnapshotStore;
use crate::persistence::store::StoreIdentity;
use crate::sync::Arc;

/// Tells a test that runs in a process of its own which directory to hold.
const HOLD: &str = "DUEWHEEL_TEST_HOLD";

fn open_with(
    scratch: &Scratch,
    options: &FileOptions,
) -> Result<(StoreIdentity, Arc<dyn Disk>), StoreError> {
    directory::open(scratch.disk(), options)
}

fn open(scratch: &Scratch) -> Result<(StoreIdentity, Arc<dyn Disk>), StoreError> {
    open_with(scratch, &FileOptions::new())
}

fn refused(scratch: &Scratch) -> StoreError {
    open(scratch).map(|_| ()).unwrap_err()
}

#[test]
fn an_empty_directory_becomes_a_store_and_stays_the_same_one() {
    let scratch = Scratch::new();
    let (made, held) = open(&scratch).unwrap();
    assert_eq!(scratch.names(), ["LOCK", "STORE"]);
    drop(held);
    let (found, _held) = open(&scratch).unwrap();
    assert_eq!(found, made);

    let other = open(&Scratch::new()).unwrap().0;
    assert_ne!(other.uuid, made.uuid);
    assert_ne!(other.hash_key, made.hash_key);
    assert_ne!(made.uuid, made.hash_key);
}

#[test]
fn the_key_is_the_one_that_was_given_and_no_other_is_taken_later() {
    let scratch = Scratch::new();
    let (made, held) = open_with(&scratch, &FileOptions::new().hash_key(7)).unwrap();
    assert_eq!(made.hash_key, 7);
    drop(held);
    assert_eq!(open(&scratch).unwrap().0.hash_key, 7);
    let other = FileOptions::new().hash_key(0xdead_beef);
    let error = open_with(&scratch, &other).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    let said = format!("{error} {error:?} {other:?}");
    assert!(
        !said.contains("beef") && !said.contains("3735928559"),
        "{said}"
    );
}

#[test]
fn what_a_creation_left_that_was_cut_short_is_taken_as_nothing() {
    let scratch = Scratch::new();
    scratch.write("LOCK", b"process 1");
    scratch.write("STORE.tmp", b"DUEW");
    open(&scratch).unwrap();
    assert_eq!(scratch.names(), ["LOCK", "STORE"]);
}

#[test]
fn what_is_not_a_store_is_refused_by_its_first_name_and_not_touched() {
    let scratch = Scratch::new();
    scratch.write("zebra", b"");
    scratch.write("apple", b"");
    scratch.write("STORE.tmp", b"");
    let error = refused(&scratch);
    match &error {
        StoreError::Foreign { place, found } => {
            assert_eq!(place, scratch.path().to_str().unwrap());
            assert_eq!(found, "apple");
        }
        _ => panic!("{error}"),
    }
    assert_eq!(scratch.names(), ["STORE.tmp", "apple", "zebra"]);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_is_foreign_too() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    std::fs::write(scratch.path().join(name), b"").unwrap();
    assert!(matches!(refused(&scratch), StoreError::Foreign { .. }));
}

#[test]
fn a_store_without_its_identity_is_damaged_and_not_empty() {
    for name in [
        "journal-0000000000000001",
        "journal-0000000000000002.tmp",
        "chunk-0000000000000001",
        "manifest-0000000000000001",
        "torn-0000000000000001-200",
    ] {
        let scratch = Scratch::new();
        scratch.write(name, b"");
        scratch.write("another", b"");
        let error = refused(&scratch);
        assert!(matches!(error, StoreError::Damaged(_)), "{error}");
        let said = format!("STORE is damaged at byte 0: it is missing, while {name} is there");
        assert!(error.to_string().starts_with(&said), "{error}");
        let mut there = [name, "another"];
        there.sort_unstable();
        assert_eq!(scratch.names(), there);
    }
}

#[test]
fn beside_a_store_unknown_names_stay_and_what_was_being_made_goes() {
    let scratch = Scratch::new();
    drop(open(&scratch).unwrap());
    for name in [
        "STORE.tmp",
        "chunk-0000000000000001",
        "chunk-0000000000000002.tmp",
        "journal-0000000000000001.tmp",
        "manifest-0000000000000001.tmp",
        "note",
        "note.tmp",
        "LOCK.tmp",
    ] {
        scratch.write(name, b"");
    }
    open(&scratch).unwrap();
    assert_eq!(
        scratch.names(),
        [
            "LOCK",
            "LOCK.tmp",
            "STORE",
            "chunk-0000000000000001",
            "note",
            "note.tmp",
        ]
    );
}

#[test]
fn a_store_of_a_later_format_is_no_damage() {
    let scratch = Scratch::new();
    drop(open(&scratch).unwrap());
    let mut bytes = scratch.read("STORE");
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..44]);
    bytes[44..48].copy_from_slice(&crc.to_le_bytes());
    scratch.write("STORE", &bytes);
    let error = refused(&scratch);
    assert_eq!(
        error.to_string(),
        "the format of STORE: found version 2: expected version 1, the only one this program reads"
    );
}

#[test]
fn a_store_is_held_by_one_as_long_as_anything_of_it_is_in_use() {
    let scratch = Scratch::new();
    let (identity, disk) = open(&scratch).unwrap();
    let snapshots = FileSnapshots::open(disk, identity.uuid).unwrap();
    let writer = snapshots.begin(0).unwrap();
    drop(snapshots);
    let error = refused(&scratch);
    let holder = format!("process {} (", std::process::id());
    match &error {
        StoreError::Locked { holder: said } => assert!(said.starts_with(&holder), "{said}"),
        _ => panic!("{error}"),
    }
    drop(writer);
    open(&scratch).unwrap();
}

#[test]
fn a_store_opened_to_be_read_is_neither_made_nor_changed() {
    let options = FileOptions::new().read_only(true);
    let scratch = Scratch::new();
    let error = open_with(&scratch, &options).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert_eq!(scratch.names(), [""; 0]);

    drop(open(&scratch).unwrap());
    scratch.write("chunk-0000000000000002.tmp", b"");
    let before = scratch.names();
    let (_, disk) = open_with(&scratch, &options).unwrap();
    assert_eq!(scratch.names(), before);
    for result in [
        disk.open("new", OpenMode::Create).map(|_| ()),
        disk.open("STORE", OpenMode::Write).map(|_| ()),
        disk.remove("STORE"),
        disk.rename("STORE", "new"),
    ] {
        assert_eq!(
            result.unwrap_err().kind(),
            std::io::ErrorKind::PermissionDenied
        );
    }
    disk.open("STORE", OpenMode::Read).unwrap();
    assert!(matches!(refused(&scratch), StoreError::Locked { .. }));
    assert_eq!(scratch.names(), before);
}

/// What the next test runs in a process of its own; by itself it does nothing.
#[test]
fn hold_a_store_for_another_process() {
    let Some(path) = std::env::var_os(HOLD) else {
        return;
    };
    let disk = Arc::new(DirectoryDisk::open(path).unwrap());
    let _held = directory::open(disk, &FileOptions::new()).unwrap();
    println!("\nheld");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_second_process_is_told_who_holds_the_store_and_gets_it_when_that_one_is_killed() {
    let scratch = Scratch::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "persistence::file::tests::directory::hold_a_store_for_another_process",
            "--nocapture",
        ])
        .env(HOLD, scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let held = lines.map_while(Result::ok).any(|line| line == "held");
    let while_held = open(&scratch).map(|_| ());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(held);
    match while_held {
        Err(StoreError::Locked { holder }) => {
            let expected = format!("process {} (", child.id());
            assert!(holder.starts_with(&expected), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    open(&scratch).unwrap();
}
