//! HTTP/3 on a whole connection: whatever a server says on its streams and below them, and whatever becomes of its datagrams, nothing
//! breaks the client, keeps it busy or makes it hold more than its bounds; and what a network loses, doubles and swaps changes no answer.

use std::time::Duration;

use _native::http::http2::Lost;
use _native::http::http3::Standing;
use _native::http::http3::frames::push_varint;
use _native::http::http3::head::head_of;
use _native::http::reading::Progress;
use _native::plan::Place;
use _native::plan::outcome::Outcome;
use proptest::prelude::*;
use quinn_proto::VarInt;
use rustls::CipherSuite;

mod holding;
mod quic;
use holding::{HELD, PEAK};
use quic::{Link, Terms, USUAL};

const MOST_BODY: u64 = 60_000;
/// Of one connection, with its server and the network between: windows of 2 MiB, fields as text and packed, what TLS keeps.
const MOST_HELD: isize = 8 * 1024 * 1024;
/// The client says nothing without end: so many datagrams to each that it got, and to each that its clock or the test made it send.
const MOST_SENT_EACH: usize = 8;

#[derive(Clone, Debug)]
enum Deed {
    /// The server says something on a stream of its own, or on that of a request.
    Say {
        is_own: bool,
        at: usize,
        bytes: Vec<u8>,
        ends: bool,
    },
    Open(Vec<u8>),
    Reset {
        is_own: bool,
        at: usize,
        code: u64,
    },
    Stop {
        at: usize,
        code: u64,
    },
    Close {
        code: u64,
        reason: Vec<u8>,
    },
    /// Frames of QUIC in place of those that the server has to send.
    Within(Vec<u8>),
    Forget,
    NewKeys,
    /// What becomes of its datagrams.
    Pass(usize),
    Lose,
    Twice,
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Swap,
    /// Datagrams of somebody else.
    Junk(Vec<u8>),
    Versions(Vec<u32>),
    Retry(Vec<u8>),
    Wait(u64),
    /// The client asks, reads, and gives up.
    Ask(usize),
    Read,
    GiveUp(usize),
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(&mut out, kind);
    push_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

fn varint(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(&mut out, number);
    out
}

fn answer(body: &[u8]) -> Vec<u8> {
    [frame(1, &[0, 0, 0xd9]), frame(0, body)].concat()
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..70, Just(0x100), Just(0x10b), Just(1 << 14), Just((1 << 62) - 1), 0..1u64 << 62]
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        any_bytes(),
        Just(vec![0, 0, 0xd9]),
        Just(vec![0, 0, 0xd8]),
        Just(vec![6, 0x40, 0xff]),
        any_number().prop_map(varint),
        (any_number(), any_number()).prop_map(|(name, value)| [varint(name), varint(value)].concat()),
        Just(vec![0xfa; 70_000]),
    ];
    let known = prop::sample::select(vec![0u64, 1, 1, 2, 3, 4, 5, 7, 7, 13, 0x21]);
    let whole = (known, payload).prop_map(|(kind, payload)| frame(kind, &payload));
    let begun = (any_number(), any_number()).prop_map(|(kind, length)| [varint(kind), varint(length)].concat());
    prop_oneof![5 => whole, 1 => begun]
}

/// What a server may say on a stream: parts of an answer, of a control stream, of a table's streams, and what is none of them.
fn any_words() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any_bytes(),
        prop::collection::vec(any_frame(), 0..5).prop_map(|frames| frames.concat()),
        any_bytes().prop_map(|body| answer(&body)),
        Just(frame(4, &[])),
        Just(vec![0x3f, 0xe1, 0x1f]), // an entry for the table, and a section that was read
        Just(vec![0x80]),
    ]
}

/// A stream of the server's own with its first byte.
fn any_opening() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![0u64, 0, 1, 2, 3, 0x21, 0x54]);
    (kind, any_words()).prop_map(|(kind, words)| [varint(kind), words].concat())
}

/// Frames of QUIC (RFC 9000 section 19): of a kind that there is with numbers of any size, or any bytes.
fn any_packet() -> impl Strategy<Value = Vec<u8>> {
    let one = (0u64..0x32, prop::collection::vec(any_number(), 0..6), any_bytes())
        .prop_map(|(kind, numbers, rest)| [varint(kind), numbers.into_iter().flat_map(varint).collect(), rest].concat());
    prop_oneof![one, any_bytes()]
}

/// What happens to datagrams in any network, except that a connection of many losses may end.
fn any_weather() -> impl Strategy<Value = Deed> {
    let short =
        prop::collection::vec(any::<u8>(), 0..60).prop_filter("versions are another matter", |bytes| bytes.get(1..5) != Some(&[0; 4]));
    prop_oneof![
        4 => (1usize..4).prop_map(Deed::Pass),
        1 => Just(Deed::Lose),
        1 => Just(Deed::Twice),
        1 => any::<prop::sample::Index>().prop_map(Deed::Cut),
        1 => (any::<prop::sample::Index>(), 1u8..).prop_map(|(at, with)| Deed::Flip(at, with)),
        1 => Just(Deed::Swap),
        1 => short.prop_map(Deed::Junk),
        1 => (1u64..400).prop_map(Deed::Wait),
    ]
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let (is_own, at) = (any::<bool>(), 0usize..4);
    prop_oneof![
        6 => any_weather(),
        6 => (is_own, at.clone(), any_words(), any::<bool>()).prop_map(|(is_own, at, bytes, ends)| Deed::Say { is_own, at, bytes, ends }),
        3 => any_opening().prop_map(Deed::Open),
        1 => (is_own, at.clone(), any_number()).prop_map(|(is_own, at, code)| Deed::Reset { is_own, at, code }),
        1 => (at.clone(), any_number()).prop_map(|(at, code)| Deed::Stop { at, code }),
        1 => (any_number(), any_bytes()).prop_map(|(code, reason)| Deed::Close { code, reason }),
        3 => any_packet().prop_map(Deed::Within),
        1 => Just(Deed::Forget),
        1 => Just(Deed::NewKeys),
        1 => prop::collection::vec(prop_oneof![Just(1), any::<u32>()], 0..4).prop_map(Deed::Versions),
        1 => any_bytes().prop_map(Deed::Retry),
        1 => (1_000u64..60_000).prop_map(Deed::Wait),
        4 => prop_oneof![Just(0), 1usize..5_000].prop_map(Deed::Ask),
        4 => Just(Deed::Read),
        1 => at.prop_map(Deed::GiveUp),
    ]
}

/// How and with which words a handshake fails, if it does.
type Failed = Option<(Outcome, &'static str)>;
type Ended = Result<(u16, Vec<u8>), Lost>;

/// A link, and a client's requests by their places, with their bodies.
struct Play {
    link: Link,
    asked: Vec<(usize, Vec<u8>)>,
    ended: Vec<Ended>,
    given: usize,
    pushed: usize,
}

impl Play {
    fn new(terms: Terms) -> Self {
        Play { link: Link::new(terms), asked: vec![], ended: vec![], given: 0, pushed: 0 }
    }

    /// The handshake, with nothing in its way.
    fn connected(terms: Terms) -> Self {
        let mut play = Play::new(terms);
        play.calm(1);
        assert_eq!(play.link.client.standing(), Standing::Up);
        play
    }

    /// All datagrams pass, for so long.
    fn calm(&mut self, seconds: u64) {
        for _ in 0..seconds * 20 {
            self.link.wait(Duration::from_millis(50));
            while self.link.pass() {
                self.given += 1;
                self.link.hear();
            }
        }
    }

    fn ask(&mut self, body: usize) {
        let place = Place { https: true, host: "shop.example".into(), port: 443, ..Place::default() };
        let body = vec![b'u'; body];
        let head = || head_of(b"POST /a HTTP/1.1\r\nHost: shop.example\r\n\r\n", &place);
        match self.link.client.ask(1, head, &body, false, |reader| reader.begin(false, MOST_BODY as usize, MOST_BODY)) {
            Ok(Some(at)) => {
                self.pushed += 1 + body.len() / 1_000;
                self.asked.push((at, body));
            }
            Ok(None) => {}
            Err(lost) => self.ended.push(Err(lost)),
        }
        self.read();
    }

    fn read(&mut self) {
        self.link.client.poll();
        while let Some(at) = self.link.client.next_moved() {
            let Some(which) = self.asked.iter().position(|(place, _)| *place == at) else { continue };
            let found = self.link.client.go_on(at, &self.asked[which].1);
            if found == Ok(Progress::More) {
                continue;
            }
            let reader = &self.link.client.streams[at].reader;
            self.ended.push(found.map(|_| (reader.status, reader.body(b"").to_vec())));
            self.link.client.end(at);
            self.asked.swap_remove(which);
        }
        self.link.hear();
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(datagram) = self.link.to_client.front_mut() {
            change(datagram);
        }
    }

    fn give(&mut self, datagram: &[u8]) {
        self.given += 1;
        self.link.give(datagram);
    }

    fn act(&mut self, deed: &Deed) {
        let code = |code: u64| VarInt::from_u64(code).unwrap_or(VarInt::MAX);
        match deed {
            Deed::Say { is_own, at, bytes, ends } => {
                if let Some(number) = self.link.stream(*is_own, *at) {
                    self.link.write(number, bytes, *ends);
                }
            }
            Deed::Open(bytes) => {
                if let Some(number) = self.link.open() {
                    self.link.write(number, bytes, false);
                }
            }
            Deed::Reset { is_own, at, code: with } => {
                let number = self.link.stream(*is_own, *at);
                if let (Some(number), Some(server)) = (number, self.link.server()) {
                    let _ = server.send_stream(number).reset(code(*with));
                }
            }
            Deed::Stop { at, code: with } => {
                let number = self.link.stream(false, *at);
                if let (Some(number), Some(server)) = (number, self.link.server()) {
                    let _ = server.recv_stream(number).stop(code(*with));
                }
            }
            Deed::Close { code, reason } => self.link.close(*code, reason),
            Deed::Within(bytes) => self.link.say_within(bytes.clone()),
            Deed::Forget => self.link.forget(),
            Deed::NewKeys => {
                if let Some(server) = self.link.server().filter(|server| !server.is_handshaking()) {
                    server.force_key_update();
                }
            }
            Deed::Pass(count) => {
                for _ in 0..*count {
                    self.given += usize::from(self.link.pass());
                }
            }
            Deed::Lose => drop(self.link.to_client.pop_front()),
            Deed::Twice => {
                if let Some(datagram) = self.link.to_client.front().cloned() {
                    self.give(&datagram);
                }
            }
            Deed::Cut(at) => self.change(|datagram| datagram.truncate(at.index(datagram.len() + 1))),
            Deed::Flip(at, with) => self.change(|datagram| {
                if !datagram.is_empty() {
                    let at = at.index(datagram.len());
                    datagram[at] ^= if at == 4 { with | 2 } else { *with }; // never into a list of versions, which is believed
                }
            }),
            Deed::Swap => {
                if self.link.to_client.len() > 1 {
                    self.link.to_client.swap(0, 1);
                }
            }
            Deed::Junk(bytes) => self.give(bytes),
            Deed::Versions(versions) => {
                let versions: Vec<u8> = versions.iter().flat_map(|version| version.to_be_bytes()).collect();
                let answer = [&[0x80, 0, 0, 0, 0][..], &names(&self.link.first), &versions].concat();
                self.give(&answer);
            }
            Deed::Retry(bytes) => {
                let answer = [&[0xf0, 0, 0, 0, 1][..], &names(&self.link.first), bytes].concat();
                self.give(&answer);
            }
            Deed::Wait(milliseconds) => self.link.wait(Duration::from_millis(*milliseconds)),
            Deed::Ask(body) => self.ask(*body),
            Deed::Read => self.read(),
            Deed::GiveUp(at) => {
                if !self.asked.is_empty() {
                    let (place, _) = self.asked.swap_remove(at % self.asked.len());
                    self.link.client.end(place);
                }
            }
        }
        self.link.hear();
    }

    fn all(&mut self, deeds: &[Deed]) {
        deeds.iter().for_each(|deed| self.act(deed));
    }
}

/// Whom an answer to a client's first datagram is for, and from whom (RFC 8999 section 5.1): the two are changed round.
fn names(first: &[u8]) -> Vec<u8> {
    let to = first[5] as usize;
    let from = first[6 + to] as usize;
    [&first[6 + to..7 + to + from], &first[5..6 + to]].concat()
}

/// What one answer of the server comes to, if it says it on the request's stream and control streams before.
fn outcome_of(terms: Terms, deeds: &[Deed]) -> (Outcome, String) {
    let mut play = Play::connected(terms);
    play.ask(0);
    play.calm(1);
    play.all(deeds);
    play.calm(1);
    play.read();
    match play.ended.pop() {
        Some(Ok((status, _))) => (Outcome::Ok, status.to_string()),
        Some(Err(Lost::Failed(why) | Lost::Stream(why) | Lost::Unseen(why) | Lost::Refused(why))) => (why.outcome, why.text),
        Some(Err(Lost::TooLarge)) => (Outcome::TooLarge, String::new()),
        None => (Outcome::Timeout, format!("{:?}", play.link.client.standing())),
    }
}

fn say(bytes: &[u8], ends: bool) -> Deed {
    Deed::Say { is_own: false, at: 0, bytes: bytes.to_vec(), ends }
}

#[test]
fn what_a_server_does_below_http_3_has_its_outcome() {
    let whole = say(&answer(b"hi"), true);
    let cases: [(&str, Vec<Deed>, Outcome, &str); 14] = [
        ("an answer", vec![whole.clone()], Outcome::Ok, "200"),
        ("new keys", vec![Deed::NewKeys, whole.clone()], Outcome::Ok, "200"),
        ("other versions, too late", vec![Deed::Versions(vec![9]), whole.clone()], Outcome::Ok, "200"),
        ("a retry, too late", vec![Deed::Retry(vec![7; 40]), whole.clone()], Outcome::Ok, "200"),
        ("bytes of somebody else", vec![Deed::Junk(vec![0x40; 100]), Deed::Junk(vec![]), whole.clone()], Outcome::Ok, "200"),
        ("nothing", vec![], Outcome::Timeout, "Up"),
        ("a restart", vec![Deed::Forget, Deed::Wait(15_000)], Outcome::Closed, "does not know the connection any more"),
        ("a farewell", vec![Deed::Close { code: 0x100, reason: vec![] }], Outcome::Closed, "closed before an answer"),
        ("too much", vec![Deed::Close { code: 0x107, reason: b"no".to_vec() }], Outcome::Closed, "H3_EXCESSIVE_LOAD (no)"),
        ("a reset", vec![Deed::Reset { is_own: false, at: 0, code: 0x102 }], Outcome::Closed, "RESET_STREAM H3_INTERNAL_ERROR"),
        ("a frame that is none", vec![Deed::Within(vec![0x3f])], Outcome::Protocol, "breaks the rules of QUIC"),
        ("a stream of the client's that is none", vec![Deed::Within(vec![8, 0x40, 0xc8])], Outcome::Protocol, "STREAM_STATE_ERROR"),
        ("more than the window", vec![Deed::Within(vec![0x0c, 0, 0x90, 0, 0, 0])], Outcome::Protocol, "FLOW_CONTROL_ERROR"),
        ("what was never sent is acknowledged", vec![Deed::Within(vec![2, 0x7f, 0xff, 0, 0, 0])], Outcome::Protocol, "PROTOCOL_VIOLATION"),
    ];
    for (name, deeds, outcome, text) in cases {
        let found = outcome_of(USUAL, &deeds);
        assert!(found.0 == outcome && found.1.contains(text), "{name}: {found:?}");
    }
}

#[test]
fn a_handshake_ends_by_what_comes() {
    let other = Terms { protocol: b"hq", ..USUAL };
    let cases: [(&str, Terms, Vec<Deed>, Failed); 8] = [
        ("as usual", USUAL, vec![], None),
        ("with a retry", Terms { retries: true, ..USUAL }, vec![], None),
        ("behind a retry that nobody signed", USUAL, vec![Deed::Retry(vec![7; 40])], None),
        ("behind bytes of somebody else", USUAL, vec![Deed::Junk(vec![0x40; 100]), Deed::Junk(vec![0xff; 1200])], None),
        ("behind versions that are no others", USUAL, vec![Deed::Versions(vec![1, 9])], None),
        ("a server of another version", USUAL, vec![Deed::Versions(vec![9])], Some((Outcome::Connect, "no version of QUIC"))),
        ("a server of another protocol", other, vec![], Some((Outcome::Tls, "did not choose HTTP/3"))),
        (
            "one that ends it",
            USUAL,
            vec![Deed::Lose, Deed::Lose, Deed::Lose, Deed::Close { code: 0, reason: vec![] }],
            Some((Outcome::Connect, "took no connection")),
        ),
    ];
    for (name, terms, deeds, failed) in cases {
        let mut play = Play::new(terms);
        play.all(&deeds);
        play.calm(2);
        match (play.link.client.standing(), failed) {
            (Standing::Up, None) => {}
            (Standing::Failed(found), Some((outcome, text))) if found.outcome == outcome && found.text.contains(text) => {}
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

#[test]
fn the_cipher_is_told_that_was_agreed_on() {
    let ciphers =
        [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS13_AES_256_GCM_SHA384, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256];
    for takes in ciphers {
        for retries in [false, true] {
            let terms = Terms { takes, retries, ..USUAL };
            assert_eq!(Play::new(terms).link.client.cipher(), None, "before the handshake");
            let mut play = Play::connected(terms);
            let mut other = Play::connected(USUAL); // its keys are another's
            other.act(&Deed::NewKeys);
            other.calm(1);
            play.act(&Deed::NewKeys);
            play.calm(1);
            assert_eq!(play.link.client.cipher(), Some(takes));
        }
    }
}

proptest! {
    #[test]
    fn weather_changes_no_answer(
        body in prop::collection::vec(any::<u8>(), 0..9_000),
        upload in prop_oneof![Just(0usize), 1usize..5_000],
        before in prop::collection::vec(any_weather(), 0..8),
        within in prop::collection::vec(any_weather(), 0..12),
        retries in any::<bool>(),
    ) {
        let mut play = Play::new(Terms { retries, ..USUAL });
        if !retries {
            play.all(&before); // quinn-proto takes no retry any more once one came damaged
        }
        play.calm(20);
        prop_assert_eq!(play.link.client.standing(), Standing::Up);
        play.ask(upload);
        play.calm(1);
        play.act(&say(&answer(&body), true));
        play.all(&within);
        play.calm(20);
        play.read();
        prop_assert_eq!(&play.ended, &[Ok((200, body))]);
    }

    #[test]
    fn nothing_breaks_a_client_or_keeps_it_busy(
        is_connected in any::<bool>(),
        retries in any::<bool>(),
        deeds in prop::collection::vec(any_deed(), 0..40),
    ) {
        let held = HELD.get();
        PEAK.set(held);
        let terms = Terms { retries, ..USUAL };
        let mut play = if is_connected { Play::connected(terms) } else { Play::new(terms) };
        if is_connected {
            play.ask(0);
        }
        play.all(&deeds);
        play.calm(90);
        play.read();
        let most = MOST_SENT_EACH * (20 + play.given + play.link.rung + play.pushed + deeds.len());
        prop_assert!(play.link.sent <= most, "{} datagrams for {} that came", play.link.sent, play.given);
        // what is over takes all its requests with it
        prop_assert!(play.link.client.is_usable() || play.asked.is_empty() || !matches!(play.link.client.standing(), Standing::Failed(_)));
        play.link.client.close(play.link.now);
        play.calm(60);
        prop_assert!(!play.link.client.stirs());
        prop_assert_eq!(play.link.client.due(), play.link.client.due().filter(|due| *due > play.link.now));
        prop_assert!(PEAK.get() - held < MOST_HELD, "{} bytes", PEAK.get() - held);
        drop(play);
    }
}
