//! Why a request of HTTP/2 has no answer.

use h2::Reason;

use crate::http::reading::Broken;
use crate::plan::outcome::{Failure, Outcome};

#[derive(Debug, PartialEq)]
pub enum Lost {
    Failed(Failure),
    /// As `Failed`, but only the stream is over: the connection takes the next request.
    Stream(Failure),
    /// The server said that it did not look at the request: it can be sent again, on another connection.
    Unseen(Failure),
    /// The same of one request, on a connection that lives on.
    Refused(Failure),
    /// More body than may be; the head is whole.
    TooLarge,
}

/// An error of the crate, which can be told to many.
#[derive(Clone, Debug)]
pub struct Word {
    pub is_io: bool,
    pub is_go_away: bool,
    pub is_reset: bool,
    pub is_remote: bool,
    is_library: bool,
    pub reason: Option<Reason>,
    text: String,
}

impl From<h2::Error> for Word {
    fn from(error: h2::Error) -> Self {
        Word {
            is_io: error.is_io(),
            is_go_away: error.is_go_away(),
            is_reset: error.is_reset(),
            is_remote: error.is_remote(),
            is_library: error.is_library(),
            reason: error.reason(),
            text: error.to_string(),
        }
    }
}

impl Word {
    /// Of all that is no end of the bytes. `in_body`: the head of the answer is there.
    pub fn meaning(&self, in_body: bool) -> Lost {
        let reason = self.reason.map_or_else(String::new, name_of);
        let closed = |text: String| Failure::new(Outcome::Closed, text);
        let wrong = |text: String| Failure::new(Outcome::Protocol, text);
        Lost::Failed(match (self.is_go_away, self.is_remote, self.reason) {
            (true, true, Some(Reason::NO_ERROR)) if !in_body => {
                return Lost::Unseen(closed("the server ends the connection and did not look at the request (GOAWAY)".into()));
            }
            (true, true, _) => closed(format!("the server ended the connection: GOAWAY {reason}")),
            (_, true, Some(Reason::REFUSED_STREAM)) => {
                let text = "the server refused the request and did not look at it: RST_STREAM REFUSED_STREAM";
                return if in_body { Lost::Failed(closed(text.into())) } else { Lost::Refused(closed(text.into())) };
            }
            (_, true, _) => closed(format!("the server gave the request up: RST_STREAM {reason}")),
            (false, false, Some(Reason::REFUSED_STREAM)) => wrong("over 262,144 bytes of header fields".into()),
            (_, false, Some(Reason::ENHANCE_YOUR_CALM)) => wrong("more header fields or empty frames than can be taken in".into()),
            _ if self.is_library => wrong(format!("the answer breaks the rules of HTTP/2: {reason}")),
            _ => wrong(format!("no HTTP/2: {}", self.text)),
        })
    }
}

pub fn failed(outcome: Outcome, text: impl Into<String>) -> Lost {
    Lost::Failed(Failure::new(outcome, text))
}

pub fn closed(missing: &str) -> Failure {
    Failure::new(Outcome::Closed, format!("the connection was closed before {missing}"))
}

pub fn lost_by(broken: Broken) -> Lost {
    match broken {
        Broken::TooLarge => Lost::TooLarge,
        Broken::Protocol(text) => failed(Outcome::Protocol, text),
        Broken::Closed(missing) => Lost::Failed(closed(missing)),
    }
}

/// As RFC 9113 section 7 writes it.
pub fn name_of(reason: Reason) -> String {
    let name = format!("{reason:?}");
    if name.starts_with("Reason(") { format!("0x{:x}", u32::from(reason)) } else { name }
}
