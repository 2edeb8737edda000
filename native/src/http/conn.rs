//! One connection of one user: connect, TLS, write, read; nothing of it ever waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use rustls::ClientConnection;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::http::http2::Session;
use crate::http::proxy::{self, Tunnel};
use crate::http::reading::Reader;
use crate::http::turn::MOST_TLS_BYTES;
use crate::os::socket::choose_port_late;
use crate::plan::host::Proxy;
use crate::plan::outcome::{Failure, Outcome};

/// Reads of a TLS connection that may give nothing of the answer (tickets, empty records), in one go.
const RECORDS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Connecting,
    /// A proxy is asked for a tunnel.
    Tunnel,
    Handshake,
    Sending,
    Receiving,
    Idle,
}

pub struct Conn {
    /// Which of the loop's origins it leads to.
    pub origin: usize,
    /// Tells the events of this connection from those of an earlier one of the same user.
    pub serial: u32,
    pub phase: Phase,
    pub reader: Reader,
    /// Bytes of the request that are written, and of the answer that came.
    pub sent: usize,
    pub received: u64,
    /// The peer will send no more.
    pub ended: bool,
    /// What it speaks, where that is HTTP/2.
    pub session: Option<Box<Session>>,
    /// Bytes of TLS since the last one of an answer: tickets, empty records, new keys.
    beside: u64,
    stream: TcpStream,
    pub tls: Option<Box<ClientConnection>>,
    /// At its other end, or on the way to it.
    pub proxy: Option<Rc<Proxy>>,
    tunnel: Option<Box<Tunnel>>,
    /// What came by the tunnel with the proxy's answer.
    early: Vec<u8>,
    /// The request as it is sent, where that is another one for a proxy.
    pub own: Vec<u8>,
}

/// What a connection is made of. `from`: the address that it comes from.
pub struct Way {
    pub to: SocketAddr,
    pub from: Option<IpAddr>,
    pub tls: Option<Box<ClientConnection>>,
    pub http2: bool,
    pub proxy: Option<Rc<Proxy>>,
}

/// Of a read or a write that could not go on.
#[derive(Debug)]
pub enum Trouble {
    /// Not now; the event loop will say when.
    Later,
    /// There is more to read, and nothing of the answer came of much that was read.
    Busy,
    /// TLS that says nothing, and no end of it.
    Endless,
    Io(io::Error),
    Tls(rustls::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::WouldBlock { Trouble::Later } else { Trouble::Io(error) }
    }
}

/// How far a connection got.
pub enum Got {
    /// It waits for the network.
    Nothing,
    /// There may be more to read now, when others have had their turn.
    More,
    /// The answer is whole; `block` held the last of it.
    Answer,
    Failed(Failure),
    /// As `Failed`, with an answer of which the head is whole.
    TooLarge,
    /// As `Failed`, and the connection lives on.
    Refused(Failure),
    /// As `Failed`, but the server did not look at the request.
    Unseen(Failure),
}

const ENDLESS_TLS: &str = "over 262,144 bytes of TLS that hold nothing of an answer, and no end";

pub fn broken(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Tls(error) => Failure::new(Outcome::Tls, error.to_string()),
        Trouble::Endless => Failure::new(Outcome::Tls, ENDLESS_TLS),
        Trouble::Later | Trouble::Busy => Failure::new(Outcome::Engine, "a wait was taken for a failure"),
        Trouble::Io(error) => {
            let outcome = match error.raw_os_error() {
                Some(libc::ECONNREFUSED) => Outcome::Connect,
                Some(libc::ETIMEDOUT) => Outcome::Timeout,
                Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNABORTED) | None => Outcome::Closed,
                Some(_) => Outcome::Connect,
            };
            Failure::new(outcome, words(&error))
        }
    }
}

/// As the other HTTP users write an error of the system.
pub fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let kind = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => "ConnectionRefusedError",
        Some(libc::ECONNRESET) => "ConnectionResetError",
        Some(libc::EPIPE) => "BrokenPipeError",
        Some(libc::ETIMEDOUT) => "TimeoutError",
        _ => "OSError",
    };
    format!("{kind}: {text}")
}

impl Conn {
    /// Starts to connect; `events` will say how it went.
    pub fn open(way: Way, origin: usize, serial: u32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(way.to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = way.from {
            // the port is chosen when it connects: else an address would have no more of them than for one peer
            choose_port_late(socket.as_raw_fd())?;
            socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
        }
        match socket.connect(&SockAddr::from(way.to)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Conn {
            origin,
            serial,
            phase: Phase::Connecting,
            reader: Reader::default(),
            sent: 0,
            received: 0,
            ended: false,
            session: way.http2.then(Box::default),
            beside: 0,
            stream: socket.into(),
            tls: way.tls,
            tunnel: way.proxy.as_ref().filter(|proxy| !proxy.connect.is_empty()).map(|_| Box::new(Tunnel::new())),
            proxy: way.proxy,
            early: Vec::new(),
            own: Vec::new(),
        })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Once it is writable: Err where there is no connection after all.
    pub fn connected(&mut self) -> io::Result<()> {
        match self.stream.take_error()? {
            Some(error) => Err(error),
            None => {
                self.phase = if self.tunnel.is_some() { Phase::Tunnel } else { self.behind_the_way() };
                Ok(())
            }
        }
    }

    fn behind_the_way(&self) -> Phase {
        if self.tls.is_some() { Phase::Handshake } else { Phase::Sending }
    }

    /// As far as a tunnel is made now; Ok(true): it is there, or none is wanted.
    pub fn dig(&mut self, block: &mut [u8]) -> Result<bool, Failure> {
        let (Some(tunnel), Some(proxy)) = (&mut self.tunnel, &self.proxy) else { return Ok(true) };
        let broken = |error: io::Error| proxy::trouble(proxy, &words(&error));
        while tunnel.sent < proxy.connect.len() {
            match self.stream.write(&proxy.connect[tunnel.sent..]) {
                Ok(count) => tunnel.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(broken(error)),
            }
        }
        loop {
            let count = match self.stream.read(block) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(broken(error)),
            };
            if let Some(behind) = tunnel.feed(&block[..count], proxy)? {
                self.early.extend_from_slice(&block[count - behind..count]);
                break;
            }
        }
        self.tunnel = None;
        self.phase = self.behind_the_way();
        if let Some(session) = self.session.as_mut().filter(|_| self.tls.is_none()) {
            session.feed(&std::mem::take(&mut self.early));
        }
        Ok(true)
    }

    /// Whether it asks the proxy at its other end for whole URLs.
    pub fn speaks_to_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|proxy| proxy.connect.is_empty())
    }

    /// As far as the handshake goes now; Ok: it is done.
    pub fn shake_hands(&mut self) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let early = std::mem::take(&mut self.early);
        let mut left = early.as_slice();
        while !left.is_empty() {
            tls.read_tls(&mut left)?;
            tls.process_new_packets().map_err(Trouble::Tls)?;
        }
        while tls.is_handshaking() {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if !tls.is_handshaking() {
                break;
            }
            let count = tls.read_tls(&mut self.stream)?;
            if count == 0 {
                return Err(Trouble::Io(io::Error::new(ErrorKind::UnexpectedEof, "the connection was closed within the TLS handshake")));
            }
            self.beside += count as u64;
            if self.beside > MOST_TLS_BYTES {
                return Err(Trouble::Endless);
            }
            if let Err(error) = tls.process_new_packets() {
                let _ = tls.write_tls(&mut self.stream); // the alert that says why to the peer
                return Err(Trouble::Tls(error));
            }
        }
        self.phase = Phase::Sending;
        Ok(())
    }

    /// Writes what is left of `bytes`; Ok: all of it is on its way.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else {
            while self.sent < bytes.len() {
                self.sent += self.stream.write(&bytes[self.sent..])?;
            }
            return Ok(());
        };
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if self.sent == bytes.len() {
                return Ok(());
            }
            // rustls takes no more than its buffer holds
            self.sent += tls.writer().write(&bytes[self.sent..])?;
        }
    }

    /// The next bytes of the answer; 0 at its end.
    pub fn read(&mut self, block: &mut [u8]) -> Result<usize, Trouble> {
        let Some(tls) = &mut self.tls else { return Ok(self.stream.read(block)?) };
        for _ in 0..RECORDS {
            match tls.reader().read(block) {
                Ok(count) => {
                    self.beside = 0;
                    return Ok(count);
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0), // closed without a TLS goodbye
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(Trouble::Io(error)),
                Err(_) => {}
            }
            self.beside += tls.read_tls(&mut self.stream)? as u64;
            if self.beside > MOST_TLS_BYTES {
                return Err(Trouble::Endless);
            }
            if let Err(error) = tls.process_new_packets() {
                return Err(Trouble::Tls(error));
            }
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
        }
        Err(Trouble::Busy)
    }

    /// Whether a short read means that nothing more is there now: then no read is needed to find that out.
    pub fn short_read_is_all(&self) -> bool {
        self.tls.is_none() && !self.ended
    }
}
