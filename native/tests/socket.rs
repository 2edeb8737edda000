//! The client of `socket_user`, fed whole, byte by byte, and with what belongs to nobody behind.

use std::sync::Arc;

use _native::plan::Place;
use _native::plan::message::{Asked, Framing, SocketRequest};
use _native::plan::outcome::{Failure, Outcome};
use _native::protocols::Client;
use _native::protocols::orders::Orders;
use _native::protocols::socket::SocketClient;
use proptest::prelude::*;

mod talking;
use talking::{cases, ordered};

const MOST_BYTES: usize = 1_000;

fn request(framing: Option<Framing>, expected: &str, keep: bool) -> Asked {
    let place = Place { host: "127.0.0.1".into(), port: 7, ..Place::default() };
    let data = b"hello".to_vec();
    Asked::Socket(Arc::new(SocketRequest { udp: false, place, data, framing, expected: expected.into(), timeout_s: 2.5, keep }))
}

fn lines() -> Option<Framing> {
    Some(Framing::Delimited(b"\r\n".to_vec()))
}

/// How the step ends for which these pieces come.
fn end_of(asked: &Asked, pieces: &[&[u8]]) -> Option<(Outcome, String, Vec<u8>)> {
    let (mut client, mut orders) = (SocketClient::new(MOST_BYTES), Orders::default());
    client.begin(asked, &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.connected(link, &mut orders);
    assert_eq!(ordered(&mut orders).sent, b"hello");
    for piece in pieces {
        client.received(link, piece, &mut orders);
    }
    let mut ended = ordered(&mut orders).ended;
    assert!(ended.len() <= 1);
    let data = |reply: Option<_>| reply.and_then(|reply: _native::protocols::orders::Reply| reply.data).unwrap_or_default();
    Some(match ended.pop()? {
        Ok(reply) => (Outcome::Ok, String::new(), data(Some(reply))),
        Err(lost) => (lost.failure.outcome, lost.failure.text, data(lost.reply)),
    })
}

#[test]
fn an_answer_ends_where_its_framing_says_however_it_comes() {
    let prefixed = Some(Framing::Prefixed { length_bytes: 2, little: false });
    for (framing, expected, wire, outcome, text, answer) in [
        (lines(), "", &b"250 ok\r\n"[..], Outcome::Ok, "", &b"250 ok"[..]),
        (lines(), "no", b"250 ok\r\n", Outcome::Assertion, "expected 'no' in response", b"250 ok"),
        (prefixed, "", b"\x00\x02hi", Outcome::Ok, "", b"hi"),
        (Some(Framing::Counted(3)), "", b"abc", Outcome::Ok, "", b"abc"),
        (None, "end.", b"wait for the end.", Outcome::Ok, "", b"wait for the end."),
    ] {
        let asked = request(framing.clone(), expected, false);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        let found = Some((outcome, text.to_owned(), answer.to_vec()));
        assert_eq!(end_of(&asked, &[wire]), found);
        assert_eq!(end_of(&asked, &bytes), found);
        if framing.is_some() {
            assert_eq!(end_of(&asked, &[&[wire, b"tail"].concat()]), found);
        }
        assert_eq!(end_of(&asked, &bytes[..bytes.len() - 1]), None);
    }
}

#[test]
fn what_has_no_end_is_refused_before_it_is_kept() {
    let text = "the answer is over max_body_bytes (1,000)";
    for (framing, expected) in [(lines(), ""), (None, "never"), (Some(Framing::Prefixed { length_bytes: 8, little: true }), "")] {
        let (outcome, said, _) = end_of(&request(framing, expected, false), &[&[0xff; MOST_BYTES + 1]]).unwrap();
        assert_eq!((outcome, said.as_str()), (Outcome::TooLarge, text));
    }
}

#[test]
fn what_is_left_of_a_kept_connection_is_the_next_answer() {
    let asked = request(lines(), "", true);
    let (mut client, mut orders) = (SocketClient::new(MOST_BYTES), Orders::default());
    client.begin(&asked, &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.connected(link, &mut orders);
    client.received(link, b"one\r\ntwo\r\nthr", &mut orders);
    let first = ordered(&mut orders);
    assert_eq!((first.ended.len(), first.closed.len()), (1, 0));
    client.begin(&asked, &mut orders);
    let second = ordered(&mut orders);
    assert_eq!((second.sent.as_slice(), second.opened.len()), (&b"hello"[..], 0));
    let reply = second.ended[0].as_ref().unwrap();
    assert_eq!((reply.data.as_deref(), reply.sent, reply.received), (Some(&b"two"[..]), 5, 0));
    client.begin(&asked, &mut orders);
    client.received(link, b"ee\r\n", &mut orders);
    assert_eq!(ordered(&mut orders).ended[0].as_ref().unwrap().data.as_deref(), Some(&b"three"[..]));
}

#[test]
fn a_kept_connection_that_ended_fails_one_step_and_the_next_connects_anew() {
    let asked = request(lines(), "", true);
    let (mut client, mut orders) = (SocketClient::new(MOST_BYTES), Orders::default());
    client.begin(&asked, &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.connected(link, &mut orders);
    client.received(link, b"one\r\n", &mut orders);
    client.ended(link, None, &mut orders);
    ordered(&mut orders);
    client.begin(&asked, &mut orders);
    let lost = ordered(&mut orders).ended.pop().unwrap().unwrap_err();
    assert_eq!(lost.failure, Failure::new(Outcome::Closed, "the peer closed the kept connection; the next step connects anew"));
    client.begin(&asked, &mut orders);
    assert_eq!(ordered(&mut orders).opened.len(), 1);
}

#[test]
fn a_step_that_is_late_says_what_did_not_come() {
    for (framing, expected, is_there, text) in [
        (lines(), "", false, "not connected within 2.5 s"),
        (lines(), "", true, "the answer was not whole within 2.5 s; 1 byte received"),
        (None, "it's", true, "no \"it's\" came within 2.5 s; 1 byte received"),
    ] {
        let (mut client, mut orders) = (SocketClient::new(MOST_BYTES), Orders::default());
        client.begin(&request(framing, expected, true), &mut orders);
        let link = ordered(&mut orders).opened[0];
        if is_there {
            client.connected(link, &mut orders);
            client.received(link, b"x", &mut orders);
        }
        assert_eq!(client.late(&mut orders), text);
        assert_eq!(ordered(&mut orders).closed, [link]);
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whatever_comes_and_however_a_step_ends_once_or_waits(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..25), kind in 0..4, length_bytes in 1usize..=8,
    ) {
        let framing = match kind {
            0 => lines(),
            1 => Some(Framing::Prefixed { length_bytes, little: false }),
            2 => Some(Framing::Counted(100)),
            _ => None,
        };
        let asked = request(framing, "x", false);
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let whole = pieces.concat();
        let (by_pieces, by_bytes) = (end_of(&asked, &pieces), end_of(&asked, &whole.chunks(1).collect::<Vec<_>>()));
        if kind < 3 {
            let shown = |end: &Option<(Outcome, String, Vec<u8>)>| {
                end.clone().map(|(outcome, text, data)| (outcome, text, if outcome == Outcome::TooLarge { Vec::new() } else { data }))
            };
            prop_assert_eq!(shown(&by_pieces), shown(&by_bytes));
        }
        prop_assert_eq!(by_pieces.is_some(), by_bytes.is_some());
    }
}
