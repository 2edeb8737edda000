//! The streams that a server opens: its settings, and what it says of the connection (RFC 9114 section 6.2).

use super::code;
use super::frames::{CANCEL_PUSH, DATA, Frames, GOAWAY, HEADERS, MAX_PUSH_ID, OF_HTTP_2, PUSH_PROMISE, Piece, SETTINGS, varint};

const CONTROL: u64 = 0;
const PUSH: u64 = 1;
const ENCODER: u64 = 2;
const DECODER: u64 = 3;

/// Settings have a number of pairs, none of which matters here; a GOAWAY has one number.
const MOST_SETTINGS_BYTES: u64 = 16 * 1024;

/// What has been said on all of them.
#[derive(Default)]
pub struct Said {
    /// Which streams are there, of those that may be there once.
    seen: [bool; 4],
    pub is_settled: bool,
    /// Requests from this one on are not looked at.
    pub leaves_from: Option<u64>,
}

pub struct Beside {
    kind: Option<u64>,
    /// Of the type of the stream, as far as it has come.
    begun: Vec<u8>,
    frames: Frames,
    frame: u64,
    payload: Vec<u8>,
    /// In a number of an instruction of QPACK.
    in_number: bool,
}

impl Default for Beside {
    fn default() -> Self {
        let (kind, begun, payload) = Default::default();
        Beside { kind, begun, frames: Frames::default(), frame: 0, payload, in_number: false }
    }
}

impl Beside {
    /// Err: the code with which the connection ends.
    pub fn feed(&mut self, bytes: &[u8], said: &mut Said) -> Result<(), u64> {
        let mut rest = bytes;
        while self.kind.is_none() {
            if let Some(kind) = varint(&mut &self.begun[..]) {
                self.kind = Some(kind);
                let seen = usize::try_from(kind).ok().and_then(|kind| said.seen.get_mut(kind));
                if kind == PUSH {
                    return Err(code::ID_ERROR); // none was allowed
                }
                if seen.is_some_and(|seen| std::mem::replace(seen, true)) {
                    return Err(code::STREAM_CREATION_ERROR);
                }
                break;
            }
            let Some((first, behind)) = rest.split_first() else { return Ok(()) };
            self.begun.push(*first);
            rest = behind;
        }
        match self.kind {
            Some(CONTROL) => self.control(rest, said),
            // a table of no bytes takes only one instruction: that it has none (RFC 9204 section 3.2.3)
            Some(ENCODER) if rest.iter().any(|byte| *byte != 0x20) => Err(code::QPACK_ENCODER_STREAM_ERROR),
            Some(DECODER) => self.decoder(rest),
            _ => Ok(()),
        }
    }

    /// The peer ends the stream.
    pub fn end(&self) -> Result<(), u64> {
        match self.kind {
            Some(CONTROL | ENCODER | DECODER) => Err(code::CLOSED_CRITICAL_STREAM),
            _ => Ok(()),
        }
    }

    fn control(&mut self, bytes: &[u8], said: &mut Said) -> Result<(), u64> {
        let mut rest = bytes;
        while let Some(piece) = self.frames.next(&mut rest) {
            match piece {
                Piece::Begins { kind, length } => {
                    self.frame = kind;
                    self.payload.clear();
                    match kind {
                        SETTINGS if said.is_settled => return Err(code::FRAME_UNEXPECTED),
                        SETTINGS if length > MOST_SETTINGS_BYTES => return Err(code::EXCESSIVE_LOAD),
                        SETTINGS => {}
                        _ if !said.is_settled => return Err(code::MISSING_SETTINGS),
                        GOAWAY | CANCEL_PUSH if length > 8 => return Err(code::FRAME_ERROR),
                        DATA | HEADERS | PUSH_PROMISE | MAX_PUSH_ID => return Err(code::FRAME_UNEXPECTED),
                        _ if OF_HTTP_2.contains(&kind) => return Err(code::FRAME_UNEXPECTED),
                        _ => {}
                    }
                }
                Piece::Part(part) if matches!(self.frame, SETTINGS | GOAWAY | CANCEL_PUSH) => self.payload.extend_from_slice(part),
                Piece::Part(_) => {}
                Piece::Ends => self.take(said)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, said: &mut Said) -> Result<(), u64> {
        let mut payload = &self.payload[..];
        match self.frame {
            SETTINGS => {
                said.is_settled = true;
                let mut seen = Vec::new();
                while !payload.is_empty() {
                    let setting = varint(&mut payload).ok_or(code::FRAME_ERROR)?;
                    varint(&mut payload).ok_or(code::FRAME_ERROR)?;
                    // section 7.2.4: each once, and none of HTTP/2
                    if seen.contains(&setting) || (2..=5).contains(&setting) {
                        return Err(code::SETTINGS_ERROR);
                    }
                    if setting < 0x100 {
                        seen.push(setting);
                    }
                }
                Ok(())
            }
            GOAWAY => {
                let from = varint(&mut payload).filter(|_| payload.is_empty()).ok_or(code::FRAME_ERROR)?;
                // a request is asked for by every fourth number; a later one takes in no more than an earlier one
                if from % 4 != 0 || said.leaves_from.is_some_and(|before| from > before) {
                    return Err(code::ID_ERROR);
                }
                said.leaves_from = Some(from);
                Ok(())
            }
            CANCEL_PUSH => Err(code::ID_ERROR),
            _ => Ok(()),
        }
    }

    /// Nothing that this side sends wants an answer there: only that a stream was given up may be said (RFC 9204 section 4.4).
    fn decoder(&mut self, bytes: &[u8]) -> Result<(), u64> {
        for byte in bytes {
            if self.in_number {
                self.in_number = byte & 0x80 != 0;
            } else if byte & 0xc0 == 0x40 {
                self.in_number = byte & 0x3f == 0x3f;
            } else {
                return Err(code::QPACK_DECODER_STREAM_ERROR);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(streams: &[&[u8]]) -> Result<Said, u64> {
        let mut said = Said::default();
        for bytes in streams {
            let mut stream = Beside::default();
            bytes.chunks(1).try_for_each(|byte| stream.feed(byte, &mut said))?;
        }
        let mut whole = Said::default();
        streams.iter().try_for_each(|bytes| Beside::default().feed(bytes, &mut whole))?;
        assert_eq!((said.is_settled, said.leaves_from), (whole.is_settled, whole.leaves_from), "byte by byte");
        Ok(said)
    }

    #[test]
    fn what_a_server_says_is_heard() {
        let said =
            read(&[&[0, 4, 5, 6, 0x80, 0, 0x40, 0, 0x21, 1, 9, 7, 1, 8], &[2, 0x20], &[3, 0x44, 0x7f, 0x81, 0x01], &[0x21, 1, 2, 3]]);
        assert!(said.is_ok_and(|said| said.is_settled && said.leaves_from == Some(8)));
    }

    #[test]
    fn what_breaks_the_rules_is_told_by_its_code() {
        let cases: [(&str, &[&[u8]], u64); 16] = [
            ("no settings", &[&[0, 7, 1, 0]], code::MISSING_SETTINGS),
            ("settings twice", &[&[0, 4, 0, 4, 0]], code::FRAME_UNEXPECTED),
            ("a setting twice", &[&[0, 4, 4, 6, 1, 6, 1]], code::SETTINGS_ERROR),
            ("a setting of HTTP/2", &[&[0, 4, 2, 4, 1]], code::SETTINGS_ERROR),
            ("a setting without a value", &[&[0, 4, 1, 6]], code::FRAME_ERROR),
            ("settings without end", &[&[0, 4, 0xbf, 0xff, 0xff, 0xff]], code::EXCESSIVE_LOAD),
            ("a second control stream", &[&[0, 4, 0], &[0]], code::STREAM_CREATION_ERROR),
            ("a push stream", &[&[1]], code::ID_ERROR),
            ("a body", &[&[0, 4, 0, 0, 0]], code::FRAME_UNEXPECTED),
            ("a ping of HTTP/2", &[&[0, 4, 0, 6, 0]], code::FRAME_UNEXPECTED),
            ("a farewell from a push", &[&[0, 4, 0, 7, 1, 2]], code::ID_ERROR),
            ("a farewell that takes back", &[&[0, 4, 0, 7, 1, 4, 7, 1, 8]], code::ID_ERROR),
            ("a farewell of two numbers", &[&[0, 4, 0, 7, 2, 4, 4]], code::FRAME_ERROR),
            ("a push that is given up", &[&[0, 4, 0, 3, 1, 0]], code::ID_ERROR),
            ("an entry for the table", &[&[2, 0x3f, 0xe1, 0x1f]], code::QPACK_ENCODER_STREAM_ERROR),
            ("a section that was read", &[&[3, 0x80]], code::QPACK_DECODER_STREAM_ERROR),
        ];
        for (sentence, streams, wrong) in cases {
            assert_eq!(read(streams).map(|_| ()).err(), Some(wrong), "{sentence}");
        }
        let mut said = Said::default();
        for (kind, wrong) in [(0, true), (2, true), (3, true), (0x21, false)] {
            let mut stream = Beside::default();
            assert_eq!(stream.feed(&[kind], &mut said), Ok(()));
            assert_eq!(stream.end().is_err(), wrong);
        }
    }
}
