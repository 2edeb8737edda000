//! How a call ended, in the words of gRPC; the kinds are those of `loadflow/engine/protocols/grpc/reply.py`.
//!
//! There only the words of a status tell a client's own from a server's; here it is known, so that a server may say what it likes.

use crate::plan::outcome::{Failure, Outcome};
use crate::plan::status::{grpc_status, status_text};

pub const OK: u16 = 0;
const CANCELLED: u16 = 1;
const UNKNOWN: u16 = 2;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

/// `outcome`: what that is, unless a step expects the status.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub code: u16,
    pub details: String,
    outcome: Outcome,
}

impl Status {
    fn own(code: u16, outcome: Outcome, details: impl Into<String>) -> Self {
        Status { code, details: details.into(), outcome }
    }

    /// As a server says it: the code as text, and the message.
    pub fn of_server(code: Option<&[u8]>, message: &[u8]) -> Self {
        let Some(code) = code else { return Self::own(UNKNOWN, Outcome::Status, "the answer ends without a grpc-status") };
        let code = std::str::from_utf8(code).ok().and_then(|text| text.parse().ok()).unwrap_or(UNKNOWN);
        let outcome = match code {
            OK => Outcome::Ok,
            DEADLINE_EXCEEDED => Outcome::Timeout,
            _ => Outcome::Status,
        };
        Self::own(code, outcome, if code == OK { String::new() } else { unescaped(message) })
    }

    pub fn ok() -> Self {
        Self::own(OK, Outcome::Ok, "")
    }

    pub fn late() -> Self {
        Self::own(DEADLINE_EXCEEDED, Outcome::Timeout, "Deadline Exceeded")
    }

    /// An answer of HTTP with another status than 200: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    pub fn of_http(status: u16) -> Self {
        let code = match status {
            400 => INTERNAL,
            401 => UNAUTHENTICATED,
            403 => PERMISSION_DENIED,
            404 => UNIMPLEMENTED,
            429 | 502..=504 => UNAVAILABLE,
            _ => UNKNOWN,
        };
        Self::own(code, Outcome::Protocol, format!("Received http2 header with status: {status}"))
    }

    /// There was no connection.
    pub fn unconnected(failure: &Failure) -> Self {
        let text = &failure.text;
        match failure.outcome {
            Outcome::Dns => Self::own(UNAVAILABLE, Outcome::Dns, format!("DNS resolution failed: {text}")),
            Outcome::Tls => Self::own(UNAVAILABLE, Outcome::Tls, format!("failed to connect to all addresses; last error: {text}")),
            Outcome::Protocol => Self::own(UNAVAILABLE, Outcome::Protocol, text.clone()),
            _ => Self::own(UNAVAILABLE, Outcome::Connect, format!("failed to connect to all addresses; last error: {text}")),
        }
    }

    /// It was there, and is no more.
    pub fn disconnected(failure: Option<&Failure>) -> Self {
        match failure {
            None => Self::own(UNAVAILABLE, Outcome::Closed, "Socket closed"),
            Some(failure) => Self::own(UNAVAILABLE, failure.outcome, failure.text.clone()),
        }
    }

    pub fn ended_by_server(debug: &str) -> Self {
        Self::own(UNAVAILABLE, Outcome::Closed, format!("GOAWAY received: {debug}"))
    }

    /// The server gave the call up: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
    pub fn reset(reason: u32) -> Self {
        let code = match reason {
            7 => UNAVAILABLE,
            8 => CANCELLED,
            11 => RESOURCE_EXHAUSTED,
            12 => PERMISSION_DENIED,
            _ => INTERNAL,
        };
        Self::own(code, Outcome::Closed, format!("Received RST_STREAM with error code {reason}"))
    }

    pub fn unreadable(what: &str) -> Self {
        Self::own(UNAVAILABLE, Outcome::Protocol, format!("Failed parsing HTTP/2: {what}"))
    }

    pub fn too_much_metadata() -> Self {
        Self::own(RESOURCE_EXHAUSTED, Outcome::Protocol, "received metadata size exceeds the limit of 262,144 bytes")
    }

    pub fn too_large(bytes: u64, most: usize) -> Self {
        Self::own(RESOURCE_EXHAUSTED, Outcome::TooLarge, format!("Received message larger than max ({bytes} vs. {most})"))
    }

    /// What stands around a message, or its compression, is not as it should be.
    pub fn bad_message(what: &str) -> Self {
        Self::own(INTERNAL, Outcome::Status, what)
    }

    /// It came from the server, whole.
    pub fn is_of_server(&self) -> bool {
        matches!(self.outcome, Outcome::Ok | Outcome::Status | Outcome::TooLarge)
    }

    /// As it stands in the log.
    pub fn number(&self) -> u16 {
        grpc_status(self.code)
    }

    /// Unless the step expects it.
    pub fn failure(&self) -> Option<Failure> {
        if self.number() == grpc_status(OK) {
            return None;
        }
        let text = format!("{}: {}", status_text(self.number()), self.details);
        Some(Failure::new(self.outcome, text.trim_end_matches([':', ' '])))
    }
}

/// Percent-encoded UTF-8, as far as it is: PROTOCOL-HTTP2.md, Status-Message.
fn unescaped(message: &[u8]) -> String {
    let digit = |at: usize| message.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut out = Vec::with_capacity(message.len());
    let mut at = 0;
    while let Some(byte) = message.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_a_server_is_what_it_says() {
        for (code, message, number, text) in [
            (Some(&b"5"[..]), &b"no such item"[..], 20_005, "NOT_FOUND: no such item"),
            (Some(b"14"), b"failed to connect", 20_014, "UNAVAILABLE: failed to connect"),
            (Some(b"1"), b"", 20_001, "CANCELLED"),
            (Some(b"99"), b"x", 20_002, "UNKNOWN: x"),
            (Some(b"x"), b"", 20_002, "UNKNOWN"),
            (Some(b"13"), b"%E2%82%AC 5%", 20_013, "INTERNAL: \u{20ac} 5%"),
            (None, b"", 20_002, "UNKNOWN: the answer ends without a grpc-status"),
        ] {
            let status = Status::of_server(code, message);
            let failure = status.failure().unwrap();
            assert_eq!((status.number(), failure.text.as_str(), failure.outcome), (number, text, Outcome::Status));
        }
        assert_eq!(Status::of_server(Some(b"0"), b"fine").failure(), None);
        assert_eq!(Status::of_server(Some(b"4"), b"").failure().unwrap().outcome, Outcome::Timeout);
    }
}
