//! Entries → records: owners, TTLs, classes and origins that carry over (RFC 1035 5.1, 2308 4).

use super::rdata::{self, SOA};
use super::records::Records;
use super::words::{Entries, Word, seconds};
use super::{Declined, name};

const TTL_MAX: u32 = 0x7fff_ffff;
const TTL_CHARACTERS_MAX: usize = 80;

/// Where reading stands, and what carries over to the next entry.
struct Here<'a> {
    apex: &'a [u8],
    records: Records,
    origin: Vec<u8>,
    owner: u32,
    name: Vec<u8>,
    default_ttl_s: Option<u32>,
    stated_ttl_s: Option<u32>,
    soa_ttl_s: Option<u32>,
}

/// Return the records of `text`, all of which lie within `apex`, the first owner of the result.
pub fn read(text: &[u8], apex: &[u8], records_max: usize) -> Result<Records, Declined> {
    if !name::is_lower(apex) {
        return Err(Declined::WHOLE);
    }
    let mut entries = Entries::new(text)?;
    let mut records = Records::new(text.len());
    let mut here = Here {
        owner: records.intern(apex)?,
        origin: apex.to_vec(),
        apex,
        name: Vec::with_capacity(2 * name::NAME_MAX),
        default_ttl_s: None,
        stated_ttl_s: None,
        soa_ttl_s: None,
        records,
    };
    let mut words = Vec::new();
    loop {
        let read = match entries.next(&mut words) {
            Ok(Some(indented)) => here.entry(&words, indented, records_max),
            Ok(None) => return Ok(here.records),
            Err(declined) => Err(declined),
        };
        read.map_err(|_| Declined { line: entries.line() })?;
    }
}

impl Here<'_> {
    fn entry(
        &mut self,
        words: &[Word],
        indented: bool,
        records_max: usize,
    ) -> Result<(), Declined> {
        let Some((first, rest)) = words.split_first() else { return Ok(()) };
        if !indented && first.bare()?.starts_with(b"$") {
            return self.directive(first.text, rest);
        }
        if !indented {
            self.owner = self.owner_of(first.text)?;
        }
        if self.records.len() == records_max {
            return Err(Declined::WHOLE);
        }
        self.record(if indented { words } else { rest })
    }

    fn owner_of(&mut self, text: &[u8]) -> Result<u32, Declined> {
        self.name.clear();
        name::parse(text, &self.origin, &mut self.name)?;
        self.name.make_ascii_lowercase();
        if !name::is_within(&self.name, self.apex) {
            return Err(Declined::WHOLE);
        }
        self.records.intern(&self.name)
    }

    fn directive(&mut self, word: &[u8], rest: &[Word]) -> Result<(), Declined> {
        let [argument] = rest else { return Err(Declined::WHOLE) };
        if word.eq_ignore_ascii_case(b"$TTL") {
            self.default_ttl_s = Some(ttl(argument.plain()?)?);
        } else if word.eq_ignore_ascii_case(b"$ORIGIN") {
            let mut origin = Vec::new();
            name::parse(argument.bare()?, &self.origin, &mut origin)?;
            origin.make_ascii_lowercase();
            self.origin = origin;
        } else {
            return Err(Declined::WHOLE);
        }
        Ok(())
    }

    /// Add the record whose words after the owner are `rest`.
    fn record(&mut self, rest: &[Word]) -> Result<(), Declined> {
        let mut rest = rest;
        let mut ttl_s = None;
        let mut classed = false;
        let type_ = loop {
            let (word, after) = rest.split_first().ok_or(Declined::WHOLE)?;
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
        let wire = self
            .records
            .add(self.owner, type_, |out| rdata::write(type_, rest, &self.origin, out))?;
        if type_ == SOA {
            let minimum = wire.last_chunk().ok_or(Declined::WHOLE)?;
            self.soa_ttl_s = Some(u32::from_be_bytes(*minimum).min(TTL_MAX));
        }
        let implied_s = self.default_ttl_s.or(self.stated_ttl_s).or(self.soa_ttl_s);
        self.records.set_last_ttl(ttl_s.or(implied_s).ok_or(Declined::WHOLE)?);
        Ok(())
    }
}

fn ttl(text: &[u8]) -> Result<u32, Declined> {
    if text.len() > TTL_CHARACTERS_MAX {
        return Err(Declined::WHOLE);
    }
    let ttl_s = seconds(text)?;
    if ttl_s > TTL_MAX { Err(Declined::WHOLE) } else { Ok(ttl_s) }
}
