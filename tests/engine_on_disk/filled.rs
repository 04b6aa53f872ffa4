//! An engine that is driven on a disk that has filled up.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{
    DriverOptions, Engine, FileOptions, InteractionRequest, LocationId, ManualClock, ScheduleData,
    ScheduleErrorReason, Shutdown, Store, Timestamp,
};

use crate::centre::Desk;
use crate::disk::SimulatedDisk;

const NOW: Timestamp = Timestamp::from_millis(1_767_596_400_000);

const SEGMENT_BYTES: u64 = 64 << 10;

/// Longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn request(id: u64, location: LocationId) -> InteractionRequest {
    let tomorrow = Timestamp::from_millis(NOW.as_millis() + 86_400_000);
    InteractionRequest::new(id.into(), location)
        .with_schedule(ScheduleData::at(tomorrow))
        .with_payload(vec![7; 2_000])
}

#[test]
fn snapshots_that_nobody_asked_for_make_room_on_a_full_disk() {
    let disk = SimulatedDisk::new(1);
    let options = FileOptions::new().segment_bytes(SEGMENT_BYTES);
    let store = Store::on_disk(Arc::new(disk.clone()), options).unwrap();
    // By its size and by time the journal would have none.
    let builder = Engine::builder().snapshot_every(u64::MAX, Duration::MAX);
    let engine = Arc::new(
        builder
            .store(store)
            .build(Arc::new(Desk::default()))
            .unwrap(),
    );
    let location = engine.directory().enter("AA0101").unwrap();
    disk.set_capacity(Some(5 * SEGMENT_BYTES));
    let clock = Arc::new(ManualClock::new(NOW));
    let running = engine.start(clock, DriverOptions::default()).unwrap();
    let refused = (0..).find_map(|id| engine.schedule(request(id, location), NOW).err());
    let refused = refused.unwrap();
    assert_eq!(refused.reason, ScheduleErrorReason::StorageFull);
    let all = engine.pending();
    assert!(all > 50, "{all} pending");

    let _ = engine.cancel_location(location, NOW).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while engine.schedule(request(1_000_000, location), NOW).is_err() {
        assert!(Instant::now() < deadline, "there is still no room");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(engine.pending(), 1);
    let _ = running.shutdown(Shutdown::Stop, PATIENCE);
}
