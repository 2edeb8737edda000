//! Acknowledges what is published by MQTT 3.1.1 and 5, and gives it to nobody.

use std::io;

use crate::peers::{Peer, Tail, broken};

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const RELEASE: u8 = 6;
const PING: u8 = 12;
const DISCONNECT: u8 = 14;
const MQTT_5: u8 = 5;

#[derive(Default)]
pub struct Mqtt {
    tail: Tail,
}

impl Peer for Mqtt {
    fn received(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<u64> {
        let mut answered = 0;
        self.tail.feed(bytes, |all| {
            let Some((length, head)) = length(all)? else { return Ok(None) };
            let Some(body) = all.get(head..head + length) else { return Ok(None) };
            answered += u64::from(packet(all[0], body, out)?);
            Ok(Some(head + length))
        })?;
        Ok(answered)
    }
}

/// Of what follows the head, and of the head.
fn length(all: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut length = 0;
    for at in 1..5 {
        let Some(byte) = all.get(at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    Err(broken("a length of more than four bytes"))
}

/// Whether a message has been taken.
fn packet(first: u8, body: &[u8], out: &mut Vec<u8>) -> io::Result<bool> {
    let short = || broken("a packet that is too short");
    let number_at = |at: usize| body.get(at..at + 2).ok_or_else(short);
    match first >> 4 {
        CONNECT => match body.get(6).ok_or_else(short)? {
            &MQTT_5 => out.extend_from_slice(&[0x20, 3, 0, 0, 0]),
            _ => out.extend_from_slice(&[0x20, 2, 0, 0]),
        },
        PUBLISH => {
            let topic = number_at(0)?;
            let behind = 2 + usize::from(u16::from_be_bytes([topic[0], topic[1]]));
            match first >> 1 & 3 {
                0 => return Ok(true),
                1 => out.extend_from_slice(&[0x40, 2]),
                2 => out.extend_from_slice(&[0x50, 2]),
                _ => return Err(broken("no such quality of service")),
            }
            out.extend_from_slice(number_at(behind)?);
            return Ok(first >> 1 & 3 == 1);
        }
        RELEASE => {
            out.extend_from_slice(&[0x70, 2]);
            out.extend_from_slice(number_at(0)?);
            return Ok(true);
        }
        PING => out.extend_from_slice(&[0xd0, 0]),
        DISCONNECT => return Err(broken("the client goes")),
        _ => return Err(broken("only for what publishes")),
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::both_ways;

    #[test]
    fn what_is_published_is_acknowledged_and_counted_once() {
        let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
        let connect_5 = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00";
        let at_most_once = b"\x30\x05\x00\x01tab";
        let at_least_once = b"\x32\x07\x00\x01t\x12\x34ab";
        let exactly_once = b"\x34\x07\x00\x01t\x12\x35ab";
        let release = b"\x62\x02\x12\x35";
        let all = [&connect[..], connect_5, at_most_once, at_least_once, exactly_once, release, b"\xc0\x00"].concat();
        let (out, answered) = both_ways(Mqtt::default, &all);
        assert_eq!(out, b"\x20\x02\x00\x00\x20\x03\x00\x00\x00\x40\x02\x12\x34\x50\x02\x12\x35\x70\x02\x12\x35\xd0\x00");
        assert_eq!(answered, 3);
    }

    #[test]
    fn what_subscribes_is_turned_away() {
        assert!(Mqtt::default().received(b"\x82\x00", &mut Vec::new()).is_err());
    }
}
