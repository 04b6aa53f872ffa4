//! What the panics said that ended a thread of the engine: the message outlives the thread, what drove it,
//! and where an observer was given the engine too.
//!
//! The router's panics are not among them. They are caught, and counted in the report.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;

use super::delivery::{caught, discard};
use crate::sync::{Arc, Mutex};
use crate::telemetry::tell;

/// Messages kept: the latest.
const MESSAGES_MAX: usize = 16;

/// Bytes of a message that are kept.
const MESSAGE_BYTES_MAX: usize = 1024;

/// What [`EngineBuilder::on_thread_panic`](super::EngineBuilder::on_thread_panic) was given.
#[derive(Clone)]
pub(super) struct PanicObserver(Arc<dyn Fn(&str) + Send + Sync>);

impl PanicObserver {
    pub(super) fn new(observer: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }
}

impl fmt::Debug for PanicObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PanicObserver")
    }
}

/// The messages of an engine. Its threads share it, because they may outlive the engine.
pub(super) struct Panics {
    messages: Mutex<VecDeque<String>>,
    observer: Option<PanicObserver>,
}

impl Panics {
    pub(super) fn new(observer: Option<PanicObserver>) -> Self {
        Self {
            messages: Mutex::default(),
            observer,
        }
    }

    /// [`note`](Self::note) for a panic that ends here.
    pub(super) fn record(&self, panic: Box<dyn Any + Send>) -> String {
        let message = self.note(&*panic);
        discard(panic);
        message
    }

    /// Keeps what a panic said, tells the observer on this thread, and answers it.
    pub(super) fn note(&self, panic: &(dyn Any + Send)) -> String {
        let message = message(panic);
        let mut messages = self.messages.lock();
        if messages.len() == MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(message.clone());
        drop(messages);
        tell!(ThreadPanicked {});
        if let Some(PanicObserver(observer)) = &self.observer {
            // There is nobody to tell of its own.
            let _ = caught(|| observer(&message));
        }
        message
    }

    pub(super) fn messages(&self) -> Vec<String> {
        self.messages.lock().iter().cloned().collect()
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    text[..text.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_messages_are_kept_and_long_ones_are_cut() {
        let panics = Panics::new(None);
        for number in 0..MESSAGES_MAX + 3 {
            panics.record(Box::new(format!("number {number}")));
        }
        let messages = panics.messages();
        assert_eq!(messages.len(), MESSAGES_MAX);
        assert_eq!(messages[0], "number 3");
        let cut = panics.record(Box::new("é".repeat(MESSAGE_BYTES_MAX)));
        assert_eq!(cut.len(), MESSAGE_BYTES_MAX);
        assert_eq!(panics.record(Box::new("literal")), "literal");
        assert_eq!(panics.record(Box::new(7)), "a panic without a message");
    }

    #[test]
    fn an_observer_that_panics_is_one_that_was_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let observer = PanicObserver::new(move |message| {
            seen.lock().push(message.to_owned());
            panic!("{message}, and the observer too");
        });
        let panics = Panics::new(Some(observer));
        panics.record(Box::new("a clock"));
        assert_eq!(*told.lock(), ["a clock"]);
        assert_eq!(panics.messages(), ["a clock"]);
    }
}
