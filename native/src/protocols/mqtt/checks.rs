//! What is held of a broker's answers, and of messages that a step expects.

use memchr::memmem;

use crate::plan::mqtt::{MqttRequest, Version};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::mqtt::inbox::Arrived;
use crate::protocols::mqtt::packet::Kind;
use crate::protocols::mqtt::reason::{FAILURE, words};
use crate::protocols::orders::{Lost, Reply, Said};
use crate::values::words::quoted;

const EXPECTED_CHARACTERS: usize = 200;

/// Why it was refused, where it was.
pub fn refusal(kind: Kind, topics: &[String], reasons: &[u8], version: Version) -> Option<Failure> {
    let refused = topics.iter().zip(reasons).filter(|(_, reason)| **reason >= FAILURE);
    let refused: Vec<String> = refused.map(|(topic, reason)| format!("{topic}: {}", words(kind, *reason))).collect();
    if refused.is_empty() && (reasons.len() >= topics.len() || version == Version::V311) {
        return None;
    }
    let what = if kind == Kind::Suback { "subscription to" } else { "end of the subscription to" };
    let which = if refused.is_empty() { "some of the topics".to_owned() } else { refused.join(", ") };
    Some(Failure::new(Outcome::Status, format!("the broker refused the {what} {which}")))
}

/// What a step is given of a message; lost, if it expects another text.
pub fn expected(request: &MqttRequest, message: Arrived) -> Result<Reply, Lost> {
    let Arrived { topic, payload, qos, retain, user } = message;
    let is_right = request.expect.as_ref().is_none_or(|text| is_in(text, &payload));
    let received = payload.len() as u64;
    let about = format!("{qos} {} {topic}", u8::from(retain));
    let said = Some(Box::new(Said { fields: user, about }));
    let reply = Reply { data: Some(payload), received, said, ..Reply::default() };
    if is_right {
        return Ok(reply);
    }
    let text: String = request.expect.iter().flat_map(|text| text.chars()).take(EXPECTED_CHARACTERS).collect();
    let text = format!("expected {} in the message on {topic}", quoted(&text));
    Err(Lost { failure: Failure::new(Outcome::Assertion, text), reply: Some(reply) })
}

/// In the text of a payload, in which invalid UTF-8 is U+FFFD.
fn is_in(text: &str, payload: &[u8]) -> bool {
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return String::from_utf8_lossy(payload).contains(text);
    }
    memmem::find(payload, text.as_bytes()).is_some()
}
