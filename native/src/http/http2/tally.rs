//! How many bytes of a connection are of which stream: read off the heads of frames (RFC 9113 section 4.1).

const HEAD_BYTES: usize = 9;
/// What a client begins with (section 3.4).
pub const PREFACE_BYTES: usize = 24;

/// Of one direction.
#[derive(Default)]
pub struct Tally {
    /// Bytes that are no frames and are still to come.
    preface: usize,
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that are there, and of the payload those that are not.
    in_head: usize,
    left: usize,
    stream: u32,
    /// Whole frames, as far as anybody asks.
    pub has_frame: bool,
    /// Stream and bytes, since they were taken.
    pub counts: Vec<(u32, u64)>,
}

impl Tally {
    /// Of bytes that begin with so many that are no frames.
    pub fn behind(preface: usize) -> Self {
        Tally { preface, ..Tally::default() }
    }

    pub fn feed(&mut self, mut bytes: &[u8]) {
        if self.preface > 0 {
            let count = self.preface.min(bytes.len());
            self.preface -= count;
            self.add(0, count);
            bytes = &bytes[count..];
        }
        while !bytes.is_empty() {
            if self.in_head < HEAD_BYTES {
                let count = (HEAD_BYTES - self.in_head).min(bytes.len());
                self.head[self.in_head..self.in_head + count].copy_from_slice(&bytes[..count]);
                self.in_head += count;
                bytes = &bytes[count..];
                if self.in_head < HEAD_BYTES {
                    return;
                }
                let [a, b, c, _, _, s, t, u, v] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.stream = u32::from_be_bytes([s, t, u, v]) & 0x7fff_ffff;
                self.add(self.stream, HEAD_BYTES);
            }
            let count = self.left.min(bytes.len());
            if count > 0 {
                self.add(self.stream, count);
            }
            self.left -= count;
            bytes = &bytes[count..];
            if self.left == 0 {
                (self.in_head, self.has_frame) = (0, true);
            }
        }
    }

    fn add(&mut self, stream: u32, count: usize) {
        match self.counts.last_mut().filter(|last| last.0 == stream) {
            Some(last) => last.1 += count as u64,
            None => self.counts.push((stream, count as u64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sums(pieces: impl Iterator<Item = Vec<u8>>, preface: usize) -> BTreeMap<u32, u64> {
        let mut tally = Tally::behind(preface);
        pieces.for_each(|piece| tally.feed(&piece));
        let mut sums = BTreeMap::new();
        tally.counts.iter().for_each(|(stream, count)| *sums.entry(*stream).or_default() += count);
        sums
    }

    #[test]
    fn bytes_are_of_the_stream_of_their_frame_in_any_pieces() {
        let mut bytes = vec![b'P'; PREFACE_BYTES];
        for (length, stream) in [(0u32, 0u32), (5, 1), (300, 3), (0, 3), (7, 1), (70_000, 0x8000_0005)] {
            bytes.extend(&length.to_be_bytes()[1..]);
            bytes.extend([0, 0]);
            bytes.extend(stream.to_be_bytes());
            bytes.extend(vec![0; length as usize]);
        }
        let wanted = BTreeMap::from([(0, 24 + 9), (1, 9 + 5 + 9 + 7), (3, 9 + 300 + 9), (5, 9 + 70_000)]);
        for size in [1, 2, 7, 9, 10, 33, 1000, bytes.len()] {
            assert_eq!(sums(bytes.chunks(size).map(<[u8]>::to_vec), PREFACE_BYTES), wanted, "{size}");
        }
    }

    #[test]
    fn a_frame_that_is_not_whole_counts_as_far_as_it_came() {
        assert_eq!(sums(std::iter::once(vec![0, 0, 9, 0, 0, 0, 0, 0, 7, 1, 2]), 0), BTreeMap::from([(7, 11)]));
        assert_eq!(sums(std::iter::once(vec![0, 0, 9]), 0), BTreeMap::new());
    }
}
