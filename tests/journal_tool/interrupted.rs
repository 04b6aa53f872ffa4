//! A repair that is cut short: after every operation on a file there is a store that is refused, or repaired as it was
//! said; and another repair ends what the first has begun.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use duewheel::{DirectoryDisk, Disk, DiskFile, DiskLock, OpenMode, StoreInspector};

use crate::folder::Folder;
use crate::losses::Told;
use crate::store;

/// How many operations that change something are still done.
type Left = Arc<AtomicU64>;

fn may(left: &Left) -> io::Result<()> {
    let one_less = |left: u64| left.checked_sub(1);
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
        Ok(_) => Ok(()),
        Err(_) => Err(io::Error::other("the end")),
    }
}

struct Failing {
    disk: DirectoryDisk,
    left: Left,
}

impl Disk for Failing {
    fn place(&self) -> String {
        self.disk.place()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        if mode == OpenMode::Create {
            may(&self.left)?;
        }
        Ok(Box::new(FailingFile {
            file: self.disk.open(name, mode)?,
            left: Arc::clone(&self.left),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        may(&self.left)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        may(&self.left)?;
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        may(&self.left)?;
        self.disk.sync_directory()
    }

    fn lock(&self, holder: &str) -> io::Result<DiskLock> {
        self.disk.lock(holder)
    }
}

struct FailingFile {
    file: Box<dyn DiskFile>,
    left: Left,
}

impl DiskFile for FailingFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        may(&self.left)?;
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        may(&self.left)?;
        self.file.sync()
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        may(&self.left)?;
        self.file.allocate(bytes)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        may(&self.left)?;
        self.file.truncate(bytes)
    }
}

/// Repairs copies of a damaged store, each of them cut short one operation later, every so manieth.
fn interrupt(whole: &Folder, damaged: &Folder, step: usize) -> (u32, u32) {
    let told = Told::by(whole);
    let (mut refused, mut repaired) = (0, 0);
    for operations in (0..).step_by(step) {
        let folder = damaged.copy();
        let left = Arc::new(AtomicU64::new(operations));
        let inspector = StoreInspector::on_disk(Arc::new(Failing {
            disk: DirectoryDisk::open_existing(folder.path()).unwrap(),
            left,
        }))
        .unwrap();
        let plan = inspector.repair_plan().unwrap();
        let expected = told.without(&plan);
        let is_done = inspector.repair(&plan).is_ok();
        drop(inspector);

        let copy = folder.copy();
        match store::try_open(&copy) {
            Ok(engine) => {
                assert_eq!(store::requests(&engine), expected, "{operations}");
                repaired += 1;
            }
            Err(_) => {
                assert!(!is_done, "{operations}");
                refused += 1;
            }
        }
        let inspector = StoreInspector::open(folder.path()).unwrap();
        let again = inspector.repair_plan().unwrap();
        assert!(again.obstacle.is_none(), "{operations}: {again:?}");
        assert!(!is_done || again.is_empty(), "{operations}: {again:?}");
        for record in &again.lost {
            assert!(plan.lost.contains(record), "{operations}: {record:?}");
        }
        let report = inspector.repair(&again).unwrap();
        assert!(report.is_whole(), "{operations}: {report:?}");
        drop(inspector);
        let engine = store::open(&folder);
        assert_eq!(store::requests(&engine), expected, "{operations}");
        if is_done {
            break;
        }
    }
    (refused, repaired)
}

#[test]
fn a_repair_that_is_cut_short_is_refused_or_done() {
    let whole = store::without_snapshot();
    let damaged = whole.copy();
    let middle = &damaged.names("journal-")[2];
    damaged.flip(middle, 1024 + 9 * 512 + 20);
    let (refused, repaired) = interrupt(&whole, &damaged, 3);
    assert!(refused > 10 && repaired > 1, "{refused} {repaired}");
}

#[test]
fn a_repair_without_loss_that_is_cut_short_stays_without_loss() {
    let whole = store::with_snapshot();
    let damaged = whole.copy();
    damaged.flip(&damaged.names("journal-")[0], 1024 + 9 * 512 + 20);
    damaged.flip(&damaged.names("chunk-")[0], 20);
    let inspector = StoreInspector::open(damaged.path()).unwrap();
    assert!(
        inspector.repair_plan().unwrap().is_loss(),
        "no snapshot is whole"
    );
    drop(inspector);
    let damaged = whole.copy();
    damaged.flip(&damaged.names("journal-")[0], 20);
    let (_, repaired) = interrupt(&whole, &damaged, 7);
    assert!(repaired > 1, "{repaired}");
}
