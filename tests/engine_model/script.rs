//! The router of the test: what it answers is a function of the command and of what the operations set,
//! so that the model can work it out for itself.

use std::panic::panic_any;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, Engine, ProcessingCondition, RequestStatus, Router,
    RoutingCommand, ScheduleData, Timestamp,
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
}

impl Desk {
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
        disposition(id, attempt, now).unwrap_or_else(|| panic_any(Scripted))
    }
}

/// The script as the model meets it.
pub(crate) struct Following<'a> {
    pub(crate) standing: Standing,
    pub(crate) engine: &'a Engine,
    pub(crate) consulted: Vec<Consulted>,
    pub(crate) commands: Vec<Command>,
}

impl Outside for Following<'_> {
    fn consult(&mut self, _: &mut Model, asked: Consulted) -> Option<Consultation> {
        let answer = self.standing.consult(asked.id, asked.location);
        self.consulted.push(asked);
        answer
    }

    fn route(&mut self, _: &mut Model, commands: Vec<Command>) -> Vec<Option<Disposition>> {
        let answer = |told: &Command| disposition(told.id, told.attempt, told.released);
        let answers = commands.iter().map(answer).collect();
        self.commands.extend(commands);
        answers
    }

    fn seen(&self, id: u64) -> Option<RequestStatus> {
        self.engine.status(id.into())
    }
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
