//! `websocket_user`: one connection per user, made when a step first needs it and again after it was lost.

mod client;
mod connection;
mod deflate;
mod frames;
mod handshake;
mod request;

pub use client::WebSocketClient;
