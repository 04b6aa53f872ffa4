//! What is there after a crash, and after the end of a process.

use duewheel::{Disk, OpenMode};

use crate::dice::Dice;
use crate::disk::SimulatedDisk;
use crate::{crashes, heads, kept, made, names, read};

#[test]
fn what_was_synced_survives_every_crash() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "kept", &[1; 1_000]);
    file.write_all_at(1_000, &[2; 24]).unwrap();
    file.sync().unwrap();
    let expected = [vec![1; 1_000], vec![2; 24]].concat();
    assert_eq!(crashes(&disk, |image| image.bytes("kept")), [expected]);
}

#[test]
fn of_sectors_not_synced_every_subset_survives_in_some_crash() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "sectors", &[1; 3 * 512]);
    for sector in 0..3 {
        file.write_all_at(sector * 512, &[2; 512]).unwrap();
    }
    let seen = crashes(&disk, |image| heads(image, "sectors"));
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert_eq!(read(&*file), [2; 3 * 512], "reads show what was written");
}

#[test]
fn of_several_writes_to_a_sector_any_survives_whole() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "sector", &[0; 512]);
    for byte in 1..4 {
        file.write_all_at(u64::from(byte) * 10, &[byte; 10])
            .unwrap();
    }
    let seen = crashes(&disk, |image| {
        let bytes = image.bytes("sector");
        [bytes[10], bytes[20], bytes[30]]
    });
    assert_eq!(seen, [[0, 0, 0], [1, 0, 0], [1, 2, 0], [1, 2, 3]]);
}

#[test]
fn a_size_not_synced_may_be_any_that_the_file_had() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 512]);
    file.write_all_at(512, &[1; 512]).unwrap();
    file.allocate(2_000).unwrap();
    assert_eq!(file.size().unwrap(), 2_000);
    let sizes = crashes(&disk, |image| image.size("file"));
    assert_eq!(sizes, [512, 1_024, 2_000]);
    for bytes in crashes(&disk, |image| image.bytes("file")) {
        assert!(
            bytes[512..]
                .iter()
                .take(512)
                .all(|&byte| byte == bytes[512])
        );
        assert!(bytes.iter().skip(1_024).all(|&byte| byte == 0));
    }
}

#[test]
fn what_lay_behind_a_lost_end_reads_as_zeros_when_the_file_grows_again() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 100]);
    file.write_all_at(100, &[2; 2_000]).unwrap();
    let cut = (0..).find_map(|seed| {
        let image = disk.crash(&mut Dice::new(seed, 1));
        (image.size("file") == 100).then_some(image)
    });
    let disk = SimulatedDisk::from_image(&cut.unwrap(), 1);
    let file = disk.open("file", OpenMode::Write).unwrap();
    file.allocate(2_100).unwrap();
    assert_eq!(read(&*file), [vec![1; 100], vec![0; 2_000]].concat());
}

#[test]
fn names_not_synced_survive_in_any_set_that_keeps_each_names_order() {
    let disk = SimulatedDisk::new(1);
    kept(&disk, "old", &[1]);
    for (name, byte) in [("one.tmp", 2), ("two", 3)] {
        let file = made(&disk, name);
        file.write_all_at(0, &[byte]).unwrap();
        file.sync().unwrap();
    }
    disk.rename("one.tmp", "one").unwrap();
    disk.remove("old").unwrap();
    let seen = crashes(&disk, names);
    let mut expected = Vec::new();
    for old in [None, Some("old")] {
        for one in [None, Some("one"), Some("one.tmp")] {
            for two in [None, Some("two")] {
                let names = [old, one, two].into_iter().flatten();
                expected.push(names.map(str::to_owned).collect::<Vec<_>>());
            }
        }
    }
    expected.sort();
    assert_eq!(seen, expected);
    disk.sync_directory().unwrap();
    assert_eq!(crashes(&disk, names), [["one", "two"]]);
}

#[test]
fn a_rename_over_another_leaves_the_one_or_the_other() {
    let disk = SimulatedDisk::new(1);
    kept(&disk, "name", &[1; 10]);
    kept(&disk, "name.tmp", &[2; 20]);
    disk.rename("name.tmp", "name").unwrap();
    let seen = crashes(&disk, |image| (names(image).len(), image.bytes("name")));
    assert_eq!(seen, [(1, vec![2; 20]), (2, vec![1; 10])]);
}

#[test]
fn a_synced_file_whose_name_was_not_synced_may_be_gone() {
    let disk = SimulatedDisk::new(1);
    made(&disk, "new").sync().unwrap();
    let seen = crashes(&disk, names);
    assert_eq!(seen, [vec![], vec!["new".to_owned()]]);
}

#[test]
fn the_end_of_a_process_loses_nothing_and_makes_nothing_durable() {
    let disk = SimulatedDisk::new(1);
    let file = kept(&disk, "file", &[1; 512]);
    file.write_all_at(0, &[2; 512]).unwrap();
    let lock = disk.lock("the first").unwrap();
    let after = disk.kill(&mut Dice::new(1, 1));
    assert!(file.size().is_err() && disk.list().is_err(), "it is over");
    after.lock("the second").unwrap();
    drop(lock);
    let file = after.open("file", OpenMode::Read).unwrap();
    assert_eq!(read(&*file), [2; 512]);
    assert_eq!(crashes(&after, |image| heads(image, "file")), [[1], [2]]);
    file.sync().unwrap();
    assert_eq!(crashes(&after, |image| heads(image, "file")), [[2]]);
}

#[test]
fn a_crash_of_one_seed_is_always_the_same() {
    let image = |seed| {
        let disk = SimulatedDisk::new(seed);
        let file = kept(&disk, "file", &[0; 512 * 20]);
        (0..20).for_each(|sector| file.write_all_at(sector * 512, &[1; 512]).unwrap());
        heads(&disk.crash(&mut Dice::new(seed, 1)), "file")
    };
    for seed in 0..100 {
        assert_eq!(image(seed), image(seed));
    }
}
