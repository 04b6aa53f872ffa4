//! The replay: one loop that moves a manual clock from event to event, as fast as it goes or at a multiple of
//! real time.
//!
//! At each instant, in this order: the pool's own changes (calls end, shifts begin and end); what comes in at
//! that instant, by arrival and line; the engine's poll, which consults the pool and routes to it; connections.
//! So whoever arrives at an instant at which an agent becomes free competes for them by the queue's order, not
//! by chance.
//!
//! The engine is polled with a budget of one until nothing due is left. A consultation holds within one poll;
//! with one request a poll each is judged on a queue that has all the others before it in it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use duewheel::{Clock, Engine, ManualClock, Report, RequestStatus, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::intake::Submission;
use crate::pool::Pool;
use crate::zone::Zone;

/// What a replay left behind.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// The engine's report at the end.
    pub(crate) report: Report,
    /// What the engine knows of each request that was submitted, in that order.
    pub(crate) statuses: Vec<Option<RequestStatus>>,
    /// From the first event to the last, by the simulated clock.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    /// Commands that the pool had from this run of the engine.
    pub(crate) told: u64,
    /// Intakes, examinations by the engine, changes in the pool.
    pub(crate) events: u64,
    /// Real time it took.
    pub(crate) elapsed: Duration,
}

/// How many requests come in from one snapshot to the next, where there is a store.
const SNAPSHOT_EVERY: usize = 5_000;

/// Runs everything through the engine until nothing is left to happen. The clock begins at `begin`: what lies before
/// that, and was taken in before, is submitted once more all the same, which the engine recognises.
///
/// # Errors
/// Where the engine refuses a request: the library and this example disagree. Where its store fails.
pub(crate) fn run(
    engine: &Engine,
    pool: &Arc<Pool>,
    submissions: Vec<Submission>,
    begin: Timestamp,
    pace: Option<f64>,
    zone: &Zone,
) -> Result<Replayed, String> {
    let began = Instant::now();
    let clock = ManualClock::new(begin);
    let progress = progress_bar(submissions.len());
    let ids: Vec<_> = submissions.iter().map(|item| item.request.id).collect();
    let mut pacing: Option<Pacing> = None;
    let mut events = 0;
    let mut since_snapshot = 0;
    let mut span = None;
    let mut incoming = submissions.into_iter().peekable();
    loop {
        let next_in = incoming.peek().map(|submission| submission.at);
        let next_due = engine.next_wakeup();
        if next_in.is_none() && engine.pending() == 0 && pool.is_quiet() {
            break;
        }
        let next = [next_in, next_due, pool.next_event()];
        let Some(next) = next.into_iter().flatten().min() else {
            return Err(format!(
                "{} requests are pending, but nothing will ever happen",
                engine.pending()
            ));
        };
        // The wake-up may name an instant that has passed already; the simulated clock only moves ahead.
        let now = next.max(clock.now());
        if let Some(speed) = pace {
            pacing
                .get_or_insert_with(|| Pacing::new(now, speed))
                .wait_for(now);
        }
        clock.set(now);
        span = span.map_or(Some((now, now)), |(first, _)| Some((first, now)));

        if let Some(civil) = zone.civil(now).filter(|_| !progress.is_hidden()) {
            progress.set_message(civil.strftime("%a %Y-%m-%d %H:%M").to_string());
        }
        pool.advance(now);
        while let Some(submission) = incoming.next_if(|submission| submission.at <= now) {
            events += 1;
            progress.inc(1);
            let line = submission.line;
            let receipt = engine
                .schedule(submission.request, now)
                .map_err(|error| format!("line {line} was refused by the engine: {error}"))?;
            debug_assert!(!receipt.duplicate || begin > Timestamp::EPOCH);
            since_snapshot += usize::from(!receipt.duplicate);
        }
        if since_snapshot >= SNAPSHOT_EVERY && engine.recovery().is_some() {
            since_snapshot = 0;
            let _ = engine.snapshot().map_err(|error| error.to_string())?;
        }
        loop {
            let poll = engine.poll(now, 1).map_err(|error| error.to_string())?;
            events += poll.examined as u64;
            if !poll.more {
                break;
            }
        }
        pool.connect();
    }
    progress.finish_and_clear();
    if let Some(error) = pool.book_error() {
        return Err(format!("the pool's book: {error}"));
    }
    engine.flush().map_err(|error| error.to_string())?;
    Ok(Replayed {
        report: engine.report(clock.now()),
        statuses: ids.into_iter().map(|id| engine.status(id)).collect(),
        span,
        told: pool.told(),
        events,
        elapsed: began.elapsed(),
    })
}

/// Keeps the simulated clock at a multiple of real time.
struct Pacing {
    began: Instant,
    from: Timestamp,
    speed: f64,
}

impl Pacing {
    fn new(from: Timestamp, speed: f64) -> Self {
        Self {
            began: Instant::now(),
            from,
            speed,
        }
    }

    fn wait_for(&self, now: Timestamp) {
        let simulated = now.saturating_duration_since(self.from);
        // A speed so small that the wait is beyond all bounds waits as long as there is.
        let real = Duration::try_from_secs_f64(simulated.as_secs_f64() / self.speed)
            .unwrap_or(Duration::MAX);
        std::thread::sleep(real.saturating_sub(self.began.elapsed()));
    }
}

/// On stderr, so that stdout belongs to the summary; hidden where stderr is no terminal.
fn progress_bar(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} requests, {msg}, {eta} to go")
        .expect("the template is a constant");
    ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr())
        .with_style(style)
}
