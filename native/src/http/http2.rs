//! HTTP/2 on one connection (RFC 9113): requests side by side, each a stream, without a socket or a clock.
//!
//! The `h2` crate keeps frames, streams, windows and header compression. It wants to be polled; here that happens whenever bytes
//! came or a request is due, with wakers that only note what moved. Bytes go in and out by way of a `Pipe`.

pub mod driven;
pub mod head;
pub mod line;
mod lost;
pub mod moves;
mod pipe;
mod tally;
pub mod upload;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::Request;

use self::driven::{Driven, State};
pub use self::lost::{Lost, Word, name_of};
use self::lost::{closed, failed, lost_by};
use self::moves::{Moves, Own};
use self::upload::upload;
use crate::http::reading::{Progress, Reader};
use crate::plan::outcome::{Failure, Outcome};

/// What a peer may send beside header fields and body (settings, pings, empty frames) before an answer is whole. Each byte of a body
/// may come in a frame of its own, so those count 16 times.
pub const MOST_BESIDE_BYTES: u64 = 1024 * 1024;
/// A request that was given up may have an answer under way: its window, in frames of usual size.
pub const LEFT_BEHIND_BYTES: u64 = 2 * driven::WINDOW_BYTES as u64;

/// What is missing where the head of an answer is there.
const BODY: &str = "the body was whole";

/// One request and its answer.
#[derive(Default)]
pub struct Stream {
    /// Whose it is, as the session's owner names him.
    pub user: u32,
    pub reader: Reader,
    /// Bytes of it: frames of its own, and those about the connection since another one ended.
    pub sent: u64,
    pub received: u64,
    /// It is known that it has left.
    pub has_left: bool,
    body_bytes: u64,
    response: Option<ResponseFuture>,
    upload: Option<SendStream<Bytes>>,
    /// Bytes of the body that were handed over.
    uploaded: usize,
    download: Option<RecvStream>,
    /// What the peer had said when it began.
    heard: u64,
    waker: Option<(Arc<Own>, Waker)>,
}

impl Stream {
    /// Whether the peer sends and sends, and none of it is an answer.
    fn is_flooded(&self) -> bool {
        self.received > MOST_BESIDE_BYTES + 16 * self.body_bytes
    }

    /// Whether the request, with its body, was handed over.
    pub fn is_asked(&self, body: &[u8]) -> bool {
        self.uploaded == body.len()
    }
}

pub struct Session {
    driven: Driven,
    pub streams: Vec<Stream>,
    /// What the peer calls them; None: nobody has the place.
    numbers: Vec<Option<u32>>,
    free: Vec<usize>,
    under_way: usize,
    moves: Arc<Moves>,
    /// Bytes about the connection itself that no request has been given yet, and all of them since an answer was whole.
    sent_beside: u64,
    received_beside: u64,
    beside: u64,
    may_be_beside: u64,
    /// All that the peer has said.
    heard: u64,
    has_answered: bool,
    /// Its last word, once it was asked for.
    over: Option<Word>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Session {
    /// `most`: so many requests at once the server takes, as far as that is known; else it is asked for one until it says it.
    pub fn new(most: Option<usize>) -> Self {
        Session {
            driven: Driven::new(most.unwrap_or(1)),
            streams: Vec::new(),
            numbers: Vec::new(),
            free: Vec::new(),
            under_way: 0,
            moves: Arc::default(),
            sent_beside: 0,
            received_beside: 0,
            beside: 0,
            may_be_beside: MOST_BESIDE_BYTES,
            heard: 0,
            has_answered: false,
            over: None,
        }
    }

    /// What the network gave.
    pub fn feed(&mut self, block: &[u8]) {
        self.heard += block.len() as u64;
        self.driven.feed(block);
    }

    /// The peer will send no more. False: that was known.
    pub fn ended(&mut self) -> bool {
        self.driven.ended()
    }

    /// What is to be written, and behind it what was written already goes.
    pub fn unsent<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.driven.unsent(write).0
    }

    /// Nothing of what was written waits to be taken.
    pub fn is_flushed(&self) -> bool {
        self.driven.is_flushed()
    }

    /// Whether there is more to be written than the pipe took; asked when the pipe is empty.
    pub fn has_more(&mut self) -> bool {
        self.driven.has_more()
    }

    /// Lets the crate look at what came, and write what is due.
    pub fn poll(&mut self) {
        self.driven.moved.take();
        self.driven.poll();
        self.count();
    }

    /// Whether there is anything to be done without the network.
    pub fn has_moved(&self) -> bool {
        self.driven.moved.is_set() || !self.moves.is_empty()
    }

    /// Gives each request its bytes.
    fn count(&mut self) {
        let Session { driven, streams, numbers, sent_beside, received_beside, beside, .. } = self;
        driven.take_tallies(|number, sent, received| match numbers.iter().position(|one| *one == Some(number)) {
            Some(at) => {
                let stream = &mut streams[at];
                stream.sent += sent;
                stream.received += received;
                // interim answers wake nobody
                if let Some((own, _)) = stream.waker.as_ref().filter(|_| stream.is_flooded()) {
                    own.list();
                }
            }
            None => {
                *sent_beside += sent;
                *received_beside += received;
                *beside += received;
            }
        });
    }

    /// How many requests the server takes at once; None: it has not said it, or can't any more.
    pub fn most(&self) -> Option<usize> {
        match &self.driven.state {
            State::Open(sender, _) if self.driven.is_settled() => Some(sender.current_max_send_streams()),
            _ => None,
        }
    }

    /// Whether it takes another request, now or when one has ended.
    pub fn is_usable(&mut self) -> bool {
        let State::Open(sender, _) = &mut self.driven.state else { return matches!(self.driven.state, State::Opening(_)) };
        !matches!(sender.poll_ready(&mut Context::from_waker(&self.driven.waker)), Poll::Ready(Err(_)))
    }

    /// Whether the peer sends and sends, and none of it is an answer.
    pub fn is_flooded(&self) -> bool {
        self.beside > self.may_be_beside
    }

    pub fn flood() -> Failure {
        Failure::new(Outcome::Protocol, "frames without end, and no whole answer among them")
    }

    /// Whether a whole answer has come.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Opens a stream for a request. Some: its place; None: there is no room for it now.
    /// `begin` sets the reader of its answer up.
    pub fn ask(
        &mut self,
        user: u32,
        request: impl FnOnce() -> Result<Request<()>, Failure>,
        body: &[u8],
        begin: impl FnOnce(&mut Reader),
    ) -> Result<Option<usize>, Lost> {
        let asked = match &mut self.driven.state {
            State::Opening(_) => return Ok(None),
            State::Over => Err(None),
            State::Open(sender, _) => match sender.poll_ready(&mut Context::from_waker(&self.driven.waker)) {
                Poll::Pending => return Ok(None),
                Poll::Ready(Err(error)) => Err(Some(error)),
                Poll::Ready(Ok(())) if self.under_way >= sender.current_max_send_streams() => return Ok(None),
                Poll::Ready(Ok(())) => sender.send_request(request().map_err(Lost::Stream)?, body.is_empty()).map_err(Some),
            },
        };
        let (response, upload) = match asked {
            Ok(both) => both,
            Err(error) => return Err(self.unasked(error.map(Word::from))),
        };
        self.driven.moved.set();
        let at = self.free.pop().unwrap_or_else(|| {
            self.streams.push(Stream::default());
            self.numbers.push(None);
            self.streams.len() - 1
        });
        if self.under_way == 0 {
            self.forgive();
        }
        self.under_way += 1;
        let stream = &mut self.streams[at];
        begin(&mut stream.reader);
        (stream.user, stream.has_left, stream.heard) = (user, false, self.heard);
        (stream.sent, stream.received, stream.body_bytes, stream.uploaded) = (0, 0, 0, 0);
        self.numbers[at] = Some(response.stream_id().as_u32());
        (stream.response, stream.upload, stream.download) = (Some(response), Some(upload), None);
        let (own, _) = stream.waker.get_or_insert_with(|| Own::new(at, &self.moves));
        own.list();
        Ok(Some(at))
    }

    /// Why a request that is not asked can't be: no frame of it was sent, so where the connection worked before, another one may take it.
    fn unasked(&mut self, error: Option<Word>) -> Lost {
        let missing = "the request was sent";
        match error.or_else(|| self.last_word()).map_or_else(|| Lost::Failed(closed(missing)), |word| self.lost(word, missing)) {
            Lost::Failed(failure) if failure.outcome == Outcome::Closed && self.has_answered => Lost::Unseen(failure),
            lost => lost,
        }
    }

    /// A request that may go on.
    pub fn next_moved(&mut self) -> Option<usize> {
        loop {
            let at = self.moves.next()?;
            let stream = &self.streams[at];
            if let Some((own, _)) = &stream.waker {
                own.unlist();
            }
            if self.is_under_way(at) {
                return Some(at);
            }
        }
    }

    /// Goes on with a request as far as that goes with what is there.
    pub fn go_on(&mut self, at: usize, body: &[u8]) -> Result<Progress, Lost> {
        let Some((_, waker)) = &self.streams[at].waker else { return Ok(Progress::More) };
        let waker = waker.clone();
        let mut context = Context::from_waker(&waker);
        self.upload(at, body, &mut context);
        let stream = &mut self.streams[at];
        if let Some(response) = &mut stream.response {
            match Pin::new(response).poll(&mut context) {
                Poll::Pending => return self.as_long_as_it_is_no_flood(at),
                Poll::Ready(Err(error)) => return Err(self.lost(error.into(), "an answer")),
                Poll::Ready(Ok(response)) => {
                    stream.response = None;
                    let (head, download) = response.into_parts();
                    let fields = head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
                    // there is no phrase in HTTP/2; the usual one makes failures read the same
                    let phrase = head.status.canonical_reason().unwrap_or_default();
                    stream.reader.take_head(head.status.as_u16(), phrase, fields).map_err(lost_by)?;
                    stream.download = Some(download);
                }
            }
        }
        match self.download(at, &mut context)? {
            Progress::More => self.as_long_as_it_is_no_flood(at),
            Progress::Whole => Ok(Progress::Whole),
        }
    }

    fn as_long_as_it_is_no_flood(&self, at: usize) -> Result<Progress, Lost> {
        if self.streams[at].is_flooded() { Err(Lost::Failed(Self::flood())) } else { Ok(Progress::More) }
    }

    /// As much of the body as the peer takes now.
    fn upload(&mut self, at: usize, body: &[u8], context: &mut Context) {
        let Stream { upload: stream, uploaded, .. } = &mut self.streams[at];
        let left = body.len() - *uploaded;
        let has_moved = upload(stream, left, context, |count| {
            let piece = Bytes::copy_from_slice(&body[*uploaded..*uploaded + count]);
            *uploaded += count;
            piece
        });
        if has_moved {
            self.driven.moved.set();
        }
    }

    fn download(&mut self, at: usize, context: &mut Context) -> Result<Progress, Lost> {
        let stream = &mut self.streams[at];
        let Some(download) = &mut stream.download else { return Ok(Progress::More) };
        loop {
            match download.poll_data(context) {
                Poll::Pending => return Ok(Progress::More),
                Poll::Ready(Some(Ok(piece))) => {
                    stream.body_bytes += piece.len() as u64;
                    stream.reader.take_body(&piece).map_err(lost_by)?;
                    let _ = download.flow_control().release_capacity(piece.len()); // never more than came
                    self.driven.moved.set();
                }
                Poll::Ready(Some(Err(error))) => return Err(self.lost(error.into(), BODY)),
                Poll::Ready(None) => break,
            }
        }
        if !download.is_end_stream() {
            match download.poll_trailers(context) {
                Poll::Pending => return Ok(Progress::More),
                Poll::Ready(Err(error)) => return Err(self.lost(error.into(), BODY)),
                Poll::Ready(Ok(_)) => {}
            }
        }
        self.has_answered = true;
        self.forgive();
        Ok(Progress::Whole)
    }

    /// What came beside the requests is no flood; what may still come of those that were given up is not either.
    fn forgive(&mut self) {
        self.may_be_beside = self.may_be_beside.saturating_sub(self.beside).max(MOST_BESIDE_BYTES);
        self.beside = 0;
    }

    /// The request is over; where its stream is open, it is reset. Bytes sent and received of it, and of the connection beside it.
    pub fn end(&mut self, at: usize) -> (u64, u64) {
        self.count();
        if self.numbers[at].take().is_none() {
            return (0, 0);
        }
        let stream = &mut self.streams[at];
        (stream.response, stream.upload) = (None, None);
        let is_whole = stream.download.take().is_some_and(|download| download.is_end_stream());
        if !is_whole {
            self.may_be_beside += LEFT_BEHIND_BYTES;
            self.driven.moved.set();
        }
        self.free.push(at);
        self.under_way -= 1;
        let beside = (std::mem::take(&mut self.sent_beside), std::mem::take(&mut self.received_beside));
        (stream.sent + beside.0, stream.received + beside.1)
    }

    /// Whether the peer has said anything since the request began.
    pub fn has_heard_since(&self, at: usize) -> bool {
        self.heard > self.streams[at].heard
    }

    /// The requests that are under way.
    pub fn all(&self) -> impl Iterator<Item = usize> + use<'_> {
        (0..self.streams.len()).filter(|at| self.is_under_way(*at))
    }

    pub fn is_under_way(&self, at: usize) -> bool {
        self.numbers[at].is_some()
    }

    fn last_word(&mut self) -> Option<Word> {
        if self.over.is_none() {
            self.over = self.driven.broken.take().map(Word::from);
        }
        self.over.clone()
    }

    /// What an error of the crate means to a hit. `missing`: what was not there yet.
    fn lost(&mut self, mut word: Word, missing: &'static str) -> Lost {
        if word.is_io {
            // a request that the server took, on a connection that it then ended: its last word says more than the end
            word = self.last_word().filter(|last| last.is_go_away).unwrap_or(word);
        }
        if self.driven.looks_like_1() {
            return failed(Outcome::Protocol, "the server answers in HTTP/1: it does not take HTTP/2 without TLS");
        }
        if word.is_io {
            return Lost::Failed(closed(missing)); // the pipe itself never fails
        }
        match word.meaning(missing == BODY) {
            Lost::Failed(failure) if word.is_reset && self.is_usable() => Lost::Stream(failure),
            lost => lost,
        }
    }
}
