//! One protocol each: bytes of a connection in, what it answers out.

pub mod grpc;
pub mod mqtt;
pub mod plain;
pub mod websocket;

use std::io;

/// The server's end of one connection.
pub trait Peer {
    /// Appends to `out` what is to be sent; how many messages that answers. Err: the connection is over.
    fn received(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<u64>;
}

pub fn broken(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// What came and is no whole message yet.
#[derive(Default)]
pub struct Tail(Vec<u8>);

impl Tail {
    /// Gives `take` all that is there, until it takes no more; what is left waits for the next bytes.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8]) -> io::Result<Option<usize>>) -> io::Result<()> {
        let joined = !self.0.is_empty();
        if joined {
            self.0.extend_from_slice(bytes);
        }
        let all = if joined { &self.0[..] } else { bytes };
        let mut done = 0;
        while let Some(count) = take(&all[done..])? {
            done += count;
        }
        if joined {
            self.0.drain(..done);
        } else {
            self.0.extend_from_slice(&bytes[done..]);
        }
        Ok(())
    }
}

/// What a peer answers and counts, whether its bytes come at once or one by one.
#[cfg(test)]
pub fn both_ways<P: Peer>(make: impl Fn() -> P, bytes: &[u8]) -> (Vec<u8>, u64) {
    let (mut whole, mut single) = (make(), make());
    let (mut out, mut out_single) = (Vec::new(), Vec::new());
    let count = whole.received(bytes, &mut out).unwrap();
    let one_by_one: u64 = bytes.chunks(1).map(|byte| single.received(byte, &mut out_single).unwrap()).sum();
    assert_eq!((&out, count), (&out_single, one_by_one));
    (out, count)
}
