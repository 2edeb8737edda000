//! What users ask who do not speak HTTP, as it stands in a plan.

use std::sync::Arc;

use serde::Deserialize;

use crate::plan::{Place, Tls, bytes};
use crate::values::node::Node;

/// What the users of a plan speak.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speech {
    Socket,
}

/// The request of one hit.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    Socket(Arc<SocketRequest>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessagePlan {
    /// The same for every hit but for these two.
    Whole { request: Asked, payload: Option<Node>, expect: Option<Node> },
    /// Python makes the request of the values.
    Python(Vec<(String, Node)>),
}

/// What Python made, and the trust settings that its place names, where it names a place.
#[derive(Debug, Deserialize)]
pub struct MadeMessage {
    pub request: Asked,
    pub tls: Option<Tls>,
}

/// Of `socket_user`. `framing` None: nothing ends the answer but `expected`, or nothing is read at all.
#[derive(Debug, Clone, Deserialize)]
pub struct SocketRequest {
    pub udp: bool,
    pub place: Place,
    #[serde(deserialize_with = "bytes")]
    pub data: Vec<u8>,
    pub framing: Option<Framing>,
    /// Empty: whatever comes is right.
    pub expected: String,
    pub timeout_s: f64,
    pub keep: bool,
}

/// Where a message ends in a stream of bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framing {
    /// A fixed number of bytes.
    Counted(usize),
    /// Up to a delimiter, which is not part of the message.
    Delimited(#[serde(deserialize_with = "bytes")] Vec<u8>),
    /// As many bytes as the number before it says, which does not count itself.
    Prefixed { length_bytes: usize, little: bool },
}
