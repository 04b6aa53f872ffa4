//! The operations of a wheel and a naive model of it, shared by property tests, long runs and the
//! fuzz target, which includes this file by path.

use std::collections::BTreeMap;

use duewheel::{Fired, Handle, Wheel};

/// One step. Timers are named by number: reduced modulo those ever scheduled, so that most steps
/// hit something and stale handles are used as well.
#[derive(Clone, Debug)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Operation {
    /// Schedule this far from the cursor.
    Schedule(Due),
    /// Schedule many at distances `step` apart.
    Burst { due: Due, count: u8, step: u16 },
    /// Cancel.
    Cancel(u32),
    /// Cancel every timer whose number leaves a rest other than 0.
    CancelMost { modulus: u8 },
    /// Give another due time.
    Reschedule(u32, Due),
    /// Read.
    Get(u32),
    /// Change the value in place.
    GetMut(u32),
    /// Advance by a distance, with a budget.
    Advance { by: Distance, budget: u8 },
    /// Advance to the bound that `next_due` gives.
    AdvanceToNext,
    /// Advance to an earlier time.
    StepBack { by: Distance },
    /// Advance and panic in the sink at the n-th timer.
    Panic { by: Distance, at: u8 },
    /// Drop all.
    Clear,
    /// Take all out, and look only at the first few.
    Drain { taken: u8 },
}

/// A distance, most often short, of any magnitude.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub struct Distance {
    /// The bits of the distance.
    pub bits: u64,
    /// How many of them are dropped.
    pub shift: u8,
}

impl Distance {
    /// The distance in ticks.
    pub fn ticks(self) -> u64 {
        self.bits >> (self.shift % 64)
    }
}

/// A due time.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(fuzzing, derive(arbitrary::Arbitrary))]
pub enum Due {
    /// After the model's present.
    After(Distance),
    /// Before it.
    Before(Distance),
    /// At a power of two, or one tick before it: where digits carry.
    Power { exponent: u8, minus: bool },
    /// The last tick there is.
    Last,
}

/// What the wheel must do: timers in a map by (due, intake).
#[derive(Default)]
pub struct Model {
    pending: BTreeMap<(u64, u64), (usize, u64)>,
    /// By number: the handle, and the key while pending.
    timers: Vec<(Handle, Option<(u64, u64)>)>,
    intake: u64,
    now: u64,
}

/// The wheel beside its model.
pub struct Pair {
    /// The wheel under test.
    pub wheel: Wheel<u64>,
    /// What it must agree with.
    pub model: Model,
}

impl Pair {
    /// Both empty, starting at a tick.
    pub fn starting_at(tick: u64) -> Self {
        let model = Model {
            now: tick,
            ..Model::default()
        };
        Self {
            wheel: Wheel::starting_at(tick),
            model,
        }
    }

    /// Does one step on both and compares everything that can be seen.
    pub fn apply(&mut self, operation: &Operation) {
        match *operation {
            Operation::Schedule(due) => {
                let due = self.tick(due);
                self.schedule(due);
            }
            Operation::Burst { due, count, step } => {
                let first = self.tick(due);
                for number in 0..u64::from(count) {
                    self.schedule(first.saturating_add(number * u64::from(step)));
                }
            }
            Operation::Cancel(number) => self.cancel(number as usize),
            Operation::CancelMost { modulus } => {
                for number in 0..self.model.timers.len() {
                    if number % (usize::from(modulus) + 1) != 0 {
                        self.cancel(number);
                    }
                }
            }
            Operation::Reschedule(number, due) => {
                let due = self.tick(due);
                self.reschedule(number as usize, due);
            }
            Operation::Get(number) => {
                if let Some((handle, expected)) = self.lookup(number) {
                    assert_eq!(
                        self.wheel.get(handle).copied(),
                        expected.map(|(_, value)| value)
                    );
                }
            }
            Operation::GetMut(number) => {
                if let Some((handle, expected)) = self.lookup(number) {
                    let value = self.wheel.get_mut(handle);
                    assert_eq!(value.as_deref().copied(), expected.map(|(_, value)| value));
                    if let Some(value) = value {
                        *value = value.wrapping_add(1);
                        let (_, key) = self.model.timers[number as usize % self.model.timers.len()];
                        let (_, value) = self.model.pending.get_mut(&key.unwrap()).unwrap();
                        *value = value.wrapping_add(1);
                    }
                }
            }
            Operation::Advance { by, budget } => {
                let budget = if budget == u8::MAX {
                    usize::MAX
                } else {
                    usize::from(budget)
                };
                self.advance(self.model.now.saturating_add(by.ticks()), budget);
            }
            Operation::AdvanceToNext => {
                if let Some(next) = self.wheel.next_due() {
                    let before = self.model.pending.len();
                    self.advance(next.max(self.model.now), usize::MAX);
                    let fired = before - self.model.pending.len();
                    let rose = self.wheel.next_due().is_none_or(|bound| bound > next);
                    assert!(
                        fired > 0 || rose,
                        "advancing to the bound {next} made no progress"
                    );
                }
            }
            Operation::StepBack { by } => {
                self.advance(self.model.now.saturating_sub(by.ticks()), usize::MAX);
            }
            Operation::Panic { by, at } => self.advance_and_panic(by, usize::from(at)),
            Operation::Clear => {
                self.wheel.clear();
                self.model.take_all();
            }
            Operation::Drain { taken } => {
                let mut expected = self.model.take_all();
                for fired in self.wheel.drain().take(usize::from(taken)) {
                    let value = expected.remove(&fired.handle);
                    assert_eq!(value, Some((fired.due, fired.value)));
                }
            }
        }
        self.compare();
    }

    /// Schedules on both.
    pub fn schedule(&mut self, due: u64) {
        let value = self.model.intake;
        let handle = self.wheel.schedule(due, value);
        let key = self.model.key(due);
        self.model
            .pending
            .insert(key, (self.model.timers.len(), value));
        self.model.timers.push((handle, Some(key)));
    }

    /// Cancels on both.
    pub fn cancel(&mut self, number: usize) {
        let Some((handle, key)) = self.model.timer(number) else {
            return;
        };
        let expected = key.take().and_then(|key| self.model.pending.remove(&key));
        assert_eq!(self.wheel.cancel(handle), expected.map(|(_, value)| value));
        assert_eq!(
            self.wheel.cancel(handle),
            None,
            "a cancelled handle is inert"
        );
    }

    /// Reschedules on both.
    pub fn reschedule(&mut self, number: usize, due: u64) {
        let fresh = self.model.key(due);
        let Some((handle, key)) = self.model.timer(number) else {
            return;
        };
        let old = *key;
        if old.is_some() {
            *key = Some(fresh);
        }
        if let Some(timer) = old.and_then(|key| self.model.pending.remove(&key)) {
            self.model.pending.insert(fresh, timer);
        }
        assert_eq!(self.wheel.reschedule(handle, due), old.is_some());
    }

    /// Advances both and compares what fires, in order.
    pub fn advance(&mut self, now: u64, budget: usize) {
        self.model.now = now;
        let model = &mut self.model;
        let advance = self
            .wheel
            .advance(now, budget, |fired| model.fired(&fired, now));
        assert!(advance.fired <= budget);
        let left = self.model.first_due().is_some_and(|due| due <= now);
        assert!(advance.more || !left, "what is left is told of");
        assert!(!advance.more || budget < usize::MAX, "all is done");
    }

    /// What both show at the end of a step.
    pub fn compare(&self) {
        let (wheel, model) = (&self.wheel, &self.model);
        assert_eq!(wheel.len(), model.pending.len());
        assert_eq!(wheel.is_empty(), model.pending.is_empty());
        assert_eq!(wheel.next_due().is_none(), model.pending.is_empty());
        if let (Some(bound), Some(due)) = (wheel.next_due(), model.first_due()) {
            assert!(bound <= due, "next_due {bound} is later than {due}");
        }
    }

    /// Compares every timer, and checks the wheel's insides. Linear.
    pub fn check(&self) {
        self.wheel.check_invariants();
        let shown: BTreeMap<Handle, (u64, u64)> = self
            .wheel
            .iter()
            .map(|(handle, due, value)| (handle, (due, *value)))
            .collect();
        assert_eq!(shown, self.model.all());
    }

    /// Number of timers ever scheduled.
    pub fn scheduled(&self) -> usize {
        self.model.timers.len()
    }

    /// Number of timers pending.
    pub fn pending(&self) -> usize {
        self.model.pending.len()
    }

    /// The model's present.
    pub fn now(&self) -> u64 {
        self.model.now
    }

    fn tick(&self, due: Due) -> u64 {
        match due {
            Due::After(distance) => self.model.now.saturating_add(distance.ticks()),
            Due::Before(distance) => self.model.now.saturating_sub(distance.ticks()),
            Due::Power { exponent, minus } => (1 << (exponent % 64)) - u64::from(minus),
            Due::Last => u64::MAX,
        }
    }

    fn lookup(&mut self, number: u32) -> Option<(Handle, Option<(u64, u64)>)> {
        let (handle, key) = self.model.timer(number as usize)?;
        let key = *key;
        Some((handle, key.map(|key| (key.0, self.model.pending[&key].1))))
    }

    fn advance_and_panic(&mut self, by: Distance, at: usize) {
        let now = self.model.now.saturating_add(by.ticks());
        let Self { wheel, model } = self;
        model.now = now;
        let mut count = 0;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wheel.advance(now, usize::MAX, |fired| {
                model.fired(&fired, now);
                count += 1;
                if count > at {
                    // Not a failure: no message, no backtrace.
                    std::panic::resume_unwind(Box::new("the sink gives up"));
                }
            })
        }));
        if let Err(payload) = outcome
            && !payload.is::<&str>()
        {
            std::panic::resume_unwind(payload);
        }
    }
}

impl Model {
    /// A key behind all others of the same due time.
    fn key(&mut self, due: u64) -> (u64, u64) {
        self.intake += 1;
        (due, self.intake)
    }

    fn timer(&mut self, number: usize) -> Option<(Handle, &mut Option<(u64, u64)>)> {
        let count = self.timers.len();
        let (handle, key) = self.timers.get_mut(number.checked_rem(count)?)?;
        Some((*handle, key))
    }

    fn first_due(&self) -> Option<u64> {
        self.pending.first_key_value().map(|(key, _)| key.0)
    }

    /// What fires must be the first of all, and due.
    fn fired(&mut self, fired: &Fired<u64>, now: u64) {
        let (key, (number, value)) = self.pending.pop_first().expect("something is pending");
        assert!(key.0 <= now, "fired {} early, at {now}", key.0);
        assert_eq!(
            (fired.due, fired.value),
            (key.0, value),
            "the first by due time and intake"
        );
        assert_eq!(fired.handle, self.timers[number].0);
        self.timers[number].1 = None;
    }

    fn all(&self) -> BTreeMap<Handle, (u64, u64)> {
        let shown = |(key, (number, value)): (&(u64, u64), &(usize, u64))| {
            (self.timers[*number].0, (key.0, *value))
        };
        self.pending.iter().map(shown).collect()
    }

    fn take_all(&mut self) -> BTreeMap<Handle, (u64, u64)> {
        let all = self.all();
        self.pending.clear();
        for (_, key) in &mut self.timers {
            *key = None;
        }
        all
    }
}
