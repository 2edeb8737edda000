//! HTTP/3 on one connection (RFC 9114): requests side by side, each a stream of QUIC (RFC 9000), without a socket.
//!
//! `quinn-proto` keeps packets, acknowledgements, TLS and streams. Datagrams go in and out; frames and header fields are read and
//! written here, as no crate does that without tasks of its own. Nothing is sent before the handshake is over (no 0-RTT).

pub mod answer;
pub mod beside;
pub mod code;
pub mod frames;
pub mod head;
mod huffman;
mod known_fields;
pub mod line;
mod lost;
pub mod qpack;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Dir, EcnCodepoint, Endpoint, EndpointConfig, Event,
    ReadError, StreamEvent, StreamId, Transmit, VarInt, WriteError,
};

use self::answer::{Inbound, Wrong};
use self::beside::{Beside, Said};
use self::frames::{DATA, SETTINGS, push_varint};
use self::qpack::Fields;
use crate::http::http2::{Lost, MOST_BESIDE_BYTES};
use crate::http::reading::{Broken, MAX_HEAD_BYTES, Progress, Reader};
use crate::plan::outcome::{Failure, Outcome};

/// Pieces in which a request's body is handed over.
const PIECE_BYTES: usize = 64 * 1024;
/// What SETTINGS says of header fields (RFC 9114 section 7.2.4.1).
const MAX_FIELD_SECTION_SIZE: u64 = 6;
/// A peer that says nothing for so long while a request is under way is asked whether it is there, before the connection is idle for too
/// long: most servers wait for 30 s or more.
const QUIET: Duration = Duration::from_secs(10);

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
    number: Option<StreamId>,
    inbound: Inbound,
    /// What is to be sent before the body.
    before: Bytes,
    uploaded: usize,
    is_asked: bool,
    is_whole: bool,
    is_listed: bool,
    /// What the peer had said when it began.
    heard: u64,
}

impl Stream {
    /// Whether the peer sends and sends, and none of it is an answer.
    fn is_flooded(&self) -> bool {
        self.received > MOST_BESIDE_BYTES + 16 * self.reader.body_bytes()
    }

    /// Whether the request, with its body, was handed over.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }
}

/// Why a connection is over.
#[derive(Clone, Debug)]
enum Over {
    /// The peer broke the rules of HTTP/3.
    Wrong(u64),
    Quic(ConnectionError),
}

pub struct Session {
    endpoint: Endpoint,
    handle: ConnectionHandle,
    quic: Connection,
    remote: SocketAddr,
    pub streams: Vec<Stream>,
    places: HashMap<StreamId, usize>,
    free: Vec<usize>,
    moved: VecDeque<usize>,
    /// The handshake is over.
    is_up: bool,
    beside: HashMap<StreamId, Beside>,
    said: Said,
    fields: Fields,
    /// Bytes about the connection itself that no request has been given yet, and those that came since an answer was whole.
    sent_beside: u64,
    received_beside: u64,
    since_answer: u64,
    /// Datagrams' bytes.
    heard: u64,
    heard_at: Instant,
    has_answered: bool,
    /// There is something to be sent.
    stirs: bool,
    over: Option<Over>,
}

/// How far a connection is.
#[derive(Debug, PartialEq)]
pub enum Standing {
    /// Nothing has come yet.
    Connecting,
    Handshake,
    Up,
    /// It could not be made.
    Failed(Failure),
}

impl Session {
    /// Begins to connect. Err: the name or the address is of no use.
    pub fn new(config: Arc<EndpointConfig>, client: ClientConfig, remote: SocketAddr, name: &str, now: Instant) -> Result<Self, String> {
        let mut endpoint = Endpoint::new(config, None, false, None);
        let (handle, quic) = endpoint.connect(now, client, remote, name).map_err(|error| error.to_string())?;
        Ok(Session {
            endpoint,
            handle,
            quic,
            remote,
            streams: Vec::new(),
            places: HashMap::new(),
            free: Vec::new(),
            moved: VecDeque::new(),
            is_up: false,
            beside: HashMap::new(),
            said: Said::default(),
            fields: Fields::default(),
            sent_beside: 0,
            received_beside: 0,
            since_answer: 0,
            heard: 0,
            heard_at: now,
            has_answered: false,
            stirs: true,
            over: None,
        })
    }

    /// What the network gave: one datagram.
    pub fn feed(&mut self, now: Instant, ecn: Option<EcnCodepoint>, datagram: BytesMut) {
        self.heard += datagram.len() as u64;
        self.heard_at = now;
        self.stirs = true;
        let mut answer = Vec::new();
        let event = self.endpoint.handle(now, self.remote, None, ecn, datagram, &mut answer);
        if let Some(DatagramEvent::ConnectionEvent(handle, event)) = event
            && handle == self.handle
        {
            self.quic.handle_event(event);
        }
    }

    /// The next datagrams to be sent, in `out`.
    pub fn transmit(&mut self, now: Instant, most: usize, out: &mut Vec<u8>) -> Option<Transmit> {
        let found = self.quic.poll_transmit(now, most, out);
        self.stirs &= found.is_some();
        found
    }

    /// When `fire` is to be called, whatever comes.
    pub fn due(&mut self) -> Option<Instant> {
        let quiet = (!self.places.is_empty()).then(|| self.heard_at + QUIET);
        [self.quic.poll_timeout(), quiet].into_iter().flatten().min()
    }

    pub fn fire(&mut self, now: Instant) {
        if !self.places.is_empty() && now >= self.heard_at + QUIET {
            self.heard_at = now;
            self.quic.ping();
        }
        self.quic.handle_timeout(now);
        self.stirs = true;
    }

    /// The connection is to end, which the peer is told by what is sent after that.
    pub fn close(&mut self, now: Instant) {
        self.end_with(now, code::NO_ERROR);
    }

    fn end_with(&mut self, now: Instant, code: u64) {
        if !self.quic.is_closed() {
            self.quic.close(now, varint_of(code), Bytes::new());
            self.stirs = true;
        }
    }

    /// Looks at what came.
    pub fn poll(&mut self) {
        while let Some(event) = self.quic.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.quic.handle_event(event);
            }
        }
        while let Some(event) = self.quic.poll() {
            match event {
                Event::Connected => self.settle(),
                Event::ConnectionLost { reason } => self.lose(Over::Quic(reason)),
                Event::Stream(StreamEvent::Opened { dir: Dir::Uni }) => {
                    while let Some(number) = self.quic.streams().accept(Dir::Uni) {
                        self.beside.insert(number, Beside::default());
                        self.read_beside(number);
                    }
                }
                Event::Stream(StreamEvent::Readable { id } | StreamEvent::Writable { id } | StreamEvent::Stopped { id, .. }) => {
                    match self.places.get(&id) {
                        Some(at) => self.list(*at),
                        None => self.read_beside(id),
                    }
                }
                _ => {}
            }
        }
    }

    /// The handshake is over: says what this side takes.
    fn settle(&mut self) {
        self.is_up = true;
        let Some(number) = self.quic.streams().open(Dir::Uni) else { return }; // a server of HTTP/3 lets three be opened
        let mut settings = Vec::new();
        push_varint(&mut settings, MAX_FIELD_SECTION_SIZE);
        push_varint(&mut settings, MAX_HEAD_BYTES as u64);
        let mut bytes = vec![0]; // a control stream
        push_varint(&mut bytes, SETTINGS);
        push_varint(&mut bytes, settings.len() as u64);
        bytes.extend_from_slice(&settings);
        // any window takes so few bytes, or the server does not want to know
        self.sent_beside += self.quic.send_stream(number).write(&bytes).unwrap_or(0) as u64;
        self.stirs = true;
    }

    fn lose(&mut self, over: Over) {
        self.over.get_or_insert(over);
        for at in 0..self.streams.len() {
            if self.is_under_way(at) {
                self.list(at);
            }
        }
    }

    /// The peer broke the rules.
    fn refuse(&mut self, code: u64) {
        self.end_with(self.heard_at, code);
        self.lose(Over::Wrong(code));
    }

    fn list(&mut self, at: usize) {
        if !std::mem::replace(&mut self.streams[at].is_listed, true) {
            self.moved.push_back(at);
        }
    }

    /// A stream that the peer opened.
    fn read_beside(&mut self, number: StreamId) {
        let Some(mut stream) = self.beside.remove(&number) else { return };
        let left_from = self.said.leaves_from;
        let (count, read) = match self.quic.recv_stream(number).read(true) {
            Ok(mut chunks) => {
                let mut count = 0;
                let read = loop {
                    match chunks.next(usize::MAX) {
                        Ok(Some(chunk)) => {
                            count += chunk.bytes.len() as u64;
                            if let Err(code) = stream.feed(&chunk.bytes, &mut self.said) {
                                break Err(code);
                            }
                        }
                        Err(ReadError::Blocked) => break Ok(true),
                        Ok(None) | Err(ReadError::Reset(_)) => break stream.end().map(|()| false),
                    }
                };
                self.stirs |= chunks.finalize().should_transmit();
                (count, read)
            }
            Err(_) => return,
        };
        self.received_beside += count;
        self.since_answer += count;
        match read {
            Ok(true) => drop(self.beside.insert(number, stream)),
            Ok(false) => {}
            Err(code) => self.refuse(code),
        }
        if self.said.leaves_from != left_from {
            for at in 0..self.streams.len() {
                if self.is_unseen(at) {
                    self.list(at);
                }
            }
        }
    }

    pub fn standing(&self) -> Standing {
        match &self.over {
            Some(Over::Quic(reason)) if !self.is_up => Standing::Failed(lost::unmade(reason)),
            Some(Over::Wrong(code)) if !self.is_up => Standing::Failed(lost::wrong(*code)),
            _ if self.is_up => Standing::Up,
            _ if self.heard > 0 => Standing::Handshake,
            _ => Standing::Connecting,
        }
    }

    /// Whether there is anything to be done without the network.
    pub fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// Whether something may be to be sent.
    pub fn stirs(&self) -> bool {
        self.stirs
    }

    /// Whether it takes another request, now or when one has ended.
    pub fn is_usable(&self) -> bool {
        self.over.is_none() && self.said.leaves_from.is_none()
    }

    /// Whether the peer sends and sends, and none of it is an answer.
    pub fn is_flooded(&self) -> bool {
        self.since_answer > MOST_BESIDE_BYTES
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

    /// A request that may go on.
    pub fn next_moved(&mut self) -> Option<usize> {
        loop {
            let at = self.moved.pop_front()?;
            self.streams[at].is_listed = false;
            if self.is_under_way(at) {
                return Some(at);
            }
        }
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
    fn is_unseen(&self, at: usize) -> bool {
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

    /// Whether the peer has said anything since the request began.
    pub fn has_heard_since(&self, at: usize) -> bool {
        self.heard > self.streams[at].heard
    }

    /// The requests that are under way.
    pub fn all(&self) -> impl Iterator<Item = usize> + use<'_> {
        (0..self.streams.len()).filter(|at| self.is_under_way(*at))
    }

    pub fn is_under_way(&self, at: usize) -> bool {
        self.streams[at].number.is_some()
    }
}

pub fn flood() -> Failure {
    Failure::new(Outcome::Protocol, "frames without end, and no whole answer among them")
}

fn varint_of(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}
