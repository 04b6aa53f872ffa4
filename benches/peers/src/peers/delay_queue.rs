//! tokio-util's `DelayQueue`, under tokio's paused clock.
//!
//! The queue reads the runtime's clock and is woken by the runtime's timer, so that an advance has
//! to run the runtime: its cost, a few hundred nanoseconds a tick, is in every figure with ticks.

use std::future::poll_fn;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use crate::peer::{Cancelled, Kind, Order, Peer};

pub(crate) struct TokioDelayQueue {
    queue: DelayQueue<u64>,
    epoch: Instant,
    now: u64,
    /// Inserting and removing set a timer of the runtime's.
    _entered: EnterGuard<'static>,
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system")
    })
}

impl Peer for TokioDelayQueue {
    type Handle = Key;

    const NAME: &'static str = "DelayQueue";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Due;

    fn new() -> Self {
        let entered = runtime().enter();
        Self {
            queue: DelayQueue::new(),
            epoch: Instant::now(),
            now: 0,
            _entered: entered,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> Key {
        self.queue
            .insert_at(value, self.epoch + Duration::from_millis(due))
    }

    #[inline]
    fn cancel(&mut self, handle: Key) -> Cancelled {
        self.queue
            .try_remove(&handle)
            .map(tokio_util::time::delay_queue::Expired::into_inner)
            .into()
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        let passed = Duration::from_millis(now - self.now);
        self.now = now;
        let queue = &mut self.queue;
        runtime().block_on(unconstrained(async {
            tokio::time::advance(passed).await;
            poll_fn(|context| {
                while let Poll::Ready(Some(expired)) = queue.poll_expired(context) {
                    fire(expired.into_inner());
                }
                Poll::Ready(())
            })
            .await;
        }));
    }
}
