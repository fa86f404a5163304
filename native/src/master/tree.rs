//! The records of a zone that is good → its image, node by node, as `gslb.dns.zone` builds it.

use super::name::{self, Lower};
use super::rdata::{self, A, AAAA, NS, SOA};
use super::records::{NODE, Record, SERVED_BY, SERVICE, Sets};
use super::{Declined, IMAGE_BYTES_MAX, check};
use crate::image::{self, FRAME_BYTES, Kind};

const APEX: u32 = 0;
const IS_SERVICE: u8 = 1;
const IS_CUT: u8 = 2;

/// Return the image of the zone.
pub fn image(mut sets: Sets, apex: &[u8]) -> Result<Vec<u8>, Declined> {
    let nodes = mark_nodes(&mut sets)?;
    let mut out = Writer { sets: &sets, apex, octets: vec![0; FRAME_BYTES] };
    out.octets.extend_from_slice(&nodes.to_ne_bytes());
    out.short(apex);
    let soa = sets.rrset(APEX, SOA).ok_or(Declined::WHOLE)?;
    let minimum = sets.rdata(&soa[0]).last_chunk().ok_or(Declined::WHOLE)?;
    out.rrset(soa, u32::from_be_bytes(*minimum).min(soa[0].ttl_s))?;
    for owner in (0..sets.owners()).filter(|&owner| sets.has(owner, NODE)) {
        out.node(owner)?;
        if out.octets.len() > IMAGE_BYTES_MAX {
            return Err(Declined::WHOLE);
        }
    }
    let mut octets = out.octets;
    image::frame(Kind::Zone, &mut octets);
    Ok(octets)
}

/// Mark what is found in the zone, empty non-terminals too; return how many nodes that is.
fn mark_nodes(sets: &mut Sets) -> Result<u32, Declined> {
    let stated = sets.owners();
    let mut nodes = 0;
    for owner in 0..stated {
        if check::topmost_bar(sets, sets.name(owner)).is_none() {
            sets.keep(owner);
            nodes += 1;
        }
    }
    for owner in 0..stated {
        if sets.has(owner, NODE) {
            nodes += sets.keep_parents(owner)?;
        }
    }
    Ok(nodes)
}

struct Writer<'a> {
    sets: &'a Sets,
    apex: &'a [u8],
    octets: Vec<u8>,
}

impl Writer<'_> {
    fn u16(&mut self, value: usize) -> Result<(), Declined> {
        let value = u16::try_from(value).map_err(|_| Declined::WHOLE)?;
        self.octets.extend_from_slice(&value.to_ne_bytes());
        Ok(())
    }

    fn short(&mut self, name: &[u8]) {
        self.octets.push(name.len() as u8); // a name has at most 255 octets
        self.octets.extend_from_slice(name);
    }

    fn node(&mut self, owner: u32) -> Result<(), Declined> {
        let sets = self.sets;
        self.short(sets.name(owner));
        let cut = owner != APEX && sets.has(owner, SERVED_BY);
        let service = sets.has(owner, SERVICE) && !cut;
        self.octets.push(u8::from(service) * IS_SERVICE + u8::from(cut) * IS_CUT);
        self.u16(sets.rrsets(owner).count())?;
        let counts = self.octets.len();
        self.u16(0)?;
        self.u16(0)?;
        for rrset in sets.rrsets(owner) {
            self.rrset(rrset, rrset[0].ttl_s)?;
        }
        if cut {
            let needed = self.glue(owner, true)?;
            let all = needed + self.glue(owner, false)?;
            for (at, count) in [(counts, all), (counts + 2, needed)] {
                let count = u16::try_from(count).map_err(|_| Declined::WHOLE)?;
                self.octets[at..at + 2].copy_from_slice(&count.to_ne_bytes());
            }
        }
        Ok(())
    }

    /// Write the addresses of a cut's servers that are below it, or those that are not.
    fn glue(&mut self, cut: u32, below: bool) -> Result<usize, Declined> {
        let sets = self.sets;
        let mut count = 0;
        for record in sets.rrset(cut, NS).unwrap_or(&[]) {
            let server = Lower::of(sets.rdata(record));
            if name::is_within(&server, sets.name(cut)) != below {
                continue;
            }
            let Some(owner) = sets.find(&server) else { continue };
            for rrset in sets.rrsets(owner).filter(|rrset| matches!(rrset[0].type_, A | AAAA)) {
                self.short(&server);
                self.rrset(rrset, rrset[0].ttl_s)?;
                count += 1;
            }
            if self.octets.len() > IMAGE_BYTES_MAX {
                return Err(Declined::WHOLE);
            }
        }
        Ok(count)
    }

    fn rrset(&mut self, rrset: &[Record], ttl_s: u32) -> Result<(), Declined> {
        self.u16(usize::from(rrset[0].type_))?;
        self.octets.extend_from_slice(&ttl_s.to_ne_bytes());
        self.u16(rrset.len())?;
        let size_at = self.octets.len();
        self.octets.extend_from_slice(&[0; 4]);
        for record in rrset {
            self.rdata(record)?;
        }
        let size_bytes =
            u32::try_from(self.octets.len() - size_at - 4).map_err(|_| Declined::WHOLE)?;
        self.octets[size_at..size_at + 4].copy_from_slice(&size_bytes.to_ne_bytes());
        Ok(())
    }

    /// Write one rdata, each name inside the zone cut short by a hole for a pointer to the apex.
    fn rdata(&mut self, record: &Record) -> Result<(), Declined> {
        let whole = self.sets.rdata(record);
        let names = match rdata::names_in(record.type_) {
            Some(names) if names.compressed && self.apex.len() > 1 => names,
            _ => return self.encoded(whole, &[]),
        };
        let mut short = [0; 2 * name::NAME_MAX + 20];
        let mut holes = [0; 2];
        let (mut length, mut holed, mut at) = (0, 0, 0);
        let mut copy = |length: &mut usize, part: &[u8]| {
            short[*length..*length + part.len()].copy_from_slice(part);
            *length += part.len();
        };
        copy(&mut length, &whole[..names.at]);
        at += names.at;
        for _ in 0..names.count {
            let owner = name::first(&whole[at..]);
            if name::is_within(&Lower::of(owner), self.apex) {
                copy(&mut length, &owner[..owner.len() - self.apex.len()]);
                holes[holed] = length;
                holed += 1;
                copy(&mut length, &[0, 0]);
            } else {
                copy(&mut length, owner);
            }
            at += owner.len();
        }
        copy(&mut length, &whole[at..]);
        self.encoded(&short[..length], &holes[..holed])
    }

    fn encoded(&mut self, octets: &[u8], holes: &[usize]) -> Result<(), Declined> {
        self.u16(octets.len())?;
        self.octets.push(holes.len() as u8); // at most two
        for &hole in holes {
            self.u16(hole)?;
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }
}
