//! HTTP/2 in any pieces: what an answer means never depends on where the network cut it, no bytes break the session or keep it
//! busy, and none make it hold more than its bounds.

use _native::http::http2::{Lost, Session};
use _native::http::reading::{Progress, Reader};
use _native::plan::outcome::{Failure, Outcome};
use proptest::prelude::*;

mod holding;
use holding::{HELD, PEAK};

const MOST_BODY: u64 = 60_000;
/// Of one connection, whatever its peer sends: windows, header fields as text and packed, buffers.
const MOST_HELD: isize = 6 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq)]
enum Read {
    Whole(u16, Vec<u8>, bool),
    Lost(Outcome),
    /// It may be asked again.
    Unseen,
    TooLarge,
    /// All was given, and more would be needed.
    Waiting,
}

fn get() -> Result<http::Request<()>, Failure> {
    let mut request = http::Request::new(());
    *request.uri_mut() = http::Uri::from_static("http://x.test/");
    Ok(request)
}

/// One request on a new connection, and `pieces` as what the peer says to it; then its end, if `ends`.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, ends: bool) -> Read {
    let mut session = begun();
    let at = asked(&mut session).expect("a first request");
    let step = |session: &mut Session| {
        let found = moved(session).pop().map(|(_, read)| read);
        let lost = session.is_flooded().then(|| Read::Lost(Session::flood().outcome));
        match found.or(lost) {
            Some(Read::Whole(status, body, _)) => {
                session.end(at);
                session.poll();
                Some(Read::Whole(status, body, session.is_usable()))
            }
            other => other,
        }
    };
    assert_eq!(step(&mut session), None);
    for piece in pieces {
        session.feed(piece);
        if let Some(read) = step(&mut session) {
            return read;
        }
    }
    if ends {
        assert!(session.ended());
        return step(&mut session).unwrap_or(Read::Waiting);
    }
    Read::Waiting
}

fn begun() -> Session {
    let mut session = Session::default();
    session.poll();
    session
}

/// Asks for one more; None: there is no room for it.
fn asked(session: &mut Session) -> Option<usize> {
    session.ask(7, get, b"", |reader: &mut Reader| reader.begin(false, MOST_BODY as usize, MOST_BODY)).expect("a session that is usable")
}

/// What has come of requests by now; those are not ended.
fn moved(session: &mut Session) -> Vec<(usize, Read)> {
    let mut found = Vec::new();
    loop {
        session.poll();
        while let Some(at) = session.next_moved() {
            let done = session.go_on(at, b"");
            let reader = &session.streams[at].reader;
            found.push((
                at,
                match done {
                    Ok(Progress::More) => continue,
                    Ok(Progress::Whole) => Read::Whole(reader.status, reader.body(b"").to_vec(), true),
                    Err(Lost::TooLarge) => Read::TooLarge,
                    Err(Lost::Failed(failure) | Lost::Stream(failure)) => Read::Lost(failure.outcome),
                    Err(Lost::Unseen(_) | Lost::Refused(_)) => Read::Unseen,
                },
            ));
        }
        session.unsent(|bytes| bytes.clear());
        if !session.has_moved() {
            return found;
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Settings, then a whole answer on the first stream, as frames.
fn answer(body: &[u8]) -> Vec<u8> {
    let mut bytes = frame(4, 0, 0, &[]);
    bytes.extend(frame(4, 1, 0, &[]));
    bytes.extend(frame(1, 4, 1, b"\x88\x00\x01x\x01y"));
    bytes.extend(frame(6, 0, 0, b"12345678"));
    for part in body.chunks(300) {
        bytes.extend(frame(0, 0, 1, part));
    }
    bytes.extend(frame(1, 5, 1, b"\x00\x01t\x01y"));
    bytes
}

#[test]
fn an_answer_is_the_same_whole_byte_by_byte_and_with_a_tail() {
    let body = b"0123456789".repeat(90);
    let bytes = answer(&body);
    let whole = Read::Whole(200, body, true);
    assert_eq!(read([&bytes[..]], false), whole);
    assert_eq!(read(bytes.chunks(1), false), whole);
    let with_ping = [bytes.clone(), frame(6, 0, 0, b"87654321")].concat();
    assert_eq!(read([&with_ping[..]], false), whole);
    let with_goodbye = [bytes, frame(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])].concat();
    assert!(matches!(read([&with_goodbye[..]], false), Read::Whole(200, _, false)));
}

#[test]
fn a_body_may_come_in_frames_of_one_byte() {
    let body = vec![b'x'; MOST_BODY as usize];
    let frames = body.iter().map(|byte| frame(0, 0, 1, &[*byte])).collect::<Vec<_>>().concat();
    let bytes = [frame(4, 0, 0, &[]), frame(1, 4, 1, b"\x88"), frames, frame(0, 1, 1, &[])].concat();
    assert_eq!(read(bytes.chunks(65_536), false), Read::Whole(200, body, true));
}

#[test]
fn a_body_has_its_bound() {
    assert_eq!(read([&answer(&[0; MOST_BODY as usize + 1])[..]], false), Read::TooLarge);
    assert!(matches!(read([&answer(&[0; MOST_BODY as usize])[..]], false), Read::Whole(..)));
}

#[test]
fn no_flood_is_held_or_read_for_long() {
    let field = [&b"\x00\x01x\x64"[..], &[b'v'; 100]].concat();
    let head = frame(1, 0, 1, b"\x88");
    let floods = [
        ("pings", vec![], frame(6, 0, 0, &[0; 8])),
        ("settings", vec![], frame(4, 0, 0, &[])),
        ("interim answers", vec![], frame(1, 4, 1, b"\x08\x03103")),
        ("header fields", head.clone(), frame(9, 0, 1, &field.repeat(100))),
        ("empty header frames", head, frame(9, 0, 1, &[])),
        ("empty data", frame(1, 4, 1, b"\x88"), frame(0, 0, 1, &[])),
        ("padding", frame(1, 4, 1, b"\x88"), frame(0, 8, 1, &[&[255][..], &[0; 255]].concat())),
        ("window updates", vec![], frame(8, 0, 0, &[0, 0, 0, 1])),
        ("priorities", vec![], frame(2, 0, 1, &[0; 5])),
        ("frames that nobody knows", vec![], frame(77, 0, 0, &[0; 1000])),
        (
            "packed fields",
            frame(1, 4, 1, &[&b"\x88\x40\x01x\x7f\xa1\x1e"[..], &[b'v'; 4000], &[0xbe; 12_000]].concat()),
            frame(6, 0, 0, &[0; 8]),
        ),
    ];
    for (name, first, again) in floods {
        let block = again.repeat(60_000 / again.len());
        PEAK.set(HELD.get());
        let before = HELD.get();
        let blocks = std::iter::once(&first[..]).chain(std::iter::repeat_n(&block[..], 1000));
        assert_eq!(read(blocks, false), Read::Lost(Outcome::Protocol), "{name}");
        assert!(PEAK.get() - before < MOST_HELD, "{name}: {} bytes", PEAK.get() - before);
    }
}

/// Several requests on a connection whose server has said that it takes `most` at once.
fn several(count: usize, most: u32) -> (Session, Vec<usize>) {
    let mut session = begun();
    let mut places = vec![asked(&mut session).expect("a first request")];
    assert_eq!(asked(&mut session), None, "the server has not said how many it takes");
    session.feed(&[frame(4, 0, 0, &[&[0, 3][..], &most.to_be_bytes()].concat()), frame(4, 1, 0, &[])].concat());
    assert_eq!(moved(&mut session), []);
    assert_eq!(session.most(), Some(most as usize));
    places.extend((1..count).map(|_| asked(&mut session).expect("room")));
    assert_eq!(moved(&mut session), []);
    (session, places)
}

fn whole(body: &[u8]) -> Read {
    Read::Whole(200, body.to_vec(), true)
}

#[test]
fn no_more_requests_are_under_way_than_the_server_takes() {
    let (mut session, places) = several(2, 2);
    assert_eq!(asked(&mut session), None);
    session.feed(&frame(1, 5, 3, b"\x88"));
    assert_eq!(moved(&mut session), [(places[1], whole(b""))]);
    assert_eq!(asked(&mut session), None, "it is not ended");
    session.end(places[1]);
    assert!(asked(&mut session).is_some());
    session.feed(&frame(4, 0, 0, &[0, 3, 0, 0, 0, 1])); // and fewer from now on
    assert_eq!(moved(&mut session), []);
    session.end(places[0]);
    moved(&mut session);
    assert_eq!(asked(&mut session), None);
}

#[test]
fn what_a_server_does_to_one_request_leaves_the_others_alone() {
    let (mut session, places) = several(5, 100);
    let reset = |stream: u32, code: u8| frame(3, 0, stream, &[0, 0, 0, code]);
    session.feed(&[reset(3, 8), reset(5, 7), frame(1, 4, 7, b"\x88"), frame(1, 5, 9, b"\x88\x0f\x0d\x015")].concat());
    let mut found = moved(&mut session);
    found.sort_by_key(|(at, _)| *at);
    let wanted = [(places[1], Read::Lost(Outcome::Closed)), (places[2], Read::Unseen), (places[4], Read::Lost(Outcome::Protocol))];
    assert_eq!(found, wanted);
    for (at, _) in &wanted {
        session.end(*at);
    }
    session.feed(&[frame(0, 1, 7, b"hi"), frame(1, 5, 1, b"\x88")].concat());
    let mut found = moved(&mut session);
    found.sort_by_key(|(at, _)| *at);
    assert_eq!(found, [(places[0], whole(b"")), (places[3], whole(b"hi"))]);
    assert!(session.is_usable());
}

#[test]
fn a_goodbye_ends_what_the_server_did_not_look_at_and_nothing_else() {
    let (mut session, places) = several(3, 100);
    session.feed(&frame(7, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]));
    assert_eq!(moved(&mut session), [(places[2], Read::Unseen)]);
    session.end(places[2]);
    assert!(!session.is_usable());
    session.feed(&[frame(1, 5, 3, b"\x88"), frame(1, 4, 1, b"\x88"), frame(0, 1, 1, b"late")].concat());
    assert_eq!(moved(&mut session), [(places[1], whole(b"")), (places[0], whole(b"late"))]);
    assert!(matches!(session.ask(7, get, b"", |_| ()), Err(Lost::Unseen(_))));
}

#[test]
fn a_connection_that_ends_ends_all_of_them() {
    for (last, outcome) in [(vec![], Outcome::Closed), (frame(0, 0, 0, b"?"), Outcome::Protocol), (b"\xff".repeat(99), Outcome::Protocol)] {
        let (mut session, places) = several(3, 100);
        session.feed(&last);
        session.ended();
        let found = moved(&mut session);
        assert_eq!(found.len(), places.len());
        assert!(found.iter().all(|(_, read)| *read == Read::Lost(outcome)), "{found:?}");
    }
}

#[test]
fn a_request_that_is_given_up_is_reset_and_what_still_comes_of_it_is_no_flood() {
    let (mut session, places) = several(2, 100);
    session.feed(&[frame(1, 4, 1, b"\x88"), frame(1, 4, 3, b"\x88")].concat());
    moved(&mut session);
    session.end(places[0]);
    session.poll();
    let sent = session.unsent(std::mem::take);
    assert_eq!(sent, frame(3, 0, 1, &[0, 0, 0, 8]), "CANCEL, and nothing else");
    for _ in 0..128 {
        session.feed(&frame(0, 0, 1, &[0; 16_384]));
        assert_eq!(moved(&mut session), []);
        assert!(!session.is_flooded());
    }
    session.feed(&frame(0, 1, 3, b"hi"));
    assert_eq!(moved(&mut session), [(places[1], whole(b"hi"))]);
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"\x88".to_vec()),
        Just(vec![0, 0, 0, 1]),
        Just(vec![0, 0, 0, 0, 0, 0, 0, 0]),
        Just(vec![0, 4, 0, 0, 0, 0]),
        Just(b"\x88\x00\x01x\x01y".to_vec()),
    ];
    (0u8..11, prop::sample::select(vec![0u8, 1, 4, 5, 8, 0x20, 0x2d]), 0u32..4, payload)
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload))
}

fn pieces(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn no_bytes_break_a_session(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        settled in any::<bool>(),
    ) {
        let bytes = if settled { [frame(4, 0, 0, &[]), bytes].concat() } else { bytes };
        prop_assert_ne!(read(pieces(&bytes, &cuts).iter().map(Vec::as_slice), true), Read::Waiting);
    }

    #[test]
    fn no_frames_break_a_session(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = [frame(4, 0, 0, &[]), frames.concat()].concat();
        prop_assert_ne!(read(pieces(&bytes, &cuts).iter().map(Vec::as_slice), true), Read::Waiting);
    }

    #[test]
    fn a_damaged_answer_breaks_no_session(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 1usize..50) {
        let mut bytes = answer(&[b'b'; 500]);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        prop_assert_ne!(read(bytes.chunks(cut), true), Read::Waiting);
    }

    #[test]
    fn cuts_change_nothing(body in prop::collection::vec(any::<u8>(), 0..900), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let bytes = answer(&body);
        prop_assert_eq!(read(pieces(&bytes, &cuts).iter().map(Vec::as_slice), false), Read::Whole(200, body, true));
    }

    #[test]
    fn answers_side_by_side_are_each_their_own_and_every_byte_is_of_one(
        order in prop::collection::vec((0usize..5, prop::collection::vec(any::<u8>(), 0..300)), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (mut session, places) = several(5, 100);
        let settings = 9 + 6 + 9;
        let mut bytes: Vec<u8> = (0..5).flat_map(|one| frame(1, 4, one * 2 + 1, b"\x88")).collect();
        let mut bodies = vec![Vec::new(); 5];
        for (one, part) in &order {
            bytes.extend(frame(0, 0, *one as u32 * 2 + 1, part));
            bytes.extend(frame(6, 0, 0, b"12345678"));
            bodies[*one].extend_from_slice(part);
        }
        bytes.extend((0..5).flat_map(|one| frame(0, 1, one * 2 + 1, &[])));
        let mut found = vec![None; 5];
        let mut received = 0;
        for piece in pieces(&bytes, &cuts) {
            session.feed(&piece);
            for (at, read) in moved(&mut session) {
                let one = places.iter().position(|place| *place == at).unwrap_or(9);
                prop_assert_eq!(found[one].replace(read), None);
                received += session.end(at).1;
            }
        }
        let wanted: Vec<Option<Read>> = bodies.iter().map(|body| Some(whole(body))).collect();
        prop_assert_eq!(found, wanted);
        prop_assert_eq!(received, (settings + bytes.len()) as u64);
        prop_assert!(session.is_usable());
    }

    #[test]
    fn no_frames_break_several_requests(
        frames in prop::collection::vec(any_frame(), 0..20),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (mut session, places) = several(2, 100);
        let mut found = Vec::new();
        for piece in pieces(&frames.concat(), &cuts) {
            session.feed(&piece);
            for (at, read) in moved(&mut session) {
                session.end(at);
                found.push((at, read));
            }
        }
        session.ended();
        found.extend(moved(&mut session));
        prop_assert_eq!(found.len(), places.len()); // each has one end
    }
}
