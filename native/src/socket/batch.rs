//! A round of datagrams: the memory that `recvmmsg` and `sendmmsg` (Linux) read and write.
//!
//! It is laid out once, in pieces that never move, so each round only resets lengths.

use std::io;
use std::mem::{size_of, zeroed};

use super::{Back, CONTROL_BYTES, Socket};

/// Datagrams that are read and answered in one round.
pub const BATCH: usize = 64;
/// No datagram is longer.
pub const DATAGRAM_MAX: usize = 65_535;
/// Slots lie this far apart: not a power of two, or their starts would share one set of the cache.
const STRIDE: usize = 65_536 + 192;

/// The memory of one thread's rounds: datagrams as they came, and answers to be sent.
pub struct Batch {
    received: Box<[u8]>,
    backs: Box<[Back; BATCH]>,
    answers: Box<[Vec<u8>; BATCH]>,
    iovs: Box<[libc::iovec; BATCH]>,
    headers: Box<[libc::mmsghdr; BATCH]>,
}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: all of it is plain numbers and pointers, for which zeros are values.
        let (back, iov, header) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Batch {
            received: vec![0; BATCH * STRIDE].into_boxed_slice(),
            backs: Box::new([back; BATCH]),
            answers: Box::new(std::array::from_fn(|_| Vec::with_capacity(2048))),
            iovs: Box::new([iov; BATCH]),
            headers: Box::new([header; BATCH]),
        }
    }
}

impl Batch {
    /// Wait for datagrams; return how many there are.  0 is for a socket that was stopped.
    pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        let with_control = socket.local.ip().is_unspecified();
        let received = self.received.as_mut_ptr();
        for at in 0..BATCH {
            let back = &mut self.backs[at];
            self.iovs[at].iov_base = received.wrapping_add(at * STRIDE).cast();
            self.iovs[at].iov_len = DATAGRAM_MAX;
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = (&raw mut back.peer).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.iovs[at];
            header.msg_iovlen = 1;
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
            if with_control {
                header.msg_control = back.control.0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL_BYTES as _;
            }
            header.msg_flags = 0;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), BATCH as libc::c_uint);
        let (flags, forever) = (libc::MSG_WAITFORONE, std::ptr::null_mut());
        // SAFETY: there are `BATCH` headers, and each points into memory of ours that neither moves
        // nor is read until the call ends, with lengths within it.
        let got = unsafe { libc::recvmmsg(socket.raw(), headers, count, flags as _, forever) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        let got = got as usize;
        for at in 0..got {
            let header = &mut self.headers[at].msg_hdr;
            self.backs[at].peer_length = header.msg_namelen;
            self.backs[at].control_length = header.msg_controllen;
            if header.msg_namelen == 0 {
                return Ok(at);
            }
            if with_control {
                self.backs[at].answer_from_anywhere();
            }
        }
        Ok(got)
    }

    /// A datagram, and where its answer is to be written.
    pub fn at(&mut self, at: usize) -> (&[u8], &Back, &mut Vec<u8>) {
        let length = (self.headers[at].msg_len as usize).min(DATAGRAM_MAX);
        let wire = &self.received[at * STRIDE..][..length];
        (wire, &self.backs[at], &mut self.answers[at])
    }

    /// Send the answers, of the first *count* datagrams, that are not empty; return how many could
    /// not be sent.
    pub fn send(&mut self, socket: &Socket, count: usize) -> usize {
        let mut to_send = 0;
        for at in 0..count.min(BATCH) {
            let (answer, back) = (&mut self.answers[at], &mut self.backs[at]);
            if answer.is_empty() {
                continue;
            }
            self.iovs[to_send].iov_base = answer.as_mut_ptr().cast();
            self.iovs[to_send].iov_len = answer.len();
            let header = &mut self.headers[to_send].msg_hdr;
            header.msg_name = (&raw mut back.peer).cast();
            header.msg_namelen = back.peer_length;
            header.msg_iov = &raw mut self.iovs[to_send];
            header.msg_iovlen = 1;
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = back.control_length as _;
            if back.control_length > 0 {
                header.msg_control = back.control.0.as_mut_ptr().cast();
            }
            to_send += 1;
        }
        let (mut sent, mut failed) = (0, 0);
        while sent < to_send {
            let headers = self.headers[sent..to_send].as_mut_ptr();
            let left = (to_send - sent) as libc::c_uint;
            // SAFETY: there are `left` headers from there on, and each points into memory of ours
            // that does not move until the call ends, with lengths within it.
            let done =
                unsafe { libc::sendmmsg(socket.raw(), headers, left, libc::MSG_DONTWAIT as _) };
            if done > 0 {
                sent += done as usize;
                continue;
            }
            match io::Error::last_os_error().kind() {
                io::ErrorKind::Interrupted => {}
                // No room in the socket: waiting for it would keep all others waiting too.
                io::ErrorKind::WouldBlock => return failed + to_send - sent,
                // The way back of this one is gone; a resolver asks again.
                _ => (sent, failed) = (sent + 1, failed + 1),
            }
        }
        failed
    }
}

// SAFETY: the pointers in a batch are set anew before each use, and point into itself alone.
unsafe impl Send for Batch {}
