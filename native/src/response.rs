//! Responses as octets, fitted to the asker's size (RFC 1035 4.1, 2181 9, 6891).
//!
//! The same as `gslb.dns.response`: every owner and compressed name ends in the zone's apex, which
//! the question ends in too, so each is some labels and one pointer, and nothing is searched; the
//! further records of an rrset point at the first one's owner.

use crate::edns::{self, Edns, OPT_BYTES};
use crate::entry::Choice;
use crate::message::{HEADER_BYTES, Query, flags};
use crate::name;
use crate::said::{Owner, Part, Records, Response, Scratch};
use crate::zone::Rdata;

/// Flag Day 2020: what fits everywhere without fragments.
pub const UDP_MAX: usize = 1232;
/// What a frame of TCP holds.
pub const TCP_MAX: usize = 65_535;
/// What an asker without EDNS takes (RFC 1035 4.2.1).
pub const PLAIN_MAX: usize = 512;

const AT_QUESTION: [u8; 2] = [0xC0, HEADER_BYTES as u8];
/// The last octet a pointer can tell (RFC 1035 4.1.4).
const POINTED_MAX: usize = 0x3FFF;

/// What goes into a response beside what is said.
#[derive(Clone, Copy, Default)]
pub struct Extras<'x> {
    /// What answers NSID.
    pub nsid: &'x [u8],
    /// What answers a cookie; empty where that is not to be answered.
    pub cookie: &'x [u8],
    /// The transport's limit on a message.
    pub size_max: usize,
}

/// Write the octets of *response* to *query* into *out*, or what of them fits, with TC set.
pub fn encode(
    query: &Query,
    response: &Response,
    scratch: &Scratch,
    extras: &Extras,
    out: &mut Vec<u8>,
) {
    let asked = query.edns.as_ref();
    let mut size_max = extras.size_max;
    if size_max != TCP_MAX {
        size_max = size_max.min(asked.map_or(PLAIN_MAX, |edns| edns.payload as usize));
    }
    let subnet = asked.and_then(|edns| edns.subnet.as_ref());
    // These two are never left out for size.
    let cookie = if extras.cookie.is_empty() { 0 } else { 4 + extras.cookie.len() };
    let kept = cookie + subnet.map_or(0, |subnet| 8 + subnet.octets.len());
    let reserved = if asked.is_some() { OPT_BYTES + kept } else { 0 };
    let mut bits = flags::QR
        | (query.flags & (flags::OPCODE | flags::RD))
        | (response.rcode & 0xF)
        | if response.authoritative { flags::AA } else { 0 }
        | if response.truncated { flags::TC } else { 0 };
    let mut counts = [u16::from(!query.question.is_empty()), 0, 0, 0];
    out.clear();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.extend_from_slice(query.question);
    let begin = out.len();
    let mut writer = Writer::new(query, response, size_max.saturating_sub(reserved), scratch);
    let answers = writer.write_all(response.answer.iter(), out);
    let authorities = answers.and_then(|_| writer.write_all(response.authority.iter(), out));
    if let (Some(answers), Some(authorities)) = (answers, authorities) {
        (counts[1], counts[2]) = (answers, authorities);
        let (additionals, all) = writer.write_glue(response, out);
        counts[3] = additionals;
        bits |= if all { 0 } else { flags::TC };
    } else {
        bits |= flags::TC;
        out.truncate(begin);
    }
    if let Some(edns) = asked {
        let room = size_max.saturating_sub(out.len() + reserved);
        let all_said = write_opt(edns, response, kept, room, extras, out);
        bits |= if all_said { 0 } else { flags::TC };
        counts[3] += 1;
    }
    out[..2].copy_from_slice(&query.id.to_be_bytes());
    out[2..4].copy_from_slice(&bits.to_be_bytes());
    for (number, count) in counts.iter().enumerate() {
        out[4 + 2 * number..6 + 2 * number].copy_from_slice(&count.to_be_bytes());
    }
}

/// Write the OPT record; return whether the error, if there is one, is in it.
///
/// An error is left out before any data is, and TC tells of it (RFC 8914 3).
fn write_opt(
    asked: &Edns,
    response: &Response,
    kept: usize,
    room: usize,
    extras: &Extras,
    out: &mut Vec<u8>,
) -> bool {
    let at = out.len();
    out.extend_from_slice(&edns::opt_head(UDP_MAX as u16, response.rcode, asked.dnssec_ok, 0));
    if let Some(subnet) = &asked.subnet {
        edns::write_subnet(out, subnet, if subnet.source > 0 { response.scope } else { 0 });
    }
    if !extras.cookie.is_empty() {
        edns::write_cookie(out, extras.cookie);
    }
    let (mut left, mut all_said) = (room, true);
    if let Some((code, text)) = response.error {
        if 6 + text.len() <= left {
            edns::write_error(out, code, text);
            left -= 6 + text.len();
        } else {
            all_said = false;
        }
    }
    if asked.nsid && 4 + extras.nsid.len() <= left {
        edns::write_nsid(out, extras.nsid);
    }
    debug_assert!(out.len() >= at + OPT_BYTES + kept);
    let options = (out.len() - at - OPT_BYTES) as u16;
    out[at + OPT_BYTES - 2..at + OPT_BYTES].copy_from_slice(&options.to_be_bytes());
    all_said
}

/// The records behind the question, up to a size.
struct Writer<'w, 'q, 's> {
    query: &'w Query<'q>,
    apex: &'s [u8],
    class: u16,
    choice: Option<&'w Choice<'s>>,
    octets_max: usize,
    to_apex: [u8; 2],
    /// A pointer at the owner of the rrset being written, once that is written whole.
    again: Option<[u8; 2]>,
    scratch: &'w Scratch,
}

impl<'w, 'q, 's> Writer<'w, 'q, 's> {
    fn new(
        query: &'w Query<'q>,
        response: &'w Response<'s>,
        octets_max: usize,
        scratch: &'w Scratch,
    ) -> Self {
        let (apex, class, choice) = (response.apex, response.class, response.choice.as_ref());
        let at = HEADER_BYTES + query.key().len().saturating_sub(apex.len());
        let to_apex = (0xC000 | at as u16).to_be_bytes();
        Writer { query, apex, class, choice, octets_max, to_apex, again: None, scratch }
    }

    /// Write whole parts and return the number of records; None, and nothing, if too long.
    #[inline]
    fn write_all<'p>(
        &mut self,
        parts: impl Iterator<Item = &'p Part<'p>>,
        out: &mut Vec<u8>,
    ) -> Option<u16> {
        let (before, mut count) = (out.len(), 0);
        for part in parts {
            match self.write(part, out) {
                Some(written) => count += written,
                None => {
                    out.truncate(before);
                    return None;
                }
            }
        }
        Some(count)
    }

    /// Write what of a referral's glue fits, rrset by rrset; and whether all that is needed did.
    fn write_glue(&mut self, response: &Response, out: &mut Vec<u8>) -> (u16, bool) {
        let (mut count, mut all) = (0, true);
        let Some(found) = &response.referral else {
            return (count, all);
        };
        for (number, (owner, rrset)) in found.node.glue().enumerate() {
            let (owner, records) = (Owner::Named(owner), Records::Set(rrset));
            let part = Part { owner, type_: rrset.type_, ttl_s: rrset.ttl_s, records };
            match self.write_all(std::iter::once(&part), out) {
                Some(written) => count += written,
                None => all &= number >= found.node.glue_needed as usize,
            }
        }
        (count, all)
    }

    fn write(&mut self, part: &Part, out: &mut Vec<u8>) -> Option<u16> {
        self.again = None;
        match &part.records {
            Records::Set(rrset) => {
                for rdata in rrset.iter() {
                    self.record(part, &rdata, out)?;
                }
                Some(rrset.count)
            }
            Records::Picked => {
                let (choice, picked) = (self.choice?, &self.scratch.picks.picked);
                for &at in picked {
                    self.record(part, &choice.rdata(at)?, out)?;
                }
                Some(picked.len() as u16)
            }
            Records::One(octets) => self.record(part, &Rdata::whole(octets), out).map(|()| 1),
            Records::Alias(number) => self.alias(part, *number, out).map(|()| 1),
        }
    }

    #[inline]
    fn record(&mut self, part: &Part, rdata: &Rdata, out: &mut Vec<u8>) -> Option<()> {
        self.head(part, rdata.octets.len(), out);
        let begin = out.len();
        out.extend_from_slice(rdata.octets);
        for hole in rdata.holes() {
            out[begin + hole..begin + hole + 2].copy_from_slice(&self.to_apex);
        }
        (out.len() <= self.octets_max).then_some(())
    }

    /// Write a synthesized CNAME, its target cut short by a pointer where it lies in the zone.
    fn alias(&mut self, part: &Part, number: u8, out: &mut Vec<u8>) -> Option<()> {
        let target = self.scratch.target(number);
        let mut lower = [0; name::NAME_MAX];
        let lower = &mut lower[..target.len()];
        lower.copy_from_slice(target);
        lower.make_ascii_lowercase();
        if self.apex != name::ROOT && name::is_within(lower, self.apex) {
            let labels = &target[..target.len() - self.apex.len()];
            self.head(part, labels.len() + 2, out);
            out.extend_from_slice(labels);
            out.extend_from_slice(&self.to_apex);
        } else {
            self.head(part, target.len(), out);
            out.extend_from_slice(target);
        }
        (out.len() <= self.octets_max).then_some(())
    }

    #[inline]
    fn head(&mut self, part: &Part, length: usize, out: &mut Vec<u8>) {
        match (self.again, part.owner) {
            (Some(pointer), _) => out.extend_from_slice(&pointer),
            (None, Owner::Asked) => out.extend_from_slice(&AT_QUESTION),
            (None, Owner::Walked(number)) => self.owner(self.scratch.name(number), out),
            (None, Owner::Named(owner)) => self.owner(owner, out),
        }
        let mut fixed = [0; 10];
        fixed[..2].copy_from_slice(&part.type_.to_be_bytes());
        fixed[2..4].copy_from_slice(&self.class.to_be_bytes());
        fixed[4..8].copy_from_slice(&part.ttl_s.to_be_bytes());
        fixed[8..].copy_from_slice(&(length as u16).to_be_bytes());
        out.extend_from_slice(&fixed);
    }

    fn owner(&mut self, owner: &[u8], out: &mut Vec<u8>) {
        let at = out.len();
        if owner == self.query.key() {
            out.extend_from_slice(&AT_QUESTION);
        } else if self.apex == name::ROOT {
            out.extend_from_slice(owner);
        } else {
            out.extend_from_slice(&owner[..owner.len().saturating_sub(self.apex.len())]);
            out.extend_from_slice(&self.to_apex);
        }
        if out.len() > at + 2 && at <= POINTED_MAX {
            self.again = Some((0xC000 | at as u16).to_be_bytes());
        }
    }
}

/// Write the response to a datagram that is no query: its header with *rcode*, no question.
pub fn encode_error(wire: &[u8], rcode: u16, out: &mut Vec<u8>) {
    out.clear();
    let Some(id) = wire.get(..2) else {
        return;
    };
    let asked = crate::message::be16(wire, 2).unwrap_or(0);
    let bits = flags::QR | (asked & (flags::OPCODE | flags::RD)) | rcode;
    out.extend_from_slice(id);
    out.extend_from_slice(&bits.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
}
