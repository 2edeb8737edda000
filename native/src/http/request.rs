//! The bytes of a request: laid out once where they are the same for every hit, else put together of their parts.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::http::place::{authority, form, is_plain_target, split_plain, url_of};
use crate::plan::host::{Asked, Host};
use crate::plan::outcome::{Failure, Outcome};
use crate::plan::stream::StreamPlan;
use crate::plan::{Assembled, BodyPlan, DigestKeys, Limits, Parts, Place};
use crate::values::data::Data;
use crate::values::node::{Filled, Missing, Node, Scope};
use crate::values::value::{HALF, NOT_JSON, push_text, shown_text};

/// One request, ready to be sent. `head_end` is where the fields of the step end; the jar's cookies come behind them.
#[derive(Debug, Default, Clone)]
pub struct Outgoing {
    pub bytes: Vec<u8>,
    pub head_end: usize,
    pub body_at: usize,
    /// Which of the loop's origins it goes to.
    pub origin: usize,
    pub own_host: bool,
    pub own_length: bool,
    pub closes: bool,
    pub is_head: bool,
    /// The step's own cookies.
    pub cookies: String,
    pub limits: Limits,
    pub digest: Option<DigestKeys>,
    /// Of a request of a function: its answer is read as events. What a step says of it is in the step.
    pub stream: Option<Rc<StreamPlan>>,
}

impl Outgoing {
    pub fn head(&self) -> &[u8] {
        &self.bytes[..self.head_end]
    }

    /// With the jar's cookies, and the empty line.
    pub fn whole_head(&self) -> &[u8] {
        &self.bytes[..self.body_at]
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }

    pub fn method(&self) -> &str {
        std::str::from_utf8(self.bytes.split(|byte| *byte == b' ').next().unwrap_or(b"")).unwrap_or("")
    }

    /// Path and query, as they stand in the request line.
    pub fn target(&self) -> &str {
        let line = self.bytes.split(|byte| *byte == b'\r').next().unwrap_or(b"");
        let mut words = line.split(|byte| *byte == b' ');
        std::str::from_utf8(words.nth(1).unwrap_or(b"/")).unwrap_or("/")
    }

    /// A request that is whole but for the jar's cookies.
    pub fn take(&mut self, made: &Assembled, cookie: &str) {
        self.bytes.clear();
        self.bytes.extend_from_slice(&made.head);
        self.own_host = made.own_host;
        self.own_length = made.own_length;
        self.closes = made.closes;
        self.is_head = made.head.starts_with(b"HEAD ");
        self.cookies.clone_from(&made.cookies);
        self.limits = made.limits;
        self.digest.clone_from(&made.digest);
        self.finish(cookie, &made.body);
    }

    /// In place of a field that it has, or as one more, among those of the step.
    pub fn set_field(&mut self, name: &[u8], value: &[u8]) {
        let has_name = |line: &[u8]| line.len() > name.len() && line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name);
        let mut at = 0;
        while at < self.head_end {
            let end = memchr::memchr(b'\n', &self.bytes[at..self.head_end]).map_or(self.head_end, |found| at + found + 1);
            if has_name(&self.bytes[at..end]) {
                self.bytes.drain(at..end);
                self.head_end -= end - at;
                self.body_at -= end - at;
            } else {
                at = end;
            }
        }
        self.add_field(&[name, b": ", value, b"\r\n"].concat());
    }

    /// One line more, among the fields of the step.
    pub fn add_field(&mut self, line: &[u8]) {
        self.bytes.splice(self.head_end..self.head_end, line.iter().copied());
        self.head_end += line.len();
        self.body_at += line.len();
    }

    /// The end of the head, and the body.
    pub fn finish(&mut self, cookie: &str, body: &[u8]) {
        self.head_end = self.bytes.len();
        if !cookie.is_empty() {
            self.bytes.extend_from_slice(b"Cookie: ");
            push_field_text(&mut self.bytes, cookie);
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.bytes.extend_from_slice(b"\r\n");
        self.body_at = self.bytes.len();
        self.bytes.extend_from_slice(body);
    }
}

/// Reused from hit to hit.
#[derive(Default)]
pub struct Scratch {
    url: String,
    target: String,
    body: String,
    text: String,
}

/// What the parts of one hit gave; `body` is in the scratch.
pub struct Made<'s> {
    /// None: the plan's own.
    pub place: Option<Place>,
    pub body: &'s [u8],
}

/// Lays out the head in `out.bytes` (without the jar's cookies and the empty line) and the body beside it.
pub fn assemble<'s>(
    method: &str,
    parts: &'s Parts,
    out: &mut Outgoing,
    scratch: &'s mut Scratch,
    scope: &mut Scope,
    data: &mut Data,
    host: &mut dyn Host,
) -> Result<Made<'s>, Failure> {
    let (place, url_auth) = find_target(parts, scratch, scope, data, host)?;
    if let Some(params) = &parts.params {
        add_params(&mut scratch.target, &params.value(scope, data).map_err(lacks)?)?;
    }
    let Scratch { target, body, text, .. } = scratch;
    body.clear();
    let (body, content_type): (&[u8], &str) = match &parts.body {
        BodyPlan::None => (b"", ""),
        BodyPlan::Fixed(bytes, kind) => (bytes, kind),
        BodyPlan::Json(node) => {
            node.push_json(body, scope, data).map_err(lacks)?;
            if !node.is_finite(scope).map_err(lacks)? {
                return Err(Failure::new(Outcome::Template, NOT_JSON));
            }
            (sendable(body)?.as_bytes(), "application/json")
        }
        BodyPlan::Data(node) => fill_data(body, node, scope, data)?,
    };
    let bytes = &mut out.bytes;
    bytes.clear();
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    if !parts.own_host {
        let known = place.as_ref().or(parts.place.as_ref());
        push_line(bytes, "Host", &known.map(authority).unwrap_or_default())?;
    }
    push_fields(bytes, &parts.fields, text, scope, data)?;
    if parts.typed && !content_type.is_empty() {
        push_line(bytes, "Content-Type", content_type)?;
    }
    if let Some((user, password)) = &parts.basic {
        text.clear();
        user.push_text(text, scope, data).map_err(lacks)?;
        text.push(':');
        password.push_text(text, scope, data).map_err(lacks)?;
        push_line(bytes, "Authorization", &format!("Basic {}", STANDARD.encode(sendable(text)?)))?;
    } else if !url_auth.is_empty() {
        push_line(bytes, "Authorization", &url_auth)?;
    }
    push_fields(bytes, &parts.own, text, scope, data)?;
    if !parts.own_length && (!body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH")) {
        push_line(bytes, "Content-Length", &body.len().to_string())?;
    }
    out.own_host = parts.own_host;
    out.own_length = parts.own_length;
    out.closes = parts.closes;
    out.is_head = method == "HEAD";
    out.limits = parts.limits;
    out.digest = None;
    fill_cookies(&mut out.cookies, &parts.cookies, scope, data)?;
    Ok(Made { place, body })
}

/// The target into `scratch.target`; the place where it is not the plan's own, and the authorization that a URL may hold.
fn find_target(
    parts: &Parts,
    scratch: &mut Scratch,
    scope: &mut Scope,
    data: &mut Data,
    host: &mut dyn Host,
) -> Result<(Option<Place>, String), Failure> {
    let Scratch { url, target, .. } = scratch;
    url.clear();
    target.clear();
    parts.url.push_text(url, scope, data).map_err(lacks)?;
    if let Some(place) = &parts.place {
        if is_plain_target(url) {
            push_target(target, url);
            return Ok((None, String::new()));
        }
        url.insert_str(0, &url_of(place, ""));
    } else {
        make_absolute(url, parts.base.as_deref())?;
        if let Some((place, rest)) = split_plain(url) {
            push_target(target, rest);
            return Ok((Some(parts.with_peer(place)), String::new()));
        }
    }
    let Asked { place, target: found, authorization } = host.place(sendable(url)?).map_err(|text| Failure::new(Outcome::Template, text))?;
    push_target(target, &found);
    Ok((Some(parts.with_peer(place)), authorization))
}

fn push_target(out: &mut String, rest: &str) {
    if !rest.starts_with('/') {
        out.push('/');
    }
    out.push_str(rest);
}

fn make_absolute(url: &mut String, base: Option<&str>) -> Result<(), Failure> {
    let scheme = url.find("://").map(|at| url[..at].to_ascii_lowercase());
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
    };
    let scheme = scheme.filter(|text| is_scheme(text));
    match (scheme.as_deref(), base) {
        (Some("http" | "https"), _) => {}
        (None, Some(base)) => *url = format!("{}/{}", base.trim_end_matches('/'), url.trim_start_matches('/')),
        _ => {
            let shown = shown_text(&url.chars().take(100).collect::<String>());
            return Err(Failure::new(Outcome::Template, format!("{shown} is not an http or https URL; write one, or set `host`")));
        }
    }
    Ok(())
}

fn add_params(target: &mut String, params: &Value) -> Result<(), Failure> {
    let mark = if target.contains('?') { '&' } else { '?' };
    let before = target.len();
    target.push(mark);
    form(target, params).map_err(|text| Failure::new(Outcome::Template, text))?;
    if target.len() == before + 1 {
        target.truncate(before);
    }
    sendable(target).map(drop)
}

fn fill_data<'b>(body: &'b mut String, node: &Node, scope: &mut Scope, data: &mut Data) -> Result<(&'b [u8], &'static str), Failure> {
    let mut content_type = "";
    if matches!(node, Node::Join(_)) {
        node.push_text(body, scope, data).map_err(lacks)?;
    } else {
        match node.value(scope, data).map_err(lacks)? {
            Value::String(text) => *body = text,
            Value::Null => {}
            fields => {
                form(body, &fields).map_err(|text| Failure::new(Outcome::Template, text))?;
                content_type = "application/x-www-form-urlencoded";
            }
        }
    }
    Ok((sendable(body)?.as_bytes(), content_type))
}

/// A name "" stands for lines that are the same for every hit.
fn push_fields(
    bytes: &mut Vec<u8>,
    fields: &[(String, Node)],
    text: &mut String,
    scope: &mut Scope,
    data: &mut Data,
) -> Result<(), Failure> {
    for (name, node) in fields {
        match node {
            Node::Static(Value::String(lines)) if name.is_empty() => bytes.extend_from_slice(lines.as_bytes()),
            _ if node.is_null(scope).map_err(lacks)? => {} // a field that is null is left out
            _ => {
                text.clear();
                node.push_text(text, scope, data).map_err(lacks)?;
                push_line(bytes, name, text)?;
            }
        }
    }
    Ok(())
}

fn fill_cookies(out: &mut String, cookies: &[(String, Node)], scope: &mut Scope, data: &mut Data) -> Result<(), Failure> {
    out.clear();
    for (name, node) in cookies {
        if node.is_null(scope).map_err(lacks)? {
            continue;
        }
        if !out.is_empty() {
            out.push_str("; ");
        }
        if !name.is_empty() {
            out.push_str(name);
            out.push('=');
        }
        push_text(out, &node.value(scope, data).map_err(lacks)?);
    }
    if !is_field_value(out) {
        return Err(Failure::new(Outcome::Template, "a cookie holds a line break or another character that can't be sent"));
    }
    sendable(out).map(drop)
}

fn push_line(bytes: &mut Vec<u8>, name: &str, value: &str) -> Result<(), Failure> {
    if !is_field_value(value) {
        let shown = shown_text(&name.chars().take(50).collect::<String>());
        let text = format!("the header {shown} holds a line break or another character that can't be sent");
        return Err(Failure::new(Outcome::Template, text));
    }
    sendable(value)?;
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    push_field_text(bytes, value);
    bytes.extend_from_slice(b"\r\n");
    Ok(())
}

/// RFC 9110 section 5.5: no line breaks, no control characters.
pub fn is_field_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f))
}

/// As it crosses the wire: Latin-1 as far as that goes, else UTF-8.
pub fn push_field_text(bytes: &mut Vec<u8>, text: &str) {
    if text.is_ascii() || text.chars().any(|one| one as u32 > 0xff) {
        bytes.extend_from_slice(text.as_bytes());
    } else {
        bytes.extend(text.chars().map(|one| one as u8));
    }
}

fn sendable(text: &str) -> Result<&str, Failure> {
    if !text.is_ascii() && text.contains(HALF) {
        let why = "a value holds a character that can't be sent: half a surrogate pair";
        return Err(Failure::new(Outcome::Template, why));
    }
    Ok(text)
}

fn lacks(Missing(text): Missing) -> Failure {
    Failure::new(Outcome::Template, text)
}

/// All values of a request as one JSON object, for Python.
pub fn values_json(values: &[(String, Node)], scope: &mut Scope, data: &mut Data) -> Filled<String> {
    let mut out = String::from("{");
    for (index, (key, node)) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        crate::values::value::push_json_string(&mut out, key);
        out.push(':');
        node.push_json(&mut out, scope, data)?;
    }
    out.push('}');
    Ok(out)
}
