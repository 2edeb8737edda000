//! Between the network and the `h2` crate: bytes in, bytes out, and the note that something moved.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::tally::{PREFACE_BYTES, Tally};

/// Of what is to be written, this much waits here; more waits in the crate, which asks again.
const MOST_UNSENT_BYTES: usize = 64 * 1024;

/// Notes that there is more to do.
#[derive(Default)]
pub struct Moved(AtomicBool);

impl Moved {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Moved {
    fn wake(self: Arc<Self>) {
        self.set();
    }
}

/// Bytes between the network and the crate.
pub struct Pipe {
    inbound: Vec<u8>,
    taken: usize,
    /// The peer will send no more.
    pub ended: bool,
    pub outbound: Vec<u8>,
    /// Whether there was more to be written than fits.
    pub was_full: bool,
    /// How the peer began: enough to know HTTP/1.
    first: Vec<u8>,
    /// Whose bytes came and went; None: nobody asks.
    pub tallies: Option<Tallies>,
}

pub struct Tallies {
    pub inbound: Tally,
    pub outbound: Tally,
}

impl Pipe {
    /// `counts`: whose bytes come and go is to be known.
    pub fn new(counts: bool) -> Self {
        let tallies = counts.then(|| Tallies { inbound: Tally::default(), outbound: Tally::behind(PREFACE_BYTES) });
        Pipe { inbound: Vec::new(), taken: 0, ended: false, outbound: Vec::new(), was_full: false, first: Vec::new(), tallies }
    }

    pub fn feed(&mut self, block: &[u8]) {
        if let Some(tallies) = &mut self.tallies {
            tallies.inbound.feed(block);
        }
        let begin = b"HTTP/1.";
        if self.first.len() < begin.len() {
            self.first.extend_from_slice(&block[..block.len().min(begin.len() - self.first.len())]);
        }
        if self.taken == self.inbound.len() {
            self.inbound.clear();
            self.taken = 0;
        }
        self.inbound.extend_from_slice(block);
    }

    pub fn has_heard(&self) -> bool {
        !self.first.is_empty()
    }

    pub fn looks_like_1(&self) -> bool {
        self.first == b"HTTP/1."
    }
}

/// The crate's end of the pipe.
pub struct End(pub Rc<RefCell<Pipe>>);

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context, out: &mut ReadBuf) -> Poll<io::Result<()>> {
        let pipe = &mut *self.0.borrow_mut();
        let there = &pipe.inbound[pipe.taken..];
        if there.is_empty() && !pipe.ended {
            return Poll::Pending; // polled again when there is more
        }
        let part = &there[..there.len().min(out.remaining())];
        out.put_slice(part);
        pipe.taken += part.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.outbound.len() >= MOST_UNSENT_BYTES {
            pipe.was_full = true;
            return Poll::Pending; // polled again when some of it is written
        }
        pipe.outbound.extend_from_slice(bytes);
        if let Some(tallies) = &mut pipe.tallies {
            tallies.outbound.feed(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
