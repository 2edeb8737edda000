//! A server of QUIC that does to a client of HTTP/3 whatever it is told, and the network between them, without a socket and without a
//! clock: what time it is says the test.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use _native::http::http3::{Session, line};
use _native::http::tls::{HTTP_3, config_of};
use _native::plan::{Tls, TlsTerms};
use bytes::{Bytes, BytesMut};
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, RandomConnectionIdGenerator, ServerConfig,
    StreamEvent, StreamId, VarInt,
};
use rustls::crypto::cipher::{AeadKey, Iv};
use rustls::crypto::{CipherSuiteCommon, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::quic::{Algorithm, HeaderProtectionKey, PacketKey, Tag};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{CipherSuite, Error, SupportedCipherSuite, Tls13CipherSuite};

const SERVER: &str = "127.0.0.1:4433";
const CLIENT: &str = "127.0.0.1:5544";
/// RFC 8410 section 7: what stands before the 32 bytes of a key of Ed25519.
const KEY_HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A clock that rings again and again and changes nothing would keep a loop busy.
const MOST_RINGS_AT_ONCE: usize = 4;

thread_local! {
    /// What the server's next packets say in place of what they would have; the rest of each is padding.
    static SAYS: RefCell<VecDeque<Vec<u8>>> = const { RefCell::new(VecDeque::new()) };
}

/// A cipher whose packets can be made to say something else.
struct Lying(&'static dyn Algorithm);
struct LyingKey(Box<dyn PacketKey>);

impl Algorithm for Lying {
    fn packet_key(&self, key: AeadKey, iv: Iv) -> Box<dyn PacketKey> {
        Box::new(LyingKey(self.0.packet_key(key, iv)))
    }

    fn header_protection_key(&self, key: AeadKey) -> Box<dyn HeaderProtectionKey> {
        self.0.header_protection_key(key)
    }

    fn aead_key_len(&self) -> usize {
        self.0.aead_key_len()
    }
}

impl PacketKey for LyingKey {
    fn encrypt_in_place(&self, number: u64, header: &[u8], payload: &mut [u8]) -> Result<Tag, Error> {
        if let Some(lie) = SAYS.with_borrow_mut(VecDeque::pop_front) {
            let count = lie.len().min(payload.len());
            payload.fill(0);
            payload[..count].copy_from_slice(&lie[..count]);
        }
        self.0.encrypt_in_place(number, header, payload)
    }

    fn decrypt_in_place<'a>(&self, number: u64, header: &[u8], payload: &'a mut [u8]) -> Result<&'a [u8], Error> {
        self.0.decrypt_in_place(number, header, payload)
    }

    fn tag_len(&self) -> usize {
        self.0.tag_len()
    }

    fn confidentiality_limit(&self) -> u64 {
        self.0.confidentiality_limit()
    }

    fn integrity_limit(&self) -> u64 {
        self.0.integrity_limit()
    }
}

fn lying(usual: &'static Tls13CipherSuite) -> Option<SupportedCipherSuite> {
    let CipherSuiteCommon { suite, hash_provider, confidentiality_limit } = usual.common;
    let quic: &'static Lying = Box::leak(Box::new(Lying(usual.quic?)));
    let common = CipherSuiteCommon { suite, hash_provider, confidentiality_limit };
    let (hkdf_provider, aead_alg) = (usual.hkdf_provider, usual.aead_alg);
    Some(SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite { common, hkdf_provider, aead_alg, quic: Some(quic) }))))
}

static SUITES: LazyLock<Vec<SupportedCipherSuite>> =
    LazyLock::new(|| ring::ALL_CIPHER_SUITES.iter().filter_map(|suite| lying(suite.tls13()?)).collect());

/// `takes`: the only cipher besides that of the first packets, which are of AES-128 always.
fn config_for(takes: CipherSuite, protocol: &[u8]) -> Arc<ServerConfig> {
    let usual = SUITES.iter().find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256).and_then(|suite| suite.tls13());
    let first = usual.and_then(Tls13CipherSuite::quic_suite).expect("ring has it");
    let mut provider = ring::default_provider();
    provider.cipher_suites = SUITES.iter().filter(|suite| suite.suite() == takes).copied().collect();
    // nobody looks at the certificate: the client takes any
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from([&KEY_HEAD[..], &[7; 32]].concat()));
    let signer = provider.key_provider.load_private_key(key).expect("a key of Ed25519");
    let shown = CertifiedKey::new(vec![CertificateDer::from(vec![0x30, 0])], signer);
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]).expect("TLS 1.3");
    let mut tls = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    tls.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(ServerConfig::with_crypto(Arc::new(QuicServerConfig::with_initial(Arc::new(tls), first).expect("of AES-128"))))
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// How a server is set up.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub takes: CipherSuite,
    pub protocol: &'static [u8],
    /// Each connection is first asked to show that it is where it says (RFC 9000 section 8.1.2).
    pub retries: bool,
}

pub const USUAL: Terms = Terms { takes: CipherSuite::TLS13_AES_128_GCM_SHA256, protocol: HTTP_3, retries: false };

pub struct Link {
    pub now: Instant,
    pub client: Session,
    terms: Terms,
    endpoint: Endpoint,
    endpoint_config: Arc<EndpointConfig>,
    server: Option<(ConnectionHandle, Connection)>,
    /// Streams by which the server says something: the client's requests, and its own.
    pub requests: Vec<StreamId>,
    pub own: Vec<StreamId>,
    pub to_client: VecDeque<Vec<u8>>,
    to_server: VecDeque<Vec<u8>>,
    /// The client's first datagram, which names the connection.
    pub first: Vec<u8>,
    /// Datagrams that the client sent, and how often its clock rang.
    pub sent: usize,
    pub rung: usize,
}

impl Link {
    pub fn new(terms: Terms) -> Self {
        SAYS.take();
        let mut config = EndpointConfig::default();
        config.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(8)));
        let endpoint_config = Arc::new(config);
        let mut own = EndpointConfig::default();
        own.cid_generator(|| Box::new(RandomConnectionIdGenerator::new(0)));
        let tls = Tls { verify: false, authorities: vec![], certificate: None, key: None, http2: false };
        let config = config_of(&tls, &TlsTerms::default(), Some(HTTP_3)).and_then(line::config_of).expect("a client's");
        let now = Instant::now();
        let endpoint = Endpoint::new(endpoint_config.clone(), Some(config_for(terms.takes, terms.protocol)), true, None);
        let client = Session::new(Arc::new(own), config, address(SERVER), "shop.example", now).expect("a client");
        let (requests, own, to_client, to_server) = Default::default();
        let (server, first) = (None, Vec::new());
        let mut link =
            Link { now, client, terms, endpoint, endpoint_config, server, requests, own, to_client, to_server, first, sent: 0, rung: 0 };
        link.hear();
        link
    }

    pub fn server(&mut self) -> Option<&mut Connection> {
        self.server.as_mut().map(|(_, connection)| connection)
    }

    /// What the server's next packet will say, whatever it would have said.
    pub fn say_within(&mut self, bytes: Vec<u8>) {
        SAYS.with_borrow_mut(|says| says.push_back(bytes));
        if let Some(server) = self.server() {
            server.ping();
        }
    }

    /// The server knows nothing of its connections any more, and answers their packets with stateless resets.
    pub fn forget(&mut self) {
        self.server = None;
        self.endpoint = Endpoint::new(self.endpoint_config.clone(), None, true, None);
    }

    /// The client's streams by which it said something, and the server's own; `at` counts from the last.
    pub fn stream(&mut self, is_own: bool, at: usize) -> Option<StreamId> {
        let all = if is_own { &self.own } else { &self.requests };
        (!all.is_empty()).then(|| all[all.len() - 1 - at % all.len()])
    }

    /// A new stream of the server's; None: the client lets it open no more.
    pub fn open(&mut self) -> Option<StreamId> {
        let number = self.server()?.streams().open(Dir::Uni)?;
        self.own.push(number);
        Some(number)
    }

    pub fn write(&mut self, number: StreamId, bytes: &[u8], ends: bool) {
        let Some(server) = self.server() else { return };
        let mut stream = server.send_stream(number);
        let _ = stream.write(bytes); // as much as the client's window takes
        if ends {
            let _ = stream.finish();
        }
    }

    pub fn close(&mut self, code: u64, reason: &[u8]) {
        let now = self.now;
        if let Some(server) = self.server() {
            server.close(now, VarInt::from_u64(code).unwrap_or(VarInt::MAX), Bytes::copy_from_slice(reason));
        }
    }

    /// What both sides want to say now goes on its way.
    pub fn hear(&mut self) {
        self.client.poll();
        let mut bytes = Vec::new();
        while let Some(next) = self.client.transmit(self.now, 1, &mut bytes) {
            if self.sent == 0 {
                self.first = bytes[..next.size].to_vec();
            }
            self.to_server.push_back(bytes[..next.size].to_vec());
            self.sent += 1;
            bytes.clear();
        }
        while let Some(datagram) = self.to_server.pop_front() {
            self.serve(&datagram);
        }
        self.pump();
    }

    /// The oldest datagram that is on its way to the client comes there.
    pub fn pass(&mut self) -> bool {
        let Some(datagram) = self.to_client.pop_front() else { return false };
        self.give(&datagram);
        true
    }

    /// The client gets a datagram.
    pub fn give(&mut self, datagram: &[u8]) {
        self.client.feed(self.now, None, BytesMut::from(datagram));
        self.client.poll();
    }

    /// Time goes on; what was due is done.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut at_once = 0;
        loop {
            self.hear();
            let theirs = self.server.as_mut().and_then(|(_, server)| server.poll_timeout());
            let due = [self.client.due(), theirs].into_iter().flatten().min().filter(|due| *due <= until);
            let Some(due) = due else { break };
            if due > self.now {
                (self.now, at_once) = (due, 0);
            }
            if self.client.due().is_some_and(|due| due <= self.now) {
                self.rung += 1;
                at_once += 1;
                self.client.fire(self.now);
                assert!(at_once < MOST_RINGS_AT_ONCE, "its clock rings on and on");
            }
            if let Some((_, server)) = &mut self.server
                && server.poll_timeout().is_some_and(|due| due <= self.now)
            {
                server.handle_timeout(self.now);
            }
        }
        self.now = until;
        self.hear();
    }

    fn serve(&mut self, datagram: &[u8]) {
        let mut answer = Vec::new();
        match self.endpoint.handle(self.now, address(CLIENT), None, None, BytesMut::from(datagram), &mut answer) {
            Some(DatagramEvent::NewConnection(incoming)) if self.terms.retries && incoming.may_retry() => {
                if let Ok(retry) = self.endpoint.retry(incoming, &mut answer) {
                    self.to_client.push_back(answer[..retry.size].to_vec());
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => match self.endpoint.accept(incoming, self.now, &mut answer, None) {
                Ok(accepted) => self.server = Some(accepted),
                Err(error) => self.to_client.extend(error.response.map(|response| answer[..response.size].to_vec())),
            },
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, server)) = &mut self.server {
                    server.handle_event(event);
                }
            }
            Some(DatagramEvent::Response(response)) => self.to_client.push_back(answer[..response.size].to_vec()),
            None => {}
        }
    }

    fn pump(&mut self) {
        let Some((handle, server)) = &mut self.server else { return };
        while let Some(event) = server.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                server.handle_event(event);
            }
        }
        while let Some(event) = server.poll() {
            if matches!(event, Event::Stream(StreamEvent::Opened { dir: Dir::Bi })) {
                while let Some(number) = server.streams().accept(Dir::Bi) {
                    self.requests.push(number);
                }
            }
        }
        let mut bytes = Vec::new();
        while let Some(next) = server.poll_transmit(self.now, 1, &mut bytes) {
            self.to_client.push_back(bytes[..next.size].to_vec());
            bytes.clear();
        }
    }
}
