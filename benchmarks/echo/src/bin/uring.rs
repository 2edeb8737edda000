//! The trial of io_uring: what `bare tcp` does, without a system call for each read and write.
//!
//! `uring each | multishot HOST:PORT SECONDS USERS` prints exchanges per second. `each`: a read and a write are submitted for each
//! exchange. `multishot`: a connection's reads are submitted once, into buffers that the ring hands out, and writes that succeed say
//! nothing. All that is due is submitted with one system call, which waits for the next; files are registered.

use std::io;

#[cfg(target_os = "linux")]
mod ring {
    use std::alloc::{Layout, alloc_zeroed};
    use std::io::{self, ErrorKind};
    use std::net::{SocketAddr, TcpStream};
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicU16, Ordering};
    use std::time::{Duration, Instant};

    use io_uring::squeue::{Entry, Flags};
    use io_uring::types::{BufRingEntry, Fixed};
    use io_uring::{IoUring, cqueue, opcode};
    use loadflow_echo::talk::MESSAGE;

    const GROUP: u16 = 0;
    const BUFFER_BYTES: usize = 256;
    const PAGE: usize = 4096;
    const SENT: u64 = 1 << 32;

    /// Buffers that the ring fills, and gets back.
    struct Buffers {
        ring: *mut BufRingEntry,
        entries: u16,
        tail: u16,
        memory: Vec<u8>,
    }

    impl Buffers {
        fn new(uring: &IoUring, entries: u16) -> io::Result<Self> {
            let bytes = usize::from(entries) * size_of::<BufRingEntry>();
            let layout = Layout::from_size_align(bytes, PAGE).map_err(io::Error::other)?;
            // SAFETY: the layout has a size
            let ring = unsafe { alloc_zeroed(layout) }.cast::<BufRingEntry>();
            if ring.is_null() {
                return Err(ErrorKind::OutOfMemory.into());
            }
            // SAFETY: page-aligned, of that many entries, and never freed: the program ends with the ring
            unsafe { uring.submitter().register_buf_ring_with_flags(ring as u64, entries, GROUP, 0)? };
            let mut made = Buffers { ring, entries, tail: 0, memory: vec![0; usize::from(entries) * BUFFER_BYTES] };
            (0..entries).for_each(|id| made.give_back(id));
            Ok(made)
        }

        fn give_back(&mut self, id: u16) {
            let at = usize::from(id) * BUFFER_BYTES;
            // SAFETY: within the ring, whose entries are a power of two; the tail is the ring's own word for that
            unsafe {
                let entry = &mut *self.ring.add(usize::from(self.tail & (self.entries - 1)));
                entry.set_addr(self.memory[at..].as_ptr() as u64);
                entry.set_len(BUFFER_BYTES as u32);
                entry.set_bid(id);
                self.tail = self.tail.wrapping_add(1);
                let tail = BufRingEntry::tail(self.ring).cast::<AtomicU16>();
                (*tail).store(self.tail, Ordering::Release);
            }
        }

        fn of(&self, id: u16, count: usize) -> &[u8] {
            &self.memory[usize::from(id) * BUFFER_BYTES..][..count]
        }
    }

    fn push(uring: &mut IoUring, entry: &Entry) -> io::Result<()> {
        // SAFETY: what the entries point to outlives the ring: a constant, and memory that is kept until the program ends
        while unsafe { uring.submission().push(entry) }.is_err() {
            uring.submit()?;
        }
        Ok(())
    }

    pub fn exchange(to: SocketAddr, users: usize, time: Duration, multishot: bool) -> io::Result<u64> {
        let lines = (0..users).map(|_| TcpStream::connect(to)).collect::<io::Result<Vec<_>>>()?;
        lines.iter().try_for_each(|line| line.set_nodelay(true))?;
        let size = (2 * users).next_power_of_two().max(64) as u32;
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_cqsize(2 * size);
        let mut uring = builder.build(size)?;
        uring.submitter().register_files(&lines.iter().map(AsRawFd::as_raw_fd).collect::<Vec<_>>())?;
        let mut buffers = Buffers::new(&uring, (2 * users).next_power_of_two() as u16)?;
        let mut blocks = vec![[0u8; BUFFER_BYTES]; users];
        let receive = |at: usize, blocks: &mut Vec<[u8; BUFFER_BYTES]>| {
            let file = Fixed(at as u32);
            let entry = match multishot {
                true => opcode::RecvMulti::new(file, GROUP).build(),
                false => opcode::Recv::new(file, blocks[at].as_mut_ptr(), BUFFER_BYTES as u32).build(),
            };
            entry.user_data(at as u64)
        };
        let send = |at: usize| {
            let entry = opcode::Send::new(Fixed(at as u32), MESSAGE.as_ptr(), MESSAGE.len() as u32).build();
            entry.flags(Flags::SKIP_SUCCESS).user_data(at as u64 | SENT)
        };
        for at in 0..users {
            push(&mut uring, &receive(at, &mut blocks))?;
            push(&mut uring, &send(at))?;
        }
        let end = Instant::now() + time;
        let (mut had, mut done, mut rounds) = (vec![0; users], 0u64, 0u64);
        let mut ended: Vec<(u64, i32, u32)> = Vec::new();
        loop {
            rounds += 1;
            if rounds % 64 == 0 && Instant::now() >= end {
                return Ok(done);
            }
            uring.submit_and_wait(1)?;
            ended.extend(uring.completion().map(|one| (one.user_data(), one.result(), one.flags())));
            for (what, result, flags) in ended.drain(..) {
                if result <= 0 {
                    let error = if result == 0 { ErrorKind::UnexpectedEof.into() } else { io::Error::from_raw_os_error(-result) };
                    return Err(error);
                }
                if what & SENT != 0 {
                    return Err(io::Error::other("a write of fewer bytes than there were"));
                }
                let (at, count) = (what as usize, result as usize);
                let wanted = &MESSAGE[had[at]..had[at] + count];
                let buffer = cqueue::buffer_select(flags);
                let came = buffer.map_or(&blocks[at][..count], |id| buffers.of(id, count));
                if came != wanted {
                    return Err(io::Error::new(ErrorKind::InvalidData, "not what was sent"));
                }
                if let Some(id) = buffer {
                    buffers.give_back(id);
                }
                had[at] += count;
                if had[at] == MESSAGE.len() {
                    (had[at], done) = (0, done + 1);
                    push(&mut uring, &send(at))?;
                }
                if !cqueue::more(flags) {
                    push(&mut uring, &receive(at, &mut blocks))?;
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn main() -> io::Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let usage = || io::Error::other("uring each | multishot HOST:PORT SECONDS USERS");
    let [kind, to, seconds, users] = &given[..] else { return Err(usage()) };
    let multishot = match kind.as_str() {
        "each" => false,
        "multishot" => true,
        _ => return Err(usage()),
    };
    let to = to.parse().map_err(io::Error::other)?;
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let users = users.parse().map_err(io::Error::other)?;
    let done = ring::exchange(to, users, std::time::Duration::from_secs_f64(seconds), multishot)?;
    println!("{}", done as f64 / seconds);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() -> io::Result<()> {
    Err(io::Error::other("there is io_uring on Linux only"))
}
