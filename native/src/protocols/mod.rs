//! The seam for a protocol: what a user speaks, without sockets, clocks and threads.
//!
//! A `Client` is one user's, who has one for each protocol that his steps speak. It is told what happens, and says by its orders what is to
//! be done; the loop owns sockets, timers, TLS and records. HTTP is not behind this seam yet: `crate::http`.

pub mod correlation;
pub mod grpc;
pub mod message;
pub mod mqtt;
pub mod orders;
pub mod socket;
pub mod websocket;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::http::cookies::Jar;
use crate::plan::Place;
use crate::plan::message::{Asked, Speech};
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::grpc::GrpcClient;
use crate::protocols::message::{Filling, Shown};
use crate::protocols::mqtt::MqttClient;
use crate::protocols::orders::Orders;
use crate::protocols::socket::SocketClient;
use crate::protocols::websocket::WebSocketClient;

/// One of a user's connections; no two of a loop have the same number at a time.
pub type Link = u32;

/// Exactly one `Orders::end` follows each `begin`, unless the hit is late or its user is gone before.
pub trait Client {
    /// A hit begins.
    fn begin(&mut self, request: &Asked, orders: &mut Orders);

    /// A connection that was asked for is there, TLS too.
    fn connected(&mut self, link: Link, orders: &mut Orders);

    /// What came on a connection; of UDP one datagram, which may be empty.
    fn received(&mut self, link: Link, bytes: &[u8], orders: &mut Orders);

    /// The user has gone on since `Orders::again`.
    fn go_on(&mut self, _link: Link, _orders: &mut Orders) {}

    /// Of what was asked for with `Orders::tell_sent`: all that was to be sent is on its way.
    fn sent(&mut self, _link: Link, _orders: &mut Orders) {}

    /// There is no such connection any more. None: the peer has ended it.
    fn ended(&mut self, link: Link, failure: Option<Failure>, orders: &mut Orders);

    /// The hit took too long, and ends with this text.
    fn late(&mut self, orders: &mut Orders) -> String;

    /// When `due` is to be called, of the times of `Orders::now_ns`.
    fn next_due_ns(&self) -> Option<i64> {
        None
    }

    fn due(&mut self, _orders: &mut Orders) {}

    /// How many hits besides those of steps have begun and not ended: answers that come by themselves.
    fn awaited(&self) -> u32 {
        0
    }

    /// Of a client that many users share: they have begun all that they begin now.
    fn turn(&mut self, _orders: &mut Orders) {}

    /// The user goes; what it awaited stays unfinished.
    fn leave(&mut self, _orders: &mut Orders) {}
}

impl Speech {
    /// `jar`: the user's, which all of his clients share.
    pub fn client(&self, max_body_bytes: u64, jar: &Rc<RefCell<Jar>>) -> Box<dyn Client> {
        match self {
            Speech::Grpc => Box::new(GrpcClient::new(max_body_bytes as usize)),
            Speech::Socket => Box::new(SocketClient::new(max_body_bytes as usize)),
            Speech::Mqtt(speech) => Box::new(MqttClient::new(speech, max_body_bytes as usize)),
            Speech::Websocket(speech) => Box::new(WebSocketClient::new(speech, max_body_bytes as usize, jar.clone())),
        }
    }
}

impl Asked {
    /// Where it says itself whom it asks.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Asked::Grpc(request) => Some(&request.place),
            Asked::Socket(request) => Some(&request.place),
            Asked::Mqtt(request) => Some(&request.place),
            Asked::Websocket(request) => request.target.as_ref().map(|target| &target.place),
        }
    }

    /// How many channels its users share, if they do.
    pub fn channels(&self) -> Option<u32> {
        match self {
            Asked::Grpc(request) => request.channels,
            _ => None,
        }
    }

    pub fn timeout_s(&self) -> f64 {
        match self {
            Asked::Grpc(request) => request.timeout_s,
            Asked::Socket(request) => request.timeout_s,
            Asked::Mqtt(request) => request.timeout_s,
            Asked::Websocket(request) => request.timeout_s,
        }
    }

    /// As it is shown where the hit failed.
    pub fn shown(&self) -> Shown<'_> {
        match self {
            Asked::Grpc(request) => request.shown(),
            Asked::Socket(request) => request.shown(),
            Asked::Mqtt(request) => request.shown(),
            Asked::Websocket(request) => request.shown(),
        }
    }

    /// With what differs per hit. None: Python has to make it.
    pub fn filled(&self, filling: Filling) -> Result<Option<Self>, Failure> {
        Ok(Some(match self {
            Asked::Grpc(request) => return Ok(request.filled(filling).map(|made| Asked::Grpc(Arc::new(made)))),
            Asked::Socket(request) => Asked::Socket(Arc::new(request.filled(filling)?)),
            Asked::Mqtt(request) => Asked::Mqtt(Arc::new(request.filled(filling)?)),
            Asked::Websocket(request) => Asked::Websocket(Arc::new(request.filled(filling)?)),
        }))
    }

    /// One that Python made, with what it shares with others of its step.
    pub fn like(self, other: &Asked) -> Self {
        match (self, other) {
            (Asked::Grpc(made), Asked::Grpc(other)) => Asked::Grpc(made.like(other)),
            (made, _) => made,
        }
    }
}

/// A request of another protocol.
pub fn foreign() -> Failure {
    Failure::new(Outcome::Engine, "the step speaks another protocol than its user")
}
