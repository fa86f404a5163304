//! The OPT record and its options (RFC 6891; 5001 NSID, 7871 client subnet, 7873 cookies, 8914).
//!
//! The same as `gslb.dns.edns`: what is answered is built from what is known, never copied from
//! what was asked, but for the client subnet, after it has been checked bit by bit.

use crate::message::{BADVERS, FORMERR, be16};
use crate::zone::types::OPT;

/// The octets of an OPT record without options.
pub const OPT_BYTES: usize = 11;
/// The smallest size that an asker can mean (RFC 6891 6.2.3).
pub const PAYLOAD_MIN: u16 = 512;

const DO: u32 = 0x8000;
const NSID: u16 = 3;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const TCP_KEEPALIVE: u16 = 11;
const EXTENDED_ERROR: u16 = 15;
const OPTION_HEAD_BYTES: usize = 4;
const SUBNET_HEAD_BYTES: usize = 4;

/// A client's network as RFC 7871 sends it; `family` is 0 only where `source` is.
#[derive(Clone, Copy, Debug)]
pub struct ClientSubnet<'q> {
    /// 1 for IPv4, 2 for IPv6, 0 for neither.
    pub family: u16,
    /// The prefix length that the asker gives.
    pub source: u8,
    /// The network's number.
    pub address: u128,
    /// The address as sent.
    pub octets: &'q [u8],
}

/// What a query's OPT record asks for; `payload` is the asker's size, at least 512.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Edns<'q> {
    pub payload: u16,
    pub dnssec_ok: bool,
    pub subnet: Option<ClientSubnet<'q>>,
    pub nsid: bool,
    pub keepalive: bool,
    pub cookie: Option<&'q [u8]>,
}

/// Decode an OPT record; beside it stands the rcode to refuse it with, if any.
///
/// `payload` and `ttl` are the record's class and TTL fields (RFC 6891 6.1.3).
pub fn decode_opt(payload: u16, ttl: u32, rdata: &[u8]) -> (Edns<'_>, Option<u16>) {
    let plain = Edns {
        payload: payload.max(PAYLOAD_MIN),
        dnssec_ok: ttl & DO != 0,
        subnet: None,
        nsid: false,
        keepalive: false,
        cookie: None,
    };
    if (ttl >> 16) & 0xFF != 0 {
        return (plain, Some(BADVERS));
    }
    match decode_options(plain, rdata) {
        Some(edns) => (edns, None),
        None => (plain, Some(FORMERR)),
    }
}

fn decode_options<'q>(mut edns: Edns<'q>, mut rest: &'q [u8]) -> Option<Edns<'q>> {
    while !rest.is_empty() {
        let (code, length) = (be16(rest, 0)?, be16(rest, 2)? as usize);
        let octets = rest.get(OPTION_HEAD_BYTES..OPTION_HEAD_BYTES + length)?;
        rest = &rest[OPTION_HEAD_BYTES + length..];
        match code {
            CLIENT_SUBNET if edns.subnet.is_some() => return None,
            CLIENT_SUBNET => edns.subnet = Some(decode_subnet(octets)?),
            NSID => edns.nsid = true,
            TCP_KEEPALIVE => edns.keepalive = true,
            // All but the first are ignored (RFC 7873 5).
            COOKIE if edns.cookie.is_some() => {}
            COOKIE if !matches!(octets.len(), 8 | 16..=40) => return None,
            COOKIE => edns.cookie = Some(octets),
            _ => {}
        }
    }
    Some(edns)
}

/// Decode a client subnet, checked against every rule of RFC 7871 6 and 7.1.
fn decode_subnet(octets: &[u8]) -> Option<ClientSubnet<'_>> {
    let family = be16(octets, 0)?;
    let (source, scope) = (*octets.get(2)?, *octets.get(3)?);
    let sent = &octets[SUBNET_HEAD_BYTES..];
    let bits: u8 = match family {
        0 if source == 0 && scope == 0 && sent.is_empty() => 0,
        1 => 32,
        2 => 128,
        _ => return None,
    };
    if source > bits || scope != 0 || sent.len() != (source as usize).div_ceil(8) {
        return None;
    }
    let mut whole = [0u8; 16];
    whole[..sent.len()].copy_from_slice(sent);
    let left = u128::from_be_bytes(whole);
    if source < 128 && left << source != 0 {
        return None;
    }
    let address = if bits == 0 { 0 } else { left >> (128 - bits) };
    Some(ClientSubnet { family, source, address, octets: sent })
}

/// Write the option that answers a client subnet with the prefix length for which that holds.
pub fn write_subnet(out: &mut impl Extend<u8>, subnet: &ClientSubnet, scope: u8) {
    write_head(out, CLIENT_SUBNET, SUBNET_HEAD_BYTES + subnet.octets.len());
    out.extend(subnet.family.to_be_bytes());
    out.extend([subnet.source, scope]);
    out.extend(subnet.octets.iter().copied());
}

/// Write the option with a client's and a server's cookie (RFC 7873 4).
pub fn write_cookie(out: &mut impl Extend<u8>, octets: &[u8]) {
    write_head(out, COOKIE, octets.len());
    out.extend(octets.iter().copied());
}

/// Write the option that names this node (RFC 5001).
pub fn write_nsid(out: &mut impl Extend<u8>, node: &[u8]) {
    write_head(out, NSID, node.len());
    out.extend(node.iter().copied());
}

/// Write an Extended DNS Error (RFC 8914).
pub fn write_error(out: &mut impl Extend<u8>, code: u16, text: &[u8]) {
    write_head(out, EXTENDED_ERROR, 2 + text.len());
    out.extend(code.to_be_bytes());
    out.extend(text.iter().copied());
}

fn write_head(out: &mut impl Extend<u8>, code: u16, length: usize) {
    out.extend(code.to_be_bytes());
    out.extend((length as u16).to_be_bytes());
}

/// The OPT record of a response, up to its options, with the upper bits of *rcode*.
pub fn opt_head(payload: u16, rcode: u16, dnssec_ok: bool, options: usize) -> [u8; OPT_BYTES] {
    let mut head = [0u8; OPT_BYTES];
    head[1..3].copy_from_slice(&OPT.to_be_bytes());
    head[3..5].copy_from_slice(&payload.to_be_bytes());
    head[5] = (rcode >> 4) as u8;
    head[7..9].copy_from_slice(&(if dnssec_ok { DO as u16 } else { 0 }).to_be_bytes());
    head[9..].copy_from_slice(&(options as u16).to_be_bytes());
    head
}
