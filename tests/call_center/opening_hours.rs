//! When somebody is called back.

use std::time::Duration;

use duewheel::{Media, Timestamp};

use crate::hours::OpeningHours;
use crate::records::ClockTime;
use crate::zone::Zone;

fn zone() -> Zone {
    "Asia/Jerusalem".parse().unwrap()
}

/// A time in February 1999, by clocks in Jerusalem (two hours ahead of UTC), such as `05T13:30`.
fn at(text: &str) -> Timestamp {
    format!("1999-02-{text}:00+02:00").parse().unwrap()
}

/// The call-back of who left then: first, second, closing, and the windows of the answer.
#[track_caller]
fn check(
    left: &str,
    first: &str,
    second: Option<&str>,
    closing: &str,
    windows: &[(&str, &str, Media)],
) {
    let plan = OpeningHours::new(zone()).call_back(at(left)).unwrap();
    assert_eq!(plan.first, at(first), "first");
    assert_eq!(plan.second, second.map(at), "second");
    assert_eq!(plan.closing, at(closing), "closing");
    let windows: Vec<_> = windows
        .iter()
        .map(|(from, until, media)| (at(from), at(until), *media))
        .collect();
    assert_eq!(plan.answers, windows);
}

#[test]
fn within_opening_hours_it_is_a_quarter_of_an_hour_later() {
    // 1 February 1999 was a Monday.
    let windows = [
        ("01T09:25", "01T23:00", Media::Voice),
        ("01T23:00", "02T00:00", Media::Sms),
    ];
    check(
        "01T09:10",
        "01T09:25",
        Some("01T10:25"),
        "02T00:00",
        &windows,
    );
}

#[test]
fn before_opening_it_is_at_the_opening() {
    let windows = [
        ("01T07:00", "01T23:00", Media::Voice),
        ("01T23:00", "02T00:00", Media::Sms),
    ];
    check(
        "01T02:30",
        "01T07:00",
        Some("01T08:00"),
        "02T00:00",
        &windows,
    );
    // On the dot.
    check(
        "01T06:45",
        "01T07:00",
        Some("01T08:00"),
        "02T00:00",
        &windows,
    );
}

#[test]
fn at_closing_it_moves_to_the_next_opening() {
    let windows = [
        ("02T07:00", "02T23:00", Media::Voice),
        ("02T23:00", "03T00:00", Media::Sms),
    ];
    check(
        "01T23:45",
        "02T07:00",
        Some("02T08:00"),
        "03T00:00",
        &windows,
    );
    // Thursday evening to the short Friday, Friday afternoon to Saturday evening, that night to Sunday.
    let friday = [
        ("05T07:00", "05T13:00", Media::Voice),
        ("05T13:00", "05T14:00", Media::Sms),
    ];
    check(
        "04T23:50",
        "05T07:00",
        Some("05T08:00"),
        "05T14:00",
        &friday,
    );
    let saturday = [
        ("06T20:00", "06T23:00", Media::Voice),
        ("06T23:00", "07T00:00", Media::Sms),
    ];
    check(
        "05T13:45",
        "06T20:00",
        Some("06T21:00"),
        "07T00:00",
        &saturday,
    );
    let sunday = [
        ("07T07:00", "07T23:00", Media::Voice),
        ("07T23:00", "08T00:00", Media::Sms),
    ];
    check(
        "06T23:45",
        "07T07:00",
        Some("07T08:00"),
        "08T00:00",
        &sunday,
    );
}

#[test]
fn a_second_time_at_or_past_closing_is_dropped() {
    let sms = [("05T13:00", "05T14:00", Media::Sms)];
    check("05T12:45", "05T13:00", None, "05T14:00", &sms);
    let late = [("05T13:59", "05T14:00", Media::Sms)];
    check("05T13:44", "05T13:59", None, "05T14:00", &late);
    // One minute earlier it is still there.
    let both = [("05T12:59", "05T13:00", Media::Voice), sms[0]];
    check("05T12:44", "05T12:59", Some("05T13:59"), "05T14:00", &both);
}

#[test]
fn opening_is_inclusive_and_closing_exclusive() {
    let hours = OpeningHours::new(zone());
    for (time, open) in [
        ("01T06:59", false),
        ("01T07:00", true),
        ("01T23:59", true),
        ("02T00:00", false),
        ("05T13:59", true),
        ("05T14:00", false),
        ("06T19:59", false),
        ("06T20:00", true),
    ] {
        assert_eq!(hours.is_open(at(time)), open, "{time}");
    }
}

#[test]
fn opening_hours_follow_the_clocks_of_the_place() {
    // In Jerusalem clocks went from 02:00 to 03:00 on Friday, 26 March 2027.
    let hours = OpeningHours::new(zone());
    let left = "2027-03-25T23:50:00+02:00".parse().unwrap();
    let plan = hours.call_back(left).unwrap();
    assert_eq!(plan.first, "2027-03-26T07:00:00+03:00".parse().unwrap());
    assert_eq!(plan.closing, "2027-03-26T14:00:00+03:00".parse().unwrap());
}

#[test]
fn a_day_that_a_zone_left_out_is_passed_over() {
    // Samoa went from Thursday to Saturday across the date line, at the end of 29 December 2011.
    let hours = OpeningHours::new("Pacific/Apia".parse().unwrap());
    let left = "2011-12-29T23:50:00-10:00".parse().unwrap();
    let plan = hours.call_back(left).unwrap();
    assert_eq!(plan.first, "2011-12-31T20:00:00+14:00".parse().unwrap());
}

#[test]
fn the_calendar_has_an_end() {
    let hours = OpeningHours::new(zone());
    let end = Timestamp::from_millis(253_402_207_200_000);
    assert!(
        hours
            .call_back(end.saturating_add(Duration::from_secs(999_999)))
            .is_none()
    );
    assert!(hours.call_back(Timestamp::MAX).is_none());
}

#[test]
fn a_time_that_clocks_skip_moves_forward_and_of_two_the_first_is_meant() {
    let zone = zone();
    let instant = |date, time| zone.instant(date, ClockTime(time)).unwrap();
    let gap = jiff::civil::date(2027, 3, 26);
    assert_eq!(
        instant(gap, 2 * 3600 + 1800),
        "2027-03-26T03:30:00+03:00".parse().unwrap()
    );
    let overlap = jiff::civil::date(2027, 10, 31);
    assert_eq!(
        instant(overlap, 3600 + 1800),
        "2027-10-31T01:30:00+03:00".parse().unwrap()
    );
}
