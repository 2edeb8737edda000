//! The system calls of the event loop: epoll, an eventfd that wakes it, the clock. All `unsafe` of the crate is here.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

pub const READABLE: u32 = libc::EPOLLIN as u32;
pub const WRITABLE: u32 = libc::EPOLLOUT as u32;
/// The peer has sent all it will ever send, or the connection is broken.
pub const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// The shortest that Linux takes.
const SLICE_NS: u64 = 100_000;

pub type Ready = libc::epoll_event;

pub struct Poller {
    epoll: OwnedFd,
    /// epoll_pwait2 is there from Linux 5.11 on; before it, waits are in whole milliseconds
    precise: bool,
}

impl Poller {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is owned from here on
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))? };
        // a timer of this thread may be late by 50 µs unless it asks for less
        // SAFETY: no pointers
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
        ask_for_short_slices();
        Ok(Poller { epoll, precise: true })
    }

    /// Edge-triggered, once for the life of the descriptor: nothing is changed per request.
    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token)
    }

    /// Gives a descriptor another token; what it is ready for is told again.
    pub fn change(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token)
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives through the call
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) })?;
        Ok(())
    }

    /// Waits at most `wait_ns` (None: without end); 0 where a signal came.
    pub fn wait(&mut self, ready: &mut [Ready], wait_ns: Option<u64>) -> io::Result<usize> {
        let (fd, most) = (self.epoll.as_raw_fd(), ready.len() as i32);
        let count = if self.precise && !matches!(wait_ns, Some(0) | None) {
            let ns = wait_ns.unwrap_or(0);
            let spec = libc::timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ };
            // SAFETY: `ready` and `spec` live through the call; no signal mask is given
            unsafe {
                libc::syscall(libc::SYS_epoll_pwait2, fd, ready.as_mut_ptr(), most, &spec, std::ptr::null::<libc::sigset_t>(), 8) as i32
            }
        } else {
            let ms = wait_ns.map_or(-1, |ns| ns.div_ceil(1_000_000).min(60_000) as i32);
            // SAFETY: `ready` lives through the call
            unsafe { libc::epoll_wait(fd, ready.as_mut_ptr(), most, ms) }
        };
        if count >= 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => Ok(0),
            Some(libc::ENOSYS) if self.precise => {
                self.precise = false;
                Ok(0)
            }
            _ => Err(error),
        }
    }
}

/// Lets this thread, when it is woken, run before threads that are in the middle of a longer slice: it says that its own are short.
///
/// Linux from 6.12 on heeds it; an older one says no, or does nothing. Niceness, policy and share stay as they are.
fn ask_for_short_slices() {
    // SAFETY: plain numbers, for all of which 0 is a value
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = std::mem::size_of::<libc::sched_attr>() as u32;
    // SAFETY: `attr` lives through both calls and has `size` bytes; 0 is the calling thread
    unsafe {
        if libc::syscall(libc::SYS_sched_getattr, 0, &mut attr, size, 0) == 0 && attr.sched_policy == libc::SCHED_OTHER as u32 {
            attr.sched_runtime = SLICE_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, &attr, 0);
        }
    }
}

/// Of a socket that is bound to an address: its port is chosen when it connects (IP_BIND_ADDRESS_NO_PORT).
pub fn choose_port_late(fd: RawFd) -> io::Result<()> {
    let yes: libc::c_int = 1;
    let size = std::mem::size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `yes` is a local of `size` bytes
    check(unsafe { libc::setsockopt(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, (&raw const yes).cast(), size) })?;
    Ok(())
}

/// Wakes a loop from another thread.
pub struct Waker(OwnedFd);

impl Waker {
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the descriptor is owned from here on
        Ok(Waker(unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))? }))
    }

    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of a local; the only failure is a counter that is full, and then the loop is awake
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes of a local
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }
}

/// CLOCK_MONOTONIC, the clock of Python's `time.monotonic_ns`.
pub fn monotonic_ns() -> i64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a local
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut spec) };
    spec.tv_sec * 1_000_000_000 + spec.tv_nsec
}

/// CLOCK_THREAD_CPUTIME_ID: how long this thread had a processor, the clock of Python's `time.thread_time_ns`.
pub fn thread_cpu_ns() -> i64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a local
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut spec) };
    spec.tv_sec * 1_000_000_000 + spec.tv_nsec
}

/// Local time to the second with its UTC offset, as ISO 8601.
pub fn local_time(unix_s: i64) -> String {
    let time = unix_s as libc::time_t;
    // SAFETY: all zeros is a valid tm; both are locals
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&time, &mut tm);
        tm
    };
    let (sign, offset) = if tm.tm_gmtoff < 0 { ('-', -tm.tm_gmtoff) } else { ('+', tm.tm_gmtoff) };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{sign}{:02}:{:02}",
        tm.tm_year + 1900,
        tm.tm_mon + 1,
        tm.tm_mday,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_sec,
        offset / 3600,
        offset / 60 % 60
    )
}

unsafe fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: the caller has just made it and gives it away
    Ok(unsafe { OwnedFd::from_raw_fd(check(fd)?) })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
