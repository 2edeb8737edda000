//! The connections of a user's client: their sockets, TLS, and what is on its way.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use crate::os::datagrams::Datagrams;
use crate::os::wire::{Trouble, Wire};
use crate::plan::outcome::Failure;
use crate::protocols::{Client, Link};

/// What a user speaks, which of the plan's speeches that is, and the connections of it.
pub struct Talk {
    pub speech: usize,
    pub client: Box<dyn Client>,
    pub links: Vec<Box<Connection>>,
    /// When a timer asks the client what is due.
    pub alarm_ns: Option<i64>,
    /// As many of the client's hits are among those in flight.
    pub awaited: u32,
}

pub struct Connection {
    pub link: Link,
    pub origin: usize,
    pub udp: bool,
    pub phase: Phase,
    /// Where the name leads, those not tried yet.
    pub addresses: Vec<SocketAddr>,
    pub socket: Option<Socket>,
    /// What is not on its way yet; `is_sending`: there is something, though it may be an empty datagram.
    unsent: Vec<u8>,
    sent: usize,
    is_sending: bool,
    /// Why nothing can be sent any more: the peer may have said before why.
    pub deaf: Option<Failure>,
    pub tells_sent: bool,
    pub listens: bool,
    /// The client has not looked at all that it was given.
    pub again: bool,
    /// There may be something to read.
    pub readable: bool,
    /// The peer will send no more.
    pub hung_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    /// It waits for the addresses of a name.
    Naming,
    Connecting,
    Handshake,
    Open,
}

pub enum Socket {
    Stream(Wire),
    Datagrams(Datagrams),
}

impl Socket {
    pub fn fd(&self) -> RawFd {
        match self {
            Socket::Stream(wire) => wire.fd(),
            Socket::Datagrams(socket) => socket.fd(),
        }
    }
}

impl Talk {
    pub fn new(speech: usize, client: Box<dyn Client>) -> Self {
        Talk { speech, client, links: Vec::new(), alarm_ns: None, awaited: 0 }
    }

    pub fn has(&self, link: Link) -> bool {
        self.links.iter().any(|one| one.link == link)
    }

    pub fn of(&mut self, link: Link) -> Option<&mut Connection> {
        self.links.iter_mut().find(|one| one.link == link).map(|one| &mut **one)
    }

    /// Whether it was there.
    pub fn drop_link(&mut self, link: Link) -> bool {
        let before = self.links.len();
        self.links.retain(|one| one.link != link);
        self.links.len() < before
    }
}

impl Connection {
    pub fn new(link: Link, origin: usize, udp: bool) -> Self {
        Connection {
            link,
            origin,
            udp,
            phase: Phase::Naming,
            addresses: Vec::new(),
            socket: None,
            unsent: Vec::new(),
            sent: 0,
            is_sending: false,
            deaf: None,
            tells_sent: false,
            listens: false,
            again: false,
            readable: false,
            hung_up: false,
        }
    }

    pub fn is_sending(&self) -> bool {
        self.is_sending
    }

    /// Sends as much as goes now; the rest goes when the socket takes it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        if self.is_sending {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let mut sent = 0;
        let done = match &mut self.socket {
            Some(Socket::Stream(wire)) => wire.write(bytes, &mut sent),
            Some(Socket::Datagrams(socket)) => socket.send(bytes),
            None => Ok(()),
        };
        match done {
            Err(Trouble::Later) => {
                self.unsent.extend_from_slice(&bytes[sent..]);
                self.is_sending = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Sends more of what waits.
    pub fn flush(&mut self) -> Result<(), Trouble> {
        if !self.is_sending {
            return Ok(());
        }
        let done = match &mut self.socket {
            Some(Socket::Stream(wire)) => wire.write(&self.unsent, &mut self.sent),
            Some(Socket::Datagrams(socket)) => socket.send(&self.unsent),
            None => Ok(()),
        };
        if matches!(done, Err(Trouble::Later)) {
            return Ok(());
        }
        (self.unsent, self.sent, self.is_sending) = (Vec::new(), 0, false);
        done
    }

    /// What came next; None: no more will.
    pub fn read(&mut self, block: &mut [u8]) -> Result<Option<usize>, Trouble> {
        match &mut self.socket {
            Some(Socket::Stream(wire)) => {
                let count = wire.read(block)?;
                self.readable = wire.tls.is_some() || self.hung_up || count == block.len();
                Ok(Some(count).filter(|count| *count > 0))
            }
            Some(Socket::Datagrams(socket)) => Ok(Some(socket.receive(block)?)),
            None => Ok(None),
        }
    }
}
