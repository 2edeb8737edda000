//! One connection of one user: connect, TLS, write, read; nothing of it ever waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use rustls::ClientConnection;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::http::http2::Session;
use crate::http::reading::Reader;
use crate::http::turn::MOST_TLS_BYTES;
use crate::plan::outcome::{Failure, Outcome};

/// Reads of a TLS connection that may give nothing of the answer (tickets, empty records), in one go.
const RECORDS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Connecting,
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
    pub fn open(address: SocketAddr, origin: usize, serial: u32, tls: Option<Box<ClientConnection>>, http2: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&SockAddr::from(address)) {
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
            session: http2.then(Box::default),
            beside: 0,
            stream: socket.into(),
            tls,
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
                self.phase = if self.tls.is_some() { Phase::Handshake } else { Phase::Sending };
                Ok(())
            }
        }
    }

    /// As far as the handshake goes now; Ok: it is done.
    pub fn shake_hands(&mut self) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
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
