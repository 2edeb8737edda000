//! What a client wants done, in its order.

use std::collections::VecDeque;
use std::ops::Range;

use crate::http::reading::Field;
use crate::plan::Place;
use crate::plan::outcome::Failure;
use crate::protocols::Link;
use crate::protocols::grpc::told::Told;

#[derive(Debug, PartialEq)]
pub enum Order {
    Open {
        link: Link,
        place: Place,
        udp: bool,
    },
    /// Places in `Orders::bytes`; of UDP a datagram.
    Send(Link, Range<usize>),
    TellSent(Link),
    Listen(Link, bool),
    Again(Link),
    Close(Link),
    /// Of this user's hit.
    End(u32, Result<Reply, Lost>),
    Observed(Observed),
}

/// A message that came back. `data` None: nothing was asked for. Sizes in bytes, without what the protocol puts around a message.
#[derive(Debug, Default, PartialEq)]
pub struct Reply {
    pub data: Option<Vec<u8>>,
    pub sent: u64,
    pub received: u64,
    /// 0: there is none.
    pub status: u16,
    pub beside: Option<Box<Beside>>,
    pub said: Option<Box<Said>>,
}

/// What a message says of itself, by name, and what else its protocol shows of it.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub fields: Vec<(String, String)>,
    pub about: String,
}

/// Of a protocol with statuses and header fields of its own.
#[derive(Debug, PartialEq)]
pub struct Beside {
    /// What the peer says to the status.
    pub reason: String,
    pub fields: Fields,
    /// What the status means, unless the step expects it.
    pub refusal: Option<Failure>,
    /// Messages that become text when they are looked at.
    pub told: Told,
}

/// Pairs of a name and a value, as places in their bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Fields {
    pub bytes: Vec<u8>,
    pub places: Vec<Field>,
}

impl Fields {
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let begin = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name.as_bytes());
        let between = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.places.push(Field { name: begin..between, value: between..self.bytes.len() as u32 });
    }
}

/// Why there is none; or one that is not as it should be.
#[derive(Debug, PartialEq)]
pub struct Lost {
    pub failure: Failure,
    pub reply: Option<Reply>,
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Lost { failure, reply: None }
    }
}

/// A hit that no step waited for. `user`: whose it is, by his number; None: it is of the user whose client this is.
#[derive(Debug, PartialEq)]
pub struct Observed {
    pub user: Option<u32>,
    pub method: &'static str,
    pub name: String,
    pub start_ns: i64,
    pub received: u64,
    pub failure: Option<Failure>,
}

/// Whose hit it is: his place among the users of the loop, and his number among all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Caller {
    pub user: u32,
    pub number: u32,
}

#[derive(Default)]
pub struct Orders {
    /// Who speaks: whose client this is, or one of those who share it.
    pub caller: Caller,
    /// Since the run's start.
    pub now_ns: i64,
    /// When the run started, in Unix time.
    began_s: i64,
    pub last_link: Link,
    list: VecDeque<Order>,
    bytes: Vec<u8>,
}

impl Orders {
    pub fn of_run(began_s: i64) -> Self {
        Orders { began_s, ..Orders::default() }
    }

    /// The time that cookies go by.
    pub fn unix_s(&self) -> i64 {
        self.began_s + self.now_ns / 1_000_000_000
    }

    /// A connection to a place; `connected` or `ended` follows.
    pub fn open(&mut self, place: Place, udp: bool) -> Link {
        self.last_link = self.last_link.wrapping_add(1);
        self.list.push_back(Order::Open { link: self.last_link, place, udp });
        self.last_link
    }

    pub fn send(&mut self, link: Link, bytes: &[u8]) {
        self.write(link, |out| out.extend_from_slice(bytes));
    }

    /// Sends what is written to the end of the given bytes.
    pub fn write(&mut self, link: Link, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.list.push_back(Order::Send(link, start..self.bytes.len()));
    }

    /// Says when all is on its way that was sent so far.
    pub fn tell_sent(&mut self, link: Link) {
        self.list.push_back(Order::TellSent(link));
    }

    /// Whether what comes is read; on a new connection it is not.
    pub fn listen(&mut self, link: Link, on: bool) {
        self.list.push_back(Order::Listen(link, on));
    }

    /// There is more in what came than the client has looked at: `go_on` follows when the user has gone on, and nothing is read before.
    pub fn again(&mut self, link: Link) {
        self.list.push_back(Order::Again(link));
    }

    /// After what was sent, as far as that goes without waiting.
    pub fn close(&mut self, link: Link) {
        self.list.push_back(Order::Close(link));
    }

    pub fn end(&mut self, result: Result<Reply, impl Into<Lost>>) {
        self.end_of(self.caller.user, result);
    }

    /// As `end`, where many users share a client.
    pub fn end_of(&mut self, user: u32, result: Result<Reply, impl Into<Lost>>) {
        self.list.push_back(Order::End(user, result.map_err(Into::into)));
    }

    pub fn observed(&mut self, observed: Observed) {
        self.list.push_back(Order::Observed(observed));
    }

    pub fn take(&mut self) -> Option<Order> {
        let next = self.list.pop_front();
        if next.is_none() {
            self.bytes.clear();
            self.bytes.shrink_to(65_536);
        }
        next
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}
