//! permessage-deflate (RFC 7692): messages packed and unpacked, with or without what went before.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff]; // section 7.2.1: cut off by who packs, put back by who unpacks
const PIECE_BYTES: usize = 16 * 1024;

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreed {
    pub server_forgets: bool,
    pub client_forgets: bool,
}

/// What a client offers. No smaller window than the usual one is offered for what it sends itself.
pub const OFFER: &str = "permessage-deflate";

impl Agreed {
    /// What the server's answer to the offer says; None: it can't be.
    pub fn of(field: &str) -> Option<Self> {
        let mut parts = field.split(';').map(str::trim);
        if parts.next()? != "permessage-deflate" {
            return None;
        }
        let mut agreed = Agreed::default();
        for part in parts {
            let (name, value) =
                part.split_once('=').map_or((part, None), |(name, value)| (name.trim(), Some(value.trim().trim_matches('"'))));
            match (name, value) {
                ("server_no_context_takeover", None) if !agreed.server_forgets => agreed.server_forgets = true,
                ("client_no_context_takeover", None) if !agreed.client_forgets => agreed.client_forgets = true,
                // a larger window reads what a smaller one wrote
                ("server_max_window_bits", Some(bits)) if bits.parse::<u8>().is_ok_and(|bits| (8..=15).contains(&bits)) => {}
                _ => return None,
            }
        }
        Some(agreed)
    }
}

pub struct Inflater {
    state: Decompress,
    forgets: bool,
}

impl Inflater {
    pub fn new(forgets: bool) -> Self {
        Inflater { state: Decompress::new(false), forgets }
    }

    /// Unpacks a part of a message behind `out`. Ok(false): it has more than `room` bytes.
    pub fn inflate(&mut self, packed: &[u8], is_last: bool, out: &mut Vec<u8>, room: usize) -> Result<bool, ()> {
        let most = out.len().saturating_add(room);
        if !self.feed(packed, out, most)? || (is_last && !self.feed(&TAIL, out, most)?) {
            return Ok(false);
        }
        if is_last && self.forgets {
            self.state.reset(false);
        }
        Ok(true)
    }

    fn feed(&mut self, mut packed: &[u8], out: &mut Vec<u8>, most: usize) -> Result<bool, ()> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let (taken, made) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(packed, &mut piece, FlushDecompress::Sync).map_err(|_| ())?;
            let (taken, made) = ((self.state.total_in() - taken) as usize, (self.state.total_out() - made) as usize);
            packed = &packed[taken..];
            out.extend_from_slice(&piece[..made]);
            if out.len() > most {
                return Ok(false);
            }
            match status {
                Status::StreamEnd => {
                    // a final block within a message (section 7.2.3.4): what follows begins anew
                    self.state.reset(false);
                    if packed.is_empty() {
                        return Ok(true);
                    }
                }
                _ if packed.is_empty() && made < PIECE_BYTES => return Ok(true),
                _ if taken == 0 && made == 0 => return Err(()),
                _ => {}
            }
        }
    }
}

pub struct Deflater {
    state: Compress,
    forgets: bool,
}

impl Deflater {
    pub fn new(forgets: bool) -> Self {
        Deflater { state: Compress::new(Compression::default(), false), forgets }
    }

    /// The packed message.
    pub fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        let mut rest = message;
        loop {
            let before = self.state.total_in();
            out.reserve(PIECE_BYTES);
            let done = self.state.compress_vec(rest, &mut out, FlushCompress::Sync);
            rest = &rest[(self.state.total_in() - before) as usize..];
            // room that is left says that all of it is out
            if done.is_err() || (rest.is_empty() && out.len() < out.capacity()) {
                break;
            }
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if self.forgets {
            self.state.reset();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_to_the_offer_says_what_is_forgotten_or_can_not_be() {
        let both = Agreed { server_forgets: true, client_forgets: true };
        for (field, agreed) in [
            ("permessage-deflate", Some(Agreed::default())),
            ("permessage-deflate; server_no_context_takeover ;client_no_context_takeover", Some(both)),
            ("permessage-deflate; server_max_window_bits=12", Some(Agreed::default())),
            ("permessage-deflate; server_max_window_bits=7", None),
            ("permessage-deflate; client_max_window_bits=12", None),
            ("permessage-deflate; what=1", None),
            ("x-webkit-deflate-frame", None),
        ] {
            assert_eq!(Agreed::of(field), agreed, "{field}");
        }
    }

    #[test]
    fn what_would_become_too_large_is_not_unpacked_to_its_end() {
        let packed = Deflater::new(false).deflate(&vec![0; 100_000_000]);
        let mut out = Vec::new();
        assert_eq!(Inflater::new(false).inflate(&packed, true, &mut out, 1_000), Ok(false));
        assert!(out.len() <= 1_000 + PIECE_BYTES);
        assert!(Inflater::new(false).inflate(&[0xff; 100], true, &mut Vec::new(), 1_000).is_err());
    }

    proptest! {
        #[test]
        fn messages_are_what_they_were(
            messages in prop::collection::vec(prop::collection::vec(0u8..4, 0..40_000), 1..4), forgets in any::<bool>(), cut in 0usize..100,
        ) {
            let (mut deflater, mut inflater) = (Deflater::new(forgets), Inflater::new(forgets));
            for message in messages {
                let packed = deflater.deflate(&message);
                let (one, other) = packed.split_at(cut.min(packed.len()));
                let mut out = Vec::new();
                prop_assert_eq!(inflater.inflate(one, false, &mut out, 40_000), Ok(true));
                let room = 40_000 - out.len();
                prop_assert_eq!(inflater.inflate(other, true, &mut out, room), Ok(true));
                prop_assert_eq!(out, message);
            }
        }
    }
}
