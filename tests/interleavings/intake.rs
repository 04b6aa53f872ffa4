//! Two intakes at once: one request of one id, and no more requests than there is room for.

use duewheel::ScheduleErrorReason;

use super::support::{aside, at, centre, explore};

#[test]
fn the_same_request_taken_in_twice_is_there_once() {
    explore(|| {
        let centre = centre();
        let intakes = [1, 1].map(|id| {
            aside(&centre, move |centre| {
                centre.engine.schedule(centre.immediate(id), at(0)).unwrap()
            })
        });
        let polled = aside(&centre, |centre| {
            centre.engine.poll(at(0), 10).unwrap().released
        });
        let [one, other] = intakes.map(|intake| intake.join().unwrap());
        assert!(one.duplicate != other.duplicate);
        assert_eq!(one.position, other.position);
        assert_eq!(polled.join().unwrap() + centre.poll(at(0)), 1);
        assert_eq!(centre.desk.routed(), [(1, 1)]);
    });
}

#[test]
fn no_more_is_taken_in_than_there_is_room_for() {
    explore(|| {
        // Room for four. The fifth is refused in another shard than the fourth is taken in.
        let centre = centre();
        let intakes = [[1, 2, 3], [13, 12, 11]].map(|ids| {
            aside(&centre, move |centre| {
                let answers = ids
                    .into_iter()
                    .map(|id| centre.engine.schedule(centre.immediate(id), at(0)));
                let accepted = answers.filter(|answer| match answer {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.reason, ScheduleErrorReason::Full { pending_max: 4 });
                        assert!(centre.engine.pending() <= 4);
                        false
                    }
                });
                accepted.count()
            })
        });
        let accepted = intakes.map(|intake| intake.join().unwrap());
        let accepted: usize = accepted.iter().sum();
        assert_eq!(centre.engine.pending(), accepted);
        assert_eq!(accepted, 4);
        assert_eq!(centre.poll(at(0)), accepted);
    });
}
