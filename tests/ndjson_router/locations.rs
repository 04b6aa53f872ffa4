//! Hold and resume, the pace, and what is missed meanwhile.

use crate::bridge::transcript;

#[test]
fn a_held_location_releases_nothing_until_it_is_resumed() {
    transcript(
        &[],
        r#"
        # A location can be held before anything names it, and more than once.
        > {"op":"hold","location":"AA0101"}
        < {"event":"held","line":1}
        > {"op":"hold","location":"AA0101"}
        < {"event":"held","line":2}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0102","schedule":{"times":[{"at":"@08:30"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"3","released":"@08:30"}
        < {"event":"advanced"}
        > {"op":"status","id":1}
        < {"event":"status","state":"held","outcome":null}
        > {"op":"resume","location":"AA0101"}
        < {"event":"resumed"}
        > {"op":"resume","location":"AA0101"}
        < {"event":"resumed"}
        # Overdue requests go out at the next poll, by their original time.
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"2","due":"@08:00","released":"@12:00"}
        < {"event":"route","id":"1","due":"@09:00","released":"@12:00"}
        < {"event":"advanced"}
        > {"op":"resume","location":"nobody has heard of it"}
        < {"event":"resumed"}
        "#,
    );
}

#[test]
fn a_held_request_can_be_cancelled_and_rescheduled_and_does_expire() {
    transcript(
        &[],
        r#"
        > {"op":"hold","location":"AA0101"}
        < {"event":"held"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}],"not_after":"@09:00"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@08:59:59.999"}
        < {"event":"advanced"}
        > {"op":"status","id":3}
        < {"event":"status","state":"held"}
        > {"op":"advance","to":"@09:00"}
        < {"event":"advanced"}
        > {"op":"status","id":3}
        < {"event":"status","state":"completed","outcome":"expired"}
        > {"op":"cancel","id":1}
        < {"event":"cancelled"}
        > {"op":"reschedule","id":2,"schedule":{"times":[{"at":"@10:00"}]}}
        < {"event":"rescheduled"}
        > {"op":"resume","location":"AA0101"}
        < {"event":"resumed"}
        > {"op":"advance","to":"@12:00"}
        < {"event":"route","id":"2","due":"@10:00","released":"@10:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn pace_bounds_the_releases_a_second_after_a_resume() {
    let mut text = String::from(
        r#"
        > {"op":"hold","location":"AA0101"}
        < {"event":"held"}"#,
    );
    for id in 1..=5 {
        text += &format!(
            r#"
            > {{"op":"schedule","request":{{"id":{id},"location":"AA0101","schedule":{{"times":[{{"at":"@08:00:0{id}"}}]}}}}}}
            < {{"event":"accepted"}}"#
        );
    }
    text += r#"
        > {"op":"advance","to":"@09:00"}
        < {"event":"advanced"}
        > {"op":"resume","location":"AA0101","pace":2}
        < {"event":"resumed"}
        > {"op":"advance","to":"@10:00"}
        < {"event":"route","id":"1","due":"@08:00:01","released":"@09:00"}
        < {"event":"route","id":"2","due":"@08:00:02","released":"@09:00:00.500"}
        < {"event":"route","id":"3","due":"@08:00:03","released":"@09:00:01"}
        < {"event":"route","id":"4","due":"@08:00:04","released":"@09:00:01.500"}
        < {"event":"route","id":"5","due":"@08:00:05","released":"@09:00:02"}
        < {"event":"advanced"}
        "#;
    transcript(&[], &text);
}

#[test]
fn a_repeated_resume_grants_nothing_beyond_its_pace() {
    transcript(
        &[],
        r#"
        > {"op":"resume","location":"AA0101","pace":1}
        < {"event":"resumed"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}]}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@08:00"}]}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@08:00"}
        < {"event":"route","id":"1"}
        < {"event":"advanced"}
        > {"op":"resume","location":"AA0101","pace":1}
        < {"event":"resumed"}
        > {"op":"advance","to":"@08:00"}
        < {"event":"advanced"}
        > {"op":"hold","location":"AA0101"}
        < {"event":"held"}
        > {"op":"resume","location":"AA0101","pace":2}
        < {"event":"resumed"}
        > {"op":"advance","to":"@08:00:00.500"}
        < {"event":"route","id":"2","released":"@08:00:00.500"}
        < {"event":"advanced"}
        > {"op":"resume","location":"AA0101","pace":1}
        < {"event":"resumed"}
        > {"op":"advance","to":"@08:00:10"}
        < {"event":"route","id":"3","released":"@08:00:01.500"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn a_hold_beyond_the_grace_is_a_miss_and_the_missed_policy_decides() {
    transcript(
        &[],
        r#"
        > {"op":"hold","location":"AA0101"}
        < {"event":"held"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"missed":"release"}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":2,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"missed":"expire"}}}
        < {"event":"accepted"}
        > {"op":"schedule","request":{"id":3,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"missed":"next_day"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:02"}
        < {"event":"advanced"}
        > {"op":"resume","location":"AA0101"}
        < {"event":"resumed"}
        > {"op":"advance","to":"@09:02"}
        < {"event":"route","id":"1","due":"@09:00","released":"@09:02"}
        < {"event":"advanced"}
        > {"op":"status","id":2}
        < {"event":"status","state":"completed","outcome":"expired"}
        > {"op":"status","id":3}
        < {"event":"status","state":"scheduled","due":"@06/09:00"}
        > {"op":"advance","to":"@06/12:00"}
        < {"event":"route","id":"3","due":"@06/09:00","released":"@06/09:00"}
        < {"event":"advanced"}
        "#,
    );
}

#[test]
fn a_hold_within_the_grace_is_no_miss() {
    transcript(
        &[],
        r#"
        > {"op":"hold","location":"AA0101"}
        < {"event":"held"}
        > {"op":"schedule","request":{"id":1,"location":"AA0101","schedule":{"times":[{"at":"@09:00"}],"missed":"expire"}}}
        < {"event":"accepted"}
        > {"op":"advance","to":"@09:00:30"}
        < {"event":"advanced"}
        > {"op":"resume","location":"AA0101"}
        < {"event":"resumed"}
        > {"op":"advance","to":"@09:00:30"}
        < {"event":"route","id":"1","due":"@09:00","released":"@09:00:30"}
        < {"event":"advanced"}
        "#,
    );
}
