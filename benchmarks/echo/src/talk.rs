//! The bare loops: users that send a message and wait for the same one, by epoll, with nothing recorded.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};

pub const MESSAGE: &[u8] = b"hello, hello";
const EVENTS: usize = 1024;
/// How often the clock is looked at: a loop that makes a hundred thousand exchanges a second need not do so for each.
const UNTIL_CLOCK: u64 = 64;

/// What both kinds of sockets can do.
trait Line {
    fn say(&mut self, bytes: &[u8]) -> io::Result<usize>;
    fn hear(&mut self, block: &mut [u8]) -> io::Result<usize>;
}

impl Line for TcpStream {
    fn say(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn hear(&mut self, block: &mut [u8]) -> io::Result<usize> {
        self.read(block)
    }
}

impl Line for UdpSocket {
    fn say(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn hear(&mut self, block: &mut [u8]) -> io::Result<usize> {
        self.recv(block)
    }
}

/// Exchanges until `time` is over.
pub fn over_tcp(to: SocketAddr, users: usize, time: Duration) -> io::Result<u64> {
    let poll = Poll::new()?;
    let mut lines = Vec::new();
    for at in 0..users {
        let stream = std::net::TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
        lines.push(stream);
    }
    exchange(poll, lines, time)
}

/// Exchanges until `time` is over.
pub fn over_udp(to: SocketAddr, users: usize, time: Duration) -> io::Result<u64> {
    let poll = Poll::new()?;
    let mut lines = Vec::new();
    for at in 0..users {
        let mut socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        socket.connect(to)?;
        poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
        lines.push(socket);
    }
    exchange(poll, lines, time)
}

fn exchange<L: Line>(mut poll: Poll, mut lines: Vec<L>, time: Duration) -> io::Result<u64> {
    let end = Instant::now() + time;
    let (mut events, mut block, mut had) = (Events::with_capacity(EVENTS), vec![0; 64 * 1024], vec![0; lines.len()]);
    let (mut done, mut rounds) = (0u64, 0u64);
    for line in &mut lines {
        line.say(MESSAGE)?;
    }
    loop {
        rounds += 1;
        if rounds % UNTIL_CLOCK == 0 && Instant::now() >= end {
            return Ok(done);
        }
        match poll.poll(&mut events, Some(Duration::from_millis(100))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        if events.is_empty() && Instant::now() >= end {
            return Ok(done);
        }
        for event in &events {
            let Token(at) = event.token();
            match lines[at].hear(&mut block) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    if block[..count] != MESSAGE[had[at]..had[at] + count] {
                        return Err(io::Error::new(ErrorKind::InvalidData, "not what was sent"));
                    }
                    had[at] += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            if had[at] == MESSAGE.len() {
                had[at] = 0;
                done += 1;
                lines[at].say(MESSAGE)?; // so few bytes always have room
            }
        }
    }
}
