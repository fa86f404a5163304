//! One service as it is answered now: for each family and order the choice that a draw picks from.
//!
//! The image is that of `gslb.routing.entryimage`.  It is walked whole when it is opened; what a
//! query needs is then found by places that were checked.

use crate::choice::Numbers;
use crate::image::{Image, Kind, Octets, Refused};
use crate::name;
use crate::zone::{Rdata, read_rdata, types};

/// By which rule of the ladder a choice was made; the order is that of `gslb.routing.climb.Way`.
pub const WAYS: usize = 7;
const FAMILIES: [u16; 3] = [types::A, types::CNAME, types::AAAA];
const SERVFAIL: u8 = 6;
const NODATA: u8 = 5;

/// A service's choices.
pub struct Entry {
    image: Image,
    name: std::ops::Range<usize>,
    text: String,
    /// What stands for the service in the keys of sticky clients.
    pub key: u64,
    /// The prefix lengths, IPv4's and IPv6's, that make two clients the same one.
    pub sticky: Option<(u8, u8)>,
    families: [Option<Family>; FAMILIES.len()],
    choices: Vec<usize>,
}

/// One family of a service: its geo map, and the choice of each order.
#[derive(Clone, Copy)]
pub struct Family {
    /// The RR type that it is answered as.
    pub type_: u16,
    /// The number of its geo map among the plan's.
    pub map: usize,
    /// How many orders the map must have.
    pub orders: u32,
    at: usize,
}

/// Records with shares, and how long they hold.
#[derive(Clone, Copy)]
pub struct Choice<'s> {
    /// By which rule it was made.
    pub way: u8,
    /// An Extended DNS Error for what is served in an unusual way.
    pub unusual: Option<(u16, &'s [u8])>,
    ttl_s: u32,
    ttl_min_s: u32,
    until_s: f64,
    /// How many records one answer holds.
    pub answers: usize,
    /// The records' cumulative shares.
    pub upto: Numbers<'s>,
    /// What stands for each record in the ranking of sticky clients.
    pub keys: Numbers<'s>,
    places: &'s [u8],
    rdatas: &'s [u8],
}

impl Entry {
    /// Check an image of a service's choices.
    ///
    /// # Errors
    /// Says why it is refused.
    pub fn open(image: Image) -> Result<Entry, Refused> {
        let body = image.body(Kind::Entry)?;
        let offset = image.len() - body.len();
        let walked = walk(body, offset).ok_or(Refused::Malformed)?;
        Ok(Entry { image, ..walked })
    }

    /// The service's name, in lower-case wire form.
    pub fn name(&self) -> &[u8] {
        &self.image[self.name.clone()]
    }

    /// The service's name as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The families that the service has members of.
    pub fn families(&self) -> impl Iterator<Item = Family> + '_ {
        self.families.iter().flatten().copied()
    }

    /// The family that answers a type.
    #[inline]
    pub fn family(&self, type_: u16) -> Option<Family> {
        let at = FAMILIES.iter().position(|&family| family == type_)?;
        self.families[at]
    }

    /// The choice for the clients of an order.
    #[inline]
    pub fn choice(&self, family: &Family, order: u32) -> Option<Choice<'_>> {
        if order >= family.orders {
            return None;
        }
        let place = self.image.get(family.at + 4 * order as usize..)?;
        let number = Octets::new(place).u32()?;
        let at = *self.choices.get(number as usize)?;
        read_choice(&mut Octets::new(self.image.get(at..)?))
    }
}

fn walk(body: &[u8], offset: usize) -> Option<Entry> {
    let mut rest = Octets::new(body);
    let place = |rest: &Octets| offset + body.len() - rest.rest().len();
    let name = rest.short()?;
    if !name::is_name(name) {
        return None;
    }
    let end = place(&rest);
    let name = end - name.len()..end;
    let length = rest.u16()?;
    let text = std::str::from_utf8(rest.take(length as usize)?).ok()?.to_owned();
    let key = rest.u64()?;
    let (is_sticky, ipv4, ipv6) = (rest.u8()?, rest.u8()?, rest.u8()?);
    if ipv4 > 32 || ipv6 > 128 {
        return None;
    }
    let sticky = (is_sticky != 0).then_some((ipv4, ipv6));
    let mut families = [None; FAMILIES.len()];
    let mut highest = 0;
    for _ in 0..rest.u8()? {
        let (type_, map, orders) = (rest.u16()?, rest.u32()? as usize, rest.u32()?);
        let number = FAMILIES.iter().position(|&family| family == type_)?;
        families[number] = Some(Family { type_, map, orders, at: place(&rest) });
        let mut numbers = Octets::new(rest.take(4 * orders as usize)?);
        while let Some(number) = numbers.u32() {
            highest = highest.max(number);
        }
    }
    let count = rest.u32()?;
    let mut choices = Vec::new();
    for _ in 0..count {
        choices.push(place(&rest));
        check_choice(&mut rest)?;
    }
    if !rest.rest().is_empty() || (highest >= count && families.iter().any(Option::is_some)) {
        return None;
    }
    let image = Image::Copied(Vec::new());
    Some(Entry { image, name, text, key, sticky, families, choices })
}

fn check_choice(rest: &mut Octets) -> Option<()> {
    let choice = read_choice(rest)?;
    let (mut before, mut rdatas) = (0, Octets::new(choice.rdatas));
    for at in 0..choice.len() {
        let end = choice.upto.get(at);
        let begin = choice.rdatas.len() - rdatas.rest().len();
        if end <= before || choice.place(at)? != begin {
            return None;
        }
        before = end;
        let rdata = read_rdata(&mut rdatas)?;
        if rdata.holes().any(|hole| hole + 2 > rdata.octets.len()) {
            return None;
        }
    }
    let draws = choice.answers > 0 || choice.is_empty();
    (rdatas.rest().is_empty() && (choice.way as usize) < WAYS && draws).then_some(())
}

#[inline]
fn read_choice<'s>(rest: &mut Octets<'s>) -> Option<Choice<'s>> {
    let way = rest.u8()?;
    let (is_unusual, code) = (rest.u8()?, rest.u16()?);
    let text = rest.short()?;
    let (ttl_s, ttl_min_s) = (rest.u32()?, rest.u32()?);
    let until_s = f64::from_bits(rest.u64()?);
    let answers = rest.u32()? as usize;
    let (count, size) = (rest.u32()? as usize, rest.u32()? as usize);
    let upto = Numbers(rest.take(count.checked_mul(8)?)?);
    let keys = Numbers(rest.take(count.checked_mul(8)?)?);
    let places = rest.take(count.checked_mul(4)?)?;
    Some(Choice {
        way,
        unusual: (is_unusual != 0).then_some((code, text)),
        ttl_s,
        ttl_min_s,
        until_s,
        answers,
        upto,
        keys,
        places,
        rdatas: rest.take(size)?,
    })
}

impl<'s> Choice<'s> {
    /// How many records there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.upto.len()
    }

    /// Whether there is no record: then the answer is empty.
    pub fn is_empty(&self) -> bool {
        self.upto.is_empty()
    }

    /// Whether the service says SERVFAIL when all of its members are down, and they are.
    pub fn is_servfail(&self) -> bool {
        self.way == SERVFAIL
    }

    /// The TTL in seconds at *now_s*: never longer than a verdict can hold.
    #[inline]
    pub fn ttl_s(&self, now_s: f64, stale: bool) -> u32 {
        if stale || self.unusual.is_some() || self.way == NODATA {
            return self.ttl_min_s;
        }
        if self.until_s.is_nan() {
            return self.ttl_s;
        }
        // A float that is too large, or negative, becomes the nearest number there is.
        let left_s = (self.until_s - now_s) as u32;
        self.ttl_s.min(left_s).max(self.ttl_min_s)
    }

    fn place(&self, at: usize) -> Option<usize> {
        Octets::new(self.places.get(4 * at..)?).u32().map(|place| place as usize)
    }

    /// The rdata of a record.
    #[inline]
    pub fn rdata(&self, at: u32) -> Option<Rdata<'s>> {
        let place = self.place(at as usize)?;
        read_rdata(&mut Octets::new(self.rdatas.get(place..)?))
    }
}
