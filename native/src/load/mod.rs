//! The load: users, passes, steps, and the records of their hits.

mod answers;
pub mod arrivals;
pub mod batch;
pub mod channels;
pub mod engine;
mod exchange;
pub mod functions;
pub mod hitlog;
pub mod limits;
pub mod line_work;
pub mod lines;
pub mod links;
pub mod picks;
pub mod quic;
mod record;
pub mod revisions;
pub mod run;
pub mod stages;
mod steps;
pub mod stop;
mod talking;
pub mod traces;
pub mod user;
mod users;
pub mod watch;
