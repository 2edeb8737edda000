//! HTTP/2 in any pieces: what an answer means never depends on where the network cut it, no bytes break the session or keep it
//! busy, and none make it hold more than its bounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use _native::http::http2::{Lost, Session};
use _native::http::reading::{Progress, Reader};
use _native::plan::outcome::{Failure, Outcome};
use proptest::prelude::*;

const MOST_BODY: u64 = 60_000;
/// Of one connection, whatever its peer sends: windows, header fields as text and packed, buffers.
const MOST_HELD: isize = 6 * 1024 * 1024;

/// Counts what the thread of a test holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: all of it is the system's; the counters are plain cells without a destructor
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller's
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller's
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, PartialEq)]
enum Read {
    Whole(u16, Vec<u8>, bool),
    Lost(Outcome),
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
    let (mut session, mut reader) = (Session::default(), Reader::default());
    reader.begin(false, MOST_BODY as usize, MOST_BODY);
    session.begin();
    let mut step = |session: &mut Session| {
        let progress = session.advance(get, b"", &mut reader);
        session.unsent(|bytes| bytes.clear());
        match progress {
            Ok(Progress::More) => None,
            Ok(Progress::Whole) => Some(Read::Whole(reader.status, reader.body(b"").to_vec(), session.idle())),
            Err(Lost::TooLarge) => Some(Read::TooLarge),
            Err(Lost::Failed(failure) | Lost::Stream(failure) | Lost::Unseen(failure)) => Some(Read::Lost(failure.outcome)),
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
}
