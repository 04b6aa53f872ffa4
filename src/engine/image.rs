//! Between the engine's own form of a request and the form that is stored, both ways: what a record says of a request
//! that is pending ([`RequestImage`]), or that ended ([`EndedImage`]).
//!
//! What is not in an image is found anew: where an entry stands in wheel, heap, line and book follows from its times
//! and its location's rules. A request that waits, stands in line or is held so comes back as one that waits; one
//! that was released comes back as one in doubt (see `doubt.rs`).

use std::borrow::Cow;

use super::entry::{Contents, Course, Entry, Flags, Plan};
use super::memory::{End, Ended, Memory};
use super::pending::Pending;
use super::shard::Shard;
use super::store::Store;
use crate::persistence::record::{
    Contents as ContentsImage, CourseImage, EndedImage, RequestImage, ScheduleImage,
};
use crate::request::no_payload;
use crate::schedule::ScheduleData;
use crate::sync::Arc;

/// Seconds by which an offset from UTC is less than: what a time of day can be written at.
const OFFSET_END: i32 = 26 * 60 * 60;

impl Shard {
    /// What is stored of a pending request; what its customer gave only if asked for, because that is written once.
    pub(super) fn image_of(&self, index: u32, with_contents: bool) -> RequestImage<'_> {
        self.store.image(self.pending(index), with_contents)
    }
}

impl Store {
    fn image<'a>(&'a self, pending: Pending<'a>, with_contents: bool) -> RequestImage<'a> {
        let course = pending.course();
        let schedule = match (pending.plan(), course.map(|course| &course.schedule)) {
            (Plan::Plain(offset), _) => ScheduleImage::Plain(offset),
            (_, Some(Some(schedule))) => match schedule.plain() {
                Some((_, offset)) => ScheduleImage::Plain(offset),
                None => ScheduleImage::Full(Cow::Borrowed(schedule)),
            },
            _ => ScheduleImage::Immediate,
        };
        RequestImage {
            id: pending.id(),
            fingerprint: pending.fingerprint,
            location: pending.location,
            media: pending.media,
            priority: pending.priority,
            flags: pending.flags.stored(),
            in_flight: pending.is_released(),
            due: pending.due,
            intake: pending.intake,
            schedule,
            course: course.map(course_image),
            contents: match with_contents {
                false => ContentsImage::Kept,
                true => contents_image(self.contents_of(&pending)),
            },
        }
    }

    /// Puts in a request as an image says, which is sound.
    pub(super) fn restore(&mut self, image: RequestImage<'_>) -> u32 {
        let mut entry = entry_of(&image);
        match image.contents {
            ContentsImage::Kept => entry.flags.set(Flags::ORPHAN, true),
            ContentsImage::Given { customer, payload } => {
                entry.contents = self.put_contents(entry.contents, customer, payload);
            }
        }
        let plan = self.put_course(entry.plan(), &entry, image.schedule, image.course);
        entry.set_plan(plan);
        self.insert_entry(entry)
    }

    /// Makes of a request what an image says, which is sound and has the same id.
    pub(super) fn restore_over(&mut self, index: u32, image: RequestImage<'_>) {
        let Some(former) = self.entry(index) else {
            return;
        };
        let mut entry = entry_of(&image);
        let former_plan = former.plan();
        entry.contents = former.contents;
        match image.contents {
            ContentsImage::Kept => {
                let is_orphan = former.flags.has(Flags::ORPHAN);
                entry.flags.set(Flags::ORPHAN, is_orphan);
            }
            ContentsImage::Given { customer, payload } => {
                entry.contents = self.put_contents(entry.contents, customer, payload);
            }
        }
        let plan = self.put_course(former_plan, &entry, image.schedule, image.course);
        entry.set_plan(plan);
        if let Some(former) = self.entry_mut(index) {
            *former = entry;
        }
    }

    /// Keeps what a customer gave in the place of `former`; returns where.
    fn put_contents(&mut self, former: u32, customer: Option<&str>, payload: &[u8]) -> u32 {
        let given = (customer.is_some() || !payload.is_empty()).then(|| Contents {
            customer: customer.map(Arc::from),
            payload: match payload {
                [] => no_payload(),
                payload => Arc::from(payload),
            },
        });
        self.replace_contents(former, given)
    }

    /// Keeps the course of an entry, in the place of that of its former plan; returns its plan.
    fn put_course(
        &mut self,
        former: Plan,
        entry: &Entry,
        schedule: ScheduleImage<'_>,
        course: Option<CourseImage>,
    ) -> Plan {
        let plain = match schedule {
            ScheduleImage::Immediate => Plan::Immediate,
            ScheduleImage::Plain(offset) => Plan::Plain(offset),
            // It has a course, or it is not sound.
            ScheduleImage::Full(_) => Plan::Immediate,
        };
        let course = course.map(|image| {
            let schedule = match schedule {
                ScheduleImage::Immediate => None,
                ScheduleImage::Plain(offset) => Some(ScheduleData::from_plain(entry.due, offset)),
                ScheduleImage::Full(schedule) => Some(schedule.into_owned()),
            };
            let is_in_doubt = entry.flags.has(Flags::IN_DOUBT);
            Course {
                schedule,
                accepted: image.accepted,
                // Never early, whatever was written.
                eligible: image.eligible.max(entry.due),
                revision: image.revision,
                attempts: image.attempts,
                attempts_before: image.attempts_before,
                // The router may know of it, whatever was written last.
                open_attempt: if is_in_doubt {
                    image.attempts
                } else {
                    image.open_attempt
                },
                step: image.step,
                redeliveries: image.redeliveries,
            }
        });
        match self.replace_course(former, course) {
            Some(course) => Plan::Course(course),
            None => plain,
        }
    }
}

fn course_image(course: &Course) -> CourseImage {
    CourseImage {
        accepted: course.accepted,
        eligible: course.eligible,
        revision: course.revision,
        attempts: course.attempts,
        attempts_before: course.attempts_before,
        open_attempt: course.open_attempt,
        step: course.step,
        redeliveries: course.redeliveries,
    }
}

fn contents_image(contents: Option<&Contents>) -> ContentsImage<'_> {
    ContentsImage::Given {
        customer: contents.and_then(|contents| contents.customer.as_deref()),
        payload: contents.map_or(&[], |contents| &contents.payload),
    }
}

/// An entry without contents and course, that stands nowhere yet.
fn entry_of(image: &RequestImage<'_>) -> Entry {
    let mut entry = Entry::new(
        image.id,
        image.location,
        image.fingerprint,
        image.intake,
        image.due,
        Plan::Immediate,
    );
    entry.media = image.media;
    entry.priority = image.priority;
    entry.flags.restore(image.flags);
    entry.flags.set(Flags::IN_DOUBT, image.in_flight);
    entry
}

/// Why an image cannot be that of any request: what the engine relies on does not hold for it.
pub(super) fn unsound(image: &RequestImage<'_>) -> Option<&'static str> {
    let course = image.course.as_ref();
    let times = match &image.schedule {
        ScheduleImage::Immediate => 0,
        ScheduleImage::Plain(offset) if offset.unsigned_abs() >= OFFSET_END.unsigned_abs() => {
            return Some("an offset from UTC of more than a day");
        }
        ScheduleImage::Plain(_) => 1,
        ScheduleImage::Full(_) if course.is_none() => {
            return Some("a schedule without its course");
        }
        ScheduleImage::Full(schedule) => schedule.times().len(),
    };
    let Some(course) = course else {
        return image.in_flight.then_some("an attempt that was not counted");
    };
    if course.step as usize >= times.max(1) {
        Some("a processing time that its schedule does not have")
    } else if course.attempts_before > course.attempts || course.open_attempt > course.attempts {
        Some("more attempts than were counted")
    } else if image.in_flight && course.attempts == 0 {
        Some("an attempt that was not counted")
    } else {
        None
    }
}

/// What is stored of a request that is remembered.
pub(super) fn ended_image(ended: &Ended, memory: &Memory) -> EndedImage {
    EndedImage {
        id: ended.id(),
        fingerprint: ended.fingerprint,
        intake: ended.intake,
        location: ended.location,
        due: ended.due,
        ended: ended.ended,
        attempts: ended.attempts,
        revision: ended.revision,
        outcome: ended.outcome,
        why: memory.why(ended),
    }
}

/// What is stored of a request that ends.
impl From<&End> for EndedImage {
    fn from(end: &End) -> Self {
        Self {
            id: end.id,
            fingerprint: end.fingerprint,
            intake: end.intake,
            location: end.location,
            due: end.due,
            ended: end.ended,
            attempts: end.attempts,
            revision: end.revision,
            outcome: end.outcome,
            why: end.why.clone(),
        }
    }
}

impl From<EndedImage> for End {
    fn from(image: EndedImage) -> Self {
        Self {
            id: image.id,
            fingerprint: image.fingerprint,
            intake: image.intake,
            location: image.location,
            due: image.due,
            attempts: image.attempts,
            revision: image.revision,
            outcome: image.outcome,
            why: image.why,
            ended: image.ended,
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::Engine;
    use crate::ids::{LocationId, Media, RequestId, Timestamp};
    use crate::request::InteractionRequest;
    use crate::router::{Disposition, DueRequest, Router, RoutingCommand};
    use crate::schedule::{Consultation, ProcessingCondition};

    /// Accepts the even ones, and has no room for the others.
    struct Desk;

    impl Router for Desk {
        fn consult(&self, _: &DueRequest) -> Consultation {
            Consultation::default()
        }

        fn route(&self, command: RoutingCommand) -> Disposition {
            match command.id.value() % 2 {
                0 => Disposition::Accepted {
                    lease_for: Duration::from_secs(9),
                },
                _ => Disposition::Busy { retry_after: None },
            }
        }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// One shard with requests in many a state.
    fn engine() -> Engine {
        let settings = Engine::builder().shards(1);
        let engine = settings.build(Arc::new(Desk)).unwrap();
        let here = engine.directory().enter("AA0101").unwrap();
        let several = ScheduleData::builder()
            .time_if(at(1_500), ProcessingCondition::AgentsReady(2))
            .time(at(80_000))
            .not_after(at(90_000));
        let several = several.build().unwrap();
        for number in 0..24_u64 {
            let mut request = InteractionRequest::new(number.into(), here)
                .with_media(Media::Email)
                .with_priority(number as u8);
            request = match number % 4 {
                0 => request,
                1 => request.with_schedule(ScheduleData::at(at(1_000 + number))),
                2 => request.with_schedule(ScheduleData::at(at(70_000))),
                _ => request.with_schedule(several.clone()),
            };
            if number % 3 > 0 {
                request = request.with_payload(number.to_le_bytes());
            }
            if number % 3 > 1 {
                request = request.with_customer("someone");
            }
            let _ = engine.schedule(request, at(900)).unwrap();
        }
        let _ = engine.poll(at(2_000), 100).unwrap();
        for number in [2, 6] {
            let id = RequestId::from(number);
            let later = ScheduleData::at(at(75_000));
            let _ = engine.reschedule(id, later, None, at(3_000)).unwrap();
        }
        engine
    }

    fn images(shard: &Shard) -> Vec<RequestImage<'_>> {
        let places = (0..shard.store.end()).filter(|&index| shard.store.entry(index).is_some());
        places.map(|index| shard.image_of(index, true)).collect()
    }

    /// What a request is that was in flight: the router may know of its attempt.
    fn restored(mut image: RequestImage<'_>) -> RequestImage<'_> {
        if let Some(course) = image.course.as_mut().filter(|_| image.in_flight) {
            course.open_attempt = course.attempts;
        }
        image
    }

    #[test]
    fn an_image_is_put_together_again_as_it_was() {
        let engine = engine();
        let shard = engine.shards[0].lock();
        let images = images(&shard);
        assert!(images.iter().any(|image| image.in_flight));
        let mut store = Store::new();
        for image in &images {
            assert_eq!(unsound(image), None);
            let index = store.restore(image.clone());
            let pending = store.get(index).unwrap();
            assert_eq!(store.image(pending, true), restored(image.clone()));
        }
        store.check_invariants();
    }

    #[test]
    fn an_image_takes_the_place_of_another() {
        let engine = engine();
        let shard = engine.shards[0].lock();
        let images = images(&shard);
        let mut store = Store::new();
        let index = store.restore(images[0].clone());
        for former in &images {
            for image in &images {
                store.restore_over(index, former.clone());
                store.restore_over(index, image.clone());
                let pending = store.get(index).unwrap();
                assert_eq!(store.image(pending, true), restored(image.clone()));
                // What the customer gave stays where nothing is said of it.
                let kept = RequestImage {
                    contents: ContentsImage::Kept,
                    ..former.clone()
                };
                store.restore_over(index, kept);
                let pending = store.get(index).unwrap();
                let expected = RequestImage {
                    contents: image.contents,
                    ..restored(former.clone())
                };
                assert_eq!(store.image(pending, true), expected);
            }
            store.check_invariants();
        }
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn what_was_given_and_is_not_found_is_noted() {
        let engine = engine();
        let shard = engine.shards[0].lock();
        let image = shard.image_of(0, false);
        let mut store = Store::new();
        let index = store.restore(image.clone());
        assert!(store.entry(index).unwrap().flags.has(Flags::ORPHAN));
        store.restore_over(index, image);
        assert!(store.entry(index).unwrap().flags.has(Flags::ORPHAN));
        store.restore_over(index, shard.image_of(0, true));
        assert!(!store.entry(index).unwrap().flags.has(Flags::ORPHAN));
        assert_eq!(
            store.entry(index).unwrap().location,
            LocationId::from_index(0)
        );
    }
}
