//! Stamps, handles and reuse.

use super::*;

#[test]
fn a_timer_is_as_small_as_can_be() {
    assert_eq!(size_of::<Handle>(), 8);
    assert_eq!(size_of::<Option<Handle>>(), 8);
    assert_eq!(size_of::<Entry<u64>>(), 16);
    assert_eq!(size_of::<Entry<u32>>(), 12);
}

#[test]
fn an_entry_at_the_end_of_its_stamps_is_retired() {
    let mut entries = Entries::new();
    let (handle, _) = entries.insert(1, 'a');
    let record = entries.restamp(handle, 1, RETIRED);
    assert!(!entries.is_exhausted(handle));
    assert_eq!(entries.fire(record), Some((handle, 'a')));
    assert_eq!(entries.fire(record), None);
    assert!(!entries.is_live(record));
    entries.check_invariants();
    for _ in 0..200 {
        let (other, _) = entries.insert(2, 'b');
        assert_ne!(other.index(), handle.index());
    }
    assert_eq!(entries.get(handle), None);
    entries.check_invariants();
}

#[test]
fn an_entry_whose_stamps_started_anew_does_not_bring_an_old_handle_back() {
    let mut entries = Entries::new();
    let (first, _) = entries.insert(1, 'a');
    entries.restamp(first, 1, 1_000);
    assert_eq!(entries.remove(first), Some('a'));
    // All entries of the first word are used up, until that one's turn comes again.
    let others: Vec<Handle> = (0..63).map(|due| entries.insert(due, 'b').0).collect();
    for handle in others {
        entries.remove(handle);
    }
    let mut handle = first;
    for due in 0..64 {
        let (other, _) = entries.insert(due, 'c');
        if other.index() == first.index() {
            handle = other;
        }
    }
    assert_eq!(handle.birth().get(), 1_001);
    entries.restamp(handle, 1, EXHAUSTED);
    entries.restart(handle);
    let record = entries.rearm(handle, 2).expect("it is there");
    assert_eq!(record.stamp(), 1_002);
    assert_eq!(entries.remove(handle), Some('c'));
    assert!((entries.get(first), entries.get(handle)) == (None, None));
    entries.check_invariants();
}

#[test]
fn vacancies_are_used_before_new_memory_a_word_in_address_order() {
    let mut entries = Entries::new();
    let mut handles: Vec<Handle> = (0..3 * SEGMENT as u64)
        .map(|due| entries.insert(due, ()).0)
        .collect();
    for handle in handles.drain(..).rev() {
        entries.remove(handle);
    }
    entries.check_invariants();
    let again: Vec<u32> = (0..3 * SEGMENT as u64)
        .map(|due| entries.insert(due, ()).0.index())
        .collect();
    assert!(again.chunks(64).all(|word| word.is_sorted()));
    assert_eq!(entries.segments.len(), 3);
    entries.check_invariants();
}

#[test]
fn memory_stays_within_half_as_much_as_the_peak_again_however_the_vacancies_are_spread() {
    // Of each word, a little less than half goes; then as many come.
    let mut entries = Entries::new();
    let peak = 16 * SEGMENT;
    let handles: Vec<Handle> = (0..peak as u64)
        .map(|due| entries.insert(due, ()).0)
        .collect();
    for handle in handles {
        if handle.index() % 64 < 31 {
            entries.remove(handle);
        }
    }
    while entries.len() < peak {
        let _ = entries.insert(1, ());
    }
    entries.check_invariants();
    let bound = peak + peak / 2 + SEGMENT;
    assert!(entries.capacity <= bound, "{} entries", entries.capacity);
}

#[test]
fn a_capacity_asked_for_is_there_from_the_start() {
    let mut entries = Entries::with_capacity(SEGMENT + 100);
    entries.check_invariants();
    assert_eq!(entries.capacity, SEGMENT + 128);
    for due in 0..SEGMENT as u32 + 100 {
        let (handle, _) = entries.insert(u64::from(due), ());
        assert_eq!(handle.index(), due);
    }
    assert_eq!(entries.capacity, SEGMENT + 128);
    entries.check_invariants();
}
