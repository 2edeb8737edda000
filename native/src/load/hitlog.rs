//! The hit log: a header of 64 bytes and rows of 48, as `loadflow/engine/records/hitlog.py` says.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const ROW_BYTES: usize = 48;
const BUFFER_BYTES: usize = ROW_BYTES * 1024;

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
        for word in [1, ROW_BYTES as u32, shard, 0] {
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
