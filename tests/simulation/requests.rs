//! Requests as the clients of a world make them up, and what a world knows of its own requests.

use std::collections::BTreeMap;

use duewheel::{InteractionRequest, Lease, LocationId, Media, Timestamp};

use crate::dice::Dice;
use crate::model::schedules::Schedule;

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// What clients, operators and the router of a world know: names, not states.
pub(crate) struct Facts {
    /// In some worlds everything happens on the second, so that much of it happens at once.
    pub(crate) grain_ms: u64,
    pub(crate) ids: u64,
    pub(crate) locations: u32,
    pub(crate) payload_bytes_max: usize,
    /// The content that was submitted last under an id.
    pub(crate) submitted: BTreeMap<u64, InteractionRequest>,
    /// All leases that the router was given.
    pub(crate) leases: Vec<Lease>,
}

impl Facts {
    pub(crate) fn id(&self, dice: &mut Dice) -> u64 {
        dice.below(self.ids)
    }

    /// A location; now and then one that the directory does not know.
    pub(crate) fn location(&self, dice: &mut Dice) -> u32 {
        let known = u64::from(self.locations);
        let end = known + u64::from(dice.chance(2));
        u32::try_from(dice.below(end)).unwrap()
    }

    /// A lease that was given out, mostly of late; or one that never was.
    pub(crate) fn lease(&self, dice: &mut Dice) -> Lease {
        if self.leases.is_empty() || dice.chance(8) {
            let (id, attempt, epoch) = (self.id(dice), dice.below(4), dice.below(3));
            return format!("{id}/{attempt}/{epoch}").parse().unwrap();
        }
        let given = self.leases.len() as u64;
        let back = match dice.chance(70) {
            true => dice.below(given.min(5)),
            false => dice.below(given),
        };
        self.leases[usize::try_from(given - 1 - back).unwrap()]
    }

    /// A new request, which is remembered as what was submitted under this id.
    pub(crate) fn request(
        &mut self,
        dice: &mut Dice,
        id: u64,
        now: Timestamp,
    ) -> InteractionRequest {
        let location = LocationId::from_index(self.location(dice));
        let bytes_max = self.payload_bytes_max as u64;
        let bytes = match dice.chance(3) {
            true => bytes_max + 1,
            false => dice.between(0, bytes_max),
        };
        let mut request = InteractionRequest::new(id.into(), location)
            .with_media(dice.pick(&[Media::Voice, Media::Email]))
            .with_priority(dice.pick(&[0u8, 0, 0, 1, 7]))
            .with_payload(vec![id as u8; usize::try_from(bytes).unwrap()]);
        if dice.chance(70) {
            request = request.with_customer(format!("customer {id}"));
        }
        if dice.chance(85) {
            request = request.with_schedule(schedule(dice, self.grain_ms).build(now));
        }
        self.submitted.insert(id, request.clone());
        request
    }

    /// A request as it was submitted before, or with other content under the same id.
    pub(crate) fn again(&self, id: u64, changed: bool) -> Option<InteractionRequest> {
        let mut request = self.submitted.get(&id)?.clone();
        if changed {
            request.priority.0 ^= 1;
        }
        Some(request)
    }
}

/// A schedule of any kind, near times more often than far ones; its times are whole grains from now.
pub(crate) fn schedule(dice: &mut Dice, grain_ms: u64) -> Schedule {
    let mut schedule = fine_schedule(dice);
    let grain = grain_ms as u32;
    schedule.first_ms -= schedule.first_ms % grain_ms as i64;
    for (gap_ms, _) in &mut schedule.times {
        *gap_ms = gap_ms.next_multiple_of(grain);
    }
    schedule.not_after_ms = schedule.not_after_ms.map(|end| end.next_multiple_of(grain));
    if let Some((from_ms, until_ms)) = &mut schedule.windows {
        (*from_ms, *until_ms) = (
            from_ms.next_multiple_of(grain),
            until_ms.next_multiple_of(grain),
        );
    }
    schedule
}

fn fine_schedule(dice: &mut Dice) -> Schedule {
    let first_ms = match dice.weighted(&[8, 3, 2, 3, 1]) {
        0 => dice.below(20_000) as i64,
        1 => dice.below(200_000) as i64,
        2 => 0,
        3 => -(dice.below(200_000) as i64),
        _ => dice.below(2 * DAY_MS) as i64,
    };
    let several = dice.chance(40);
    let times = match several {
        true => dice.between(2, 4),
        false => 1,
    };
    let times = (0..times)
        .map(|_| {
            let gap_ms = match dice.weighted(&[4, 2, 1]) {
                0 => dice.between(1, 40_000),
                1 => dice.between(1, 400_000),
                _ => 1,
            };
            let conditional = several || dice.chance(40);
            let condition = if conditional { dice.below(10) } else { 9 };
            (gap_ms as u32, condition as u8)
        })
        .collect();
    let not_after_ms = dice.chance(40).then(|| match dice.weighted(&[3, 2, 1]) {
        0 => dice.between(1, 60_000) as u32,
        1 => dice.between(1, 600_000) as u32,
        _ => dice.between(1, 200_000_000) as u32,
    });
    let windows = dice
        .chance(15)
        .then(|| (dice.below(60_000) as u32, dice.between(1, 60_000) as u32));
    Schedule {
        first_ms,
        far: dice.chance(1),
        times,
        not_after_ms,
        windows,
        threshold_s: dice.chance(40).then(|| dice.below(120) as u8),
        recheck_ms: dice.pick(&[30_000, 10_000, 1_500, 1, 100_000]),
        rules: [0; 4].map(|_| dice.below(3) as u8),
    }
}
