//! HTTP/3 in any pieces: what an answer means never depends on where its stream was cut, no bytes break a reader or keep it busy, and
//! none make it hold more than its bounds.

use _native::http::http3::answer::{Inbound, Wrong};
use _native::http::http3::beside::{Beside, Said};
use _native::http::http3::frames::push_varint;
use _native::http::http3::qpack::{Fields, begin_section, push_field};
use _native::http::reading::{Broken, Reader};
use proptest::prelude::*;

mod holding;
use holding::{HELD, PEAK};

const MOST_BODY: u64 = 60_000;
/// Of one answer: header fields as text and packed, and a body.
const MOST_HELD: isize = 2 * 1024 * 1024;

type Read = Result<(u16, Vec<u8>), Wrong>;

/// An answer whose stream ends behind the pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let (mut inbound, mut fields, mut reader) = (Inbound::new(false), Fields::default(), Reader::default());
    reader.begin(false, MOST_BODY as usize, MOST_BODY);
    for piece in pieces {
        inbound.feed(piece, &mut fields, &mut reader)?;
    }
    inbound.end(&reader)?;
    Ok((reader.status, reader.body(b"").to_vec()))
}

/// What a server's own streams come to.
fn heard<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(bool, Option<u64>), u64> {
    let (mut stream, mut said) = (Beside::default(), Said::default());
    for piece in pieces {
        stream.feed(piece, &mut said)?;
    }
    Ok((said.is_settled, said.leaves_from))
}

fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_varint(&mut out, kind);
    push_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = Vec::new();
    begin_section(&mut section);
    fields.iter().for_each(|(name, value)| push_field(&mut section, name.as_bytes(), value.as_bytes()));
    frame(1, &section)
}

fn answer(body: &[u8]) -> Vec<u8> {
    let mut bytes = [head(&[(":status", "103")]), frame(0x21, b"nothing"), head(&[(":status", "200"), ("x", "y")])].concat();
    body.chunks(300).for_each(|part| bytes.extend(frame(0, part)));
    bytes.extend(head(&[("t", "y")]));
    bytes
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![0, 0, 0xd9]),
        Just(vec![0, 0, 0xd8]),
        Just(vec![0, 0, 0xd9, 0x21, b'x', 1, b'y']),
        Just(vec![4]),
        Just(vec![6, 0x40, 0xff]),
    ];
    (prop::sample::select(vec![0u64, 1, 1, 2, 3, 4, 5, 7, 13, 0x21, 1 << 40]), payload).prop_map(|(kind, payload)| frame(kind, &payload))
}

fn pieces(bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

#[test]
fn a_body_has_its_bound() {
    assert_eq!(read([&answer(&[0; MOST_BODY as usize + 1])[..]]), Err(Wrong::Answer(Broken::TooLarge)));
    assert!(read([&answer(&[0; MOST_BODY as usize])[..]]).is_ok());
}

#[test]
fn nothing_without_end_is_held() {
    let section = |count: usize| [&[0, 0, 0xd9][..], &vec![0xfa; count]].concat();
    let fields = [&[0, 0, 0xd9][..], &[0x21, b'x', 100], &[b'v'; 100]].concat();
    let begun = |kind: u64| {
        let mut out = Vec::new();
        push_varint(&mut out, kind);
        push_varint(&mut out, 1 << 50);
        out
    };
    let cases = [
        ("interim answers", vec![], head(&[(":status", "103")])),
        ("fields that nobody wants to know", vec![], frame(0x21, &[0; 1000])),
        ("a frame without end", begun(0x21), vec![0; 1000]),
        ("empty frames", frame(1, &[0, 0, 0xd9]), frame(0, &[])),
        ("packed fields", vec![], frame(1, &section(60_000))),
        ("fields", vec![], frame(1, &fields)),
    ];
    for (name, first, again) in cases {
        let block = again.repeat((60_000 / again.len()).max(1));
        PEAK.set(HELD.get());
        let before = HELD.get();
        let _ = read(std::iter::once(&first[..]).chain(std::iter::repeat_n(&block[..], 80)));
        assert!(PEAK.get() - before < MOST_HELD, "{name}: {} bytes", PEAK.get() - before);
        let _ = heard(std::iter::once(&first[..]).chain(std::iter::repeat_n(&block[..], 80)));
        let _ = heard(std::iter::once(&[0, 4, 0][..]).chain(std::iter::repeat_n(&block[..], 80)));
        assert!(PEAK.get() - before < MOST_HELD, "{name} on the control stream: {} bytes", PEAK.get() - before);
    }
}

proptest! {
    #[test]
    fn cuts_change_nothing(body in prop::collection::vec(any::<u8>(), 0..900), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let bytes = answer(&body);
        prop_assert_eq!(read(pieces(&bytes, &cuts).iter().map(Vec::as_slice)), Ok((200, body)));
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        kind in 0u8..5,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let cut = pieces(&bytes, &cuts);
        prop_assert_eq!(read([&bytes[..]]), read(cut.iter().map(Vec::as_slice)));
        let bytes = [vec![kind], bytes].concat();
        let cut = pieces(&bytes, &cuts);
        prop_assert_eq!(heard([&bytes[..]]), heard(cut.iter().map(Vec::as_slice)));
    }

    #[test]
    fn any_frames_mean_the_same_however_they_are_cut(
        frames in prop::collection::vec(any_frame(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = frames.concat();
        let cut = pieces(&bytes, &cuts);
        prop_assert_eq!(read([&bytes[..]]), read(cut.iter().map(Vec::as_slice)));
        let bytes = [vec![0], frame(4, &[]), bytes].concat();
        let cut = pieces(&bytes, &cuts);
        prop_assert_eq!(heard([&bytes[..]]), heard(cut.iter().map(Vec::as_slice)));
    }

    #[test]
    fn a_damaged_answer_breaks_no_reader(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 1usize..50) {
        let mut bytes = answer(&[b'b'; 500]);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        prop_assert_eq!(read(bytes.chunks(cut)), read([&bytes[..]]));
    }

    #[test]
    fn any_section_is_read_or_refused(section in prop::collection::vec(any::<u8>(), 0..300), most in 0usize..5000) {
        let mut fields = Fields::default();
        if fields.read(&section, most).is_ok() {
            let size: usize = fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
            prop_assert!(size <= most);
        }
    }
}
