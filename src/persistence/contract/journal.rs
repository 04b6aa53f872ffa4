//! What every journal has to do.

#![cfg(test)]

use super::{Subject, stop};
use crate::ids::Timestamp;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Journal, JournalTail, Lsn, Positions};
use crate::sync::Arc;

/// What a frame says, to be compared.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    base: u64,
    count: u32,
    epoch: u32,
    synced: u64,
    polled: Option<u64>,
    closing: bool,
    records: Vec<u8>,
}

impl From<&Frame<'_>> for Told {
    fn from(frame: &Frame<'_>) -> Self {
        Self {
            base: frame.base.0,
            count: frame.count,
            epoch: frame.epoch,
            synced: frame.synced.0,
            polled: frame.polled_until.map(Timestamp::as_millis),
            closing: frame.closing,
            records: frame.records.to_vec(),
        }
    }
}

/// A journal that was begun, and what it is at.
struct Writer {
    journal: Arc<dyn Journal>,
    epoch: u32,
    next: u64,
    synced: u64,
}

impl Writer {
    /// Opens a store, reads it back and begins, as an engine does.
    fn begin(subject: &dyn Subject) -> Self {
        let store = subject.open();
        let (tail, _) = read(&*store.journal, &Positions::default());
        let (epoch, next) = (tail.epoch + 1, tail.highest.next());
        store.journal.begin(epoch, next).unwrap();
        Self {
            journal: store.journal,
            epoch,
            next: next.0,
            synced: next.0 - 1,
        }
    }

    /// Appends a frame of so many records, and answers it.
    fn append(&mut self, count: u32) -> Told {
        self.append_frame(count, None, false)
    }

    fn append_frame(&mut self, count: u32, polled: Option<u64>, closing: bool) -> Told {
        let records: Vec<u8> = (0..count)
            .flat_map(|record| {
                let number = self.next + u64::from(record);
                // Of different lengths, up to some thousands.
                let bytes = 1 + (number * 977) % 3_001;
                vec![number as u8 | 1; bytes as usize]
            })
            .collect();
        let frame = Frame {
            base: Lsn(self.next),
            count,
            epoch: self.epoch,
            synced: Lsn(self.synced),
            polled_until: polled.map(Timestamp::from_millis),
            closing,
            records: &records,
        };
        self.next += u64::from(count);
        assert_eq!(self.journal.append(&frame).unwrap(), self.last());
        Told::from(&frame)
    }

    fn last(&self) -> Lsn {
        Lsn(self.next - 1)
    }

    fn wait(&mut self) {
        let durable = self.journal.wait_durable(self.last()).unwrap();
        assert_eq!(durable, self.last());
        self.synced = durable.0;
    }
}

/// Reads a journal back: what is said of it, and its frames that have records.
fn read(journal: &dyn Journal, from: &Positions) -> (JournalTail, Vec<Told>) {
    let mut told = Vec::new();
    let tail = journal.replay(from, &mut |frame| {
        if frame.count > 0 {
            told.push(Told::from(frame));
        }
        Ok(())
    });
    (tail.unwrap(), told)
}

fn reopened(subject: &dyn Subject) -> (JournalTail, Vec<Told>) {
    read(&*subject.open().journal, &Positions::default())
}

pub(crate) fn a_new_journal_has_nothing_and_is_closed(subject: &dyn Subject) {
    let (tail, told) = reopened(subject);
    let empty = JournalTail {
        closed: true,
        bytes: tail.bytes,
        ..JournalTail::default()
    };
    assert_eq!((tail, told), (empty, vec![]));
}

pub(crate) fn frames_come_back_as_they_were_appended(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    let mut written = vec![writer.append(3)];
    writer.wait();
    written.push(writer.append_frame(1, Some(1_767_596_400_000), false));
    written.push(writer.append_frame(40, Some(1_767_596_399_000), false));
    writer.append_frame(0, None, false);
    writer.wait();
    drop(writer);
    let (tail, told) = reopened(subject);
    assert_eq!(told, written);
    assert_eq!((tail.last, tail.highest), (Lsn(44), Lsn(44)));
    assert_eq!((tail.epoch, tail.records, tail.closed), (1, 44, false));
    let polled = tail.polled_until.map(Timestamp::as_millis);
    assert_eq!(polled, Some(1_767_596_399_000));
    assert_eq!(tail.torn, None);
    assert!(tail.frames >= 3 && tail.bytes > 0);
}

pub(crate) fn reading_back_may_be_repeated_and_ended(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    for _ in 0..3 {
        writer.append(2);
    }
    writer.wait();
    drop(writer);
    let store = subject.open();
    let first = read(&*store.journal, &Positions::default());
    assert_eq!(read(&*store.journal, &Positions::default()), first);
    let mut visits = 0;
    let answer = store.journal.replay(&Positions::default(), &mut |_| {
        visits += 1;
        Err(stop())
    });
    assert_eq!(answer.unwrap_err().to_string(), stop().to_string());
    assert_eq!(visits, 1);
    assert_eq!(read(&*store.journal, &Positions::default()), first);
}

pub(crate) fn no_record_behind_a_position_is_left_out(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    let written: Vec<_> = (0..6).map(|_| writer.append(2)).collect();
    writer.wait();
    drop(writer);
    let store = subject.open();
    for floor in 0..=12 {
        let from = Positions(vec![Lsn(12), Lsn(floor), Lsn(12)]);
        let (tail, told) = read(&*store.journal, &from);
        let needed = written.iter().filter(|frame| frame.base + 1 > floor);
        for frame in needed {
            assert!(told.contains(frame), "{floor}: {frame:?}");
        }
        assert!(told.is_sorted_by_key(|frame| frame.base));
        assert_eq!((tail.last, tail.highest), (Lsn(12), Lsn(12)));
    }
}

pub(crate) fn what_was_waited_for_survives_a_crash(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    let written: Vec<_> = (1..5).map(|count| writer.append(count)).collect();
    writer.wait();
    subject.crash();
    drop(writer);
    let (tail, told) = reopened(subject);
    assert_eq!(told, written);
    assert_eq!((tail.last, tail.closed), (Lsn(10), false));
}

pub(crate) fn what_was_not_waited_for_is_there_in_order_or_not_at_all(subject: &dyn Subject) {
    let mut written = Vec::new();
    for _ in 0..3 {
        let mut writer = Writer::begin(subject);
        written.push(writer.append(2));
        writer.wait();
        let unsure: Vec<_> = (0..4).map(|_| writer.append(3)).collect();
        subject.crash();
        drop(writer);
        let (tail, told) = reopened(subject);
        assert_eq!(told[..written.len()], written);
        let rest = told[written.len()..].to_vec();
        assert_eq!(rest, unsure[..rest.len()]);
        written.extend(rest);
        let last = written.last().unwrap();
        assert_eq!(tail.last.0, last.base + u64::from(last.count) - 1);
    }
}

pub(crate) fn word_without_records_survives_a_crash_once_it_was_waited_for(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    writer.append(2);
    writer.wait();
    writer.append_frame(0, Some(77), false);
    writer.wait();
    subject.crash();
    drop(writer);
    let (tail, _) = reopened(subject);
    assert_eq!(tail.polled_until, Some(Timestamp::from_millis(77)));
    assert_eq!((tail.last, tail.highest), (Lsn(2), Lsn(2)));
}

pub(crate) fn closing_is_told_of_until_something_follows(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    writer.append(2);
    writer.wait();
    writer.append_frame(0, None, true);
    writer.wait();
    subject.crash();
    drop(writer);
    assert!(reopened(subject).0.closed);
    let mut writer = Writer::begin(subject);
    writer.append(1);
    writer.wait();
    drop(writer);
    let (tail, told) = reopened(subject);
    assert!(!tail.closed);
    assert_eq!(told.len(), 2);
}

pub(crate) fn numbers_may_be_left_out_between_two_openings(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    let first = writer.append(2);
    writer.wait();
    drop(writer);
    let store = subject.open();
    read(&*store.journal, &Positions::default());
    store.journal.begin(9, Lsn(100)).unwrap();
    let journal = Arc::clone(&store.journal);
    // The writer is then all that is left of this opening.
    drop(store);
    let mut writer = Writer {
        journal,
        epoch: 9,
        next: 100,
        synced: 2,
    };
    let second = writer.append(2);
    writer.wait();
    drop(writer);
    let (tail, told) = reopened(subject);
    assert_eq!(told, [first, second]);
    assert_eq!((tail.last, tail.epoch), (Lsn(101), 9));
}

pub(crate) fn a_writer_begins_above_all_that_was_used(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    writer.append(5);
    writer.wait();
    drop(writer);
    let mut writer = Writer::begin(subject);
    writer.append(5);
    writer.wait();
    drop(writer);
    let store = subject.open();
    read(&*store.journal, &Positions::default());
    let stale = store.journal.begin(1, Lsn(11));
    assert!(
        matches!(stale, Err(StoreError::Stale { epoch: 1, newer: 2 })),
        "{stale:?}"
    );
}

pub(crate) fn calls_out_of_order_are_errors(subject: &dyn Subject) {
    let frame = Frame {
        base: Lsn(1),
        count: 0,
        epoch: 1,
        synced: Lsn(0),
        polled_until: None,
        closing: false,
        records: &[],
    };
    let store = subject.open();
    let journal = &*store.journal;
    assert!(journal.begin(1, Lsn(1)).is_err(), "before it is read back");
    assert!(journal.append(&frame).is_err(), "before it is begun");
    assert!(journal.wait_durable(Lsn(0)).is_err(), "before it is begun");
    read(journal, &Positions::default());
    assert!(journal.append(&frame).is_err(), "before it is begun");
    journal.begin(1, Lsn(1)).unwrap();
    assert!(journal.begin(2, Lsn(1)).is_err(), "a second time");
    let again = journal.replay(&Positions::default(), &mut |_| Ok(()));
    assert!(again.is_err(), "after it was begun");
    assert!(journal.append(&frame).is_ok());
}

pub(crate) fn trimming_drops_nothing_that_is_needed(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    let mut written: Vec<_> = (0..8).map(|_| writer.append(5)).collect();
    writer.wait();
    let below = Positions(vec![Lsn(40), Lsn(22)]);
    let before = writer.journal.bytes();
    writer.journal.trim(&below).unwrap();
    assert!(writer.journal.bytes() <= before);
    written.push(writer.append(5));
    writer.wait();
    drop(writer);
    let store = subject.open();
    let (tail, told) = read(&*store.journal, &below);
    assert_eq!(tail.last, Lsn(45));
    for frame in written.iter().filter(|frame| frame.base + 4 > 22) {
        assert!(told.contains(frame), "{frame:?}");
    }
}

pub(crate) fn trimming_all_keeps_what_is_said_of_the_end(subject: &dyn Subject) {
    let mut writer = Writer::begin(subject);
    writer.append_frame(5, Some(33), false);
    writer.wait();
    writer.append_frame(0, Some(44), true);
    writer.wait();
    writer
        .journal
        .trim(&Positions(vec![Lsn(5), Lsn(5)]))
        .unwrap();
    drop(writer);
    let store = subject.open();
    let (tail, _) = read(&*store.journal, &Positions(vec![Lsn(5), Lsn(5)]));
    assert_eq!((tail.last, tail.highest, tail.epoch), (Lsn(5), Lsn(5), 1));
    assert_eq!(tail.polled_until, Some(Timestamp::from_millis(44)));
    assert!(tail.closed);
}

pub(crate) fn many_frames_come_back_over_several_openings(subject: &dyn Subject) {
    let mut written = Vec::new();
    for opening in 0..4 {
        let mut writer = Writer::begin(subject);
        for count in 0..50 {
            let frame = writer.append(count % 7);
            written.extend((frame.count > 0).then_some(frame));
            if count % 9 == 0 {
                writer.wait();
            }
        }
        writer.wait();
        if opening % 2 == 0 {
            subject.crash();
        }
        drop(writer);
    }
    let (tail, told) = reopened(subject);
    assert_eq!(told, written);
    assert_eq!(tail.epoch, 4);
}
