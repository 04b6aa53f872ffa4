//! Every schedule is read as it was written, and nothing else is read.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::schedule::strategies::schedule;

fn stored(schedule: &ScheduleData) -> Vec<u8> {
    let mut bytes = Vec::new();
    schedule.to_stored(&mut bytes);
    bytes
}

fn refused(bytes: &[u8]) -> &'static str {
    ScheduleData::from_stored(bytes).unwrap_err().found
}

fn point(text: &str) -> PointInTime {
    PointInTime::rfc3339(text).unwrap()
}

fn local(civil: &str, zone: &str) -> PointInTime {
    PointInTime::local(civil, zone).unwrap()
}

/// The stored form of `schedule`, with another zone's name where there is `zone`, of the same length.
fn renamed(schedule: &ScheduleData, zone: &str, other: &str) -> Vec<u8> {
    assert_eq!(zone.len(), other.len());
    let mut bytes = stored(schedule);
    let found = |bytes: &[u8]| {
        bytes
            .windows(zone.len())
            .position(|word| word == zone.as_bytes())
    };
    assert!(found(&bytes).is_some());
    while let Some(at) = found(&bytes) {
        bytes[at..at + zone.len()].copy_from_slice(other.as_bytes());
    }
    bytes
}

proptest! {
    #[test]
    fn a_schedule_written_is_the_schedule_read(schedule in schedule(), before in vec(any::<u8>(), 0..3)) {
        let mut bytes = before.clone();
        schedule.to_stored(&mut bytes);
        prop_assert_eq!(&bytes[..before.len()], &before);
        let read = ScheduleData::from_stored(&bytes[before.len()..]).unwrap();
        prop_assert_eq!(&read, &schedule);
        prop_assert_eq!(stored(&read), &bytes[before.len()..]);
    }

    #[test]
    fn a_schedule_that_was_moved_is_read_too(schedule in schedule(), index in any::<Index>(), now in 0..8_000_000_000_000_u64) {
        let index = index.index(schedule.times().len());
        if let Some(moved) = schedule.next_day(index, Timestamp::from_millis(now)) {
            prop_assert_eq!(ScheduleData::from_stored(&stored(&moved)).unwrap(), moved);
        }
    }

    #[test]
    fn a_schedule_cut_short_is_an_error(schedule in schedule(), at in any::<Index>()) {
        let bytes = stored(&schedule);
        prop_assert!(ScheduleData::from_stored(&bytes[..at.index(bytes.len())]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever is read is one that the builder lets through, but for what moving may do.
    #[test]
    fn no_edit_of_a_schedule_breaks_its_rules(schedule in schedule(), edits in vec((any::<Index>(), any::<u8>()), 1..4)) {
        let mut bytes = stored(&schedule);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let Ok(read) = ScheduleData::from_stored(&bytes) else { return Ok(()) };
        prop_assert_eq!(&ScheduleData::from_stored(&stored(&read)).unwrap(), &read);
        let mut builder = ScheduleData::builder();
        let mut last = None;
        for time in read.times() {
            if last < Some(time.at()) && read.not_after().is_none_or(|limit| time.at() < limit) {
                builder = builder.time_if(time.point(), time.condition().clone());
                last = Some(time.at());
            }
        }
        if last.is_none() {
            return Ok(());
        }
        if let Some(limit) = read.not_before_point() {
            builder = builder.not_before(limit);
        }
        if let Some(limit) = read.not_after_point() {
            builder = builder.not_after(limit);
        }
        for window in read.media_windows() {
            builder = builder.response_media(window.from_point(), window.until_point(), window.media());
        }
        let built = builder.recheck(read.recheck()).retry(read.retry().clone()).build();
        prop_assert!(built.is_ok(), "{:?}", built);
    }
}

#[test]
fn a_clock_in_a_gap_or_an_overlap_is_kept_as_written() {
    for civil in ["2026-03-27T02:30:00", "2026-10-25T01:30:00"] {
        let schedule = ScheduleData::at(local(civil, "Asia/Jerusalem"));
        let read = ScheduleData::from_stored(&stored(&schedule)).unwrap();
        assert_eq!(read, schedule);
        assert_eq!(
            read.times()[0].point().to_string(),
            format!("{civil}[Asia/Jerusalem]")
        );
    }
}

#[test]
fn moved_times_may_coincide_and_lie_past_the_not_after() {
    // 02:30 and 03:30 of the day before are one time on the day whose hour from two to three is left out.
    let schedule = ScheduleData::builder()
        .time(local("2026-03-26T02:30:00", "Asia/Jerusalem"))
        .time(local("2026-03-26T03:30:00", "Asia/Jerusalem"))
        .not_after(local("2026-03-26T12:00:00", "Asia/Jerusalem"))
        .build()
        .unwrap();
    let moved = schedule.next_day(0, schedule.not_after().unwrap()).unwrap();
    assert_eq!(moved.times()[0].at(), moved.times()[1].at());
    assert!(moved.times()[0].at() > moved.not_after().unwrap());
    assert_eq!(ScheduleData::from_stored(&stored(&moved)), Ok(moved));
}

#[test]
fn a_zone_that_is_no_longer_known_leaves_the_time_and_its_offset() {
    let schedule = ScheduleData::builder()
        .time(local("2026-01-05T10:00:00", "Asia/Jerusalem"))
        .time(local("2026-07-05T10:00:00", "Asia/Jerusalem"))
        .not_after(local("2026-07-06T10:00:00", "Asia/Jerusalem"))
        .response_media(
            local("2026-01-05T10:00:00", "Asia/Jerusalem"),
            local("2026-01-05T11:00:00", "Asia/Jerusalem"),
            Media::Sms,
        )
        .build()
        .unwrap();
    let bytes = renamed(&schedule, "Asia/Jerusalem", "Mars/OlympusMo");
    let read = ScheduleData::from_stored(&bytes).unwrap();
    let as_written = ScheduleData::builder()
        .time(point("2026-01-05T10:00:00+02:00"))
        .time(point("2026-07-05T10:00:00+03:00"))
        .not_after(point("2026-07-06T10:00:00+03:00"))
        .response_media(
            point("2026-01-05T10:00:00+02:00"),
            point("2026-01-05T11:00:00+02:00"),
            Media::Sms,
        )
        .build()
        .unwrap();
    assert_eq!(read, as_written);
    // From then on it is a schedule as any other.
    assert_eq!(ScheduleData::from_stored(&stored(&read)), Ok(as_written));
}

#[test]
fn an_offset_that_no_text_can_say_becomes_utc() {
    // Monrovia's clocks were 44 minutes and 30 seconds behind.
    let schedule = ScheduleData::at(local("1971-01-05T10:00:00", "Africa/Monrovia"));
    assert_eq!(
        ScheduleData::from_stored(&stored(&schedule)).as_ref(),
        Ok(&schedule)
    );
    let bytes = renamed(&schedule, "Africa/Monrovia", "Africa/Monrovai");
    let utc = ScheduleData::at(point("1971-01-05T10:44:30Z"));
    assert_eq!(ScheduleData::from_stored(&bytes), Ok(utc));
}

#[test]
fn a_zone_in_utc_that_is_no_longer_known_becomes_utc() {
    let schedule = ScheduleData::at(local("2026-01-05T10:00:00", "Europe/London"));
    let bytes = renamed(&schedule, "Europe/London", "Europe/Narnia");
    let utc = ScheduleData::at(point("2026-01-05T10:00:00Z"));
    assert_eq!(ScheduleData::from_stored(&bytes), Ok(utc));
}

/// What was decided stands, whatever the database says by now.
#[test]
fn a_zone_keeps_the_offset_that_was_applied() {
    let schedule = ScheduleData::at(local("2026-01-05T10:00:00", "Europe/Athens"));
    let read = ScheduleData::from_stored(&renamed(&schedule, "Europe/Athens", "Europe/London"));
    let read = read.unwrap();
    assert_eq!(read.times()[0].at(), schedule.times()[0].at());
    assert_eq!(
        read.times()[0].point().to_string(),
        "2026-01-05T10:00:00[Europe/London]"
    );
}

/// One time at the epoch, with this list of nodes as its condition.
fn with_nodes(nodes: &[u8]) -> Vec<u8> {
    [&[1, 0, 0], nodes, &[0]].concat()
}

#[test]
fn conditions_are_bounded_while_they_are_read() {
    let always = ScheduleData::at(Timestamp::EPOCH);
    assert_eq!(ScheduleData::from_stored(&with_nodes(&[1, 0])), Ok(always));
    let nested = |levels: usize| {
        let mut nodes = vec![7; levels];
        nodes[levels - 1] = 4;
        let mut list = postcard::to_stdvec(&levels).unwrap();
        list.append(&mut nodes);
        ScheduleData::from_stored(&with_nodes(&list))
    };
    let most = nested(ProcessingCondition::NESTING_MAX).unwrap();
    assert_eq!(most.times()[0].condition().nesting(40), 32);
    for levels in [33, 34, 1_000_000] {
        let error = nested(levels).unwrap_err();
        assert_eq!(error.expected, "at most 32 levels of conditions");
    }
}

#[test]
fn counts_that_lie_are_errors() {
    let most = [&[255; 9][..], &[1]].concat();
    let fewer = "fewer conditions than are counted";
    // `all` of 2^64-1, of which none is there, and of two, of which one is.
    assert_eq!(refused(&with_nodes(&[&[1, 5][..], &most].concat())), fewer);
    assert_eq!(refused(&with_nodes(&[2, 5, 2, 4])), fewer);
    assert_eq!(refused(&with_nodes(&[1, 7])), fewer);
    assert_eq!(refused(&with_nodes(&[0])), fewer);
    assert_eq!(refused(&with_nodes(&[2, 4, 4])), "a further condition");
    // Lists of 2^64-1 nodes, and of as many times.
    let nonsense = "bytes that do not add up";
    assert_eq!(refused(&with_nodes(&most)), nonsense);
    assert_eq!(refused(&most), nonsense);
    assert_eq!(refused(&with_nodes(&[1, 8])), nonsense);
    assert_eq!(refused(&[]), nonsense);
    assert_eq!(refused(&[0, 0]), "no time");
    assert_eq!(refused(&[1, 0, 0, 1, 0, 0, 0]), "further bytes");
    // A zero of two bytes.
    let long = [1, 128, 0, 0, 1, 0, 0];
    assert_eq!(refused(&long), "a number written longer than it is");
}

#[test]
fn times_that_no_clock_shows_are_errors() {
    let at = |millis: u64, written: &[u8]| {
        let mut bytes = vec![1];
        bytes.append(&mut postcard::to_stdvec(&millis).unwrap());
        bytes.extend_from_slice(written);
        bytes.extend_from_slice(&[1, 0, 0]);
        ScheduleData::from_stored(&bytes).map(|schedule| schedule.times()[0].point().to_string())
    };
    // As postcard writes them: which of the three, then twice the seconds, odd where negative.
    let offset = |seconds: i32| [&[1][..], &postcard::to_stdvec(&seconds).unwrap()].concat();
    let zone = |seconds: i32| {
        let name = b"Asia/Tokyo";
        let seconds = postcard::to_stdvec(&seconds).unwrap();
        [&[2, 10][..], name, &seconds].concat()
    };
    let error = Err(error(
        "a time on no clock",
        "a time and an offset from UTC that a wall clock can show together",
    ));
    let last = 253_402_300_799_999;
    assert_eq!(at(0, &offset(86_340)).unwrap(), "1970-01-01T23:59:00+23:59");
    assert_eq!(
        at(0, &offset(-86_340)).unwrap(),
        "1969-12-31T00:01:00-23:59"
    );
    for seconds in [0, 1, 59, 86_400, -86_400, i32::MAX, i32::MIN] {
        assert_eq!(at(0, &offset(seconds)), error, "{seconds}");
    }
    assert!(at(last, &offset(-60)).is_ok());
    assert_eq!(at(last, &offset(60)), error);
    assert!(at(last - 60_000, &offset(60)).is_ok());
    assert_eq!(at(last + 1, &offset(-60)), error);
    assert_eq!(at(u64::MAX, &offset(-60)), error);
    assert_eq!(at(u64::MAX, &[0]).unwrap(), format!("{}ms", u64::MAX));

    assert_eq!(
        at(0, &zone(32_400)).unwrap(),
        "1970-01-01T09:00:00[Asia/Tokyo]"
    );
    assert_eq!(at(last, &zone(32_400)), error);
    assert_eq!(at(last + 1, &zone(-32_400)), error);
    for seconds in [93_600, -93_600, i32::MAX, i32::MIN] {
        assert_eq!(at(0, &zone(seconds)), error, "{seconds}");
    }
    assert!(at(0, &[2, 1, 255, 0]).is_err(), "a name that is no UTF-8");
    assert!(at(0, &[3]).is_err(), "a fourth way of being written");
}

/// A plain schedule is stored as its time alone, and default rules not at all: both mean these, in every build.
#[test]
fn the_defaults_are_part_of_the_format() {
    let schedule = ScheduleData::at(Timestamp::EPOCH);
    assert_eq!(
        serde_json::to_string(&schedule).unwrap(),
        r#"{"times":[{"at":"1970-01-01T00:00:00Z","condition":"always"}],"response_media":[],"recheck":"30s","exhausted":"release","missed":"release","retry":{"attempts":3,"initial":"30s","max":"15m","jitter":0.0}}"#,
        "stored schedules would now mean something else: raise RECORD_VERSION, and write the old defaults out on reading"
    );
}

/// The form of rules, in which every field is told apart; the values of fields are checked where they are used.
#[test]
fn rules_out_of_bounds_are_errors() {
    let rules = |edit: &dyn Fn(&mut RulesForm<'static, Vec<WindowForm<'static>>>)| {
        let at = |at| PointForm {
            at,
            written: WrittenForm::Utc,
        };
        let window = |from, until| WindowForm {
            from: at(from),
            until: at(until),
            media: 3,
        };
        let mut rules = RulesForm {
            not_before: Some(at(50)),
            not_after: Some(at(200)),
            windows: vec![window(1, 2), window(2, 3)],
            threshold_wait: Some(5),
            recheck: 1,
            exhausted: 2,
            missed: 1,
            attempts: 1000,
            initial: 1,
            max: 1,
            jitter: 1.0,
        };
        edit(&mut rules);
        let form = Form {
            times: vec![TimeForm {
                at: at(100),
                condition: vec![Node::Always],
            }],
            rules: Some(rules),
        };
        let read = ScheduleData::from_stored(&postcard::to_stdvec(&form).unwrap());
        read.map_err(|error| error.found)
    };
    assert!(rules(&|_| {}).is_ok());
    let not_before = Err("a time before the not-before");
    assert_eq!(
        rules(&|rules| rules.not_before.as_mut().unwrap().at = 101),
        not_before
    );
    let limits = Err("a not-after that is not after the not-before");
    assert_eq!(
        rules(&|rules| rules.not_after.as_mut().unwrap().at = 50),
        limits
    );
    let windows = Err("media windows that are empty, overlap or stand out of order");
    assert_eq!(rules(&|rules| rules.windows[0].until.at = 1), windows);
    assert_eq!(rules(&|rules| rules.windows[1].from.at = 1), windows);
    assert_eq!(rules(&|rules| rules.windows.swap(0, 1)), windows);
    let media = Err("an unknown media");
    assert_eq!(rules(&|rules| rules.windows[0].media = 9), media);
    let recheck = Err("a recheck out of bounds");
    assert_eq!(rules(&|rules| rules.recheck = 0), recheck);
    assert!(rules(&|rules| rules.recheck = 31_622_400_000).is_ok());
    assert_eq!(rules(&|rules| rules.recheck = 31_622_400_001), recheck);
    let rule = Err("an unknown rule");
    assert_eq!(rules(&|rules| rules.exhausted = 3), rule);
    assert_eq!(rules(&|rules| rules.missed = 3), rule);
    let retry = Err("a retry policy out of bounds");
    assert_eq!(rules(&|rules| rules.attempts = 0), retry);
    assert_eq!(rules(&|rules| rules.attempts = 1001), retry);
    assert_eq!(rules(&|rules| rules.initial = 2), retry);
    assert_eq!(rules(&|rules| rules.initial = 0), retry);
    for jitter in [-0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(rules(&|rules| rules.jitter = jitter), retry, "{jitter}");
    }
    let defaults = |rules: &mut RulesForm<'static, Vec<WindowForm<'static>>>| {
        *rules = RulesForm {
            not_before: None,
            not_after: None,
            windows: Vec::new(),
            threshold_wait: None,
            recheck: 30_000,
            exhausted: 0,
            missed: 0,
            attempts: 3,
            initial: 30_000,
            max: 900_000,
            jitter: 0.0,
        }
    };
    assert_eq!(rules(&defaults), Err("rules that are all default"));
}

#[test]
fn times_stand_in_order() {
    let two = |one: u8, other: u8| [2, one, 0, 1, 0, other, 0, 1, 0, 0];
    assert!(ScheduleData::from_stored(&two(5, 6)).is_ok());
    assert!(
        ScheduleData::from_stored(&two(5, 5)).is_ok(),
        "as moved times may"
    );
    assert_eq!(refused(&two(5, 4)), "times out of order");
}
