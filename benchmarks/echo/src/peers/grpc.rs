//! Sends back the message of each unary call of gRPC, whatever its method is called: HTTP/2 (RFC 9113) as far as that takes.
//!
//! It neither reads nor needs header fields, so that HPACK's table may stay unread.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::peers::{Peer, Tail, broken};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const INITIAL_WINDOW: u16 = 4;

/// `:status` 200 by its number in the static table, `content-type` by the number of its name.
const HEAD: &[u8] = b"\x88\x0f\x10\x10application/grpc";
const STATUS_OK: &[u8] = b"\x00\x0bgrpc-status\x010";

/// What the client may send without being told to go on.
const OPENED: u32 = 1 << 30;
const WINDOW_AT_FIRST: i64 = 65_535;

pub struct Grpc {
    tail: Tail,
    state: State,
}

struct State {
    has_begun: bool,
    /// Of calls whose messages are not whole.
    calls: HashMap<u32, Vec<u8>>,
    /// What may be sent on the connection, what on a stream of its own, and what waits for that.
    window: i64,
    stream_window: i64,
    waiting: VecDeque<(u32, Vec<u8>)>,
    /// Came since the client was last told to go on.
    came: u32,
    answered: u64,
}

impl Default for Grpc {
    fn default() -> Self {
        let (calls, waiting) = Default::default();
        let (window, stream_window) = (WINDOW_AT_FIRST, WINDOW_AT_FIRST);
        let state = State { has_begun: false, calls, window, stream_window, waiting, came: 0, answered: 0 };
        Grpc { tail: Tail::default(), state }
    }
}

impl Peer for Grpc {
    fn received(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<u64> {
        let Grpc { tail, state } = self;
        state.answered = 0;
        tail.feed(bytes, |all| state.take(all, out))?;
        Ok(state.answered)
    }
}

impl State {
    fn take(&mut self, all: &[u8], out: &mut Vec<u8>) -> io::Result<Option<usize>> {
        if !self.has_begun {
            if all.len() < PREFACE.len() {
                return Ok(None);
            }
            if !all.starts_with(PREFACE) {
                return Err(broken("no HTTP/2"));
            }
            self.has_begun = true;
            push(out, SETTINGS, 0, 0, &[&INITIAL_WINDOW.to_be_bytes()[..], &OPENED.to_be_bytes()].concat());
            push(out, WINDOW, 0, 0, &OPENED.to_be_bytes());
            return Ok(Some(PREFACE.len()));
        }
        let Some(head) = all.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = all.get(HEAD_BYTES..HEAD_BYTES + length) else { return Ok(None) };
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        self.frame(head[3], head[4], stream, payload, out)?;
        Ok(Some(HEAD_BYTES + length))
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match kind {
            DATA => self.data(flags, stream, payload, out)?,
            HEADERS if flags & END_STREAM != 0 => return Err(broken("a call without a message")),
            RESET => drop(self.calls.remove(&stream)),
            SETTINGS if flags & ACK == 0 => {
                for one in payload.chunks_exact(6) {
                    if one[..2] == INITIAL_WINDOW.to_be_bytes() {
                        self.stream_window = i64::from(u32::from_be_bytes([one[2], one[3], one[4], one[5]]));
                    }
                }
                push(out, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => push(out, PING, ACK, 0, payload),
            WINDOW if stream == 0 => {
                let more = payload.first_chunk().ok_or(broken("a window of no size"))?;
                self.window += i64::from(u32::from_be_bytes(*more));
                while self.waiting.front().is_some_and(|(_, message)| message.len() as i64 <= self.window) {
                    if let Some((stream, message)) = self.waiting.pop_front() {
                        self.answer(stream, &message, out)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.came += payload.len() as u32;
        if self.came > OPENED / 2 {
            push(out, WINDOW, 0, 0, &self.came.to_be_bytes());
            self.came = 0;
        }
        let piece = match (flags & PADDED != 0, payload) {
            (false, piece) => piece,
            (true, [padding, rest @ ..]) if rest.len() >= usize::from(*padding) => &rest[..rest.len() - usize::from(*padding)],
            (true, _) => return Err(broken("more padding than there is")),
        };
        if flags & END_STREAM == 0 {
            self.calls.entry(stream).or_default().extend_from_slice(piece);
            return Ok(());
        }
        match self.calls.remove(&stream) {
            Some(mut begun) => {
                begun.extend_from_slice(piece);
                self.answer(stream, &begun, out)
            }
            None => self.answer(stream, piece, out),
        }
    }

    fn answer(&mut self, stream: u32, message: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let length = message.len() as i64;
        if length > self.stream_window || length > 16_384 {
            return Err(broken("a message that goes into no frame"));
        }
        if length > self.window {
            self.waiting.push_back((stream, message.to_vec()));
            return Ok(());
        }
        self.window -= length;
        push(out, HEADERS, END_HEADERS, stream, HEAD);
        push(out, DATA, 0, stream, message);
        push(out, HEADERS, END_HEADERS | END_STREAM, stream, STATUS_OK);
        self.answered += 1;
        Ok(())
    }
}

fn push(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::both_ways;

    fn frames(bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let mut found = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
            let stream = u32::from_be_bytes(rest[5..9].try_into().unwrap());
            found.push((rest[3], rest[4], stream, rest[9..9 + length].to_vec()));
            rest = &rest[9 + length..];
        }
        found
    }

    fn sent(parts: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
        let mut out = PREFACE.to_vec();
        for (kind, flags, stream, payload) in parts {
            push(&mut out, *kind, *flags, *stream, payload);
        }
        out
    }

    #[test]
    fn a_call_is_answered_in_whatever_frames_its_message_comes() {
        let bytes = sent(&[
            (SETTINGS, 0, 0, &[]),
            (HEADERS, END_HEADERS, 1, b"whatever"),
            (DATA, 0, 1, b"hel"),
            (HEADERS, END_HEADERS, 3, b"whatever"),
            (DATA, END_STREAM | PADDED, 3, b"\x02other\0\0"),
            (PING, 0, 0, b"12345678"),
            (DATA, END_STREAM, 1, b"lo"),
        ]);
        let (out, answered) = both_ways(Grpc::default, &bytes);
        let head = |stream: u32| (HEADERS, END_HEADERS, stream, HEAD.to_vec());
        let end = |stream: u32| (HEADERS, END_HEADERS | END_STREAM, stream, STATUS_OK.to_vec());
        let expected = vec![
            (SETTINGS, ACK, 0, vec![]),
            head(3),
            (DATA, 0, 3, b"other".to_vec()),
            end(3),
            (PING, ACK, 0, b"12345678".to_vec()),
            head(1),
            (DATA, 0, 1, b"hello".to_vec()),
            end(1),
        ];
        assert_eq!(frames(&out)[2..], expected);
        assert_eq!(answered, 2);
    }

    #[test]
    fn no_more_is_sent_than_the_client_has_room_for() {
        let message = vec![7; 16_000];
        let mut calls: Vec<(u8, u8, u32, &[u8])> = (0..5).map(|call| (DATA, END_STREAM, 2 * call + 1, &message[..])).collect();
        let mut peer = Grpc::default();
        let mut out = Vec::new();
        assert_eq!(peer.received(&sent(&calls), &mut out).unwrap(), 4);
        calls = vec![(WINDOW, 0, 0, &[0, 0, 0x40, 0])];
        out.clear();
        assert_eq!(peer.received(&sent(&calls)[PREFACE.len()..], &mut out).unwrap(), 1);
        assert_eq!(frames(&out)[1], (DATA, 0, 9, message.clone()));
    }
}
