//! What a broken, full or lying disk answers, and what is on it then.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use duewheel::{Disk, DiskFile, OpenMode};

use crate::dice::Dice;
use crate::disk::{Fault, Moods, SimulatedDisk};
use crate::{crashes, heads, kept, made, names, read};

#[test]
fn after_a_failed_sync_the_next_one_says_done_for_what_is_lost() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let file = kept(&disk, "file", &[1; 2 * 512]);
        file.write_all_at(0, &[2; 2 * 512]).unwrap();
        disk.plan(disk.operations() + 1, Fault::Error);
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(read(&*file), [2; 2 * 512], "it reads as if it were there");
        let seen = crashes(&disk, |image| heads(image, "file"));
        assert_eq!(seen.len(), 1, "nothing is pending any more");
        lost += u32::from(seen[0] != [2, 2]);
        file.write_all_at(0, &[2; 2 * 512]).unwrap();
        file.sync().unwrap();
        assert_eq!(disk.image().bytes("file"), [2; 2 * 512], "written again");
    }
    assert!((10..50).contains(&lost), "{lost} of 50");
}

#[test]
fn after_a_failed_sync_the_next_one_makes_durable_what_was_set_aside() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 512]);
    file.allocate(2_048).unwrap();
    file.write_all_at(512, &[2; 512]).unwrap();
    disk.plan(disk.operations() + 1, Fault::Error);
    file.sync().unwrap_err();
    assert_eq!(crashes(&disk, |image| image.size("file")), [512, 2_048]);
    file.sync().unwrap();
    assert_eq!(crashes(&disk, |image| image.size("file")), [2_048]);
}

#[test]
fn after_a_failed_sync_of_the_directory_nothing_can_be_changed() {
    let mut lost = 0;
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let file = made(&disk, "new");
        disk.plan(disk.operations() + 1, Fault::Error);
        disk.sync_directory().unwrap_err();
        disk.sync_directory().unwrap_err();
        file.write_at(0, &[1]).unwrap_err();
        disk.remove("new").unwrap_err();
        assert_eq!(disk.list().unwrap(), ["new"]);
        let seen = crashes(&disk, names);
        assert_eq!(seen.len(), 1);
        lost += u32::from(seen[0].is_empty());
    }
    assert!((10..50).contains(&lost), "{lost} of 50");
}

#[test]
fn a_lost_write_reads_as_written_until_the_operating_system_forgets_it() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 512]);
    disk.plan(disk.operations() + 1, Fault::Lost);
    file.write_all_at(0, &[2; 512]).unwrap();
    file.sync().unwrap();
    assert_eq!(read(&*file), [2; 512]);
    assert_eq!(crashes(&disk, |image| heads(image, "file")), [[1]]);
    let seen = (0..50).map(|seed| {
        let after = disk.kill(&mut Dice::new(seed, 1));
        read(&*after.open("file", OpenMode::Read).unwrap())[0]
    });
    let seen = seen.collect::<Vec<_>>();
    assert!(seen.contains(&1) && seen.contains(&2), "{seen:?}");
}

#[test]
fn a_misdirected_write_comes_to_the_place_of_another() {
    let disk = SimulatedDisk::new(1);
    let one = kept(&disk, "one", &[1; 4 * 512]);
    kept(&disk, "two", &[2; 4 * 512]);
    disk.plan(disk.operations() + 1, Fault::Misdirected);
    one.write_all_at(0, &[3; 512]).unwrap();
    assert_eq!(read(&*one)[0], 3);
    one.sync().unwrap();
    let image = disk.image();
    let all = [heads(&image, "one"), heads(&image, "two")].concat();
    let astray = all.iter().filter(|&&head| head == 3).count();
    assert_eq!(astray, 1, "{all:?}");
}

#[test]
fn a_short_write_says_how_much_was_written() {
    for seed in 0..50 {
        let disk = SimulatedDisk::new(seed);
        let file = made(&disk, "file");
        disk.plan(2, Fault::Short);
        let written = file.write_at(0, &[1; 100]).unwrap();
        assert!((1..=100).contains(&written));
        assert_eq!(file.size().unwrap(), written as u64);
    }
}

#[test]
fn whoever_writes_and_reads_all_gets_over_signals_and_short_calls() {
    let disk = SimulatedDisk::new(1);
    disk.set_moods(Moods {
        short: 500,
        interrupted: 300,
        ..Moods::default()
    });
    let bytes = (0..20_000_u32)
        .map(|number| number as u8)
        .collect::<Vec<_>>();
    let file = kept(&disk, "file", &bytes);
    assert_eq!(read(&*file), bytes);
}

#[test]
fn a_full_disk_takes_what_fits_and_then_nothing() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(4 * 512));
    let file = made(&disk, "file");
    file.allocate(512).unwrap();
    assert_eq!(file.write_at(100, &[1; 1_000]).unwrap(), 1_000);
    assert_eq!(disk.taken(), 3 * 512);
    assert_eq!(file.write_at(1_100, &[1; 2_000]).unwrap(), 4 * 512 - 1_100);
    let full = file.write_at(2_048, &[1]).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    let full = file.allocate(2_049).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert_eq!(
        file.write_at(0, &[2; 2_048]).unwrap(),
        2_048,
        "it has that room"
    );
    disk.remove("file").unwrap();
    assert_eq!(disk.taken(), 0);
}

#[test]
fn what_is_set_aside_can_be_written_on_a_full_disk() {
    let disk = SimulatedDisk::new(1);
    disk.set_capacity(Some(8 * 512));
    let file = made(&disk, "file");
    file.write_all_at(1_024, &[1; 512]).unwrap();
    file.allocate(4 * 512).unwrap();
    assert_eq!(disk.taken(), 4 * 512, "what was written before counts once");
    made(&disk, "other").allocate(4 * 512).unwrap();
    file.write_all_at(0, &[1; 4 * 512]).unwrap();
}

#[test]
fn after_the_power_has_failed_nothing_works_and_nothing_changes() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 512]);
    disk.fail_power_after(disk.operations() + 1);
    file.write_all_at(0, &[2; 512]).unwrap();
    file.write_all_at(0, &[3; 512]).unwrap_err();
    file.sync().unwrap_err();
    file.size().unwrap_err();
    file.read_at(0, &mut [0]).unwrap_err();
    disk.rename("file", "other").unwrap_err();
    disk.remove("file").unwrap_err();
    disk.sync_directory().unwrap_err();
    assert!(disk.open("file", OpenMode::Read).is_err());
    assert!(disk.lock("somebody").is_err());
    assert_eq!(crashes(&disk, |image| heads(image, "file")), [[1], [2]]);
    assert_eq!(disk.trace().operations().count() as u64, disk.operations());
}

#[test]
fn a_read_fails_on_demand_and_the_next_does_not() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 512]);
    disk.fail_read(2);
    file.read_at(0, &mut [0]).unwrap();
    file.read_at(0, &mut [0]).unwrap_err();
    file.read_at(0, &mut [0]).unwrap();
}

#[test]
fn one_has_the_lock_and_the_next_is_told_who() {
    let disk = SimulatedDisk::new(1);
    let lock = disk.lock("the first").unwrap();
    let Err(refused) = disk.lock("the second") else {
        panic!("it was taken twice");
    };
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert_eq!(refused.to_string(), "the first");
    drop(lock);
    disk.lock("the second").unwrap();
}

#[test]
fn what_is_written_while_a_sync_goes_on_waits_for_the_next() {
    let disk = SimulatedDisk::new(1);
    let file: Arc<dyn DiskFile> = kept(&disk, "file", &[1; 2 * 512]).into();
    let syncs = Arc::new(AtomicU64::new(0));
    let (counted, written) = (syncs.clone(), file.clone());
    disk.set_sync_hook(Some(Arc::new(move |name| {
        if name == Some("file") && counted.fetch_add(1, Ordering::Relaxed) == 0 {
            written.write_all_at(512, &[2; 512]).unwrap();
        }
    })));
    file.write_all_at(0, &[2; 512]).unwrap();
    file.sync().unwrap();
    assert_eq!(
        crashes(&disk, |image| heads(image, "file")),
        [[2, 1], [2, 2]]
    );
    file.sync().unwrap();
    assert_eq!(crashes(&disk, |image| heads(image, "file")), [[2, 2]]);
    assert_eq!(syncs.load(Ordering::Relaxed), 2);
}

#[test]
fn an_image_is_changed_at_will() {
    let disk = SimulatedDisk::new(1);
    kept(&disk, "one", &[[1; 512], [2; 512]].concat());
    kept(&disk, "two", &[3; 700]);
    let intact = disk.image();
    let mut image = intact.clone();
    image.flip("one", 600, 0x81);
    assert_eq!(image.bytes("one")[600], 0x83);
    image.zero_sector("one", 0);
    assert_eq!(heads(&image, "one"), [0, 2]);
    image.copy_sector("one", 1, 0);
    assert_eq!(heads(&image, "one"), [2, 2]);
    image.swap("one", "two");
    assert_eq!((image.size("one"), image.size("two")), (700, 1_024));
    image.truncate("one", 512);
    assert_eq!(image.bytes("one"), [3; 512]);
    image.remove("two");
    assert_eq!(names(&image), ["one"]);
    assert_eq!(
        intact.bytes("one"),
        disk.image().bytes("one"),
        "clones are apart"
    );
    let mut flipped = intact.clone();
    let (name, offset) = flipped.flip_any(&mut Dice::new(1, 1)).unwrap();
    let at = usize::try_from(offset).unwrap();
    assert_ne!(flipped.bytes(&name)[at], intact.bytes(&name)[at]);
}
