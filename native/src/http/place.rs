//! From a URL to where it leads and what is asked there: the usual URLs here, all others by Python.

use serde_json::Value;

use crate::plan::Place;
use crate::values::value::text_of;

/// Scheme and authority apart from the rest of a URL that needs no rewriting: lower-case scheme, a host of plain letters,
/// a target that may be sent as it is, no fragment. None for all others.
pub fn split_plain(url: &str) -> Option<(Place, &str)> {
    let (https, rest) = match url.strip_prefix("http://") {
        Some(rest) => (false, rest),
        None => (true, url.strip_prefix("https://")?),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) if !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, port.parse().ok()?)
        }
        Some(_) => return None,
        None => (authority, if https { 443 } else { 80 }),
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let labels = host.split('.').all(|label| (1..64).contains(&label.len()));
    if !labels || !host.bytes().all(plain) || !(target.is_empty() || is_plain_target(target)) {
        return None;
    }
    Some((Place { https, host: host.to_owned(), port, ..Place::default() }, target))
}

/// RFC 3986: what may stand in a path and query as it is; `%` with two digits is taken as already encoded, any other is a letter.
pub fn is_plain_target(target: &str) -> bool {
    let encoded = |at: usize| target.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    (target.starts_with('/') || target.starts_with('?'))
        && !target.ends_with('?') // Python leaves out a query that is empty
        && memchr::memchr_iter(b'%', target.as_bytes()).all(encoded)
        && target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!$%&'()*+,/:;=?@[]~_.-".contains(&byte))
}

/// Host and port as they stand in a URL or a Host field.
pub fn authority(place: &Place) -> String {
    let shown = if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    if place.port == if place.https { 443 } else { 80 } { shown } else { format!("{shown}:{}", place.port) }
}

pub fn url_of(place: &Place, target: &str) -> String {
    format!("{}://{}{target}", if place.https { "https" } else { "http" }, authority(place))
}

/// Fields as `urlencode` writes them: a list gives its name once per item, null gives none. Err: they are no fields.
pub fn form(out: &mut String, fields: &Value) -> Result<(), String> {
    let mut first = true;
    match fields {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| push_pairs(out, &mut first, name, value)),
        Value::Array(pairs) => {
            for pair in pairs {
                let Some([name, value, ..]) = pair.as_array().map(Vec::as_slice) else {
                    return Err("the values of this hit make no request: fields are pairs of a name and a value".into());
                };
                push_pairs(out, &mut first, &text_of(name), value);
            }
        }
        Value::Null => {}
        _ => return Err("the values of this hit make no request: fields are an object, or a list of pairs".into()),
    }
    Ok(())
}

fn push_pairs(out: &mut String, first: &mut bool, name: &str, value: &Value) {
    let one = std::slice::from_ref(value);
    for value in value.as_array().map_or(one, Vec::as_slice) {
        if value.is_null() {
            continue;
        }
        if !std::mem::take(first) {
            out.push('&');
        }
        quote_plus(out, name);
        out.push('=');
        match value {
            Value::String(text) => quote_plus(out, text),
            other => quote_plus(out, &text_of(other)),
        }
    }
}

pub fn quote_plus(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}
