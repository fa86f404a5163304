//! One zone's image, indexed: where in it a name is found (RFC 1034 4.3.2, 4592).
//!
//! The image is that of `gslb.dns.zoneimage`.  It is walked whole once, when it is opened: every
//! length is checked, and each node's place is noted in an index by name.  What is read later
//! has been walked before, so a read that fails nevertheless is answered like an absent thing.

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::hash::Hasher;

use crate::image::{Image, Kind, Octets, Refused};
use crate::name;

/// The RR types that a zone is looked through for.
pub mod types {
    #![allow(missing_docs)]
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const HINFO: u16 = 13;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const DNAME: u16 = 39;
    pub const OPT: u16 = 41;
    pub const DS: u16 = 43;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

const SERVICE: u8 = 1;
const CUT: u8 = 2;

/// The names of one zone, and what stands at them.
pub struct Zone {
    image: Image,
    apex: Vec<u8>,
    soa: usize,
    index: HashTable<u32>,
    labels_max: usize,
}

/// In which way a name was found.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
#[allow(missing_docs)]
pub enum How {
    Exact,
    Wildcard,
    Referral,
    Dname,
    Nxdomain,
}

/// A name's place: the node that answers for it, and the name of that node.
#[derive(Clone, Copy)]
pub struct Found<'z> {
    /// In which way it was found.
    pub how: How,
    /// The node's name.
    pub owner: &'z [u8],
    /// What stands there.
    pub node: Node<'z>,
}

/// What stands at one name.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    flags: u8,
    rrsets: u16,
    glue: u16,
    /// How many of the leading glue rrsets a referral is useless without (RFC 9471).
    pub glue_needed: u16,
    rest: Octets<'z>,
}

/// Records of one type with one TTL.
#[derive(Clone, Copy)]
pub struct RRset<'z> {
    /// The RR type.
    pub type_: u16,
    /// The TTL in seconds.
    pub ttl_s: u32,
    /// The number of records.
    pub count: u16,
    /// Their rdatas, one behind the other.
    pub rdatas: &'z [u8],
}

/// One record's rdata: its octets, and the places in it of pointers to the apex.
#[derive(Clone, Copy)]
pub struct Rdata<'z> {
    /// The octets, with two to be filled in at each hole.
    pub octets: &'z [u8],
    holes: &'z [u8],
}

impl Zone {
    /// Check an image and index its names.
    ///
    /// # Errors
    /// Says why the image is refused.
    pub fn open(image: Image) -> Result<Zone, Refused> {
        let body = image.body(Kind::Zone)?;
        let offset = image.len() - body.len();
        let (apex, soa, labels_max, index) = walk(body, offset).ok_or(Refused::Malformed)?;
        Ok(Zone { apex, soa, index, labels_max, image })
    }

    /// The zone's name, in lower-case wire form.
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no name; a zone that could be opened has one.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The SOA as negative answers carry it.
    pub fn soa(&self) -> Option<RRset<'_>> {
        read_rrset(&mut Octets::new(self.image.get(self.soa..)?))
    }

    /// The octets of a name's node, behind its name; None if there is no node.
    pub fn node(&self, qname: &[u8]) -> Option<&[u8]> {
        let octets = self.at(qname)?.1;
        let mut rest = Octets::new(octets);
        check_node(&mut rest)?;
        octets.get(..octets.len() - rest.rest().len())
    }

    /// The image, whole.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// All names, in no order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.index.iter().filter_map(|&at| Some(named(&self.image, at)?.0))
    }

    fn at(&self, qname: &[u8]) -> Option<(&[u8], &[u8])> {
        let same = |&at: &u32| named(&self.image, at).is_some_and(|(name, _)| name == qname);
        let at = self.index.find(hash_of(qname), same)?;
        named(&self.image, *at)
    }

    #[inline]
    fn get(&self, qname: &[u8]) -> Option<(&[u8], Node<'_>)> {
        let (owner, octets) = self.at(qname)?;
        Some((owner, read_node(octets)?))
    }

    /// Find a lower-case name inside the zone; None is for images that contradict themselves.
    pub fn find(&self, qname: &[u8]) -> Option<Found<'_>> {
        if let Some((owner, node)) = self.get(qname) {
            let how = if node.is_cut() { How::Referral } else { How::Exact };
            return Some(Found { how, owner, node });
        }
        let mut encloser = qname;
        // No name has more labels than the deepest: only that many can be ancestors of it.
        for _ in self.labels_max..name::count_labels(qname) {
            encloser = name::parent(encloser)?;
        }
        if encloser.len() == qname.len() {
            encloser = name::parent(encloser)?;
        }
        let (owner, node) = loop {
            match self.get(encloser) {
                Some(found) => break found,
                None => encloser = name::parent(encloser)?,
            }
        };
        if node.is_cut() {
            return Some(Found { how: How::Referral, owner, node });
        }
        if node.rrset(types::DNAME).is_some() {
            return Some(Found { how: How::Dname, owner, node });
        }
        let mut wildcard = [0u8; name::NAME_MAX];
        if owner.len() + 2 <= wildcard.len() {
            wildcard[..2].copy_from_slice(b"\x01*");
            wildcard[2..2 + owner.len()].copy_from_slice(owner);
            if let Some((owner, node)) = self.get(&wildcard[..2 + owner.len()]) {
                return Some(Found { how: How::Wildcard, owner, node });
            }
        }
        Some(Found { how: How::Nxdomain, owner, node })
    }
}

type Walked = (Vec<u8>, usize, usize, HashTable<u32>);

/// Walk a zone's body whole; None if anything in it is wrong. Places count from the image's start.
fn walk(body: &[u8], offset: usize) -> Option<Walked> {
    let mut rest = Octets::new(body);
    let place = |rest: &Octets| offset + body.len() - rest.rest().len();
    let count = rest.u32()?;
    let apex = rest.short()?;
    if !name::is_name(apex) {
        return None;
    }
    let soa = place(&rest);
    check_rrset(&mut rest)?;
    // No more than could be there, however many are said to be.
    let mut index = HashTable::with_capacity((count as usize).min(body.len() / 8));
    let mut labels_max = 0;
    for _ in 0..count {
        let at = u32::try_from(place(&rest) - offset).ok()?;
        let name = rest.short()?;
        if !name::is_name(name) || !name.ends_with(apex) {
            return None;
        }
        labels_max = labels_max.max(name::count_labels(name));
        check_node(&mut rest)?;
        let hash = hash_of(name);
        let same = |&other: &u32| named(body, other).is_some_and(|(found, _)| found == name);
        if index.find(hash, same).is_some() {
            return None;
        }
        index.insert_unique(hash, at, |&other| {
            named(body, other).map_or(0, |(found, _)| hash_of(found))
        });
    }
    if !rest.rest().is_empty() {
        return None;
    }
    let at_apex = index
        .find(hash_of(apex), |&other| named(body, other).is_some_and(|(found, _)| found == apex));
    at_apex?;
    let shift = u32::try_from(offset).ok()?;
    for at in index.iter_mut() {
        *at = at.checked_add(shift)?;
    }
    Some((apex.to_vec(), soa, labels_max, index))
}

fn check_node(rest: &mut Octets) -> Option<()> {
    rest.u8()?;
    let (rrsets, glue, needed) = (rest.u16()?, rest.u16()?, rest.u16()?);
    if needed > glue {
        return None;
    }
    for _ in 0..rrsets {
        check_rrset(rest)?;
    }
    for _ in 0..glue {
        if !name::is_name(rest.short()?) {
            return None;
        }
        check_rrset(rest)?;
    }
    Some(())
}

fn check_rrset(rest: &mut Octets) -> Option<()> {
    let rrset = read_rrset(rest)?;
    let mut rdatas = Octets::new(rrset.rdatas);
    for _ in 0..rrset.count {
        let rdata = read_rdata(&mut rdatas)?;
        for hole in rdata.holes() {
            if hole + 2 > rdata.octets.len() {
                return None;
            }
        }
        let is_link = matches!(rrset.type_, types::CNAME | types::DNAME);
        if is_link && !is_target(&rdata) {
            return None;
        }
    }
    (rrset.count > 0 && rdatas.rest().is_empty()).then_some(())
}

/// Whether rdata is one name: whole, or some labels and at their end a hole.
fn is_target(rdata: &Rdata) -> bool {
    let mut holes = rdata.holes();
    match (holes.next(), holes.next()) {
        (None, _) => name::is_name(rdata.octets),
        (Some(hole), None) => {
            hole + 2 == rdata.octets.len() && name::is_labels(&rdata.octets[..hole])
        }
        _ => false,
    }
}

fn named(octets: &[u8], at: u32) -> Option<(&[u8], &[u8])> {
    let mut rest = Octets::new(octets.get(at as usize..)?);
    Some((rest.short()?, rest.rest()))
}

#[inline]
fn hash_of(name: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.finish()
}

#[inline]
fn read_node(octets: &[u8]) -> Option<Node<'_>> {
    let mut rest = Octets::new(octets);
    let flags = rest.u8()?;
    let (rrsets, glue, glue_needed) = (rest.u16()?, rest.u16()?, rest.u16()?);
    Some(Node { flags, rrsets, glue, glue_needed, rest })
}

#[inline]
fn read_rrset<'z>(rest: &mut Octets<'z>) -> Option<RRset<'z>> {
    let (type_, ttl_s, count, size) = (rest.u16()?, rest.u32()?, rest.u16()?, rest.u32()?);
    Some(RRset { type_, ttl_s, count, rdatas: rest.take(size as usize)? })
}

/// Take one rdata.
#[inline]
pub fn read_rdata<'z>(rest: &mut Octets<'z>) -> Option<Rdata<'z>> {
    let (length, holes) = (rest.u16()?, rest.u8()?);
    let holes = rest.take(2 * holes as usize)?;
    Some(Rdata { octets: rest.take(length as usize)?, holes })
}

impl<'z> Node<'z> {
    /// Whether a service stands here: what it answers is in its entry.
    pub fn is_service(&self) -> bool {
        self.flags & SERVICE != 0
    }

    /// Whether the zone is cut here: what lies below is another server's.
    pub fn is_cut(&self) -> bool {
        self.flags & CUT != 0
    }

    /// Whether there is any rrset.
    pub fn has_rrsets(&self) -> bool {
        self.rrsets > 0
    }

    /// The rrset of a type.
    #[inline]
    pub fn rrset(&self, type_: u16) -> Option<RRset<'z>> {
        let mut rest = self.rest;
        (0..self.rrsets).map_while(|_| read_rrset(&mut rest)).find(|rrset| rrset.type_ == type_)
    }

    /// The rrsets of a cut's name servers' addresses, with their owners.
    pub fn glue(&self) -> impl Iterator<Item = (&'z [u8], RRset<'z>)> {
        let mut rest = self.rest;
        let skipped = (0..self.rrsets).map_while(|_| read_rrset(&mut rest)).count();
        let left = if skipped == self.rrsets as usize { self.glue } else { 0 };
        (0..left).map_while(move |_| Some((rest.short()?, read_rrset(&mut rest)?)))
    }
}

impl<'z> RRset<'z> {
    /// The rdatas, one by one.
    pub fn iter(&self) -> impl Iterator<Item = Rdata<'z>> {
        let mut rest = Octets::new(self.rdatas);
        (0..self.count).map_while(move |_| read_rdata(&mut rest))
    }
}

impl<'z> Rdata<'z> {
    /// Rdata that has no hole.
    pub fn whole(octets: &'z [u8]) -> Rdata<'z> {
        Rdata { octets, holes: &[] }
    }

    /// Where pointers to the apex stand.
    #[inline]
    pub fn holes(&self) -> impl Iterator<Item = usize> + use<'z> {
        self.holes.chunks_exact(2).map(|hole| u16::from_ne_bytes([hole[0], hole[1]]) as usize)
    }
}
