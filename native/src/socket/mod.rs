//! UDP sockets, many datagrams at a time: the one place that speaks to the kernel.
//!
//! A `Socket` is a file descriptor with its options; a `Batch` holds what comes and goes by it at
//! once.  On a wildcard address every datagram carries the address that it was sent to
//! (IP_PKTINFO, RFC 3542 6), and its answer is sent from there.
#![allow(unsafe_code)]

mod batch;
mod system;

pub use batch::{BATCH, Batch, DATAGRAM_MAX};
pub use system::{Bell, chance, go_first, monotonic_s};

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::said::Address;

const CONTROL_BYTES: usize = 64;
const PATIENCE_S: libc::time_t = 1;
/// As much as is asked for; the system gives what it allows.
const BUFFER_BYTES: libc::c_int = 4 << 20;

/// How a socket stands beside others at its address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// There is no other.
    Alone,
    /// Others will join once it is bound; until then a stranger's address is an error.
    First,
    /// It joins the first.
    Next,
}

/// A UDP socket that listens.
pub struct Socket {
    fd: OwnedFd,
    /// Where it listens.
    pub local: SocketAddr,
}

impl Socket {
    /// Bind a socket, alone at its address or sharing it with others of ours.
    pub fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; what comes back is checked before it is owned.
        let fd = unsafe { libc::socket(family, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else has.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut socket = Socket { fd, local: address };
        if sharing == Sharing::Next {
            socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        if address.is_ipv6() {
            socket.set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
        }
        if address.ip().is_unspecified() {
            match address {
                SocketAddr::V4(_) => socket.set(libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
                SocketAddr::V6(_) => socket.set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
            }
        }
        // Whoever waits looks up now and then, and lets go of what is old.
        let patience = libc::timeval { tv_sec: PATIENCE_S, tv_usec: 0 };
        socket.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, patience)?;
        let _ = socket.set(libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER_BYTES);
        let _ = socket.set(libc::SOL_SOCKET, libc::SO_SNDBUF, BUFFER_BYTES);
        socket.bind_to(address)?;
        if sharing == Sharing::First {
            socket.set(libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        }
        Ok(socket)
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: T) -> io::Result<()> {
        let size = size_of::<T>() as libc::socklen_t;
        // SAFETY: the pointer and the size are those of `value`, which outlives the call.
        let done =
            unsafe { libc::setsockopt(self.raw(), level, option, (&raw const value).cast(), size) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn bind_to(&mut self, address: SocketAddr) -> io::Result<()> {
        let (storage, length) = to_storage(address);
        // SAFETY: the pointer and the length are those of `storage`, which outlives the call.
        if unsafe { libc::bind(self.raw(), (&raw const storage).cast(), length) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all of it is plain numbers, for which zeros are values.
        let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        // SAFETY: the pointers are to `storage` and to its length.
        if unsafe { libc::getsockname(self.raw(), (&raw mut storage).cast(), &raw mut length) } < 0
        {
            return Err(io::Error::last_os_error());
        }
        let port = u16::from_be(match address {
            // SAFETY: the family says that the storage holds this form.
            SocketAddr::V4(_) => unsafe { as_ipv4(&storage) }.sin_port,
            // SAFETY: likewise.
            SocketAddr::V6(_) => unsafe { as_ipv6(&storage) }.sin6_port,
        });
        self.local.set_port(port);
        Ok(())
    }

    /// Let whoever waits for a datagram wait no longer; what has come in can still be read.
    pub fn stop(&self) {
        // SAFETY: no pointers.  It "fails" for want of a peer, and wakes the waiters all the same.
        unsafe { libc::shutdown(self.raw(), libc::SHUT_RD) };
    }

    fn raw(&self) -> libc::c_int {
        self.fd.as_raw_fd()
    }

    /// Send one answer to where its question came from.
    pub fn send(&self, answer: &[u8], back: &Back) -> io::Result<()> {
        let mut back = *back;
        let mut iov =
            libc::iovec { iov_base: answer.as_ptr().cast_mut().cast(), iov_len: answer.len() };
        // SAFETY: all of it is plain numbers and pointers, for which zeros are values.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = (&raw mut back.peer).cast();
        header.msg_namelen = back.peer_length;
        header.msg_iov = &raw mut iov;
        header.msg_iovlen = 1;
        if back.control_length > 0 {
            header.msg_control = back.control.0.as_mut_ptr().cast();
            header.msg_controllen = back.control_length as _;
        }
        // SAFETY: what the header points to lives in `back`, `iov` and `answer` until the call ends.
        let sent = unsafe { libc::sendmsg(self.raw(), &raw const header, libc::MSG_DONTWAIT) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Room for control messages, where the system wants them to lie.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

/// The way back to an asker: its address, and the one that it asked.
#[derive(Clone, Copy)]
pub struct Back {
    peer: libc::sockaddr_storage,
    peer_length: libc::socklen_t,
    control: Control,
    control_length: usize,
}

impl Back {
    /// The address that a datagram came from.
    pub fn sender(&self) -> Address {
        if i32::from(self.peer.ss_family) == libc::AF_INET {
            // SAFETY: the family says that the storage holds this form.
            let octets = unsafe { as_ipv4(&self.peer) }.sin_addr.s_addr;
            return Address { version: 4, number: u128::from(u32::from_be(octets)) };
        }
        // SAFETY: the sockets are of two families, and it is not the other.
        Address::of_ipv6(u128::from_be_bytes(unsafe { as_ipv6(&self.peer) }.sin6_addr.s6_addr))
    }

    /// Turn the control message that told the address asked into one that answers from there.
    ///
    /// By whichever way leads back: of an IPv4 datagram only the address is kept.
    fn answer_from_anywhere(&mut self) {
        let head = size_of::<libc::cmsghdr>();
        if self.control_length < head + size_of::<libc::in_pktinfo>() {
            self.control_length = 0;
        } else if i32::from(self.peer.ss_family) == libc::AF_INET {
            // An in_pktinfo: interface, local address, address in the header.
            self.control.0[head..head + 4].fill(0);
            self.control.0[head + 8..head + 12].fill(0);
        }
    }
}

/// # Safety
/// The storage must hold an IPv4 socket address.
unsafe fn as_ipv4(storage: &libc::sockaddr_storage) -> &libc::sockaddr_in {
    // SAFETY: the storage is larger and more strictly aligned; that it holds this is the caller's.
    unsafe { &*(&raw const *storage).cast() }
}

/// # Safety
/// The storage must hold an IPv6 socket address.
unsafe fn as_ipv6(storage: &libc::sockaddr_storage) -> &libc::sockaddr_in6 {
    // SAFETY: the storage is larger and more strictly aligned; that it holds this is the caller's.
    unsafe { &*(&raw const *storage).cast() }
}

fn to_storage(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all of it is plain numbers, for which zeros are values.
    let mut storage: libc::sockaddr_storage = unsafe { zeroed() };
    let place = &raw mut storage;
    match address.ip() {
        IpAddr::V4(ip) => {
            let made = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(ip).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is large enough and aligned for every kind of socket address.
            unsafe { place.cast::<libc::sockaddr_in>().write(made) };
            (storage, size_of::<libc::sockaddr_in>() as libc::socklen_t)
        }
        IpAddr::V6(ip) => {
            let made = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: ip.octets() },
                sin6_scope_id: 0,
            };
            // SAFETY: likewise.
            unsafe { place.cast::<libc::sockaddr_in6>().write(made) };
            (storage, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
        }
    }
}
