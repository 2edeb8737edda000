//! Sends back what comes; each message has so many bytes.

use std::io;

use crate::peers::Peer;

pub struct Plain {
    message_bytes: usize,
    rest: usize,
}

impl Plain {
    pub fn new(message_bytes: usize) -> Self {
        Plain { message_bytes, rest: 0 }
    }
}

impl Peer for Plain {
    fn received(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<u64> {
        out.extend_from_slice(bytes);
        let all = self.rest + bytes.len();
        self.rest = all % self.message_bytes;
        Ok((all / self.message_bytes) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::both_ways;

    #[test]
    fn messages_are_counted_whatever_pieces_they_come_in() {
        assert_eq!(both_ways(|| Plain::new(5), b"hellohellohel"), (b"hellohellohel".to_vec(), 2));
    }
}
