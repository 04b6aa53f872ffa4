//! A router that answers later: leases, completions, attempts.

use crate::bridge::transcript;

#[test]
fn auto_settles_the_lease_at_once() {
    transcript(
        &["--router", "auto"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","id":"1","lease":"$lease"}
        < {"event":"advanced"}
        > {"op":"complete","lease":"$lease","outcome":"busy"}
        < {"event":"error","reason":"stale_lease","id":"1"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"routed"}
        "#,
    );
}

#[test]
fn manual_waits_for_complete() {
    transcript(
        &["--router", "manual"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"route","id":"1","attempt":1,"redelivery":false,"lease":"$lease"}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"routing","outcome":null}
        # It is with the router: nobody else can have it.
        > {"op":"cancel","id":1}
        < {"event":"error","reason":"too_late","id":"1"}
        > {"op":"complete","lease":"$lease","outcome":"routed"}
        < {"event":"completed","line":5}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"routed"}
        > {"op":"complete","lease":"$lease","outcome":"routed"}
        < {"event":"error","reason":"stale_lease","id":"1"}
        > {"op":"advance","to":"@06/09:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn busy_is_another_attempt_after_the_backoff_and_makes_the_old_lease_stale() {
    transcript(
        &["--router", "manual"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"route","attempt":1,"lease":"$first"}
        < {"event":"advanced"}
        > {"op":"complete","lease":"$first","outcome":"busy"}
        < {"event":"completed"}
        > {"op":"status","id":1}
        < {"event":"status","state":"scheduled","outcome":null,"attempts":1}
        > {"op":"advance","to":"@09:00:29.999"}
        < {"event":"advanced"}
        > {"op":"advance","to":"@09:00:30"}
        < {"event":"route","attempt":2,"redelivery":false,"released":"@09:00:30","lease":"$second"}
        < {"event":"advanced"}
        > {"op":"complete","lease":"$first","outcome":"routed"}
        < {"event":"error","reason":"stale_lease"}
        # The second backoff would be a minute; the reader knows better.
        > {"op":"complete","lease":"$second","outcome":"busy","retry_after":"PT5S"}
        < {"event":"completed"}
        > {"op":"advance","to":"@09:01"}
        < {"event":"route","attempt":3,"released":"@09:00:35","lease":"$third"}
        < {"event":"advanced"}
        # Three attempts are all there are.
        > {"op":"complete","lease":"$third","outcome":"busy"}
        < {"event":"completed"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"dead_lettered","attempts":3}
        > {"op":"advance","to":"@06/09:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn rejected_ends_the_request() {
    transcript(
        &["--router", "manual"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","lease":"$lease"}
        < {"event":"advanced"}
        > {"op":"complete","lease":"$lease","outcome":"rejected"}
        < {"event":"completed"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"rejected"}
        > {"op":"advance","to":"@06/09:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn a_lease_that_runs_out_is_a_failed_attempt_and_the_next_says_redelivery() {
    for (arguments, runs_out, again) in [
        (&["--router", "manual"][..], "@09:05", "@09:05:30"),
        (
            &["--router", "manual", "--lease", "10s"],
            "@09:00:10",
            "@09:00:40",
        ),
    ] {
        transcript(
            arguments,
            &format!(
                r#"
                > {{"op":"schedule","request":{{"id":1,"location":"AA0101","schedule":{{"times":[{{"at":"@09:00"}}]}}}}}}
                < {{"event":"accepted"}}
                > {{"op":"advance","to":"@09:00"}}
                < {{"event":"route","attempt":1,"redelivery":false,"lease":"$first"}}
                < {{"event":"advanced"}}
                > {{"op":"advance","to":"{runs_out}"}}
                < {{"event":"advanced"}}
                > {{"op":"status","id":1}}
                < {{"event":"status","state":"scheduled","outcome":null,"attempts":1}}
                > {{"op":"advance","to":"{again}"}}
                < {{"event":"route","attempt":2,"redelivery":true,"due":"@09:00","released":"{again}","lease":"$second"}}
                < {{"event":"advanced"}}
                > {{"op":"complete","lease":"$first","outcome":"routed"}}
                < {{"event":"error","reason":"stale_lease"}}
                > {{"op":"complete","lease":"$second","outcome":"routed"}}
                < {{"event":"completed"}}
                "#
            ),
        );
    }
}

#[test]
fn a_late_complete_counts_until_a_newer_attempt_is_released() {
    transcript(
        &["--router", "manual", "--lease", "10"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00:20"}
        < {"event":"route","attempt":1,"lease":"$lease"}
        < {"event":"advanced"}
        > {"op":"complete","lease":"$lease","outcome":"routed"}
        < {"event":"completed"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"routed","attempts":1}
        "#,
    );
}

#[test]
fn between_attempts_a_request_can_be_cancelled_and_rescheduled() {
    transcript(
        &["--router", "manual"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@06:00"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","id":"1","lease":"$one"}
        < {"event":"route","id":"2","lease":"$two"}
        < {"event":"advanced"}
        > {"op":"hold","location":"AA0101"}
        < {"event":"held","in_flight":2}
        > {"op":"resume","location":"AA0101"}
        < {"event":"resumed"}
        > {"op":"reschedule","id":2,"schedule":{"times":[{"at":"@09:00"}]}}
        < {"event":"error","reason":"too_late","id":"2"}
        > {"op":"complete","lease":"$one","outcome":"busy"}
        < {"event":"completed","id":"1","state":"scheduled"}
        > {"op":"complete","lease":"$two","outcome":"busy"}
        < {"event":"completed","id":"2","state":"scheduled"}
        > {"op":"cancel","id":1}
        < {"event":"cancelled","id":"1"}
        > {"op":"reschedule","id":2,"schedule":{"times":[{"at":"@09:00"}]}}
        < {"event":"rescheduled","id":"2"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"route","id":"2","due":"@09:00","released":"@09:00","redelivery":false}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn not_after_leaves_alone_what_is_with_the_router() {
    transcript(
        &["--router", "manual"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"not_after":"@09:01"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:02"}
        < {"event":"route","lease":"$lease"}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"routing"}
        > {"op":"complete","lease":"$lease","outcome":"routed"}
        < {"event":"completed"}
        > {"op":"status","id":1}
        < {"event":"status","state":"completed","outcome":"routed"}
        "#,
    );
}

#[test]
fn a_lease_of_an_unknown_request_is_unknown() {
    // A lease is printed by one bridge and handed to another, which has never heard of the request.
    let mut first = crate::bridge::Bridge::start(&[
        "--router",
        "manual",
        "--virtual-time",
        "2026-01-05T06:00:00Z",
    ]);
    first.ask(r#"{"op":"schedule","request":{"id":1,"location":"AA0101"}}"#);
    let events = first.ask(r#"{"op":"advance","to":"2026-01-05T06:00:00Z"}"#);
    let lease = events[0]["lease"].as_str().expect("a lease").to_owned();
    first.finish();
    transcript(
        &[],
        &format!(
            r#"
            > {{"op":"complete","lease":"{lease}","outcome":"routed"}}
            < {{"event":"error","reason":"unknown","id":"1"}}
            "#
        ),
    );
}

#[test]
fn outcomes_and_their_fields_are_checked() {
    transcript(
        &["--router", "manual"],
        r#"
        > {"op":"schedule","request":{"id":1,"location":"AA0101"}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@06:00"}
        < {"event":"route","lease":"$lease"}
        < {"event":"advanced"}
        > {"op":"complete","lease":"$lease"}
        < {"event":"error","reason":"invalid","path":"outcome","id":"1"}
        > {"op":"complete","lease":"$lease","outcome":"lost"}
        < {"event":"error","reason":"invalid","path":"outcome","id":"1"}
        > {"op":"complete","lease":"$lease","outcome":"routed","retry_after":"5s"}
        < {"event":"error","reason":"invalid","path":"retry_after","id":"1"}
        > {"op":"complete","lease":"$lease","outcome":"busy","retry_after":"later"}
        < {"event":"error","reason":"invalid","path":"retry_after","id":"1"}
        > {"op":"complete","lease":"$lease","outcome":"busy","retry_after":"-5s"}
        < {"event":"error","reason":"invalid","path":"retry_after","id":"1"}
        > {"op":"complete","lease":"$lease","outcome":"busy","retry_after":5}
        < {"event":"error","reason":"invalid","path":"retry_after","id":"1"}
        # None of them touched the request.
        > {"op":"complete","lease":"$lease","outcome":"busy","retry_after":null}
        < {"event":"completed"}
        "#,
    );
}
