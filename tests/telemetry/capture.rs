//! A subscriber and a recorder that write down what they are told, and call back into whoever asks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};

/// What is called with each event's name, or each metric's.
type Hook = Box<dyn Fn(&str) + Send + Sync>;

/// Everything that was told, in order.
#[derive(Default)]
pub(crate) struct Told {
    /// `name field=value ..`, spans with a `+` before them, or with `-` where they are left.
    pub(crate) lines: Mutex<Vec<String>>,
    /// By name and labels, the sums of counters, values of gauges and counts of histograms.
    pub(crate) metrics: Mutex<BTreeMap<String, f64>>,
    pub(crate) descriptions: Mutex<BTreeMap<String, Option<Unit>>>,
    hook: Mutex<Option<Arc<Hook>>>,
    spans: Mutex<BTreeMap<u64, String>>,
    last_span: AtomicU64,
}

thread_local! {
    /// What a hook does is told as well, but hooks no further.
    static IN_HOOK: Cell<bool> = const { Cell::new(false) };
}

impl Told {
    pub(crate) fn hook(&self, hook: impl Fn(&str) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Arc::new(Box::new(hook)));
    }

    /// The lines of events on one request, without the request and its location.
    pub(crate) fn of(&self, id: u64) -> Vec<String> {
        let marked = format!(" request={id} ");
        let lines = self.lines.lock().unwrap();
        let of_it = lines
            .iter()
            .map(|line| format!("{line} "))
            .filter(|line| line.contains(&marked) && !line.starts_with(['+', '-']));
        of_it
            .map(|line| {
                let words = line.split_whitespace();
                let rest = words
                    .filter(|word| !word.starts_with("request=") && !word.starts_with("location="));
                rest.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics.lock().unwrap();
        metrics.get(name).copied().unwrap_or_default()
    }

    fn line(&self, line: String) {
        let name = line.split(' ').next().unwrap_or_default().to_owned();
        self.lines.lock().unwrap().push(line);
        self.call(&name);
    }

    fn call(&self, name: &str) {
        if IN_HOOK.get() {
            return;
        }
        let hook = self.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            struct Out;
            impl Drop for Out {
                fn drop(&mut self) {
                    IN_HOOK.set(false);
                }
            }
            IN_HOOK.set(true);
            // Also where the hook panics.
            let _out = Out;
            hook(name);
        }
    }
}

/// The subscriber and the recorder: `Told`, shared.
#[derive(Clone, Default)]
pub(crate) struct Ears(pub(crate) Arc<Told>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {}={value}", field.name()).unwrap();
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Ears {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("duewheel")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.0.last_span.fetch_add(1, Ordering::Relaxed) + 1;
        let name = span.metadata().name();
        let mut fields = Fields(format!("+{name}"));
        span.record(&mut fields);
        self.0.spans.lock().unwrap().insert(id, format!("-{name}"));
        self.0.line(fields.0);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields(String::new());
        values.record(&mut fields);
        let mut spans = self.0.spans.lock().unwrap();
        spans.get_mut(&span.into_u64()).unwrap().push_str(&fields.0);
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut fields = Fields(message.0);
        event.record(&mut fields);
        self.0.line(fields.0);
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, span: &Id) {
        // A future's is entered and left again and again.
        let left = self.0.spans.lock().unwrap()[&span.into_u64()].clone();
        self.0.line(left);
    }
}

/// One metric with its labels.
struct Meter(Arc<Told>, String);

impl Meter {
    fn of(told: &Arc<Told>, key: &Key) -> Arc<Self> {
        let mut name = key.name().to_owned();
        for label in key.labels() {
            write!(name, " {}={}", label.key(), label.value()).unwrap();
        }
        Arc::new(Self(Arc::clone(told), name))
    }

    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(
            self.0
                .metrics
                .lock()
                .unwrap()
                .entry(self.1.clone())
                .or_default(),
        );
        self.0.call(&self.1);
    }
}

impl CounterFn for Meter {
    fn increment(&self, value: u64) {
        self.change(|sum| *sum += value as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|sum| *sum = value as f64);
    }
}

impl GaugeFn for Meter {
    fn increment(&self, value: f64) {
        self.change(|gauge| *gauge += value);
    }

    fn decrement(&self, value: f64) {
        self.change(|gauge| *gauge -= value);
    }

    fn set(&self, value: f64) {
        self.change(|gauge| *gauge = value);
    }
}

impl HistogramFn for Meter {
    fn record(&self, value: f64) {
        assert!(value.is_finite() && value >= 0.0);
        self.change(|count| *count += 1.0);
    }
}

impl Ears {
    fn describe(&self, key: KeyName, unit: Option<Unit>) {
        let mut descriptions = self.0.descriptions.lock().unwrap();
        descriptions.insert(key.as_str().to_owned(), unit);
    }
}

impl Recorder for Ears {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _text: SharedString) {
        self.describe(key, unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _text: SharedString) {
        self.describe(key, unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _text: SharedString) {
        self.describe(key, unit);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        Counter::from_arc(Meter::of(&self.0, key))
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Meter::of(&self.0, key))
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Meter::of(&self.0, key))
    }
}
