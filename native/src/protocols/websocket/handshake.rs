//! The handshake that opens a WebSocket connection (RFC 6455 section 4): a request of HTTP/1.1, and what may answer it.

use memchr::memmem;
use tungstenite::handshake::derive_accept_key;

use crate::http::answer::{Answer, latin1};
use crate::http::place::authority;
use crate::http::reading::{Broken, MAX_HEAD_BYTES, Progress, Reader};
use crate::http::request::push_field_text;
use crate::plan::message::Target;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::orders::{Lost, Reply};
use crate::protocols::websocket::deflate::{Agreed, OFFER};

/// Of an answer that is none, for the sample of the failure.
const MOST_REFUSAL_BYTES: usize = 64 * 1024;
const MOST_FIELDS: usize = 256;
const SWITCHING: u16 = 101;
/// Those of the handshake itself.
const OWN_FIELDS: [&str; 5] = ["host", "upgrade", "connection", "sec-websocket-version", "cookie"];

pub struct Handshake {
    key: String,
    came: Vec<u8>,
    /// What the answer said of cookies.
    pub cookies: Vec<Vec<u8>>,
}

/// The connection is open: what it agreed to, and what came behind the handshake.
pub struct Shaken {
    pub agreed: Option<Agreed>,
    pub behind: Vec<u8>,
}

fn broken(text: &str) -> Lost {
    Failure::new(Outcome::Protocol, format!("no valid handshake: {text}")).into()
}

impl Handshake {
    /// `key`: 16 bytes by chance, as base64.
    pub fn new(key: String) -> Self {
        Handshake { key, came: Vec::new(), cookies: Vec::new() }
    }

    /// `cookies`: the value of that field, with the script's own; empty: there is none.
    pub fn request(&self, target: &Target, cookies: &str) -> Vec<u8> {
        let own = |name: &str| own_field(target, name);
        let mut out = format!("GET {} HTTP/1.1\r\n", target.resource).into_bytes();
        let host = own("host").map_or_else(|| authority(&target.place), str::to_owned);
        let mut push = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            push_field_text(&mut out, value);
            out.extend_from_slice(b"\r\n");
        };
        for (name, value) in [("Host", host.as_str()), ("Upgrade", "websocket"), ("Connection", "Upgrade")] {
            push(name, value);
        }
        push("Sec-WebSocket-Key", &self.key);
        push("Sec-WebSocket-Version", "13");
        if target.compression {
            push("Sec-WebSocket-Extensions", OFFER);
        }
        if !target.subprotocols.is_empty() {
            push("Sec-WebSocket-Protocol", &target.subprotocols.join(", "));
        }
        for (name, value) in target.headers.iter().filter(|(name, _)| !OWN_FIELDS.contains(&name.to_lowercase().as_str())) {
            push(name, value);
        }
        if !cookies.is_empty() {
            push("Cookie", cookies);
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// None: the answer is not whole yet.
    pub fn feed(&mut self, bytes: &[u8], target: &Target) -> Option<Result<Shaken, Lost>> {
        self.came.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.came, b"\r\n\r\n").map(|at| at + 4) else {
            return (self.came.len() > MAX_HEAD_BYTES).then(|| Err(broken("a head without end")));
        };
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        match head.parse(&self.came[..end]) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Some(Err(broken("half a head"))),
            Err(error) => return Some(Err(broken(&error.to_string()))),
        }
        let of_cookies = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("set-cookie"));
        self.cookies = of_cookies.map(|field| field.value.to_vec()).collect();
        if head.code != Some(SWITCHING) {
            return refusal(&self.came, false);
        }
        let named = |name: &str| {
            let of_name = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            of_name.map(|field| latin1(field.value)).collect::<Vec<_>>()
        };
        let has =
            |name: &str, word: &str| named(name).iter().any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)));
        if !has("upgrade", "websocket") || !has("connection", "upgrade") {
            return Some(Err(broken("Upgrade and Connection do not say websocket")));
        }
        if named("sec-websocket-accept") != [derive_accept_key(self.key.as_bytes())] {
            return Some(Err(broken("another Sec-WebSocket-Accept than the key asks for")));
        }
        let agreed = match (named("sec-websocket-extensions").as_slice(), target.compression) {
            ([], _) => None,
            ([field], true) => match Agreed::of(field) {
                Some(agreed) => Some(agreed),
                None => return Some(Err(broken(&format!("unsupported extension: {field}")))),
            },
            (fields, _) => return Some(Err(broken(&format!("unsupported extension: {}", fields.join(", "))))),
        };
        match named("sec-websocket-protocol").as_slice() {
            [] if target.subprotocols.is_empty() => {}
            [] => {
                let text = format!("the server chose none of the subprotocols {}", target.subprotocols.join(", "));
                return Some(Err(Failure::new(Outcome::Protocol, text).into()));
            }
            [chosen] if target.subprotocols.contains(chosen) => {}
            chosen => return Some(Err(broken(&format!("unsupported subprotocol: {}", chosen.join(", "))))),
        }
        Some(Ok(Shaken { agreed, behind: self.came.split_off(end) }))
    }

    /// The connection ended before.
    pub fn ended(&self) -> Lost {
        let early = || Failure::new(Outcome::Closed, "the connection was closed before the handshake was answered").into();
        refusal(&self.came, true).and_then(Result::err).unwrap_or_else(early)
    }
}

/// A header field that the script gives.
pub fn own_field<'t>(target: &'t Target, name: &str) -> Option<&'t str> {
    target.headers.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// An answer that opens nothing; None: it is not whole yet.
fn refusal(came: &[u8], is_over: bool) -> Option<Result<Shaken, Lost>> {
    let mut reader = Reader::default();
    reader.begin(false, MOST_REFUSAL_BYTES, MOST_REFUSAL_BYTES as u64);
    let read = reader.feed(came);
    let read = if is_over && read == Ok(Progress::More) { reader.ended() } else { read };
    match read {
        Ok(Progress::More) if came.len() <= MAX_HEAD_BYTES + MOST_REFUSAL_BYTES => return None,
        Ok(_) | Err(Broken::TooLarge) => {}
        Err(Broken::Closed(_)) => return None,
        Err(Broken::Protocol(text)) => return Some(Err(broken(&text))),
    }
    let answer = Answer::new(&reader, came, MOST_REFUSAL_BYTES as u64);
    let status = answer.status();
    let outcome = match status {
        400.. => Outcome::Status,
        300..400 => Outcome::Redirect,
        _ => Outcome::Protocol,
    };
    let text = format!("the handshake was answered with status {status} {}", latin1(answer.reason()));
    let body = answer.raw().to_vec();
    let received = body.len() as u64;
    let reply = Reply { data: Some(body), received, status, ..Reply::default() };
    Some(Err(Lost { failure: Failure::new(outcome, text.trim_end()), reply: Some(reply) }))
}
