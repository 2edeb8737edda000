//! How a hit ended: the numbers of `loadflow/engine/records/outcome.py`.

use crate::os::wire::{Trouble, words};

const ENDLESS_TLS: &str = "over 262,144 bytes of TLS that hold nothing of an answer, and no end";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    Ok = 0,
    Status = 1,
    Assertion = 2,
    Extract = 3,
    Dns = 4,
    Connect = 5,
    Tls = 6,
    Timeout = 7,
    Closed = 8,
    Protocol = 9,
    Redirect = 10,
    TooLarge = 11,
    Template = 12,
    Dropped = 13,
    Unfinished = 14,
    Engine = 15,
    Forbidden = 16,
}

impl Outcome {
    pub const ALL: [Outcome; 17] = [
        Outcome::Ok,
        Outcome::Status,
        Outcome::Assertion,
        Outcome::Extract,
        Outcome::Dns,
        Outcome::Connect,
        Outcome::Tls,
        Outcome::Timeout,
        Outcome::Closed,
        Outcome::Protocol,
        Outcome::Redirect,
        Outcome::TooLarge,
        Outcome::Template,
        Outcome::Dropped,
        Outcome::Unfinished,
        Outcome::Engine,
        Outcome::Forbidden,
    ];

    /// False where the failure came before anything was sent.
    pub fn sent(self) -> bool {
        !matches!(self, Outcome::Template | Outcome::Dropped | Outcome::Forbidden)
    }
}

pub const RETRY: u8 = 1;
pub const SUPERSEDED: u8 = 2;
pub const DRAINED: u8 = 4;
pub const LATE: u8 = 8;
pub const LAST: u8 = 16;
pub const FIRST: u8 = 32;
pub const SETUP: u8 = 64;
/// No hit, but an event of its answer.
pub const EVENT: u8 = 128;

/// Why a hit failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub outcome: Outcome,
    pub text: String,
    /// The answer lacks nothing of what the step wants of it: only its status is wrong.
    pub has_all: bool,
}

impl Failure {
    pub fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Failure { outcome, text: text.into(), has_all: false }
    }
}

/// What TLS says, with the way out where it is about a peer's certificate.
pub fn tls_words(text: &str) -> String {
    let way_out = r#"; "verify" says whom to trust: a PEM file, or false for anyone"#;
    if text.starts_with("invalid peer certificate") { format!("{text}{way_out}") } else { text.to_owned() }
}

/// A read or a write that could not go on, as the failure of a hit.
pub fn broken(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Tls(error) => Failure::new(Outcome::Tls, tls_words(&error.to_string())),
        Trouble::Endless => Failure::new(Outcome::Tls, ENDLESS_TLS),
        Trouble::Later | Trouble::Busy => Failure::new(Outcome::Engine, "a wait was taken for a failure"),
        Trouble::Io(error) => {
            let outcome = match error.raw_os_error() {
                Some(libc::ECONNREFUSED) => Outcome::Connect,
                Some(libc::ETIMEDOUT) => Outcome::Timeout,
                Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) | None => Outcome::Closed,
                Some(_) => Outcome::Connect,
            };
            Failure::new(outcome, words(&error))
        }
    }
}
