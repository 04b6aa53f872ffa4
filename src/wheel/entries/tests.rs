//! Generations, arming numbers and reuse.

use super::*;

#[test]
fn an_option_of_a_handle_takes_eight_bytes() {
    assert_eq!(size_of::<Handle>(), 8);
    assert_eq!(size_of::<Option<Handle>>(), 8);
    assert_eq!(size_of::<Entry<u64>>(), 32);
}

#[test]
fn an_entry_at_the_end_of_its_generations_is_retired() {
    let mut entries = Entries::new();
    let (handle, _) = entries.insert(1, 'a');
    let (last, _) = entries.renumber(handle, EXHAUSTED - 1, 0);
    assert_eq!(entries.remove(last), Some((1, 'a')));
    entries.check_invariants();
    for _ in 0..200 {
        let (handle, _) = entries.insert(2, 'b');
        assert_ne!(handle.index(), last.index());
    }
    assert_eq!(entries.get(last), None);
    entries.check_invariants();
}

#[test]
fn an_entry_at_the_end_of_its_arming_numbers_is_retired() {
    let mut entries = Entries::new();
    let (handle, _) = entries.insert(1, 'a');
    let (handle, record) = entries.renumber(handle, 7, EXHAUSTED - 1);
    assert_eq!(entries.fire(record), Some((handle, 'a')));
    assert_eq!(entries.fire(record), None);
    assert!(!entries.is_live(record));
    entries.check_invariants();
}

#[test]
fn vacancies_are_used_in_address_order_and_before_new_memory() {
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
    assert!(again.is_sorted(), "reuse goes in address order");
    assert_eq!(entries.segments.len(), 3);
    entries.check_invariants();
}

#[test]
fn a_capacity_asked_for_is_there_from_the_start() {
    let mut entries = Entries::with_capacity(SEGMENT + 100);
    entries.check_invariants();
    for due in 0..SEGMENT as u64 + 100 {
        let _ = entries.insert(due, ());
    }
    assert_eq!(entries.segments.len(), 2);
    assert_eq!(entries.segments[1].entries.len(), 100);
    entries.check_invariants();
}
