//! What two databases say, put together: the atlas, as an image that Python reads.
//!
//! The same octets as `gslb.routing.image.encode_atlas` makes of what the walk in Python finds.

use crate::image::{Kind, framed};
use crate::mmdb::{BLIND, Walked};
use crate::record::{PLACE_BYTES, Place};
use crate::runs::Runs;
use rustc_hash::FxHashMap;

/// Places by number; the first is nowhere.
struct Places {
    numbers: FxHashMap<[u8; PLACE_BYTES], u32>,
    encoded: Vec<u8>,
}

impl Places {
    fn number(&mut self, place: Place) -> u32 {
        let count = self.numbers.len() as u32;
        *self.numbers.entry(place.key()).or_insert_with(|| {
            self.encoded.extend_from_slice(&place.encoded());
            count
        })
    }
}

/// Return the image of the atlas that a geographic and an ASN database make together.
///
/// *digest* names the contents of both.  One that is absent says nothing of anyone.
pub fn join(cities: Option<&Walked>, asns: Option<&Walked>, digest: &str) -> Vec<u8> {
    let blank =
        Walked { ipv4: Runs::uniform(0), ipv6: Runs::uniform(0), places: vec![Place::default()] };
    let (cities, asns) = (cities.unwrap_or(&blank), asns.unwrap_or(&blank));
    let mut places = Places { numbers: FxHashMap::default(), encoded: Vec::new() };
    places.number(Place::default());
    let mut place = |(city, asn): &(u32, u32)| {
        let asn = asns.places[*asn as usize].asn;
        places.number(Place { asn, ..cities.places[*city as usize] })
    };
    let (mut ipv4, pairs) = cities.ipv4.pairs(&asns.ipv4);
    ipv4.replace(&pairs.iter().map(&mut place).collect::<Vec<_>>());
    let (mut ipv6, pairs) = cities.ipv6.pairs(&asns.ipv6);
    ipv6.replace(&pairs.iter().map(&mut place).collect::<Vec<_>>());
    encoded(&ipv4, &without_transition(&ipv6), &places, digest)
}

/// Return *ipv6* with place 0, nowhere, for all that says nothing of where a client is.
fn without_transition(ipv6: &Runs<u128>) -> Runs<u128> {
    let mut mask = Runs::default();
    for (start, length) in BLIND {
        mask.append(start, 1);
        mask.append(start + (1 << (128 - length)), 0);
    }
    let (mut runs, pairs) = ipv6.pairs(&mask);
    let seen = |&(place, blind): &(u32, u32)| if blind == 1 { 0 } else { place };
    runs.replace(&pairs.iter().map(seen).collect::<Vec<_>>());
    runs
}

fn encoded(ipv4: &Runs<u32>, ipv6: &Runs<u128>, places: &Places, digest: &str) -> Vec<u8> {
    let count = places.numbers.len() as u32;
    let head = [ipv4.values.len() as u32, ipv6.values.len() as u32, count, u32::MAX];
    let mut body = Vec::with_capacity(
        16 + 20 * ipv6.values.len() + 8 * ipv4.values.len() + places.encoded.len() + digest.len(),
    );
    numbers(&mut body, &head, u32::to_ne_bytes);
    numbers(&mut body, &ipv6.starts, |start| ((start >> 64) as u64).to_ne_bytes());
    numbers(&mut body, &ipv6.starts, |start| (start as u64).to_ne_bytes());
    for all in [&ipv4.starts, &ipv4.values, &ipv6.values] {
        numbers(&mut body, all, u32::to_ne_bytes);
    }
    body.extend_from_slice(&places.encoded);
    body.extend_from_slice(digest.as_bytes());
    framed(Kind::Atlas, &body)
}

/// Append the octets of each number.
pub fn numbers<T: Copy, const N: usize>(
    out: &mut Vec<u8>,
    all: &[T],
    octets: impl Fn(T) -> [u8; N],
) {
    out.reserve(N * all.len());
    for each in all {
        out.extend_from_slice(&octets(*each));
    }
}
