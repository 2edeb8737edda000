//! What `benchmarks.protocols` loads, and what it compares the core with: as little work per exchange as a program can do with epoll.

pub mod peers;
pub mod serve;
pub mod talk;
