//! Promises 1, 2 and 5: never early, bounded lateness, any due time.

use duewheel::{RequestState, Timestamp};

use crate::support::{at, centre, run};

#[test]
fn nothing_is_released_a_millisecond_early() {
    let centre = centre();
    for id in 0..1_000 {
        let due = Timestamp::from_millis(at(0).as_millis() + u64::try_from(id).unwrap() * 7_919);
        centre.schedule(centre.request(id, due), at(0));
    }
    run(&centre, at(0), at(10_000));
    let commands = centre.desk.take();
    assert_eq!(commands.len(), 1_000);
    for command in commands {
        assert_eq!(
            command.released, command.due,
            "at its time, from wake-up to wake-up"
        );
    }
}

#[test]
fn a_clock_that_steps_back_releases_nothing_early() {
    let centre = centre();
    for id in 0..100 {
        centre.schedule(centre.request(id, at(100)), at(0));
    }
    // Everything is moved to the ready heaps, one is released; then the clock steps back.
    let poll = centre.poll_once(at(100), 1);
    assert_eq!((poll.released, poll.more), (1, true));
    assert_eq!(centre.poll(at(99)), 0);
    assert_eq!(centre.state(50), RequestState::Scheduled);
    // What is accepted after the step is early by the clock as it is now, not as it was.
    centre.schedule(centre.request(500, at(60)), at(50));
    assert_eq!(centre.engine.next_wakeup(), Some(at(60)));
    assert_eq!(centre.poll(at(59)), 0);
    assert_eq!(centre.poll(at(60)), 1);
    assert_eq!(centre.poll(at(100)), 99);
}

#[test]
fn a_clock_that_jumps_a_year_releases_each_once() {
    let centre = centre();
    for id in 0..100 {
        centre.schedule(
            centre.request(id, at(60 * u64::try_from(id).unwrap())),
            at(0),
        );
    }
    let year = at(366 * 24 * 3_600);
    assert_eq!(centre.poll(year), 100);
    assert_eq!(
        centre.desk.take_ids(),
        (0..100).collect::<Vec<_>>(),
        "oldest first"
    );
    // And back again: nothing that was decided is undone.
    assert_eq!(centre.poll(at(0)), 0);
    centre.schedule(centre.request(1_000, at(30)), at(1));
    assert_eq!(centre.poll(at(29)), 0);
    assert_eq!(centre.poll(at(30)), 1);
}

#[test]
fn any_due_time_is_taken_and_kept() {
    let centre = centre();
    let far = [
        0,
        1,
        1 << 30,
        1 << 36,
        1 << 40,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    for (id, due) in (0..).zip(far) {
        centre.schedule(centre.request(id, Timestamp::from_millis(due)), at(0));
    }
    assert_eq!(centre.poll(at(0)), 5);
    assert_eq!(centre.poll(Timestamp::from_millis((1 << 63) - 1)), 0);
    assert_eq!(centre.poll(Timestamp::from_millis(1 << 63)), 1);
    assert_eq!(
        centre
            .engine
            .next_wakeup()
            .map(|next| next <= Timestamp::from_millis(u64::MAX - 1)),
        Some(true)
    );
    assert_eq!(centre.poll(Timestamp::from_millis(u64::MAX - 1)), 1);
    assert!(
        centre.engine.next_wakeup().is_some(),
        "the end of time is a time"
    );
    assert_eq!(centre.poll(Timestamp::MAX), 1);
    assert_eq!(centre.engine.next_wakeup(), None);
    assert_eq!(centre.desk.take_ids(), (0..8).collect::<Vec<_>>());
}

#[test]
fn retries_at_the_end_of_time_do_not_overflow() {
    let centre = centre();
    centre
        .desk
        .answer(|_| duewheel::Disposition::Busy { retry_after: None });
    centre.schedule(centre.request(1, Timestamp::MAX), at(0));
    centre.poll(Timestamp::MAX);
    assert_eq!(centre.outcome(1).0, Some(duewheel::Outcome::DeadLettered));
}

#[test]
fn lateness_is_measured_and_reported_by_location() {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    centre.poll(at(0));
    centre.schedule(centre.request(1, at(10)), at(0));
    let mut other = centre.request(2, at(10));
    other.location = there;
    centre.schedule(other, at(0));
    // Overdue at intake: late from its intake on, not from its time.
    centre.schedule(centre.request(3, Timestamp::from_millis(5)), at(11));
    centre.poll(at(12));
    let report = centre.engine.report(at(12));
    assert_eq!(report.lateness.count, 3);
    assert_eq!(report.lateness.max_ms, 2_000);
    let by_location: Vec<_> = report
        .locations
        .iter()
        .map(|l| (&*l.location, l.lateness.count, l.lateness.max_ms))
        .collect();
    assert_eq!(by_location, [("AA0101", 2, 2_000), ("AA0102", 1, 2_000)]);
}

#[test]
fn a_poll_right_after_the_tick_is_at_most_a_tick_late() {
    let centre = centre();
    for id in 0..500_u64 {
        centre.schedule(
            centre.request(
                id.into(),
                Timestamp::from_millis(at(0).as_millis() + id * 3),
            ),
            at(0),
        );
    }
    for ms in 0..2_000 {
        let _ = centre
            .engine
            .poll(Timestamp::from_millis(at(0).as_millis() + ms), 100)
            .unwrap();
    }
    let late = centre.engine.report(at(2)).lateness;
    assert_eq!((late.count, late.max_ms), (500, 0));
}
