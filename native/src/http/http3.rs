//! HTTP/3 on one connection (RFC 9114): requests side by side, each a stream of QUIC (RFC 9000), without a socket.
//!
//! `quinn-proto` keeps packets, acknowledgements, TLS and streams. Datagrams go in and out; frames and header fields are read and
//! written here, as no crate does that without tasks of its own. Nothing is sent before the handshake is over (no 0-RTT).

pub mod answer;
pub mod beside;
pub mod ciphers;
pub mod code;
pub mod frames;
pub mod head;
mod huffman;
mod known_fields;
pub mod line;
mod lost;
pub mod qpack;
mod requests;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::{
    ClientConfig, Connection, ConnectionError, ConnectionHandle, DatagramEvent, Dir, EcnCodepoint, Endpoint, EndpointConfig, Event,
    ReadError, StreamEvent, StreamId, Transmit, VarInt,
};
use rustls::CipherSuite;

use self::beside::{Beside, Said};
use self::frames::{SETTINGS, push_varint};
use self::qpack::Fields;
pub use self::requests::Stream;
use crate::http::http2::MOST_BESIDE_BYTES;
use crate::http::reading::MAX_HEAD_BYTES;
use crate::plan::outcome::{Failure, Outcome};

/// What SETTINGS says of header fields (RFC 9114 section 7.2.4.1).
const MAX_FIELD_SECTION_SIZE: u64 = 6;
/// A peer that says nothing for so long while a request is under way is asked whether it is there, before the connection is idle for too
/// long: most servers wait for 30 s or more.
const QUIET: Duration = Duration::from_secs(10);

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
    /// What the handshake agreed on, once it is over.
    cipher: Option<CipherSuite>,
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
            cipher: None,
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
            self.cipher = ciphers::told_in(|| self.quic.handle_event(event)).or(self.cipher);
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

    /// The cipher that is used once the handshake is over.
    pub fn cipher(&self) -> Option<CipherSuite> {
        self.cipher.filter(|_| self.is_up)
    }

    /// Whether a whole answer has come.
    pub fn has_answered(&self) -> bool {
        self.has_answered
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
