//! The client of `grpc_user`, fed whole, byte by byte, and with frames behind the answer.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use _native::plan::message::Asked;
use _native::plan::outcome::{Failure, Outcome};
use _native::protocols::Client;
use _native::protocols::grpc::{GrpcClient, json_of, message_of};
use _native::protocols::orders::Orders;
use proptest::prelude::*;

mod calling;
mod talking;
use calling::*;
use talking::{cases, ordered};

/// Counts what the thread of a test holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: all of it is the system's; the counter is a plain cell without a destructor
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as isize);
        // SAFETY: as the caller's
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: as the caller's
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A user whose first call is on its way.
fn calling(asked: &Asked) -> (GrpcClient, Orders, u32) {
    let (mut client, mut orders) = (GrpcClient::new(MOST_BYTES), Orders::default());
    client.begin(asked, &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.connected(link, &mut orders);
    let sent = ordered(&mut orders).sent;
    assert!(sent.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    assert!(sent.ends_with(b"\0\0\0\0\x04\x0a\x02hi"), "{sent:?}");
    (client, orders, link)
}

#[test]
fn a_call_ends_by_what_comes_however_it_comes() {
    let (ok, begun) = (trailers(&[("grpc-status", "0")]), head(&[("content-type", "application/grpc"), ("x-before", "one")]));
    let hi = r#"{"name":"hi","id":"0","more":[]}"#;
    let whole = [&begun[..], &message(b"\x0a\x02hi"), &ok].concat();
    let refused = |code: u32| frame(RST_STREAM, 0, STREAM, &code.to_be_bytes());
    for (streams, wire, outcome, status, text) in [
        (false, whole.clone(), Outcome::Ok, 20_000, hi.to_owned()),
        (
            false,
            [&begun[..], &frame(DATA, 0, STREAM, b"\0\0\0"), &frame(DATA, 0, STREAM, b"\0\x04\x0a\x02hi"), &ok].concat(),
            Outcome::Ok,
            20_000,
            hi.into(),
        ),
        (
            true,
            [&begun[..], &message(b"\x0a\x02hi"), &message(b""), &ok].concat(),
            Outcome::Ok,
            20_000,
            format!(r#"[{hi},{{"name":"","id":"0","more":[]}}]"#),
        ),
        (true, [&begun[..], &ok].concat(), Outcome::Ok, 20_000, String::new()),
        // a status alone, in the head or behind it
        (
            false,
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                STREAM,
                &[b"\x88", &fields(&[("grpc-status", "5"), ("grpc-message", "no%20such")])[..]].concat(),
            ),
            Outcome::Status,
            20_005,
            "NOT_FOUND: no such".into(),
        ),
        (
            false,
            [&begun[..], &message(b""), &trailers(&[("grpc-status", "14"), ("grpc-message", "busy")])].concat(),
            Outcome::Status,
            20_014,
            "UNAVAILABLE: busy".into(),
        ),
        (
            false,
            [&begun[..], &message(b""), &trailers(&[("x", "y")])].concat(),
            Outcome::Status,
            20_002,
            "UNKNOWN: the answer ends without a grpc-status".into(),
        ),
        (
            false,
            [&begun[..], &frame(DATA, END_STREAM, STREAM, &framed(b""))].concat(),
            Outcome::Status,
            20_002,
            "UNKNOWN: the answer ends without a grpc-status".into(),
        ),
        (false, [&begun[..], &ok].concat(), Outcome::Protocol, 0, "the status is OK, and no whole message came".into()),
        (
            false,
            [&begun[..], &frame(DATA, 0, STREAM, b"\0\0\0\0\x09hi"), &ok].concat(),
            Outcome::Protocol,
            0,
            "the status is OK, and no whole message came".into(),
        ),
        (
            false,
            [&begun[..], &message(b"\x0a\x09hi"), &ok].concat(),
            Outcome::Protocol,
            0,
            "the answer is not a message of shop.Shop/Get".into(),
        ),
        (
            false,
            [&begun[..], &message(b"\x0a\x01\xff"), &ok].concat(),
            Outcome::Protocol,
            0,
            "the answer is not a message of shop.Shop/Get".into(),
        ),
        (
            false,
            [&begun[..], &frame(DATA, 0, STREAM, b"\0\0\0\x10\0")].concat(),
            Outcome::TooLarge,
            20_008,
            "RESOURCE_EXHAUSTED: Received message larger than max (4096 vs. 1000)".into(),
        ),
        (
            true,
            [&begun[..], &message(b"").repeat(9)].concat(),
            Outcome::TooLarge,
            0,
            "the messages are over max_body_bytes (1,000), where each counts 256 more".into(),
        ),
        (
            false,
            [&begun[..], &frame(DATA, 0, STREAM, b"<html>")].concat(),
            Outcome::Status,
            20_013,
            "INTERNAL: Bad GRPC frame type 0x3c".into(),
        ),
        (
            false,
            [&begun[..], &frame(DATA, 0, STREAM, b"\x01\0\0\0\x02hi")].concat(),
            Outcome::Status,
            20_013,
            "INTERNAL: a compressed message, and no grpc-encoding that says how".into(),
        ),
        (
            false,
            [&head(&[("grpc-encoding", "gzip")])[..], &frame(DATA, 0, STREAM, b"\x01\0\0\0\x02hi")].concat(),
            Outcome::Status,
            20_013,
            "INTERNAL: Unexpected error decompressing data".into(),
        ),
        (
            false,
            frame(HEADERS, END_HEADERS, STREAM, b"\x8d"),
            Outcome::Protocol,
            20_012,
            "UNIMPLEMENTED: Received http2 header with status: 404".into(),
        ),
        (false, refused(8), Outcome::Closed, 20_001, "CANCELLED: Received RST_STREAM with error code 8".into()),
        (false, [&begun[..], &refused(2)].concat(), Outcome::Closed, 20_013, "INTERNAL: Received RST_STREAM with error code 2".into()),
        (
            false,
            frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x0b"),
            Outcome::Closed,
            20_014,
            "UNAVAILABLE: GOAWAY received: ENHANCE_YOUR_CALM".into(),
        ),
        (
            false,
            frame(CONTINUATION, 0, STREAM, b"x"),
            Outcome::Protocol,
            20_014,
            "UNAVAILABLE: Failed parsing HTTP/2: PROTOCOL_ERROR".into(),
        ),
        (false, frame(DATA, 0, STREAM, b"x"), Outcome::Protocol, 20_014, "UNAVAILABLE: Failed parsing HTTP/2: PROTOCOL_ERROR".into()),
    ] {
        let wire = [settings(), wire].concat();
        for size in [wire.len(), 1, 7] {
            let (mut client, mut orders, link) = calling(&asked(streams));
            for piece in wire.chunks(size) {
                client.received(link, piece, &mut orders);
            }
            client.received(link, &frame(PING, 0, 0, b"12345678"), &mut orders);
            let told = ordered(&mut orders);
            assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [(outcome, status, text.clone())]);
        }
    }
}

#[test]
fn metadata_of_head_and_trailers_are_the_fields_of_an_answer() {
    let (mut client, mut orders, link) = calling(&asked(false));
    let begun = head(&[("content-type", "application/grpc"), ("x-before", "one"), ("x-raw-bin", "AP8,AA==")]);
    let ended = trailers(&[("grpc-status", "0"), ("x-after", "two")]);
    client.received(link, &[settings(), begun, message(b""), ended].concat(), &mut orders);
    let told = ordered(&mut orders).ended.pop().unwrap().unwrap();
    let fields = &told.beside.as_ref().unwrap().fields;
    let at = |range: &std::ops::Range<u32>| std::str::from_utf8(&fields.bytes[range.start as usize..range.end as usize]).unwrap();
    let found: Vec<_> = fields.places.iter().map(|field| (at(&field.name), at(&field.value))).collect();
    assert_eq!(found, [("x-before", "one"), ("x-raw-bin", "AP8="), ("x-raw-bin", "AA=="), ("x-after", "two")]);
    assert_eq!((told.sent, told.received), (4, 0));
}

#[test]
fn a_channel_is_kept_and_each_target_has_its_own() {
    let (mut client, mut orders, link) = calling(&asked(false));
    client.received(link, &[settings(), answer(1, b"")].concat(), &mut orders);
    assert!(ordered(&mut orders).ended[0].is_ok());
    client.begin(&asked(false), &mut orders);
    let told = ordered(&mut orders);
    assert!(told.opened.is_empty() && !told.sent.is_empty());
    client.received(link, &answer(3, b""), &mut orders);
    assert!(ordered(&mut orders).ended[0].is_ok());
    client.begin(&asked_with(false, |request| request.place = place(8)), &mut orders);
    assert_eq!(ordered(&mut orders).opened.len(), 1);
}

#[test]
fn a_channel_that_goes_on_without_a_call_ends_no_call_of_another() {
    let (mut client, mut orders, link) = calling(&asked(false));
    let begun = [settings(), head(&[]), frame(DATA, 0, STREAM, b"\0\xff\xff\xff\xff")].concat();
    client.received(link, &begun, &mut orders);
    assert_eq!(shown(&ordered(&mut orders).ended[0]).0, Outcome::TooLarge);
    client.begin(&asked_with(false, |request| request.place = place(8)), &mut orders);
    let other = ordered(&mut orders).opened[0];
    client.connected(other, &mut orders);
    ordered(&mut orders);
    let mut closed = Vec::new();
    for _ in 0..10_000 {
        client.received(link, &frame(DATA, 0, STREAM, &[0; 1_000]), &mut orders);
        let told = ordered(&mut orders);
        assert!(told.ended.is_empty());
        closed.extend(told.closed);
    }
    assert_eq!(closed, [link]);
    client.received(other, &[settings(), head(&[]), message(b""), trailers(&[("grpc-status", "0")])].concat(), &mut orders);
    assert!(ordered(&mut orders).ended[0].is_ok());
}

#[test]
fn a_call_that_the_server_did_not_look_at_is_made_again_once() {
    let goodbye = [settings(), frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0")].concat();
    let (mut client, mut orders, link) = calling(&asked(false));
    client.received(link, &goodbye, &mut orders);
    let told = ordered(&mut orders);
    assert_eq!((told.closed, told.ended.len(), told.opened.len()), (vec![link], 0, 1));
    let next = told.opened[0];
    client.connected(next, &mut orders);
    client.received(next, &goodbye, &mut orders);
    let told = ordered(&mut orders);
    let text = "UNAVAILABLE: GOAWAY received: the server ends the connection and did not look at the call";
    assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [(Outcome::Closed, 20_014, text.to_owned())]);
    // refused by the stream: the connection is kept
    let (mut client, mut orders, link) = calling(&asked(false));
    client.received(link, &[settings(), frame(RST_STREAM, 0, 1, &7u32.to_be_bytes())].concat(), &mut orders);
    let told = ordered(&mut orders);
    assert!(told.opened.is_empty() && told.ended.is_empty() && told.sent.ends_with(b"\x0a\x02hi"));
    client.received(link, &frame(RST_STREAM, 0, 3, &7u32.to_be_bytes()), &mut orders);
    let text = "UNAVAILABLE: Received RST_STREAM with error code 7";
    assert_eq!(ordered(&mut orders).ended.iter().map(shown).collect::<Vec<_>>(), [(Outcome::Closed, 20_014, text.to_owned())]);
}

#[test]
fn a_goodbye_lets_the_call_under_way_end_and_the_next_one_goes_elsewhere() {
    let (mut client, mut orders, link) = calling(&asked(false));
    client.received(link, &[settings(), frame(GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\0")].concat(), &mut orders);
    assert!(ordered(&mut orders).ended.is_empty());
    client.received(link, &[head(&[]), message(b""), trailers(&[("grpc-status", "0")])].concat(), &mut orders);
    let told = ordered(&mut orders);
    assert_eq!((told.ended.len(), told.closed), (1, vec![link]));
    client.begin(&asked(false), &mut orders);
    assert_eq!(ordered(&mut orders).opened.len(), 1);
}

#[test]
fn a_late_call_is_reset_and_the_third_in_a_row_ends_its_channel() {
    let (mut client, mut orders, link) = calling(&asked(false));
    client.received(link, &settings(), &mut orders);
    ordered(&mut orders);
    for number in 1..=3u32 {
        client.late(&mut orders);
        let told = ordered(&mut orders);
        let status = (Outcome::Timeout, 20_004, "DEADLINE_EXCEEDED: Deadline Exceeded".to_owned());
        assert_eq!(told.ended.iter().map(shown).collect::<Vec<_>>(), [status]);
        let reset = frame(RST_STREAM, 0, 2 * number - 1, &8u32.to_be_bytes());
        assert!(told.sent.ends_with(&reset), "{:?}", told.sent);
        assert_eq!(told.closed, if number == 3 { vec![link] } else { vec![] });
        client.begin(&asked(false), &mut orders);
    }
    assert_eq!(ordered(&mut orders).opened.len(), 1);
}

#[test]
fn a_stream_ends_at_so_many_messages_and_its_first_one_is_told() {
    let some = asked_with(true, |request| (request.max_messages, request.first_name) = (Some(2), "some (first message)".into()));
    let (mut client, mut orders, link) = calling(&some);
    orders.now_ns = 5;
    client.received(link, &[settings(), head(&[]), message(b"\x0a\x02hi")].concat(), &mut orders);
    let told = ordered(&mut orders);
    assert_eq!((told.ended.len(), told.observed.len(), told.observed[0].received, told.observed[0].start_ns), (0, 1, 4, 0));
    client.received(link, &[message(b""), message(b"")].concat(), &mut orders);
    let told = ordered(&mut orders);
    assert_eq!((told.ended.len(), told.observed.len(), told.ended[0].as_ref().unwrap().received), (1, 0, 4));
    assert!(told.sent.ends_with(&frame(RST_STREAM, 0, 1, &8u32.to_be_bytes())));
}

#[test]
fn a_connection_that_fails_or_ends_is_a_status_of_its_kind() {
    let failure = |outcome, text: &str| Some(Failure::new(outcome, text));
    for (failure, outcome, text) in [
        (failure(Outcome::Dns, "no name"), Outcome::Dns, "UNAVAILABLE: DNS resolution failed: no name"),
        (failure(Outcome::Connect, "refused"), Outcome::Connect, "UNAVAILABLE: failed to connect to all addresses; last error: refused"),
        (failure(Outcome::Tls, "bad"), Outcome::Tls, "UNAVAILABLE: failed to connect to all addresses; last error: bad"),
    ] {
        let (mut client, mut orders) = (GrpcClient::new(MOST_BYTES), Orders::default());
        client.begin(&asked(false), &mut orders);
        let link = ordered(&mut orders).opened[0];
        client.ended(link, failure, &mut orders);
        assert_eq!(ordered(&mut orders).ended.iter().map(shown).collect::<Vec<_>>(), [(outcome, 20_014, text.to_owned())]);
    }
    let closed = "UNAVAILABLE: failed to connect to all addresses; last error: Socket closed";
    for (wire, outcome, text) in [
        (vec![], Outcome::Connect, closed),
        (settings(), Outcome::Closed, "UNAVAILABLE: Socket closed"),
        ([settings(), head(&[]), message(b"")].concat(), Outcome::Closed, "UNAVAILABLE: Socket closed"),
    ] {
        let (mut client, mut orders, link) = calling(&asked(false));
        client.received(link, &wire, &mut orders);
        client.ended(link, None, &mut orders);
        assert_eq!(ordered(&mut orders).ended.iter().map(shown).collect::<Vec<_>>(), [(outcome, 20_014, text.to_owned())]);
    }
    let (mut client, mut orders) = (GrpcClient::new(MOST_BYTES), Orders::default());
    client.begin(&asked(false), &mut orders);
    let link = ordered(&mut orders).opened[0];
    orders.now_ns = client.next_due_ns().unwrap();
    client.due(&mut orders);
    let told = ordered(&mut orders);
    assert_eq!((told.closed, shown(&told.ended[0]).0), (vec![link], Outcome::Connect));
    // one that may not be asked has no status at all
    client.begin(&asked(false), &mut orders);
    let link = ordered(&mut orders).opened[0];
    client.ended(link, Some(Failure::new(Outcome::Forbidden, "not allowed")), &mut orders);
    assert_eq!(shown(&ordered(&mut orders).ended[0]), (Outcome::Forbidden, 0, "not allowed".into()));
}

#[test]
fn frames_without_end_end_the_call() {
    for wire in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, b"12345678"), frame(0x77, 0, 0, b"what"), frame(8, 0, 0, &[0, 0, 0, 1])] {
        let (mut client, mut orders, link) = calling(&asked(false));
        let mut told = ordered(&mut orders);
        for _ in 0..100_000 {
            client.received(link, &wire.repeat(64), &mut orders);
            told = ordered(&mut orders);
            if !told.ended.is_empty() {
                break;
            }
        }
        assert_eq!((told.ended.len(), shown(&told.ended[0]).0, told.closed), (1, Outcome::Protocol, vec![link]), "{wire:?}");
    }
}

#[test]
fn a_channel_holds_no_more_after_many_calls_than_after_some() {
    const WINDOW_UPDATE: u8 = 8;
    let asked = asked(false);
    let (mut client, mut orders, link) = calling(&asked);
    client.received(link, &settings(), &mut orders);
    let mut held = 0;
    for number in 0..6_000u32 {
        let stream = 2 * number + 1;
        let begun = frame(HEADERS, END_HEADERS, stream, &[b"\x88", &fields(&[("x-number", &number.to_string())])[..]].concat());
        let ended = frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&[("grpc-status", "0")]));
        let window = frame(WINDOW_UPDATE, 0, 0, &100u32.to_be_bytes());
        let answer = [begun, frame(DATA, 0, stream, &framed(b"\x0a\x02hi")), ended, window].concat();
        client.received(link, &answer, &mut orders);
        let told = ordered(&mut orders);
        assert!(told.ended.len() == 1 && told.ended[0].is_ok(), "{told:?}");
        drop((told, answer));
        client.begin(&asked, &mut orders);
        ordered(&mut orders);
        if number == 1_000 {
            held = HELD.get();
        }
    }
    assert!(HELD.get() - held < 16_384, "{} bytes more", HELD.get() - held);
}

#[test]
fn json_becomes_the_message_and_the_message_that_json() {
    let rpc = rpc(false);
    for (json, bytes) in [
        (r#"{"name":"hi","id":"-1","more":[]}"#, &b"\x0a\x02hi\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..]),
        (r#"{"name":"","id":"0","more":[]}"#, b""),
        (r#"{"more":[{"name":"\u00fc","id":"0","more":[]}],"name":"","id":"0"}"#, b"\x1a\x04\x0a\x02\xc3\xbc"),
    ] {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(message_of(&rpc, 0, &value).as_deref(), Some(bytes), "{json}");
        let shown: serde_json::Value = serde_json::from_str(&json_of(&rpc, 0, bytes).unwrap()).unwrap();
        assert_eq!(shown, value);
    }
    for unusual in
        [r#"{"id":"1e3"}"#, r#"{"nme":1}"#, r#"{"name":1}"#, r#"{"id":true}"#, r#"{"more":{}}"#, r#"[]"#, r#"{"id":9223372036854775808}"#]
    {
        assert_eq!(message_of(&rpc, 0, &serde_json::from_str(unusual).unwrap()), None, "{unusual}");
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn whatever_a_server_sends_a_call_ends_once_or_waits(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..20), begins in 0usize..5, streams: bool,
    ) {
        let (mut client, mut orders, link) = calling(&asked(streams));
        let begun = [settings(), head(&[("grpc-encoding", "gzip")])].concat();
        let begin = [vec![], settings(), begun.clone(), [&begun[..], &message(b"\x0a\x02hi")].concat(), [&begun[..], b"\0\0\x20\0\0\0\0\0\x01"].concat()][begins].clone();
        client.received(link, &begin, &mut orders);
        for piece in pieces {
            client.received(link, &piece, &mut orders);
        }
        client.ended(link, None, &mut orders);
        let told = ordered(&mut orders);
        prop_assert!(told.ended.len() + told.opened.len() == 1, "{:?}", told);
    }

    #[test]
    fn no_bytes_break_the_reader_of_messages(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let rpc = rpc(false);
        if let Some(json) = json_of(&rpc, 0, &bytes) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
    }
}
