//! Checks a peer against a model before any of its figures count: batches, cancels, releases and new
//! openings, done to both, under every promise that it can keep.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::disk::Scratch;
use crate::peer::{Answer, DurablePeer, Promise};
use crate::request::{self, DAY, Due, Request};

/// Requests of the script.
const REQUESTS: usize = 3_000;

/// Checks a peer, in new directories inside of `place`.
///
/// # Errors
/// Where it differs from the model, and whatever it says.
pub(crate) fn check<P: DurablePeer>(place: &Path) -> Answer<()> {
    if P::IS_FLOOR {
        return Ok(());
    }
    let interval = Duration::from_millis(5);
    let promises = [
        Promise::Returned,
        Promise::Within(interval),
        Promise::HandedOver(interval),
    ];
    for promise in promises {
        if P::can_keep(promise).is_ok() {
            let scratch = Scratch::new(place)?;
            check_promise::<P>(promise, scratch.path())
                .map_err(|error| format!("{promise:?}: {error}"))?;
        }
    }
    Ok(())
}

/// What a peer should hold.
#[derive(Default)]
struct Model {
    by_due: BTreeMap<(u64, u128), Request>,
    by_id: HashMap<u128, u64>,
}

fn check_promise<P: DurablePeer>(promise: Promise, directory: &Path) -> Answer<()> {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let requests = request::requests(REQUESTS);
    let mut model = Model::default();
    let mut peer = P::open(directory, promise)?;
    let mut now = 0;
    let mut rest = &requests[..];
    while !rest.is_empty() {
        match random.random_range(0..10) {
            0..6 => {
                let (batch, after) = rest.split_at(random.random_range(1..=rest.len().min(40)));
                rest = after;
                let mut batch = batch.to_vec();
                for request in &mut batch {
                    request.due = request.due.max(now + 1);
                }
                // Ids that are there, and one twice in the same batch, with something else in them.
                let known = model.any_id(&mut random).into_iter();
                for id in known.chain([batch[0].id]) {
                    batch.push(Request {
                        id,
                        due: DAY,
                        ..requests[0].clone()
                    });
                }
                let expected = model.schedule(&batch);
                equal("taken in", peer.schedule(&batch)?, expected)?;
            }
            6..8 => {
                let mut ids = vec![random.random()];
                ids.extend(model.any_id(&mut random));
                ids.extend(model.any_id(&mut random));
                ids.sort_unstable();
                ids.dedup();
                let expected = model.cancel(&ids);
                equal("cancelled", peer.cancel(&ids)?, expected)?;
            }
            8 => {
                now += random.random_range(0..DAY / 100);
                release(&mut peer, &mut model, now)?;
            }
            _ => {
                peer.flush()?;
                drop(peer);
                peer = P::open(directory, promise)?;
                compare_whole(&mut peer, &model)?;
            }
        }
    }
    // The middle of the day, a new opening, and the rest.
    release(&mut peer, &mut model, now.max(DAY / 2))?;
    peer.flush()?;
    drop(peer);
    let mut peer = P::open(directory, promise)?;
    compare_whole(&mut peer, &model)?;
    release(&mut peer, &mut model, DAY)?;
    equal("left", peer.first_due()?, None)
}

impl Model {
    fn any_id(&self, random: &mut Pcg64Mcg) -> Option<u128> {
        let mut ids: Vec<u128> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        ids.choose(random).copied()
    }

    fn schedule(&mut self, batch: &[Request]) -> usize {
        let before = self.by_id.len();
        for request in batch {
            self.by_id.entry(request.id).or_insert_with(|| {
                self.by_due
                    .insert((request.due, request.id), request.clone());
                request.due
            });
        }
        self.by_id.len() - before
    }

    fn cancel(&mut self, ids: &[u128]) -> usize {
        let cancel = |id: &&u128| {
            let due = self.by_id.remove(*id);
            due.is_some_and(|due| self.by_due.remove(&(due, **id)).is_some())
        };
        ids.iter().filter(cancel).count()
    }

    fn release(&mut self, now: u64) -> Vec<Request> {
        let later = self.by_due.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut self.by_due, later);
        due.into_values()
            .inspect(|request| {
                self.by_id.remove(&request.id);
            })
            .collect()
    }
}

fn release<P: DurablePeer>(peer: &mut P, model: &mut Model, now: u64) -> Answer<()> {
    let expected = model.release(now);
    let mut released = Vec::new();
    peer.release(now, |request| released.push(owned(&request)))?;
    equal_in_order("released", released, expected)
}

/// Whether a peer that was just opened holds what the model holds.
fn compare_whole<P: DurablePeer>(peer: &mut P, model: &Model) -> Answer<()> {
    let first = model.by_due.keys().next().map(|&(due, _)| due);
    equal("first due after opening", peer.first_due()?, first)?;
    let mut loaded = Vec::new();
    let count = peer.load(|request| loaded.push(owned(&request)))?;
    equal("count after opening", count, model.by_due.len())?;
    if loaded.is_empty() {
        return Ok(());
    }
    let expected = model.by_due.values().cloned().collect();
    equal_in_order("loaded", loaded, expected)
}

fn owned(request: &Due<'_>) -> Request {
    let mut payload = [0; request::PAYLOAD];
    payload.copy_from_slice(request.payload);
    Request {
        id: request.id,
        location: request.location,
        due: request.due,
        payload,
    }
}

/// In order of due time; those due at one time in any.
fn equal_in_order(what: &str, mut found: Vec<Request>, expected: Vec<Request>) -> Answer<()> {
    if !found.is_sorted_by_key(|request| request.due) {
        return Err(format!("{what}: not in order of due time").into());
    }
    found.sort_by_key(|request| (request.due, request.id));
    equal(what, found, expected)
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Answer<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}: expected {expected:?}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;

    /// Forgets the last request of each batch of more than ten.
    struct Forgetful(BTreeMap<(u64, u128), Request>);

    impl DurablePeer for Forgetful {
        const NAME: &'static str = "forgetful";

        fn open(_directory: &Path, _promise: Promise) -> Answer<Self> {
            Ok(Self(BTreeMap::new()))
        }

        fn schedule(&mut self, batch: &[Request]) -> Answer<usize> {
            let mut taken = 0;
            for request in batch {
                if self.0.keys().all(|&(_, id)| id != request.id) {
                    self.0.insert((request.due, request.id), request.clone());
                    taken += 1;
                }
            }
            if batch.len() > 10 {
                self.0.pop_last();
            }
            Ok(taken)
        }

        fn cancel(&mut self, ids: &[u128]) -> Answer<usize> {
            let before = self.0.len();
            self.0.retain(|(_, id), _| !ids.contains(id));
            Ok(before - self.0.len())
        }

        fn release(&mut self, now: u64, mut visit: impl FnMut(Due<'_>)) -> Answer<()> {
            let later = self.0.split_off(&(now + 1, 0));
            for request in std::mem::replace(&mut self.0, later).values() {
                visit(request.as_due());
            }
            Ok(())
        }

        fn flush(&mut self) -> Answer<()> {
            Ok(())
        }

        fn first_due(&mut self) -> Answer<Option<u64>> {
            Ok(self.0.keys().next().map(|&(due, _)| due))
        }

        fn load(&mut self, mut visit: impl FnMut(Due<'_>)) -> Answer<usize> {
            for request in self.0.values() {
                visit(request.as_due());
            }
            Ok(self.0.len())
        }
    }

    #[test]
    fn every_peer_is_right() {
        for peer in &peers::ALL {
            if let Err(error) = (peer.check)(&std::env::temp_dir()) {
                panic!("{}: {error}", peer.name);
            }
        }
    }

    #[test]
    fn a_peer_that_loses_requests_is_found_out() {
        let error = check::<Forgetful>(&std::env::temp_dir()).unwrap_err();
        assert!(error.to_string().contains("expected"), "{error}");
    }
}
