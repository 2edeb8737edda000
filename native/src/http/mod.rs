//! HTTP/1.1, HTTP/2 and HTTP/3: connections, requests, answers, and what is checked in them.

pub mod answer;
pub mod carrier;
pub mod checks;
pub mod chunks;
mod codings;
pub mod conn;
pub mod cookies;
pub mod events;
pub mod http2;
pub mod http3;
pub mod lines;
pub mod place;
pub mod plain;
pub mod proxy;
pub mod reading;
pub mod redirect;
pub mod request;
pub mod tls;
pub mod work;
