//! Sends back each message of a WebSocket connection (RFC 6455); no extension is agreed on.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::peers::{Peer, Tail, broken};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const LAST: u8 = 0x80;
const MASKED: u8 = 0x80;

#[derive(Default)]
pub struct WebSocket {
    tail: Tail,
    state: State,
}

#[derive(Default)]
struct State {
    is_open: bool,
    answered: u64,
}

impl Peer for WebSocket {
    fn received(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<u64> {
        let WebSocket { tail, state } = self;
        state.answered = 0;
        tail.feed(bytes, |all| if state.is_open { state.frame(all, out) } else { state.shake_hands(all, out) })?;
        Ok(state.answered)
    }
}

impl State {
    fn shake_hands(&mut self, all: &[u8], out: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&all[..end]).map_err(|_| broken("a head that is no text"))?;
        let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let mut keys = fields.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let (_, key) = keys.next().ok_or(broken("a handshake without its key"))?;
        let accept = STANDARD.encode(Sha1::new().chain_update(key.trim()).chain_update(GUID).finalize());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        out.extend_from_slice(answer.as_bytes());
        self.is_open = true;
        Ok(Some(end + 4))
    }

    fn frame(&mut self, all: &[u8], out: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let [first, second, rest @ ..] = all else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(broken("a client's frame without a mask"));
        }
        let (length, long) = match second & !MASKED {
            126 if rest.len() >= 2 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
            127 if rest.len() >= 8 => (u64::from_be_bytes(rest[..8].try_into().unwrap_or_default()) as usize, 8),
            126 | 127 => return Ok(None),
            short => (usize::from(short), 0),
        };
        let (Some(mask), Some(payload)) = (rest.get(long..long + 4), rest.get(long + 4..long + 4 + length)) else { return Ok(None) };
        let opcode = match first & 0x0f {
            PING => PONG,
            PONG => return Ok(Some(2 + long + 4 + length)),
            same @ (CONTINUED | TEXT | BINARY | CLOSE) => same,
            _ => return Err(broken("a frame of no kind")),
        };
        out.push(first & LAST | opcode);
        match length {
            0..126 => out.push(length as u8),
            126..65_536 => {
                out.push(126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.answered += u64::from(opcode < CLOSE && first & LAST != 0);
        Ok(Some(2 + long + 4 + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::both_ways;

    // the key and its answer are those of RFC 6455, section 1.3; the frame is that of section 5.7
    const HEAD: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nsec-websocket-key:  dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

    #[test]
    fn messages_come_back_and_pings_are_answered_but_not_counted() {
        let ping = [0x89, 0x80, 1, 2, 3, 4];
        let (out, answered) = both_ways(WebSocket::default, &[HEAD, &HELLO, &ping, &HELLO].concat());
        let (head, frames) = out.split_at(out.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4);
        assert!(head.ends_with(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
        assert_eq!(frames, b"\x81\x05Hello\x8a\x00\x81\x05Hello");
        assert_eq!(answered, 2);
    }

    #[test]
    fn long_messages_come_back() {
        for length in [125usize, 126, 65_535, 65_536] {
            let long = match length {
                0..126 => vec![0x80 | length as u8],
                126..65_536 => [&[0xfe][..], &(length as u16).to_be_bytes()].concat(),
                _ => [&[0xff][..], &(length as u64).to_be_bytes()].concat(),
            };
            let mut frame = [&[0x82][..], &long].concat();
            frame.extend_from_slice(&[0; 4]);
            frame.extend(std::iter::repeat_n(7, length));
            let mut peer = WebSocket::default();
            let mut out = Vec::new();
            peer.received(HEAD, &mut out).unwrap();
            out.clear();
            assert_eq!(peer.received(&frame, &mut out).unwrap(), 1);
            assert_eq!(out.len(), frame.len() - 4);
            assert!(out.ends_with(&vec![7; length]));
        }
    }

    #[test]
    fn what_is_no_frame_of_a_client_ends_the_connection() {
        let mut peer = WebSocket::default();
        assert!(peer.received(HEAD, &mut Vec::new()).is_ok());
        assert!(peer.received(&[0x81, 0x00], &mut Vec::new()).is_err());
    }
}
