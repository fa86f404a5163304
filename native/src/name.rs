//! Domain names in wire form (RFC 1035 3.1): octets, lower-cased whole.

/// The octets of the longest name.
pub const NAME_MAX: usize = 255;
/// The octets of the longest label.
pub const LABEL_MAX: u8 = 63;
/// The root's name.
pub const ROOT: &[u8] = &[0];

/// A name without its leftmost label; None for the root.
#[inline]
pub fn parent(name: &[u8]) -> Option<&[u8]> {
    match name.first() {
        Some(&length) if length > 0 => name.get(1 + length as usize..),
        _ => None,
    }
}

/// How many labels a name has, without the root.
#[inline]
pub fn count_labels(name: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while let Some(&length) = name.get(at)
        && length > 0
    {
        at += 1 + length as usize;
        count += 1;
    }
    count
}

/// Whether octets are one whole name: labels, and the root at their end.
pub fn is_name(octets: &[u8]) -> bool {
    matches!(octets.split_last(), Some((0, labels)) if is_labels(labels))
        && octets.len() <= NAME_MAX
}

/// Whether octets are labels without the root.
pub fn is_labels(octets: &[u8]) -> bool {
    let mut at = 0;
    while let Some(&length) = octets.get(at) {
        if length == 0 || length > LABEL_MAX {
            return false;
        }
        at += 1 + length as usize;
    }
    at == octets.len()
}

/// Whether a name is *apex* or stands below it; both are lower-case.
#[inline]
pub fn is_within(mut name: &[u8], apex: &[u8]) -> bool {
    if !name.ends_with(apex) {
        return false;
    }
    while name.len() > apex.len() {
        match parent(name) {
            Some(above) => name = above,
            None => return false,
        }
    }
    name == apex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_within_its_ancestors_and_itself_alone() {
        assert!(is_within(b"\x03www\x07example\x03com\0", b"\x07example\x03com\0"));
        assert!(is_within(b"\x03com\0", b"\x03com\0"));
        assert!(is_within(b"\x03com\0", ROOT));
        assert!(!is_within(b"\x03com\0", b"\x07example\x03com\0"));
        // The octets of one name at the end of another's label are not that name.
        assert!(!is_within(b"\x05a\x03com\0", b"\x03com\0"));
    }

    #[test]
    fn what_is_no_whole_name_is_none() {
        assert!(is_name(b"\x01a\0") && is_name(ROOT));
        for octets in [&b""[..], b"\x01a", b"\x01a\0\0", b"\xc0\x0c", b"\x05ab\0"] {
            assert!(!is_name(octets), "{octets:?}");
        }
    }
}
