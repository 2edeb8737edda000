//! The client of `grpc_user` whose channels many users share: what happens to one call, and what to all.

use _native::plan::message::GrpcMessage;
use _native::plan::outcome::{Failure, Outcome};
use _native::protocols::Client;
use _native::protocols::grpc::GrpcClient;
use _native::protocols::orders::{Caller, Orders};
use proptest::prelude::*;

mod calling;
mod talking;
use calling::*;
use talking::{Ordered, cases, ordered};

const WINDOW_UPDATE: u8 = 8;

/// A client of many, without its loop.
struct Many {
    client: GrpcClient,
    orders: Orders,
}

impl Many {
    /// Whose first connection is there, and has said nothing yet.
    fn connected(users: u32) -> (Self, u32) {
        let mut many = Many { client: GrpcClient::shared(MOST_BYTES), orders: Orders::default() };
        (0..users).for_each(|user| many.begin(user));
        let link = many.told().opened[0];
        many.client.connected(link, &mut many.orders);
        (many, link)
    }

    /// The same, where all calls are on their way.
    fn calling(users: u32) -> (Self, u32) {
        let (mut many, link) = Self::connected(users);
        many.client.received(link, &settings(), &mut many.orders);
        assert_eq!(many.turn().streams(), (0..users).map(|user| 2 * user + 1).collect::<Vec<_>>());
        (many, link)
    }

    fn begin(&mut self, user: u32) {
        self.speak_for(user);
        self.client.begin(&asked(false), &mut self.orders);
    }

    fn speak_for(&mut self, user: u32) {
        self.orders.caller = Caller { user, number: 100 + user };
    }

    fn told(&mut self) -> Ordered {
        ordered(&mut self.orders)
    }

    fn turn(&mut self) -> Ordered {
        self.client.turn(&mut self.orders);
        self.told()
    }

    fn received(&mut self, link: u32, wire: &[u8]) -> Ordered {
        self.client.received(link, wire, &mut self.orders);
        self.told()
    }
}

impl Ordered {
    /// Whose calls ended, and how.
    fn ends(&self) -> Vec<(u32, Outcome, u16)> {
        let one = |(user, result): (&u32, _)| {
            let (outcome, status, _) = shown(result);
            (*user, outcome, status)
        };
        self.enders.iter().zip(&self.ended).map(one).collect()
    }

    /// Frames that were sent: kind and stream.
    fn frames(&self) -> Vec<(u8, u32)> {
        let mut rest = self.sent.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_or(&self.sent);
        let mut found = Vec::new();
        while let [a, b, c, kind, _, s, t, u, v, ..] = rest {
            found.push((*kind, u32::from_be_bytes([*s, *t, *u, *v])));
            rest = &rest[9 + u32::from_be_bytes([0, *a, *b, *c]) as usize..];
        }
        found
    }

    /// Bytes of messages that were sent on a stream.
    fn body_bytes(&self, stream: u32) -> usize {
        let (mut rest, mut count) = (&self.sent[..], 0);
        while let [a, b, c, kind, _, s, t, u, v, ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            count += if *kind == DATA && u32::from_be_bytes([*s, *t, *u, *v]) == stream { length } else { 0 };
            rest = &rest[9 + length..];
        }
        count
    }

    /// Calls that were sent, by their streams.
    fn streams(&self) -> Vec<u32> {
        self.frames().iter().filter(|(kind, _)| *kind == HEADERS).map(|(_, stream)| *stream).collect()
    }
}

fn ok(user: u32) -> (u32, Outcome, u16) {
    (user, Outcome::Ok, 20_000)
}

fn most(count: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&[0, 3][..], &count.to_be_bytes()].concat())
}

fn reset(stream: u32, reason: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &reason.to_be_bytes())
}

#[test]
fn calls_go_out_together_and_each_answer_is_its_callers_in_any_order_and_any_pieces() {
    let wire: Vec<u8> = [5, 1, 7, 3].into_iter().flat_map(|stream| answer(stream, format!("\x0a\x01{stream}").as_bytes())).collect();
    for size in [wire.len(), 1, 7] {
        let (mut many, link) = Many::calling(4);
        let mut ends = Vec::new();
        for piece in wire.chunks(size) {
            let told = many.received(link, piece);
            for (user, result) in told.enders.iter().zip(&told.ended) {
                ends.push((*user, shown(result).2));
            }
        }
        let name = |number: u32| format!(r#"{{"name":"{number}","id":"0","more":[]}}"#);
        assert_eq!(ends, [(2, name(5)), (0, name(1)), (3, name(7)), (1, name(3))]);
        (0..4).for_each(|user| many.begin(user));
        assert!(many.told().sent.is_empty(), "they wait for the turn");
        assert_eq!(many.turn().streams(), [9, 11, 13, 15]);
    }
}

#[test]
fn before_the_server_has_said_what_it_takes_it_gets_one_call_and_then_no_more_than_that() {
    let (mut many, link) = Many::connected(5);
    assert_eq!(many.turn().streams(), [1]);
    many.received(link, &most(2));
    assert_eq!(many.turn().streams(), [3]);
    let told = many.received(link, &answer(3, b""));
    assert_eq!(told.ends(), [ok(1)]);
    assert_eq!(many.turn().streams(), [5]);
    many.received(link, &most(100));
    assert_eq!(many.turn().streams(), [7, 9]);
}

#[test]
fn a_call_that_is_late_is_reset_and_nobody_elses() {
    let (mut many, link) = Many::calling(3);
    for user in [1, 2] {
        many.speak_for(user);
        many.client.late(&mut many.orders);
        assert_eq!(many.told().ends(), [(user, Outcome::Timeout, 20_004)]);
    }
    let told = many.turn();
    assert_eq!((told.frames(), told.closed), (vec![(RST_STREAM, 3), (RST_STREAM, 5)], vec![]));
    // what still comes of it is nobody's
    let told = many.received(link, &[answer(3, b""), answer(1, b"")].concat());
    assert_eq!((told.ends(), told.closed), (vec![ok(0)], vec![]));
    // one that waits for room was never sent
    let (mut many, link) = Many::connected(2);
    many.turn();
    many.speak_for(1);
    many.client.late(&mut many.orders);
    assert_eq!(many.told().ends(), [(1, Outcome::Timeout, 20_004)]);
    many.received(link, &settings());
    assert!(many.turn().streams().is_empty());
    // three in a row do not end what others share
    for number in 0..9 {
        many.begin(5);
        assert_eq!(many.turn().streams(), [3 + 2 * number]);
        many.client.late(&mut many.orders);
        assert!(many.told().closed.is_empty());
    }
}

#[test]
fn what_the_server_does_to_one_call_leaves_the_others_alone() {
    for (wire, outcome, status) in [
        (reset(3, 8), Outcome::Closed, 20_001),
        (frame(HEADERS, END_HEADERS, 3, b"\x8d"), Outcome::Protocol, 20_012),
        ([frame(HEADERS, END_HEADERS, 3, b"\x88"), frame(DATA, 0, 3, b"\0\0\0\x10\0")].concat(), Outcome::TooLarge, 20_008),
        ([frame(HEADERS, END_HEADERS, 3, b"\x88"), frame(DATA, 0, 3, b"<html>")].concat(), Outcome::Status, 20_013),
    ] {
        let (mut many, link) = Many::calling(3);
        assert_eq!(many.received(link, &wire).ends(), [(1, outcome, status)]);
        assert!(many.turn().closed.is_empty());
        assert_eq!(many.received(link, &[answer(1, b""), answer(5, b"")].concat()).ends(), [ok(0), ok(2)]);
    }
    // refused: it is asked once more, on the same connection
    let (mut many, link) = Many::calling(3);
    assert!(many.received(link, &reset(3, 7)).ends().is_empty());
    assert_eq!(many.turn().streams(), [7]);
    assert_eq!(many.received(link, &reset(7, 7)).ends(), [(1, Outcome::Closed, 20_014)]);
    assert_eq!(many.received(link, &[answer(1, b""), answer(5, b"")].concat()).ends(), [ok(0), ok(2)]);
}

#[test]
fn a_goodbye_lets_calls_end_that_the_server_took_and_the_others_go_elsewhere() {
    let (mut many, link) = Many::calling(4);
    let told = many.received(link, &frame(GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\0"));
    assert_eq!((told.ends(), told.opened.len()), (vec![], 1));
    let next = told.opened[0];
    many.begin(7);
    assert_eq!(many.received(link, &answer(1, b"")).ends(), [ok(0)]);
    let told = many.received(link, &answer(3, b""));
    assert_eq!((told.ends(), told.closed), (vec![ok(1)], vec![link]));
    many.client.connected(next, &mut many.orders);
    many.received(next, &settings());
    assert_eq!(many.turn().streams(), [1, 3, 5]);
    let told = many.received(next, &[answer(1, b""), answer(3, b""), answer(5, b"")].concat());
    let mut ends = told.ends();
    ends.sort_by_key(|end| end.0);
    assert_eq!(ends, [ok(2), ok(3), ok(7)]);
}

#[test]
fn a_large_message_goes_out_as_the_server_takes_it_and_an_answer_before_its_end_resets_its_stream() {
    const WINDOW: usize = 65_535;
    let large = asked_with(false, |request| request.messages = vec![GrpcMessage(vec![0; 200_000])]);
    let (mut many, link) = Many::calling(1);
    many.received(link, &answer(1, b""));
    many.speak_for(0);
    many.client.begin(&large, &mut many.orders);
    many.begin(1);
    let told = many.turn();
    assert_eq!((told.streams(), told.body_bytes(3)), (vec![3, 5], WINDOW - 9), "what the first call took is not given back");
    let more = |stream: u32, count: u32| frame(WINDOW_UPDATE, 0, stream, &count.to_be_bytes());
    many.received(link, &[more(0, 100_000), more(3, 10_000)].concat());
    let told = many.turn();
    assert_eq!((told.body_bytes(3), told.body_bytes(5)), (10_000 + 9, 9));
    assert_eq!(many.received(link, &answer(3, b"")).ends(), [ok(0)]);
    assert_eq!(many.turn().frames(), [(RST_STREAM, 3)]);
    assert_eq!(many.received(link, &answer(5, b"")).ends(), [ok(1)]);
}

#[test]
fn a_connection_that_is_lost_ends_all_calls_on_it() {
    for failure in [None, Some(Failure::new(Outcome::Closed, "ConnectionResetError: Connection reset by peer"))] {
        let (mut many, link) = Many::calling(3);
        many.received(link, &frame(HEADERS, END_HEADERS, 1, b"\x88"));
        many.client.ended(link, failure.clone(), &mut many.orders);
        let mut ends = many.told().ends();
        ends.sort_by_key(|end| end.0);
        assert_eq!(ends, [0, 1, 2].map(|user| (user, Outcome::Closed, 20_014)));
        many.begin(1);
        assert_eq!(many.told().opened.len(), 1, "the next one connects anew");
    }
    let mut many = Many { client: GrpcClient::shared(MOST_BYTES), orders: Orders::default() };
    (0..3).for_each(|user| many.begin(user));
    let opened = many.told().opened;
    assert_eq!(opened.len(), 1);
    many.client.ended(opened[0], Some(Failure::new(Outcome::Connect, "refused")), &mut many.orders);
    assert_eq!(many.told().ends(), [0, 1, 2].map(|user| (user, Outcome::Connect, 20_014)));
}

#[test]
fn frames_without_end_end_all_calls_and_much_that_was_given_up_does_not() {
    let (mut many, link) = Many::calling(3);
    let mut ends = Vec::new();
    for _ in 0..100_000 {
        let told = many.received(link, &frame(PING, 0, 0, b"12345678").repeat(64));
        many.turn();
        ends.extend(told.ends());
        if !ends.is_empty() {
            assert_eq!(told.closed, [link]);
            break;
        }
    }
    assert_eq!(ends, [0, 1, 2].map(|user| (user, Outcome::Protocol, 0)));
    let (mut many, link) = Many::calling(3);
    many.received(link, &frame(HEADERS, END_HEADERS, 3, b"\x88"));
    many.speak_for(1);
    many.client.late(&mut many.orders);
    many.turn();
    for _ in 0..150 {
        assert!(many.received(link, &frame(DATA, 0, 3, &[0; 10_000])).closed.is_empty());
        many.turn();
    }
    assert_eq!(many.received(link, &answer(1, b"")).ends(), [(1, Outcome::Timeout, 20_004), ok(0)][1..]);
}

proptest! {
    #![proptest_config(cases(256))]

    /// Frames of any kind on any of the streams, and bytes that are none; users begin, give up and go on meanwhile.
    #[test]
    fn whatever_a_server_sends_each_call_ends_once_or_waits(
        moves in prop::collection::vec((0u8..12, 0u32..6, prop::collection::vec(any::<u8>(), 0..12)), 0..40),
    ) {
        let (mut many, mut link) = Many::calling(4);
        let mut open = vec![true; 6];
        open[4..].fill(false);
        for (kind, which, bytes) in moves {
            let stream = 2 * which + 1;
            let wire = match kind {
                0 => answer(stream, b""),
                1 => frame(HEADERS, END_HEADERS, stream, b"\x88"),
                2 => frame(DATA, 0, stream, &framed(b"\x0a\x02hi")),
                3 => frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[("grpc-status", "0")])),
                4 => reset(stream, which + 3),
                5 => most(which),
                6 => frame(WINDOW_UPDATE, 0, stream * (which % 2), &[0, 1, 0, 0]),
                7 => frame(GOAWAY, 0, 0, &[&stream.to_be_bytes()[..], &[0, 0, 0, (which % 2) as u8]].concat()),
                8 => frame(bytes.first().copied().unwrap_or(0) % 10, bytes.last().copied().unwrap_or(0), stream, &bytes),
                9 => bytes,
                10 => {
                    if std::mem::replace(&mut open[which as usize], true) {
                        many.speak_for(which);
                        many.client.late(&mut many.orders);
                    } else {
                        many.begin(which);
                    }
                    vec![]
                }
                _ => {
                    many.client.ended(link, None, &mut many.orders);
                    vec![]
                }
            };
            many.client.received(link, &wire, &mut many.orders);
            many.client.turn(&mut many.orders);
            let told = many.told();
            for user in &told.enders {
                prop_assert!(std::mem::replace(&mut open[*user as usize], false), "user {user} ended twice");
            }
            if let Some(next) = told.opened.last() {
                link = *next;
                many.client.connected(link, &mut many.orders);
                many.client.received(link, &settings(), &mut many.orders);
            }
        }
        // whoever still waits is ended by his deadline
        for user in 0..6 {
            many.speak_for(user);
            many.client.late(&mut many.orders);
        }
        for user in many.told().enders {
            prop_assert!(std::mem::replace(&mut open[user as usize], false), "user {user} ended twice");
        }
        prop_assert!(!open.contains(&true), "a call is lost: {open:?}");
    }
}
