//! The hit log: a header of 64 bytes and rows of 64, as `loadflow/engine/records/hitlog.py` says.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const VERSION: u32 = 2;
const ROW_BYTES: usize = 64;
const BUFFER_BYTES: usize = ROW_BYTES * 1024;

/// Where a hit's time went. `first_byte_ns` is a time since the run's start, 0 where no byte came; the others are lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    pub first_byte_ns: i64,
    pub dns_ns: i64,
    pub connect_ns: i64,
    pub tls_ns: i64,
    pub send_ns: i64,
}

/// One hit, times in nanoseconds since the run's start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    pub due_ns: i64,
    pub start_ns: i64,
    pub end_ns: i64,
    pub series: u32,
    pub user: u32,
    pub error: u32,
    pub sent: u64,
    pub received: u64,
    pub status: u16,
    pub outcome: u8,
    pub flags: u8,
    pub timings: Timings,
}

/// The file and the rows that are not in it yet.
struct Pending {
    file: File,
    buffer: Vec<u8>,
}

/// The same log from another thread: what a loop that stands has recorded must not wait for it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Pending>>);

impl Shared {
    pub fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // whole rows, whatever happened
    }
}

pub struct HitLog {
    pending: Shared,
    pub rows: u64,
}

impl HitLog {
    pub fn create(path: &Path, shard: u32, origin_unix_ns: i64, origin_monotonic_ns: i64) -> io::Result<Self> {
        let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
        let mut header = Vec::with_capacity(64);
        header.extend_from_slice(b"LFHITS\r\n");
        for word in [VERSION, ROW_BYTES as u32, shard, 0] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.extend_from_slice(&origin_unix_ns.to_le_bytes());
        header.extend_from_slice(&origin_monotonic_ns.to_le_bytes());
        header.resize(64, 0);
        file.write_all(&header)?;
        let pending = Pending { file, buffer: Vec::with_capacity(BUFFER_BYTES) };
        Ok(HitLog { pending: Shared(Arc::new(Mutex::new(pending))), rows: 0 })
    }

    pub fn shared(&self) -> Shared {
        self.pending.clone()
    }

    pub fn append(&mut self, row: &Row) -> io::Result<()> {
        let mut raw = [0u8; ROW_BYTES];
        raw[0..8].copy_from_slice(&row.due_ns.to_le_bytes());
        raw[8..16].copy_from_slice(&row.start_ns.to_le_bytes());
        raw[16..24].copy_from_slice(&row.end_ns.to_le_bytes());
        raw[24..28].copy_from_slice(&row.series.to_le_bytes());
        raw[28..32].copy_from_slice(&row.user.to_le_bytes());
        raw[32..36].copy_from_slice(&row.error.to_le_bytes());
        raw[36..40].copy_from_slice(&at_most_u32(row.sent).to_le_bytes());
        raw[40..44].copy_from_slice(&at_most_u32(row.received).to_le_bytes());
        raw[44..46].copy_from_slice(&row.status.to_le_bytes());
        raw[46] = row.outcome;
        raw[47] = row.flags;
        let timings = &row.timings;
        raw[48..56].copy_from_slice(&timings.first_byte_ns.to_le_bytes());
        raw[56..58].copy_from_slice(&half_ms(timings.dns_ns).to_le_bytes());
        raw[58..60].copy_from_slice(&half_ms(timings.connect_ns).to_le_bytes());
        raw[60..62].copy_from_slice(&half_ms(timings.tls_ns).to_le_bytes());
        raw[62..64].copy_from_slice(&half_ms(timings.send_ns).to_le_bytes());
        let mut pending = self.pending.lock();
        if pending.buffer.len() + ROW_BYTES > BUFFER_BYTES {
            pending.flush()?;
        }
        pending.buffer.extend_from_slice(&raw);
        drop(pending);
        self.rows += 1;
        Ok(())
    }

    /// What it returned for is in the file; after an error (a full disk) the rows that are not stay in the buffer, once.
    pub fn flush(&mut self) -> io::Result<()> {
        self.pending.flush()
    }
}

impl Pending {
    fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        let mut result = Ok(());
        while done < self.buffer.len() {
            match self.file.write(&self.buffer[done..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        self.buffer.drain(..done);
        result
    }
}

fn at_most_u32(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Milliseconds as a float of 16 bits (IEEE 754), which keeps three digits from 61 ns to 65 s; above that it stays there.
fn half_ms(ns: i64) -> u16 {
    const MOST_MS: f32 = 65_504.0;
    const LEAST_EXPONENT: u32 = 127 - 15;
    if ns <= 0 {
        return 0;
    }
    let ms = (ns as f32 / 1e6).min(MOST_MS);
    let bits = ms.to_bits();
    if bits >> 23 <= LEAST_EXPONENT {
        return (ms * 16_777_216.0).round() as u16; // numbers so small are counted in steps of 2 to the power of -24
    }
    (((bits + 0xfff + (bits >> 13 & 1)) >> 13) - (LEAST_EXPONENT << 10)) as u16
}

#[cfg(test)]
mod tests {
    use super::half_ms;

    #[test]
    fn a_length_keeps_three_digits() {
        // what numpy makes of the same numbers
        let known = [(0, 0), (-5, 0), (1, 0x0011), (61, 0x03ff), (62, 0x0410), (1_000, 0x1419), (1_000_000, 0x3c00), (1_234_567, 0x3cf0)];
        for (ns, bits) in known {
            assert_eq!(half_ms(ns), bits, "{ns}");
        }
        assert_eq!([half_ms(60_000_000_000), half_ms(65_504_000_000), half_ms(i64::MAX)], [0x7b53, 0x7bff, 0x7bff]);
    }
}
