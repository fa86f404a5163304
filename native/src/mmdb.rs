//! An MMDB file walked whole: every network it knows as runs of places (file format 2.0).
//!
//! The tree is walked as `gslb.routing.mmdb` walks it, and each record that it leads to is
//! decoded once.  Files come from anywhere: whatever is in one, the end is a walk or `Damaged`,
//! in a time that its size bounds.

use crate::record::{Damaged, Place, Records};
use crate::runs::Runs;
use rustc_hash::FxHashMap;

/// A database walked: runs of indexes into `places`, of which the first says nothing.
pub struct Walked {
    /// The runs of IPv4.
    pub ipv4: Runs<u32>,
    /// The runs of IPv6, IPv4's part of it left out.
    pub ipv6: Runs<u128>,
    /// What each record says, in the order in which they are met.
    pub places: Vec<Place>,
}

/// The shape of a search tree, as a file's metadata tell it.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many nodes it has.
    pub node_count: u128,
    /// How many bits each of a node's two records has.
    pub record_size: u128,
    /// 4, or 6 for a tree with both.
    pub ip_version: u128,
}

/// Networks that say nothing of where a client is, and ::ffff:0:0/96, which is IPv4: their
/// start and length, as in `gslb.routing.geo`.
pub const BLIND: [(u128, u8); 5] =
    [(0, 96), (0xFFFF << 32, 96), (0x64_FF9B << 96, 96), (0x2001 << 112, 32), (0x2002 << 112, 16)];

// A tree meets each node once; one that is met far more often has a loop or was made to hurt.
const VISITS_MAX_PER_NODE: u64 = 8;
const SEPARATOR_BYTES: usize = 16;

/// Return all that the file *octets* says of networks; *asns*: their AS numbers, or else the rest.
pub fn walk(octets: &[u8], shape: Shape, asns: bool) -> Result<Walked, Damaged> {
    let tree = Tree::new(octets, shape)?;
    let mut met = Met::default();
    let (ipv4, ipv6) = if shape.ip_version == 4 {
        (tree.runs::<u32>(0, &mut met)?, Runs::uniform(0))
    } else {
        let mut root = 0;
        for _ in 0..96 {
            if root >= tree.count {
                break;
            }
            root = tree.record(root, 0);
        }
        (tree.runs::<u32>(root, &mut met)?, tree.runs::<u128>(0, &mut met)?)
    };
    let mut records = Records::new(octets, tree.size_bytes + SEPARATOR_BYTES);
    let mut places = vec![Place::default()];
    for record in met.order {
        // A record counts from the end of the tree on, the separator with it.
        let place = records.place((record - tree.count) as usize + tree.size_bytes)?;
        places.push(if asns {
            Place { asn: place.asn, ..Place::default() }
        } else {
            Place { asn: None, ..place }
        });
    }
    Ok(Walked { ipv4, ipv6, places })
}

/// The records met, numbered from 1 on.
#[derive(Default)]
struct Met {
    numbers: FxHashMap<u32, u32>,
    order: Vec<u32>,
}

impl Met {
    fn number(&mut self, record: u32) -> u32 {
        *self.numbers.entry(record).or_insert_with(|| {
            self.order.push(record);
            self.order.len() as u32
        })
    }
}

struct Tree<'a> {
    nodes: &'a [u8],
    count: u32,
    record_size: u8,
    size_bytes: usize,
}

/// A number of 32 or 128 bits that an address is.
trait Address: Copy + Ord + Default {
    const BITS: u8;
    /// Return this address with the bit at *depth* set.
    fn with_bit(self, depth: u8) -> Self;
    /// Return whether the branch here is not to be entered.
    fn is_blind(self, depth: u8) -> bool;
}

impl Address for u32 {
    const BITS: u8 = 32;
    fn with_bit(self, depth: u8) -> u32 {
        self | 1 << (31 - depth)
    }
    fn is_blind(self, _depth: u8) -> bool {
        false
    }
}

impl Address for u128 {
    const BITS: u8 = 128;
    fn with_bit(self, depth: u8) -> u128 {
        self | 1 << (127 - depth)
    }
    fn is_blind(self, depth: u8) -> bool {
        depth.is_multiple_of(16) && BLIND.contains(&(self, depth))
    }
}

impl<'a> Tree<'a> {
    fn new(octets: &'a [u8], shape: Shape) -> Result<Tree<'a>, Damaged> {
        if ![24, 28, 32].contains(&shape.record_size) {
            return Err(Damaged("the record size is not 24, 28 or 32"));
        }
        if ![4, 6].contains(&shape.ip_version) {
            return Err(Damaged("the IP version is neither 4 nor 6"));
        }
        let ends = Damaged("the search tree ends after the file");
        let count = u32::try_from(shape.node_count).map_err(|_| ends)?;
        let size_bytes =
            (count as usize).checked_mul(shape.record_size as usize / 4).ok_or(ends)?;
        let nodes = octets.get(..size_bytes).ok_or(ends)?;
        Ok(Tree { nodes, count, record_size: shape.record_size as u8, size_bytes })
    }

    /// Return a node's left record (side 0) or its right one (side 1).
    #[inline]
    fn record(&self, node: u32, side: usize) -> u32 {
        let node = node as usize;
        let big = |octets: &[u8]| octets.iter().fold(0, |sum, &octet| sum << 8 | octet as u32);
        match self.record_size {
            24 => big(&self.nodes[6 * node + 3 * side..][..3]),
            28 => {
                let octets = &self.nodes[7 * node..][..7];
                let (middle, low) = (octets[3] as u32, big(&octets[4 * side..][..3]));
                low | if side == 0 { middle >> 4 } else { middle & 0xF } << 24
            }
            _ => big(&self.nodes[8 * node + 4 * side..][..4]),
        }
    }

    fn runs<T: Address>(&self, root: u32, met: &mut Met) -> Result<Runs<T>, Damaged> {
        let mut runs = Runs::default();
        let mut stack = vec![(root, 0u8, T::default())];
        let mut visits_left = VISITS_MAX_PER_NODE * (self.count as u64 + 1);
        while let Some((record, depth, start)) = stack.pop() {
            visits_left -= 1;
            if visits_left == 0 {
                return Err(Damaged("the search tree meets its nodes over and over"));
            }
            if start.is_blind(depth) || record == self.count {
                runs.append(start, 0);
            } else if record < self.count {
                if depth == T::BITS {
                    return Err(Damaged("the search tree is deeper than an address is long"));
                }
                stack.push((self.record(record, 1), depth + 1, start.with_bit(depth)));
                stack.push((self.record(record, 0), depth + 1, start));
            } else {
                runs.append(start, met.number(record));
            }
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn shape(node_count: usize, record_size: u128, ip_version: u128) -> Shape {
        Shape { node_count: node_count as u128, record_size, ip_version }
    }

    /// A file with one node of 24 bits, both of whose records are the record *data*.
    fn file(data: &[u8]) -> Vec<u8> {
        [&[0, 0, 17, 0, 0, 17][..], &[0; 16], data].concat()
    }

    #[test]
    fn a_record_is_read_once_for_all_of_its_networks() {
        let data = b"\xe1\x47country\xe1\x48iso_code\x42gb";
        let walked = walk(&file(data), shape(1, 24, 4), false).unwrap();
        assert_eq!((walked.ipv4.starts, walked.ipv4.values), (vec![0], vec![1]));
        assert_eq!(walked.places.len(), 2);
        assert_eq!(walked.places[1].country, Some(*b"GB"));
    }

    #[test]
    fn a_shape_that_the_file_does_not_have_is_refused() {
        let octets = file(b"\xe0");
        for (count, size, version) in
            [(1 << 20, 24, 4), (usize::MAX, 32, 6), (1, 20, 4), (1, 24, 5), (1, u128::MAX, 4)]
        {
            assert!(walk(&octets, shape(count, size, version), false).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_octets_are_walked_or_refused(
            tree in vec(0u8..40, 0..64), data in vec(any::<u8>(), 0..200),
            size in prop::sample::select(vec![24, 28, 32]), ipv6 in any::<bool>(), asns in any::<bool>(),
        ) {
            // Small numbers make trees that lead somewhere; data of any kind follow.
            let nodes = tree.len() / (size / 4);
            let tree: Vec<u8> = tree.iter().enumerate()
                .map(|(at, octet)| if at % (size / 8) == size / 8 - 1 { *octet } else { 0 }).collect();
            let octets = [&tree[..nodes * size / 4], &[0; 16], &data[..]].concat();
            if let Ok(walked) = walk(&octets, shape(nodes, size as u128, 4 + 2 * ipv6 as u128), asns) {
                prop_assert!(walked.ipv4.are_whole() && walked.ipv6.are_whole());
                let most = *walked.ipv4.values.iter().chain(&walked.ipv6.values).max().unwrap();
                prop_assert!((most as usize) < walked.places.len());
            }
        }

        #[test]
        fn any_record_is_read_or_refused(mut data in vec(any::<u8>(), 1..200), map in any::<bool>()) {
            if map {
                data[0] = 0xE0 | data[0] & 0x1F;
            }
            let _ = walk(&file(&data), shape(1, 24, 4), false);
        }
    }
}
