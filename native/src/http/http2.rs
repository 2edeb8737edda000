//! HTTP/2 on one connection of one user (RFC 9113): one request after the other, each a stream, without a socket or a clock.
//!
//! The `h2` crate keeps frames, streams, windows and header compression. It wants to be polled; here that happens whenever bytes
//! came or a request is due, with a waker that only notes that something moved. Bytes go in and out by way of a `Pipe`.

mod conn;
pub mod driven;
mod head;
mod pipe;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};

use self::driven::{Driven, State};
use crate::http::reading::{Broken, Progress, Reader};
use crate::plan::outcome::{Failure, Outcome};

/// Pieces in which a request's body is handed over.
const PIECE_BYTES: usize = 64 * 1024;
/// What a peer may send beside header fields and body (settings, pings, empty frames) before an answer is whole. Each byte of a body
/// may come in a frame of its own, so those count 16 times.
pub const MOST_BESIDE_BYTES: u64 = 1024 * 1024;

/// What is missing where the head of an answer is there.
const BODY: &str = "the body was whole";

/// Why a request has no answer.
#[derive(Debug, PartialEq)]
pub enum Lost {
    Failed(Failure),
    /// As `Failed`, but only the stream is over: the connection takes the next request.
    Stream(Failure),
    /// The server said that it did not look at the request: it can be sent again, on another connection.
    Unseen(Failure),
    /// More body than may be; the head is whole.
    TooLarge,
}

/// The request under way.
#[derive(Default)]
struct Exchange {
    response: Option<ResponseFuture>,
    upload: Option<SendStream<Bytes>>,
    /// Bytes of the body that were handed over.
    uploaded: usize,
    download: Option<RecvStream>,
}

#[derive(Default)]
pub struct Session {
    driven: Driven,
    exchange: Exchange,
    /// Bytes in and out since the last request began.
    pub received: u64,
    pub sent: u64,
    body_bytes: u64,
    has_answered: bool,
}

impl Session {
    /// Before the next request.
    pub fn begin(&mut self) {
        self.exchange = Exchange::default();
        (self.received, self.sent, self.body_bytes) = (0, 0, 0);
    }

    /// What the network gave.
    pub fn feed(&mut self, block: &[u8]) {
        self.received += block.len() as u64;
        self.driven.feed(block);
    }

    /// The peer will send no more. False: that was known.
    pub fn ended(&mut self) -> bool {
        self.driven.ended()
    }

    /// What is to be written, and behind it what was written already goes.
    pub fn unsent<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let (done, sent) = self.driven.unsent(write);
        self.sent += sent;
        done
    }

    /// Whether the request, with its body, has left.
    pub fn has_sent(&self, body: &[u8]) -> bool {
        let is_asked = self.exchange.response.is_some() || self.exchange.download.is_some();
        is_asked && self.exchange.uploaded == body.len() && self.driven.is_flushed()
    }

    /// Whether there is more to be written than the pipe took; asked when the pipe is empty.
    pub fn has_more(&mut self) -> bool {
        self.driven.has_more()
    }

    /// Goes on as far as it goes with what is there. `body` is that of `request`, which is asked for once.
    pub fn advance(
        &mut self,
        request: impl Fn() -> Result<http::Request<()>, Failure>,
        body: &[u8],
        reader: &mut Reader,
    ) -> Result<Progress, Lost> {
        loop {
            self.driven.moved.take();
            self.driven.poll();
            let progress = self.poll_exchange(&request, body, reader)?;
            if progress == Progress::Whole {
                self.driven.poll(); // window updates, acknowledgements
                return Ok(progress);
            }
            if self.received > MOST_BESIDE_BYTES + 16 * self.body_bytes {
                return Err(failed(Outcome::Protocol, "frames without end, and no whole answer among them"));
            }
            if !self.driven.moved.take() {
                return Ok(progress);
            }
        }
    }

    /// What comes between two requests: pings, settings, a goodbye. False: the connection can't be used any more.
    pub fn idle(&mut self) -> bool {
        loop {
            self.driven.moved.take();
            self.driven.poll();
            let State::Open(sender, _) = &mut self.driven.state else { return false };
            let usable = match sender.poll_ready(&mut Context::from_waker(&self.driven.waker)) {
                Poll::Ready(ready) => ready.is_ok(),
                Poll::Pending => true, // no room for another stream now
            };
            if !usable || self.received > MOST_BESIDE_BYTES + 16 * self.body_bytes {
                return false;
            }
            if !self.driven.moved.take() {
                return true;
            }
        }
    }

    fn poll_exchange(
        &mut self,
        request: &impl Fn() -> Result<http::Request<()>, Failure>,
        body: &[u8],
        reader: &mut Reader,
    ) -> Result<Progress, Lost> {
        let waker = self.driven.waker.clone();
        let mut context = Context::from_waker(&waker);
        if self.exchange.response.is_none() && self.exchange.download.is_none() && !self.ask(request, body, &mut context)? {
            return Ok(Progress::More);
        }
        self.upload(body, &mut context);
        if let Some(response) = &mut self.exchange.response {
            match Pin::new(response).poll(&mut context) {
                Poll::Pending => return Ok(Progress::More),
                Poll::Ready(Err(error)) => return Err(self.lost(error, "an answer")),
                Poll::Ready(Ok(response)) => {
                    self.exchange.response = None;
                    let (head, download) = response.into_parts();
                    let fields = head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
                    // there is no phrase in HTTP/2; the usual one makes failures read the same
                    let phrase = head.status.canonical_reason().unwrap_or_default();
                    reader.take_head(head.status.as_u16(), phrase, fields).map_err(lost_by)?;
                    self.exchange.download = Some(download);
                }
            }
        }
        self.download(reader, &mut context)
    }

    /// Opens the request's stream; false while there is no room for one.
    fn ask(&mut self, request: &impl Fn() -> Result<http::Request<()>, Failure>, body: &[u8], context: &mut Context) -> Result<bool, Lost> {
        let asked = match &mut self.driven.state {
            State::Opening(_) => return Ok(false),
            State::Over => Err(None),
            State::Open(sender, _) => match sender.poll_ready(context) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(error)) => Err(Some(error)),
                Poll::Ready(Ok(())) => sender.send_request(request().map_err(Lost::Stream)?, body.is_empty()).map_err(Some),
            },
        };
        match asked {
            Ok((response, upload)) => {
                self.driven.moved.set();
                self.exchange = Exchange { response: Some(response), upload: Some(upload), ..Exchange::default() };
                Ok(true)
            }
            Err(error) => {
                // no frame of it was sent: where the connection worked before, another one may take it
                let found = error.or_else(|| self.driven.broken.take());
                let missing = "the request was sent";
                Err(match found.map_or_else(|| Lost::Failed(closed(missing)), |error| self.lost(error, missing)) {
                    Lost::Failed(failure) if failure.outcome == Outcome::Closed && self.has_answered => Lost::Unseen(failure),
                    lost => lost,
                })
            }
        }
    }

    /// As much of the body as the peer takes now. How it fails says the answer's side.
    fn upload(&mut self, body: &[u8], context: &mut Context) {
        while self.exchange.uploaded < body.len()
            && let Some(upload) = &mut self.exchange.upload
        {
            let left = &body[self.exchange.uploaded..];
            upload.reserve_capacity(left.len().min(PIECE_BYTES));
            let room = match upload.capacity() {
                0 => match upload.poll_capacity(context) {
                    Poll::Pending => return,
                    Poll::Ready(Some(Ok(0))) => continue, // a window that was opened and taken back
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(_) => 0,
                },
                room => room,
            };
            let piece = &left[..left.len().min(room)];
            let ends = piece.len() == left.len();
            if piece.is_empty() || upload.send_data(Bytes::copy_from_slice(piece), ends).is_err() {
                self.exchange.upload = None;
                return;
            }
            self.exchange.uploaded += piece.len();
            self.driven.moved.set();
        }
    }

    fn download(&mut self, reader: &mut Reader, context: &mut Context) -> Result<Progress, Lost> {
        let Some(download) = &mut self.exchange.download else { return Ok(Progress::More) };
        loop {
            match download.poll_data(context) {
                Poll::Pending => return Ok(Progress::More),
                Poll::Ready(Some(Ok(piece))) => {
                    self.body_bytes += piece.len() as u64;
                    reader.take_body(&piece).map_err(lost_by)?;
                    let _ = download.flow_control().release_capacity(piece.len()); // never more than came
                    self.driven.moved.set();
                }
                Poll::Ready(Some(Err(error))) => return Err(self.lost(error, BODY)),
                Poll::Ready(None) => break,
            }
        }
        match download.poll_trailers(context) {
            Poll::Pending => Ok(Progress::More),
            Poll::Ready(Err(error)) => Err(self.lost(error, BODY)),
            Poll::Ready(Ok(_)) => {
                self.exchange = Exchange::default();
                self.has_answered = true;
                Ok(Progress::Whole)
            }
        }
    }

    /// What an error of the crate means to a hit. `missing`: what was not there yet.
    fn lost(&mut self, mut error: h2::Error, missing: &'static str) -> Lost {
        if error.is_io() {
            // a request that the server took, on a connection that it then ended: its last word says more than the end
            error = self.driven.broken.take().filter(h2::Error::is_go_away).unwrap_or(error);
        }
        let reason = error.reason().map_or_else(String::new, name_of);
        if self.driven.looks_like_1() {
            return failed(Outcome::Protocol, "the server answers in HTTP/1: it does not take HTTP/2 without TLS");
        }
        if error.is_io() {
            return Lost::Failed(closed(missing)); // the pipe itself never fails
        }
        let closed = |text: String| Failure::new(Outcome::Closed, text);
        let wrong = |text: String| Failure::new(Outcome::Protocol, text);
        let failure = match (error.is_go_away(), error.is_remote(), error.reason()) {
            (true, true, Some(Reason::NO_ERROR)) if missing != BODY => {
                return Lost::Unseen(closed("the server ends the connection and did not look at the request (GOAWAY)".into()));
            }
            (true, true, _) => closed(format!("the server ended the connection: GOAWAY {reason}")),
            (_, true, Some(Reason::REFUSED_STREAM)) => {
                closed("the server refused the request and did not look at it: RST_STREAM REFUSED_STREAM".into())
            }
            (_, true, _) => closed(format!("the server gave the request up: RST_STREAM {reason}")),
            (false, false, Some(Reason::REFUSED_STREAM)) => wrong("over 262,144 bytes of header fields".into()),
            (_, false, Some(Reason::ENHANCE_YOUR_CALM)) => wrong("more header fields or empty frames than can be taken in".into()),
            _ if error.is_library() => wrong(format!("the answer breaks the rules of HTTP/2: {reason}")),
            _ => wrong(format!("no HTTP/2: {error}")),
        };
        self.exchange = Exchange::default();
        if error.is_reset() && self.idle() { Lost::Stream(failure) } else { Lost::Failed(failure) }
    }
}

fn failed(outcome: Outcome, text: impl Into<String>) -> Lost {
    Lost::Failed(Failure::new(outcome, text))
}

fn closed(missing: &str) -> Failure {
    Failure::new(Outcome::Closed, format!("the connection was closed before {missing}"))
}

fn lost_by(broken: Broken) -> Lost {
    match broken {
        Broken::TooLarge => Lost::TooLarge,
        Broken::Protocol(text) => failed(Outcome::Protocol, text),
        Broken::Closed(missing) => Lost::Failed(closed(missing)),
    }
}

/// As RFC 9113 section 7 writes it.
pub fn name_of(reason: Reason) -> String {
    let name = format!("{reason:?}");
    if name.starts_with("Reason(") { format!("0x{:x}", u32::from(reason)) } else { name }
}
