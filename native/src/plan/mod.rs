//! A plan as Python compiled it: what all users will do. Made by `loadflow/engine/generator/native/plan.py`.

use std::net::IpAddr;

pub mod host;
pub mod message;
pub mod mqtt;
pub mod outcome;
pub mod rpc;
pub mod status;
pub mod stream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::markup::Query;
use crate::plan::message::{Speech, SpokenStep};
use crate::plan::stream::StreamPlan;
use crate::values::condition::Condition;
use crate::values::data::SourcePlan;
use crate::values::found::Path;
use crate::values::node::Node;
use crate::values::pattern::Pattern;

#[derive(Debug, Deserialize)]
pub struct Plan {
    pub shard: usize,
    pub shards: usize,
    /// Those of `on_start`, of passes, and of `on_stop`.
    pub steps: Vec<Step>,
    /// How many are of `on_start`.
    pub on_start: usize,
    /// What a pass does: its first step, and the one behind its last; in sequence there is one such unit.
    pub units: Vec<(usize, usize)>,
    /// The first that is of `on_stop`.
    pub on_stop: usize,
    /// In weighted mode one for each unit.
    pub weights: Option<Vec<i64>>,
    pub pick_seed: String,
    /// When passes are due; None: each user begins his next one when he is done with the one before.
    pub pace: Option<PacePlan>,
    pub stages: Vec<Stage>,
    pub duration_s: Option<f64>,
    pub iterations: Option<u64>,
    /// Users may be done before the load's time is over; when all are, the load ends.
    pub ends_with_users: bool,
    pub wait_s: (f64, f64),
    pub drain_s: f64,
    /// The same of an early end; the supervisor kills a second later.
    pub stop_drain_s: f64,
    /// A user's random numbers come from this text and his number; None: from nowhere.
    pub user_seed: Option<String>,
    pub network: Option<Network>,
    pub traces: Option<TracePlan>,
    /// What users begin with: an empty list for a variable without a value.
    pub variables: Vec<Vec<Value>>,
    pub session_places: usize,
    pub sources: Vec<SourcePlan>,
    pub pools: Vec<Vec<Value>>,
    pub max_body_bytes: u64,
    /// What users speak beside HTTP.
    pub speeches: Vec<Speech>,
    /// Speak HTTP/2, and nothing else.
    pub http2: bool,
    /// The same of HTTP/3.
    #[serde(default)]
    pub http3: bool,
    /// So many requests of users may be on one connection of HTTP/2 or HTTP/3; None: each user has his own.
    pub streams: Option<usize>,
    pub kept: Kept,
    /// Where connections come from, in turns; none: the system chooses.
    pub local_addresses: Vec<IpAddr>,
    pub tls_terms: TlsTerms,
    /// Not every place is connected to as it is written: the host says whom to connect to.
    pub routed: bool,
    pub flush_s: Option<f64>,
    pub tls: Vec<Tls>,
    pub throttles: Vec<ThrottlePlan>,
    /// Whether there are hosts that may not be loaded.
    pub fenced: bool,
    pub transient_status: Vec<u16>,
    /// The field of answers that says the target's build.
    pub revision_header: Option<String>,
}

/// What TLS offers; without a list, all that there is. `ciphers`: of TLS 1.2.
#[derive(Debug, Default, Deserialize)]
pub struct TlsTerms {
    pub versions: Vec<String>,
    pub ciphers: Vec<String>,
    /// A user's later connections go on with the session of an earlier one.
    pub resumes: bool,
}

/// For how long connections live.
#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    Keep,
    PerPass,
    PerRequest,
}

#[derive(Debug, Deserialize)]
pub struct Stage {
    pub duration_s: Option<f64>,
    pub users: u32,
    pub spawn_rate: f64,
}

#[derive(Debug, Deserialize)]
pub struct Network {
    pub latency_ms: f64,
    pub jitter_ms: f64,
    pub loss_rate: f64,
    pub name_filter: Option<String>,
    pub seed: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct ThrottlePlan {
    pub rate_per_s: f64,
    pub burst: f64,
}

/// Whom TLS trusts, and what it shows.
#[derive(Debug, Deserialize, Clone)]
pub struct Tls {
    pub verify: bool,
    /// Where `verify`: PEM files, or folders of them.
    pub authorities: Vec<String>,
    /// PEM files of chain and key.
    pub certificate: Option<(String, String)>,
    /// The key itself, where its file has a password.
    pub key: Option<String>,
    /// The peer has to choose HTTP/2, which alone is offered.
    #[serde(default)]
    pub http2: bool,
}

#[derive(Debug, Deserialize)]
pub struct Step {
    pub method: String,
    /// None: `name_node` gives it, hit by hit.
    pub name: Option<String>,
    pub name_node: Option<Node>,
    pub run_if: Option<Condition>,
    pub skip_if: Option<Condition>,
    pub throttles: Vec<usize>,
    pub conditioned: Conditioned,
    pub own_status: bool,
    pub checks: Vec<Check>,
    pub extracts: Vec<Extract>,
    pub secrets: Secrets,
    pub retry: Option<Retry>,
    pub think: Option<Think>,
    pub request: RequestPlan,
    pub on_failure: OnFailure,
    /// Its answer is a stream of events.
    pub stream: Option<StreamPlan>,
    /// On the first step of a batch.
    pub batch: Option<BatchPlan>,
}

/// Steps that a user sends at once.
#[derive(Debug, Deserialize)]
pub struct BatchPlan {
    /// So many, this one included.
    pub count: usize,
    /// The sources of which they use a row: all have the same one.
    pub sources: Vec<usize>,
    /// What is waited for when all have ended: from so many seconds to so many.
    pub think_s: (f64, f64),
}

/// What a failure does to the pass of its user, or in `on_start` to the user.
#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    Continue,
    Stop,
    /// Not a status of 400 or more alone, where all that is wanted of the answer is there.
    StopIfLacking,
}

#[derive(Debug, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum Conditioned {
    No,
    Yes,
    Ask,
}

#[derive(Debug, Deserialize)]
pub struct Think {
    pub low: Node,
    pub high: Option<Node>,
}

#[derive(Debug, Deserialize)]
pub struct Retry {
    pub transient: u32,
    pub flaky: u32,
    pub permanent: u32,
    pub base_s: f64,
    pub max_s: f64,
    pub factor: f64,
    pub jitter: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// what is allowed, and the same in words
    Status(Vec<u16>, String),
    StatusIs(Node),
    Contains {
        text: Node,
        wanted: bool,
    },
    /// `fails`: what is said where the body is not as wanted
    Pattern {
        pattern: Pattern,
        wanted: bool,
        fails: String,
    },
    Json {
        path: String,
        cut: Path,
        value: Node,
    },
    /// What is there counts as true in Python.
    Truthy {
        path: String,
        cut: Path,
    },
    Header {
        name: String,
        value: Node,
    },
    Time(Node),
}

#[derive(Debug, Deserialize)]
pub struct Extract {
    pub var: String,
    pub place: usize,
    pub session: bool,
    pub find: Finder,
    pub only: Option<Only>,
}

/// What an extract takes: all else counts as not found.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    Text,
    /// A text or a number.
    Scalar,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finder {
    Json {
        path: String,
        cut: Path,
    },
    Header(String),
    /// A part of a header field.
    Field {
        name: String,
        pattern: Pattern,
        group: usize,
        fails: String,
    },
    Status,
    Pattern {
        pattern: Pattern,
        group: usize,
        fails: String,
    },
    Cookie(String),
    Body,
    /// In HTML or XML.
    Markup {
        query: Box<Query>,
        fails: String,
        /// Where it looks at too much.
        large: String,
    },
}

/// Where a user's secrets lie when a hit of a step fails.
#[derive(Debug, Deserialize)]
pub struct Secrets {
    pub variables: Vec<usize>,
    pub session: Vec<usize>,
    pub cells: Vec<(usize, usize)>,
    pub finders: Vec<Finder>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestPlan {
    /// The same bytes for every hit.
    Fixed(Box<Assembled>),
    Parts(Box<Parts>),
    /// Rare shapes: Python makes the request of the values.
    Python(Vec<(String, Node)>),
    /// A function of Python asks for requests, any number of them.
    Call(Box<CallPlan>),
    /// Of what users speak beside HTTP.
    Message(Box<SpokenStep>),
}

#[derive(Debug, Deserialize)]
pub struct CallPlan {
    /// What its requests are called where it does not say it, the second and later ones with their number.
    pub title: String,
    /// Whether the first has its number, too.
    pub numbered: bool,
    /// What stands before the names of a hook's requests.
    pub phase: String,
    /// Where plain paths lead; None: Python makes each request.
    pub base: Option<CallBase>,
}

#[derive(Debug, Deserialize)]
pub struct CallBase {
    pub place: Place,
    /// What stands before each path, without a slash at its end.
    pub path: String,
    /// The header fields of every request, by their names in lower case, each with its line end.
    pub lines: Vec<(String, String)>,
    pub closes: bool,
    pub limits: Limits,
}

/// A whole request, cookies of the user's jar apart.
#[derive(Debug, Deserialize, Clone, Default)]
pub struct Assembled {
    pub place: Place,
    /// Request line and header fields, each with its line end; the target is in it.
    #[serde(deserialize_with = "bytes")]
    pub head: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    pub body: Vec<u8>,
    /// The step's own, as a header value.
    pub cookies: String,
    pub own_host: bool,
    pub own_length: bool,
    /// It asks for the connection to end with the answer (RFC 9112 section 9.6).
    pub closes: bool,
    pub limits: Limits,
    /// The trust settings that the place names, where they were not known before the load.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// User and password that a challenge of Digest is answered with.
    #[serde(default)]
    pub digest: Option<DigestKeys>,
}

pub type DigestKeys = (String, String);

/// Where a request goes.
#[derive(Debug, Deserialize, Clone, Default, PartialEq, Eq, Hash)]
pub struct Place {
    pub https: bool,
    pub host: String,
    pub port: u16,
    pub tls: usize,
    /// What TLS calls it; None: as `host` does.
    pub sni: Option<String>,
}

#[derive(Debug, Deserialize, Clone, Copy, Default)]
pub struct Limits {
    pub connect_s: f64,
    pub total_s: f64,
    pub follow: bool,
}

/// A request of which parts differ per hit.
#[derive(Debug, Deserialize)]
pub struct Parts {
    /// Where it goes, if that is the same for all hits: then `url` gives only what follows.
    pub place: Option<Place>,
    pub tls: usize,
    pub sni: Option<String>,
    pub url: Node,
    pub base: Option<String>,
    pub params: Option<Node>,
    /// Header fields before the type of the body, its default type being sent where `typed`, and those behind it.
    pub fields: Vec<(String, Node)>,
    pub typed: bool,
    pub own: Vec<(String, Node)>,
    pub basic: Option<(Node, Node)>,
    pub own_host: bool,
    pub own_length: bool,
    pub closes: bool,
    pub body: BodyPlan,
    pub cookies: Vec<(String, Node)>,
    pub limits: Limits,
}

impl Parts {
    /// A place as these requests see it: whom TLS trusts there, and what it calls it.
    pub fn with_peer(&self, place: Place) -> Place {
        Place { tls: self.tls, sni: self.sni.clone(), ..place }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyPlan {
    None,
    /// bytes and content type
    Fixed(#[serde(deserialize_with = "bytes")] Vec<u8>, String),
    Json(Node),
    /// text is sent as it is; fields make a form
    Data(Node),
}

#[derive(Debug, Deserialize)]
pub struct TracePlan {
    /// Of hits, 0 to 1.
    pub sample_rate: f64,
    pub per_s: f64,
}

#[derive(Debug, Deserialize, Clone)]
pub struct PacePlan {
    pub max_in_flight: u32,
    pub max_lateness_s: Option<f64>,
    pub duration_s: f64,
    /// A hit that starts so long after it was due is late.
    pub late_ns: i64,
}

/// Base64, as bytes stand in a plan.
pub fn bytes<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(reader)?).map_err(serde::de::Error::custom)
}

impl Plan {
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The most users there will be at any time.
    pub fn most_users(&self) -> u32 {
        self.stages.iter().map(|stage| stage.users).max().unwrap_or(0)
    }
}

impl Step {
    /// Whether anything looks at the body of an answer that did not fail.
    pub fn reads_body(&self) -> bool {
        matches!(self.request, RequestPlan::Call(_))
            || self
                .checks
                .iter()
                .any(|check| matches!(check, Check::Contains { .. } | Check::Json { .. } | Check::Truthy { .. } | Check::Pattern { .. }))
            || self
                .extracts
                .iter()
                .any(|extract| matches!(extract.find, Finder::Json { .. } | Finder::Pattern { .. } | Finder::Body | Finder::Markup { .. }))
    }
}
