//! Queries as whole Ethernet frames, and responses told apart by port and id.
//!
//! A query's number is in its source port and its id: number = id × PORTS + port − PORT_FIRST.
//! Neighbouring queries thus come from different ports, as they do from the world.

use std::net::Ipv4Addr;

use crate::packet::FRAME_BYTES;

pub const PORTS: u32 = 64;
/// How many queries can be told apart.
pub const NUMBERS: u32 = PORTS << 16;
const PORT_FIRST: u16 = 20_000;
const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP: usize = 8;
const HEADERS: usize = ETHERNET + IP + UDP;
const DNS_HEADER: usize = 12;
const PROTOCOL_UDP: u8 = 17;

/// Where frames come from and go to.
pub struct Ends {
    pub source: Ipv4Addr,
    pub target: Ipv4Addr,
    pub port: u16,
    pub source_mac: [u8; 6],
    pub target_mac: [u8; 6],
}

/// What is read of a response.
pub struct Response {
    pub number: u32,
    pub rcode: u8,
    pub answers: bool,
}

/// Frames, one after the other.
pub struct Frames {
    octets: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    /// Read messages with their lengths before them (RFC 1035 4.2.2), and frame each.
    pub fn read(mut messages: &[u8], ends: &Ends) -> Frames {
        let mut frames = Frames { octets: Vec::new(), ends: Vec::new() };
        while let Some((size, rest)) = messages.split_first_chunk::<2>() {
            let size = usize::from(u16::from_be_bytes(*size)).min(rest.len());
            let (message, rest) = rest.split_at(size);
            messages = rest;
            if (DNS_HEADER + 5..=FRAME_BYTES - HEADERS).contains(&size) {
                headers(&mut frames.octets, size as u16, ends);
                frames.octets.extend_from_slice(message);
                frames.ends.push(frames.octets.len());
            }
        }
        frames
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Return a frame; counting begins anew after the last.
    pub fn get(&self, index: usize) -> &[u8] {
        let index = index % self.ends.len();
        let begin = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.octets[begin..self.ends[index]]
    }
}

fn headers(frames: &mut Vec<u8>, size: u16, ends: &Ends) {
    frames.extend_from_slice(&ends.target_mac);
    frames.extend_from_slice(&ends.source_mac);
    frames.extend_from_slice(&0x0800u16.to_be_bytes());
    let begin = frames.len();
    frames.extend_from_slice(&[0x45, 0]);
    frames.extend_from_slice(&((IP + UDP) as u16 + size).to_be_bytes());
    frames.extend_from_slice(&[0, 0, 0x40, 0, 64, PROTOCOL_UDP, 0, 0]);
    frames.extend_from_slice(&ends.source.octets());
    frames.extend_from_slice(&ends.target.octets());
    let sum: u32 = frames[begin..]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = !((sum & 0xffff) + (sum >> 16)) as u16;
    frames[begin + 10..begin + 12].copy_from_slice(&folded.to_be_bytes());
    frames.extend_from_slice(&PORT_FIRST.to_be_bytes());
    frames.extend_from_slice(&ends.port.to_be_bytes());
    frames.extend_from_slice(&(UDP as u16 + size).to_be_bytes());
    frames.extend_from_slice(&[0, 0]); // no checksum, as IPv4 allows (RFC 768)
}

/// Give a query its number.
pub fn number(frame: &mut [u8], number: u32) {
    let port = PORT_FIRST + (number % PORTS) as u16;
    frame[ETHERNET + IP..][..2].copy_from_slice(&port.to_be_bytes());
    frame[HEADERS..][..2].copy_from_slice(&((number / PORTS) as u16).to_be_bytes());
}

/// Put random letters in place of the first label.
pub fn rename(frame: &mut [u8], mut random: u64) {
    let size = usize::from(frame[HEADERS + DNS_HEADER]);
    let begin = HEADERS + DNS_HEADER + 1;
    let end = (begin + size).min(frame.len());
    for octet in &mut frame[begin..end] {
        *octet = b'a' + (random & 15) as u8;
        random = random.rotate_right(4);
    }
}

/// Read a response from its IP header on; None if it is nothing of ours.
pub fn response(packet: &[u8], ends: &Ends) -> Option<Response> {
    let header = usize::from(packet.first()? & 15) * 4;
    if *packet.get(9)? != PROTOCOL_UDP || packet.get(12..16)? != ends.target.octets() {
        return None;
    }
    let udp = packet.get(header..header + UDP + DNS_HEADER)?;
    let port = u16::from_be_bytes([udp[2], udp[3]]).checked_sub(PORT_FIRST)?;
    let message = &udp[UDP..];
    if udp[..2] != ends.port.to_be_bytes() || u32::from(port) >= PORTS || message[2] & 0x80 == 0 {
        return None;
    }
    let id = u32::from(u16::from_be_bytes([message[0], message[1]]));
    Some(Response {
        number: id * PORTS + u32::from(port),
        rcode: message[3] & 15,
        answers: message[6..8] != [0, 0],
    })
}
