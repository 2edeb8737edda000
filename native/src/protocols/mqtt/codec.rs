//! The parts of which packets of MQTT are made, and where one ends.
//!
//! Our own, and small: of the codecs on crates.io that are kept, mqtt-proto reads through futures and takes one subscription identifier
//! where a server may send several, rumqttc and mqute-codec bring tokio, mqtt5-protocol needs a newer Rust than the core, and
//! mqtt-protocol-core makes an object with a reference count of each packet. The last one judges this one in the tests.

use crate::protocols::mqtt::packet::Malformed;

/// The largest packet that there is (section 1.5.5).
pub const MOST_REMAINING: usize = 268_435_455;

/// Section 1.5.5: seven bits a byte, the lowest first.
pub fn push_number(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Text or bytes with their length before them: at most 65,535, which was asked for where the request was made.
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = &text[..text.len().min(usize::from(u16::MAX))];
    out.extend((text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

/// A packet, but for its kind as it came.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    pub first: u8,
    pub body: &'a [u8],
    /// With its head.
    pub length: usize,
}

/// What is known of the next packet of a stream.
#[derive(Debug, PartialEq)]
pub enum Framed<'a> {
    Whole(Frame<'a>),
    /// It is not here yet; its body will have so many bytes, where that is known.
    Needs(Option<usize>),
}

pub fn frame(stream: &[u8]) -> Result<Framed<'_>, Malformed> {
    let Some((first, rest)) = stream.split_first() else { return Ok(Framed::Needs(None)) };
    let mut reader = Reader::new(rest);
    let body = match reader.number() {
        Ok(length) => length,
        Err(_) if rest.len() < 4 => return Ok(Framed::Needs(None)),
        Err(malformed) => return Err(malformed),
    };
    let head = 1 + rest.len() - reader.left.len();
    match stream.get(head..head + body) {
        Some(found) => Ok(Framed::Whole(Frame { first: *first, body: found, length: head + body })),
        None => Ok(Framed::Needs(Some(body))),
    }
}

/// Takes parts from the front of a packet's body.
pub struct Reader<'a> {
    left: &'a [u8],
}

const EARLY: Malformed = Malformed("a packet that ends early");

impl<'a> Reader<'a> {
    pub fn new(left: &'a [u8]) -> Self {
        Reader { left }
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.left)
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (found, left) = self.left.split_at_checked(count).ok_or(EARLY)?;
        self.left = left;
        Ok(found)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.bytes(1)?[0])
    }

    pub fn two(&mut self) -> Result<u16, Malformed> {
        let found = self.bytes(2)?;
        Ok(u16::from_be_bytes([found[0], found[1]]))
    }

    pub fn four(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from(self.two()?) << 16 | u32::from(self.two()?))
    }

    pub fn number(&mut self) -> Result<usize, Malformed> {
        let mut number = 0;
        for place in 0..4 {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed("a length of more than four bytes"))
    }

    pub fn prefixed(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.two()?;
        self.bytes(usize::from(length))
    }

    /// Section 1.5.4.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let found = std::str::from_utf8(self.prefixed()?).map_err(|_| Malformed("text that is not UTF-8"))?;
        if found.contains('\0') { Err(Malformed("text with a null character")) } else { Ok(found) }
    }
}
