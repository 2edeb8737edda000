//! Frames of a WebSocket connection (RFC 6455 section 5): their heads by `tungstenite`, their order and bounds here.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::os::turn::is_endless;
use crate::plan::outcome::{Failure, Outcome};
use crate::protocols::websocket::deflate::Inflater;
use crate::values::words::with_commas;

const MOST_FRAGMENTS: usize = 65_536; // of one message
const MOST_FRAMES: usize = 65_536; // between two messages; an empty one takes two bytes, and as long as any other
const MOST_CONTROL_BYTES: u8 = 125; // RFC 6455 section 5.5

/// RFC 6455 section 7.4.1.
pub const NORMAL: u16 = 1000;
pub const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
pub const NO_CODE: u16 = 1005;
const NOT_UTF_8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// What a server says.
#[derive(Debug, PartialEq)]
pub enum Said {
    Message(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close { code: u16, reason: String, data: Vec<u8> },
}

/// What it says is wrong: the code to close with, and the failure.
#[derive(Debug, PartialEq)]
pub struct Wrong(pub u16, pub Failure);

/// Reads what came, in whatever pieces.
pub struct Frames {
    max_body_bytes: usize,
    inflater: Option<Inflater>,
    buffer: Vec<u8>,
    at: usize,
    /// Of the message that is not whole yet.
    parts: Vec<u8>,
    fragments: usize,
    begun: Option<Begun>,
    /// Bytes and frames since the last whole message.
    beside: u64,
    frames: usize,
}

#[derive(Clone, Copy)]
struct Begun {
    is_text: bool,
    is_packed: bool,
}

fn wrong(what: &str) -> Wrong {
    Wrong(PROTOCOL_ERROR, Failure::new(Outcome::Protocol, format!("no valid frame: {what}")))
}

impl Frames {
    /// `inflater`: where compression was agreed on.
    pub fn new(max_body_bytes: usize, inflater: Option<Inflater>) -> Self {
        Frames { max_body_bytes, inflater, buffer: Vec::new(), at: 0, parts: Vec::new(), fragments: 0, begun: None, beside: 0, frames: 0 }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        } else if self.at > 65_536 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
        self.beside += bytes.len() as u64;
    }

    /// Whether something came that `next_said` has not looked at.
    pub fn has_more(&self) -> bool {
        self.at < self.buffer.len()
    }

    /// What comes next; None: it is not whole yet.
    pub fn next_said(&mut self) -> Result<Option<Said>, Wrong> {
        loop {
            let Some((head, payload)) = self.frame()? else {
                let held = (self.buffer.len() - self.at) as u64; // of a frame that is not whole
                let content = self.parts.len() as u64;
                if is_endless(self.beside - held, content) {
                    let most = with_commas(crate::os::turn::MOST_BESIDE_BYTES);
                    let text = format!("over {most} bytes of frames, and no message among them");
                    return Err(Wrong(PROTOCOL_ERROR, Failure::new(Outcome::Protocol, text)));
                }
                if self.at == self.buffer.len() {
                    self.buffer.clear();
                    self.buffer.shrink_to(65_536);
                    self.at = 0;
                }
                return Ok(None);
            };
            self.frames += 1;
            if self.frames > MOST_FRAMES {
                let text = format!("over {} frames, and no message among them", with_commas(MOST_FRAMES as u64));
                return Err(Wrong(PROTOCOL_ERROR, Failure::new(Outcome::Protocol, text)));
            }
            let said = match head.opcode {
                OpCode::Control(control) => Some(control_of(control, self.buffer[payload].to_vec())?),
                OpCode::Data(data) => self.data(data, &head, payload)?,
            };
            if said.is_some() {
                return Ok(said);
            }
        }
    }

    /// The next whole frame: its head, and where its payload lies.
    fn frame(&mut self) -> Result<Option<(FrameHeader, std::ops::Range<usize>)>, Wrong> {
        let came = &self.buffer[self.at..];
        let Some([first, second]) = came.first_chunk() else { return Ok(None) };
        self.check(*first, *second)?;
        let mut cursor = Cursor::new(came);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|error| wrong(&error.to_string()))?;
        let Some((head, length)) = parsed else { return Ok(None) };
        let start = self.at + cursor.position() as usize;
        if matches!(head.opcode, OpCode::Data(_)) && length.saturating_add(self.parts.len() as u64) > self.max_body_bytes as u64 {
            return Err(self.too_large());
        }
        let end = start.saturating_add(length as usize);
        if end > self.buffer.len() {
            return Ok(None);
        }
        self.at = end;
        Ok(Some((head, start..end)))
    }

    /// What is wrong with a frame shows in its first two bytes, before the rest of its head is there.
    fn check(&self, first: u8, second: u8) -> Result<(), Wrong> {
        let (opcode, is_final, is_packed) = (first & 0x0f, first & 0x80 != 0, first & 0x40 != 0);
        let may_be_packed = self.inflater.is_some() && matches!(opcode, 1 | 2);
        let what = match (opcode, self.begun.is_some()) {
            _ if first & 0x30 != 0 || (is_packed && !may_be_packed) => "reserved bits must be 0",
            _ if second & 0x80 != 0 => "a server masks nothing",
            (3..=7 | 11.., _) => "an opcode that there is not",
            (8.., _) if !is_final || second & 0x7f > MOST_CONTROL_BYTES => "a control frame is short and whole",
            (0, false) => "nothing to continue",
            (1 | 2, true) => "a message within another",
            _ => return Ok(()),
        };
        Err(wrong(what))
    }

    fn data(&mut self, data: Data, head: &FrameHeader, payload: std::ops::Range<usize>) -> Result<Option<Said>, Wrong> {
        let begun = *self.begun.get_or_insert(Begun { is_text: data == Data::Text, is_packed: head.rsv1 });
        if !payload.is_empty() {
            self.fragments += 1; // a server may send empty frames without end: these are counted as frames
        }
        if self.fragments > MOST_FRAGMENTS {
            let text = format!("a message of more than {} fragments", with_commas(MOST_FRAGMENTS as u64));
            return Err(Wrong(PROTOCOL_ERROR, Failure::new(Outcome::Protocol, text)));
        }
        match &mut self.inflater {
            Some(inflater) if begun.is_packed => {
                let room = self.max_body_bytes - self.parts.len();
                let fits = inflater
                    .inflate(&self.buffer[payload], head.is_final, &mut self.parts, room)
                    .map_err(|()| wrong("the message is not valid deflate"))?;
                if !fits {
                    return Err(self.too_large());
                }
            }
            _ => self.parts.extend_from_slice(&self.buffer[payload]),
        }
        if !head.is_final {
            return Ok(None);
        }
        (self.begun, self.fragments, self.frames) = (None, 0, 0);
        self.beside = (self.buffer.len() - self.at) as u64;
        let message = std::mem::take(&mut self.parts);
        if begun.is_text && std::str::from_utf8(&message).is_err() {
            return Err(Wrong(NOT_UTF_8, Failure::new(Outcome::Protocol, "a text message that is not UTF-8")));
        }
        Ok(Some(Said::Message(message)))
    }

    fn too_large(&self) -> Wrong {
        let text = format!("a message is over max_body_bytes ({})", with_commas(self.max_body_bytes as u64));
        Wrong(TOO_BIG, Failure::new(Outcome::TooLarge, text))
    }
}

fn control_of(control: Control, data: Vec<u8>) -> Result<Said, Wrong> {
    match control {
        Control::Ping => Ok(Said::Ping(data)),
        Control::Pong => Ok(Said::Pong(data)),
        _ => {
            let (code, reason) = match data.split_at_checked(2) {
                Some((code, reason)) => (u16::from_be_bytes([code[0], code[1]]), reason),
                None if data.is_empty() => (NO_CODE, &data[..]),
                None => return Err(wrong("half a close code")),
            };
            let is_code = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) || data.is_empty();
            let reason = std::str::from_utf8(reason).map_err(|_| wrong("a reason that is not UTF-8"))?.to_owned();
            if is_code { Ok(Said::Close { code, reason, data }) } else { Err(wrong("a close code that there is not")) }
        }
    }
}

/// A frame as a client sends it: masked, RFC 6455 section 5.3.
pub fn push_frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], is_packed: bool, mask: [u8; 4]) {
    let head = FrameHeader { is_final: true, rsv1: is_packed, opcode, mask: Some(mask), ..FrameHeader::default() };
    let _ = head.format(payload.len() as u64, out); // a Vec takes all
    let start = out.len();
    out.extend_from_slice(payload);
    let word = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = out[start..].as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}
