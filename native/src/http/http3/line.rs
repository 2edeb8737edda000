//! A connection that speaks HTTP/3: between its socket and its session.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::QuicClientConfig;
use quinn_proto::{ClientConfig, EndpointConfig, NoneTokenStore, RandomConnectionIdGenerator, TransportConfig, VarInt};
use quinn_udp::EcnCodepoint;

use super::head::head_of;
use super::{Session, Standing, flood};
use crate::http::carrier::{Carrier, Heads, Heard, Ridden, Rooms};
use crate::http::http2::Lost;
use crate::http::reading::{Progress, Reader};
use crate::os::packets::Packets;
use crate::os::turn::MOST_TLS_BYTES;
use crate::os::wire::words;
use crate::plan::Place;
use crate::plan::outcome::{Failure, Outcome};

/// How much an answer may be ahead of us, and all answers of a connection: as with HTTP/2.
const WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Streams that a server opens: three that it needs, and some that mean nothing.
const MOST_STREAMS_OF_SERVER: u32 = 16;

/// Connections have a socket of their own, by which their datagrams are told apart.
static ENDPOINT: LazyLock<Arc<EndpointConfig>> = LazyLock::new(|| {
    let mut config = EndpointConfig::default();
    config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
    Arc::new(config)
});

static TRANSPORT: LazyLock<Arc<TransportConfig>> = LazyLock::new(|| {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(MOST_STREAMS_OF_SERVER))
        .max_idle_timeout(None) // the server says it
        .stream_receive_window(VarInt::from_u32(WINDOW_BYTES))
        .receive_window(VarInt::from_u32(WINDOW_BYTES))
        .datagram_receive_buffer_size(None)
        .crypto_buffer_size(MOST_TLS_BYTES as usize)
        .mtu_discovery_config(None);
    Arc::new(config)
});

/// TLS as QUIC takes it. Err: it offers no TLS 1.3.
pub fn config_of(tls: Arc<rustls::ClientConfig>) -> Result<ClientConfig, String> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    // a user knows nothing of what a server told another one
    config.transport_config(TRANSPORT.clone()).token_store(Arc::new(NoneTokenStore));
    Ok(config)
}

pub struct Open {
    pub session: Session,
    packets: Packets,
    to: SocketAddr,
    /// Datagrams that the socket did not take yet.
    unsent: Vec<u8>,
    waits: Option<(Option<usize>, Option<EcnCodepoint>)>,
    deaf: Option<Failure>,
    leaving: Vec<usize>,
    /// When a timer will look at it.
    pub timer_ns: Option<i64>,
}

/// Why a connection can't even be begun.
pub enum NoWay {
    /// By this address.
    Address(io::Error),
    Name(String),
}

impl Open {
    pub fn new(to: SocketAddr, from: Option<IpAddr>, config: ClientConfig, name: &str) -> Result<Self, NoWay> {
        let session = Session::new(ENDPOINT.clone(), config, to, name, Instant::now()).map_err(NoWay::Name)?;
        let packets = Packets::open(to, from).map_err(NoWay::Address)?;
        let (unsent, waits, deaf, leaving) = Default::default();
        Ok(Open { session, packets, to, unsent, waits, deaf, leaving, timer_ns: None })
    }

    pub fn fd(&self) -> i32 {
        self.packets.fd()
    }

    /// How long until `fire` is to be called.
    pub fn due_in(&mut self) -> Option<Duration> {
        self.session.due().map(|due| due.saturating_duration_since(Instant::now()))
    }

    pub fn fire(&mut self) {
        let now = Instant::now();
        if self.session.due().is_some_and(|due| due <= now) {
            self.session.fire(now);
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        match self.session.standing() {
            Standing::Up => Failure::new(Outcome::Closed, format!("the server is gone: {}", words(error))),
            _ => Failure::new(Outcome::Connect, words(error)),
        }
    }

    /// Ok(false): it waits for the socket.
    fn send(&mut self, size: Option<usize>, ecn: Option<EcnCodepoint>) -> bool {
        match self.packets.send(self.to, &self.unsent, size, ecn) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.waits = Some((size, ecn));
                return false;
            }
            // a device may take no large pieces: then they get lost, and smaller ones are sent again
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)) => {}
            Err(error) => self.deaf = Some(self.failure(&error)),
        }
        self.unsent.clear();
        self.deaf.is_none()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.session.close(Instant::now());
        self.flush();
    }
}

impl Carrier for Open {
    type Head = Bytes;

    fn heads(all: &mut Heads) -> &mut Vec<Option<Self::Head>> {
        &mut all.http3
    }

    fn head_of(lines: &[u8], place: &Place) -> Result<Self::Head, Failure> {
        head_of(lines, place)
    }

    fn poll(&mut self) {
        self.session.poll();
    }

    fn next_moved(&mut self) -> Option<usize> {
        self.session.next_moved()
    }

    fn has_moved(&self) -> bool {
        self.session.has_moved()
    }

    fn flood(&self) -> Option<Failure> {
        self.session.is_flooded().then(flood)
    }

    fn is_usable(&mut self) -> bool {
        self.session.is_usable()
    }

    /// A server gives numbers for so many more requests whenever it likes.
    fn most(&self) -> Option<usize> {
        None
    }

    fn has_answered(&self) -> bool {
        self.session.has_answered()
    }

    fn ask(
        &mut self,
        user: u32,
        head: impl FnOnce() -> Result<Self::Head, Failure>,
        body: &[u8],
        is_head: bool,
        begin: impl FnOnce(&mut Reader),
    ) -> Result<Option<usize>, Lost> {
        self.session.ask(user, head, body, is_head, begin)
    }

    fn go_on(&mut self, at: usize, body: &[u8]) -> Result<Progress, Lost> {
        self.session.go_on(at, body)
    }

    fn request(&mut self, at: usize) -> Ridden<'_> {
        let stream = &mut self.session.streams[at];
        Ridden { user: stream.user, reader: &mut stream.reader, has_left: &mut stream.has_left }
    }

    fn end(&mut self, at: usize) -> (u64, u64) {
        self.session.end(at)
    }

    fn all(&self) -> Vec<usize> {
        self.session.all().collect()
    }

    fn is_under_way(&self, at: usize) -> bool {
        self.session.is_under_way(at)
    }

    fn has_heard_since(&self, at: usize) -> bool {
        self.session.has_heard_since(at)
    }

    fn flush(&mut self) -> bool {
        if self.deaf.is_some() {
            return false;
        }
        if let Some((size, ecn)) = self.waits.take()
            && !self.send(size, ecn)
        {
            return false;
        }
        let now = Instant::now();
        while self.session.stirs()
            && let Some(next) = self.session.transmit(now, self.packets.most_at_once(), &mut self.unsent)
        {
            if !self.send(next.segment_size, next.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8))) {
                return false;
            }
        }
        false
    }

    fn is_flushed(&self) -> bool {
        self.waits.is_none() && !self.session.stirs()
    }

    fn is_asked(&self, at: usize, _: &[u8]) -> bool {
        self.session.streams[at].is_asked()
    }

    fn leaving(&mut self) -> &mut Vec<usize> {
        &mut self.leaving
    }

    fn take_deaf(&mut self) -> Option<Failure> {
        self.deaf.take()
    }

    fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    fn short_read_is_all(&self) -> bool {
        true
    }

    fn read(&mut self, rooms: Rooms) -> Heard {
        let now = Instant::now();
        let Open { session, packets, .. } = self;
        let more = packets.receive(rooms.packets, |bytes, size, ecn| {
            let mut all = BytesMut::from(bytes);
            while !all.is_empty() {
                let datagram = all.split_to(size.min(all.len()));
                session.feed(now, ecn.and_then(|ecn| quinn_proto::EcnCodepoint::from_bits(ecn as u8)), datagram);
            }
        });
        match more {
            Ok(more) => Heard::Some { more },
            Err(error) if error.kind() == ErrorKind::WouldBlock => Heard::Nothing,
            Err(error) => Heard::Failed(self.failure(&error)),
        }
    }
}
