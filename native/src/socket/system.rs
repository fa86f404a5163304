//! What else is asked of the system: the time, chance, and a bell between threads.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const NICE: i32 = -10;
const SLICE_NS: u64 = 100_000;

/// Seconds of the clock that never goes back, as Python's `time.monotonic` counts them.
pub fn monotonic_s() -> f64 {
    // SAFETY: zeros are a value of it.
    let mut now: libc::timespec = unsafe { zeroed() };
    // SAFETY: the pointer is to `now`; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Let this thread answer before others of the program compute, as far as the system allows.
///
/// Its slices are short, so that it need not wait for another's to end when a datagram comes
/// (Linux 6.12, for anyone); and it weighs more than they do, for whom may raise its priority
/// (root, CAP_SYS_NICE, or RLIMIT_NICE).  Where neither is to be had, nothing is lost.
pub fn go_first() {
    #[repr(C)]
    #[derive(Default)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    for nice in [NICE, 0] {
        let size = size_of::<SchedAttr>() as u32;
        let wanted = SchedAttr { size, nice, runtime_ns: SLICE_NS, ..SchedAttr::default() };
        // SAFETY: the pointer is to `wanted`, whose size it says itself; 0 is this thread.
        let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
        if done == 0 {
            return;
        }
    }
}

/// 64 bits of chance from the system.
pub fn chance() -> io::Result<u64> {
    let mut octets = [0u8; 8];
    // SAFETY: the pointer and the length are those of `octets`.
    let got = unsafe { libc::getrandom(octets.as_mut_ptr().cast(), octets.len(), 0) };
    if got == octets.len() as isize {
        Ok(u64::from_ne_bytes(octets))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A descriptor by which one thread wakes another that watches it.
pub struct Bell {
    fd: OwnedFd,
}

impl Bell {
    /// Make one.
    pub fn new() -> io::Result<Bell> {
        // SAFETY: no pointers; what comes back is checked before it is owned.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else has.
        Ok(Bell { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The descriptor to watch: it is readable once it rang.
    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Wake whoever watches.
    pub fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: the pointer and the length are those of `one`.  A full counter rings as well.
        unsafe { libc::write(self.fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Fall silent until it rings again.
    pub fn hush(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the pointer and the length are those of `count`.
        unsafe { libc::read(self.fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}
