//! The operations of a wheel and a naive model of it, shared by property tests, long runs and the
//! fuzz package, which includes this file by path. It derives `Arbitrary` there: that package's
//! library is no test, and `arbitrary` is no dependency of the tests.

mod operation;

use std::collections::BTreeMap;

use duewheel::{Advance, Fired, Handle, Wheel};

pub use operation::{Anywhere, Budget, Distance, Moment, Near, Operation, Present, Rare};

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
    unfinished: Option<Unfinished>,
    resumed: usize,
}

/// What the last advance left to do.
struct Unfinished {
    now: u64,
    /// Advances to that tick since that neither used their budget up nor finished.
    calls: usize,
    /// Most records held at any of them: what they had to work through.
    records: usize,
    /// Whether timers came, went or moved since.
    touched: bool,
}

/// Calls over which an advance may be spread without using up its budget: so many, and one more for
/// every so many records.
const CALLS: usize = 64;
const RECORDS_PER_CALL: usize = 8;

/// What the sink throws: of a type of its own, so that no failed assertion is taken for it.
struct GivesUp;

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
            unfinished: None,
            resumed: 0,
        }
    }

    /// Does one step on both and compares everything that can be seen.
    pub fn apply<M: Moment>(&mut self, operation: &Operation<M>) {
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
            Operation::Cancel(number) => self.cancel(usize::from(number)),
            Operation::Reschedule(number, due) => {
                let due = self.tick(due);
                self.reschedule(usize::from(number), due);
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
                        let (_, key) =
                            self.model.timers[usize::from(number) % self.model.timers.len()];
                        let (_, value) = self.model.pending.get_mut(&key.unwrap()).unwrap();
                        *value = value.wrapping_add(1);
                    }
                }
            }
            Operation::Advance { by, budget } => {
                let now = self.model.now.saturating_add(by.ticks());
                self.advance(now, budget.timers());
            }
            Operation::AdvanceSame { budget } => self.advance(self.model.now, budget.timers()),
            Operation::AdvanceUntilDone { budget } => {
                self.advance_until_done(self.model.now, budget.timers());
            }
            Operation::AdvanceToNext { budget } => {
                if let Some(next) = self.wheel.next_due() {
                    let now = next.max(self.model.now);
                    let Advance { fired, more } = self.advance_once(now, budget.timers());
                    let rose = self.wheel.next_due().is_none_or(|bound| bound > next);
                    assert!(
                        fired > 0 || rose || more,
                        "advancing to the bound {next} made no progress"
                    );
                }
            }
            Operation::Jump { to, budget } => {
                let now = self.tick(to);
                self.advance(now, budget.timers());
            }
            Operation::Rare(ref rare) => self.apply_rare(rare),
            Operation::KeepUp { by, calls } => {
                self.model.now = self.model.now.saturating_add(by.ticks());
                self.keep_up(usize::from(calls));
            }
        }
        self.compare();
    }

    fn apply_rare(&mut self, rare: &Rare) {
        match *rare {
            Rare::CancelMost { modulus } => {
                for number in 0..self.model.timers.len() {
                    if number % (usize::from(modulus) + 1) != 0 {
                        self.cancel(number);
                    }
                }
            }
            Rare::StepBack { by, budget } => {
                let now = self.model.now.saturating_sub(by.ticks());
                self.advance(now, budget.timers());
            }
            Rare::Panic { by, at } => self.advance_and_panic(by, usize::from(at)),
            Rare::Clear => {
                self.wheel.clear();
                self.model.take_all();
                self.touch();
            }
            Rare::Drain { taken } => {
                let mut expected = self.model.take_all();
                for fired in self.wheel.drain().take(usize::from(taken)) {
                    let value = expected.remove(&fired.handle);
                    assert_eq!(value, Some((fired.due, fired.value)));
                }
                self.touch();
            }
        }
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
        self.touch();
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
        self.touch();
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
        self.touch();
    }

    /// Brings the wheel up to the model's tick: the half of all numbers of calls are until it is done.
    fn keep_up(&mut self, calls: usize) {
        let now = self.model.now;
        let records = self.wheel.records();
        let calls_max = if calls < 128 { calls } else { 64 + records };
        let mut more = true;
        let mut made = 0;
        while more && made < calls_max {
            more = self.wheel.keep_up(now);
            made += 1;
        }
        assert!(!more || calls < 128, "it never comes to an end");
        let is_due = self.model.first_due().is_some_and(|due| due <= now);
        if !more && !is_due && made > 0 {
            // The bound may be a little early, and then an advance is what moves it.
            let bound = self.wheel.next_due().unwrap_or(u64::MAX);
            assert!(self.wheel.cursor() >= now || bound <= now);
        }
        self.touch();
    }

    /// Advances both and compares what fires, in order.
    pub fn advance(&mut self, now: u64, budget: usize) {
        let _ = self.advance_once(now, budget);
    }

    /// Advances both to one tick until the wheel says that nothing is left, which must come to an
    /// end.
    pub fn advance_until_done(&mut self, now: u64, budget: usize) {
        // Without a budget for a single timer it would not.
        while self.advance_once(now, budget.max(1)).more {}
    }

    fn advance_once(&mut self, now: u64, budget: usize) -> Advance {
        self.model.now = now;
        let pending = self.model.pending.len();
        let records = self.wheel.records();
        let model = &mut self.model;
        let advance = self
            .wheel
            .advance(now, budget, |fired| model.fired(&fired, now));
        assert_eq!(advance.fired, pending - self.model.pending.len());
        assert!(advance.fired <= budget);
        let left = self.model.first_due().is_some_and(|due| due <= now);
        // Beside its budget an advance bounds its own work, so it may ask for another call before
        // it knows that nothing is due; without a budget it does all there is to do.
        assert!(advance.more || !left, "something due is left unsaid");
        assert!(
            !advance.more || budget < usize::MAX,
            "without a budget something is left"
        );
        self.account(now, advance, budget, records);
        advance
    }

    /// Sees to it that calls for one tick come to an end.
    fn account(&mut self, now: u64, advance: Advance, budget: usize, records: usize) {
        let before = self.unfinished.take().filter(|before| before.now == now);
        if before.as_ref().is_some_and(|before| before.touched) {
            self.resumed += 1;
        }
        if !advance.more {
            return;
        }
        let mut unfinished = Unfinished {
            now,
            calls: 0,
            records,
            touched: false,
        };
        if advance.fired < budget {
            unfinished.calls = 1;
            if let Some(before) = before {
                unfinished.calls += before.calls;
                unfinished.records = records.max(before.records);
            }
        }
        let Unfinished { calls, records, .. } = unfinished;
        assert!(
            calls <= CALLS + records / RECORDS_PER_CALL,
            "{calls} calls at {now} did not finish {records} records"
        );
        self.unfinished = Some(unfinished);
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
        let mut shown: Vec<(Handle, u64, u64)> = self
            .wheel
            .iter()
            .map(|(handle, due, value)| (handle, due, *value))
            .collect();
        shown.sort_unstable();
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

    /// How many advances went on with a tick left unfinished, after timers came, went or moved.
    pub fn resumed(&self) -> usize {
        self.resumed
    }

    fn touch(&mut self) {
        if let Some(unfinished) = &mut self.unfinished {
            unfinished.touched = true;
        }
    }

    fn tick(&self, moment: impl Moment) -> u64 {
        moment.tick(Present {
            now: self.model.now,
            cursor: self.wheel.cursor(),
            first_due: self.model.first_due(),
        })
    }

    fn lookup(&mut self, number: u16) -> Option<(Handle, Option<(u64, u64)>)> {
        let (handle, key) = self.model.timer(usize::from(number))?;
        let key = *key;
        Some((handle, key.map(|key| (key.0, self.model.pending[&key].1))))
    }

    fn advance_and_panic(&mut self, by: Distance, at: usize) {
        let now = self.model.now.saturating_add(by.ticks());
        self.unfinished = None;
        let Self { wheel, model, .. } = self;
        model.now = now;
        let mut count = 0;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wheel.advance(now, usize::MAX, |fired| {
                model.fired(&fired, now);
                count += 1;
                if count > at {
                    // Not a failure: no message, no backtrace.
                    std::panic::resume_unwind(Box::new(GivesUp));
                }
            })
        }));
        if let Err(payload) = outcome
            && !payload.is::<GivesUp>()
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

    /// What is pending, by handle: handle, due time and value.
    fn all(&self) -> Vec<(Handle, u64, u64)> {
        let shown = |(key, (number, value)): (&(u64, u64), &(usize, u64))| {
            (self.timers[*number].0, key.0, *value)
        };
        let mut all: Vec<_> = self.pending.iter().map(shown).collect();
        all.sort_unstable();
        all
    }

    fn take_all(&mut self) -> BTreeMap<Handle, (u64, u64)> {
        let all = self.all();
        self.pending.clear();
        for (_, key) in &mut self.timers {
            *key = None;
        }
        all.into_iter()
            .map(|(handle, due, value)| (handle, (due, value)))
            .collect()
    }
}
