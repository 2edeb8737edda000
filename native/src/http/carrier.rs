//! A connection on which requests go side by side, whichever version of HTTP it speaks: what its users need of it.

use crate::http::http2::Lost;
use crate::http::reading::{Progress, Reader};
use crate::os::packets::Room;
use crate::plan::Place;
use crate::plan::outcome::Failure;

/// What a read gave.
pub enum Heard {
    /// Nothing is there now.
    Nothing,
    /// `more`: a further read may give something now.
    Some {
        more: bool,
    },
    /// There is more to read, and nothing of an answer came of much that was read.
    Busy,
    /// The peer will send no more. `is_new`: that was not known.
    End {
        is_new: bool,
    },
    Failed(Failure),
}

/// Where a loop reads to.
pub struct Rooms<'a> {
    pub block: &'a mut [u8],
    pub packets: &'a mut Room,
}

/// A request whose answer is awaited.
pub struct Ridden<'a> {
    pub user: u32,
    pub reader: &'a mut Reader,
    pub has_left: &'a mut bool,
}

/// The heads of steps that are the same for every hit, once they were sent.
#[derive(Default)]
pub struct Heads {
    pub http2: Vec<Option<http::Request<()>>>,
    pub http3: Vec<Option<bytes::Bytes>>,
}

pub trait Carrier {
    type Head: Clone;

    fn heads(all: &mut Heads) -> &mut Vec<Option<Self::Head>>;
    /// From the lines of HTTP/1.1 that every request is laid out as.
    fn head_of(lines: &[u8], place: &Place) -> Result<Self::Head, Failure>;

    /// Looks at what came.
    fn poll(&mut self);
    fn next_moved(&mut self) -> Option<usize>;
    /// Whether there is anything to be done without the network.
    fn has_moved(&self) -> bool;
    /// The peer sends and sends, and none of it is an answer.
    fn flood(&self) -> Option<Failure>;
    fn is_usable(&mut self) -> bool;
    /// How many requests the server takes at once; None: it has not said it.
    fn most(&self) -> Option<usize>;
    fn has_answered(&self) -> bool;
    /// Some: its place; None: there is no room for it now. `begin` sets the reader of its answer up.
    fn ask(
        &mut self,
        user: u32,
        head: impl FnOnce() -> Result<Self::Head, Failure>,
        body: &[u8],
        is_head: bool,
        begin: impl FnOnce(&mut Reader),
    ) -> Result<Option<usize>, Lost>;
    fn go_on(&mut self, at: usize, body: &[u8]) -> Result<Progress, Lost>;
    fn request(&mut self, at: usize) -> Ridden<'_>;
    /// The request is over. Bytes sent and received of it.
    fn end(&mut self, at: usize) -> (u64, u64);
    fn all(&self) -> Vec<usize>;
    fn is_under_way(&self, at: usize) -> bool;
    fn has_heard_since(&self, at: usize) -> bool;

    /// Writes what is ready. True: there is more of it.
    fn flush(&mut self) -> bool;
    /// Nothing of what was written waits to be taken.
    fn is_flushed(&self) -> bool;
    /// Whether a request, with its body, was handed over.
    fn is_asked(&self, at: usize, body: &[u8]) -> bool;
    /// Places of requests that were asked and may not have left yet.
    fn leaving(&mut self) -> &mut Vec<usize>;
    /// Why nothing can be sent any more.
    fn take_deaf(&mut self) -> Option<Failure>;
    fn is_deaf(&self) -> bool;
    /// Whether a short read means that nothing more is there now.
    fn short_read_is_all(&self) -> bool;
    fn read(&mut self, rooms: Rooms) -> Heard;
}
