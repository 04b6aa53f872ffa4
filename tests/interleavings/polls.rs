//! Two polls at once: one runs, the other is told so, and what is due goes out once and in order.

use super::support::{aside, at, centre, explore};

#[test]
fn one_of_two_polls_runs_and_releases_each_request_once_in_order() {
    explore(|| {
        let centre = centre();
        for id in 1..=3 {
            centre.schedule(centre.request(id, at(u64::try_from(4 - id).unwrap())));
        }
        let polls = [1, 2].map(|_| aside(&centre, |centre| centre.engine.poll(at(3), 10)));
        let answers = polls.map(|poll| poll.join().unwrap());
        let released = answers.iter().flatten().map(|poll| poll.released);
        assert_eq!(released.sum::<usize>(), 3);
        assert_eq!(centre.desk.routed(), [(3, 1), (2, 1), (1, 1)]);
        assert_eq!(centre.poll(at(3)), 0, "the poller was given back");
    });
}

#[test]
fn a_poll_beside_the_driver_leaves_nothing_behind() {
    explore(|| {
        let centre = centre();
        let running = centre.start(0);
        let intake = aside(&centre, |centre| {
            for id in 1..=2 {
                centre.schedule(centre.immediate(id));
            }
        });
        let poll = aside(&centre, |centre| centre.engine.poll(at(0), 1).is_ok());
        centre.desk.wait_for(2);
        intake.join().unwrap();
        poll.join().unwrap();
        let report = running.shutdown(duewheel::Shutdown::Stop, super::support::NEVER);
        assert!(report.panics.is_empty(), "{report:?}");
        assert_eq!(centre.desk.routed().len(), 2);
        assert_eq!(centre.engine.pending(), 0);
    });
}
