//! One answer from the bytes of its stream (RFC 9114 section 4).

use super::code;
use super::frames::{CANCEL_PUSH, DATA, Frames, GOAWAY, HEADERS, MAX_PUSH_ID, OF_HTTP_2, PUSH_PROMISE, Piece, SETTINGS};
use super::qpack::{Fields, Trouble};
use crate::http::lines::whole_number;
use crate::http::reading::{Broken, MAX_HEAD_BYTES, Reader};

/// Why a stream is no answer.
#[derive(Debug, PartialEq)]
pub enum Wrong {
    /// The connection ends with this code.
    Connection(u64),
    /// Only the stream does.
    Stream(u64),
    Answer(Broken),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Head,
    Body,
    /// Behind the trailers.
    Over,
}

#[derive(Default)]
pub struct Inbound {
    frames: Frames,
    stage: Stage,
    kind: u64,
    section: Vec<u8>,
    /// What Content-Length says, where there is to be a body.
    length: Option<u64>,
    /// The request was HEAD.
    is_head: bool,
}

impl Inbound {
    pub fn new(is_head: bool) -> Self {
        Inbound { is_head, ..Inbound::default() }
    }

    pub fn feed(&mut self, bytes: &[u8], fields: &mut Fields, reader: &mut Reader) -> Result<(), Wrong> {
        let mut rest = bytes;
        while let Some(piece) = self.frames.next(&mut rest) {
            match piece {
                Piece::Begins { kind, length } => self.begin(kind, length)?,
                Piece::Part(part) => match self.kind {
                    DATA => reader.take_body(part).map_err(Wrong::Answer)?,
                    HEADERS => self.section.extend_from_slice(part),
                    _ => {}
                },
                Piece::Ends if self.kind == HEADERS => {
                    let section = std::mem::take(&mut self.section);
                    self.take_section(&section, fields, reader)?;
                }
                Piece::Ends => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<(), Wrong> {
        self.kind = kind;
        match kind {
            DATA if self.stage == Stage::Body => Ok(()),
            HEADERS if self.stage == Stage::Over => Err(Wrong::Connection(code::FRAME_UNEXPECTED)),
            HEADERS if length > MAX_HEAD_BYTES as u64 => Err(too_large()),
            HEADERS => Ok(()),
            PUSH_PROMISE => Err(Wrong::Connection(code::ID_ERROR)), // none was allowed
            DATA | SETTINGS | GOAWAY | CANCEL_PUSH | MAX_PUSH_ID => Err(Wrong::Connection(code::FRAME_UNEXPECTED)),
            _ if OF_HTTP_2.contains(&kind) => Err(Wrong::Connection(code::FRAME_UNEXPECTED)),
            _ => Ok(()),
        }
    }

    fn take_section(&mut self, section: &[u8], fields: &mut Fields, reader: &mut Reader) -> Result<(), Wrong> {
        fields.read(section, MAX_HEAD_BYTES).map_err(|trouble| match trouble {
            Trouble::Invalid => Wrong::Connection(code::QPACK_DECOMPRESSION_FAILED),
            Trouble::TooLarge => too_large(),
        })?;
        let malformed = Wrong::Stream(code::MESSAGE_ERROR);
        if self.stage == Stage::Body {
            self.stage = Stage::Over;
            return if fields.iter().all(|(name, value)| is_field(name, value)) { Ok(()) } else { Err(malformed) };
        }
        let mut all = fields.iter();
        let status = all.next().and_then(|(name, value)| status_of(name, value)).ok_or(Wrong::Stream(code::MESSAGE_ERROR))?;
        self.length = None;
        for (name, value) in all {
            if !is_field(name, value) {
                return Err(malformed);
            }
            if name == b"content-length" {
                let length = whole_number(value).filter(|length| self.length.is_none_or(|before| before == *length));
                self.length = Some(length.ok_or(Wrong::Stream(code::MESSAGE_ERROR))?);
            }
        }
        if status == 101 {
            return Err(malformed); // section 4.5
        }
        if status < 200 {
            return Ok(()); // another one follows
        }
        if self.is_head || matches!(status, 204 | 304) {
            self.length = None;
        }
        self.stage = Stage::Body;
        // there is no phrase in HTTP/3; the usual one makes failures read the same
        let phrase = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
        reader.take_head(status, phrase, fields.iter().skip(1)).map_err(Wrong::Answer)
    }

    /// The stream has come to its end.
    pub fn end(&self, reader: &Reader) -> Result<(), Wrong> {
        if !self.frames.is_between() {
            return Err(Wrong::Connection(code::FRAME_ERROR));
        }
        if self.stage == Stage::Head || self.length.is_some_and(|length| length != reader.body_bytes()) {
            return Err(Wrong::Stream(code::MESSAGE_ERROR));
        }
        Ok(())
    }

    pub fn has_head(&self) -> bool {
        self.stage != Stage::Head
    }
}

fn too_large() -> Wrong {
    Wrong::Answer(Broken::Protocol("over 262,144 bytes of header fields".into()))
}

fn status_of(name: &[u8], value: &[u8]) -> Option<u16> {
    let is_status = name == b":status" && value.len() == 3 && value.iter().all(u8::is_ascii_digit);
    let status = std::str::from_utf8(value).ok().filter(|_| is_status)?.parse().ok()?;
    (status >= 100).then_some(status)
}

/// A field with a name in lower case that is about no connection, and a value without line breaks (sections 4.2 and 10.3).
fn is_field(name: &[u8], value: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_of_connection = matches!(name, b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade");
    let is_value = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    !name.is_empty() && name.iter().all(is_token) && !is_of_connection && value.iter().all(is_value)
}

#[cfg(test)]
mod tests {
    use super::super::frames::push_varint;
    use super::super::qpack::{begin_section, push_field};
    use super::*;

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
        frame(HEADERS, &section)
    }

    type Shown = Result<(u16, String, Vec<u8>), Wrong>;

    fn read(pieces: &[&[u8]], is_head: bool) -> Shown {
        let (mut inbound, mut fields, mut reader) = (Inbound::new(is_head), Fields::default(), Reader::default());
        reader.begin(is_head, 1 << 20, 1 << 20);
        for piece in pieces {
            inbound.feed(piece, &mut fields, &mut reader)?;
        }
        inbound.end(&reader)?;
        let shown: Vec<String> = crate::http::answer::Answer::new(&reader, b"", 1 << 20)
            .fields()
            .map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
            .collect();
        Ok((reader.status, shown.join(" "), reader.body(b"").to_vec()))
    }

    #[test]
    fn an_answer_is_the_same_however_it_is_cut() {
        let bytes = [
            head(&[(":status", "103"), ("link", "</a>")]),
            frame(0x21, b"grease"),
            head(&[(":status", "200"), ("x-a", "1"), ("content-length", "5")]),
            frame(DATA, b"he"),
            frame(DATA, b""),
            frame(0x1f * 9 + 0x21, &[0; 100]),
            frame(DATA, b"llo"),
            head(&[("x-trailer", "1")]),
        ]
        .concat();
        let wanted: Shown = Ok((200, "x-a=1 content-length=5".into(), b"hello".to_vec()));
        assert_eq!(read(&[&bytes], false), wanted);
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>(), false), wanted, "byte by byte");
        for at in 0..bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]], false), wanted, "cut at {at}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_told_by_its_code() {
        let ok = head(&[(":status", "200")]);
        let sized = head(&[(":status", "200"), ("content-length", "5")]);
        let cases: [(&str, Vec<u8>, Wrong); 18] = [
            ("nothing", Vec::new(), Wrong::Stream(code::MESSAGE_ERROR)),
            ("a body before the head", frame(DATA, b"x"), Wrong::Connection(code::FRAME_UNEXPECTED)),
            ("settings", [&ok[..], &frame(SETTINGS, b"")].concat(), Wrong::Connection(code::FRAME_UNEXPECTED)),
            ("a ping of HTTP/2", frame(6, b"12345678"), Wrong::Connection(code::FRAME_UNEXPECTED)),
            ("a push", frame(PUSH_PROMISE, b"\0\0\0"), Wrong::Connection(code::ID_ERROR)),
            ("a frame that is cut", [&ok[..], &[0, 9, 1]].concat(), Wrong::Connection(code::FRAME_ERROR)),
            ("less than it says", [&sized[..], &frame(DATA, b"1234")].concat(), Wrong::Stream(code::MESSAGE_ERROR)),
            ("more than it says", [&sized[..], &frame(DATA, b"123456")].concat(), Wrong::Stream(code::MESSAGE_ERROR)),
            ("no status", head(&[("x-a", "1")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("a status behind a field", head(&[("x-a", "1"), (":status", "200")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("two statuses", head(&[(":status", "200"), (":status", "200")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("a status that is none", head(&[(":status", "20")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("101", head(&[(":status", "101")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("upper case", head(&[(":status", "200"), ("X-A", "1")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("a field of the connection", head(&[(":status", "200"), ("connection", "close")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("a line break", head(&[(":status", "200"), ("x-a", "1\r\nx: 2")]), Wrong::Stream(code::MESSAGE_ERROR)),
            ("fields of a table", frame(HEADERS, &[0, 0, 0x80]), Wrong::Connection(code::QPACK_DECOMPRESSION_FAILED)),
            ("a third head", [&ok[..], &head(&[]), &head(&[])].concat(), Wrong::Connection(code::FRAME_UNEXPECTED)),
        ];
        for (sentence, bytes, wrong) in cases {
            assert_eq!(read(&[&bytes], false), Err(wrong), "{sentence}");
        }
        assert_eq!(read(&[&sized], true), Ok((200, "content-length=5".into(), Vec::new())), "to HEAD");
        let unchanged = head(&[(":status", "304"), ("content-length", "5")]);
        assert_eq!(read(&[&unchanged], false), Ok((304, "content-length=5".into(), Vec::new())));
    }

    #[test]
    fn more_header_fields_than_can_be_taken_in_are_not_held() {
        let mut bytes = Vec::new();
        push_varint(&mut bytes, HEADERS);
        push_varint(&mut bytes, 1 << 40);
        assert_eq!(read(&[&bytes], false), Err(too_large()));
        let field = ("x".repeat(100), "y".repeat(1000));
        let many = vec![(field.0.as_str(), field.1.as_str()); 240];
        let status = [(":status", "200")];
        assert_eq!(read(&[&head(&[&status[..], &many].concat())], false), Err(too_large()));
        assert!(read(&[&head(&[&status[..], &many[..200]].concat())], false).is_ok());
    }
}
