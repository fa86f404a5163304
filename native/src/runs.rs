//! The address space of one family cut into runs, each with a number, put one over the other.
//!
//! The same as `gslb.routing.runs`, for whole databases: a run goes from its start to the next
//! one's, and neighbours differ.

use rustc_hash::FxHashMap;

/// Starts, the first of them 0 and rising, and the value from each on to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runs<T> {
    /// The first address of each run.
    pub starts: Vec<T>,
    /// What all of its addresses have.
    pub values: Vec<u32>,
}

impl<T: Copy + Ord + Default> Runs<T> {
    /// Return the one run that gives all addresses *value*.
    pub fn uniform(value: u32) -> Self {
        Runs { starts: vec![T::default()], values: vec![value] }
    }

    /// Add the run from *start*; one with the value of the run before it just widens that.
    #[inline]
    pub fn append(&mut self, start: T, value: u32) {
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    /// Return whether there are as many values as starts, and these rise from 0.
    pub fn are_whole(&self) -> bool {
        self.starts.len() == self.values.len()
            && self.starts.first() == Some(&T::default())
            && self.starts.windows(2).all(|two| two[0] < two[1])
    }

    /// Return the runs in which both are uniform, each with the number of its pair of values,
    /// and the pairs in the order in which they are first met.  Both must be whole.
    pub fn pairs(&self, other: &Self) -> (Self, Vec<(u32, u32)>) {
        let max = self.values.iter().max().map_or(0, |max| *max as usize);
        if let ([same], true) = (&other.values[..], max <= 4 * self.values.len()) {
            return self.pairs_with(*same, max);
        }
        let mut out = Runs::default();
        let mut pairs = Vec::new();
        let mut known: FxHashMap<(u32, u32), u32> = FxHashMap::default();
        let (mut one, mut two) = (0, 0);
        let mut start = T::default();
        loop {
            let pair = (self.values[one], other.values[two]);
            let number = *known.entry(pair).or_insert_with(|| {
                pairs.push(pair);
                pairs.len() as u32 - 1
            });
            out.append(start, number);
            start = match (self.starts.get(one + 1), other.starts.get(two + 1)) {
                (None, None) => return (out, pairs),
                (Some(&next), None) | (None, Some(&next)) => next,
                (Some(&next), Some(&after)) => next.min(after),
            };
            one += usize::from(self.starts.get(one + 1) == Some(&start));
            two += usize::from(other.starts.get(two + 1) == Some(&start));
        }
    }

    /// Do so for an *other* that has one value, in a table instead of by hashing.
    fn pairs_with(&self, same: u32, max: usize) -> (Self, Vec<(u32, u32)>) {
        let mut pairs = Vec::new();
        let mut table = vec![u32::MAX; max + 1];
        let mut out = Runs { starts: Vec::new(), values: Vec::new() };
        for (&start, &value) in self.starts.iter().zip(&self.values) {
            let number = &mut table[value as usize];
            if *number == u32::MAX {
                *number = pairs.len() as u32;
                pairs.push((value, same));
            }
            out.append(start, *number);
        }
        (out, pairs)
    }

    /// Replace each value by what *table* has at its place; neighbours that become equal merge.
    pub fn replace(&mut self, table: &[u32]) {
        let mut kept = 0;
        for at in 0..self.values.len() {
            let value = table[self.values[at] as usize];
            if kept == 0 || self.values[kept - 1] != value {
                self.starts[kept] = self.starts[at];
                self.values[kept] = value;
                kept += 1;
            }
        }
        self.starts.truncate(kept);
        self.values.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runs() -> impl Strategy<Value = Runs<u32>> {
        proptest::collection::btree_map(0u32..60, 0u32..4, 0..12).prop_map(|mut map| {
            map.entry(0).or_insert(1);
            let mut out = Runs::default();
            map.into_iter().for_each(|(start, value)| out.append(start, value));
            out
        })
    }

    fn value(runs: &Runs<u32>, address: u32) -> u32 {
        runs.values[runs.starts.partition_point(|start| *start <= address) - 1]
    }

    proptest! {
        #[test]
        fn both_values_are_had_at_every_address(one in runs(), other in runs()) {
            let (joined, pairs) = one.pairs(&other);
            prop_assert!(joined.are_whole());
            for address in 0..70 {
                let pair = pairs[value(&joined, address) as usize];
                prop_assert_eq!(pair, (value(&one, address), value(&other, address)));
            }
            let mut met = Vec::new();
            for value in &joined.values {
                if !met.contains(value) { met.push(*value) }
            }
            prop_assert!(met.iter().copied().eq(0..pairs.len() as u32), "numbered as met");
        }

        #[test]
        fn replaced_values_merge(before in runs(), table in proptest::collection::vec(0u32..3, 4)) {
            let mut after = before.clone();
            after.replace(&table);
            prop_assert!(after.are_whole());
            prop_assert!(after.values.windows(2).all(|two| two[0] != two[1]));
            for address in 0..70 {
                prop_assert_eq!(value(&after, address), table[value(&before, address) as usize]);
            }
        }
    }
}
