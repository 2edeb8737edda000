//! `grpc_user`: calls over HTTP/2, one at a time for each user, who has a connection of his own or shares some with others, whose messages are JSON on our side and protobuf on the wire.

mod call;
mod channel;
mod client;
mod messages;
mod metadata;
mod read;
mod request;
mod show;
mod status;
pub mod told;
mod wire;
mod write;

use crate::plan::rpc::Rpc;

pub use client::GrpcClient;

/// The JSON of a message; None where it is none, or one that JSON can't say.
pub fn json_of(rpc: &Rpc, shape: usize, message: &[u8]) -> Option<String> {
    wire::check(rpc, shape, message).ok()?;
    let mut out = String::new();
    show::push(&mut out, rpc, &read::read(rpc, shape, message).ok()?).ok()?;
    Some(out)
}

/// The message that JSON of the usual forms says; None where Python has to look at it.
pub fn message_of(rpc: &Rpc, shape: usize, json: &serde_json::Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write::push(&mut out, rpc, shape, json).ok()?;
    Some(out)
}
