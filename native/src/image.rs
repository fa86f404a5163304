//! Images: values as octets, with a kind, a version and a checksum, copied or mapped.
//!
//! Every image opens with the same frame, so that a torn, old or foreign one is refused before
//! anything of it is read.  What is inside is read by `Octets`, which never passes the end: the
//! checksum tells damage, but an image that someone made to hurt has a good one.

use std::fs::File;
use std::path::Path;

/// What a frame says of an image that it does not fit.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Refused {
    /// It is shorter than its frame, or than the frame says.
    Short,
    /// It is of another kind, version, or order of octets.
    Foreign,
    /// Its checksum is not that of its body.
    Torn,
    /// Something inside points outside, or breaks a rule of its kind.
    Malformed,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refused::Short => "an image that ends early",
            Refused::Foreign => "an image of another kind or version",
            Refused::Torn => "an image that was torn or changed",
            Refused::Malformed => "an image that contradicts itself",
        })
    }
}

impl std::error::Error for Refused {}

/// Kinds of images; the numbers are those of `gslb.dns.image`.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
#[repr(u16)]
#[allow(missing_docs)]
pub enum Kind {
    Atlas = 1,
    Map = 2,
    Zone = 3,
    Entry = 4,
    Facts = 5,
}

const MAGIC: &[u8; 4] = b"GSLB";
/// The version of all images: it is raised whenever any of them changes its form.
pub const VERSION: u16 = 2;
/// The octets of a frame; the body follows.
pub const FRAME_BYTES: usize = 24;

/// An image's octets, wherever they are kept.
pub enum Image {
    /// In memory of ours.
    Copied(Vec<u8>),
    /// In pages of their own, behind which there is no file.
    Apart(memmap2::Mmap),
    /// In a file that is only ever replaced whole.
    Mapped(memmap2::Mmap),
}

impl Image {
    /// Map the image in a file.
    ///
    /// The file must never be changed in place: gslb writes images under another name and
    /// renames them, so a mapped one stays as it was.
    #[allow(unsafe_code)]
    pub fn map(path: &Path) -> std::io::Result<Image> {
        let file = File::open(path)?;
        // SAFETY: images are written whole under another name and renamed into place, never
        // written to after that, so what is mapped does not change under its readers.
        let mapped = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Image::Mapped(mapped))
    }

    /// Copy an image to pages of its own, which go back to the system once it is let go of.
    ///
    /// What an allocator gets back it mostly keeps, so a large image that is replaced now and
    /// then would be counted twice.
    pub fn apart(octets: &[u8]) -> std::io::Result<Image> {
        let mut pages = memmap2::MmapMut::map_anon(octets.len())?;
        pages.copy_from_slice(octets);
        Ok(Image::Apart(pages.make_read_only()?))
    }

    /// Let go of the memory of what has been read; what is read again comes back from the file.
    #[allow(unsafe_code)]
    pub fn forget(&self) {
        if let Image::Mapped(mapped) = self {
            // SAFETY: behind this mapping is a file that nobody writes to, so what comes back is
            // what was there.
            let _ = unsafe { mapped.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }

    /// Return the body if the frame fits, and is of this kind.
    pub fn body(&self, kind: Kind) -> Result<&[u8], Refused> {
        body(self, kind)
    }
}

impl std::ops::Deref for Image {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Image::Copied(octets) => octets,
            Image::Apart(mapped) | Image::Mapped(mapped) => mapped,
        }
    }
}

/// Give back what was let go of and only the allocator keeps.
///
/// After large work, such as reading a zone, it keeps tens of megabytes for more of the same,
/// which comes once a day.  Other threads answer meanwhile: what they need they have had before.
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: it takes no pointer, and what it returns to the system nobody points to.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Return the body of a framed image, if the frame fits and is of this kind.
pub fn body(octets: &[u8], kind: Kind) -> Result<&[u8], Refused> {
    let mut frame = Octets::new(octets);
    let magic = frame.take(4).ok_or(Refused::Short)?;
    let (version, found) = (frame.u16(), frame.u16());
    let checksum = frame.u32();
    let (Some(version), Some(found), Some(checksum)) = (version, found, checksum) else {
        return Err(Refused::Short);
    };
    if magic != MAGIC || version != VERSION || found != kind as u16 {
        return Err(Refused::Foreign);
    }
    if frame.u32().ok_or(Refused::Short)? != 0 {
        return Err(Refused::Foreign);
    }
    let length = frame.u64().ok_or(Refused::Short)?;
    let body = &octets[FRAME_BYTES..];
    if body.len() as u64 != length {
        return Err(Refused::Short);
    }
    if crc32fast::hash(body) != checksum {
        return Err(Refused::Torn);
    }
    Ok(body)
}

/// Return *body* in a frame of this kind.
pub fn framed(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_BYTES + body.len());
    out.resize(FRAME_BYTES, 0);
    out.extend_from_slice(body);
    frame(kind, &mut out);
    out
}

/// Write a frame of this kind into the first `FRAME_BYTES` octets, which must be there for it.
pub fn frame(kind: Kind, octets: &mut [u8]) {
    let (frame, body) = octets.split_at_mut(FRAME_BYTES);
    frame[..4].copy_from_slice(MAGIC);
    frame[4..6].copy_from_slice(&VERSION.to_ne_bytes());
    frame[6..8].copy_from_slice(&(kind as u16).to_ne_bytes());
    frame[8..12].copy_from_slice(&crc32fast::hash(body).to_ne_bytes());
    frame[12..16].fill(0);
    frame[16..].copy_from_slice(&(body.len() as u64).to_ne_bytes());
}

/// A reader that never passes the end.
#[derive(Clone, Copy)]
pub struct Octets<'a> {
    rest: &'a [u8],
}

impl<'a> Octets<'a> {
    /// Read *octets* from their start.
    #[inline]
    pub fn new(octets: &'a [u8]) -> Self {
        Octets { rest: octets }
    }

    /// What has not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Take the next *count* octets, if there are so many.
    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// Take an octet.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|octets| octets[0])
    }

    /// Take 16 bits in the machine's order.
    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|octets| u16::from_ne_bytes(octets.try_into().unwrap()))
    }

    /// Take 32 bits in the machine's order.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|octets| u32::from_ne_bytes(octets.try_into().unwrap()))
    }

    /// Take 64 bits in the machine's order.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.take(8).map(|octets| u64::from_ne_bytes(octets.try_into().unwrap()))
    }

    /// Take a string of octets with its length, one octet, before it.
    #[inline]
    pub fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_body_is_read_back() {
        assert_eq!(body(&framed(Kind::Zone, b"abc"), Kind::Zone), Ok(&b"abc"[..]));
    }

    #[test]
    fn an_image_torn_anywhere_is_refused() {
        let whole = framed(Kind::Map, b"what is inside");
        for cut in 0..whole.len() {
            assert!(body(&whole[..cut], Kind::Map).is_err());
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(body(&changed, Kind::Map).is_err(), "octet {at}");
        }
    }

    #[test]
    fn an_image_of_another_kind_is_refused() {
        assert_eq!(body(&framed(Kind::Map, b""), Kind::Zone), Err(Refused::Foreign));
    }
}
