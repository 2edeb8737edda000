//! How soon the system lets the loop run again where others share its core.

/// The least that Linux grants; the loop works for some microseconds and waits again.
const SLICE_NS: u64 = 100_000;

/// `struct sched_attr`, as far as every Linux knows it.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline_ns: u64,
    period_ns: u64,
}

/// Ask for short turns of this thread: whoever has a long one on the same core then stands back as soon as this thread wakes up. Linux 6.12
/// and newer; elsewhere, and for a policy that a person chose, nothing changes.
pub fn ask_for_short_turns() {
    let size = std::mem::size_of::<Attributes>() as u32;
    let mut own = Attributes { size, ..Attributes::default() };
    // SAFETY: the kernel writes and reads `size` bytes of `own`, and nothing else
    unsafe {
        let found = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut own, size, 0);
        if found != 0 || own.policy != libc::SCHED_OTHER as u32 {
            return;
        }
        own.runtime_ns = SLICE_NS;
        libc::syscall(libc::SYS_sched_setattr, 0, &raw const own, 0);
    }
}
