//! The client of `websocket_user`, fed whole, byte by byte, and with what belongs to the next message behind.

use std::rc::Rc;
use std::sync::Arc;

use _native::plan::Place;
use _native::plan::message::{Asked, Awaited, Method, Target, WebSocketRequest, WebSocketSpeech};
use _native::plan::outcome::Outcome;
use _native::protocols::Client;
use _native::protocols::orders::{Lost, Orders, Reply};
use _native::protocols::websocket::WebSocketClient;
use _native::values::found::{PartPlan, Path};
use proptest::prelude::*;
use tungstenite::handshake::derive_accept_key;

mod talking;
use talking::{cases, ordered};

const MOST_BYTES: usize = 1_000;

fn id() -> Path {
    vec![PartPlan::Either("id".into())].into()
}

fn asked(method: Method, data: &str) -> Asked {
    let place = Place { host: "127.0.0.1".into(), port: 7, ..Place::default() };
    let target = Target {
        url: "ws://127.0.0.1:7/".into(),
        place,
        resource: "/".into(),
        headers: vec![("User-Agent".into(), "loadflow".into())],
        subprotocols: vec![],
        compression: false,
        has_url: true,
        has_options: false,
    };
    let awaited = (method == Method::Send).then(|| {
        let (path, name) = ("id".to_owned(), "the answer".to_owned());
        Awaited { key: data.into(), path, cut: id(), timeout_s: 3.0, name }
    });
    let (target, data, expect) = (Some(Arc::new(target)), data.as_bytes().to_vec(), String::new());
    Asked::Websocket(Arc::new(WebSocketRequest { method, target, data, is_text: true, expect, timeout_s: 2.0, awaited }))
}

fn new_client() -> (WebSocketClient, Orders) {
    let speech = WebSocketSpeech { reply_paths: vec![id()], keeps: true, target: None };
    (WebSocketClient::new(&speech, MOST_BYTES, Rc::default()), Orders::default())
}

fn answer_to(request: &[u8], more: &str) -> String {
    let text = String::from_utf8(request.to_vec()).unwrap();
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n")
}

/// A client whose connection is open.
fn opened() -> (WebSocketClient, Orders, u32) {
    opened_with("")
}

/// The same, where the server takes up the offer of compression with these words, or does not.
fn opened_with(extensions: &str) -> (WebSocketClient, Orders, u32) {
    let (mut client, mut orders) = new_client();
    let mut connect = asked(Method::Connect, "");
    if let Asked::Websocket(request) = &mut connect {
        let target = Arc::make_mut(request).target.as_mut().unwrap();
        Arc::make_mut(target).compression = !extensions.is_empty();
    }
    client.begin(&connect, &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.connected(link, &mut orders);
    let request = ordered(&mut orders).sent;
    let more = if extensions.is_empty() { String::new() } else { format!("Sec-WebSocket-Extensions: {extensions}\r\n") };
    for byte in answer_to(&request, &more).bytes() {
        client.received(link, &[byte], &mut orders);
    }
    assert!(ordered(&mut orders).ended[0].is_ok());
    (client, orders, link)
}

fn frame(first: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match data.len() {
        size @ 0..126 => out.push(size as u8),
        size => {
            out.push(126);
            out.extend((size as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(data);
    out
}

/// A server's side of permessage-deflate.
struct Packer(flate2::Compress);

impl Packer {
    const WITH: [&str; 2] = ["permessage-deflate", "permessage-deflate; server_no_context_takeover"];

    fn new() -> Self {
        Packer(flate2::Compress::new(flate2::Compression::fast(), false))
    }

    /// As one message is sent, without the tail that is always the same.
    fn pack(&mut self, data: &[u8], forgets: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * data.len() + 1_000);
        self.0.compress_vec(data, &mut out, flate2::FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        if forgets {
            self.0.reset();
        }
        out
    }
}

fn shown(result: &Result<Reply, Lost>) -> (Outcome, String) {
    match result {
        Ok(reply) => (Outcome::Ok, String::from_utf8_lossy(reply.data.as_deref().unwrap_or_default()).into_owned()),
        Err(lost) => (lost.failure.outcome, lost.failure.text.clone()),
    }
}

#[test]
fn a_receive_step_ends_by_what_comes_however_it_comes() {
    let too_large = "a message is over max_body_bytes (1,000)";
    for (wire, outcome, text) in [
        (frame(0x81, b"hi"), Outcome::Ok, "hi"),
        ([frame(0x01, b"h"), frame(0x89, b"ping"), frame(0x80, b"i")].concat(), Outcome::Ok, "hi"),
        (frame(0x88, b"\x03\xe8bye"), Outcome::Closed, "the peer closed with code 1000 bye"),
        (frame(0x88, b""), Outcome::Closed, "the peer closed with code 1005"),
        (frame(0x81, b"\xff"), Outcome::Protocol, "a text message that is not UTF-8"),
        (frame(0x82, &[0; MOST_BYTES + 1]), Outcome::TooLarge, too_large),
        ([frame(0x02, &[0; MOST_BYTES]), frame(0x80, b"x")].concat(), Outcome::TooLarge, too_large),
        (frame(0x80, b"x"), Outcome::Protocol, "no valid frame: nothing to continue"),
        ([frame(0x01, b"x"), frame(0x81, b"x")].concat(), Outcome::Protocol, "no valid frame: a message within another"),
        (frame(0x09, b""), Outcome::Protocol, "no valid frame: a control frame is short and whole"),
        (frame(0xc1, b"x"), Outcome::Protocol, "no valid frame: reserved bits must be 0"),
        (vec![0xff, 0xff], Outcome::Protocol, "no valid frame: reserved bits must be 0"),
        (vec![0x81, 0x80], Outcome::Protocol, "no valid frame: a server masks nothing"),
        (vec![0x83, 0], Outcome::Protocol, "no valid frame: an opcode that there is not"),
    ] {
        for size in [wire.len(), 1] {
            let (mut client, mut orders, link) = opened();
            client.begin(&asked(Method::Recv, ""), &mut orders);
            for piece in wire.chunks(size) {
                client.received(link, piece, &mut orders);
            }
            let told = ordered(&mut orders);
            assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [(outcome, text.to_owned())], "{wire:?}");
            assert_eq!(told.closed.is_empty(), outcome == Outcome::Ok);
        }
    }
}

#[test]
fn what_is_behind_the_handshake_and_behind_a_message_waits_for_its_step() {
    let (mut client, mut orders) = new_client();
    client.begin(&asked(Method::Recv, ""), &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.connected(link, &mut orders);
    let mut wire = answer_to(&ordered(&mut orders).sent, "").into_bytes();
    wire.extend([frame(0x81, b"one"), frame(0x81, b"two"), frame(0x81, b"three")].concat());
    client.received(link, &wire, &mut orders);
    let told = ordered(&mut orders);
    assert!(told.again);
    assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [(Outcome::Ok, "one".to_owned())]);
    // what came before it was asked is no answer
    client.begin(&asked(Method::Sendrecv, "x"), &mut orders);
    assert!(ordered(&mut orders).ended.is_empty());
    client.received(link, &frame(0x81, b"x"), &mut orders);
    assert_eq!(shown(&ordered(&mut orders).ended[0]), (Outcome::Ok, "x".to_owned()));
    for text in ["two", "three"] {
        client.begin(&asked(Method::Recv, ""), &mut orders);
        assert_eq!(shown(&ordered(&mut orders).ended[0]), (Outcome::Ok, text.to_owned()));
    }
}

#[test]
fn a_handshake_that_opens_nothing_says_why() {
    let accepted = |more: &str| format!("{more}\r\n");
    for (answer, outcome, text) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_owned(),
            Outcome::Status,
            "the handshake was answered with status 403 Forbidden",
        ),
        (
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            Outcome::Redirect,
            "the handshake was answered with status 302 Found",
        ),
        ("HTTP/1.1 101 S\r\n\r\n".to_owned(), Outcome::Protocol, "no valid handshake: Upgrade and Connection do not say websocket"),
        (accepted("<html>\r\n"), Outcome::Protocol, "no valid handshake"),
        (accepted("KEY Sec-WebSocket-Protocol: other\r\n"), Outcome::Protocol, "no valid handshake: unsupported subprotocol: other"),
        (accepted("KEY Sec-WebSocket-Extensions: x\r\n"), Outcome::Protocol, "no valid handshake: unsupported extension: x"),
    ] {
        for size in [answer.len(), 1] {
            let (mut client, mut orders) = new_client();
            client.begin(&asked(Method::Connect, ""), &mut orders);
            let link = ordered(&mut orders).opened[0];
            client.connected(link, &mut orders);
            let request = ordered(&mut orders).sent;
            let whole = match answer.strip_prefix("KEY ") {
                Some(more) => answer_to(&request, more.strip_suffix("\r\n").unwrap()),
                None => answer.clone(),
            };
            for piece in whole.as_bytes().chunks(size) {
                client.received(link, piece, &mut orders);
            }
            let told = ordered(&mut orders);
            let (found, said) = shown(&told.ended[0]);
            assert_eq!((found, said.starts_with(text)), (outcome, true), "{said}");
            assert_eq!(told.closed, [link]);
        }
    }
}

#[test]
fn an_answer_that_comes_by_itself_is_a_hit_and_one_that_does_not_fails_in_time() {
    let (mut client, mut orders, link) = opened();
    for key in ["a", "b"] {
        client.begin(&asked(Method::Send, key), &mut orders);
        client.sent(link, &mut orders);
        orders.now_ns += 1_000_000_000;
    }
    assert_eq!((client.awaited(), client.next_due_ns()), (2, Some(3_000_000_000)));
    ordered(&mut orders);
    client.received(link, &frame(0x81, br#"{"id": "b"}"#), &mut orders);
    let told = ordered(&mut orders).observed;
    assert_eq!((told.len(), told[0].start_ns, told[0].received, &told[0].failure), (1, 1_000_000_000, 11, &None));
    orders.now_ns = 3_000_000_000;
    client.due(&mut orders);
    let failure = ordered(&mut orders).observed.pop().and_then(|one| one.failure).unwrap();
    assert_eq!((failure.outcome, failure.text.as_str(), client.awaited()), (Outcome::Timeout, "no answer within 3 s", 0));
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn whatever_a_server_sends_a_step_ends_once_or_waits(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..20), begins in 0usize..4,
    ) {
        let (mut client, mut orders, link) = opened();
        client.begin(&asked(Method::Recv, ""), &mut orders);
        let begin: &[u8] = [&b""[..], b"\x81\x02hi", b"\x01\x01a\x89\x00", b"\x82\x7e"][begins];
        client.received(link, begin, &mut orders);
        for piece in pieces {
            client.received(link, &piece, &mut orders);
            client.go_on(link, &mut orders);
        }
        prop_assert!(ordered(&mut orders).ended.len() <= 1);
    }

    #[test]
    fn a_client_sends_what_a_server_reads(message in prop::collection::vec(any::<u8>(), 0..70_000)) {
        use tungstenite::protocol::{Role, WebSocket};
        let (mut client, mut orders, _) = opened();
        let mut asked = asked(Method::Sendrecv, "");
        if let Asked::Websocket(request) = &mut asked {
            let request = Arc::make_mut(request);
            (request.data, request.is_text) = (message.clone(), false);
        }
        client.begin(&asked, &mut orders);
        let sent = ordered(&mut orders).sent;
        let mut server = WebSocket::from_raw_socket(std::io::Cursor::new(sent), Role::Server, None);
        prop_assert_eq!(server.read().unwrap().into_data().to_vec(), message);
    }

    #[test]
    fn packed_messages_arrive_as_they_were_in_any_frames_and_any_pieces(
        messages in prop::collection::vec(prop::collection::vec(0u8..4, 0..900), 1..6), frames in 1usize..400, size in 1usize..300, forgets: bool,
    ) {
        let (mut client, mut orders, link) = opened_with(Packer::WITH[usize::from(forgets)]);
        let mut packer = Packer::new();
        for message in messages {
            let packed = packer.pack(&message, forgets);
            let mut parts = packed.chunks(frames).collect::<Vec<_>>();
            if parts.is_empty() {
                parts.push(b"");
            }
            let mut wire = Vec::new();
            for (at, part) in parts.iter().enumerate() {
                let begins = if at == 0 { 0x42 } else { 0 };
                let ends = if at + 1 == parts.len() { 0x80 } else { 0 };
                wire.extend([frame(begins | ends, part), frame(0x89, b"beside")].concat());
            }
            client.begin(&asked(Method::Recv, ""), &mut orders);
            for piece in wire.chunks(size) {
                client.received(link, piece, &mut orders);
            }
            let mut ended = Vec::new();
            loop {
                let told = ordered(&mut orders);
                prop_assert!(told.closed.is_empty());
                ended.extend(told.ended.into_iter().map(|result| result.map(|reply| reply.data.unwrap_or_default())));
                if !told.again {
                    break;
                }
                client.go_on(link, &mut orders);
            }
            prop_assert_eq!(ended, [Ok(message)]);
        }
    }

    #[test]
    fn whatever_a_server_packs_a_step_ends_once_or_waits(
        moves in prop::collection::vec((0u8..6, any::<u8>(), prop::collection::vec(any::<u8>(), 0..60), any::<u16>()), 0..20), forgets: bool,
    ) {
        let (mut client, mut orders, link) = opened_with(Packer::WITH[usize::from(forgets)]);
        let mut packer = Packer::new();
        let (mut begun, mut ended) = (0, 0);
        for (kind, first, data, number) in moves {
            if ended == begun {
                client.begin(&asked(Method::Recv, ""), &mut orders);
                begun += 1;
            }
            let mut packed = packer.pack(&data, forgets);
            let wire = match kind {
                0 => frame(0xc1, &packed),
                // a message that is cut, changed, or much larger than it looks
                1 => {
                    packed.truncate(number as usize % (packed.len() + 1));
                    frame(0xc2, &packed)
                }
                2 => {
                    let at = number as usize % packed.len().max(1);
                    packed.get_mut(at).into_iter().for_each(|byte| *byte ^= first);
                    frame(0xc2, &packed)
                }
                3 => frame(0xc2, &packer.pack(&vec![first; number as usize], forgets)),
                4 => frame(first, &data),
                _ => data,
            };
            client.received(link, &wire, &mut orders);
            client.go_on(link, &mut orders);
            ended += ordered(&mut orders).ended.len();
            prop_assert!(ended <= begun);
        }
    }
}
