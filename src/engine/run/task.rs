//! One released command on its way through the async router: a task.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::task::spawn_blocking;

use super::super::delivery::discard;
use super::super::dispatch::Dispatch;
use super::super::taken::Taken;
use super::AsyncEngine;
use crate::clock::Clock;
use crate::router::AsyncRouter;
use crate::sync::Arc;
use crate::telemetry::FutureSpan;

/// Routes an attempt that was taken from the dispatch; `ahead` as the poll decided. Dropped before the router is
/// called, the attempt goes back; dropped while the router has it, its lease runs on.
pub(super) async fn route<R: AsyncRouter + 'static>(
    engine: AsyncEngine<R>,
    clock: Arc<dyn Clock>,
    taken: Taken<AsyncEngine<R>, Arc<Dispatch>>,
    ahead: bool,
) {
    let attempt = taken.attempt();
    if engine.is_sync() {
        // The router is told of nothing that may be forgotten, and a task may not wait for a disk.
        let waiting = engine.shared();
        let settled = spawn_blocking(move || waiting.settle_log(attempt.intent).is_ok());
        if !matches!(settled.await, Ok(true)) {
            return;
        }
    }
    if let Some(command) = engine.start_dispatched(attempt, ahead, clock.now()) {
        let router = Arc::clone(engine.router());
        let span = FutureSpan::route(command.id, command.location, command.attempt);
        // The call is inside, for it may panic before there is a future.
        let answer = Caught::new(async move {
            let mut routed = pin!(span.within(|| router.route(command)));
            poll_fn(|context| span.within(|| routed.as_mut().poll(context))).await
        })
        .await;
        engine.settle(attempt, answer.map_err(discard).ok(), clock.now());
    }
    taken.settled();
}

/// A future whose panic is its result, be it in its drop.
pub(super) struct Caught<F>(Option<Pin<Box<F>>>);

impl<F> Caught<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.0;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = future
                .as_mut()
                .expect("not polled after it was ready")
                .as_mut()
                .poll(context);
            if polled.is_ready() {
                *future = None;
            }
            polled
        }));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => {
                let left = future.take();
                if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(left))) {
                    discard(second);
                }
                Poll::Ready(Err(panic))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    struct DropsBadly;

    impl Drop for DropsBadly {
        fn drop(&mut self) {
            panic!("in its drop");
        }
    }

    #[test]
    fn a_panic_is_a_result_wherever_it_comes_from() {
        let mut pending = true;
        let answers = poll_fn(move |_| match std::mem::take(&mut pending) {
            true => Poll::Pending,
            false => Poll::Ready(7),
        });
        let mut answers = Caught::new(answers);
        assert!(poll(&mut answers).is_pending());
        assert!(matches!(poll(&mut answers), Poll::Ready(Ok(7))));

        let mut panics = Caught::new(async { panic!("in its poll") });
        let Poll::Ready(Err::<(), _>(panic)) = poll(&mut panics) else {
            panic!("it panicked")
        };
        assert_eq!(panic.downcast_ref(), Some(&"in its poll"));

        let held = DropsBadly;
        let mut late = Caught::new(poll_fn(move |_| {
            let _held = &held;
            Poll::Ready(7)
        }));
        assert!(matches!(poll(&mut late), Poll::Ready(Err(_))));
    }
}
