//! A connection's socket, and TLS on it where there is: connect, shake hands, write, read; nothing of it ever waits.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use rustls::ClientConnection;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::os::socket::choose_port_late;
use crate::os::turn::MOST_TLS_BYTES;

/// Reads of a TLS connection that may give nothing of what was sent in it (tickets, empty records), in one go.
const RECORDS: usize = 16;

pub struct Wire {
    stream: TcpStream,
    pub tls: Option<Box<ClientConnection>>,
    /// Bytes of TLS since the last one of what was sent in it: tickets, empty records, new keys.
    beside: u64,
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

/// As the users of Locust write an error of the system.
pub fn words(error: &io::Error) -> String {
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

impl Wire {
    /// Starts to connect, from an address if one is given; the poller's events will say how it went.
    pub fn open(address: SocketAddr, from: Option<IpAddr>, tls: Option<Box<ClientConnection>>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(from) = from {
            // the port is chosen when it connects: else an address would have no more of them than for one peer
            choose_port_late(socket.as_raw_fd())?;
            socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
        }
        match socket.connect(&SockAddr::from(address)) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Wire { stream: socket.into(), tls, beside: 0 })
    }

    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Once it is writable: Err where there is no connection after all.
    pub fn connected(&mut self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)
    }

    /// Writes before there is TLS; how many bytes are on their way.
    pub fn write_below(&mut self, bytes: &[u8]) -> Result<usize, Trouble> {
        Ok(self.stream.write(bytes)?)
    }

    /// Reads before there is TLS; 0 at the end.
    pub fn read_below(&mut self, block: &mut [u8]) -> Result<usize, Trouble> {
        Ok(self.stream.read(block)?)
    }

    /// Bytes of TLS that were read before it began.
    pub fn take_early(&mut self, mut early: &[u8]) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while !early.is_empty() {
            tls.read_tls(&mut early)?;
            tls.process_new_packets().map_err(Trouble::Tls)?;
        }
        Ok(())
    }

    /// As far as the handshake goes now; Ok: it is done, or there is none.
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
        Ok(())
    }

    /// Writes what is left of `bytes` behind the first `sent`, which it moves on; Ok: all of it is on its way.
    pub fn write(&mut self, bytes: &[u8], sent: &mut usize) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else {
            while *sent < bytes.len() {
                *sent += self.stream.write(&bytes[*sent..])?;
            }
            return Ok(());
        };
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if *sent == bytes.len() {
                return Ok(());
            }
            // rustls takes no more than its buffer holds
            *sent += tls.writer().write(&bytes[*sent..])?;
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
}
