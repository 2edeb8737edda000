//! Answers in any pieces: what they mean never depends on where the network cut them, and no bytes break the reader.

use _native::http::reading::{Broken, Progress, Reader};
use proptest::prelude::*;

const MOST_BODY: u64 = 1000;

/// What came of an answer: status, body, whether the connection lives on; or why it can't be used.
#[derive(Debug, PartialEq)]
enum Read {
    Whole(u16, Vec<u8>, bool),
    Broken(&'static str),
    /// All was given, and more would be needed.
    Waiting,
}

fn kind(broken: &Broken) -> &'static str {
    match broken {
        Broken::Protocol(_) => "protocol",
        Broken::Closed(_) => "closed",
        Broken::TooLarge => "too large",
    }
}

/// Feeds `pieces`, then the end of the stream if `ends`.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, is_head: bool, ends: bool) -> Read {
    let mut reader = Reader::default();
    reader.begin(is_head, MOST_BODY as usize, MOST_BODY);
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        match reader.feed(piece) {
            Ok(Progress::More) => {}
            Ok(Progress::Whole) => return Read::Whole(reader.status, reader.body(piece).to_vec(), reader.keep),
            Err(broken) => return Read::Broken(kind(&broken)),
        }
        assert!(reader.body(&[]).len() as u64 <= MOST_BODY);
    }
    match if ends { reader.ended() } else { Ok(Progress::More) } {
        Ok(Progress::Whole) => Read::Whole(reader.status, reader.body(&[]).to_vec(), reader.keep),
        Ok(Progress::More) => Read::Waiting,
        Err(broken) => Read::Broken(kind(&broken)),
    }
}

fn bytewise(bytes: &[u8], is_head: bool, ends: bool) -> Read {
    read(bytes.chunks(1), is_head, ends)
}

fn whole(status: u16, body: &str, keep: bool) -> Read {
    Read::Whole(status, body.as_bytes().to_vec(), keep)
}

#[test]
fn each_answer_is_what_it_is_whole_and_byte_by_byte() {
    let broken = || Read::Broken("protocol");
    let table: Vec<(&str, &str, Read)> = vec![
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", whole(200, "hi", true)),
        ("no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", whole(200, "", true)),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
            whole(200, "hi0123456789", true),
        ),
        ("trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", whole(200, "x", true)),
        ("close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", whole(200, "x", false)),
        ("until the end", "HTTP/1.1 200 OK\r\n\r\nall of it", whole(200, "all of it", false)),
        ("1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", whole(200, "x", false)),
        ("1.0 that stays", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", whole(200, "x", true)),
        ("204", "HTTP/1.1 204 No\r\n\r\n", whole(204, "", true)),
        (
            "interim",
            "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            whole(200, "x", true),
        ),
        ("cut body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", Read::Broken("closed")),
        ("cut head", "HTTP/1.1 200 OK\r\nCon", Read::Broken("closed")),
        ("nothing", "", Read::Broken("closed")),
        ("101", "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n", broken()),
        ("099", "HTTP/1.1 099 S\r\n\r\n", broken()),
        ("no answer", "<html>\r\n\r\n", broken()),
        ("LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", broken()),
        ("two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", whole(200, "x", true)),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", broken()),
        ("a fold", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\nx", whole(200, "x", true)),
        ("an empty line before", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", whole(200, "x", true)),
        ("blanks behind a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 \t\r\nx\r\n0\r\n\r\n", whole(200, "x", true)),
        ("chunks within chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", broken()),
        ("length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", broken()),
        ("length below 0", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", broken()),
        ("no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", broken()),
        ("endless chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", broken()),
    ];
    for (sentence, answer, expected) in table {
        assert_eq!(read([answer.as_bytes()], false, true), expected, "{sentence}, whole");
        assert_eq!(bytewise(answer.as_bytes(), false, true), expected, "{sentence}, byte by byte");
    }
}

#[test]
fn bytes_that_nobody_asked_for_end_the_connection() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 500 No\r\n\r\n";
    assert_eq!(read([&answer[..]], false, false), whole(200, "hi", false));
}

#[test]
fn the_answer_to_head_has_no_body() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(read([&answer[..]], true, false), whole(200, "", true));
}

#[test]
fn a_head_has_bounds() {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for number in 0..40_000 {
        head.extend_from_slice(format!("X-{number}: 1234567890\r\n").as_bytes());
    }
    assert_eq!(read(head.chunks(4096), false, false), Read::Broken("protocol"));
    let many: String = (0..150).map(|number| format!("X-{number}: 1\r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n");
    assert_eq!(read([answer.as_bytes()], false, false), whole(200, "", true));
}

/// An answer that is right, as bytes, with its status and body.
fn answers() -> impl Strategy<Value = (Vec<u8>, u16, Vec<u8>)> {
    let body = prop::collection::vec(any::<u8>(), 0..600);
    let fields = prop::collection::vec(("[A-Za-z][A-Za-z0-9-]{0,20}", "[ -~]{0,40}"), 0..8);
    (200u16..600, body, fields, prop::collection::vec(1usize..200, 0..6), any::<bool>()).prop_map(
        |(status, body, fields, sizes, chunked)| {
            let status = if matches!(status, 204 | 304) { 200 } else { status };
            let mut bytes = format!("HTTP/1.1 {status} Some Phrase\r\n").into_bytes();
            for (name, value) in fields {
                bytes.extend_from_slice(format!("x-{name}: {}\r\n", value.trim()).as_bytes());
            }
            if chunked {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                let mut rest = &body[..];
                for size in sizes.into_iter().chain([usize::MAX]) {
                    let (part, after) = rest.split_at(size.min(rest.len()));
                    if !part.is_empty() {
                        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                        bytes.extend_from_slice(part);
                        bytes.extend_from_slice(b"\r\n");
                    }
                    rest = after;
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            } else {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(&body);
            }
            (bytes, status, body)
        },
    )
}

fn cut_at(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

proptest! {
    #[test]
    fn where_an_answer_is_cut_does_not_matter((bytes, status, body) in answers(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let pieces = cut_at(&bytes, &cuts);
        prop_assert_eq!(read(pieces.iter().map(Vec::as_slice), false, false), Read::Whole(status, body, true));
    }

    #[test]
    fn no_bytes_break_the_reader(
        (bytes, _, _) in answers(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ends in any::<bool>(),
    ) {
        let mut bytes = bytes;
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        let pieces = cut_at(&bytes, &cuts);
        let _ = read(pieces.iter().map(Vec::as_slice), false, ends);
        let _ = bytewise(&bytes, true, ends);
    }

    #[test]
    fn noise_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
        let found = read([bytes.as_slice()], false, true);
        prop_assert!(matches!(found, Read::Broken(_)), "{:?}", found);
    }
}
