//! A JSON message being read, and, once something in it is wrong, the search for what to say about it.
//!
//! A message is first read without any bookkeeping. Only where that fails is it read again with
//! `serde_path_to_error`, and its text searched for the value at that path: errors may be slow, valid messages
//! are not.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use super::{AccessError, AccessErrorKind};
use crate::ids::{EXCERPT_BYTES_MAX, excerpt};
use crate::schedule::{EXPECTED_NESTING, ProcessingCondition};

/// The longest path that is reported, in bytes; an unknown field's name has any length.
const PATH_BYTES_MAX: usize = 256;

#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) text: &'a str,
    /// What paths begin with: the place the message would have in a request.
    pub(super) root: &'static str,
    /// The most levels of a condition, for where reading meets its own guard before they can be counted.
    pub(super) nesting_max: usize,
}

/// One step from a value to a value inside it.
enum Step {
    Field(String),
    Index(usize),
}

impl<'a> Message<'a> {
    /// A message in UTF-8.
    pub(super) fn new(
        raw: &'a [u8],
        root: &'static str,
        nesting_max: usize,
    ) -> Result<Self, AccessError> {
        let message = |text| Self {
            text,
            root,
            nesting_max,
        };
        std::str::from_utf8(raw).map(message).map_err(|error| {
            let value = format!("the byte at offset {}", error.valid_up_to());
            message("").error(AccessErrorKind::Syntax, "", value, "UTF-8")
        })
    }

    /// Reads the message, whole.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, AccessError> {
        serde_json::from_str(self.text).map_err(|error| self.explain::<T>(error))
    }

    /// An error whose value is given.
    pub(super) fn invalid(
        &self,
        path: &str,
        value: String,
        expected: impl Into<Cow<'static, str>>,
    ) -> AccessError {
        self.error(AccessErrorKind::Invalid, path, value, expected)
    }

    /// An error whose value is quoted from the message where it is a single value there, else as given.
    pub(super) fn refused(&self, path: &str, otherwise: &str, expected: String) -> AccessError {
        let quoted = self
            .find(&steps_of(path))
            .filter(|found| !found.starts_with(['{', '[']));
        self.invalid(
            path,
            quoted.map_or_else(|| otherwise.to_owned(), excerpt),
            expected,
        )
    }

    #[cold]
    fn error(
        &self,
        kind: AccessErrorKind,
        path: &str,
        value: String,
        expected: impl Into<Cow<'static, str>>,
    ) -> AccessError {
        let separator = if self.root.is_empty() || path.is_empty() {
            ""
        } else {
            "."
        };
        AccessError {
            kind,
            path: format!("{}{separator}{path}", self.root),
            value,
            expected: expected.into(),
        }
    }

    #[cold]
    fn explain<T: DeserializeOwned>(&self, untracked: serde_json::Error) -> AccessError {
        // What is no JSON is that first of all, even where a wrong value comes before the fault.
        if let Err(error) = serde_json::from_str::<&RawValue>(self.text) {
            return self.syntax(&error);
        }
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let (error, mut steps) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            // Not to be expected of the same message twice.
            Ok(_) => (untracked, Vec::new()),
            Err(tracked) => {
                let steps = tracked.path().iter().filter_map(step).collect();
                (tracked.into_inner(), steps)
            }
        };
        let text = without_position(&error);
        let text = text.as_str();
        // serde_json keeps the text of an error and nothing else. What was expected ends it and is ours alone;
        // what was found comes before, and is taken from the message instead.
        let expected = match error.classify() {
            Category::Data => text
                .rsplit_once(", expected ")
                .map_or("a valid value", |(_, expected)| expected)
                .to_owned(),
            // JSON that no value stands for, such as 1e999 or half a surrogate pair.
            _ => format!("a value that can be held ({text})"),
        };
        let expected = expected.as_str();
        if let Some(field) = quoted(text, "missing field `") {
            steps.push(Step::Field(field.to_owned()));
            return self.invalid(
                &path_of(&steps),
                "nothing".to_owned(),
                "this field, which is required",
            );
        }
        if let Some(field) = quoted(text, "duplicate field `") {
            steps.push(Step::Field(field.to_owned()));
            return self.invalid(
                &path_of(&steps),
                "a second value".to_owned(),
                "the field once",
            );
        }
        if expected == EXPECTED_NESTING {
            // The condition as a whole is at fault, as where its levels could be counted.
            let condition =
                |step: &Step| matches!(step, Step::Field(field) if field == "condition");
            let whole = steps.iter().position(condition);
            steps.truncate(whole.map_or(steps.len(), |at| at + 1));
            let most = self.nesting_max.min(ProcessingCondition::NESTING_MAX);
            return self.invalid(
                &path_of(&steps),
                format!("more than {most} levels"),
                nesting_expected(most),
            );
        }
        let found = self.find(&steps).unwrap_or("");
        let unknown = text.starts_with("unknown field `");
        let value = if self.may_be_quoted(&steps, found, unknown) {
            quote(found)
        } else {
            kind_of(found).to_owned()
        };
        let expected = if unknown {
            format!("a known field: {}", expected.replace('`', ""))
        } else {
            in_words(expected)
        };
        self.invalid(&path_of(&steps), value, expected)
    }

    /// Whether nothing of a customer or a payload can be in what was found. A field that a request does not
    /// have may be either of them, misspelt.
    fn may_be_quoted(&self, steps: &[Step], found: &str, unknown: bool) -> bool {
        let in_schedule = !self.root.is_empty()
            || matches!(steps, [Step::Field(first), _, ..] if first == "schedule");
        !steps.is_empty()
            && (in_schedule || !unknown)
            && !steps
                .iter()
                .any(|step| matches!(step, Step::Field(field) if is_private(field)))
            && !found.is_empty()
            && (!found.starts_with(['{', '['])
                || serde_json::from_str(found).is_ok_and(|value| !holds_private(&value)))
    }

    fn syntax(&self, error: &serde_json::Error) -> AccessError {
        let value = format!("line {}, column {}", error.line(), error.column());
        let expected = format!("one JSON object ({})", without_position(error));
        self.error(AccessErrorKind::Syntax, "", value, expected)
    }

    /// The text of the value at the end of `steps`.
    fn find(&self, steps: &[Step]) -> Option<&'a str> {
        let mut found = self.text.trim_ascii();
        for step in steps {
            let inside: &RawValue = match step {
                Step::Field(field) => serde_json::from_str::<HashMap<String, &RawValue>>(found)
                    .ok()?
                    .remove(field)?,
                Step::Index(index) => serde_json::from_str::<Vec<&RawValue>>(found)
                    .ok()?
                    .get(*index)?,
            };
            found = inside.get();
        }
        Some(found)
    }
}

/// serde_json's own words.
fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.rfind(" at line ").unwrap_or(text.len()));
    text
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { variant } => Some(Step::Field(variant.clone())),
        Segment::Unknown => None,
    }
}

/// What is said of the most levels that a condition may have.
pub(super) fn nesting_expected(most: usize) -> String {
    format!("at most {most} levels of conditions")
}

/// Whether a field of this name holds what is never repeated.
fn is_private(field: &str) -> bool {
    matches!(field, "customer" | "payload")
}

fn holds_private(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields
            .iter()
            .any(|(field, value)| is_private(field) || holds_private(value)),
        Value::Array(values) => values.iter().any(holds_private),
        _ => false,
    }
}

/// A value as it stands in the message, without the space between its parts, cut where it is long.
fn quote(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    let compact = json.chars().filter(|&character| {
        let outside = !in_string;
        if character == '"' && !escaped {
            in_string = !in_string;
        }
        escaped = character == '\\' && !escaped;
        !(outside && character.is_ascii_whitespace())
    });
    // No more of it than a cut excerpt needs.
    excerpt(&compact.take(EXCERPT_BYTES_MAX + 1).collect::<String>())
}

/// The steps of a path of our own making, such as `times[1].at`.
fn steps_of(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (field, indices) = part.split_once('[').unwrap_or((part, ""));
        steps.push(Step::Field(field.to_owned()));
        let indices = indices
            .split(['[', ']'])
            .filter_map(|index| index.parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    steps
}

fn path_of(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Field(field) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&excerpt(field));
            }
        }
        if path.len() > PATH_BYTES_MAX {
            path.push_str("...");
            break;
        }
    }
    path
}

/// What stands between `start` and the next backtick.
fn quoted<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    text.strip_prefix(start)?.split('`').next()
}

/// What a JSON value is, where what it says is not to be repeated.
fn kind_of(json: &str) -> &'static str {
    match json.bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "a value",
    }
}

/// serde's names of its own types, in words.
fn in_words(expected: &str) -> String {
    match expected {
        "u8" => "an integer from 0 to 255".to_owned(),
        "u32" => "an integer from 0 to 4294967295".to_owned(),
        "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        other => other.to_owned(),
    }
}
