//! One thread that answers what its connections ask, and counts that.

use std::collections::VecDeque;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};

use crate::peers::Peer;

static ANSWERED: AtomicU64 = AtomicU64::new(0);
const DOOR: Token = Token(usize::MAX);
const EVENTS: usize = 1024;
const BLOCK_BYTES: usize = 64 * 1024;

/// Says for each line on stdin how much has been answered so far; the process ends with stdin.
pub fn tell_on_demand() {
    thread::spawn(|| {
        for line in io::stdin().lock().lines() {
            if line.is_err() || writeln!(io::stdout(), "{}", ANSWERED.load(Ordering::Relaxed)).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
}

/// Datagrams, each of which goes back to where it came from.
pub fn datagrams() -> io::Result<()> {
    let mut socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("{}", socket.local_addr()?.port());
    let mut poll = Poll::new()?;
    poll.registry().register(&mut socket, DOOR, Interest::READABLE)?;
    let (mut events, mut block) = (Events::with_capacity(1), vec![0; BLOCK_BYTES]);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            done => done?,
        }
        loop {
            match socket.recv_from(&mut block) {
                Ok((count, peer)) => {
                    if socket.send_to(&block[..count], peer).is_ok() {
                        ANSWERED.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {} // a client that is gone
            }
        }
    }
}

/// Connections, each with a peer of its own. `delay`: from a question to its answer.
pub fn streams<P: Peer>(make: impl Fn() -> P, delay: Duration) -> io::Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    println!("{}", listener.local_addr()?.port());
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, DOOR, Interest::READABLE)?;
    let mut served: Vec<Option<Served<P>>> = Vec::new();
    let mut late: VecDeque<(Instant, usize, u64, Vec<u8>)> = VecDeque::new();
    let (mut events, mut block, mut out) = (Events::with_capacity(EVENTS), vec![0; BLOCK_BYTES], Vec::new());
    loop {
        let wait = late.front().map(|(due, ..)| due.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            done => done?,
        }
        while late.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            if let Some((_, at, count, bytes)) = late.pop_front()
                && let Some(one) = &mut served[at]
                && one.send(&bytes).is_ok()
            {
                ANSWERED.fetch_add(count, Ordering::Relaxed);
            }
        }
        for event in &events {
            if event.token() == DOOR {
                welcome(&listener, &poll, &mut served, &make)?;
                continue;
            }
            let Token(at) = event.token();
            let Some(one) = &mut served[at] else { continue };
            out.clear();
            let got = one.attend(event.is_readable(), &mut block, &mut out);
            let done = got.and_then(|count| {
                if delay.is_zero() {
                    one.send(&out)?;
                    ANSWERED.fetch_add(count, Ordering::Relaxed);
                } else if !out.is_empty() {
                    late.push_back((Instant::now() + delay, at, count, std::mem::take(&mut out)));
                }
                Ok(())
            });
            // a place is never given away again: what is late for one who is gone must not reach another
            if done.is_err() {
                served[at] = None;
            }
        }
    }
}

fn welcome<P: Peer>(listener: &TcpListener, poll: &Poll, served: &mut Vec<Option<Served<P>>>, make: &impl Fn() -> P) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                poll.registry().register(&mut stream, Token(served.len()), Interest::READABLE | Interest::WRITABLE)?;
                served.push(Some(Served { stream, peer: make(), unsent: Vec::new() }));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(error) => return Err(error),
        }
    }
}

struct Served<P> {
    stream: TcpStream,
    peer: P,
    unsent: Vec<u8>,
}

impl<P: Peer> Served<P> {
    /// Reads what is there; how many messages are answered by what was added to `out`. Err: the connection is over.
    fn attend(&mut self, readable: bool, block: &mut [u8], out: &mut Vec<u8>) -> io::Result<u64> {
        if !self.unsent.is_empty() {
            let rest = std::mem::take(&mut self.unsent);
            self.send(&rest)?;
        }
        let mut answered = 0;
        if !readable {
            return Ok(answered);
        }
        loop {
            match self.stream.read(block) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    answered += self.peer.received(&block[..count], out)?;
                    if count < block.len() {
                        return Ok(answered); // all was read: more, or the end, is an event of its own
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let mut done = 0;
        while done < bytes.len() {
            match self.stream.write(&bytes[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(&bytes[done..]);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
