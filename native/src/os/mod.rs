//! What the system gives: sockets and the event poll, timers, names of hosts, random numbers.

pub mod datagrams;
pub mod dns;
pub mod packets;
pub mod random;
pub mod slice;
pub mod socket;
pub mod timers;
pub mod turn;
pub mod wire;
