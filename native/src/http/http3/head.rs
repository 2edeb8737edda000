//! The head of a request as HTTP/3 has it: from the lines of HTTP/1.1 that every request is laid out as.

use bytes::Bytes;
use http::uri::Authority;

use super::frames::{HEADERS, push_varint};
use super::qpack::{begin_section, push_field};
use crate::http::place::authority;
use crate::plan::Place;
use crate::plan::outcome::{Failure, Outcome};

/// Type and length of a frame.
const FRAME_BYTES: usize = 16;

/// The frame with the request's fields: no request line, `:authority` for Host, names in lower case, and no field about the
/// connection (RFC 9114 sections 4.2 and 4.3.1). `lines` are those of the head, the empty one behind them left out or not.
pub fn head_of(lines: &[u8], place: &Place) -> Result<Bytes, Failure> {
    let mut lines = lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let method = words.next().filter(|word| is_name(word)).ok_or_else(|| unsendable("the method"))?;
    let target = words.next().unwrap_or(b"/");
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(unsendable("the path"));
    }
    let (mut fields, mut host) = (Vec::with_capacity(16), None);
    for line in lines.filter(|line| !line.is_empty()) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_name(name) {
            return Err(unsendable("the name of a header"));
        }
        if name.eq_ignore_ascii_case(b"host") {
            host = Some(value);
        } else if value.iter().any(|byte| *byte != b'\t' && (*byte < b' ' || *byte == 0x7f)) {
            return Err(unsendable("the value of a header"));
        } else {
            fields.push((name, value));
        }
    }
    let own = authority(place);
    let host = host.unwrap_or(own.as_bytes());
    if host != own.as_bytes() && Authority::try_from(host).is_err() {
        return Err(unsendable("the header Host"));
    }
    let mut frame = vec![0; FRAME_BYTES];
    begin_section(&mut frame);
    push_field(&mut frame, b":method", method);
    push_field(&mut frame, b":scheme", if place.https { b"https" } else { b"http" });
    push_field(&mut frame, b":authority", host);
    push_field(&mut frame, b":path", target);
    let mut lower = Vec::new();
    for (name, value) in fields {
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        if !is_of_connection(&lower, value) {
            push_field(&mut frame, &lower, value);
        }
    }
    let mut begin = Vec::with_capacity(FRAME_BYTES);
    push_varint(&mut begin, HEADERS);
    push_varint(&mut begin, (frame.len() - FRAME_BYTES) as u64);
    let from = FRAME_BYTES - begin.len();
    frame[from..FRAME_BYTES].copy_from_slice(&begin);
    Ok(Bytes::from(frame).slice(from..))
}

fn is_name(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_of_connection(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => true,
        _ => name == b"te" && !value.eq_ignore_ascii_case(b"trailers"),
    }
}

fn unsendable(what: &str) -> Failure {
    Failure::new(Outcome::Template, format!("{what} can't be sent in HTTP/3"))
}

#[cfg(test)]
mod tests {
    use super::super::frames::{Frames, Piece};
    use super::super::qpack::Fields;
    use super::*;

    fn shown(lines: &str) -> Result<String, String> {
        let place = Place { https: true, host: "shop.example".into(), port: 8443, ..Place::default() };
        let frame = head_of(lines.as_bytes(), &place).map_err(|failure| failure.text)?;
        let (mut frames, mut rest, mut fields) = (Frames::default(), &frame[..], Fields::default());
        assert!(matches!(frames.next(&mut rest), Some(Piece::Begins { kind: HEADERS, length }) if length == rest.len() as u64));
        fields.read(rest, 10_000).map_err(|trouble| format!("{trouble:?}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(fields.iter().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_head_of_http_1_becomes_one_of_http_3() {
        let place = ":scheme=https :authority=shop.example:8443";
        let usual = "GET /a?b=[1] HTTP/1.1\r\nHost: shop.example:8443\r\nX-A:  1 \r\nCookie: a=1\r\n\r\n";
        assert_eq!(shown(usual), Ok(format!(":method=GET {place} :path=/a?b=[1] x-a=1 cookie=a=1")));
        let other = "POST / HTTP/1.1\r\nConnection: close\r\nTE: gzip\r\nUpgrade: x\r\nContent-Length: 0\r\n";
        assert_eq!(shown(other), Ok(format!(":method=POST {place} :path=/ content-length=0")));
        assert_eq!(shown("GET / HTTP/1.1\r\nTE: trailers\r\n"), Ok(format!(":method=GET {place} :path=/ te=trailers")));
        let own = shown("GET / HTTP/1.1\r\nhost: other.example\r\n");
        assert_eq!(own, Ok(":method=GET :scheme=https :authority=other.example :path=/".into()));
    }

    #[test]
    fn what_http_3_can_not_say_is_a_failure_of_the_request() {
        for lines in
            ["GET / HTTP/1.1\r\nHost: a b\r\n", "GET / HTTP/1.1\r\nX Y: 1\r\n", "GET / HTTP/1.1\r\nX: a\x00b\r\n", " / HTTP/1.1\r\n"]
        {
            assert!(shown(lines).is_err_and(|text| text.ends_with("can't be sent in HTTP/3")), "{lines}");
        }
    }
}
