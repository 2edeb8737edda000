//! One virtual user: where he is in his steps, what he holds, the hit he has under way.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::http::conn::{Conn, Phase as ConnPhase};
use crate::http::cookies::Jar;
use crate::http::request::Outgoing;
use crate::load::batch::Part;
use crate::load::functions::Call;
use crate::load::hitlog::Timings;
use crate::load::lines::Ride;
use crate::load::links::Talk;
use crate::os::random::Rng;
use crate::plan::host::{Proxy, Trace};
use crate::plan::message::Asked;
use crate::protocols::Link;
use crate::protocols::orders::Caller;
use crate::values::node::Scope;

/// What he does as soon as nothing holds him up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Pass,
    /// Waits until a pass is due and given to him.
    Turn,
    Step,
    /// One attempt: first the throttle, then the request is made, then it goes through the conditioner and out.
    Throttle,
    Attempt,
    Send,
    /// The same hit goes on with another request: a redirect.
    Again,
    /// Waits for the network.
    Answer,
    /// A function of Python makes the step: it is called, and goes on where it waited.
    Call,
    Resume,
    /// Waits for the others who make its requests; one of them waits for the next.
    Batch,
    Rest,
    EndStep,
    /// Has made all of his passes, or as many as there were rows for, and stays until the end of the load.
    Finished,
    /// Is gone; the place can be given to another.
    Gone,
}

#[derive(Debug, Default)]
pub struct Hit {
    pub start_ns: i64,
    /// When it should have started; None: when it starts.
    pub due_ns: Option<i64>,
    /// The least and the most of its think time, which is drawn when its requests have been made, as a function of Python draws it.
    pub think_s: (f64, f64),
    pub flags: u8,
    /// How many throttles of the step let it pass.
    pub throttled: usize,
    /// Retries made, by class: transient, flaky, permanent.
    pub used: [u32; 3],
    pub sent: u64,
    pub received: u64,
    pub redirects: u32,
    /// A challenge of Digest was answered since it began, or since the last redirect.
    pub is_answering: bool,
    pub in_flight: bool,
    /// How often it was sent again because the server did not look at it (HTTP/2).
    pub resent: u8,
    /// Has a request been made for it.
    pub asked: bool,
    /// Where its time went, and until when that is known.
    pub timings: Timings,
    pub mark_ns: i64,
    /// It has no answer that a message of another protocol should have; there may be some answer.
    pub is_lost: bool,
    /// Events of its answer, when the last one came, and whether the one that was to come last did not.
    pub events: u64,
    pub event_ns: i64,
    pub lacks_last: bool,
    pub deadline_ns: i64,
    /// While a connection is made: until when it must be there.
    pub connect_deadline_ns: Option<i64>,
    pub trace: Option<Box<Trace>>,
    /// Where a name leads, those not tried yet, and the proxy that this is.
    pub addresses: Vec<SocketAddr>,
    pub proxy: Option<Rc<Proxy>>,
}

impl Hit {
    /// Nanoseconds since the last lap.
    pub fn lap(&mut self, now_ns: i64) -> i64 {
        now_ns - std::mem::replace(&mut self.mark_ns, now_ns)
    }
}

/// Which of his steps a user is at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    OnStart,
    Load,
    OnStop,
}

pub type OwnTls = HashMap<usize, Arc<ClientConfig>>;

/// A request that can't be made yet.
#[derive(Debug)]
pub struct Waiting {
    /// What it is made of, as JSON; of a function of Python that is in Python.
    pub values: String,
    /// Until it is looked again.
    pub next_ns: i64,
}

pub struct User {
    /// His place among the users of the loop.
    pub id: u32,
    pub number: u32,
    pub phase: Phase,
    /// `on_start` went well, and `on_stop` is still to come.
    pub is_set_up: bool,
    /// The step behind the last of his pass.
    pub end: usize,
    /// His last hit failed so that the pass ends with it.
    pub ends: bool,
    pub scope: Scope,
    /// Of all who make requests for him.
    pub jar: Rc<RefCell<Jar>>,
    pub call: Call,
    pub part: Part,
    pub conns: Vec<Box<Conn>>,
    /// The connection of HTTP/2 that his request goes on.
    pub ride: Option<Ride>,
    /// Where sessions are resumed: his own, by the terms of trust of their places.
    pub tls: OwnTls,
    /// So many times all of them came to their end with a pass.
    pub ended: u64,
    /// What he speaks beside HTTP, in the order in which he began it.
    pub talks: Vec<Box<Talk>>,
    /// The request of this hit where it is of that, and which of the plan's speeches it is of.
    pub asked: Option<Asked>,
    pub speech: usize,
    pub next_serial: u32,
    pub next: Next,
    /// Grows with each pause, so that a timer of an earlier one is known as such.
    pub pauses: u32,
    pub is_paused: bool,
    /// A pause that a stop may end; that of the network conditioner may not.
    pub is_free: bool,
    pub step: usize,
    pub passes: u64,
    pub has_sent: bool,
    /// He makes a pass that a pace gave him.
    pub has_pass: bool,
    /// His pass is under way for the books, and whether one of its requests has begun; of all who make requests for him.
    pub is_booked: bool,
    pub has_begun: Rc<Cell<bool>>,
    pub stopping: bool,
    pub hit: Hit,
    /// The request of this hit, where it is not its step's prepared one.
    pub own: Outgoing,
    pub uses_own: bool,
    /// His request waits for a token.
    pub waiting: Option<Waiting>,
    /// When a timer will look at the deadline.
    pub watched_ns: Option<i64>,
    pub network_rng: Option<Rng>,
}

impl User {
    /// Drops a connection; its socket is closed.
    pub fn close(&mut self, serial: u32) {
        self.conns.retain(|conn| conn.serial != serial);
    }

    /// Of one who makes requests for a user whose connections came to their end so many times: his do, too.
    pub fn end_connections(&mut self, ended: u64) {
        if std::mem::replace(&mut self.ended, ended) != ended {
            self.conns.clear();
        }
    }

    /// Adds what a connection sent and received to the hit under way.
    pub fn count(&mut self, at: usize) {
        let conn = &self.conns[at];
        self.hit.sent += conn.sent as u64;
        self.hit.received += conn.received;
    }

    /// Of all connections that are busy with the hit.
    pub fn count_all(&mut self) {
        (0..self.conns.len())
            .filter(|at| self.conns[*at].phase != ConnPhase::Idle)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|at| self.count(at));
    }

    /// Which of his talks has a connection.
    pub fn talk_with(&self, link: Link) -> Option<usize> {
        self.talks.iter().position(|talk| talk.has(link))
    }

    /// How many of the hits in flight are no hits of steps.
    pub fn awaited(&self) -> u32 {
        self.talks.iter().map(|talk| talk.awaited).sum()
    }

    pub fn caller(&self) -> Caller {
        Caller { user: self.id, number: self.number }
    }

    pub fn when_late_ns(&self) -> i64 {
        self.hit.connect_deadline_ns.map_or(self.hit.deadline_ns, |connect| connect.min(self.hit.deadline_ns))
    }
}
