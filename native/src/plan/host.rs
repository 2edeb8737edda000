//! What the core asks of Python: rarely, and never on the common path of a hit.

use std::rc::Rc;

use crate::plan::outcome::{Failure, Outcome};
use crate::plan::{DigestKeys, Place};

/// What ends the load: a full disk, a mistake of ours.
#[derive(Debug, PartialEq)]
pub struct Fatal(pub String);

impl From<std::io::Error> for Fatal {
    fn from(error: std::io::Error) -> Self {
        Fatal(error.to_string())
    }
}

/// A failed hit of a kind that is new, or of which more samples are wanted.
pub struct Report<'a> {
    pub series: u32,
    pub user: u32,
    pub end_ns: i64,
    pub outcome: Outcome,
    pub text: &'a str,
    /// this user's secret values, which are masked, as JSON
    pub secrets: Vec<String>,
    pub request: Option<SentRequest<'a>>,
    pub reply: Option<GotReply<'a>>,
    /// Which of the plan's speeches they are of; None: HTTP.
    pub speech: Option<usize>,
}

pub struct SentRequest<'a> {
    pub url: String,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

pub struct GotReply<'a> {
    pub status: u16,
    pub reason: &'a [u8],
    pub fields: Vec<(&'a [u8], &'a [u8])>,
    pub body: &'a [u8],
}

/// The id of an error text; `more`: report the next such failure too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    pub error: u32,
    pub more: bool,
}

/// Whom to connect to for a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    pub host: String,
    pub port: u16,
    pub proxy: Option<Rc<Proxy>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxy {
    /// What messages call it.
    pub name: String,
    /// What it is asked for a tunnel; empty: it is asked for whole URLs.
    pub connect: Vec<u8>,
    /// What such begin with: scheme and authority.
    pub origin: String,
    /// The header field that lets us in, with its end.
    pub credentials: String,
}

/// Where a URL leads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub place: Place,
    pub target: String,
    /// From user and password in the URL; "" where there are none.
    pub authorization: String,
}

/// The ids of one sampled hit, and whom it asks.
#[derive(Clone, Debug)]
pub struct Trace {
    pub trace_id: String,
    pub span_id: String,
    pub host: String,
    pub port: u16,
    pub path: String,
}

/// How a traced hit went.
pub struct Ended<'a> {
    pub due_ns: i64,
    pub start_ns: i64,
    pub end_ns: i64,
    pub status: u16,
    pub flags: u8,
    pub failure: Option<&'a Failure>,
    /// this user's secret values, which are masked, as JSON
    pub secrets: Vec<String>,
}

/// A sampled hit that has ended.
pub struct Span<'a> {
    pub step: usize,
    pub name: &'a str,
    pub user: u32,
    pub trace: &'a Trace,
    pub ended: Ended<'a>,
    /// Hits that were drawn and not traced since the last span.
    pub over_cap: u64,
}

/// A request that answers a challenge of Digest.
pub struct DigestAsked<'a> {
    /// His place in the loop, and his number.
    pub user: (u32, u32),
    pub place: &'a Place,
    pub keys: &'a DigestKeys,
    pub method: &'a str,
    pub target: &'a str,
    pub body: &'a [u8],
}

pub trait Host {
    fn series(&mut self, method: &str, name: &str) -> Result<u32, Fatal>;

    fn failed(&mut self, report: &Report) -> Result<Kind, Fatal>;

    fn span(&mut self, span: &Span) -> Result<(), Fatal>;

    /// How many hits were drawn and not traced since the last span.
    fn over_cap(&mut self, count: u64) -> Result<(), Fatal>;

    /// An answer named a build of the target that none named before.
    fn revision(&mut self, value: &[u8]) -> Result<(), Fatal>;

    /// What TLS agreed on with a server: version and cipher, as rustls calls them.
    fn agreed(&mut self, version: &str, cipher: &str) -> Result<(), Fatal>;

    /// Why a host that resolved to these addresses may not be loaded; None where it may.
    fn refused(&mut self, host: &str, addresses: &[String]) -> Option<String>;

    /// Asked once for each place, where the plan is `routed`; Err: there is no way to it.
    fn route(&mut self, place: &Place) -> Result<Route, String>;

    /// An absolute URL that is not of the plain kind; Err: why it can't be asked. The place's `tls` is left out.
    fn place(&mut self, url: &str) -> Result<Asked, String>;

    /// The absolute URL that a reference means, as Python's `urljoin` sees it.
    fn join(&mut self, base: &str, reference: &[u8]) -> Result<String, String>;

    /// The request of a step of a rare shape for a user, from its values (a JSON object): JSON, as it would stand in the plan. None: it
    /// waits for a token, and is to be asked for again.
    fn assemble(&mut self, step: usize, user: u32, values: &str) -> Result<Option<String>, String>;

    /// The value of the Authorization field by which a challenge of Digest is answered: the one in these fields of an answer, or, where
    /// they are None, an earlier one. None: there is none to answer. Err: it can't be answered.
    fn digest(&mut self, asked: &DigestAsked, challenges: Option<&[Vec<u8>]>) -> Result<Option<String>, String>;

    /// A body that this reader can't parse as JSON, rewritten by Python as strict JSON; None if Python can't read it either.
    fn json(&mut self, body: &[u8], content_type: &[u8]) -> Option<String>;

    /// A body in a charset that is not UTF-8.
    fn text(&mut self, body: &[u8], content_type: &[u8]) -> String;
}
