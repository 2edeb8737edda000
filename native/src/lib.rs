//! The native engine of loadflow: one event loop per core, no lock between them, no Python call per hit.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod http;
pub mod load;
pub mod markup;
pub mod null_target;
pub mod os;
pub mod plan;
pub mod protocols;
pub mod values;

#[cfg(feature = "python")]
mod python;
