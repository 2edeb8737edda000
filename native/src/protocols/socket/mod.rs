//! `socket_user`: TCP and UDP, a connection for each step, or one that is kept.

mod client;
pub mod framing;
mod request;

pub use client::SocketClient;
