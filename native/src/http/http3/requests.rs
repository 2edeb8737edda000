//! The requests of one connection: each a stream, from its first byte to its answer's last.

use std::time::Instant;

use bytes::Bytes;
use quinn_proto::{Dir, ReadError, StreamId, WriteError};

use super::answer::{Inbound, Wrong};
use super::frames::{DATA, push_varint};
use super::{Session, code, flood, lost, varint_of};
use crate::http::http2::{Lost, MOST_BESIDE_BYTES};
use crate::http::reading::{Broken, Progress, Reader};
use crate::plan::outcome::{Failure, Outcome};

/// Pieces in which a request's body is handed over.
const PIECE_BYTES: usize = 64 * 1024;

/// One request and its answer.
#[derive(Default)]
pub struct Stream {
    /// Whose it is, as the session's owner names him.
    pub user: u32,
    pub reader: Reader,
    /// Bytes of it, and those about the connection since another one ended; what QUIC adds is not counted, as that of TLS is not.
    pub sent: u64,
    pub received: u64,
    /// It is known that it has left.
    pub has_left: bool,
    /// None: nobody has the place.
    pub(super) number: Option<StreamId>,
    pub(super) inbound: Inbound,
    /// What is to be sent before the body.
    pub(super) before: Bytes,
    pub(super) uploaded: usize,
    pub(super) is_asked: bool,
    pub(super) is_whole: bool,
    pub(super) is_listed: bool,
    /// What the peer had said when it began.
    pub(super) heard: u64,
}

impl Stream {
    /// Whether the peer sends and sends, and none of it is an answer.
    pub(super) fn is_flooded(&self) -> bool {
        self.received > MOST_BESIDE_BYTES + 16 * self.reader.body_bytes()
    }

    /// Whether the request, with its body, was handed over.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }
}

impl Session {
    /// Opens a stream for a request. Some: its place; None: there is no room for it now.
    /// `begin` sets the reader of its answer up.
    pub fn ask(
        &mut self,
        user: u32,
        head: impl FnOnce() -> Result<Bytes, Failure>,
        body: &[u8],
        is_head: bool,
        begin: impl FnOnce(&mut Reader),
    ) -> Result<Option<usize>, Lost> {
        if let Some(over) = &self.over {
            let lost = lost::meaning(over, "the request was sent");
            return Err(match lost {
                Lost::Failed(failure) if failure.outcome == Outcome::Closed && self.has_answered => Lost::Unseen(failure),
                lost => lost,
            });
        }
        if self.said.leaves_from.is_some() {
            return Err(Lost::Unseen(lost::unseen()));
        }
        if !self.is_up {
            return Ok(None);
        }
        let head = head().map_err(Lost::Stream)?;
        let Some(number) = self.quic.streams().open(Dir::Bi) else { return Ok(None) };
        let before = if body.is_empty() {
            head
        } else {
            let mut before = head.to_vec();
            push_varint(&mut before, DATA);
            push_varint(&mut before, body.len() as u64);
            Bytes::from(before)
        };
        let at = self.free.pop().unwrap_or_else(|| {
            self.streams.push(Stream::default());
            self.streams.len() - 1
        });
        if self.places.is_empty() {
            self.since_answer = 0;
            self.heard_at = self.heard_at.max(Instant::now());
        }
        let stream = &mut self.streams[at];
        begin(&mut stream.reader);
        (stream.user, stream.has_left, stream.heard) = (user, false, self.heard);
        (stream.sent, stream.received, stream.uploaded) = (0, 0, 0);
        (stream.number, stream.before, stream.inbound) = (Some(number), before, Inbound::new(is_head));
        (stream.is_asked, stream.is_whole) = (false, false);
        self.places.insert(number, at);
        self.list(at);
        Ok(Some(at))
    }

    /// Goes on with a request as far as that goes with what is there.
    pub fn go_on(&mut self, at: usize, body: &[u8]) -> Result<Progress, Lost> {
        let Some(number) = self.streams[at].number else { return Ok(Progress::More) };
        self.upload(at, number, body);
        match self.download(at, number)? {
            Progress::Whole => {
                self.has_answered = true;
                self.since_answer = 0;
                return Ok(Progress::Whole);
            }
            Progress::More if self.streams[at].is_flooded() => return Err(Lost::Failed(flood())),
            Progress::More => {}
        }
        if self.is_unseen(at) {
            return Err(Lost::Unseen(lost::unseen()));
        }
        match &self.over {
            Some(over) => {
                let stream = &self.streams[at];
                let missing = if stream.inbound.has_head() { "the body was whole" } else { "an answer" };
                Err(lost::meaning(over, missing))
            }
            None => Ok(Progress::More),
        }
    }

    /// Whether the peer has said that it does not look at a request.
    pub(super) fn is_unseen(&self, at: usize) -> bool {
        let from = self.said.leaves_from;
        let stream = &self.streams[at];
        !stream.inbound.has_head() && stream.number.is_some_and(|number| from.is_some_and(|from| u64::from(number) >= from))
    }

    /// As much of the request as the peer takes now. How it fails says the answer's side.
    fn upload(&mut self, at: usize, number: StreamId, body: &[u8]) {
        let stream = &mut self.streams[at];
        while !stream.is_asked {
            let mut sender = self.quic.send_stream(number);
            let written = if !stream.before.is_empty() {
                let mut chunks = [std::mem::take(&mut stream.before)];
                let written = sender.write_chunks(&mut chunks);
                [stream.before] = chunks;
                written.map(|written| written.bytes)
            } else if stream.uploaded < body.len() {
                let left = &body[stream.uploaded..];
                let written = sender.write(&left[..left.len().min(PIECE_BYTES)]);
                stream.uploaded += *written.as_ref().unwrap_or(&0);
                written
            } else {
                let _ = sender.finish(); // the peer may have stopped it meanwhile
                (stream.is_asked, self.stirs) = (true, true);
                return;
            };
            match written {
                Ok(count) => {
                    stream.sent += count as u64;
                    self.stirs = true;
                }
                Err(WriteError::Blocked) => return,
                Err(_) => stream.is_asked = true, // the peer wants no more of it
            }
        }
    }

    fn download(&mut self, at: usize, number: StreamId) -> Result<Progress, Lost> {
        let Session { quic, streams, fields, .. } = self;
        let stream = &mut streams[at];
        let mut receiver = quic.recv_stream(number);
        let Ok(mut chunks) = receiver.read(true) else { return Ok(Progress::More) };
        let found = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) => {
                    stream.received += chunk.bytes.len() as u64;
                    if let Err(wrong) = stream.inbound.feed(&chunk.bytes, fields, &mut stream.reader) {
                        break Err(Some(wrong));
                    }
                }
                Ok(None) => {
                    stream.is_whole = true;
                    break stream.inbound.end(&stream.reader).map(|()| Progress::Whole).map_err(Some);
                }
                Err(ReadError::Blocked) => break Ok(Progress::More),
                Err(ReadError::Reset(code)) => {
                    stream.is_whole = true;
                    self.stirs |= chunks.finalize().should_transmit();
                    return Err(lost::reset(code.into_inner(), stream.inbound.has_head()));
                }
            }
        };
        self.stirs |= chunks.finalize().should_transmit();
        found.map_err(|wrong| match wrong {
            Some(Wrong::Connection(code)) => {
                self.refuse(code);
                Lost::Failed(lost::wrong(code))
            }
            Some(Wrong::Stream(code)) => Lost::Stream(lost::wrong(code)),
            Some(Wrong::Answer(Broken::TooLarge)) => Lost::TooLarge,
            Some(Wrong::Answer(Broken::Protocol(text))) => Lost::Stream(Failure::new(Outcome::Protocol, text)),
            Some(Wrong::Answer(Broken::Closed(missing))) => Lost::Stream(lost::closed(missing)),
            None => Lost::Failed(flood()),
        })
    }

    /// The request is over; where its stream is open, it is given up. Bytes sent and received of it, and of the connection beside it.
    pub fn end(&mut self, at: usize) -> (u64, u64) {
        let stream = &mut self.streams[at];
        let Some(number) = stream.number.take() else { return (0, 0) };
        self.places.remove(&number);
        self.free.push(at);
        stream.before = Bytes::new();
        if !stream.is_whole {
            // what is known already to be over says so, and that is all right
            let _ = self.quic.recv_stream(number).stop(varint_of(code::REQUEST_CANCELLED));
        }
        if !stream.is_whole || !stream.is_asked {
            let _ = self.quic.send_stream(number).reset(varint_of(code::REQUEST_CANCELLED));
            self.stirs = true;
        }
        let beside = (std::mem::take(&mut self.sent_beside), std::mem::take(&mut self.received_beside));
        (stream.sent + beside.0, stream.received + beside.1)
    }
}
