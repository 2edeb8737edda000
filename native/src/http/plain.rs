//! Requests of functions that need no second look: a plain path, fields and a body of the usual kinds. All others Python makes.

use crate::http::place::{authority, is_plain_target};
use crate::http::request::{Outgoing, is_field_value, push_field_text};
use crate::plan::CallBase;
use crate::values::value::HALF;

/// Names that a request says in a way of its own.
const APART: [&str; 5] = ["cookie", "connection", "host", "content-length", "transfer-encoding"];

/// What a function says of one request. `query`: ready to stand in a URL.
#[derive(Default)]
pub struct PlainRequest<'a> {
    pub path: &'a str,
    pub query: &'a str,
    pub fields: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    pub content_type: &'a str,
}

/// Lays out the head in `out` without the empty line. False: nothing is said, as it takes more than this.
pub fn lay_out(method: &'static str, base: &CallBase, asked: &PlainRequest, out: &mut Outgoing) -> bool {
    let path = asked.path.trim_start_matches('/');
    if path.len() == asked.path.len() || !is_plain_target(asked.path) || !asked.fields.iter().all(is_plain_field) {
        return false;
    }
    let bytes = &mut out.bytes;
    bytes.clear();
    for part in [method, " ", &base.path, "/", path] {
        bytes.extend_from_slice(part.as_bytes());
    }
    if !asked.query.is_empty() {
        bytes.push(if path.contains('?') { b'&' } else { b'?' });
        bytes.extend_from_slice(asked.query.as_bytes());
    }
    bytes.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    bytes.extend_from_slice(authority(&base.place).as_bytes());
    bytes.extend_from_slice(b"\r\n");
    let is_replaced = |name: &str| asked.fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    for (name, line) in &base.lines {
        if !is_replaced(name) {
            bytes.extend_from_slice(line.as_bytes());
        }
    }
    if !asked.content_type.is_empty() && !is_replaced("content-type") {
        push(bytes, "Content-Type", asked.content_type);
    }
    for (name, value) in asked.fields {
        push(bytes, name, value);
    }
    if !asked.body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        push(bytes, "Content-Length", &asked.body.len().to_string());
    }
    (out.own_host, out.own_length, out.closes) = (false, false, base.closes);
    out.is_head = method == "HEAD";
    out.limits = base.limits;
    out.cookies.clear();
    true
}

fn is_plain_field((name, value): &(&str, &str)) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && !APART.iter().any(|one| name.eq_ignore_ascii_case(one))
        && is_field_value(value)
        && !(value.contains(HALF))
}

fn push(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    push_field_text(bytes, value);
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Limits, Place};

    fn base() -> CallBase {
        let place = Place { host: "shop.example".into(), port: 8080, ..Place::default() };
        let lines = vec![("user-agent".into(), "User-Agent: loadflow\r\n".into()), ("accept".into(), "Accept: */*\r\n".into())];
        CallBase { place, path: "/base".into(), lines, closes: false, limits: Limits { connect_s: 60.0, total_s: 60.0, follow: true } }
    }

    fn laid(method: &'static str, asked: &PlainRequest) -> Option<String> {
        let mut out = Outgoing::default();
        lay_out(method, &base(), asked, &mut out).then(|| String::from_utf8(out.bytes).unwrap())
    }

    #[test]
    fn a_plain_request_has_the_fields_of_all_in_their_order() {
        let fields = [("accept", "text/html"), ("X-A", "ü")];
        let asked = PlainRequest { path: "/a?b", query: "c=1", fields: &fields, body: b"{}", content_type: "application/json" };
        let mut out = Outgoing::default();
        assert!(lay_out("POST", &base(), &asked, &mut out));
        let wanted = b"POST /base/a?b&c=1 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: loadflow\r\n\
            Content-Type: application/json\r\naccept: text/html\r\nX-A: \xfc\r\nContent-Length: 2\r\n";
        assert_eq!(out.bytes, wanted);
        let get = "GET /base/ HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: loadflow\r\nAccept: */*\r\n";
        assert_eq!(laid("GET", &PlainRequest { path: "/", ..PlainRequest::default() }).as_deref(), Some(get));
    }

    #[test]
    fn what_takes_more_is_left_to_python() {
        for path in ["", "a", "/a b", "/a#b", "/?", "/%zz", "http://other/"] {
            assert_eq!(laid("GET", &PlainRequest { path, ..PlainRequest::default() }), None, "{path}");
        }
        for field in [("Cookie", "a=b"), ("host", "x"), ("a b", "x"), ("", "x"), ("x", "a\r\nb: c"), ("Connection", "close")] {
            assert_eq!(laid("GET", &PlainRequest { path: "/", fields: &[field], ..PlainRequest::default() }), None, "{field:?}");
        }
    }
}
