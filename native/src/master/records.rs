//! The records of one zone, small: one buffer of names and rdata, and tables that point into it.

use hashbrown::HashTable;
use rustc_hash::{FxHashSet, FxHasher};
use std::hash::Hasher;

use super::rdata::{self, AAAA, CNAME, DNAME, NS, SOA};
use super::{Declined, name};

/// What is known of an owner, as bits.
pub const ADDRESS: u8 = 1;
pub const SERVED_BY: u8 = 2; // NS
pub const ALIAS: u8 = 4; // DNAME
pub const OTHER: u8 = 8; // any type but A and AAAA
pub const SERVICE: u8 = 16;
pub const NODE: u8 = 32; // it is found in the zone: not occluded
pub const CANONICAL: u8 = 64; // CNAME
pub const AUTHORITY: u8 = 128; // SOA

/// No line of a file that is full of records is shorter.
const LINE_BYTES_MIN: usize = 16;
/// Most types at one name: they are looked through one by one.
const TYPES_MAX: usize = 32;
/// Above so many records of one rrset, doubles are found by hashing.
const COMPARED_MAX: usize = 16;

/// One record; its rdata lies in the buffer.
#[derive(Clone, Copy)]
pub struct Record {
    owner: u32,
    at: u32,
    /// Seconds.
    pub ttl_s: u32,
    length: u16,
    /// The RR type.
    pub type_: u16,
}

struct Owner {
    at: u32,
    length: u8,
    has: u8,
}

/// Records in the order in which they are read.
pub struct Records {
    octets: Vec<u8>,
    owners: Vec<Owner>,
    by_name: HashTable<u32>,
    records: Vec<Record>,
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.finish()
}

impl Records {
    /// Make room for what a text is likely to say: a name and a record on each line.
    pub fn new(text: &[u8]) -> Self {
        let lines = text.iter().filter(|&&octet| octet == b'\n').count();
        let likely = lines.min(text.len() / LINE_BYTES_MIN);
        Records {
            octets: Vec::with_capacity(text.len() / 2),
            owners: Vec::with_capacity(likely),
            by_name: HashTable::with_capacity(likely),
            records: Vec::with_capacity(likely),
        }
    }

    /// Return how many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Return the number of an owner, in lower case, that may be new.
    pub fn intern(&mut self, name: &[u8]) -> Result<u32, Declined> {
        let (owners, octets) = (&self.owners, &self.octets);
        let hashed = hash(name);
        if let Some(&known) =
            self.by_name.find(hashed, |&id| octets_of(octets, &owners[id as usize]) == name)
        {
            return Ok(known);
        }
        let id = u32::try_from(self.owners.len()).map_err(|_| Declined::WHOLE)?;
        let at = u32::try_from(self.octets.len()).map_err(|_| Declined::WHOLE)?;
        let length = u8::try_from(name.len()).map_err(|_| Declined::WHOLE)?;
        self.octets.extend_from_slice(name);
        self.owners.push(Owner { at, length, has: 0 });
        let (owners, octets) = (&self.owners, &self.octets);
        self.by_name.insert_unique(hashed, id, |&id| hash(octets_of(octets, &owners[id as usize])));
        Ok(id)
    }

    /// Note what an owner is.
    pub fn mark(&mut self, owner: u32, bits: u8) {
        self.owners[owner as usize].has |= bits;
    }

    /// Add a record whose rdata `write` appends; if it cannot, nothing is changed.
    pub fn add(
        &mut self,
        owner: u32,
        type_: u16,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Declined>,
    ) -> Result<(), Declined> {
        let start = self.octets.len();
        let at = u32::try_from(start).map_err(|_| Declined::WHOLE)?;
        let written = write(&mut self.octets);
        let length = u16::try_from(self.octets.len() - start);
        let (Ok(()), Ok(length)) = (written, length) else {
            self.octets.truncate(start);
            return Err(Declined::WHOLE);
        };
        self.records.push(Record { owner, at, ttl_s: 0, length, type_ });
        let bits = match type_ {
            rdata::A | AAAA => ADDRESS,
            NS => SERVED_BY | OTHER,
            DNAME => ALIAS | OTHER,
            CNAME => CANONICAL | OTHER,
            SOA => AUTHORITY | OTHER,
            _ => OTHER,
        };
        self.mark(owner, bits);
        Ok(())
    }

    /// Return the rdata of the record that was added last.
    pub fn last_rdata(&self) -> &[u8] {
        self.records.last().map_or(b"", |last| last.of(&self.octets))
    }

    /// Say the TTL of the record that was added last.
    pub fn set_last_ttl(&mut self, ttl_s: u32) {
        if let Some(last) = self.records.last_mut() {
            last.ttl_s = ttl_s;
        }
    }

    /// Return the records by owner and type, each once, those of one rrset with one TTL.
    pub fn settle(mut self) -> Result<Sets, Declined> {
        self.records.shrink_to_fit();
        self.records.sort_by_key(|record| record.owner);
        let mut starts = Vec::with_capacity(self.owners.len() + 1);
        let (mut read, mut kept) = (0, 0);
        for id in 0..self.owners.len() as u32 {
            starts.push(kept as u32);
            let count = self.records[read..].iter().take_while(|record| record.owner == id).count();
            by_type(&mut self.records[read..read + count])?;
            let end = read + count;
            while read < end {
                let type_ = self.records[read].type_;
                let run = self.records[read..end].iter().take_while(|r| r.type_ == type_).count();
                kept = self.settle_rrset(read, run, kept);
                read += run;
            }
        }
        starts.push(kept as u32);
        self.records.truncate(kept);
        Ok(Sets { records: self, starts })
    }

    /// Move the distinct records of one rrset to `kept`, with the smallest TTL (RFC 2181 5.2).
    fn settle_rrset(&mut self, start: usize, count: usize, kept: usize) -> usize {
        let run = start..start + count;
        let least_s = self.records[run.clone()].iter().map(|record| record.ttl_s).min();
        let mut seen: FxHashSet<Vec<u8>> = FxHashSet::default();
        let mut end = kept;
        for index in run {
            let record = self.records[index];
            let rdata = record.of(&self.octets);
            let double = if count > COMPARED_MAX {
                let mut folded = rdata.to_vec();
                folded[rdata::foldable(record.type_, rdata)].make_ascii_lowercase();
                !seen.insert(folded)
            } else {
                let before = &self.records[kept..end];
                before.iter().any(|b| rdata::same(b.type_, b.of(&self.octets), rdata))
            };
            if !double {
                self.records[end] = Record { ttl_s: least_s.unwrap_or(record.ttl_s), ..record };
                end += 1;
            }
        }
        end
    }
}

/// Bring the types of one owner together, in the order in which they first come.
fn by_type(records: &mut [Record]) -> Result<(), Declined> {
    let mut seen = [0; TYPES_MAX];
    let mut count = 0;
    for record in &*records {
        if !seen[..count].contains(&record.type_) {
            *seen.get_mut(count).ok_or(Declined::WHOLE)? = record.type_;
            count += 1;
        }
    }
    if count > 1 {
        records.sort_by_key(|record| seen[..count].iter().position(|&t| t == record.type_));
    }
    Ok(())
}

fn octets_of<'a>(octets: &'a [u8], owner: &Owner) -> &'a [u8] {
    &octets[owner.at as usize..][..owner.length as usize]
}

impl Record {
    fn of<'a>(&self, octets: &'a [u8]) -> &'a [u8] {
        &octets[self.at as usize..][..self.length as usize]
    }
}

/// Records by owner and type.
pub struct Sets {
    records: Records,
    starts: Vec<u32>,
}

impl Sets {
    /// Return how many owners there are; they are numbered from the apex, 0.
    pub fn owners(&self) -> u32 {
        self.records.owners.len() as u32
    }

    /// Return an owner's name.
    pub fn name(&self, owner: u32) -> &[u8] {
        octets_of(&self.records.octets, &self.records.owners[owner as usize])
    }

    /// Return what an owner is.
    pub fn has(&self, owner: u32, bits: u8) -> bool {
        self.records.owners[owner as usize].has & bits != 0
    }

    /// Return the owner of a lower-case name.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        self.records.by_name.find(hash(name), |&id| self.name(id) == name).copied()
    }

    /// Return whether there is an owner of that name that is one of `bits`.
    pub fn is(&self, name: &[u8], bits: u8) -> bool {
        self.find(name).is_some_and(|owner| self.has(owner, bits))
    }

    /// Note that an owner is a node of the zone.
    pub fn keep(&mut self, owner: u32) {
        self.records.mark(owner, NODE);
    }

    /// Note that the parents of a node are nodes too, as far up as they are not.
    pub fn keep_parents(&mut self, owner: u32) -> Result<u32, Declined> {
        let mut added = 0;
        let mut above = name::Lower::of(self.name(owner));
        let apex_bytes = self.name(0).len();
        while above.len() > apex_bytes {
            above = name::Lower::of(name::parent(&above));
            if above.len() == apex_bytes || self.is(&above, NODE) {
                break;
            }
            let id = self.records.intern(&above)?;
            self.records.mark(id, NODE);
            added += 1;
        }
        Ok(added)
    }

    /// Return the rrsets of an owner, in the order in which the file has them.
    pub fn rrsets(&self, owner: u32) -> impl Iterator<Item = &[Record]> {
        let start = self.starts.get(owner as usize).map_or(0, |&start| start as usize);
        let end = self.starts.get(owner as usize + 1).map_or(start, |&end| end as usize);
        self.records.records[start..end].chunk_by(|one, next| one.type_ == next.type_)
    }

    /// Return the rrset of an owner and type.
    pub fn rrset(&self, owner: u32, type_: u16) -> Option<&[Record]> {
        self.rrsets(owner).find(|rrset| rrset[0].type_ == type_)
    }

    /// Return a record's rdata in uncompressed wire form.
    pub fn rdata(&self, record: &Record) -> &[u8] {
        record.of(&self.records.octets)
    }
}
