//! Where a message ends in a stream of bytes: `loadflow/engine/protocols/socket/framing.py` again.

use std::ops::Range;

use memchr::memmem;

use crate::plan::message::Framing;
use crate::plan::outcome::Failure;
use crate::protocols::message::no_message;
use crate::values::words::counted;

/// Where the message lies, and where the next one starts.
#[derive(Debug, PartialEq)]
pub struct Cut {
    pub message: Range<usize>,
    pub after: usize,
}

impl Framing {
    /// The message as it is sent.
    pub fn wrap(&self, mut message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        match self {
            Framing::Counted(_) => {}
            Framing::Delimited(delimiter) if message.ends_with(delimiter) => {}
            Framing::Delimited(delimiter) => message.extend_from_slice(delimiter),
            Framing::Prefixed { length_bytes, little } => {
                let size = message.len() as u64;
                if *length_bytes < 8 && size >> (8 * length_bytes) > 0 {
                    let (size, room) = (counted(size, "byte"), counted(*length_bytes as u64, "byte"));
                    return Err(no_message(format!("the values of this hit make no message: {size} do not fit into a length of {room}")));
                }
                let number =
                    if *little { size.to_le_bytes()[..*length_bytes].to_vec() } else { size.to_be_bytes()[8 - length_bytes..].to_vec() };
                message.splice(..0, number);
            }
        }
        Ok(message)
    }

    /// The first message of `buffer`; None while it is not whole. The first `seen` bytes were looked at before.
    pub fn cut(&self, buffer: &[u8], seen: usize) -> Option<Cut> {
        match self {
            Framing::Counted(length) => (buffer.len() >= *length).then_some(Cut { message: 0..*length, after: *length }),
            Framing::Delimited(delimiter) => {
                let from = (seen + 1).saturating_sub(delimiter.len());
                let end = from + memmem::find(buffer.get(from..)?, delimiter)?;
                Some(Cut { message: 0..end, after: end + delimiter.len() })
            }
            Framing::Prefixed { length_bytes, .. } => {
                let end = self.needs(buffer);
                (*length_bytes <= buffer.len() && end <= buffer.len()).then_some(Cut { message: *length_bytes..end, after: end })
            }
        }
    }

    /// Bytes that the message is known to have.
    pub fn needs(&self, buffer: &[u8]) -> usize {
        match self {
            Framing::Counted(length) => *length,
            Framing::Delimited(_) => buffer.len(),
            Framing::Prefixed { length_bytes, little } => {
                let Some(number) = buffer.get(..*length_bytes) else { return *length_bytes };
                let add = |sum: usize, byte: &u8| sum.saturating_mul(256).saturating_add(usize::from(*byte));
                let length = if *little { number.iter().rev().fold(0, add) } else { number.iter().fold(0, add) };
                length.saturating_add(*length_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framings() -> impl Strategy<Value = Framing> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..4).prop_map(Framing::Delimited),
            (1usize..=8, any::<bool>()).prop_map(|(length_bytes, little)| Framing::Prefixed { length_bytes, little }),
        ]
    }

    #[test]
    fn a_frame_is_what_python_makes_of_it() {
        let prefixed = |length_bytes, little| Framing::Prefixed { length_bytes, little };
        for (framing, message, wire) in [
            (Framing::Delimited(b"\r\n".to_vec()), &b"one"[..], &b"one\r\n"[..]),
            (Framing::Delimited(b"\r\n".to_vec()), b"one\r\n", b"one\r\n"),
            (prefixed(2, false), b"abc", b"\x00\x03abc"),
            (prefixed(1, true), b"", b"\x00"),
            (prefixed(4, true), b"ab", b"\x02\x00\x00\x00ab"),
            (Framing::Counted(3), b"abc", b"abc"),
        ] {
            assert_eq!(framing.wrap(message.to_vec()).unwrap(), wire);
        }
        let failure = prefixed(1, false).wrap(vec![0; 256]).unwrap_err();
        assert_eq!(failure.text, "the values of this hit make no message: 256 bytes do not fit into a length of 1 byte");
        assert_eq!(prefixed(8, false).needs(&[0xff; 8]), usize::MAX);
    }

    proptest! {
        #[test]
        fn a_frame_is_found_whole_and_byte_by_byte_and_with_a_tail(
            framing in framings(), message in prop::collection::vec(any::<u8>(), 0..200), tail in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let wire = framing.wrap(message).unwrap();
            let mut whole = wire.clone();
            whole.extend(tail);
            let mut found = None;
            let mut seen = 0;
            for length in 0..=whole.len() {
                found = framing.cut(&whole[..length], seen);
                if found.is_some() {
                    break;
                }
                seen = length;
            }
            let at_once = framing.cut(&whole, 0);
            prop_assert_eq!(&found, &at_once);
            let Cut { message, after } = at_once.unwrap();
            prop_assert!(after <= wire.len());
            prop_assert!(message.end <= after);
            if matches!(framing, Framing::Prefixed { .. }) {
                prop_assert_eq!(after, wire.len());
            }
        }
    }
}
