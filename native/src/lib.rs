//! The native HTTP engine of loadflow: one event loop per core, no lock between them, no Python call per hit.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod answer;
pub mod arrivals;
pub mod checks;
pub mod chunks;
pub mod condition;
pub mod conn;
pub mod cookies;
mod course;
mod crowd;
pub mod data;
pub mod dns;
pub mod engine;
mod exchange;
pub mod found;
pub mod hitlog;
pub mod host;
pub mod http2;
pub mod limits;
pub mod node;
pub mod null_target;
pub mod outcome;
pub mod pattern;
pub mod picks;
pub mod place;
pub mod plan;
pub mod random;
pub mod reading;
mod record;
pub mod redirect;
pub mod request;
pub mod socket;
pub mod stages;
mod steps;
pub mod timers;
pub mod tls;
pub mod traces;
pub mod user;
pub mod value;

#[cfg(feature = "python")]
mod python;
