//! Why a request of HTTP/3 has no answer.

use quinn_proto::{ConnectionError, TransportErrorCode};
use rustls::AlertDescription;

use super::{Over, code};
use crate::http::http2::Lost;
use crate::plan::outcome::{Failure, Outcome, tls_words};

const NO_HTTP_3: &str = "the server did not choose HTTP/3 (h3 by ALPN); leave http_version out for HTTP/1.1";
/// Codes of QUIC from here on are alerts of TLS (RFC 9001 section 4.8).
const ALERTS: std::ops::Range<u64> = 0x100..0x200;

pub fn closed(missing: &str) -> Failure {
    Failure::new(Outcome::Closed, format!("the connection was closed before {missing}"))
}

pub fn unseen() -> Failure {
    Failure::new(Outcome::Closed, "the server ends the connection and did not look at the request (GOAWAY)")
}

pub fn wrong(code: u64) -> Failure {
    Failure::new(Outcome::Protocol, format!("the answer breaks the rules of HTTP/3: {}", code::name_of(code)))
}

/// The peer gave a stream up.
pub fn reset(code: u64, has_head: bool) -> Lost {
    if code == code::REQUEST_REJECTED && !has_head {
        let text = "the server refused the request and did not look at it: RESET_STREAM H3_REQUEST_REJECTED";
        return Lost::Refused(Failure::new(Outcome::Closed, text));
    }
    Lost::Stream(Failure::new(Outcome::Closed, format!("the server gave the request up: RESET_STREAM {}", code::name_of(code))))
}

/// What the end of a connection means to a request on it. `missing`: what was not there yet.
pub(super) fn meaning(over: &Over, missing: &str) -> Lost {
    Lost::Failed(match over {
        Over::Wrong(code) => wrong(*code),
        Over::Quic(reason) => match reason {
            ConnectionError::ApplicationClosed(close) if close.error_code.into_inner() == code::NO_ERROR => closed(missing),
            ConnectionError::ApplicationClosed(close) => {
                let code = code::name_of(close.error_code.into_inner());
                Failure::new(Outcome::Closed, format!("the server ended the connection: {code}{}", said(&close.reason)))
            }
            ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::NO_ERROR => closed(missing),
            ConnectionError::ConnectionClosed(close) => {
                let code = format!("{:?}", close.error_code);
                Failure::new(Outcome::Closed, format!("the server ended the connection: {code}{}", said(&close.reason)))
            }
            ConnectionError::TimedOut => {
                Failure::new(Outcome::Timeout, "nothing came from the server for as long as QUIC lets a connection be idle")
            }
            ConnectionError::Reset => Failure::new(Outcome::Closed, "the server does not know the connection any more (a stateless reset)"),
            ConnectionError::TransportError(error) => {
                let text = format!("the server breaks the rules of QUIC: {:?}{}", error.code, said(error.reason.as_bytes()));
                Failure::new(Outcome::Protocol, text)
            }
            _ => closed(missing),
        },
    })
}

/// Why a connection could not be made.
pub fn unmade(reason: &ConnectionError) -> Failure {
    let alert = |code: TransportErrorCode| {
        let code = u64::from(code);
        ALERTS.contains(&code).then(|| AlertDescription::from((code - ALERTS.start) as u8))
    };
    match reason {
        ConnectionError::TransportError(error) => match alert(error.code) {
            Some(AlertDescription::NoApplicationProtocol) => Failure::new(Outcome::Tls, NO_HTTP_3),
            Some(_) => Failure::new(Outcome::Tls, tls_words(&error.reason)),
            None => {
                let text = format!("the server breaks the rules of QUIC: {:?}{}", error.code, said(error.reason.as_bytes()));
                Failure::new(Outcome::Protocol, text)
            }
        },
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
            Some(AlertDescription::NoApplicationProtocol) => Failure::new(Outcome::Tls, NO_HTTP_3),
            Some(alert) => Failure::new(Outcome::Tls, rustls::Error::AlertReceived(alert).to_string()),
            None => Failure::new(Outcome::Connect, format!("the server took no connection: {:?}{}", close.error_code, said(&close.reason))),
        },
        ConnectionError::ApplicationClosed(close) => {
            Failure::new(Outcome::Connect, format!("the server took no connection: {}", code::name_of(close.error_code.into_inner())))
        }
        ConnectionError::VersionMismatch => Failure::new(Outcome::Connect, "the server speaks no version of QUIC that is known here (1)"),
        ConnectionError::TimedOut => Failure::new(Outcome::Connect, "the server did not answer"),
        other => Failure::new(Outcome::Connect, other.to_string()),
    }
}

/// What a peer says of its reason, if it does.
fn said(reason: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(reason).chars().filter(|one| !one.is_control()).take(200).collect();
    if text.is_empty() { text } else { format!(" ({text})") }
}
