//! HTTP/1.1 and HTTP/2: connections, requests, answers, and what is checked in them.

pub mod answer;
pub mod checks;
pub mod chunks;
pub mod conn;
pub mod cookies;
pub mod events;
pub mod http2;
pub mod lines;
pub mod place;
pub mod plain;
pub mod proxy;
pub mod reading;
pub mod redirect;
pub mod request;
pub mod tls;
pub mod work;
