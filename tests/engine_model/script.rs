//! The router of the test: what it answers is a function of the command and of what the operations set,
//! so that the model can work it out for itself.

use std::panic::panic_any;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, Engine, MemoryStore, ProcessingCondition, RequestStatus,
    Router, RoutingCommand, ScheduleData, Timestamp,
};

use crate::model::command::{Command, Consulted, number};
use crate::model::{Model, Outside};

/// Thrown by the router where the script says so. The panic hook is silent about it alone.
struct Scripted;

/// What `consult` says of every location until an operation changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) consultation: Consultation,
    /// Consulting about every fifth request panics.
    pub(crate) panics: bool,
}

impl Standing {
    /// The answer to a consultation; `None`: it panics.
    pub(crate) fn consult(&self, id: u64, location: u32) -> Option<Consultation> {
        if self.panics && id.is_multiple_of(5) {
            return None;
        }
        let mut consultation = self.consultation;
        consultation.agents_ready += location;
        Some(consultation)
    }
}

/// What becomes of a command; `None`: the router panics. By the last attempts everything is routed or
/// busy, so that no script goes round in circles.
pub(crate) fn disposition(id: u64, attempt: u32, now: Timestamp) -> Option<Disposition> {
    let turn = (id * 5 + u64::from(attempt) * 7) % 16;
    Some(match turn {
        0 => return None,
        1 => Disposition::Busy { retry_after: None },
        2 => Disposition::Busy {
            retry_after: Some(Duration::ZERO),
        },
        3 => Disposition::Busy {
            retry_after: Some(Duration::from_secs(20)),
        },
        4 => Disposition::Accepted {
            lease_for: Duration::ZERO,
        },
        5..=8 => Disposition::Accepted {
            lease_for: Duration::from_secs(40 * (turn - 4)),
        },
        9 => Disposition::Rejected("nobody speaks that".into()),
        10 if attempt < 6 => {
            Disposition::Reschedule(ScheduleData::at(now.saturating_sub(Duration::from_secs(5))))
        }
        11 if attempt < 9 => Disposition::Reschedule(rescheduled(now)),
        _ if attempt > 12 && !attempt.is_multiple_of(3) => Disposition::Busy { retry_after: None },
        _ => Disposition::Routed,
    })
}

fn rescheduled(now: Timestamp) -> ScheduleData {
    let after = |seconds| now.saturating_add(Duration::from_secs(seconds));
    let built = ScheduleData::builder()
        .time_if(after(60), ProcessingCondition::Open)
        .time(after(120))
        .not_after(after(400))
        .build();
    // At the end of time the three coincide.
    built.unwrap_or_else(|_| ScheduleData::at(after(60)))
}

/// Plays the script and writes down what it is asked and told.
#[derive(Default)]
pub(crate) struct Desk {
    standing: Mutex<Standing>,
    consulted: Mutex<Vec<Consulted>>,
    commands: Mutex<Vec<Command>>,
    /// The store crashes while the router is told of the command of this number, counted down.
    crash: Mutex<Option<(u32, MemoryStore)>>,
}

impl Desk {
    /// Lets the store crash while the router is told of a command: the next for 1.
    pub(crate) fn crash_at(&self, command: u32, store: &MemoryStore) {
        *lock(&self.crash) = Some((command, store.clone()));
    }

    /// Says whether the store was not let crash yet, and lets it be.
    pub(crate) fn spare(&self) -> bool {
        lock(&self.crash).take().is_some()
    }

    pub(crate) fn set(&self, standing: Standing) {
        *lock(&self.standing) = standing;
    }

    /// The consultations since the last look.
    pub(crate) fn take_consulted(&self) -> Vec<Consulted> {
        std::mem::take(&mut lock(&self.consulted))
    }

    /// The commands since the last look.
    pub(crate) fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut lock(&self.commands))
    }
}

impl Desk {
    fn count_down(&self) {
        let mut crash = lock(&self.crash);
        if let Some((left, store)) = &mut *crash {
            *left -= 1;
            if *left == 0 {
                store.crash();
                *crash = None;
            }
        }
    }
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        lock(&self.consulted).push(request.into());
        let standing = *lock(&self.standing);
        standing
            .consult(number(request.id), request.location.index())
            .unwrap_or_else(|| panic_any(Scripted))
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let (id, attempt, now) = (number(command.id), command.attempt, command.released);
        lock(&self.commands).push(command.into());
        self.count_down();
        disposition(id, attempt, now).unwrap_or_else(|| panic_any(Scripted))
    }
}

/// When a poll does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// While the router is told of the command of this number, from 1.
    Command(u32),
    /// While it is waited for the store for the time of this number, from 1.
    Sync(u32),
}

/// The script as the model meets it.
pub(crate) struct Following<'a> {
    pub(crate) standing: Standing,
    pub(crate) engine: &'a Engine,
    pub(crate) consulted: Vec<Consulted>,
    pub(crate) commands: Vec<Command>,
    pub(crate) death: Option<Death>,
    /// The model, and how many consultations and commands there had been, when the poll died.
    pub(crate) died: Option<(Model, usize, usize)>,
    /// The model when everything had been made durable for the last time before that.
    pub(crate) synced: Option<Model>,
    syncs: u32,
}

impl<'a> Following<'a> {
    pub(crate) fn new(standing: Standing, engine: &'a Engine) -> Self {
        Self {
            standing,
            engine,
            consulted: Vec::new(),
            commands: Vec::new(),
            death: None,
            died: None,
            synced: None,
            syncs: 0,
        }
    }

    fn dies(&mut self, model: &Model) {
        if self.died.is_none() {
            let counts = (self.consulted.len(), self.commands.len());
            self.died = Some((model.clone(), counts.0, counts.1));
        }
    }
}

impl Outside for Following<'_> {
    fn consult(&mut self, _: &mut Model, asked: Consulted) -> Option<Consultation> {
        let answer = self.standing.consult(asked.id, asked.location);
        self.consulted.push(asked);
        answer
    }

    fn route(&mut self, model: &mut Model, commands: Vec<Command>) -> Vec<Option<Disposition>> {
        let answer = |told: &Command| disposition(told.id, told.attempt, told.released);
        let answers = commands.iter().map(answer).collect();
        for command in commands {
            self.commands.push(command);
            if self.death == Some(Death::Command(self.commands.len() as u32)) {
                self.dies(model);
            }
        }
        answers
    }

    fn sync(&mut self, model: &Model) {
        self.syncs += 1;
        if self.death == Some(Death::Sync(self.syncs)) {
            self.dies(model);
        }
        if self.death.is_some() && self.died.is_none() {
            let mut synced = model.clone();
            synced.sync();
            self.synced = Some(synced);
        }
    }

    fn seen(&self, id: u64) -> Option<RequestStatus> {
        seen(self.engine, id)
    }
}

/// What an engine shows of a request. After its journal has failed it says of some that they are not durable.
pub(crate) fn seen(engine: &Engine, id: u64) -> Option<RequestStatus> {
    let status = engine.status(id.into())?;
    let durable = engine.recovery().is_some();
    Some(RequestStatus { durable, ..status })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A desk; from the first one on, the panic hook passes over what the script throws.
pub(crate) fn desk() -> Arc<Desk> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Scripted>() {
                loud(info);
            }
        }));
    });
    Arc::default()
}
