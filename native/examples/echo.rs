//! The bare echo: what a UDP socket costs when nothing is answered from it.
//!
//!     cargo run --release --example echo -- ADDRESS:PORT THREADS
//!
//! Each thread has a socket of its own on the same port and does what any nameserver must:
//! `recvmmsg`, blocking until one datagram is there and then taking what else is, and
//! `sendmmsg`.  Between the two it sets one bit, QR (RFC 1035 4.1.1).  It is the limit that
//! a nameserver on sockets can come near, and not pass.

#![allow(unsafe_code)] // recvmmsg and sendmmsg are only to be had from C

use std::io::{Error, Result};
use std::mem::{size_of, zeroed};
use std::net::SocketAddrV4;
use std::ptr::null_mut;

const BATCH: usize = 64;
const SIZE_BYTES: usize = 4096;
const QR: u8 = 0x80;
const HEADER_BYTES: u32 = 12;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(Ok(address)), Some(Ok(threads))) = (
        arguments.next().map(|text| text.parse::<SocketAddrV4>()),
        arguments.next().map(|text| text.parse::<usize>()),
    ) else {
        eprintln!("usage: echo IPV4:PORT THREADS");
        std::process::exit(2);
    };
    let sockets = (0..threads).map(|_| bound(address)).collect::<Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        for socket in sockets {
            scope.spawn(move || echo(socket));
        }
    });
    Err(Error::other("every socket failed"))
}

/// Return a socket of this process on a port that all its threads share (SO_REUSEPORT).
fn bound(address: SocketAddrV4) -> Result<i32> {
    // SAFETY: `one` and `at` outlive the calls, and their sizes are given as they are; a
    // `sockaddr_in` of zeros is a valid one.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        let one = 1i32;
        let mut at: libc::sockaddr_in = zeroed();
        at.sin_family = libc::AF_INET as u16;
        at.sin_port = address.port().to_be();
        at.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
        let shared = libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_REUSEPORT,
            (&raw const one).cast(),
            size_of::<i32>() as u32,
        );
        let size = size_of::<libc::sockaddr_in>() as u32;
        if socket < 0 || shared < 0 || libc::bind(socket, (&raw const at).cast(), size) < 0 {
            return Err(Error::last_os_error());
        }
        Ok(socket)
    }
}

/// Send every datagram that is long enough for a header back to where it came from.
fn echo(socket: i32) {
    let mut octets = vec![[0u8; SIZE_BYTES]; BATCH];
    // SAFETY: these are plain C structures, for which zeros are valid.
    let mut peers: [libc::sockaddr_in; BATCH] = unsafe { zeroed() };
    let mut parts: [libc::iovec; BATCH] = unsafe { zeroed() };
    let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
    for slot in 0..BATCH {
        parts[slot].iov_base = octets[slot].as_mut_ptr().cast();
        messages[slot].msg_hdr.msg_name = (&raw mut peers[slot]).cast();
        messages[slot].msg_hdr.msg_iov = &raw mut parts[slot];
        messages[slot].msg_hdr.msg_iovlen = 1;
    }
    loop {
        for (message, part) in messages.iter_mut().zip(&mut parts) {
            part.iov_len = SIZE_BYTES;
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        // SAFETY: each message points to its own octets, address and part, all of which live
        // as long as this function and are not moved; BATCH is their number.
        let received = unsafe {
            libc::recvmmsg(
                socket,
                messages.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_WAITFORONE as _,
                null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            continue; // a signal, or an ICMP error about an earlier answer
        };
        for slot in 0..received {
            if messages[slot].msg_len >= HEADER_BYTES {
                octets[slot][2] |= QR;
            }
            parts[slot].iov_len = messages[slot].msg_len as usize;
        }
        let mut sent = 0;
        while sent < received {
            let left = (received - sent) as u32;
            // SAFETY: as above; `sent` is below `received`, which is at most BATCH.
            let more = unsafe { libc::sendmmsg(socket, &raw mut messages[sent], left, 0) };
            sent += usize::try_from(more).unwrap_or(1); // what cannot be sent is passed over
        }
    }
}
