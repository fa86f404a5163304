//! Entries → records: owners, TTLs, classes and origins that carry over (RFC 1035 5.1, 2308 4).

use super::rdata::{self, SOA};
use super::records::Records;
use super::words::{Entries, Word, seconds};
use super::{Declined, name};

const TTL_MAX: u32 = 0x7fff_ffff;
const TTL_CHARACTERS_MAX: usize = 80;

/// Where reading stands, and what carries over to the next entry.
struct Here {
    origin: Vec<u8>,
    owner: u32,
    default_ttl_s: Option<u32>,
    stated_ttl_s: Option<u32>,
    soa_ttl_s: Option<u32>,
}

/// Return the records of `text`, all of which lie within `apex`, the first owner of the result.
pub fn read(text: &[u8], apex: &[u8], records_max: usize) -> Result<Records, Declined> {
    if !name::is_lower(apex) {
        return Err(Declined);
    }
    let mut entries = Entries::new(text)?;
    let mut records = Records::new(text.len());
    let mut here = Here {
        origin: apex.to_vec(),
        owner: records.intern(apex)?,
        default_ttl_s: None,
        stated_ttl_s: None,
        soa_ttl_s: None,
    };
    let mut words = Vec::new();
    let mut owner = Vec::with_capacity(2 * name::NAME_MAX);
    while let Some(indented) = entries.next(&mut words)? {
        let Some(first) = words.first() else { continue };
        let mut rest = &words[..];
        if !indented {
            rest = &words[1..];
            if first.bare()?.starts_with(b"$") {
                here.directive(first.text, rest)?;
                continue;
            }
            owner.clear();
            name::parse(first.text, &here.origin, &mut owner)?;
            owner.make_ascii_lowercase();
            if !name::is_within(&owner, apex) {
                return Err(Declined);
            }
            here.owner = records.intern(&owner)?;
        }
        if records.len() == records_max {
            return Err(Declined);
        }
        here.record(rest, &mut records)?;
    }
    Ok(records)
}

impl Here {
    fn directive(&mut self, word: &[u8], rest: &[Word]) -> Result<(), Declined> {
        let [argument] = rest else { return Err(Declined) };
        if word.eq_ignore_ascii_case(b"$TTL") {
            self.default_ttl_s = Some(ttl(argument.plain()?)?);
        } else if word.eq_ignore_ascii_case(b"$ORIGIN") {
            let mut origin = Vec::new();
            name::parse(argument.bare()?, &self.origin, &mut origin)?;
            origin.make_ascii_lowercase();
            self.origin = origin;
        } else {
            return Err(Declined);
        }
        Ok(())
    }

    /// Add the record whose words after the owner are `rest`.
    fn record(&mut self, rest: &[Word], records: &mut Records) -> Result<(), Declined> {
        let mut rest = rest;
        let mut ttl_s = None;
        let mut classed = false;
        let type_ = loop {
            let (word, after) = rest.split_first().ok_or(Declined)?;
            let text = word.plain()?;
            rest = after;
            if ttl_s.is_none() && text.first().is_some_and(u8::is_ascii_digit) {
                ttl_s = Some(ttl(text)?);
                self.stated_ttl_s = ttl_s;
            } else if !classed && text.eq_ignore_ascii_case(b"IN") {
                classed = true;
            } else {
                break rdata::type_of(text)?;
            }
        };
        let wire =
            records.add(self.owner, type_, |out| rdata::write(type_, rest, &self.origin, out))?;
        if type_ == SOA {
            let minimum = wire.last_chunk().ok_or(Declined)?;
            self.soa_ttl_s = Some(u32::from_be_bytes(*minimum).min(TTL_MAX));
        }
        let implied_s = self.default_ttl_s.or(self.stated_ttl_s).or(self.soa_ttl_s);
        records.set_last_ttl(ttl_s.or(implied_s).ok_or(Declined)?);
        Ok(())
    }
}

fn ttl(text: &[u8]) -> Result<u32, Declined> {
    if text.len() > TTL_CHARACTERS_MAX {
        return Err(Declined);
    }
    let ttl_s = seconds(text)?;
    if ttl_s > TTL_MAX { Err(Declined) } else { Ok(ttl_s) }
}
