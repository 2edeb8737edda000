//! The frames of a stream, in whatever pieces they come (RFC 9114 section 7).

pub const DATA: u64 = 0;
pub const HEADERS: u64 = 1;
pub const CANCEL_PUSH: u64 = 3;
pub const SETTINGS: u64 = 4;
pub const PUSH_PROMISE: u64 = 5;
pub const GOAWAY: u64 = 7;
pub const MAX_PUSH_ID: u64 = 13;
/// Types of HTTP/2 that mean nothing here, and must not come (section 7.2.8).
pub const OF_HTTP_2: [u64; 4] = [2, 6, 8, 9];

/// Type and length, each of up to eight bytes.
const MOST_HEAD_BYTES: usize = 16;

#[derive(Debug, PartialEq)]
pub enum Piece<'a> {
    Begins { kind: u64, length: u64 },
    Part(&'a [u8]),
    Ends,
}

#[derive(Default)]
pub struct Frames {
    head: [u8; MOST_HEAD_BYTES],
    in_head: usize,
    /// Of the payload, what has not come; None: the head has not.
    left: Option<u64>,
}

impl Frames {
    /// The next piece of what came; None: there is no more of it.
    pub fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Piece<'a>> {
        if let Some(left) = &mut self.left {
            if *left == 0 {
                (self.left, self.in_head) = (None, 0);
                return Some(Piece::Ends);
            }
            if rest.is_empty() {
                return None;
            }
            let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
            let (part, behind) = rest.split_at(count);
            *rest = behind;
            *left -= count as u64;
            return Some(Piece::Part(part));
        }
        loop {
            let mut head = &self.head[..self.in_head];
            if let Some(kind) = varint(&mut head)
                && let Some(length) = varint(&mut head)
            {
                self.left = Some(length);
                return Some(Piece::Begins { kind, length });
            }
            let (first, behind) = rest.split_first()?;
            *rest = behind;
            self.head[self.in_head] = *first;
            self.in_head += 1;
        }
    }

    /// Whether a stream may end here.
    pub fn is_between(&self) -> bool {
        self.left.is_none() && self.in_head == 0
    }
}

/// A number of one, two, four or eight bytes (RFC 9000 section 16); None: it is not whole.
pub fn varint(rest: &mut &[u8]) -> Option<u64> {
    let length = 1 << (rest.first()? >> 6);
    let (bytes, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)) & mask(length))
}

fn mask(length: usize) -> u64 {
    (1 << (8 * length - 2)) - 1
}

pub fn push_varint(out: &mut Vec<u8>, value: u64) {
    match value {
        0..0x40 => out.push(value as u8),
        0x40..0x4000 => out.extend_from_slice(&(value as u16 | 0x4000).to_be_bytes()),
        0x4000..0x4000_0000 => out.extend_from_slice(&(value as u32 | 0x8000_0000).to_be_bytes()),
        _ => out.extend_from_slice(&(value | 0xc000_0000_0000_0000).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames as type and payload, and what is missing of the last one.
    fn read(pieces: &[&[u8]]) -> (Vec<(u64, Vec<u8>)>, bool) {
        let mut frames = Frames::default();
        let (mut open, mut whole) = (None, Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            while let Some(piece) = frames.next(&mut rest) {
                match piece {
                    Piece::Begins { kind, .. } => open = Some((kind, Vec::new())),
                    Piece::Part(part) => open.as_mut().unwrap().1.extend_from_slice(part),
                    Piece::Ends => whole.extend(open.take()),
                }
            }
            assert!(rest.is_empty());
        }
        (whole, frames.is_between())
    }

    #[test]
    fn numbers_are_those_of_the_rfc() {
        // RFC 9000 appendix A.1
        let known: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (mut bytes, value) in known {
            assert_eq!(varint(&mut bytes), Some(value));
            assert!(bytes.is_empty());
        }
        for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, (1 << 62) - 1] {
            let mut out = Vec::new();
            push_varint(&mut out, value);
            let mut rest = &out[..];
            assert_eq!((varint(&mut rest), rest.len()), (Some(value), 0), "{value}");
        }
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let mut bytes = Vec::new();
        let wanted =
            vec![(HEADERS, vec![7; 300]), (DATA, Vec::new()), (0x21, b"grease".to_vec()), (1 << 40, vec![1; 20_000]), (DATA, vec![9])];
        for (kind, payload) in &wanted {
            push_varint(&mut bytes, *kind);
            push_varint(&mut bytes, payload.len() as u64);
            bytes.extend_from_slice(payload);
        }
        assert_eq!(read(&[&bytes]), (wanted.clone(), true));
        assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), (wanted.clone(), true), "byte by byte");
        for at in (0..bytes.len()).step_by(7) {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), (wanted.clone(), true), "cut at {at}");
        }
        assert!(!read(&[&bytes, &[1]]).1, "a type without a length");
        assert!(!read(&[&bytes, &[1, 2, 3]]).1, "a payload that is not whole");
    }
}
