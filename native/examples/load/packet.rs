//! A packet socket: frames put on one interface, and frames taken from it with their times.
//!
//! Queries are sent below the IP stack, and responses are taken from a ring before it, so a
//! query costs the sender about as much as one octet copied and one call for many.  The
//! kernel notes when each frame came in (CLOCK_REALTIME), so a response that waits in the
//! ring while the sender is busy does not look late.

use std::ffi::{CString, c_void};
use std::io::{Error, Result};
use std::mem::{size_of, zeroed};
use std::ptr::{null_mut, read_volatile, write_volatile};

pub const BATCH: usize = 64;
pub const FRAME_BYTES: usize = 1024;
const SLOT_BYTES: u32 = 512; // what is longer is cut short: only its headers are read
const SLOTS: u32 = 2048;
const BLOCK_BYTES: u32 = 1 << 16;
const ETH_P_IP: u16 = 0x0800;

/// A packet socket bound to one interface, with a ring of received frames.
pub struct Packets {
    socket: i32,
    ring: *mut u8,
    next: u32,
}

/// Frames that go out with one call.
pub struct Batch {
    octets: Box<[[u8; FRAME_BYTES]; BATCH]>,
    parts: [libc::iovec; BATCH],
    messages: [libc::mmsghdr; BATCH],
}

impl Packets {
    /// Open a socket for IPv4 frames on that interface; needs CAP_NET_RAW.
    pub fn open(interface: &str) -> Result<Packets> {
        let name = CString::new(interface)?;
        // SAFETY: every pointer is to a value that outlives its call, with that value's size;
        // zeros are a valid `sockaddr_ll`; the mapping is as large as the ring asked for.
        unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            // Protocol 0 receives nothing until the socket is bound to the interface.
            let socket = told(libc::socket(libc::AF_PACKET, kind, 0))?;
            set(socket, libc::PACKET_VERSION, &1i32)?; // TPACKET_V2
            set(socket, libc::PACKET_QDISC_BYPASS, &1i32)?;
            let wanted = libc::tpacket_req {
                tp_block_size: BLOCK_BYTES,
                tp_block_nr: SLOTS * SLOT_BYTES / BLOCK_BYTES,
                tp_frame_size: SLOT_BYTES,
                tp_frame_nr: SLOTS,
            };
            set(socket, libc::PACKET_RX_RING, &wanted)?;
            let size = (SLOTS * SLOT_BYTES) as usize;
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let ring = libc::mmap(null_mut(), size, access, libc::MAP_SHARED, socket, 0);
            if ring == libc::MAP_FAILED {
                return Err(Error::last_os_error());
            }
            let mut at: libc::sockaddr_ll = zeroed();
            at.sll_family = libc::AF_PACKET as u16;
            at.sll_protocol = ETH_P_IP.to_be();
            at.sll_ifindex = libc::if_nametoindex(name.as_ptr()) as i32;
            let size = size_of::<libc::sockaddr_ll>() as u32;
            told(libc::bind(socket, (&raw const at).cast(), size))?;
            Ok(Packets { socket, ring: ring.cast(), next: 0 })
        }
    }

    /// Hand over every frame that has come, from its IP header on, with its time in ns.
    pub fn take(&mut self, mut each: impl FnMut(&[u8], u64)) -> usize {
        let mut taken = 0;
        loop {
            // SAFETY: `next` is below SLOTS, so the slot lies in the mapping; the kernel wrote
            // a header at its start, and owns the slot unless TP_STATUS_USER is set.  What the
            // header points to is cut to the slot before it is read.
            unsafe {
                let slot = self.ring.add((self.next * SLOT_BYTES) as usize);
                let header = slot.cast::<libc::tpacket2_hdr>();
                if read_volatile(&raw const (*header).tp_status) & libc::TP_STATUS_USER == 0 {
                    return taken;
                }
                std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
                let begin = u32::from((*header).tp_net).min(SLOT_BYTES) as usize;
                let size = ((*header).tp_snaplen.min(SLOT_BYTES) as usize)
                    .saturating_sub(usize::from((*header).tp_net - (*header).tp_mac))
                    .min(SLOT_BYTES as usize - begin);
                let time_ns =
                    u64::from((*header).tp_sec) * 1_000_000_000 + u64::from((*header).tp_nsec);
                each(std::slice::from_raw_parts(slot.add(begin), size), time_ns);
                std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
                write_volatile(&raw mut (*header).tp_status, libc::TP_STATUS_KERNEL);
            }
            self.next = (self.next + 1) % SLOTS;
            taken += 1;
        }
    }

    /// Send the first frames of a batch; returns how many went out.
    pub fn send(&self, batch: &mut Batch, count: usize) -> usize {
        let count = count.min(BATCH) as u32;
        // SAFETY: each message points to its own part, and that to its own octets, which live
        // in the batch's box; at most BATCH of them are named.
        let sent = unsafe { libc::sendmmsg(self.socket, batch.messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).unwrap_or(0)
    }
}

impl Batch {
    /// Make a batch whose parts point to its own octets.
    pub fn new() -> Box<Batch> {
        // SAFETY: these are plain C structures, for which zeros are valid.
        let (parts, messages) = unsafe { (zeroed(), zeroed()) };
        let octets = Box::new([[0; FRAME_BYTES]; BATCH]);
        let mut batch = Box::new(Batch { octets, parts, messages });
        for slot in 0..BATCH {
            batch.parts[slot].iov_base = batch.octets[slot].as_mut_ptr().cast::<c_void>();
            batch.messages[slot].msg_hdr.msg_iov = &raw mut batch.parts[slot];
            batch.messages[slot].msg_hdr.msg_iovlen = 1;
        }
        batch
    }

    /// Put a frame into a slot, and return it to be changed.
    pub fn put(&mut self, slot: usize, frame: &[u8]) -> &mut [u8] {
        self.parts[slot].iov_len = frame.len();
        let octets = &mut self.octets[slot][..frame.len()];
        octets.copy_from_slice(frame);
        octets
    }
}

/// Set one option of a packet socket.
///
/// # Safety
/// `T` must be the type that the option takes.
unsafe fn set<T>(socket: i32, option: i32, value: &T) -> Result<i32> {
    let (place, size) = ((&raw const *value).cast(), size_of::<T>() as u32);
    // SAFETY: the value outlives the call and is as large as is said.
    told(unsafe { libc::setsockopt(socket, libc::SOL_PACKET, option, place, size) })
}

fn told(status: i32) -> Result<i32> {
    if status < 0 {
        return Err(Error::last_os_error());
    }
    Ok(status)
}
