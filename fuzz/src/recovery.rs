//! Whatever is in the files of a store: it is refused, or opened, and nothing is lost in silence.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use duewheel::{
    BuildError, Consultation, Disposition, DueRequest, Engine, FileOptions, InteractionRequest,
    RequestStatus, Router, RoutingCommand, ScheduleData, Store, Timestamp,
};

use crate::Outcome;
use crate::disk::{DiskImage, SimulatedDisk};

/// Requests of the store that is changed.
const REQUESTS: u64 = 40;
/// Bytes changed in one place at most: less than a frame or a chunk's header, so that what was written whole cannot
/// be taken for what was not.
const PATCH_BYTES: usize = 16;
const SEGMENT_BYTES: u64 = 4096;

/// Its answers are in no record that could be lost: they are part of the store.
struct Desk;

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        match command.id.value() % 3 {
            0 => Disposition::Routed,
            1 => Disposition::Busy { retry_after: None },
            _ => Disposition::Accepted {
                lease_for: Duration::from_secs(60),
            },
        }
    }
}

/// A small store that was closed in good order, and what an engine shows that is built from it.
struct Original {
    image: DiskImage,
    shown: Vec<Option<RequestStatus>>,
}

/// Runs one input: the first byte says what the others are.
pub(crate) fn recover(input: &[u8]) -> Outcome {
    let Some((kind, rest)) = input.split_first() else {
        return Outcome::default();
    };
    let (image, original) = match kind % 3 {
        0 => patched(rest, 1),
        1 => (patched(rest, usize::MAX).0, None),
        _ => (arbitrary_files(rest), None),
    };
    let opened = open(&SimulatedDisk::from_image(&image, 1));
    let is_opened = opened.is_ok();
    if let Ok(engine) = opened {
        engine.check_invariants();
        if let Some(original) = original {
            let shown = shown(&engine);
            assert!(shown == original.shown, "something was lost in silence");
        }
        let _ = engine.poll(at(1_000), 1_000);
        engine.check_invariants();
    }
    Outcome {
        operations: 1,
        counted: usize::from(is_opened),
    }
}

/// The original with bytes overwritten: each patch is a file, an offset, a length, and the bytes.
fn patched(mut input: &[u8], patches: usize) -> (DiskImage, Option<&'static Original>) {
    let original = original();
    let mut image = original.image.clone();
    let names: Vec<String> = image.names().map(str::to_owned).collect();
    for _ in 0..patches {
        let Some((head, rest)) = input.split_at_checked(4) else {
            break;
        };
        let name = &names[usize::from(head[0]) % names.len()];
        let mut bytes = image.bytes(name);
        let length = usize::from(head[3]) % (PATCH_BYTES + 1);
        let (patch, rest) = rest.split_at(length.min(rest.len()));
        input = rest;
        if !bytes.is_empty() {
            let offset = usize::from(u16::from_le_bytes([head[1], head[2]])) % bytes.len();
            for (byte, patch) in bytes[offset..].iter_mut().zip(patch) {
                *byte ^= patch;
            }
            image.set(name, &bytes);
        }
    }
    (image, Some(original))
}

/// Files of these bytes, beside or in the place of the original's.
fn arbitrary_files(mut input: &[u8]) -> DiskImage {
    let original = &original().image;
    let names: Vec<String> = original.names().map(str::to_owned).collect();
    let mut image = original.clone();
    while let Some((head, rest)) = input.split_at_checked(3) {
        let length = usize::from(u16::from_le_bytes([head[1], head[2]]));
        let (bytes, rest) = rest.split_at(length.min(rest.len()));
        input = rest;
        let number = usize::from(head[0]);
        match names.get(number) {
            Some(name) => image.set(name, bytes),
            None => {
                let kind = ["journal", "manifest", "chunk"][number % 3];
                image.set(&format!("{kind}-{number:016x}"), bytes);
            }
        }
    }
    image
}

fn original() -> &'static Original {
    static ORIGINAL: OnceLock<Original> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let disk = SimulatedDisk::new(1);
        make(&disk);
        let image = disk.image();
        let again = open(&SimulatedDisk::from_image(&image, 1)).expect("a store that is whole");
        let shown = shown(&again);
        assert!(shown.iter().filter(|status| status.is_some()).count() as u64 == REQUESTS);
        Original { image, shown }
    })
}

/// A life with two snapshots and some segments in it.
fn make(disk: &SimulatedDisk) {
    let engine = open(disk).expect("an empty disk");
    let here = engine.directory().enter("AA0101").expect("a name");
    for id in 0..REQUESTS {
        let request = InteractionRequest::new(id.into(), here)
            .with_customer("somebody")
            .with_payload(vec![id as u8; 200])
            .with_schedule(ScheduleData::at(at(id)));
        let taken = engine.schedule(request, at(0));
        assert!(taken.is_ok());
        if id % 7 == 0 {
            let _ = engine.poll(at(id / 2), 1_000);
        }
        if id % 5 == 0 {
            let _ = engine.cancel(id.into(), at(0));
        }
        if id % 15 == 14 {
            assert!(engine.snapshot().is_ok());
        }
    }
    let _ = engine.hold(here, at(REQUESTS));
    assert!(engine.seal().is_ok());
}

fn open(disk: &SimulatedDisk) -> Result<Engine, BuildError> {
    let options = FileOptions::new().segment_bytes(SEGMENT_BYTES).hash_key(7);
    let store = Store::on_disk(Arc::new(disk.clone()), options)?;
    Engine::builder()
        .shards(2)
        .store(store)
        .build(Arc::new(Desk))
}

fn shown(engine: &Engine) -> Vec<Option<RequestStatus>> {
    (0..=REQUESTS).map(|id| engine.status(id.into())).collect()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + seconds * 1_000)
}
