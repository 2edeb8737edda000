//! Bodies as assertions and extracts read them: decoded within bounds, and never a panic.

use std::io::Write;

use _native::http::answer::Answer;
use _native::http::reading::{Progress, Reader};
use _native::plan::Place;
use _native::plan::host::{Asked, DigestAsked, Fatal, Host, Kind, Report, Route, Span};
use _native::plan::outcome::Outcome;
use _native::values::found::{PartPlan, Path};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

const MOST: u64 = 10_000;

/// Python is not there.
struct Nobody;

impl Host for Nobody {
    fn series(&mut self, _: &str, _: &str) -> Result<u32, Fatal> {
        Ok(0)
    }
    fn failed(&mut self, _: &Report) -> Result<Kind, Fatal> {
        Ok(Kind { error: 1, more: false })
    }
    fn span(&mut self, _: &Span) -> Result<(), Fatal> {
        Ok(())
    }
    fn over_cap(&mut self, _: u64) -> Result<(), Fatal> {
        Ok(())
    }
    fn agreed(&mut self, _: &str, _: &str) -> Result<(), Fatal> {
        Ok(())
    }

    fn revision(&mut self, _: &[u8]) -> Result<(), Fatal> {
        Ok(())
    }
    fn refused(&mut self, _: &str, _: &[String]) -> Option<String> {
        None
    }
    fn route(&mut self, _: &Place) -> Result<Route, String> {
        Err("nobody".into())
    }
    fn place(&mut self, _: &str) -> Result<Asked, String> {
        Err("nobody".into())
    }
    fn join(&mut self, _: &str, _: &[u8]) -> Result<String, String> {
        Err("nobody".into())
    }
    fn assemble(&mut self, _: usize, _: u32, _: &str) -> Result<Option<String>, String> {
        Err("nobody".into())
    }
    fn digest(&mut self, _: &DigestAsked, _: Option<&[Vec<u8>]>) -> Result<Option<String>, String> {
        Err("nobody".into())
    }
    fn json(&mut self, _: &[u8], _: &[u8]) -> Option<String> {
        None
    }
    fn text(&mut self, body: &[u8], _: &[u8]) -> String {
        String::from_utf8_lossy(body).into_owned()
    }
}

fn answer<T>(fields: &str, body: &[u8], look: impl FnOnce(&mut Answer) -> T) -> T {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    let mut reader = Reader::default();
    reader.begin(false, 1 << 20, 1 << 20);
    assert_eq!(reader.feed(&bytes), Ok(Progress::Whole));
    look(&mut Answer::new(&reader, &bytes, MOST))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn outcome(fields: &str, body: &[u8]) -> Result<Vec<u8>, Outcome> {
    answer(fields, body, |answer| answer.body().map(<[u8]>::to_vec).map_err(|failure| failure.outcome))
}

#[test]
fn bodies_are_decoded_as_their_fields_say() {
    let text = b"hello hello hello".to_vec();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&text).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(&text).unwrap();
    let twice = [gzip(&text), gzip(&text)].concat();
    let with_tail = [&gzip(&text)[..], b"tail"].concat();
    let gzipped = "Content-Encoding: gzip\r\n";
    let deflated = "Content-Encoding: deflate\r\n";
    assert_eq!(outcome("", &text), Ok(text.clone()));
    assert_eq!(outcome("Content-Encoding: identity\r\n", &text), Ok(text.clone()));
    assert_eq!(outcome("Content-Encoding: GZIP\r\n", &gzip(&text)), Ok(text.clone()));
    assert_eq!(outcome(gzipped, &twice), Ok(text.repeat(2)));
    assert_eq!(outcome(gzipped, &with_tail), Ok(text.clone()));
    assert_eq!(outcome(deflated, &zlib.finish().unwrap()), Ok(text.clone()));
    assert_eq!(outcome(deflated, &raw.finish().unwrap()), Ok(text.clone()));
    assert_eq!(outcome(gzipped, b""), Ok(vec![]));
    assert_eq!(outcome(gzipped, b"hi"), Err(Outcome::Protocol));
    assert_eq!(outcome(gzipped, &gzip(&text)[..20]), Err(Outcome::Closed));
    assert_eq!(outcome(gzipped, &gzip(&[0; 10_000])), Ok(vec![0; 10_000]));
    assert_eq!(outcome(gzipped, &gzip(&[0; 10_001])), Err(Outcome::TooLarge));
    assert_eq!(outcome(gzipped, &gzip(&vec![0; 100_000_000])), Err(Outcome::TooLarge));
    assert_eq!(outcome("Content-Encoding: br\r\n", b"hi"), Err(Outcome::Protocol));
}

fn cut(path: &str) -> Path {
    path.split('.').map(|part| PartPlan::Either(part.to_owned())).collect::<Vec<_>>().into()
}

proptest! {
    #[test]
    fn no_body_breaks_a_reader_of_bodies(
        body in prop::collection::vec(any::<u8>(), 0..300),
        coding in prop::sample::select(vec!["gzip", "deflate", "identity", "x"]),
        path in "[a-c0-2.-]{0,8}",
    ) {
        let fields = format!("Content-Encoding: {coding}\r\nContent-Type: text/plain; charset=\"x\r\n");
        answer(&fields, &body, |answer| {
            let _ = answer.body();
            let _ = answer.contains("x", &mut Nobody);
            let _ = answer.text(&mut Nobody);
            let _ = answer.cookie("x");
            let _ = answer.find(&cut(&path), &mut Nobody);
        });
    }

    #[test]
    fn a_damaged_gzip_is_a_failure_or_what_it_was(body in prop::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut packed = gzip(&body);
        let place = at.index(packed.len());
        packed[place] = byte;
        if let Ok(found) = outcome("Content-Encoding: gzip\r\n", &packed) {
            prop_assert_eq!(found, body);
        }
    }

    #[test]
    fn any_json_is_found_by_its_path(number in any::<i64>(), text in ".{0,20}") {
        let json = serde_json::json!({"a": [{"n": number}, text]}).to_string();
        let found = |path: &str| cut(path).find(&json).unwrap();
        prop_assert_eq!(found("a.0.n"), Some(serde_json::Value::from(number)));
        prop_assert_eq!(found("a.-1"), Some(serde_json::Value::from(text.clone())));
    }
}
