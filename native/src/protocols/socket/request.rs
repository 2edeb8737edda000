//! What one step of `socket_user` asks for: `loadflow/engine/protocols/socket/request.py` says the same.

use std::borrow::Cow;

use crate::plan::message::SocketRequest;
use crate::plan::outcome::Failure;
use crate::protocols::message::{Filling, Shown, no_message, payload_text};
use crate::values::words::{counted, with_commas};

const MAX_DATAGRAM_BYTES: usize = 65_507; // RFC 768 over IPv4: 65,535 less both headers
const HEX: &str = "hex:";

impl SocketRequest {
    pub fn reads(&self) -> bool {
        self.framing.is_some() || !self.expected.is_empty()
    }

    pub fn shown(&self) -> Shown<'_> {
        let host = &self.place.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let head = if self.udp { "UDP" } else { "TCP" };
        Shown { url: format!("{host}:{}", self.place.port), head: head.into(), body: Cow::Borrowed(&self.data) }
    }

    pub fn filled(&self, filling: Filling) -> Result<Self, Failure> {
        let mut made = self.clone();
        if let Some(payload) = filling.payload {
            let data = bytes_of(payload_text(payload)?)?;
            made.data = match &self.framing {
                Some(framing) => framing.wrap(data)?,
                None => data,
            };
        }
        if let Some(expect) = filling.expect {
            made.expected = expect;
        }
        if made.udp && made.data.len() > MAX_DATAGRAM_BYTES {
            let (size, most) = (counted(made.data.len() as u64, "byte"), with_commas(MAX_DATAGRAM_BYTES as u64));
            return Err(no_message(format!("{size} do not fit into one datagram (at most {most})")));
        }
        Ok(made)
    }
}

/// Text as UTF-8, or the bytes behind `hex:`, which may stand in groups.
fn bytes_of(text: String) -> Result<Vec<u8>, Failure> {
    let Some(digits) = text.strip_prefix(HEX) else { return Ok(text.into_bytes()) };
    let wrong = || no_message("the values of this hit make no message: after hex: stand pairs of hexadecimal digits");
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut rest = digits.trim_start_matches(char::is_whitespace);
    while !rest.is_empty() {
        let pair = rest.get(..2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit())).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(pair, 16).map_err(|_| wrong())?);
        rest = rest[2..].trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\x0b');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_pairs_of_digits_in_groups() {
        for (text, bytes) in [("hällo", "hällo".as_bytes()), ("hex:", b""), ("hex: 01 fF\n0a", b"\x01\xff\x0a"), ("Hex:01", b"Hex:01")] {
            assert_eq!(bytes_of(text.into()).unwrap(), bytes, "{text}");
        }
        for text in ["hex:0", "hex:0 1", "hex:zz", "hex:0é", "hex:+1"] {
            assert!(bytes_of(text.into()).unwrap_err().text.contains("make no message"), "{text}");
        }
    }
}
