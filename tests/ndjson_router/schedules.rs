//! When a request is released: times, conditions, lifespans, media windows, the lift, the order
//! within a tick.

use crate::bridge::transcript;

#[test]
fn each_request_is_released_at_its_own_time_however_far_the_clock_moves() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@18:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0102","schedule":{"times":[{"at":"@09:00:00.001"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":4,"location":"AA0101","schedule":{"times":[{"at":"9000-01-01T00:00:00Z"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@08:59:59.999"}
        < {"event":"advanced"}
        > {"op":"advance","to":"@20/12:00"}
        < {"event":"route","id":"3","due":"@09:00","released":"@09:00"}
        < {"event":"route","id":"2","due":"@09:00:00.001","released":"@09:00:00.001"}
        < {"event":"route","id":"1","due":"@18:00","released":"@18:00"}
        < {"event":"advanced"}
        > {"op":"advance","to":"9000-01-01T00:00:00Z"}
        < {"event":"route","id":"4","due":"9000-01-01T00:00:00Z","released":"9000-01-01T00:00:00Z"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn advance_goes_up_to_and_including_its_time_and_may_stand_still() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"2026-01-05T11:00:00+02:00"}
        < {"event":"route","id":"1"}
        < {"event":"advanced","now":"@09:00"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"advanced","line":3}
        > {"op":"advance","to":"@08:59:59.999"}
        < {"event":"error","line":4,"reason":"invalid","path":"to"}
        "#,
    );
}

#[test]
fn a_time_already_past_is_due_at_once_and_not_missed() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@04/09:00"}],"missed":"expire"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","id":"1","due":"@04/09:00","released":"@06:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn fractions_of_a_millisecond_round_up() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"2026-01-05T09:00:00.0000001Z"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","due":"@09:00:00.001","released":"@09:00:00.001"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn local_times_follow_their_zone_through_gap_and_overlap() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":{"local":"2026-03-08T02:30:00","zone":"America/New_York"}}]}}}
        < {"event":"accepted"}
        > {"op":"status","id":1}
        < {"event":"status","due":"2026-03-08T07:30:00Z"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":{"local":"2026-11-01T01:30:00","zone":"America/New_York"}}]}}}
        < {"event":"accepted"}
        > {"op":"status","id":2}
        < {"event":"status","due":"2026-11-01T05:30:00Z"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":{"local":"2026-11-01T01:30:00","zone":"Mars/Olympus"}}]}}}
        < {"event":"error","reason":"invalid","id":"3"}
        "#,
    );
}

/// One request with two times: the first on a condition, the second without.
fn conditional(condition: &str, arguments: &[&str], routed_at: &str) {
    transcript(
        arguments,
        &format!(
            r#"
            > {{"op":"schedule","request":{{"id":1,"location":"AA0101","schedule":{{"times":[{{"at":"@09:00","condition":{condition}}},{{"at":"@10:00","condition":"always"}}]}}}}}}
            < {{"event":"accepted"}}
            > {{"op":"advance","to":"@12:00"}}
            < {{"event":"route","due":"{routed_at}","released":"{routed_at}"}}
            < {{"event":"advanced"}}
            "#
        ),
    );
}

#[test]
fn a_condition_that_holds_releases_at_the_first_time_and_one_that_does_not_at_the_second() {
    let (first, second) = ("@09:00", "@10:00");
    conditional(
        r#"{"wait_below":"60s"}"#,
        &["--expected-wait", "59.999"],
        first,
    );
    conditional(
        r#"{"wait_below":"60s"}"#,
        &["--expected-wait", "60"],
        second,
    );
    conditional(
        r#"{"wait_below":"PT1M"}"#,
        &["--expected-wait", "59s"],
        first,
    );
    conditional(r#"{"agents_ready":2}"#, &["--agents", "2"], first);
    conditional(r#"{"agents_ready":2}"#, &[], second);
    conditional(r#"{"queue_below":3}"#, &["--queue", "2"], first);
    conditional(r#"{"queue_below":3}"#, &["--queue", "3"], second);
    conditional(r#""open""#, &[], first);
    conditional(r#"{"not":"open"}"#, &[], second);
    conditional(
        r#"{"all":["open",{"agents_ready":1},{"queue_below":1}]}"#,
        &[],
        first,
    );
    conditional(
        r#"{"all":["open",{"agents_ready":1},{"queue_below":1}]}"#,
        &["--queue", "1"],
        second,
    );
    conditional(
        r#"{"any":[{"not":"open"},{"agents_ready":3}]}"#,
        &["--agents", "3"],
        first,
    );
    conditional(
        r#"{"any":[{"not":"open"},{"agents_ready":3}]}"#,
        &[],
        second,
    );
}

#[test]
fn after_the_last_time_the_exhausted_rule_decides() {
    transcript(
        &["--expected-wait", "100"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00","condition":{"wait_below":"60s"}}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@09:00","condition":{"wait_below":"60s"}}],"exhausted":"expire"}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@09:00","condition":{"wait_below":"60s"}}],"exhausted":"next_day"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"1","due":"@09:00"}
        < {"event":"advanced"}
        > {"op":"status","id":2}
        < {"event":"status","state":"completed","outcome":"expired","attempts":0}
        > {"op":"cancel","id":2}
        < {"event":"error","reason":"too_late","id":"2"}
        > {"op":"status","id":3}
        < {"event":"status","state":"scheduled","outcome":null,"due":"@06/09:00"}
        > {"op":"advance","to":"@06/12:00"}
        < {"event":"advanced"}
        > {"op":"status","id":3}
        < {"event":"status","due":"@07/09:00"}
        "#,
    );
}

#[test]
fn next_day_keeps_the_wall_clock_in_the_zone_and_the_hours_in_an_offset() {
    transcript(
        &["--agents", "0"],
        r#"
        > {"op":"advance","to":"2026-03-06T12:00:00Z"}
        < {"event":"advanced"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":{"local":"2026-03-07T02:30:00","zone":"America/New_York"},"condition":{"agents_ready":1}}],"exhausted":"next_day"}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"2026-03-07T02:30:00-05:00","condition":{"agents_ready":1}}],"exhausted":"next_day"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"2026-03-07T12:00:00Z"}
        < {"event":"advanced"}
        # On the eighth there is no 02:30 in New York; it is moved forward by the gap.
        > {"op":"status","id":1}
        < {"event":"status","due":"2026-03-08T07:30:00Z"}
        > {"op":"status","id":2}
        < {"event":"status","due":"2026-03-08T07:30:00Z"}
        > {"op":"advance","to":"2026-03-08T12:00:00Z"}
        < {"event":"advanced"}
        # On the ninth there is, and the gap has left no trace.
        > {"op":"status","id":1}
        < {"event":"status","due":"2026-03-09T06:30:00Z"}
        > {"op":"status","id":2}
        < {"event":"status","due":"2026-03-09T07:30:00Z"}
        "#,
    );
}

#[test]
fn not_before_is_inclusive_and_at_not_after_the_request_has_expired() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"not_before":"@09:00","not_after":"@09:00:00.001"}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"not_after":"@09:00"}}}
        < {"event":"error","reason":"invalid","id":"2"}
        # Its lifespan was over before it came: accepted, and expired by the next poll.
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@04:00"}],"not_after":"@05:00"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"1","due":"@09:00","released":"@09:00"}
        < {"event":"advanced"}
        > {"op":"status","id":3}
        < {"event":"status","state":"completed","outcome":"expired"}
        "#,
    );
}

#[test]
fn a_request_expires_while_it_waits_for_its_condition() {
    transcript(
        &["--agents", "0"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00","condition":{"agents_ready":1}},{"at":"@10:00","condition":{"agents_ready":1}}],"not_after":"@11:00","exhausted":"next_day"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:59:59"}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"scheduled","outcome":null}
        > {"op":"advance","to":"@11:00"}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"expired"}
        > {"op":"cancel","id":1}
        < {"event":"error","reason":"too_late"}
        > {"op":"reschedule","id":1,"schedule":{"times":[{"at":"@12:00"}]}}
        < {"event":"error","reason":"too_late"}
        "#,
    );
}

#[test]
fn the_response_media_is_that_of_the_window_at_release() {
    let request = |id: u32, at: &str| {
        format!(
            r#"
            > {{"op":"schedule","request":{{"id":{id},"location":"AA0101","media":"email","schedule":{{"times":[{{"at":"{at}"}}],
                "response_media":[{{"from":"@09:00","until":"@10:00","media":"voice"}},{{"from":"@10:00","until":"@11:00","media":"sms"}}]}}}}}}
            < {{"event":"accepted"}}"#
        )
        .replace("\n                \"response_media\"", "\"response_media\"")
    };
    let mut text = String::new();
    for (id, at) in [
        (1, "@08:59:59.999"),
        (2, "@09:00"),
        (3, "@09:59:59.999"),
        (4, "@10:00"),
        (5, "@10:59:59.999"),
        (6, "@11:00"),
    ] {
        text += &request(id, at);
    }
    text += r#"
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"1","response_media":"email","released":"@08:59:59.999"}
        < {"event":"route","id":"2","response_media":"voice","released":"@09:00"}
        < {"event":"route","id":"3","response_media":"voice","released":"@09:59:59.999"}
        < {"event":"route","id":"4","response_media":"sms","released":"@10:00"}
        < {"event":"route","id":"5","response_media":"sms","released":"@10:59:59.999"}
        < {"event":"route","id":"6","response_media":"email","released":"@11:00"}
        < {"event":"advanced"}
        "#;
    transcript(&[], &text);
}

#[test]
fn a_request_goes_ahead_when_the_wait_exceeds_its_threshold_and_only_then() {
    for (wait, ahead) in [
        ("0", false),
        ("120", false),
        ("120.001", true),
        ("2h", true),
    ] {
        transcript(
            &["--expected-wait", wait],
            &format!(
                r#"
                > {{"op":"schedule","request":{{"id":1,"location":"AA0101","schedule":{{"times":[{{"at":"@09:00"}}],"threshold_wait":"120s"}}}}}}
                < {{"event":"accepted"}}
                > {{"op":"schedule","request":{{"id":2,"location":"AA0101","schedule":{{"times":[{{"at":"@09:00"}}]}}}}}}
                < {{"event":"accepted"}}
                > {{"op":"advance","to":"@09:00"}}
                < {{"event":"route","id":"1","ahead":{ahead}}}
                < {{"event":"route","id":"2","ahead":false}}
                < {{"event":"advanced"}}
                "#
            ),
        );
    }
}

#[test]
fn within_one_tick_priority_goes_first_and_then_intake() {
    transcript(
        &[],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","priority":1,"schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0102","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0103","priority":255,"schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":4,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":5,"location":"AA0102","priority":1,"schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":6,"location":"AA0103","schedule":{"times":[{"at":"@08:59:59.999"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"route","id":"6"}
        < {"event":"route","id":"3"}
        < {"event":"route","id":"1"}
        < {"event":"route","id":"5"}
        < {"event":"route","id":"2"}
        < {"event":"route","id":"4"}
        < {"event":"advanced"}
        "#,
    );
}
