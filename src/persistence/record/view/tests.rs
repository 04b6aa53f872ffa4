//! What tools are shown of records, and what they are not.

use super::super::golden::{RECORDS_V1, records_v1};
use super::*;

fn frame(records: &[u8]) -> Frame<'_> {
    Frame {
        base: Lsn(10),
        count: 0,
        epoch: 1,
        synced: Lsn(9),
        polled_until: None,
        closing: false,
        records,
    }
}

fn lines(views: impl Iterator<Item = Result<RecordView<'static>, StoreError>>) -> Vec<String> {
    views
        .map(|view| serde_json::to_string(&view.unwrap()).unwrap())
        .collect()
}

#[test]
fn records_are_shown_as_flat_objects() {
    let lines = lines(frame(RECORDS_V1).views());
    assert_eq!(lines.len(), records_v1().len());
    let shown = [
        r#"{"kind":"accepted","lsn":10,"stream":1,"bytes":80,"id":"0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60","location":3,"state":"scheduled","media":"voice","priority":2,"due":"2026-01-05T07:00:00.250Z","intake":1000,"flags":0,"schedule":{"times":[{"at":"2026-01-04T19:30:00.250-11:30","condition":"always"}],"response_media":[],"recheck":"30s","exhausted":"release","missed":"release","retry":{"attempts":3,"initial":"30s","max":"15m","jitter":0.0}},"customer_bytes":7,"payload_bytes":9}"#,
        r#"{"kind":"accepted","lsn":11,"stream":16,"bytes":64,"id":"340282366920938463463374607431768211455","location":3,"state":"scheduled","media":"chat","priority":255,"due":18446744073709551615,"intake":1000,"flags":0,"payload_bytes":0}"#,
        r#"{"kind":"released","lsn":14,"stream":1,"bytes":104,"id":"0b0e7a52-6c8e-4d8a-9f0e-1d2c3b4a5f60","location":3,"state":"released","media":"voice","priority":2,"due":"2026-01-05T07:00:00.250Z","intake":1000,"flags":30,"schedule":{"times":[{"at":"2026-01-04T19:30:00.250-11:30","condition":"always"}],"response_media":[],"recheck":"30s","exhausted":"release","missed":"release","retry":{"attempts":3,"initial":"30s","max":"15m","jitter":0.0}},"accepted":"2026-01-04T12:00:00Z","eligible":"2026-01-05T07:00:30Z","revision":1,"attempts":2,"attempts_before":3,"open_attempt":4,"step":5,"redeliveries":6}"#,
        r#"{"kind":"cancelled","lsn":19,"stream":2,"bytes":72,"id":"12","location":3,"state":"completed","outcome":"cancelled","reason":"location_cancelled","due":"2026-01-05T07:00:00Z","ended":"2026-01-05T07:00:01.500Z","intake":1001,"attempts":3,"revision":1}"#,
        r#"{"kind":"completed","lsn":22,"stream":2,"bytes":84,"id":"12","location":3,"state":"completed","outcome":"rejected","reason":"no such line","due":"2026-01-05T07:00:00Z","ended":"2026-01-05T07:00:01.500Z","intake":1001,"attempts":3,"revision":1}"#,
        r#"{"kind":"named","lsn":24,"stream":0,"bytes":18,"location":3,"name":"AA0101"}"#,
        r#"{"kind":"ruled","lsn":25,"stream":0,"bytes":24,"location":3,"held_since":"2026-01-05T06:00:00Z"}"#,
        r#"{"kind":"ruled","lsn":26,"stream":0,"bytes":24,"location":4,"pace_per_second":50}"#,
        r#"{"kind":"opened","lsn":28,"stream":0,"bytes":40,"epoch":7,"shards":16,"durability":"interval","interval_ms":5.5,"next_intake":1000000}"#,
        r#"{"kind":"marked","lsn":30,"stream":0,"bytes":24,"manifest":42,"floor":123456789}"#,
        r#"{"kind":"totals","lsn":31,"stream":3,"bytes":24,"location":3,"outcome":"routed","count":98765}"#,
    ];
    for line in shown {
        assert!(
            lines.iter().any(|shown| shown == line),
            "{line}\n{lines:#?}"
        );
    }
}

#[test]
fn what_customers_gave_is_not_shown() {
    let views = frame(RECORDS_V1).views().map(Result::unwrap);
    for view in views {
        let told = format!("{view:?}{}", serde_json::to_string(&view).unwrap());
        assert!(
            !told.contains("9664491") && !told.contains("free text"),
            "{told}"
        );
    }
}

#[test]
fn in_a_snapshot_records_have_no_number() {
    let block = ChunkBlock {
        as_of: Lsn(7),
        count: 0,
        records: RECORDS_V1,
    };
    let seen = block
        .views()
        .map(Result::unwrap)
        .find(|view| view.kind() == "seen")
        .unwrap();
    assert_eq!((seen.lsn(), seen.stream(), seen.bytes()), (None, 1, 316));
    assert!(seen.id().is_some_and(|id| id.is_uuid()));
    assert_eq!(seen.location(), Some(LocationId::from_index(3)));
    let marked = block
        .views()
        .map(Result::unwrap)
        .find(|view| view.kind() == "marked")
        .unwrap();
    assert_eq!((marked.id(), marked.location()), (None, None));
}

/// A tool goes on behind a record that cannot be read, and ends where there is none to be told.
#[test]
fn bytes_that_are_no_record_are_shown_as_an_error() {
    let mut bytes = RECORDS_V1[..144].to_vec();
    bytes[8] = 200;
    bytes.extend_from_slice(&[0xff; 100]);
    let views: Vec<_> = frame(&bytes)
        .views()
        .map(|view| view.map(|view| view.lsn()))
        .collect();
    let [first, second, third] = &views[..] else {
        panic!("{views:?}")
    };
    assert_eq!(
        first.as_ref().unwrap_err().to_string(),
        "the frame of record 10 is damaged at byte 0: media 200: expected a known media"
    );
    assert_eq!(*second.as_ref().unwrap(), Some(Lsn(11)));
    assert_eq!(
        third.as_ref().unwrap_err().to_string(),
        "the frame of record 10 is damaged at byte 144: kind 255: expected a kind that there is"
    );
}
