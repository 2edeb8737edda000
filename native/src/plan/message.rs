//! What users ask who do not speak HTTP, as it stands in a plan.

use std::sync::Arc;

use serde::Deserialize;

use crate::plan::mqtt::{MqttRequest, MqttSpeech};
use crate::plan::rpc::{Laid, Rpc};
use crate::plan::{Place, Tls, bytes};
use crate::values::found::Path;
use crate::values::node::Node;

/// A protocol that the users of a plan speak.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speech {
    Grpc,
    Socket,
    Mqtt(MqttSpeech),
    Websocket(WebSocketSpeech),
}

/// The request of one hit.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    Grpc(Arc<GrpcRequest>),
    Socket(Arc<SocketRequest>),
    Mqtt(Arc<MqttRequest>),
    Websocket(Arc<WebSocketRequest>),
}

/// The message of a step. `speech`: which of the plan's.
#[derive(Debug, Deserialize)]
pub struct SpokenStep {
    pub speech: usize,
    pub made: MessagePlan,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessagePlan {
    Whole(Box<WholePlan>),
    /// Python makes the request of the values.
    Python(Vec<(String, Node)>),
    /// The same, and each shares something with this one.
    Alike {
        like: Asked,
        values: Vec<(String, Node)>,
    },
}

/// The same for every hit but for these. `values`: beside them, those from which Python makes the request of a hit whose values are
/// unusual; None: there is no such hit.
#[derive(Debug, Deserialize)]
pub struct WholePlan {
    pub request: Asked,
    pub payload: Option<Node>,
    pub expect: Option<Node>,
    #[serde(default)]
    pub metadata: Option<Node>,
    #[serde(default)]
    pub values: Option<Vec<(String, Node)>>,
}

/// What Python made, and the trust settings that its place names, where it names a place.
#[derive(Debug, Deserialize)]
pub struct MadeMessage {
    pub request: Asked,
    pub tls: Option<Tls>,
}

/// Of `grpc_user`.
#[derive(Debug, Clone, Deserialize)]
pub struct GrpcRequest {
    /// None: as the others of its step.
    pub rpc: Option<Arc<Rpc>>,
    pub place: Place,
    /// Both host:port: as the script has it, and as the server is asked for it.
    pub target: String,
    pub authority: String,
    pub messages: Vec<GrpcMessage>,
    /// Bytes as Base64.
    pub metadata: Vec<(String, String)>,
    pub timeout_s: f64,
    /// None: the user's own.
    pub channels: Option<u32>,
    pub max_messages: Option<usize>,
    /// What the time to the first message is recorded as; empty: it is not.
    pub first_name: String,
    #[serde(skip)]
    pub laid: Laid,
}

#[derive(Debug, Clone, Deserialize)]
pub struct GrpcMessage(#[serde(deserialize_with = "bytes")] pub Vec<u8>);

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

#[derive(Debug, Clone, Deserialize)]
pub struct WebSocketSpeech {
    /// Where an answer says whom it answers.
    pub reply_paths: Vec<Path>,
    /// Whether any step asks for messages.
    pub keeps: bool,
    /// The test's host.
    pub target: Option<Arc<Target>>,
}

/// Of `websocket_user`. `target` None: the connection that is open, or the last one anew, or the test's host.
#[derive(Debug, Clone, Deserialize)]
pub struct WebSocketRequest {
    pub method: Method,
    pub target: Option<Arc<Target>>,
    #[serde(deserialize_with = "bytes")]
    pub data: Vec<u8>,
    pub is_text: bool,
    /// Empty: whatever comes is right.
    pub expect: String,
    pub timeout_s: f64,
    pub awaited: Option<Awaited>,
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Connect,
    Send,
    Recv,
    Sendrecv,
    Ping,
    Close,
}

/// The answer to a sent message: `key` is what both hold, and lies in the sent one at the path; `name` is what its hit is called.
#[derive(Debug, Clone, Deserialize)]
pub struct Awaited {
    pub key: String,
    pub path: String,
    pub cut: Path,
    pub timeout_s: f64,
    pub name: String,
}

/// Whom to connect to, and how. `resource` is path and query, encoded. `has_url` and `has_options`: what of it its step says itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Target {
    pub url: String,
    pub place: Place,
    pub resource: String,
    pub headers: Vec<(String, String)>,
    pub subprotocols: Vec<String>,
    pub compression: bool,
    pub has_url: bool,
    pub has_options: bool,
}
