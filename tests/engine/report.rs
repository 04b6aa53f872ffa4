//! P3: the report.

use std::time::Duration;

use duewheel::{Disposition, Outcome, Report, ReportOptions, RequestState, ScheduleData};

use crate::support::{at, centre, run, secs};

fn busy_centre() -> crate::support::Centre {
    let centre = centre();
    let there = centre.engine.directory().enter("AA0102").unwrap();
    centre.desk.answer(|command| match command.id.value() {
        1 => Disposition::Rejected("do not call".into()),
        2 => Disposition::Accepted {
            lease_for: secs(10_000),
        },
        _ => Disposition::Routed,
    });
    for id in 0..10_u128 {
        let mut request = centre.request(id, at(10));
        if id >= 8 {
            request.location = there;
        }
        centre.schedule(request, at(0));
    }
    for hours in [1_u64, 1, 2, 30] {
        let id = 100 + u128::try_from(centre.engine.pending()).unwrap();
        centre.schedule(centre.request(id, at(hours * 3_600 + 60)), at(0));
    }
    let limited = ScheduleData::builder()
        .time(at(20))
        .not_after(at(21))
        .build()
        .unwrap();
    centre.schedule(centre.immediate(200).with_schedule(limited), at(0));
    centre.engine.cancel(9.into(), at(1)).map(drop).unwrap();
    run(&centre, at(0), at(15));
    centre.poll(at(30));
    centre
}

#[test]
fn it_counts_by_state_outcome_reason_and_location() {
    let centre = busy_centre();
    let report = centre.engine.report(at(60));
    assert_eq!(report.pending, 5);
    assert_eq!(report.states[&RequestState::Routing], 1);
    assert_eq!(report.states[&RequestState::Scheduled], 4);
    assert_eq!(report.outcomes[&Outcome::Routed], 7);
    let reasons: Vec<_> = report
        .reasons
        .iter()
        .map(|r| (r.outcome, r.reason.as_deref(), r.count))
        .collect();
    assert_eq!(
        reasons,
        [
            (Outcome::Routed, None, 7),
            (Outcome::Cancelled, None, 1),
            (Outcome::Expired, Some("not_after"), 1),
            (Outcome::Rejected, Some("do not call"), 1),
        ]
    );
    assert_eq!(report.remembered, 10);
    assert_eq!(report.lateness.count, 9);
    let there = &report.locations[1];
    assert_eq!(&*there.location, "AA0102");
    assert_eq!(
        (
            there.outcomes[&Outcome::Routed],
            there.outcomes[&Outcome::Cancelled]
        ),
        (1, 1)
    );
    assert_eq!(there.lateness.count, 1);
}

#[test]
fn the_forecast_counts_what_falls_due_per_location_and_interval() {
    let centre = busy_centre();
    let report = centre.engine.report(at(60));
    assert_eq!(report.forecast.interval_ms, 3_600_000);
    assert_eq!(report.forecast.intervals.len(), 24);
    assert_eq!(&report.forecast.intervals[..4], [0, 2, 1, 0]);
    assert_eq!((report.forecast.overdue, report.forecast.beyond), (0, 1));
    assert_eq!(report.locations[0].forecast, report.forecast);
    let options = ReportOptions {
        horizon: secs(7_200),
        interval: secs(1_800),
    };
    let report = centre.engine.report_with(at(60), &options);
    assert_eq!(report.forecast.intervals, [0, 0, 2, 0]);
    assert_eq!(report.forecast.beyond, 2);
}

#[test]
fn extreme_options_are_bounded() {
    let centre = busy_centre();
    for (horizon, interval) in [
        (Duration::MAX, Duration::ZERO),
        (Duration::ZERO, Duration::MAX),
        (Duration::MAX, Duration::MAX),
    ] {
        let report = centre
            .engine
            .report_with(at(60), &ReportOptions { horizon, interval });
        assert!((1..=10_000).contains(&report.forecast.intervals.len()));
        let counted = report.forecast.intervals.iter().sum::<u64>();
        assert_eq!(
            counted + report.forecast.overdue + report.forecast.beyond,
            4
        );
    }
}

#[test]
fn the_oldest_overdue_is_named() {
    let centre = busy_centre();
    let report = centre.engine.report(at(3_600 + 61));
    let oldest = report.oldest_overdue.unwrap();
    assert_eq!(
        (&*oldest.location, oldest.due, oldest.late_ms),
        ("AA0101", at(3_660), 1_000)
    );
    assert_eq!(report.forecast.overdue, 2);
}

#[test]
fn serde_gives_it_back_and_the_table_is_readable() {
    let centre = busy_centre();
    let report = centre.engine.report(at(60));
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    assert!(json.contains(
        r#""outcomes":{"routed":7,"cancelled":1,"expired":1,"rejected":1,"dead_lettered":0}"#
    ));
    assert!(json.contains(r#""now":"2026-01-05T07:01:00Z""#));
    let table = report.to_string();
    for line in [
        "pending 5  scheduled 4  routing 1",
        "rejected (do not call) 1",
        "AA0102",
        "from 2026-01-05T08:01:00Z  2",
    ] {
        assert!(table.contains(line), "{line:?} in\n{table}");
    }
}

#[test]
fn a_location_on_hold_is_told_of_before_its_first_request() {
    let centre = centre();
    centre.engine.hold(centre.here, at(0)).unwrap();
    let report = centre.engine.report(at(1));
    assert_eq!(report.locations.len(), 1);
    assert!(report.locations[0].held);
}

#[test]
fn a_reason_is_kept_up_to_its_bound() {
    let centre = centre();
    centre
        .desk
        .answer(|_| Disposition::Rejected("é".repeat(100_000).into()));
    centre.schedule(centre.immediate(1), at(0));
    centre.poll(at(0));
    let (_, reason) = centre.outcome(1);
    assert_eq!(reason.unwrap(), "é".repeat(128));
}

#[test]
fn locks_are_counted_and_nobody_waits_where_there_is_one_thread() {
    let centre = centre();
    let before = centre.engine.contention();
    centre.schedule(centre.request(1, at(60)), at(0));
    let _ = centre.engine.status(1.into());
    let _ = centre.engine.cancel(1.into(), at(0));
    let after = centre.engine.contention();
    assert!(after.acquisitions >= before.acquisitions + 3, "{after:?}");
    assert_eq!(after.waits, 0);
}
