//! The fields of a message as they stand on the wire, and whether they are ones: https://protobuf.dev/programming-guides/encoding/
//!
//! What is refused, skipped and taken is what protobuf's own readers refuse, skip and take.

use crate::plan::rpc::{Many, Of, Rpc};

/// Messages within messages, as protobuf's readers have it.
pub const MOST_LEVELS: usize = 100;
const LAST_OF_VARINT: u32 = 9;

/// The bytes are no message.
#[derive(Debug, PartialEq)]
pub struct Bad;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Held<'a> {
    Varint(u64),
    Eight(u64),
    Bytes(&'a [u8]),
    Group(&'a [u8]),
    Four(u32),
}

pub struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How much deeper a group may be.
    levels: usize,
}

impl<'a> Fields<'a> {
    pub fn new(bytes: &'a [u8], levels: usize) -> Self {
        Fields { bytes, at: 0, levels }
    }

    pub fn next(&mut self) -> Result<Option<(u32, Held<'a>)>, Bad> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let (number, kind) = self.tag()?;
        Ok(Some((number, self.held(number, kind)?)))
    }

    fn tag(&mut self) -> Result<(u32, u8), Bad> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Bad)?;
        if tag >> 3 == 0 { Err(Bad) } else { Ok((tag >> 3, tag as u8 & 7)) }
    }

    fn held(&mut self, number: u32, kind: u8) -> Result<Held<'a>, Bad> {
        Ok(match kind {
            0 => Held::Varint(self.varint()?),
            1 => Held::Eight(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| Bad)?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Bad)?;
                Held::Bytes(self.take(length)?)
            }
            3 => {
                let begin = self.at;
                let end = self.skip_group(number)?;
                Held::Group(&self.bytes[begin..end])
            }
            5 => Held::Four(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| Bad)?)),
            _ => return Err(Bad),
        })
    }

    /// Where its end mark begins.
    fn skip_group(&mut self, number: u32) -> Result<usize, Bad> {
        self.levels = self.levels.checked_sub(1).ok_or(Bad)?;
        loop {
            let at = self.at;
            let (found, kind) = self.tag()?;
            if kind == 4 {
                self.levels += 1;
                return if found == number { Ok(at) } else { Err(Bad) };
            }
            self.held(found, kind)?;
        }
    }

    fn varint(&mut self) -> Result<u64, Bad> {
        let mut value = 0;
        for place in 0..=LAST_OF_VARINT {
            let byte = *self.bytes.get(self.at).ok_or(Bad)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * place); // what is over 64 bits is left out
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Bad)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Bad> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(Bad)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }
}

/// Numbers that were sent together: each as it would stand by itself. False: the bytes are none of these.
pub fn each_packed<'a>(of: Of, bytes: &'a [u8], mut give: impl FnMut(Held<'a>)) -> Result<(), Bad> {
    let mut fields = Fields::new(bytes, 0);
    while fields.at < bytes.len() {
        give(match of {
            Of::Double | Of::Fixed64 | Of::Sfixed64 => fields.held(0, 1)?,
            Of::Float | Of::Fixed32 | Of::Sfixed32 => fields.held(0, 5)?,
            _ => fields.held(0, 0)?,
        });
    }
    Ok(())
}

/// Whether the bytes that a field has on the wire are such as it may have; else it counts as one that nobody knows.
pub fn is_for(of: Of, many: Many, held: Held) -> bool {
    match (of, held) {
        (Of::Double | Of::Fixed64 | Of::Sfixed64, Held::Eight(_)) | (Of::Float | Of::Fixed32 | Of::Sfixed32, Held::Four(_)) => true,
        (Of::String | Of::Bytes | Of::Message(_), Held::Bytes(_)) | (Of::Group(_), Held::Group(_)) => true,
        (Of::String | Of::Bytes | Of::Message(_) | Of::Group(_), _) => false,
        (_, Held::Bytes(_)) => many == Many::List, // packed
        (Of::Double | Of::Fixed64 | Of::Sfixed64 | Of::Float | Of::Fixed32 | Of::Sfixed32, _) => false,
        (_, found) => matches!(found, Held::Varint(_)),
    }
}

/// How many values the bytes hold, if they are a message.
pub fn check(rpc: &Rpc, shape: usize, bytes: &[u8]) -> Result<usize, Bad> {
    let mut count = 0;
    check_within(rpc, shape, bytes, MOST_LEVELS, &mut count)?;
    Ok(count)
}

fn check_within(rpc: &Rpc, shape: usize, bytes: &[u8], levels: usize, count: &mut usize) -> Result<(), Bad> {
    let mut fields = Fields::new(bytes, levels);
    while let Some((number, held)) = fields.next()? {
        let Some(field) = rpc.messages[shape].at(number).map(|at| &rpc.messages[shape].fields[at]) else { continue };
        if !is_for(field.of, field.many, held) {
            continue;
        }
        *count += 1;
        match (field.of, held) {
            (Of::Message(inner) | Of::Group(inner), Held::Bytes(within) | Held::Group(within)) => {
                check_within(rpc, inner, within, levels.checked_sub(1).ok_or(Bad)?, count)?;
            }
            (Of::String, Held::Bytes(text)) if field.utf8 && std::str::from_utf8(text).is_err() => return Err(Bad),
            (Of::String | Of::Bytes, _) => {}
            (of, Held::Bytes(packed)) => each_packed(of, packed, |_| *count += 1)?,
            _ => {}
        }
    }
    Ok(())
}
