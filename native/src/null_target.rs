//! A server that gives every request the same small answer: what is measured against it is the generator alone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use crate::os::socket::{ENDED, Poller, Ready};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const HEAD_END: &[u8; 4] = b"\r\n\r\n";
const MOST_READY: usize = 256;
const READ_BYTES: usize = 16 * 1024;

/// Answers requests without a body on one thread, until the other end of `lifeline` is closed: nothing is left of it when the process that
/// asked for it is gone.
pub fn serve(listener: &TcpListener, lifeline: &impl AsRawFd) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let (door, line) = (listener.as_raw_fd(), lifeline.as_raw_fd());
    let mut poller = Poller::new()?;
    poller.add(door, door as u64)?;
    poller.add(line, line as u64)?;
    let mut peers: Vec<Option<Peer>> = Vec::new(); // by descriptor: small numbers, which the system gives out again
    let mut ready = vec![Ready { events: 0, u64: 0 }; MOST_READY];
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = poller.wait(&mut ready, None)?;
        for event in &ready[..count] {
            let (events, fd) = (event.events, event.u64 as RawFd);
            if fd == door {
                welcome(listener, &poller, &mut peers)?;
            } else if fd == line {
                if events & ENDED != 0 {
                    return Ok(());
                }
            } else if let Some(peer) = &mut peers[fd as usize]
                && peer.answer(&mut buffer, events & ENDED != 0).is_err()
            {
                peers[fd as usize] = None;
            }
        }
    }
}

fn welcome(listener: &TcpListener, poller: &Poller, peers: &mut Vec<Option<Peer>>) -> io::Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let fd = stream.as_raw_fd();
                poller.add(fd, fd as u64)?;
                if peers.len() <= fd as usize {
                    peers.resize_with(fd as usize + 1, || None);
                }
                peers[fd as usize] = Some(Peer { stream, matched: 0 });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(error) => return Err(error),
        }
    }
}

struct Peer {
    stream: TcpStream,
    /// how many bytes of HEAD_END the last bytes were
    matched: usize,
}

impl Peer {
    /// Err: the connection is over. Also where answers find no room: who sends and never reads is not a generator.
    /// `last`: nothing will follow what can be read now, so no event will report the end.
    fn answer(&mut self, buffer: &mut [u8], last: bool) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    for _ in 0..self.heads(&buffer[..count]) {
                        self.stream.write_all(ANSWER)?;
                    }
                    if count < buffer.len() && !last {
                        return Ok(()); // all was read: more is an event of its own
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How many request heads end in `data`, whatever pieces they come in.
    fn heads(&mut self, data: &[u8]) -> usize {
        let mut ended = 0;
        for &byte in data {
            self.matched = if byte == HEAD_END[self.matched] { self.matched + 1 } else { usize::from(byte == b'\r') };
            if self.matched == HEAD_END.len() {
                ended += 1;
                self.matched = 0;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::thread;

    #[test]
    fn every_request_is_answered_in_whatever_pieces_it_comes_until_the_lifeline_is_cut() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(&listener, &theirs));
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nX: \r\r\n\r\n";
        let mut client = TcpStream::connect(address).unwrap();
        client.set_nodelay(true).unwrap();
        let mut answer = vec![0; ANSWER.len()];
        for byte in request {
            client.write_all(&[*byte]).unwrap();
        }
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, ANSWER);
        client.write_all(&[&request[..], request, b"GET"].concat()).unwrap();
        let mut both = vec![0; 2 * ANSWER.len()];
        client.read_exact(&mut both).unwrap();
        assert_eq!(both, [ANSWER, ANSWER].concat());
        client.write_all(&request[3..]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, ANSWER);
        let mut other = TcpStream::connect(address).unwrap();
        other.write_all(request).unwrap();
        other.read_exact(&mut answer).unwrap();
        drop(ours);
        server.join().unwrap().unwrap();
    }
}
