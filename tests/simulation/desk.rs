//! The router of a world. Its answers hang on the mood that a location is in, and from inside its calls it
//! calls back into the engine. It writes down all it is asked and told and does, in order.

use std::collections::BTreeMap;
use std::panic::panic_any;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError, Weak};
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, Engine, Lease, RequestStatus, Router, RoutingCommand,
    ScheduleData, Timestamp,
};

use crate::calls::{Call, Made};
use crate::clients;
use crate::dice::Dice;
use crate::model::command::{Command, Consulted};
use crate::requests::{self, Facts};

/// After so many attempts a request is routed, so that no poll goes round in circles.
const ATTEMPTS_MAX: u32 = 12;

/// Thrown by the router where its mood has it. The panic hook is silent about it alone.
struct Moody;

/// How things stand at a location.
#[derive(Clone, Debug)]
pub(crate) struct Mood {
    /// Routed, busy, rescheduled, rejected, accepted, panic.
    answers: [u32; 6],
    consultation: Consultation,
    /// In percent: how often a consultation panics, and how often a call calls back.
    consult_panics: u64,
    calls_back: u64,
    /// In percent: how often the figures are others at the next consultation.
    fickle: u64,
    /// Open or closed at random, so that either is had soon by who waits for it.
    opens_at_random: bool,
}

impl Mood {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let answers = dice.pick(&[
            [1, 0, 0, 0, 0, 0],
            [6, 2, 1, 1, 4, 1],
            [1, 8, 1, 0, 1, 0],
            [1, 0, 0, 0, 8, 0],
            [2, 1, 0, 1, 2, 4],
            [1, 1, 4, 0, 1, 0],
        ]);
        Self {
            answers,
            consultation: figures(dice),
            consult_panics: dice.pick(&[0, 0, 0, 20]),
            calls_back: dice.pick(&[0, 0, 10, 40]),
            fickle: dice.pick(&[0, 20, 100]),
            opens_at_random: false,
        }
    }

    /// Nothing stands in any request's way.
    fn friendly() -> Self {
        Self {
            answers: [1, 0, 0, 0, 0, 0],
            consultation: Consultation {
                expected_wait: Some(Duration::ZERO),
                agents_ready: 9,
                open: true,
                ..Consultation::default()
            },
            consult_panics: 0,
            calls_back: 0,
            fickle: 0,
            opens_at_random: true,
        }
    }
}

fn figures(dice: &mut Dice) -> Consultation {
    Consultation {
        expected_wait: dice
            .chance(80)
            .then(|| Duration::from_secs(dice.below(150))),
        agents_ready: dice.below(4) as u32,
        queue_length: dice.below(4) as u32,
        open: dice.chance(60),
        good_for: dice.chance(50).then(|| dice.below(4) as u32),
    }
}

/// What the router was asked or told, and what it did meanwhile and answered then.
pub(crate) enum Heard {
    Asked {
        asked: Consulted,
        inside: Vec<Inside>,
        answer: Option<Consultation>,
    },
    Told {
        commands: Vec<Command>,
        inside: Vec<Inside>,
        answers: Vec<Option<Disposition>>,
    },
}

/// A call from inside the router, and what the engine showed of its requests just before.
pub(crate) struct Inside {
    pub(crate) seen: BTreeMap<u64, RequestStatus>,
    pub(crate) made: Made,
}

pub(crate) struct Desk {
    engine: OnceLock<Weak<Engine>>,
    facts: Arc<Mutex<Facts>>,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    grain_ms: u64,
    moods: Vec<Mood>,
    log: Vec<Heard>,
    promises: Vec<(Lease, u64)>,
}

impl Desk {
    pub(crate) fn new(mut dice: Dice, facts: Arc<Mutex<Facts>>) -> Arc<Self> {
        hush();
        let Facts {
            locations,
            grain_ms,
            ..
        } = *lock(&facts);
        let moods = (0..locations).map(|_| Mood::draw(&mut dice)).collect();
        Arc::new(Self {
            engine: OnceLock::new(),
            facts,
            state: Mutex::new(State {
                dice,
                grain_ms,
                moods,
                log: Vec::new(),
                promises: Vec::new(),
            }),
        })
    }

    pub(crate) fn serve(&self, engine: &Arc<Engine>) {
        self.engine.set(Arc::downgrade(engine)).unwrap();
    }

    pub(crate) fn set_mood(&self, location: u32, mood: Mood) {
        lock(&self.state).moods[location as usize] = mood;
    }

    pub(crate) fn make_friendly(&self) {
        lock(&self.state).moods.fill_with(Mood::friendly);
    }

    /// What was heard since the last look.
    pub(crate) fn take_log(&self) -> Vec<Heard> {
        std::mem::take(&mut lock(&self.state).log)
    }

    /// Accepted leases since the last look, each with the time in milliseconds after which it is completed.
    pub(crate) fn take_promises(&self) -> Vec<(Lease, u64)> {
        std::mem::take(&mut lock(&self.state).promises)
    }

    fn engine(&self) -> Arc<Engine> {
        let engine = self.engine.get().and_then(Weak::upgrade);
        engine.expect("an engine that calls is there")
    }

    /// Calls back into the engine, with nothing locked here.
    fn call_back(&self, location: u32, now: Timestamp) -> Vec<Inside> {
        let mut state = lock(&self.state);
        let percent = state.moods[location as usize].calls_back;
        if !state.dice.chance(percent) {
            return Vec::new();
        }
        let calls: Vec<Call> = {
            let facts = &mut *lock(&self.facts);
            let calls = state.dice.between(1, 3);
            (0..calls)
                .map(|_| clients::inside(&mut state.dice, facts, now))
                .collect()
        };
        drop(state);
        let engine = self.engine();
        let ids = lock(&self.facts).ids;
        let mut inside = Vec::new();
        for call in calls {
            let statuses = (0..ids).filter_map(|id| Some((id, engine.status(id.into())?)));
            let seen = statuses.collect();
            let made = call.make(&engine, now);
            inside.push(Inside { seen, made });
        }
        inside
    }

    fn told(&self, commands: Vec<RoutingCommand>) -> Vec<Disposition> {
        let now = commands[0].released;
        lock(&self.facts)
            .leases
            .extend(commands.iter().map(|told| told.lease));
        let mut inside = Vec::new();
        let mut answers = Vec::new();
        for command in &commands {
            inside.extend(self.call_back(command.location.index(), now));
            let answer = lock(&self.state).answer(command);
            let panics = answer.is_none();
            answers.push(answer);
            if panics {
                break;
            }
        }
        // A panic loses what was answered before, too.
        let lost = answers.last().is_some_and(Option::is_none);
        let mut state = lock(&self.state);
        // Now and then a batch comes back with the last answers missing.
        let is_short = !lost && commands.len() > 1 && state.dice.chance(5);
        let given = match (lost, is_short) {
            (true, _) => 0,
            (_, true) => commands.len() - 1,
            _ => commands.len(),
        };
        answers.resize(commands.len(), None);
        answers[given..].fill(None);
        let dispositions: Vec<Disposition> = answers.iter().flatten().cloned().collect();
        state.log.push(Heard::Told {
            commands: commands.into_iter().map(Command::from).collect(),
            inside,
            answers,
        });
        drop(state);
        if lost {
            panic_any(Moody);
        }
        dispositions
    }
}

impl State {
    /// What becomes of a command; `None`: the router panics.
    fn answer(&mut self, command: &RoutingCommand) -> Option<Disposition> {
        let now = command.released;
        let dice = &mut self.dice;
        let answers = &self.moods[command.location.index() as usize].answers;
        let answer = match command.attempt > ATTEMPTS_MAX {
            true => 0,
            false => dice.weighted(answers),
        };
        Some(match answer {
            0 => Disposition::Routed,
            1 => Disposition::Busy {
                retry_after: match dice.below(4) {
                    0 => None,
                    1 => Some(Duration::ZERO),
                    _ => Some(Duration::from_millis(dice.delay_ms(15_000))),
                },
            },
            2 if dice.chance(30) => Disposition::Reschedule(ScheduleData::at(
                now.saturating_sub(Duration::from_secs(5)),
            )),
            2 => Disposition::Reschedule(requests::schedule(dice, self.grain_ms).build(now)),
            3 => Disposition::Rejected(dice.pick(&["nobody speaks that", "", "hung up"]).into()),
            4 => {
                let lease_ms = dice.pick(&[0, 1, 5_000, 60_000, 300_000]);
                // In time, late or never, and some twice.
                for _ in 0..dice.weighted(&[2, 8, 2]) {
                    let done_ms = dice.delay_ms(lease_ms / 2 + 1);
                    self.promises.push((command.lease, done_ms));
                }
                Disposition::Accepted {
                    lease_for: Duration::from_millis(lease_ms),
                }
            }
            _ => return None,
        })
    }

    fn consultation(&mut self, location: u32) -> Option<Consultation> {
        let mood = &mut self.moods[location as usize];
        if self.dice.chance(mood.consult_panics) {
            return None;
        }
        if self.dice.chance(mood.fickle) {
            mood.consultation = figures(&mut self.dice);
        }
        if mood.opens_at_random {
            mood.consultation.open = self.dice.chance(50);
        }
        Some(mood.consultation)
    }
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        let location = request.location.index();
        let inside = self.call_back(location, request.now);
        let mut state = lock(&self.state);
        let answer = state.consultation(location);
        state.log.push(Heard::Asked {
            asked: request.into(),
            inside,
            answer,
        });
        drop(state);
        answer.unwrap_or_else(|| panic_any(Moody))
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let mut answers = self.told(vec![command]);
        answers
            .pop()
            .expect("a command alone is answered or a panic")
    }

    fn route_batch(&self, commands: Vec<RoutingCommand>) -> Vec<Disposition> {
        assert!(commands.len() > 1, "one alone is no batch");
        self.told(commands)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on the panic hook passes over what moods throw.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Moody>() {
                loud(info);
            }
        }));
    });
}
