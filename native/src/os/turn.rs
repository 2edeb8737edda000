//! How much of what a peer sends is read in one go, and when it is not an answer any more.

use crate::os::socket::monotonic_ns;

const READS: u32 = 16; // blocks of 64 KiB
const TURN_NS: i64 = 10_000_000;
/// What may come beside the body of an answer: head, interim answers, lines of chunks, trailers. Each byte of a body may come in a piece
/// of its own, so those count 16 times.
pub const MOST_BESIDE_BYTES: u64 = 1024 * 1024;
const BESIDE_PER_BYTE: u64 = 16;
/// What may come in a TLS session, its handshake too, between two bytes of content. OpenSSL takes chains of 100 kB.
pub const MOST_TLS_BYTES: u64 = 256 * 1024;

/// Whether `received` bytes are too many for an answer with a body of `body_bytes` bytes.
pub fn is_endless(received: u64, body_bytes: u64) -> bool {
    received > MOST_BESIDE_BYTES + BESIDE_PER_BYTE * body_bytes
}

/// One reader's turn. The clock is looked at when a second block is read: most answers come in one.
#[derive(Default)]
pub struct Turn {
    reads: u32,
    until_ns: i64,
}

impl Turn {
    /// To be asked before each read.
    pub fn is_over(&mut self) -> bool {
        self.reads += 1;
        match self.reads {
            1 => false,
            2 => {
                self.until_ns = monotonic_ns() + TURN_NS;
                false
            }
            reads => reads > READS || monotonic_ns() >= self.until_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_a_body_is_bounded_by_the_body() {
        assert!(!is_endless(MOST_BESIDE_BYTES, 0));
        assert!(is_endless(MOST_BESIDE_BYTES + 1, 0));
        assert!(!is_endless(17 * MOST_BESIDE_BYTES, MOST_BESIDE_BYTES));
    }

    #[test]
    fn a_turn_is_over_after_so_many_reads() {
        let mut turn = Turn::default();
        assert!(!turn.is_over());
        assert!((0..READS).any(|_| turn.is_over()));
    }
}
