//! What users of `mqtt_user` ask for, as it stands in a plan.

use std::sync::Arc;

use serde::Deserialize;

use crate::plan::{Place, bytes};
use crate::values::found::Path;

/// What the users of a plan have alike.
#[derive(Debug, Clone, Deserialize)]
pub struct MqttSpeech {
    /// Whether any step asks for messages.
    pub keeps: bool,
    /// Users of all loops of one process measure deliveries together: what their tokens begin with.
    pub process: String,
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Connect,
    Disconnect,
    Publish,
    Subscribe,
    Unsubscribe,
    Receive,
}

/// `broker`: host and port as its step names them. `terms` None: it says nothing about the connection, so that of an earlier step stands;
/// `place` is then where one leads of which nothing was ever said.
#[derive(Debug, Clone, Deserialize)]
pub struct MqttRequest {
    pub method: Method,
    pub broker: Arc<str>,
    pub place: Place,
    pub terms: Option<Arc<Terms>>,
    pub timeout_s: f64,
    pub topics: Arc<[String]>,
    pub message: Option<Message>,
    pub tracked: Option<Tracked>,
    pub qos: u8,
    pub properties: Arc<Properties>,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: u8,
    pub expect: Option<String>,
    pub abrupt: bool,
}

/// How a connection is opened. `client_id` "": one of the user's own.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Terms {
    pub version: Version,
    pub username: Option<String>,
    pub password: Option<String>,
    pub client_id: String,
    pub keepalive_s: u16,
    pub clean_start: bool,
    pub session_expiry_s: Option<u32>,
    pub will: Option<Message>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    pub topic: Arc<str>,
    #[serde(deserialize_with = "bytes")]
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
    pub properties: Arc<Properties>,
}

/// A message whose delivery is measured. `token` None: we make one, and the message carries it in a property.
#[derive(Debug, Clone, Deserialize)]
pub struct Tracked {
    pub rule: Arc<DeliveryRule>,
    pub token: Option<String>,
}

/// `path`: where the token lies in the payload, "" where it lies in a property.
#[derive(Debug, Deserialize)]
pub struct DeliveryRule {
    pub path: String,
    pub cut: Path,
    pub timeout_s: f64,
    pub subscribers: usize,
    pub required: bool,
    pub name: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
pub enum Version {
    #[default]
    #[serde(rename = "3.1.1")]
    V311,
    #[serde(rename = "5")]
    V5,
}

/// What a script asks for, by its own names.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Properties {
    pub payload_is_text: Option<bool>,
    pub message_expiry: Option<u32>,
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation_data: Option<String>,
    pub subscription_identifier: Option<u32>,
    pub session_expiry: Option<u32>,
    pub will_delay: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub user: Vec<(String, String)>,
    pub maximum_packet_size: Option<u32>,
}
