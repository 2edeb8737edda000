//! What one step of `websocket_user` asks for: `loadflow/engine/protocols/websocket/request.py` says the same.

use std::borrow::Cow;

use serde_json::Value;

use crate::plan::message::WebSocketRequest;
use crate::plan::outcome::Failure;
use crate::protocols::message::{Filling, Shown, no_message, payload_text};
use crate::values::found::Path;
use crate::values::value::text_of;

impl WebSocketRequest {
    pub fn shown(&self) -> Shown<'_> {
        let mut head = format!("{:?}", self.method).to_lowercase();
        let target = self.target.as_ref();
        for (name, value) in target.into_iter().flat_map(|target| &target.headers) {
            head.push_str(&format!("\r\n{name}: {value}"));
        }
        Shown { url: target.map(|target| target.url.clone()).unwrap_or_default(), head, body: Cow::Borrowed(&self.data) }
    }

    pub fn filled(&self, filling: Filling) -> Result<Self, Failure> {
        let mut made = self.clone();
        if let Some(payload) = filling.payload {
            made.data = payload_text(payload)?.into_bytes();
            if let Some(awaited) = &mut made.awaited {
                awaited.key = key_at(&made.data, &awaited.cut).ok_or_else(|| {
                    no_message(format!("the payload has nothing at correlate path {}, so no answer could be found", awaited.path))
                })?;
            }
        }
        if let Some(expect) = filling.expect {
            made.expect = expect;
        }
        Ok(made)
    }
}

/// What correlates a message: the value at a path of its JSON, as text; None where there is none.
pub fn key_at(message: &[u8], path: &Path) -> Option<String> {
    let found = path.find(std::str::from_utf8(message).ok()?).ok()??;
    (found != Value::Null).then(|| text_of(&found))
}
