//! The geo map: an address leads to the order of regions that its clients get, and the scope.
//!
//! The map's image (`gslb.routing.image`) is searched where it lies, in memory or in a mapped
//! file: sorted arrays of starts, each run from its start to the next one's.  They are checked
//! whole when the map is opened.  A small index made then leads to the few starts that an
//! address can lie between, so that to find it touches some cache lines and no more.

use crate::image::{Image, Kind, Octets, Refused};
use std::hint::black_box;
use std::ops::Range;

/// The orders of all addresses, by IP version; the same as `gslb.routing.geo.GeoMap`.
pub struct GeoMap {
    image: Image,
    orders: u32,
    via_ipv4: Option<u32>,
    ipv4: V4,
    ipv6: V6,
}

/// Where in the image the runs of IPv4 are, every `BLOCK`th start, and for each beginning of an
/// address, and behind the last, how many of these come below it.
///
/// Both stay in a near cache, and narrow a look-up down to one block: a cache line or two of
/// starts, and one of values, are all that it fetches from afar.
struct V4 {
    starts: Range<usize>,
    values: Range<usize>,
    blocks: Box<[u32]>,
    by_top: Box<[u32]>,
}

/// Where in the image the runs of IPv6 are, and every `STRIDE`th start.
struct V6 {
    highs: Range<usize>,
    lows: Range<usize>,
    values: Range<usize>,
    strides: Box<[u128]>,
}

const NONE: u32 = u32::MAX;
const STRIDE: usize = 32;
const BLOCK: usize = 16;
const TOP_BITS: u32 = 12;

impl GeoMap {
    /// Open the map in *image*; everything that `find` rests on is checked here.
    pub fn open(image: Image) -> Result<GeoMap, Refused> {
        let whole = image.len();
        let body = image.body(Kind::Map)?;
        let mut head = Octets::new(body);
        let mut number = || head.u32().ok_or(Refused::Malformed);
        let (count4, count6, orders, via) = (number()?, number()?, number()?, number()?);
        let mut at = whole - head.rest().len();
        let mut array = |count: u32, width: usize| {
            let size = (count as usize).checked_mul(width).ok_or(Refused::Malformed)?;
            head.take(size).ok_or(Refused::Malformed)?;
            at += size;
            Ok(at - size..at)
        };
        let (highs, lows) = (array(count6, 8)?, array(count6, 8)?);
        let (starts, values4) = (array(count4, 4)?, array(count4, 4)?);
        let values6 = array(count6, 4)?;
        let via_ipv4 = (via != NONE).then_some(via);
        for (values, via) in [(&values4, None), (&values6, via_ipv4)] {
            let values = &image[values.clone()];
            if !numbers(values).all(|value| value < orders || Some(value) == via) {
                return Err(Refused::Malformed);
            }
        }
        let ipv4 = V4::new(&image, starts, values4)?;
        let ipv6 = V6::new(&image, highs, lows, values6)?;
        image.forget(); // checking has read it all; clients come from some parts of it only
        Ok(GeoMap { image, orders, via_ipv4, ipv4, ipv6 })
    }

    /// Return the index of the order for an address, and the scope for which it holds.
    ///
    /// An IPv4 address is its number, of version 4, also where it was written as
    /// ::ffff:0:0/96; under that prefix of version 6 stands `via_ipv4`, which is no order.
    #[inline]
    pub fn find(&self, version: u8, address: u128) -> (u32, u8) {
        if version == 4 {
            self.ipv4.find(&self.image, address as u32)
        } else {
            self.ipv6.find(&self.image, address)
        }
    }

    /// Return how many orders there are; every index found is below, or is `via_ipv4`.
    pub fn orders(&self) -> u32 {
        self.orders
    }

    /// Return the index that stands for IPv4's map in that of IPv6, if any does.
    pub fn via_ipv4(&self) -> Option<u32> {
        self.via_ipv4
    }

    /// Return how many runs IPv4 and IPv6 have.
    pub fn runs(&self) -> (usize, usize) {
        (self.ipv4.values.len() / 4, self.ipv6.values.len() / 4)
    }
}

impl V4 {
    fn new(image: &[u8], starts: Range<usize>, values: Range<usize>) -> Result<V4, Refused> {
        let mut blocks = Vec::with_capacity((starts.len() / 4).div_ceil(BLOCK));
        let mut by_top = Vec::with_capacity((1 << TOP_BITS) + 1);
        let mut before = None;
        for (at, start) in numbers(&image[starts.clone()]).enumerate() {
            if before.map_or(start != 0, |before| before >= start) {
                return Err(Refused::Malformed);
            }
            before = Some(start);
            if at % BLOCK == 0 {
                // Up to and with this one's beginning, no blocks but those before it start below.
                let top = (start >> (32 - TOP_BITS)) as usize;
                by_top.resize(by_top.len().max(top + 1), blocks.len() as u32);
                blocks.push(start);
            }
        }
        before.ok_or(Refused::Malformed)?;
        by_top.resize((1 << TOP_BITS) + 1, blocks.len() as u32);
        Ok(V4 { starts, values, blocks: blocks.into(), by_top: by_top.into() })
    }

    #[inline]
    fn find(&self, image: &[u8], address: u32) -> (u32, u8) {
        let starts = &image[self.starts.clone()];
        let top = (address >> (32 - TOP_BITS)) as usize;
        let (low, high) = (self.by_top[top] as usize, self.by_top[top + 1] as usize);
        // The first block starts at 0, so there is always one before; so it is with runs.
        let block = low + upto(high - low, |at| self.blocks[low + at] <= address) - 1;
        let begin = block * BLOCK;
        let end = starts.len().min(4 * (begin + BLOCK));
        // The values come from afar too: this one's neighbours are fetched while starts are.
        let values = &image[self.values.clone()];
        black_box(u32_at(values, begin));
        // All of a block are compared: that takes less time than to guess where to look.
        let within: u32 =
            numbers(&starts[4 * begin..end]).map(|start| u32::from(start <= address)).sum();
        let at = begin + within as usize - 1;
        let before = (at > 0).then(|| u32_at(starts, at) - 1);
        let after = (at + 1 < starts.len() / 4).then(|| u32_at(starts, at + 1));
        let shared = |other: u32| (address ^ other).leading_zeros() as u8 + 1;
        let scope = before.map_or(0, shared).max(after.map_or(0, shared));
        (u32_at(values, at), scope)
    }
}

impl V6 {
    fn new(
        image: &[u8],
        highs: Range<usize>,
        lows: Range<usize>,
        values: Range<usize>,
    ) -> Result<V6, Refused> {
        let count = highs.len() / 8;
        let (high, low) = (&image[highs.clone()], &image[lows.clone()]);
        let mut strides = Vec::with_capacity(count.div_ceil(STRIDE));
        let mut before = None;
        for at in 0..count {
            let start = start_at(high, low, at);
            if before.map_or(start != 0, |before| before >= start) {
                return Err(Refused::Malformed);
            }
            before = Some(start);
            if at % STRIDE == 0 {
                strides.push(start);
            }
        }
        before.ok_or(Refused::Malformed)?;
        Ok(V6 { highs, lows, values, strides: strides.into() })
    }

    #[inline]
    fn find(&self, image: &[u8], address: u128) -> (u32, u8) {
        let (high, low) = (&image[self.highs.clone()], &image[self.lows.clone()]);
        let count = high.len() / 8;
        let begin = (self.strides.partition_point(|&start| start <= address) - 1) * STRIDE;
        let most = STRIDE.min(count - begin);
        let within = upto(most, |at| start_at(high, low, begin + at) <= address);
        let at = begin + within - 1;
        let before = (at > 0).then(|| start_at(high, low, at) - 1);
        let after = (at + 1 < count).then(|| start_at(high, low, at + 1));
        let shared = |other: u128| (address ^ other).leading_zeros() as u8 + 1;
        let scope = before.map_or(0, shared).max(after.map_or(0, shared));
        (u32_at(&image[self.values.clone()], at), scope)
    }
}

/// Return how many of the first *count* hold; all that do come before all that do not.
#[inline]
fn upto(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut begin, mut end) = (0, count);
    while begin < end {
        let middle = begin + (end - begin) / 2;
        if holds(middle) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    begin
}

fn numbers(octets: &[u8]) -> impl Iterator<Item = u32> + '_ {
    octets.chunks_exact(4).map(|four| u32::from_ne_bytes(four.try_into().unwrap()))
}

// An image may lie anywhere, so its numbers are put together from octets: one load each.

#[inline]
fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(octets[4 * at..4 * at + 4].try_into().unwrap())
}

#[inline]
fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(octets[8 * at..8 * at + 8].try_into().unwrap())
}

#[inline]
fn start_at(highs: &[u8], lows: &[u8], at: usize) -> u128 {
    (u64_at(highs, at) as u128) << 64 | u64_at(lows, at) as u128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::framed;
    use proptest::prelude::*;

    type Runs<T> = Vec<(T, u32)>;

    fn body(ipv4: &[(u32, u32)], ipv6: &[(u128, u32)], orders: u32, via: u32) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [ipv4.len() as u32, ipv6.len() as u32, orders, via] {
            out.extend(number.to_ne_bytes());
        }
        out.extend(ipv6.iter().flat_map(|(start, _)| ((start >> 64) as u64).to_ne_bytes()));
        out.extend(ipv6.iter().flat_map(|(start, _)| (*start as u64).to_ne_bytes()));
        out.extend(ipv4.iter().flat_map(|(start, _)| start.to_ne_bytes()));
        out.extend(ipv4.iter().flat_map(|(_, value)| value.to_ne_bytes()));
        out.extend(ipv6.iter().flat_map(|(_, value)| value.to_ne_bytes()));
        out.extend(b"[]");
        out
    }

    fn open(body: &[u8]) -> Result<GeoMap, Refused> {
        GeoMap::open(Image::Copied(framed(Kind::Map, body)))
    }

    /// The value of an address and the widest prefix around it that has only that.
    fn naive(bits: u8, runs: &[(u128, u32)], address: u128) -> (u32, u8) {
        let value = |at: u128| runs.iter().rev().find(|(start, _)| *start <= at).unwrap().1;
        let wanted = value(address);
        let uniform = |length: u8| {
            let free = (bits - length) as u32;
            let mask = if free == 128 { u128::MAX } else { (1 << free) - 1 };
            let (first, last) = (address & !mask, address | mask);
            value(first) == wanted
                && runs
                    .iter()
                    .all(|(start, other)| *start < first || *start > last || *other == wanted)
        };
        (wanted, (0..=bits).find(|&length| uniform(length)).unwrap())
    }

    /// Starts that crowd, repeat their halves and stand at the ends, with values that differ.
    fn space(bits: u32) -> impl Strategy<Value = Runs<u128>> {
        let last = u128::MAX >> (128 - bits);
        let base = prop_oneof![
            Just(0),
            Just(last),
            Just(last >> 1),
            Just(last >> (bits / 2)),
            any::<u128>().prop_map(move |at| at & last),
        ];
        let start = (base, 0u128..200).prop_map(move |(base, off)| base.wrapping_add(off) & last);
        (proptest::collection::btree_set(start, 0..200), 1u32..4).prop_map(|(mut starts, step)| {
            starts.insert(0);
            starts.into_iter().enumerate().map(|(at, start)| (start, at as u32 * step % 7)).fold(
                Vec::new(),
                |mut runs: Runs<u128>, run| {
                    if runs.last().is_none_or(|(_, value)| *value != run.1) {
                        runs.push(run);
                    }
                    runs
                },
            )
        })
    }

    fn edges(runs: &[(u128, u32)]) -> impl Iterator<Item = u128> + '_ {
        runs.iter().flat_map(|(start, _)| {
            [start.saturating_sub(1), *start, start.saturating_add(1), start ^ 1 << 20]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn every_address_is_found_with_its_widest_scope(ipv4 in space(32), ipv6 in space(128)) {
            let narrow: Runs<u32> = ipv4.iter().map(|(start, value)| (*start as u32, *value)).collect();
            let map = open(&body(&narrow, &ipv6, 7, NONE)).unwrap();
            for address in edges(&ipv4).filter(|at| at >> 32 == 0) {
                prop_assert_eq!(map.find(4, address), naive(32, &ipv4, address));
            }
            for address in edges(&ipv6) {
                prop_assert_eq!(map.find(6, address), naive(128, &ipv6, address));
            }
        }

        #[test]
        fn any_body_is_refused_or_found_in(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(map) = open(&octets) {
                map.find(4, 5);
                map.find(6, u128::MAX);
            }
        }

        #[test]
        fn a_changed_body_is_refused_or_found_in(
            ipv6 in space(128), at in any::<prop::sample::Index>(), with in any::<u8>(),
        ) {
            let mut changed = body(&[(0, 1), (9, 2), (1 << 31, 0)], &ipv6, 7, 7);
            let at = at.index(changed.len());
            changed[at] = with;
            if let Ok(map) = open(&changed) {
                for address in edges(&ipv6) {
                    let (order, scope) = map.find(6, address);
                    prop_assert!(order < map.orders() || Some(order) == map.via_ipv4());
                    prop_assert!(scope <= 128);
                    prop_assert!(map.find(4, address & 0xFFFF_FFFF).1 <= 32);
                }
            }
        }
    }

    #[test]
    fn a_map_that_contradicts_itself_is_refused() {
        let refused = |ipv4: &[(u32, u32)], ipv6: &[(u128, u32)], orders, via| {
            assert_eq!(open(&body(ipv4, ipv6, orders, via)).err(), Some(Refused::Malformed));
        };
        assert!(open(&body(&[(0, 0)], &[(0, 2)], 2, 2)).is_ok());
        refused(&[], &[(0, 0)], 2, 2);
        refused(&[(0, 0)], &[], 2, 2);
        refused(&[(1, 0)], &[(0, 0)], 2, 2);
        refused(&[(0, 0)], &[(1, 0)], 2, 2);
        refused(&[(0, 0), (5, 1), (5, 0)], &[(0, 0)], 2, 2);
        refused(&[(0, 0), (5, 1), (4, 0)], &[(0, 0)], 2, 2);
        refused(&[(0, 0)], &[(0, 0), (1 << 64, 1), (1 << 64, 0)], 2, 2);
        refused(&[(0, 2)], &[(0, 0)], 2, 2);
        refused(&[(0, 0)], &[(0, 2)], 2, NONE);
        refused(&[(0, 0)], &[(0, 3)], 2, 2);
        refused(&[(0, 0)], &[(0, 0)], 0, NONE);
    }

    #[test]
    fn a_map_cut_short_anywhere_is_refused() {
        let whole = body(&[(0, 0), (7, 1)], &[(0, 1), (1 << 90, 0)], 2, NONE);
        for cut in 0..whole.len() - 2 {
            assert_eq!(open(&whole[..cut]).err(), Some(Refused::Malformed));
        }
    }
}
