//! Entries → records: owners, TTLs, classes and origins that carry over (RFC 1035 5.1, 2308 4).

use super::rdata::{self, SOA};
use super::records::Records;
use super::words::{Entries, Word, seconds};
use super::{Ask, Declined, name};

const TTL_MAX: u32 = 0x7fff_ffff;
const TTL_CHARACTERS_MAX: usize = 80;
/// Most records whose data is asked for: one takes as long as a hundred others.
const ASKED_MAX: usize = 100_000;

/// Where reading stands, and what carries over to the next entry.
struct Here<'a, 'b> {
    apex: &'a [u8],
    ask: Ask<'b>,
    asked: usize,
    records: Records,
    origin: Vec<u8>,
    owner: u32,
    name: Vec<u8>,
    default_ttl_s: Option<u32>,
    stated_ttl_s: Option<u32>,
    soa_ttl_s: Option<u32>,
}

/// Return the records of `text`, all of which lie within `apex`, the first owner of the result.
pub fn read(text: &[u8], apex: &[u8], records_max: usize, ask: Ask) -> Result<Records, Declined> {
    if !name::is_lower(apex) {
        return Err(Declined::WHOLE);
    }
    let mut entries = Entries::new(text)?;
    let mut records = Records::new(text);
    let mut here = Here {
        owner: records.intern(apex)?,
        origin: apex.to_vec(),
        apex,
        ask,
        asked: 0,
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

impl Here<'_, '_> {
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
            } else if !classed && is_class(text) {
                classed = true;
            } else {
                break text;
            }
        };
        self.add(type_, rest)?;
        let implied_s = self.default_ttl_s.or(self.stated_ttl_s).or(self.soa_ttl_s);
        self.records.set_last_ttl(ttl_s.or(implied_s).ok_or(Declined::WHOLE)?);
        Ok(())
    }

    /// Add a record of this owner, with no TTL yet.
    fn add(&mut self, mnemonic: &[u8], data: &[Word]) -> Result<(), Declined> {
        if let Ok(type_) = rdata::type_of(mnemonic) {
            let write = |out: &mut Vec<u8>| rdata::write(type_, data, &self.origin, out);
            if self.records.add(self.owner, type_, write).is_ok() {
                return self.note_minimum(type_);
            }
        }
        if self.asked == ASKED_MAX {
            return Err(Declined::WHOLE);
        }
        self.asked += 1;
        let (type_, wire) =
            (self.ask)(mnemonic, &shown(data), &self.origin).ok_or(Declined::WHOLE)?;
        self.records.add(self.owner, type_, |out| {
            out.extend_from_slice(&wire);
            Ok(())
        })?;
        self.note_minimum(type_)
    }

    /// After an SOA, its minimum is the TTL of those who have none.
    fn note_minimum(&mut self, type_: u16) -> Result<(), Declined> {
        if type_ == SOA {
            let minimum = self.records.last_rdata().last_chunk().ok_or(Declined::WHOLE)?;
            self.soa_ttl_s = Some(u32::from_be_bytes(*minimum).min(TTL_MAX));
        }
        Ok(())
    }
}

/// Return words as a file has them, on one line.
fn shown(words: &[Word]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words {
        let mark: &[u8] = if word.quoted { b"\"" } else { b"" };
        for part in [mark, word.text, mark, b" "] {
            out.extend_from_slice(part);
        }
    }
    out
}

/// Return whether a word names the class IN (RFC 3597 5).
fn is_class(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"IN") || text.eq_ignore_ascii_case(b"CLASS1")
}

fn ttl(text: &[u8]) -> Result<u32, Declined> {
    if text.len() > TTL_CHARACTERS_MAX {
        return Err(Declined::WHOLE);
    }
    let ttl_s = seconds(text)?;
    if ttl_s > TTL_MAX { Err(Declined::WHOLE) } else { Ok(ttl_s) }
}
