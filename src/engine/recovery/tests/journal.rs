//! What is put together again from the journal alone.

use super::*;
use crate::lifecycle::{RequestState, Rule};
use crate::persistence::{Damage, StoreError};
use crate::request::InteractionRequest;
use crate::schedule::{MissedPolicy, ScheduleData};

fn damage(result: Result<Engine, BuildError>) -> Damage {
    match result {
        Err(BuildError::Store(StoreError::Damaged(damage))) => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_store_makes_an_empty_engine() {
    let memory = MemoryStore::new(IDENTITY);
    let engine = recover(&memory, &Arc::default());
    let report = engine.recovery().unwrap();
    assert_eq!((report.epoch, report.clean), (1, true));
    assert_eq!((report.pending, report.snapshot), (0, None));
    drop(engine);
    let engine = recover(&memory, &Arc::default());
    assert_eq!(engine.recovery().unwrap().epoch, 2);
    assert_eq!(engine.recovery().unwrap().journal_records, 1, "who wrote");
}

#[test]
fn the_last_record_of_a_request_decides() {
    let desk = Arc::<Desk>::default();
    let later = RequestImage {
        due: at(3_000),
        contents: Contents::Kept,
        ..plain(1, 1_000)
    };
    let store = Hand::new()
        .named(0, "AA0101")
        .request(Change::Accepted, plain(1, 1_000))
        .request(Change::Accepted, plain(2, 1_000))
        .request(Change::Rescheduled, later)
        .ended(routed(2, 1_500))
        .request(Change::Accepted, plain(3, 2_000))
        .crash(None);
    let engine = recover(&store, &desk);
    assert_eq!((engine.pending(), routed_count(&engine)), (2, 1));
    let ended = engine.status(id(2)).unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Routed));
    let _ = engine.poll(at(2_000), 10).unwrap();
    assert_eq!(desk.ids(), [3]);
    let _ = engine.poll(at(3_000), 10).unwrap();
    assert_eq!(desk.take()[0].customer.as_deref(), Some("someone"));
    engine.check_invariants();
}

#[test]
fn order_goes_on_where_it_was() {
    let desk = Arc::<Desk>::default();
    let store = Hand::new()
        .named(0, "AA0101")
        .request(Change::Accepted, plain(7, 1_000))
        .request(Change::Accepted, plain(3, 1_000))
        .crash(None);
    let engine = recover(&store, &desk);
    let request = InteractionRequest::new(id(1), place(0));
    let request = request.with_schedule(ScheduleData::at(at(1_000)));
    let _ = engine.schedule(request, at(500)).unwrap();
    let _ = engine.poll(at(1_000), 10).unwrap();
    assert_eq!(desk.ids(), [3, 7, 1], "the newcomer comes last");
}

#[test]
fn a_repeated_intake_is_recognised() {
    let memory = MemoryStore::new(IDENTITY);
    let request = || {
        let request = InteractionRequest::new(id(1), place(0)).with_payload(*b"words");
        request.with_schedule(ScheduleData::at(at(1_000)))
    };
    let engine = recover(&memory, &Arc::default());
    engine.directory().enter("AA0101").unwrap();
    let receipt = engine.schedule(request(), at(1)).unwrap();
    let (shard, hash) = engine.place(id(1));
    let shard = engine.shards[shard].lock();
    let index = shard.find(id(1), hash).unwrap();
    let image = shard.image_of(index, true);
    let mut hand = Hand::new();
    let store = hand
        .named(0, "AA0101")
        .request(Change::Accepted, image)
        .crash(None);
    drop(shard);
    let engine = recover(&store, &Arc::default());
    let again = engine.schedule(request(), at(2)).unwrap();
    assert!(again.duplicate);
    assert_eq!(again.position, receipt.position);
    let other = request().with_payload(*b"other");
    assert!(engine.schedule(other, at(2)).is_err());
}

#[test]
fn what_passed_while_nothing_ran_was_missed() {
    let expire = ScheduleData::builder().time(at(100_000));
    let expire = expire.missed(MissedPolicy::Expire).build().unwrap();
    let image = |number| RequestImage {
        schedule: ScheduleImage::Full(std::borrow::Cow::Borrowed(&expire)),
        course: Some(CourseImage {
            accepted: at(0),
            eligible: at(100_000),
            revision: 1,
            attempts: 0,
            attempts_before: 0,
            open_attempt: 0,
            step: 0,
            redeliveries: 0,
        }),
        ..plain(number, 100_000)
    };
    for (polled_until, now, is_missed) in [
        (99_999, 160_001, true),
        (99_999, 160_000, false),
        (100_000, 500_000, false),
    ] {
        let store = Hand::new()
            .named(0, "AA0101")
            .request(Change::Accepted, image(1))
            .crash(Some(polled_until));
        let engine = recover(&store, &Arc::default());
        assert_eq!(
            engine.recovery().unwrap().polled_until,
            Some(at(polled_until))
        );
        let _ = engine.poll(at(now), 10).unwrap();
        let reason = engine.status(id(1)).unwrap().reason;
        let missed = reason.as_deref() == Some(Rule::Missed.as_str());
        assert_eq!(missed, is_missed, "last poll {polled_until}, first {now}");
    }
}

#[test]
fn holds_and_paces_come_back() {
    let desk = Arc::<Desk>::default();
    let ruled = |index, held_since: Option<u64>, pace| Record::Ruled {
        location: place(index),
        held_since: held_since.map(at),
        pace,
    };
    let elsewhere = |number| RequestImage {
        location: place(1),
        ..plain(number, 1_000)
    };
    let store = Hand::new()
        .named(0, "AA0101")
        .named(1, "BB")
        .request(Change::Accepted, plain(1, 1_000))
        .request(Change::Accepted, elsewhere(2))
        .request(Change::Accepted, elsewhere(3))
        .record(0, &ruled(0, Some(500), 0))
        .record(0, &ruled(1, Some(500), 9))
        .record(0, &ruled(1, None, 1))
        .crash(None);
    let engine = recover(&store, &desk);
    let _ = engine.poll(at(1_000), 10).unwrap();
    let _ = engine.poll(at(1_999), 10).unwrap();
    assert_eq!(desk.ids(), [2], "one is held, and one waits for the pace");
    let _ = engine.poll(at(2_000), 10).unwrap();
    assert_eq!(desk.ids(), [3]);
    assert_eq!(engine.status(id(1)).unwrap().state, RequestState::Held);
    let report = engine.report(at(2_000));
    let paces: Vec<_> = report.locations.iter().map(|l| (l.held, l.pace)).collect();
    assert_eq!(paces, [(true, None), (false, Some(1))]);
}

#[test]
fn a_directory_given_must_agree_with_the_store() {
    let store = Hand::new()
        .named(0, "AA0101")
        .named(1, "BB")
        .request(Change::Accepted, plain(1, 1_000))
        .crash(None);
    let with = |names: &[&str]| {
        let directory = Arc::new(crate::directory::Directory::new());
        for name in names {
            directory.enter(name).unwrap();
        }
        let settings = settings().directory(directory);
        try_recover(settings, &store, &Arc::default())
    };
    assert!(with(&["AA0101"]).is_ok());
    assert!(with(&["AA0101", "BB", "CC"]).is_ok());
    let text = |names| with(names).unwrap_err().to_string();
    assert_eq!(
        text(&["CC"]),
        r#"location 0: the directory given has "CC": the store has "AA0101""#
    );
    assert_eq!(
        text(&["AA0101", "CC"]),
        r#"location 1: the directory given has "CC": the store has "BB""#
    );
}

#[test]
fn another_hash_key_than_the_stores_is_an_error() {
    let memory = MemoryStore::new(IDENTITY);
    let error = try_recover(settings().hash_key(1), &memory, &Arc::default()).unwrap_err();
    assert!(matches!(
        error,
        BuildError::Store(StoreError::Mismatch { .. })
    ));
    assert!(!error.to_string().contains(&format!("{}", 0x5eed)));
    let engine = try_recover(
        settings().hash_key(IDENTITY.hash_key),
        &memory,
        &Arc::default(),
    );
    assert!(engine.is_ok());
}

#[test]
fn a_request_whose_contents_are_nowhere_is_damage() {
    let kept = RequestImage {
        contents: Contents::Kept,
        ..plain(1, 1_000)
    };
    let store = Hand::new()
        .named(0, "AA0101")
        .request(Change::Examined, kept.clone())
        .crash(None);
    let damage = damage(try_recover(settings(), &store, &Arc::default()));
    assert!(damage.found.contains("request 1"), "{damage}");

    let store = Hand::new()
        .named(0, "AA0101")
        .request(Change::Examined, kept)
        .ended(routed(1, 2_000))
        .crash(None);
    let engine = recover(&store, &Arc::default());
    assert_eq!((engine.pending(), routed_count(&engine)), (0, 1));
}

#[test]
fn a_request_of_a_location_without_a_name_is_damage() {
    let store = Hand::new()
        .request(Change::Accepted, plain(1, 1_000))
        .crash(None);
    let damage = damage(try_recover(settings(), &store, &Arc::default()));
    assert!(damage.found.contains("location 0"), "{damage}");
    let rule = Record::Ruled {
        location: place(u32::MAX),
        held_since: None,
        pace: 1,
    };
    let store = Hand::new().record(0, &rule).crash(None);
    assert!(try_recover(settings(), &store, &Arc::default()).is_err());
    let store = Hand::new().named(1, "BB").crash(None);
    assert!(try_recover(settings(), &store, &Arc::default()).is_err());
}

#[test]
fn what_can_be_no_request_is_damage() {
    let course = released(1, 1_000, 0).course.unwrap();
    let with = |course| RequestImage {
        course: Some(course),
        ..plain(1, 1_000)
    };
    for image in [
        with(CourseImage { step: 1, ..course }),
        with(CourseImage {
            attempts_before: 2,
            ..course
        }),
        with(CourseImage {
            open_attempt: 2,
            ..course
        }),
        RequestImage {
            in_flight: true,
            ..plain(1, 1_000)
        },
    ] {
        let mut hand = Hand::new();
        let store = hand
            .named(0, "AA0101")
            .request(Change::Accepted, image)
            .crash(None);
        damage(try_recover(settings(), &store, &Arc::default()));
    }
}

#[test]
fn what_was_remembered_longer_than_it_should_be_is_forgotten() {
    let span = Duration::from_secs(10);
    let mut hand = Hand::new();
    hand.named(0, "AA0101");
    for number in 1..=300 {
        hand.ended(routed(number, u64::from(number) * 100));
    }
    let store = hand.crash(Some(20_000));
    let settings = settings().remember(span, 1_000);
    let engine = try_recover(settings, &store, &Arc::default()).unwrap();
    assert_eq!(engine.recovery().unwrap().remembered, 200);
    assert!(engine.status(id(100)).is_none() && engine.status(id(101)).is_some());
    assert_eq!(routed_count(&engine), 300, "but it is counted");
}

#[test]
fn no_more_are_remembered_than_may_be() {
    let mut hand = Hand::new();
    hand.named(0, "AA0101");
    for number in 1..=300 {
        hand.ended(routed(number, 1));
    }
    let store = hand.crash(None);
    for most in [0, 1, 100] {
        let settings = settings().remember(Duration::from_secs(1_000), most);
        let engine = try_recover(settings, &store, &Arc::default()).unwrap();
        let remembered = engine.recovery().unwrap().remembered;
        assert!(remembered <= most as u64, "{remembered}");
        assert_eq!(engine.status(id(300)).is_some(), most > 0);
    }
}
