//! Domain names: from text to wire form (RFC 1035 3.1 and 5.1), and where they lie.

use super::{Declined, words};
use crate::name::{self, LABEL_MAX};
pub use crate::name::{NAME_MAX, is_within};

/// Append the wire form of `text`, relative to `origin` without a last dot; letters stay as written.
pub fn parse(text: &[u8], origin: &[u8], out: &mut Vec<u8>) -> Result<(), Declined> {
    if text == b"@" {
        out.extend_from_slice(origin);
        return Ok(());
    }
    if text == b"." {
        out.push(0);
        return Ok(());
    }
    let start = out.len();
    let mut label = out.len();
    let mut absolute = false;
    out.push(0);
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        absolute = false;
        match octet {
            b'.' => {
                close(label, out)?;
                label = out.len();
                out.push(0);
                absolute = true;
            }
            b'\\' => {
                let (escaped, after) = words::escaped(rest)?;
                out.push(escaped);
                rest = after;
            }
            0x80.. => return Err(Declined::WHOLE),
            _ => out.push(octet),
        }
        if out.len() - start > NAME_MAX {
            return Err(Declined::WHOLE);
        }
    }
    if !absolute {
        close(label, out)?;
        out.extend_from_slice(origin);
    }
    if out.len() - start > NAME_MAX { Err(Declined::WHOLE) } else { Ok(()) }
}

/// Write the length of the label that begins at `label` and ends here.
fn close(label: usize, out: &mut [u8]) -> Result<(), Declined> {
    let length = out.len() - label - 1;
    if length == 0 || length > LABEL_MAX as usize {
        return Err(Declined::WHOLE);
    }
    out[label] = length as u8;
    Ok(())
}

/// Return the name without its leftmost label; the root, which has none, stays as it is.
pub fn parent(name: &[u8]) -> &[u8] {
    name::parent(name).unwrap_or(name)
}

/// Return the octets of the name at the start of `wire`.
pub fn first(wire: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(&length) = wire.get(at) {
        at += 1 + length as usize;
        if length == 0 {
            break;
        }
    }
    wire.get(..at).unwrap_or(wire)
}

/// Return whether `wire` is exactly one name in wire form without capital letters.
pub fn is_lower(wire: &[u8]) -> bool {
    name::is_name(wire) && !wire.iter().any(u8::is_ascii_uppercase)
}

/// Return whether the name is a wildcard (RFC 4592 2.1.1).
pub fn is_wildcard(name: &[u8]) -> bool {
    name.starts_with(b"\x01*")
}

/// A name in lower case, on the stack.
pub struct Lower {
    octets: [u8; NAME_MAX],
    length: usize,
}

impl Lower {
    /// Return `name`, of at most `NAME_MAX` octets, in lower case.
    pub fn of(name: &[u8]) -> Self {
        Self::below(b"", name)
    }

    /// Return `first` and then `name` in lower case; what does not fit is no name at all.
    pub fn below(first: &[u8], name: &[u8]) -> Self {
        let mut octets = [0; NAME_MAX];
        let length = first.len() + name.len();
        if length > NAME_MAX {
            return Lower { octets, length: 0 };
        }
        octets[..first.len()].copy_from_slice(first);
        octets[first.len()..length].copy_from_slice(name);
        octets[..length].make_ascii_lowercase();
        Lower { octets, length }
    }
}

impl std::ops::Deref for Lower {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}
