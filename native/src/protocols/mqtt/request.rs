//! What one step of `mqtt_user` asks for: `loadflow/engine/protocols/mqtt/request.py` says the same.

use std::borrow::Cow;

use crate::plan::mqtt::{Message, MqttRequest};
use crate::plan::outcome::Failure;
use crate::protocols::message::{Filling, Shown, no_message, payload_text};
use crate::protocols::mqtt::packet::{Options, Outgoing};
use crate::values::found::Path;
use crate::values::value::text_of;

impl Message {
    pub fn outgoing(&self) -> Outgoing<'_> {
        let Message { topic, payload, qos, retain, properties } = self;
        Outgoing { topic, payload, qos: *qos, retain: *retain, properties }
    }
}

impl MqttRequest {
    pub fn options(&self) -> Options {
        let MqttRequest { no_local, retain_as_published, retain_handling, .. } = *self;
        Options { no_local, retain_as_published, retain_handling }
    }

    pub fn topic_names(&self) -> Vec<&str> {
        self.topics.iter().map(String::as_str).collect()
    }

    pub fn shown(&self) -> Shown<'_> {
        let mut head = format!("{:?}", self.method).to_lowercase();
        let mut add = |name: &str, value: &str| head.push_str(&format!("\r\n{name}: {value}"));
        if !self.topics.is_empty() {
            add("topic", &self.topics.join(", "));
        }
        if let Some(terms) = &self.terms {
            add("client_id", &terms.client_id);
            add("username", terms.username.as_deref().unwrap_or_default());
        }
        let message = self.message.as_ref();
        if let Some(message) = message {
            add("qos", &message.qos.to_string());
        }
        let body = Cow::Borrowed(message.map_or(&[][..], |message| &message.payload));
        Shown { url: self.broker.to_string(), head, body }
    }

    pub fn filled(&self, filling: Filling) -> Result<Self, Failure> {
        let mut made = self.clone();
        if let (Some(payload), Some(message)) = (filling.payload, &mut made.message) {
            message.payload = payload_text(payload)?.into_bytes();
            if let Some(tracked) = made.tracked.as_mut().filter(|tracked| !tracked.rule.path.is_empty()) {
                let found = token_at(&message.payload, &tracked.rule.cut);
                let missing = || no_message(format!("delivery: the payload is not JSON with something at the path {}", tracked.rule.path));
                tracked.token = Some(found.ok_or_else(missing)?);
            }
        }
        if let Some(expect) = filling.expect {
            made.expect = Some(expect);
        }
        Ok(made)
    }
}

/// The value at a path of a JSON payload, as text; None where there is none.
pub fn token_at(payload: &[u8], path: &Path) -> Option<String> {
    let found = path.find(std::str::from_utf8(payload).ok()?).ok()??;
    Some(text_of(&found))
}
