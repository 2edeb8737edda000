//! Metadata: pairs of a script as they are sent, and those of an answer as assertions see them.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD};
use base64::{alphabet, engine::DecodePaddingMode};
use http::HeaderMap;
use serde_json::Value;

use crate::protocols::orders::Fields;
use crate::values::value::text_of;

/// Bytes come with padding or without.
const EITHER: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// What is about the call itself, and no metadata of the server.
const OWN: [&str; 6] = ["content-type", "grpc-status", "grpc-message", "grpc-encoding", "grpc-accept-encoding", "te"];

/// The pairs of one hit; None where Python has to look at them.
pub fn pairs_of(written: &Value) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    match written {
        Value::Object(fields) => {
            for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                pairs.push((key.clone(), sent(key, value)?));
            }
        }
        Value::Array(items) => {
            for item in items {
                let [Value::String(key), value] = item.as_array()?.as_slice() else { return None };
                if !value.is_null() {
                    pairs.push((key.clone(), sent(key, value)?));
                }
            }
        }
        _ => return None,
    }
    Some(pairs)
}

fn sent(key: &str, value: &Value) -> Option<String> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    if key.is_empty() || key.starts_with("grpc-") || !key.bytes().all(is_letter) {
        return None;
    }
    let text = text_of(value);
    if key.ends_with("-bin") {
        return STANDARD.decode(&text).ok().map(|_| text);
    }
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)).then_some(text)
}

/// As a value is sent: bytes without padding.
pub fn on_the_wire<'v>(key: &str, value: &'v str) -> &'v str {
    if key.ends_with("-bin") { value.trim_end_matches('=') } else { value }
}

/// Adds the metadata of a head or of trailers; bytes as Base64 with padding.
pub fn keep(fields: &mut Fields, found: &HeaderMap) {
    for (name, value) in found.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
        let key = name.as_str();
        if !key.ends_with("-bin") {
            fields.push(key, value.as_bytes());
            continue;
        }
        // several values may stand in one field
        for one in value.as_bytes().split(|byte| *byte == b',') {
            match EITHER.decode(one.trim_ascii()) {
                Ok(bytes) => fields.push(key, STANDARD.encode(bytes).as_bytes()),
                Err(_) => fields.push(key, one.trim_ascii()),
            }
        }
    }
}

/// Bytes of metadata as a script shows them.
pub fn padded(key: &str, value: &str) -> String {
    let found = key.ends_with("-bin").then(|| STANDARD_NO_PAD.decode(value.trim_end_matches('=')).ok()).flatten();
    found.map_or_else(|| value.to_owned(), |bytes| STANDARD.encode(bytes))
}
