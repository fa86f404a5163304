//! How a draw or a client's key picks among the records of a choice.
//!
//! The same numbers as `gslb.routing.choice`, to the last bit: a draw of 64 bits, used up digit
//! by digit where several records are drawn; weighted rendezvous where clients are sticky.

use crate::image::Octets;

const SPARE_BITS: u32 = 16;

/// Numbers of 64 bits each, one behind the other in an image.
#[derive(Clone, Copy)]
pub struct Numbers<'s>(pub &'s [u8]);

impl Numbers<'_> {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len() / 8
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number at a place; 0 past the end.
    #[inline]
    pub fn get(&self, at: usize) -> u64 {
        self.0.get(8 * at..).and_then(|rest| Octets::new(rest).u64()).unwrap_or(0)
    }

    /// The first place whose number is above *value*.
    #[inline]
    fn above(&self, value: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.get(middle) > value {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

/// Memory that picking needs, kept from one query to the next.
#[derive(Default)]
pub struct Scratch {
    sums: Vec<u64>,
    shares: Vec<u64>,
    waits: Vec<(f64, u32)>,
    /// What was picked last: indexes, in the order of their being drawn.
    pub picked: Vec<u32>,
}

impl Scratch {
    /// Pick *count* records by *draw*, from cumulative shares that end above 0.
    #[inline]
    pub fn pick(&mut self, upto: Numbers, count: usize, draw: u64) {
        self.picked.clear();
        if count == 1 {
            let total = upto.get(upto.len() - 1).max(1);
            self.picked.push(upto.above(draw % total) as u32);
        } else {
            self.draw_several(upto, count, draw);
        }
    }

    fn draw_several(&mut self, upto: Numbers, count: usize, mut draw: u64) {
        self.shares.clear();
        let mut begin = 0;
        for at in 0..upto.len() {
            let end = upto.get(at);
            self.shares.push(end.wrapping_sub(begin));
            begin = end;
        }
        self.sum_up();
        let (mut total, mut whole) = (begin, draw);
        let mut room: u128 = 1 << 64;
        for _ in 0..count.min(upto.len()) {
            if room >> SPARE_BITS < u128::from(total) {
                draw = stir(whole);
                whole = draw;
                room = 1 << 64;
            }
            let measure = total.max(1);
            let place = draw % measure;
            draw /= measure;
            room /= u128::from(measure);
            let at = self.owner_of(place).min(self.shares.len() - 1);
            self.picked.push(at as u32);
            let share = self.shares[at];
            self.take_away(at, share);
            total = total.wrapping_sub(share);
        }
    }

    /// A Fenwick tree: entry i sums up the i & -i shares that end with the i-th.
    fn sum_up(&mut self) {
        self.sums.clear();
        self.sums.push(0);
        self.sums.extend_from_slice(&self.shares);
        for at in 1..self.sums.len() {
            let above = at + (at & at.wrapping_neg());
            if above < self.sums.len() {
                self.sums[above] = self.sums[above].wrapping_add(self.sums[at]);
            }
        }
    }

    fn owner_of(&self, mut place: u64) -> usize {
        let sums = &self.sums;
        let mut at = 0;
        let mut step = 1usize << (usize::BITS - (sums.len() - 1).leading_zeros());
        loop {
            step >>= 1;
            if step == 0 {
                return at;
            }
            if at + step < sums.len() && sums[at + step] <= place {
                at += step;
                place -= sums[at];
            }
        }
    }

    fn take_away(&mut self, at: usize, share: u64) {
        let mut at = at + 1;
        while at < self.sums.len() {
            self.sums[at] = self.sums[at].wrapping_sub(share);
            at += at & at.wrapping_neg();
        }
    }

    /// Pick the *count* records that are the client's with that *key*, the closest first.
    pub fn pick_sticky(&mut self, upto: Numbers, keys: Numbers, count: usize, key: u64) {
        self.waits.clear();
        let mut begin = 0;
        for at in 0..upto.len() {
            let end = upto.get(at);
            let uniform = ((stir(key ^ keys.get(at)) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            self.waits.push((-uniform.ln() / end.wrapping_sub(begin) as f64, at as u32));
            begin = end;
        }
        self.picked.clear();
        let count = count.min(self.waits.len());
        if count == 0 {
            return;
        }
        let earlier = |one: &(f64, u32), other: &(f64, u32)| {
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
        };
        self.waits.select_nth_unstable_by(count - 1, earlier);
        self.waits[..count].sort_unstable_by(earlier);
        self.picked.extend(self.waits[..count].iter().map(|&(_, at)| at));
    }
}

/// 64 bits that look unrelated to *number* (the finalizer of splitmix64).
#[inline]
pub fn stir(number: u64) -> u64 {
    let mut number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// The key of all clients of a service that share the first *length* bits.
pub fn client_key(service: u64, version: u8, address: u128, length: u8) -> u64 {
    let bits: u32 = if version == 4 { 32 } else { 128 };
    let left_out = bits.saturating_sub(u32::from(length));
    let prefix = address.checked_shr(left_out).and_then(|kept| kept.checked_shl(left_out));
    let prefix = prefix.unwrap_or(0);
    stir(stir(service ^ u64::from(version) ^ (prefix >> 64) as u64) ^ prefix as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn octets(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }

    #[test]
    fn over_one_cycle_each_record_is_picked_as_often_as_its_share_says() {
        let upto = octets(&[3, 4, 9]);
        let mut scratch = Scratch::default();
        let mut counts = [0; 3];
        for draw in 0..9 {
            scratch.pick(Numbers(&upto), 1, draw);
            counts[scratch.picked[0] as usize] += 1;
        }
        assert_eq!(counts, [3, 1, 5]);
    }

    proptest! {
        #[test]
        fn several_are_drawn_without_replacement(
            shares in prop::collection::vec(1u64..1 << 20, 1..40), count in 2usize..50, draw: u64
        ) {
            let upto: Vec<u64> = shares
                .iter()
                .scan(0, |sum, share| { *sum += share; Some(*sum) })
                .collect();
            let upto = octets(&upto);
            let mut scratch = Scratch::default();
            scratch.pick(Numbers(&upto), count, draw);
            let mut seen = scratch.picked.clone();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), count.min(shares.len()));
        }

        #[test]
        fn nothing_that_an_image_may_hold_makes_picking_panic(
            upto in prop::collection::vec(any::<u64>(), 1..20), count in 1usize..30, draw: u64
        ) {
            let upto = octets(&upto);
            let mut scratch = Scratch::default();
            scratch.pick(Numbers(&upto), count, draw);
            scratch.pick_sticky(Numbers(&upto), Numbers(&upto), count, draw);
        }
    }
}
