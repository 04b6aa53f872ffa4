//! The simulated disk itself: that it keeps what it must keep, and that everything else may happen.

#[allow(dead_code, reason = "shared by path; not all of it is used here")]
#[path = "../simulation/dice.rs"]
mod dice;
#[path = "../disk/mod.rs"]
mod disk;
mod faults;
mod survival;

use duewheel::{Disk, DiskFile, OpenMode};

use dice::Dice;
use disk::{DiskImage, SimulatedDisk};

/// Crashes of one state that are looked at.
const CRASHES: u64 = 400;

fn made(disk: &SimulatedDisk, name: &str) -> Box<dyn DiskFile> {
    disk.open(name, OpenMode::Create).unwrap()
}

/// A file that is there for good.
fn kept(disk: &SimulatedDisk, name: &str, bytes: &[u8]) -> Box<dyn DiskFile> {
    let file = made(disk, name);
    file.write_all_at(0, bytes).unwrap();
    file.sync().unwrap();
    disk.sync_directory().unwrap();
    file
}

fn read(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    let read = file.read_all_at(0, &mut bytes).unwrap();
    assert_eq!(read, bytes.len());
    bytes
}

/// What is seen of each of many crashes, without doubles, in order.
fn crashes<T: Ord>(disk: &SimulatedDisk, see: impl Fn(&DiskImage) -> T) -> Vec<T> {
    let mut seen = (0..CRASHES)
        .map(|seed| see(&disk.crash(&mut Dice::new(seed, 1))))
        .collect::<Vec<_>>();
    seen.sort();
    seen.dedup();
    seen
}

/// The first byte of each of its sectors.
fn heads(image: &DiskImage, name: &str) -> Vec<u8> {
    image
        .bytes(name)
        .chunks(512)
        .map(|sector| sector[0])
        .collect()
}

fn names(image: &DiskImage) -> Vec<String> {
    image.names().map(str::to_owned).collect()
}
