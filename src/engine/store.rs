//! The pending requests of one shard: entries, contents and courses, put together and taken apart.

use std::hint::black_box;
use std::ops::Range;

use super::entry::{Contents, Course, Entry, Flags, Plan};
use super::pending::{Pending, PendingMut};
use super::slab::{NONE, Slab};
use crate::ids::Timestamp;
use crate::request::InteractionRequest;
use crate::schedule::ScheduleData;

/// What the user gave and an ended request held: to be dropped when no lock is held.
pub(super) struct Gone {
    contents: Option<Contents>,
    schedule: Option<ScheduleData>,
}

/// The pending requests of one shard.
pub(super) struct Store {
    entries: Slab<Entry>,
    contents: Slab<Contents>,
    courses: Slab<Course>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            entries: Slab::new(),
            contents: Slab::new(),
            courses: Slab::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One past the largest index ever in use: the bound of a walk by index.
    pub(super) fn end(&self) -> u32 {
        self.entries.end()
    }

    #[inline]
    pub(super) fn entry(&self, index: u32) -> Option<&Entry> {
        self.entries.get(index)
    }

    #[inline]
    pub(super) fn entry_mut(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(index)
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<Pending<'_>> {
        Some(Pending::new(self.entries.get(index)?, &self.courses))
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<PendingMut<'_>> {
        Some(PendingMut {
            entry: self.entries.get_mut(index)?,
            courses: &mut self.courses,
        })
    }

    /// Loads what is asked of an entry first into the cache. The result means nothing.
    #[inline]
    pub(super) fn touch(&self, index: u32) -> u32 {
        self.entries.get(index).map_or(0, |entry| entry.timer)
    }

    /// What the router is given of a request.
    pub(super) fn contents(&self, index: u32) -> Option<&Contents> {
        self.contents.get(self.entries.get(index)?.contents)
    }

    /// Takes out of a request what is kept of it, and leaves a shell, to be dropped when no lock is held.
    pub(super) fn insert(
        &mut self,
        request: &mut InteractionRequest,
        fingerprint: u64,
        intake: u64,
        now: Timestamp,
    ) -> u32 {
        let plain = request.schedule.as_ref().map(ScheduleData::plain);
        let (due, plan) = match plain {
            None => (now, Plan::Immediate),
            // One that is overdue needs to know when it came.
            Some(Some((due, offset))) if now <= due => (due, Plan::Plain(offset)),
            Some(_) => (now, Plan::Immediate),
        };
        let mut entry = Entry::new(request.id, request.location, fingerprint, intake, due, plan);
        entry.media = request.media;
        entry.priority = request.priority;
        entry.flags.set(Flags::JUDGED, due <= now);
        if request.customer.is_some() || !request.payload.is_empty() {
            entry.contents = self.contents.insert(Contents {
                customer: request.customer.take(),
                payload: std::mem::take(&mut request.payload),
            });
        }
        let index = self.entries.insert(entry);
        if let Plan::Immediate = plan
            && let Some(schedule) = request.schedule.take()
            && let Some(mut pending) = self.get_mut(index)
        {
            pending.set_schedule(schedule, now);
        }
        index
    }

    /// Loads what was given with the requests in some places into the cache, each kind of thing at once, so that the
    /// waits overlap.
    pub(super) fn touch_contents(&self, places: Range<u32>) {
        let entries = places.filter_map(|index| self.entries.get(index));
        let contents = entries.filter_map(|entry| self.contents.get(entry.contents));
        let touched = contents.clone().map(|contents| contents.payload.len());
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
        let touched = contents.map(|contents| {
            let customer = contents.customer.as_ref();
            let customer = customer.and_then(|customer| customer.as_bytes().first());
            customer.copied().unwrap_or(0) ^ contents.payload.first().copied().unwrap_or(0)
        });
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
    }

    /// What the router is given of a request that was found.
    pub(super) fn contents_of(&self, entry: &Entry) -> Option<&Contents> {
        self.contents.get(entry.contents)
    }

    /// Puts in an entry whose parts are in.
    pub(super) fn insert_entry(&mut self, entry: Entry) -> u32 {
        self.entries.insert(entry)
    }

    /// Puts contents, or none, in the place of others, or of none; returns where.
    pub(super) fn replace_contents(&mut self, former: u32, contents: Option<Contents>) -> u32 {
        replace(&mut self.contents, former, contents)
    }

    /// Puts a course, or none, in the place of that of a plan; returns where, if anywhere.
    pub(super) fn replace_course(&mut self, former: Plan, course: Option<Course>) -> Option<u32> {
        let former = match former {
            Plan::Course(course) => course,
            Plan::Immediate | Plan::Plain(_) => NONE,
        };
        let place = replace(&mut self.courses, former, course);
        (place != NONE).then_some(place)
    }

    /// Takes a request out; what is left of it is to be dropped when no lock is held.
    pub(super) fn remove(&mut self, index: u32) -> Option<Gone> {
        let entry = self.entries.remove(index)?;
        let contents = match entry.contents {
            NONE => None,
            contents => self.contents.remove(contents),
        };
        let course = match entry.plan() {
            Plan::Course(course) => self.courses.remove(course),
            Plan::Immediate | Plan::Plain(_) => None,
        };
        let schedule = course.and_then(|course| course.schedule);
        Some(Gone {
            contents,
            // A plain one holds nothing.
            schedule: schedule.filter(|schedule| schedule.plain().is_none()),
        })
    }

    /// Panics unless each entry has the parts it names, and there are no others.
    pub(super) fn check_invariants(&self) {
        let (mut contents, mut courses) = (0, 0);
        for index in 0..self.end() {
            let Some(entry) = self.entry(index) else {
                continue;
            };
            if entry.contents != NONE {
                assert!(self.contents.get(entry.contents).is_some());
                contents += 1;
            }
            if let Plan::Course(course) = entry.plan() {
                assert!(self.courses.get(course).is_some());
                courses += 1;
            }
        }
        assert_eq!(contents, self.contents.len());
        assert_eq!(courses, self.courses.len());
    }
}

/// Puts a value, or none, in the place of another, or of `NONE`; returns where.
fn replace<T>(slab: &mut Slab<T>, former: u32, value: Option<T>) -> u32 {
    match (slab.get_mut(former), value) {
        (Some(place), Some(value)) => {
            *place = value;
            former
        }
        (Some(_), None) => {
            slab.remove(former);
            NONE
        }
        (None, Some(value)) => slab.insert(value),
        (None, None) => NONE,
    }
}

impl Gone {
    /// Whether there is nothing in it.
    pub(super) fn is_nothing(&self) -> bool {
        self.contents.is_none() && self.schedule.is_none()
    }
}
