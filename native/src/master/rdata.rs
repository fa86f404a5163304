//! Rdata: from words to wire form, for the types that large zones are made of.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::words::{self, Word};
use super::{Declined, name};

pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const SOA: u16 = 6;
const PTR: u16 = 12;
const HINFO: u16 = 13;
const MX: u16 = 15;
const TXT: u16 = 16;
pub const AAAA: u16 = 28;
const SRV: u16 = 33;
pub const DNAME: u16 = 39;
const DS: u16 = 43;
const SSHFP: u16 = 44;
const TLSA: u16 = 52;
const CAA: u16 = 257;

const TYPES: [(&[u8], u16); 15] = [
    (b"A", A),
    (b"AAAA", AAAA),
    (b"NS", NS),
    (b"CNAME", CNAME),
    (b"TXT", TXT),
    (b"MX", MX),
    (b"PTR", PTR),
    (b"SRV", SRV),
    (b"DS", DS),
    (b"CAA", CAA),
    (b"SOA", SOA),
    (b"DNAME", DNAME),
    (b"HINFO", HINFO),
    (b"TLSA", TLSA),
    (b"SSHFP", SSHFP),
];

/// Return the type that a mnemonic names.
pub fn type_of(text: &[u8]) -> Result<u16, Declined> {
    let found = TYPES.iter().find(|(mnemonic, _)| mnemonic.eq_ignore_ascii_case(text));
    found.map(|(_, type_)| *type_).ok_or(Declined::WHOLE)
}

/// Where names stand in a type's rdata: octets before the first, how many follow one another,
/// and whether they may be compressed (RFC 3597 4).
pub struct Names {
    pub at: usize,
    pub count: usize,
    pub compressed: bool,
}

/// Return where the names in the rdata of a type are.
pub fn names_in(type_: u16) -> Option<Names> {
    match type_ {
        NS | CNAME | PTR => Some(Names { at: 0, count: 1, compressed: true }),
        SOA => Some(Names { at: 0, count: 2, compressed: true }),
        MX => Some(Names { at: 2, count: 1, compressed: true }),
        DNAME => Some(Names { at: 0, count: 1, compressed: false }),
        SRV => Some(Names { at: 6, count: 1, compressed: false }),
        _ => None,
    }
}

/// Return whether two rdatas are one record: the letter case of names in them is nothing.
pub fn same(type_: u16, one: &[u8], other: &[u8]) -> bool {
    let end = foldable(type_, one);
    one.len() == other.len()
        && one[end.start..end.end].eq_ignore_ascii_case(&other[end.start..end.end])
        && one[..end.start] == other[..end.start]
        && one[end.end..] == other[end.end..]
}

/// Return the part of an rdata that is names, in which letter case is nothing.
pub fn foldable(type_: u16, rdata: &[u8]) -> std::ops::Range<usize> {
    let Some(names) = names_in(type_) else { return 0..0 };
    let mut end = names.at;
    for _ in 0..names.count {
        end += name::first(&rdata[end..]).len();
    }
    names.at..end
}

/// Append the wire form of the rdata that `data` says; what is appended when declined is nothing.
pub fn write(type_: u16, data: &[Word], origin: &[u8], out: &mut Vec<u8>) -> Result<(), Declined> {
    let Some(first) = data.first() else { return Err(Declined::WHOLE) };
    if first.text == b"\\#" {
        return Err(Declined::WHOLE);
    }
    match (type_, data) {
        (A, [address]) => {
            let text = text_of(address)?;
            out.extend_from_slice(&text.parse::<Ipv4Addr>().map_err(|_| Declined::WHOLE)?.octets());
        }
        (AAAA, [address]) => {
            let text = text_of(address)?;
            out.extend_from_slice(&text.parse::<Ipv6Addr>().map_err(|_| Declined::WHOLE)?.octets());
        }
        (NS | CNAME | PTR | DNAME, [target]) => name::parse(target.bare()?, origin, out)?,
        (MX, [preference, exchange]) => {
            out.extend_from_slice(&uint16(preference)?.to_be_bytes());
            name::parse(exchange.bare()?, origin, out)?;
        }
        (SRV, [priority, weight, port, target]) => {
            for number in [priority, weight, port] {
                out.extend_from_slice(&uint16(number)?.to_be_bytes());
            }
            name::parse(target.bare()?, origin, out)?;
        }
        (SOA, [server, mailbox, serial, times @ ..]) if times.len() == 4 => {
            name::parse(server.bare()?, origin, out)?;
            name::parse(mailbox.bare()?, origin, out)?;
            let serial =
                u32::try_from(words::number(serial.plain()?)?).map_err(|_| Declined::WHOLE)?;
            out.extend_from_slice(&serial.to_be_bytes());
            for time in times {
                out.extend_from_slice(&words::seconds(time.plain()?)?.to_be_bytes());
            }
        }
        (TXT, strings) => {
            for string in strings {
                counted(out, |out| words::unescape(string.text, out))?;
            }
        }
        (HINFO, [machine, system]) => {
            for string in [machine, system] {
                counted(out, |out| ascii(string, out))?;
            }
        }
        (CAA, [flags, tag, value]) => {
            out.push(uint8(flags)?);
            if tag.text.is_empty() || !tag.text.iter().all(u8::is_ascii_alphanumeric) {
                return Err(Declined::WHOLE);
            }
            counted(out, |out| ascii(tag, out))?;
            ascii(value, out)?;
        }
        (DS, [tag, algorithm, digest_type, digest @ ..]) => {
            out.extend_from_slice(&uint16(tag)?.to_be_bytes());
            out.extend_from_slice(&[uint8(algorithm)?, uint8(digest_type)?]);
            let lengths = [(1, 20), (2, 32), (4, 48)];
            hashed(uint8(digest_type)?, &lengths, digest, out)?;
        }
        (SSHFP, [algorithm, hash, fingerprint @ ..]) => {
            out.extend_from_slice(&[uint8(algorithm)?, uint8(hash)?]);
            hashed(uint8(hash)?, &[(1, 20), (2, 32)], fingerprint, out)?;
        }
        (TLSA, [usage, selector, matching, data @ ..]) => {
            out.extend_from_slice(&[uint8(usage)?, uint8(selector)?, uint8(matching)?]);
            hashed(uint8(matching)?, &[(1, 32), (2, 64)], data, out)?;
        }
        _ => return Err(Declined::WHOLE),
    }
    Ok(())
}

fn text_of<'a>(word: &Word<'a>) -> Result<&'a str, Declined> {
    std::str::from_utf8(word.plain()?).map_err(|_| Declined::WHOLE)
}

fn uint16(word: &Word) -> Result<u16, Declined> {
    u16::try_from(words::number(word.plain()?)?).map_err(|_| Declined::WHOLE)
}

fn uint8(word: &Word) -> Result<u8, Declined> {
    u8::try_from(words::number(word.plain()?)?).map_err(|_| Declined::WHOLE)
}

/// Append a string with its length, one octet, before it.
fn counted(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Declined>,
) -> Result<(), Declined> {
    let at = out.len();
    out.push(0);
    write(out)?;
    out[at] = u8::try_from(out.len() - at - 1).map_err(|_| Declined::WHOLE)?;
    Ok(())
}

/// Append a word of ASCII without escapes, with or without quotes.
fn ascii(word: &Word, out: &mut Vec<u8>) -> Result<(), Declined> {
    if word.escaped || !word.text.is_ascii() {
        return Err(Declined::WHOLE);
    }
    out.extend_from_slice(word.text);
    Ok(())
}

/// Append what hexadecimal words say together, which must be as long as a hash of that kind.
fn hashed(
    kind: u8,
    lengths: &[(u8, usize)],
    data: &[Word],
    out: &mut Vec<u8>,
) -> Result<(), Declined> {
    let start = out.len();
    let mut high = None;
    for word in data {
        for &digit in word.plain()? {
            let value = char::from(digit).to_digit(16).ok_or(Declined::WHOLE)? as u8;
            match high.take() {
                Some(high) => out.push(high << 4 | value),
                None => high = Some(value),
            }
        }
    }
    let wanted = lengths.iter().find(|(known, _)| *known == kind).ok_or(Declined::WHOLE)?.1;
    if high.is_some() || out.len() - start != wanted { Err(Declined::WHOLE) } else { Ok(()) }
}
