//! The requests that every peer gets: the same ones, in the same order, for the same seed.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Milliseconds of a day: how far ahead requests are due.
pub(crate) const DAY: u64 = 86_400_000;

/// Bytes of a request's payload.
pub(crate) const PAYLOAD: usize = 100;

/// What a request consists of: its id, location, due time and payload.
pub(crate) const BYTES: usize = 16 + 4 + 8 + PAYLOAD;

/// Locations that requests are spread over.
const LOCATIONS: u32 = 100;

/// A request to be handled later.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) id: u128,
    pub(crate) location: u32,
    /// Milliseconds; at least 1.
    pub(crate) due: u64,
    pub(crate) payload: [u8; PAYLOAD],
}

impl Request {
    /// As a peer gives it back.
    pub(crate) fn as_due(&self) -> Due<'_> {
        Due {
            id: self.id,
            location: self.location,
            due: self.due,
            payload: &self.payload,
        }
    }
}

/// A request that a peer gives back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Due<'a> {
    pub(crate) id: u128,
    pub(crate) location: u32,
    pub(crate) due: u64,
    pub(crate) payload: &'a [u8],
}

/// What requests amount to in any order: tells whether two sets of them are the same one, and makes
/// sure that every byte was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: usize,
    sum: u128,
}

impl Sum {
    pub(crate) fn of(requests: &[Request]) -> Self {
        let mut sum = Self::default();
        for request in requests {
            sum.add(&request.as_due());
        }
        sum
    }

    pub(crate) fn add(&mut self, request: &Due<'_>) {
        let mut bytes = 0_u64;
        for piece in request.payload.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            bytes = bytes.rotate_left(5) ^ u64::from_le_bytes(word);
        }
        let mixed = request.id ^ u128::from(request.due) << 32 ^ u128::from(request.location);
        self.count += 1;
        self.sum = self
            .sum
            .wrapping_add(mixed.wrapping_mul(u128::from(bytes | 1)));
    }
}

/// So many requests with random ids, due uniformly over the day, in no order.
pub(crate) fn requests(count: usize) -> Vec<Request> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let request = |_| {
        let mut payload = [0; PAYLOAD];
        random.fill_bytes(&mut payload);
        Request {
            id: random.random(),
            location: random.random_range(0..LOCATIONS),
            due: random.random_range(1..=DAY),
            payload,
        }
    };
    (0..count).map(request).collect()
}

/// Their ids in random order.
pub(crate) fn shuffled_ids(requests: &[Request]) -> Vec<u128> {
    let mut ids: Vec<u128> = requests.iter().map(|request| request.id).collect();
    ids.shuffle(&mut Pcg64Mcg::seed_from_u64(2));
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_tells_a_changed_request_from_the_one_it_was() {
        let requests = requests(100);
        let whole = Sum::of(&requests);
        let mut others = requests.clone();
        others.reverse();
        assert_eq!(Sum::of(&others), whole, "order is nothing to it");
        others[5].payload[PAYLOAD - 1] ^= 1;
        assert_ne!(Sum::of(&others), whole);
        others.clone_from(&requests);
        others[5].location ^= 1;
        assert_ne!(Sum::of(&others), whole);
        others.clone_from(&requests);
        others[5].due += 1;
        assert_ne!(Sum::of(&others), whole);
        assert_ne!(Sum::of(&requests[1..]), whole);
    }

    #[test]
    fn the_same_requests_come_every_time() {
        assert_eq!(requests(100), requests(100));
        assert_eq!(requests(100), requests(200)[..100]);
    }
}
