//! The fingerprint of a request as submitted: equal for equal requests, in every build and on every machine.
//!
//! It is kept beside the id so that the same id with the same content is recognised as a repetition, and with
//! other content as a conflict. The byte form below is part of what is stored: a change of it makes
//! every stored fingerprint a conflict.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::InteractionRequest;
use crate::ids::millis_ceil;
use crate::schedule::{PointInTime, ProcessingCondition, RetryPolicy, ScheduleData, Written};

impl InteractionRequest {
    /// A keyed 128-bit fingerprint of everything in the request: SipHash-2-4-128 over a canonical byte form.
    ///
    /// Stable over builds and machines. Times count as written: the same instant at another offset is other
    /// content. What was left out and what was given its default are the same.
    #[must_use]
    pub fn fingerprint(&self, key: u128) -> u128 {
        let mut form = Form::new(key);
        form.number(u64::from(self.id.is_uuid()));
        form.raw(&self.id.value().to_le_bytes());
        form.number(u64::from(self.location.index()));
        form.number(self.media as u64);
        form.number(u64::from(self.priority.0));
        form.optional(self.customer.as_deref(), |form, customer| {
            form.bytes(customer.as_bytes())
        });
        form.bytes(&self.payload);
        form.optional(self.schedule.as_ref(), Form::schedule);
        form.finish()
    }
}

/// The canonical form: every number in groups of seven bits, the lowest first, the eighth bit set on all but
/// the last; every text after its length; every list after its count; every option, variant and media after
/// its number. So no two contents have one form.
///
/// Short, since every intake hashes it: some 40 bytes for a request with one time. It is gathered in a buffer,
/// for the hash takes a few large pieces faster than many small ones.
struct Form {
    hasher: SipHasher24,
    buffer: [u8; BUFFER_BYTES],
    filled: usize,
}

const BUFFER_BYTES: usize = 128;

/// Bytes of a number at most: 64 bits in groups of seven.
const NUMBER_BYTES_MAX: usize = 10;

impl Form {
    fn new(key: u128) -> Self {
        Self {
            hasher: SipHasher24::new_with_key(&key.to_le_bytes()),
            buffer: [0; BUFFER_BYTES],
            filled: 0,
        }
    }

    fn finish(mut self) -> u128 {
        self.flush();
        self.hasher.finish128().as_u128()
    }

    fn flush(&mut self) {
        self.hasher.write(&self.buffer[..self.filled]);
        self.filled = 0;
    }

    fn raw(&mut self, bytes: &[u8]) {
        if bytes.len() > BUFFER_BYTES - self.filled {
            self.flush();
        }
        if bytes.len() > BUFFER_BYTES {
            self.hasher.write(bytes);
        } else {
            self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
            self.filled += bytes.len();
        }
    }

    #[inline]
    fn number(&mut self, mut number: u64) {
        if BUFFER_BYTES - self.filled < NUMBER_BYTES_MAX {
            self.flush();
        }
        while number > 0x7f {
            self.buffer[self.filled] = number as u8 | 0x80;
            self.filled += 1;
            number >>= 7;
        }
        self.buffer[self.filled] = number as u8;
        self.filled += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A number that may be negative: the sign in the lowest bit.
    fn signed(&mut self, number: i32) {
        self.number(u64::from(number.unsigned_abs()) << 1 | u64::from(number < 0));
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn duration(&mut self, duration: Duration) {
        self.number(millis_ceil(duration));
    }

    fn point(&mut self, point: &PointInTime) {
        self.number(point.timestamp().as_millis());
        match point.written() {
            Written::Utc => self.number(0),
            Written::Offset(seconds) => {
                self.number(1);
                self.signed(*seconds);
            }
            Written::Zone { offset, .. } => {
                self.number(2);
                self.signed(*offset);
                self.bytes(point.written().zone_name().unwrap_or_default().as_bytes());
            }
        }
    }

    fn condition(&mut self, condition: &ProcessingCondition) {
        match condition {
            ProcessingCondition::Always => self.number(0),
            ProcessingCondition::WaitBelow(limit) => {
                self.number(1);
                self.duration(*limit);
            }
            ProcessingCondition::AgentsReady(least) => {
                self.number(2);
                self.number(u64::from(*least));
            }
            ProcessingCondition::QueueBelow(limit) => {
                self.number(3);
                self.number(u64::from(*limit));
            }
            ProcessingCondition::Open => self.number(4),
            ProcessingCondition::All(_) => self.number(5),
            ProcessingCondition::Any(_) => self.number(6),
            ProcessingCondition::Not(_) => self.number(7),
        }
        let inner = condition.inner();
        self.number(inner.len() as u64);
        inner.iter().for_each(|condition| self.condition(condition));
    }

    fn schedule(&mut self, schedule: &ScheduleData) {
        self.number(schedule.times().len() as u64);
        for time in schedule.times() {
            self.point(time.point());
            self.condition(time.condition());
        }
        self.number(u64::from(!schedule.has_default_rules()));
        if !schedule.has_default_rules() {
            self.rules(schedule);
        }
    }

    fn rules(&mut self, schedule: &ScheduleData) {
        self.optional(schedule.not_before_point(), Self::point);
        self.optional(schedule.not_after_point(), Self::point);
        self.number(schedule.media_windows().len() as u64);
        for window in schedule.media_windows() {
            self.point(window.from_point());
            self.point(window.until_point());
            self.number(window.media() as u64);
        }
        self.optional(schedule.threshold_wait(), Self::duration);
        self.duration(schedule.recheck());
        self.bytes(schedule.exhausted().as_str().as_bytes());
        self.bytes(schedule.missed().as_str().as_bytes());
        self.retry(schedule.retry());
    }

    fn retry(&mut self, retry: &RetryPolicy) {
        self.number(u64::from(retry.attempts()));
        self.duration(retry.initial());
        self.duration(retry.max());
        self.raw(&retry.jitter().to_bits().to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"{"id": "12", "location": 3, "media": "sms", "priority": 2, "customer": "c", "payload": "p", "schedule": {
        "times": [{"at": "2026-01-05T09:00:00+02:00", "condition": {"all": [{"wait_below": "60s"}, {"not": "open"}]}},
                  {"at": {"local": "2026-01-05T10:00:00", "zone": "Asia/Jerusalem"}}],
        "not_before": "2026-01-05T08:30:00+02:00", "not_after": "2026-01-05T23:00:00+02:00",
        "response_media": [{"from": "2026-01-05T09:00:00+02:00", "until": "2026-01-05T22:00:00+02:00", "media": "voice"}],
        "threshold_wait": "120s", "recheck": "20s", "exhausted": "release", "missed": "release",
        "retry": {"attempts": 5, "initial": "40s", "max": "20m", "jitter": 0.2}}}"#;

    fn fingerprint(json: &str) -> u128 {
        serde_json::from_str::<InteractionRequest>(json)
            .unwrap()
            .fingerprint(1)
    }

    #[test]
    fn the_form_is_stored_and_does_not_change() {
        assert_eq!(fingerprint(EXAMPLE), GOLDEN);
        assert_eq!(fingerprint(r#"{"id": 1, "location": 0}"#), GOLDEN_SMALLEST);
    }

    const GOLDEN: u128 = 105345391796226815239204168860368122824;
    const GOLDEN_SMALLEST: u128 = 59226618349357095101303550824312194093;

    #[test]
    fn the_buffer_does_not_show_in_the_hash() {
        let bytes: Vec<u8> = (0..2000u32).map(|n| (n % 251) as u8).collect();
        for piece in [1, 7, 127, 128, 129, 400] {
            let mut form = Form::new(9);
            bytes.chunks(piece).for_each(|piece| form.raw(piece));
            let whole = SipHasher24::new_with_key(&9u128.to_le_bytes()).hash(&bytes);
            assert_eq!(form.finish(), whole.as_u128(), "{piece}");
        }
    }

    #[test]
    fn every_field_counts_and_so_does_the_key() {
        let edits = [
            ("\"12\"", "\"13\""),
            ("\"12\"", "\"00000000-0000-0000-0000-00000000000c\""),
            ("\"location\": 3", "\"location\": 4"),
            ("sms", "mms"),
            ("\"priority\": 2", "\"priority\": 3"),
            ("\"c\"", "\"d\""),
            ("\"customer\": \"c\",", ""),
            ("\"p\"", "\"q\""),
            ("09:00:00+02:00\", \"cond", "08:59:59+02:00\", \"cond"),
            ("09:00:00+02:00\", \"cond", "08:00:00+01:00\", \"cond"),
            ("60s", "61s"),
            ("all", "any"),
            ("\"open\"", "\"always\""),
            ("{\"not\": \"open\"}", "{\"not\": {\"not\": \"open\"}}"),
            ("Asia/Jerusalem", "Africa/Cairo"),
            ("T08:30", "T08:31"),
            ("\"not_before\": \"2026-01-05T08:30:00+02:00\",", ""),
            ("T23:00", "T23:01"),
            ("T22:00", "T22:01"),
            ("voice", "voip"),
            ("120s", "121s"),
            ("\"threshold_wait\": \"120s\",", ""),
            ("20s\", \"ex", "21s\", \"ex"),
            ("\"exhausted\": \"release\"", "\"exhausted\": \"expire\""),
            ("\"missed\": \"release\"", "\"missed\": \"next_day\""),
            ("5, ", "6, "),
            ("40s", "41s"),
            ("20m", "21m"),
            ("0.2", "0.3"),
        ];
        let mut seen = vec![fingerprint(EXAMPLE)];
        for (from, to) in edits {
            let edited = EXAMPLE.replacen(from, to, 1);
            assert_ne!(edited, EXAMPLE, "{from}");
            let fingerprint = fingerprint(&edited);
            assert!(!seen.contains(&fingerprint), "{from} -> {to}");
            seen.push(fingerprint);
        }
        let request: InteractionRequest = serde_json::from_str(EXAMPLE).unwrap();
        assert_ne!(request.fingerprint(1), request.fingerprint(2));
    }

    #[test]
    fn what_is_left_out_and_its_default_are_one_content() {
        let short =
            r#"{"id": 1, "location": 0, "schedule": {"times": [{"at": "2026-01-05T09:00:00Z"}]}}"#;
        let long = r#"{"location": 0, "id": "01", "media": "voice", "priority": 0, "payload": "", "schedule": {"retry": {}, "recheck": "30s",
            "times": [{"at": "2026-01-05T09:00:00+00:00", "condition": "always"}]}}"#;
        assert_eq!(fingerprint(short), fingerprint(long));
    }
}
