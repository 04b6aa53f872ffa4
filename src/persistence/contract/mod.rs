//! What every adapter of a store has to do, as tests that are run over each of them.
//!
//! An adapter says how its store is opened and how it crashes ([`Subject`]), and names a function that makes an empty
//! one; [`store_contract!`] makes a test of each function here. A store is opened anew only when nothing that was
//! opened before is there any more.
//!
//! What was not waited for may or may not be there after a crash, so nothing is asked of it but its order.

#![cfg(test)]

pub(crate) mod journal;
pub(crate) mod snapshots;

use super::error::StoreError;
use super::store::Store;

/// An adapter under test: one store, empty at first.
pub(crate) trait Subject {
    /// Opens it as another process would, after the one before has ended.
    fn open(&self) -> Store;

    /// Loses what was not made durable; whatever is open can do nothing any more.
    fn crash(&self);
}

/// Makes a test of each function of the contract, for the subjects that `$make` makes.
macro_rules! store_contract {
    ($make:expr) => {
        $crate::persistence::contract::store_contract!($make; journal;
            a_new_journal_has_nothing_and_is_closed,
            frames_come_back_as_they_were_appended,
            reading_back_may_be_repeated_and_ended,
            no_record_behind_a_position_is_left_out,
            what_was_waited_for_survives_a_crash,
            what_was_not_waited_for_is_there_in_order_or_not_at_all,
            word_without_records_survives_a_crash_once_it_was_waited_for,
            closing_is_told_of_until_something_follows,
            numbers_may_be_left_out_between_two_openings,
            a_writer_begins_above_all_that_was_used,
            calls_out_of_order_are_errors,
            trimming_drops_nothing_that_is_needed,
            trimming_all_keeps_what_is_said_of_the_end,
            many_frames_come_back_over_several_openings,
        );
        $crate::persistence::contract::store_contract!($make; snapshots;
            a_new_store_has_no_snapshots,
            a_snapshot_comes_back_as_it_was_written,
            the_two_newest_snapshots_are_kept,
            a_chunk_that_is_named_again_stays,
            an_unfinished_chunk_leaves_nothing_that_matters,
            an_abandoned_snapshot_leaves_nothing,
            reading_a_chunk_ends_where_the_visitor_says,
            a_snapshot_of_chunks_that_are_not_there_is_refused,
        );
    };
    ($make:expr; $part:ident; $($name:ident,)*) => {
        $(#[test]
        fn $name() {
            $crate::persistence::contract::$part::$name(&$make());
        })*
    };
}
pub(crate) use store_contract;

/// A visitor has seen enough.
fn stop() -> StoreError {
    StoreError::from_io("visit", std::io::Error::other("enough"))
}
