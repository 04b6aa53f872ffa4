//! The pending requests of one shard: entries, contents and courses, put together and taken apart.

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

impl Gone {
    /// Whether there is nothing in it.
    pub(super) fn is_nothing(&self) -> bool {
        self.contents.is_none() && self.schedule.is_none()
    }
}
