//! Queries decoded from datagrams, and what they ask for (RFC 1035 4, 6891, 7871).
//!
//! The same as `gslb.dns.message`: the header is judged first, from twelve octets, then the one
//! question, then the OPT record.

use crate::edns::{Edns, decode_opt};
use crate::name::{LABEL_MAX, NAME_MAX};
use crate::zone::types::OPT;

/// The octets of a header.
pub const HEADER_BYTES: usize = 12;
/// Flags of a header.
#[allow(missing_docs)]
pub mod flags {
    pub const QR: u16 = 0x8000;
    pub const OPCODE: u16 = 0x7800;
    pub const AA: u16 = 0x0400;
    pub const TC: u16 = 0x0200;
    pub const RD: u16 = 0x0100;
}
const OPCODE_SHIFT: u32 = 11;
const QUERY: u16 = 0;
const NOTIFY: u16 = 4;
const UPDATE: u16 = 5;
const QUESTION_BYTES: usize = 4;
const FIXED_BYTES: usize = 10;

/// The classes that are answered.
pub const IN: u16 = 1;
/// The class of what a server says of itself.
pub const CH: u16 = 3;

/// Response codes.
pub const NOERROR: u16 = 0;
/// The query breaks the format.
pub const FORMERR: u16 = 1;
/// It cannot be answered now.
pub const SERVFAIL: u16 = 2;
/// There is no such name.
pub const NXDOMAIN: u16 = 3;
/// This kind of query is not known.
pub const NOTIMP: u16 = 4;
/// It is not answered here, or not to this asker.
pub const REFUSED: u16 = 5;
/// A DNAME makes the name too long (RFC 6672).
pub const YXDOMAIN: u16 = 6;
/// The version of EDNS is not known (RFC 6891).
pub const BADVERS: u16 = 16;

/// The server cookie is not one of ours (RFC 7873).
pub const BADCOOKIE: u16 = 23;

/// One query: its header's id and flags, its question as asked, and its EDNS.
///
/// `wrong` is the rcode to refuse it with, if any.  The name is in lower case in `key`.  Without a
/// question it asks for a server cookie alone.
pub struct Query<'q> {
    /// The id to repeat.
    pub id: u16,
    /// The header's flags.
    pub flags: u16,
    /// The question section, octet for octet.
    pub question: &'q [u8],
    key: [u8; NAME_MAX],
    key_bytes: usize,
    /// The RR type asked for.
    pub type_: u16,
    /// The class asked for.
    pub class: u16,
    /// What the OPT record asks for.
    pub edns: Option<Edns<'q>>,
    /// The rcode to refuse it with.
    pub wrong: Option<u16>,
}

impl Query<'_> {
    /// The name asked for, in lower case.
    pub fn key(&self) -> &[u8] {
        &self.key[..self.key_bytes]
    }
}

/// A datagram that is no query: the rcode to answer with, or None where silence is right.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct WireError(pub Option<u16>);

/// Decode a query.
///
/// # Errors
/// Says what to answer to what is none.
pub fn decode_query(wire: &[u8]) -> Result<Query<'_>, WireError> {
    if wire.len() < HEADER_BYTES {
        return Err(WireError(None));
    }
    let field = |at| be16(wire, at).unwrap_or(0);
    let flags = field(2);
    if flags & flags::QR != 0 {
        return Err(WireError(None));
    }
    match (flags & flags::OPCODE) >> OPCODE_SHIFT {
        QUERY => {}
        NOTIFY | UPDATE => return Err(WireError(Some(REFUSED))),
        _ => return Err(WireError(Some(NOTIMP))),
    }
    let (before, additionals) = (field(6) as u32 + field(8) as u32, field(10) as u32);
    match field(4) {
        0 => return for_a_cookie(wire, before, additionals),
        1 => {}
        _ => return Err(WireError(Some(FORMERR))),
    }
    let end = question_name_end(wire).ok_or(WireError(Some(FORMERR)))?;
    let at = end + QUESTION_BYTES;
    let question = wire.get(HEADER_BYTES..at).ok_or(WireError(Some(FORMERR)))?;
    let (edns, wrong) = records(wire, at, before, additionals);
    let mut key = [0; NAME_MAX];
    let key_bytes = end - HEADER_BYTES;
    key[..key_bytes].copy_from_slice(&wire[HEADER_BYTES..end]);
    key[..key_bytes].make_ascii_lowercase();
    Ok(Query {
        id: field(0),
        flags,
        question,
        key,
        key_bytes,
        type_: field(end),
        class: field(end + 2),
        edns,
        wrong,
    })
}

/// A query without a question, which may ask for a server cookie (RFC 7873 5.4).
fn for_a_cookie(wire: &[u8], before: u32, additionals: u32) -> Result<Query<'_>, WireError> {
    let (edns, wrong) = records(wire, HEADER_BYTES, before, additionals);
    if wrong.is_some() || edns.is_none_or(|edns| edns.cookie.is_none()) {
        return Err(WireError(Some(FORMERR)));
    }
    let (id, flags) = (be16(wire, 0).unwrap_or(0), be16(wire, 2).unwrap_or(0));
    let (key, key_bytes) = ([0; NAME_MAX], 0);
    Ok(Query { id, flags, question: &[], key, key_bytes, type_: 0, class: 0, edns, wrong: None })
}

/// Where the question's name ends; before it there is nothing a pointer could mean.
fn question_name_end(wire: &[u8]) -> Option<usize> {
    let mut at = HEADER_BYTES;
    loop {
        let length = *wire.get(at)?;
        if length > LABEL_MAX {
            return None;
        }
        at += 1 + length as usize;
        if at - HEADER_BYTES > NAME_MAX {
            return None;
        }
        if length == 0 {
            return Some(at);
        }
    }
}

/// What the OPT record among those from *at* on asks for, and what is wrong, if anything.
fn records(
    wire: &[u8],
    mut at: usize,
    before: u32,
    additionals: u32,
) -> (Option<Edns<'_>>, Option<u16>) {
    let (mut edns, mut wrong) = (None, None);
    for number in 0..before + additionals {
        let start = at;
        let Some(fixed) = skip_name(wire, at).filter(|fixed| fixed + FIXED_BYTES <= wire.len())
        else {
            return (edns, Some(FORMERR));
        };
        let field = |at| be16(wire, at).unwrap_or(0);
        let (type_, class, length) = (field(fixed), field(fixed + 2), field(fixed + 8));
        let ttl = (field(fixed + 4) as u32) << 16 | field(fixed + 6) as u32;
        at = fixed + FIXED_BYTES + length as usize;
        let Some(rdata) = wire.get(fixed + FIXED_BYTES..at) else {
            return (edns, Some(FORMERR));
        };
        if type_ == OPT {
            if edns.is_some() || number < before || wire[start] != 0 {
                return (edns, Some(FORMERR));
            }
            let decoded = decode_opt(class, ttl, rdata);
            (edns, wrong) = (Some(decoded.0), decoded.1);
        }
    }
    (edns, if at == wire.len() { wrong } else { Some(FORMERR) })
}

/// Where a name ends, compressed or not; None when it is malformed.
fn skip_name(wire: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *wire.get(at)?;
        if length >= 0xC0 {
            return Some(at + 2);
        }
        if length > LABEL_MAX {
            return None;
        }
        at += 1 + length as usize;
        if length == 0 {
            return Some(at);
        }
    }
}

/// The 16 bits at a place, in the network's order.
#[inline]
pub fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}
