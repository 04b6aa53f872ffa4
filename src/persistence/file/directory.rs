//! A store's directory: found, made, or refused.
//!
//! `STORE` makes a directory a store. It is a sealed file (see `sealed.rs`) whose body is the key of the hashes, and it
//! is the first of a store's files: what else there is comes after it is durable. From that follows what a directory
//! without it means:
//!
//! | in it | it is |
//! |---|---|
//! | nothing, or `LOCK` and `STORE.tmp`, which a creation leaves that was cut short | made a store |
//! | a file of a journal or of snapshots | a store that is damaged: its key is gone, and it is refused |
//! | any other name | something else, refused before anything in it is touched |
//!
//! Beside `STORE`, names that are none of a store's are left alone: a copy of a file, a note, what a file system keeps
//! for itself are no reason to stop. What was being made when somebody stopped (`.tmp` behind a name of a store's) is
//! removed.

use std::io;

use super::held::HeldDisk;
use super::names::FileName;
use super::options::FileOptions;
use super::sealed::{self, HEADER_BYTES, Header};
use super::trying;
use crate::persistence::disk::Disk;
use crate::persistence::error::StoreError;
use crate::persistence::store::StoreIdentity;
use crate::sync::Arc;

/// What `STORE` begins with.
pub(super) const MAGIC: [u8; 8] = *b"DUEWSTOR";

/// Bytes of the key.
const KEY_BYTES: usize = 16;

/// Takes the directory, and makes it a store where it is empty. The disk returned holds on to the directory.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    options: &FileOptions,
) -> Result<(StoreIdentity, Arc<dyn Disk>), StoreError> {
    let found = Found::look(&*disk)?;
    // Before the lock, which makes a file, and not in what is no store.
    found.refuse_foreign(&*disk)?;
    found.refuse_headless()?;
    if options.read_only && !found.store {
        identity(&*disk)?;
    }
    let lock = match disk.lock(&holder()) {
        Ok(lock) => Some(lock),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(StoreError::Locked {
                holder: error.to_string(),
            });
        }
        Err(error) if options.read_only && error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            None
        }
        Err(error) => return Err(StoreError::from_io(trying("taking", &*disk, ""), error)),
    };
    let disk: Arc<dyn Disk> = Arc::new(HeldDisk::new(disk, lock, options.read_only));
    // Once more, now that nobody else changes it.
    let found = Found::look(&*disk)?;
    found.refuse_foreign(&*disk)?;
    found.refuse_headless()?;
    let identity = if found.store || options.read_only {
        identity(&*disk)?
    } else {
        create(&*disk, options)?
    };
    if options.hash_key.is_some_and(|key| key != identity.hash_key) {
        // Neither of them, for who knows it can crowd one shard.
        return Err(StoreError::Mismatch {
            what: format!("the hash key of {}", disk.place()),
            found: "another".to_owned(),
            expected: "the one that was given".to_owned(),
        });
    }
    if !options.read_only {
        for name in &found.temporary {
            disk.remove(name)
                .or_else(|error| match error.kind() {
                    // What creation left, and creation has removed.
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                })
                .map_err(|error| StoreError::from_io(trying("removing", &*disk, name), error))?;
        }
    }
    Ok((identity, disk))
}

/// What there is in a directory.
#[derive(Default)]
struct Found {
    store: bool,
    /// The first in order of names that belongs to a store, `STORE` and `LOCK` aside.
    belonging: Option<String>,
    /// The first in order of names that is none of a store's.
    foreign: Option<String>,
    /// What was being made.
    temporary: Vec<String>,
}

impl Found {
    fn look(disk: &dyn Disk) -> Result<Self, StoreError> {
        let mut names = disk
            .list()
            .map_err(|error| StoreError::from_io(trying("listing", disk, ""), error))?;
        names.sort_unstable();
        let mut found = Self::default();
        for name in names {
            match (FileName::parse(&name), FileName::parse_temporary(&name)) {
                (Some(FileName::Store), _) => found.store = true,
                (Some(FileName::Lock), _) => {}
                (None, Some(FileName::Store)) => found.temporary.push(name),
                (None, Some(FileName::Lock)) | (None, None) => {
                    found.foreign.get_or_insert(name);
                }
                (Some(_), _) => {
                    found.belonging.get_or_insert(name);
                }
                (None, Some(_)) => {
                    found.belonging.get_or_insert_with(|| name.clone());
                    found.temporary.push(name);
                }
            }
        }
        Ok(found)
    }

    /// There is neither a store nor a part of one, but something.
    fn refuse_foreign(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        match &self.foreign {
            Some(foreign) if !self.store && self.belonging.is_none() => Err(StoreError::Foreign {
                place: disk.place(),
                found: foreign.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// There is a part of a store, but not what makes it one.
    fn refuse_headless(&self) -> Result<(), StoreError> {
        match &self.belonging {
            Some(belonging) if !self.store => Err(StoreError::damaged(
                FileName::Store.to_string(),
                0,
                format!("it is missing, while {belonging} is there"),
                "it beside that; put it back from a copy, or all else away to begin anew",
            )),
            _ => Ok(()),
        }
    }
}

/// Makes an empty directory a store.
fn create(disk: &dyn Disk, options: &FileOptions) -> Result<StoreIdentity, StoreError> {
    let identity = StoreIdentity {
        uuid: random(),
        hash_key: options.hash_key.unwrap_or_else(random),
    };
    sealed::write(disk, FileName::Store, &encode(identity))?;
    Ok(identity)
}

/// Reads the identity of a store.
fn identity(disk: &dyn Disk) -> Result<StoreIdentity, StoreError> {
    let name = FileName::Store.to_string();
    decode(&sealed::read(disk, &name, sealed::bytes(KEY_BYTES))?, &name)
}

pub(super) fn encode(identity: StoreIdentity) -> Vec<u8> {
    let header = Header {
        magic: MAGIC,
        stream: 0,
        uuid: identity.uuid,
        number: 0,
        body_bytes: 0,
    };
    sealed::seal(header, &identity.hash_key.to_le_bytes())
}

pub(super) fn decode(bytes: &[u8], place: &str) -> Result<StoreIdentity, StoreError> {
    let (header, body) = sealed::open(bytes, MAGIC, place)?;
    header.belongs(header.uuid, 0, place)?;
    match body.try_into() {
        Ok(key) => Ok(StoreIdentity {
            uuid: header.uuid,
            hash_key: u128::from_le_bytes(key),
        }),
        Err(_) => Err(StoreError::damaged(
            place,
            HEADER_BYTES as u64,
            format!("a key of {} bytes", body.len()),
            format!("one of {KEY_BYTES}"),
        )),
    }
}

/// What is told to others of who has the store.
fn holder() -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name());
    let mut text = format!("process {}", std::process::id());
    if let Some(program) = program {
        text += &format!(" ({})", program.to_string_lossy());
    }
    #[cfg(unix)]
    {
        let system = rustix::system::uname();
        text += &format!(" on {}", system.nodename().to_string_lossy());
    }
    text
}

/// From the operating system's randomness.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(0_u8));
    half() << 64 | half()
}
