//! The `h2` crate's end of a connection, polled by hand: with a waker that only notes that something moved.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};

use super::pipe::{End, Moved, Pipe};
use crate::http::reading::MAX_HEAD_BYTES;

/// How much an answer may be ahead of us; curl and browsers allow as much or more.
pub const WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// The crate counts 256 bytes for each small frame that waits to be read; here no more can wait than came in one block of 64 KiB.
const FRAMES_BUDGET_BYTES: usize = 4 * 1024 * 1024;

type Opening = Pin<Box<dyn Future<Output = Result<(SendRequest<Bytes>, Connection<End, Bytes>), h2::Error>>>>;

pub enum State {
    Opening(Opening),
    Open(SendRequest<Bytes>, Box<Connection<End, Bytes>>),
    Over,
}

pub struct Driven {
    pub state: State,
    pipe: Rc<RefCell<Pipe>>,
    pub moved: Arc<Moved>,
    pub waker: Waker,
    /// Why the connection is over, as far as it is.
    pub broken: Option<h2::Error>,
}

impl Default for Driven {
    fn default() -> Self {
        Self::uncounted(usize::MAX)
    }
}

impl Driven {
    /// `most`: so many streams at once, until the peer says how many it takes. Whose bytes come and go is counted.
    pub fn new(most: usize) -> Self {
        Self::make(Pipe::new(true), most)
    }

    /// As `new`, and nobody asks whose bytes they are.
    pub fn uncounted(most: usize) -> Self {
        Self::make(Pipe::new(false), most)
    }

    fn make(pipe: Pipe, most: usize) -> Self {
        let pipe = Rc::new(RefCell::new(pipe));
        let moved = Arc::new(Moved::default());
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .data_frame_budget(FRAMES_BUDGET_BYTES)
            .initial_max_send_streams(most)
            // each is the failure of one hit
            .max_local_error_reset_streams(None)
            .max_header_list_size(MAX_HEAD_BYTES as u32);
        Driven {
            state: State::Opening(Box::pin(builder.handshake(End(pipe.clone())))),
            pipe,
            waker: moved.clone().into(),
            moved,
            broken: None,
        }
    }

    /// What the network gave.
    pub fn feed(&mut self, block: &[u8]) {
        self.pipe.borrow_mut().feed(block);
    }

    /// The peer will send no more. False: that was known.
    pub fn ended(&mut self) -> bool {
        !std::mem::replace(&mut self.pipe.borrow_mut().ended, true)
    }

    /// What is to be written; how many bytes of it `write` took away.
    pub fn unsent<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> (T, u64) {
        let pipe = &mut *self.pipe.borrow_mut();
        let before = pipe.outbound.len();
        let done = write(&mut pipe.outbound);
        (done, (before - pipe.outbound.len()) as u64)
    }

    /// Whether there is more to be written than the pipe took; asked when the pipe is empty.
    pub fn has_more(&mut self) -> bool {
        std::mem::take(&mut self.pipe.borrow_mut().was_full)
    }

    /// Nothing of what was written waits to be taken.
    pub fn is_flushed(&self) -> bool {
        self.pipe.borrow().outbound.is_empty()
    }

    pub fn looks_like_1(&self) -> bool {
        self.pipe.borrow().looks_like_1()
    }

    /// Whether the peer has said anything.
    pub fn has_heard(&self) -> bool {
        self.pipe.borrow().has_heard()
    }

    /// Whether the peer has said what it takes: its first frame has to be its settings.
    pub fn is_settled(&self) -> bool {
        self.pipe.borrow().tallies.as_ref().is_some_and(|tallies| tallies.inbound.has_frame)
    }

    /// Gives stream, bytes sent and bytes received since that was asked last, in pieces.
    pub fn take_tallies(&mut self, mut each: impl FnMut(u32, u64, u64)) {
        if let Some(tallies) = &mut self.pipe.borrow_mut().tallies {
            tallies.outbound.counts.drain(..).for_each(|(stream, count)| each(stream, count, 0));
            tallies.inbound.counts.drain(..).for_each(|(stream, count)| each(stream, 0, count));
        }
    }

    /// Lets the crate look at what came, and write what is due.
    pub fn poll(&mut self) {
        let mut context = Context::from_waker(&self.waker);
        if let State::Opening(opening) = &mut self.state {
            match opening.as_mut().poll(&mut context) {
                Poll::Pending => return,
                Poll::Ready(Ok((sender, connection))) => self.state = State::Open(sender, Box::new(connection)),
                Poll::Ready(Err(error)) => {
                    self.broken.get_or_insert(error);
                    self.state = State::Over;
                }
            }
        }
        if let State::Open(_, connection) = &mut self.state
            && let Poll::Ready(done) = Pin::new(connection).poll(&mut context)
        {
            if let Err(error) = done {
                self.broken.get_or_insert(error);
            }
            self.state = State::Over;
        }
    }
}
