//! What requests of all protocols of messages have alike: how the values of a hit become bytes, and how they are shown.

use std::borrow::Cow;

use serde_json::Value;

use crate::plan::outcome::{Failure, Outcome};
use crate::values::value::{HALF, NOT_JSON, is_finite, push_json};

/// What differs per hit. None: it is in the request already.
#[derive(Debug, Default)]
pub struct Filling {
    pub payload: Option<Value>,
    pub expect: Option<String>,
    pub metadata: Option<Value>,
}

/// A request in the sample of a failure: `head` as lines, the first one with what was asked for, then header fields.
pub struct Shown<'a> {
    pub url: String,
    pub head: String,
    pub body: Cow<'a, [u8]>,
}

/// A message: text as it is, all else as JSON.
pub fn payload_text(payload: Value) -> Result<String, Failure> {
    let text = match payload {
        Value::String(text) => text,
        other if !is_finite(&other) => return Err(no_message(NOT_JSON)),
        other => {
            let mut text = String::new();
            push_json(&mut text, &other);
            text
        }
    };
    if !text.is_ascii() && text.contains(HALF) {
        return Err(no_message("the values of this hit make no message: half a surrogate pair can't be sent"));
    }
    Ok(text)
}

pub fn no_message(text: impl Into<String>) -> Failure {
    Failure::new(Outcome::Template, text)
}
