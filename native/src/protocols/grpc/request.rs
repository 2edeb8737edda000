//! One call as a step asks for it: `loadflow/engine/protocols/grpc/request.py` says the same.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri};
use serde_json::Value;

use crate::plan::message::{GrpcMessage, GrpcRequest};
use crate::plan::outcome::Failure;
use crate::plan::rpc::Laid;
use crate::protocols::grpc::messages::Coding;
use crate::protocols::grpc::metadata::{on_the_wire, padded, pairs_of};
use crate::protocols::grpc::{json_of, message_of};
use crate::protocols::message::{Filling, Shown, no_message};

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What a value of `grpc-timeout` may have (PROTOCOL-HTTP2.md).
const MOST_DIGITS: f64 = 99_999_999.0;

impl GrpcRequest {
    pub fn shown(&self) -> Shown<'_> {
        let mut head = String::from("GRPC");
        for (key, value) in &self.metadata {
            head.push_str(&format!("\r\n{key}: {}", padded(key, value)));
        }
        let (mut path, mut body) = ("", String::new());
        if let Some(rpc) = &self.rpc {
            let messages = self.messages.iter().map(|message| json_of(rpc, rpc.request, &message.0).unwrap_or_default());
            let messages = messages.collect::<Vec<_>>().join(",");
            body = if rpc.client_streams { format!("[{messages}]") } else { messages };
            path = &rpc.path;
        }
        let scheme = if self.place.https { "grpcs" } else { "grpc" };
        Shown { url: format!("{scheme}://{}{path}", self.target), head, body: Cow::Owned(body.into_bytes()) }
    }

    /// None where Python has to make it.
    pub fn filled(&self, filling: Filling) -> Option<Self> {
        let mut made = GrpcRequest {
            rpc: self.rpc.clone(),
            place: self.place.clone(),
            target: self.target.clone(),
            authority: self.authority.clone(),
            messages: Vec::new(),
            metadata: Vec::new(),
            timeout_s: self.timeout_s,
            channels: self.channels,
            max_messages: self.max_messages,
            first_name: self.first_name.clone(),
            laid: Laid::default(),
        };
        let rpc = self.rpc.as_ref()?;
        match filling.payload {
            None => {
                made.messages = self.messages.clone();
                made.laid.body = self.laid.body.clone();
            }
            Some(Value::Array(items)) if rpc.client_streams => {
                for item in &items {
                    made.messages.push(GrpcMessage(message_of(rpc, rpc.request, item)?));
                }
            }
            Some(payload) => made.messages.push(GrpcMessage(message_of(rpc, rpc.request, &payload)?)),
        }
        match filling.metadata {
            None => {
                made.metadata = self.metadata.clone();
                made.laid.head = self.laid.head.clone();
            }
            Some(written) => made.metadata = pairs_of(&written)?,
        }
        Some(made)
    }

    /// Of all messages together.
    pub fn sent_bytes(&self) -> u64 {
        self.messages.iter().map(|message| message.0.len() as u64).sum()
    }

    /// `left_s`: until its deadline.
    pub fn head(&self, left_s: f64) -> Result<Request<()>, Failure> {
        let laid = self.laid.head.get_or_init(|| self.lay_head());
        let Some((uri, fields)) = laid else { return Err(no_message("the values of this hit make no head of HTTP/2")) };
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (Method::POST, uri.clone(), fields.clone());
        // of most calls all of it is left, and the head says that already
        if rounded(left_s) != rounded(self.timeout_s)
            && let Ok(value) = HeaderValue::try_from(timeout_text(left_s))
        {
            request.headers_mut().insert(TIMEOUT, value);
        }
        Ok(request)
    }

    fn lay_head(&self) -> Option<(Uri, HeaderMap)> {
        let scheme = if self.place.https { Scheme::HTTPS } else { Scheme::HTTP };
        let path = PathAndQuery::try_from(self.rpc.as_ref()?.path.as_str()).ok()?;
        let authority = Authority::try_from(self.authority.as_str()).ok()?;
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()?;
        let mut fields = HeaderMap::with_capacity(8 + self.metadata.len());
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.insert(USER_AGENT, HeaderValue::from_static(concat!("loadflow grpc-native/", env!("CARGO_PKG_VERSION"))));
        fields.insert(TIMEOUT, HeaderValue::try_from(timeout_text(self.timeout_s)).ok()?);
        fields.insert(ACCEPTED, HeaderValue::from_static(Coding::ACCEPTED));
        for (key, value) in &self.metadata {
            let name = HeaderName::try_from(key.as_str()).ok()?;
            fields.try_append(name, HeaderValue::try_from(on_the_wire(key, value)).ok()?).ok()?;
        }
        Some((uri, fields))
    }

    /// Its messages, each behind its length.
    pub fn body(&self) -> Bytes {
        let lay = || {
            let mut out = Vec::with_capacity(self.messages.iter().map(|message| message.0.len() + 5).sum());
            for message in &self.messages {
                out.push(0);
                out.extend_from_slice(&(message.0.len() as u32).to_be_bytes());
                out.extend_from_slice(&message.0);
            }
            Bytes::from(out)
        };
        self.laid.body.get_or_init(lay).clone()
    }

    /// What it shares with a request of its step that Python made.
    pub fn like(self: Arc<Self>, other: &GrpcRequest) -> Arc<Self> {
        let mut own = self;
        Arc::make_mut(&mut own).rpc = other.rpc.clone();
        own
    }
}

/// Rounded up, for a server must not give up before the client does; from a tenth of a second on to milliseconds, so that calls say the same
/// and HPACK says it in a byte (gRPC's C core rounds for that, too: `Timeout::FromMillis`).
fn timeout_text(left_s: f64) -> String {
    let (count, unit) = rounded(left_s);
    format!("{count}{unit}")
}

fn rounded(left_s: f64) -> (u64, char) {
    let micros = (left_s.max(0.0) * 1e6).ceil();
    let millis = (micros / 1e3).ceil();
    match micros {
        _ if micros < 1e5 => (micros.max(1.0) as u64, 'u'),
        _ if millis <= MOST_DIGITS => (millis as u64, 'm'),
        _ => ((micros / 1e6).ceil().min(MOST_DIGITS) as u64, 'S'),
    }
}

#[cfg(test)]
mod tests {
    use super::timeout_text;

    #[test]
    fn a_deadline_has_eight_digits_at_most_and_is_rounded_up() {
        for (left_s, text) in [
            (0.000_5, "500u"),
            (0.099_999_1, "100m"),
            (0.2, "200m"),
            (9.999_3, "10000m"),
            (10.0, "10000m"),
            (100.0, "100000m"),
            (100.000_1, "100001m"),
            (1e6, "1000000S"),
            (1e12, "99999999S"),
            (-1.0, "1u"),
        ] {
            assert_eq!(timeout_text(left_s), text);
        }
    }
}
