//! What is said to one query: parts with their owners, which other memory holds the octets of.
//!
//! Nothing here is copied from an image.  Names that are made while answering stand in a
//! `Scratch`, which is kept from one query to the next, and parts speak of them by number.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arrayvec::ArrayVec;

use crate::choice::Scratch as Picks;
use crate::entry::Choice;
use crate::message::{IN, NOERROR};
use crate::name::{self, NAME_MAX};
use crate::snapshot::Served;
use crate::zone::{Found, RRset, Rdata};

/// CNAMEs and DNAMEs followed inside a zone.
pub const LINKS_MAX: usize = 8;
/// What one walk says at most: a DNAME and a CNAME for each link, and what it ends with.
pub const PARTS_MAX: usize = 2 * LINKS_MAX + 4;

const MAPPED_PREFIX: u128 = 0xFFFF;
/// Where the IPv4 addresses begin that are written as IPv6 ones.
pub const MAPPED_START: u128 = MAPPED_PREFIX << 32;

/// An address as it is looked up: IP version and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// 4 or 6.
    pub version: u8,
    /// The address as a number.
    pub number: u128,
}

impl Address {
    /// The address for those who want to know the families apart.
    pub fn ip(self) -> IpAddr {
        match self.version {
            4 => IpAddr::V4(Ipv4Addr::from(self.number as u32)),
            _ => IpAddr::V6(Ipv6Addr::from(self.number)),
        }
    }

    /// An IPv6 address, or the IPv4 one that it stands for.
    pub fn of_ipv6(number: u128) -> Address {
        if number >> 32 == MAPPED_PREFIX {
            return Address { version: 4, number: number & 0xFFFF_FFFF };
        }
        Address { version: 6, number }
    }
}

/// What is handed in beside a message.
#[derive(Clone, Copy)]
pub struct From {
    /// Where the message came from.
    pub sender: Address,
    /// What picks.
    pub draw: u64,
    /// Seconds since 1970.
    pub now_s: f64,
    /// The transport's own limit.
    pub size_max: usize,
}

impl From {
    /// Microseconds since 1970.
    pub fn now_us(&self) -> u64 {
        (self.now_s * 1e6) as u64
    }
}

/// A name made while answering.
#[derive(Clone, Copy)]
pub struct Made {
    octets: [u8; NAME_MAX],
    length: usize,
}

impl Made {
    /// No octets.
    pub const EMPTY: Made = Made { octets: [0; NAME_MAX], length: 0 };

    /// Put together a name from its parts; None if they are longer than any name.
    pub fn set(&mut self, parts: &[&[u8]]) -> Option<()> {
        self.length = 0;
        for part in parts {
            let end = self.length + part.len();
            self.octets.get_mut(self.length..end)?.copy_from_slice(part);
            self.length = end;
        }
        Some(())
    }

    /// Put down the one name that rdata is, its hole filled in by the apex; None if it is too long.
    pub fn set_name(&mut self, rdata: &Rdata, apex: &[u8]) -> Option<()> {
        match rdata.holes().next() {
            None => self.set(&[rdata.octets]),
            Some(hole) => self.set(&[rdata.octets.get(..hole)?, apex]),
        }
    }

    /// The name.
    pub fn get(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    /// Make it lower-case; a length octet is no letter.
    pub fn lower(&mut self) {
        self.octets[..self.length].make_ascii_lowercase();
    }
}

/// Memory that answering needs, kept from one query to the next.
pub struct Scratch {
    /// What was picked.
    pub picks: Picks,
    /// The names walked through, in lower case: the one asked for, and each that it led to.
    pub names: [Made; LINKS_MAX + 2],
    /// The targets of synthesized CNAMEs, in the case that they are answered in.
    pub targets: [Made; LINKS_MAX + 1],
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch {
            picks: Picks::default(),
            names: [Made::EMPTY; LINKS_MAX + 2],
            targets: [Made::EMPTY; LINKS_MAX + 1],
        }
    }
}

impl Scratch {
    /// A name that the walk went through.
    pub fn name(&self, number: u8) -> &[u8] {
        self.names[number as usize].get()
    }

    /// The target of a synthesized CNAME.
    pub fn target(&self, number: u8) -> &[u8] {
        self.targets[number as usize].get()
    }
}

/// Whose records a part holds.
#[derive(Clone, Copy)]
pub enum Owner<'s> {
    /// The name that was asked for.
    Asked,
    /// A name that the walk went through, by its number.
    Walked(u8),
    /// A name in an image.
    Named(&'s [u8]),
}

/// The records of a part.
#[derive(Clone, Copy)]
pub enum Records<'s> {
    /// All of an rrset.
    Set(RRset<'s>),
    /// What was picked from the response's choice.
    Picked,
    /// One record that has no hole.
    One(&'s [u8]),
    /// A synthesized CNAME, by its target's number.
    Alias(u8),
}

/// One rrset of a section.
#[derive(Clone, Copy)]
pub struct Part<'s> {
    /// Whose records these are.
    pub owner: Owner<'s>,
    /// Their RR type.
    pub type_: u16,
    /// Their TTL in seconds.
    pub ttl_s: u32,
    /// The records.
    pub records: Records<'s>,
}

/// What is said to one query, and for how wide a network of clients it holds.
pub struct Response<'s> {
    /// The response code.
    pub rcode: u16,
    /// Whether AA is set.
    pub authoritative: bool,
    /// How long the name of the zone is that the question ends in.
    pub apex: &'s [u8],
    /// The class of the records.
    pub class: u16,
    /// The parts of the answer section.
    pub answer: ArrayVec<Part<'s>, PARTS_MAX>,
    /// What the part of picked records is picked from; there is no more than one such.
    pub choice: Option<Choice<'s>>,
    /// The SOA of a negative answer, or the name servers of a referral.
    pub authority: Option<Part<'s>>,
    /// The cut whose glue is the additional section.
    pub referral: Option<Found<'s>>,
    /// The prefix length for which this holds.
    pub scope: u8,
    /// An Extended DNS Error.
    pub error: Option<(u16, &'s [u8])>,
    /// Whether TC is set although all fits.
    pub truncated: bool,
    /// The service that answered first, and by which way.
    pub service: Option<(&'s Served, u8)>,
}

impl Default for Response<'_> {
    fn default() -> Self {
        Response {
            rcode: NOERROR,
            authoritative: false,
            apex: name::ROOT,
            class: IN,
            answer: ArrayVec::new(),
            choice: None,
            authority: None,
            referral: None,
            scope: 0,
            error: None,
            truncated: false,
            service: None,
        }
    }
}

impl<'s> Response<'s> {
    /// Say a part; one more than there is room for, which no true image leads to, is left out.
    pub fn say(&mut self, part: Part<'s>) {
        let _ = self.answer.try_push(part);
    }
}
