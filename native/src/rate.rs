//! Response rate limiting: how many answers of a kind a network of clients is sent over UDP.
//!
//! The same as `gslb.routing.ratelimit`, verdict for verdict, where its table and time are
//! explained.  Here the table is shared by threads without a lock: an entry is one atomic number,
//! replaced only if nobody else was faster.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::choice::stir;

const PROBES: u64 = 4;
const TIME: u64 = (1 << 40) - 1;
const SECOND_US: u64 = 1_000_000;
const TRIES_MAX: usize = 16; // each but the last was lost to an answer that was counted

/// What is counted apart, because a flood of one must not take the others' answers away.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
#[allow(missing_docs)]
pub enum Kind {
    Answer = 0,
    Nodata = 1,
    Nxdomain = 2,
    Referral = 3,
    Error = 4,
}

/// How many kinds there are.
pub const KINDS: usize = 5;

/// What becomes of one answer.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
#[allow(missing_docs)]
pub enum Action {
    Send,
    Slip,
    Drop,
}

/// A rule, as `gslb.model.RateLimit` explains it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Rule {
    pub per_second: u32,
    pub burst: u32,
    pub slip: u32,
    pub ipv4: u8,
    pub ipv6: u8,
    pub table: u32,
    /// Network addresses with the lengths of their prefixes.
    pub exempt: Vec<(IpAddr, u8)>,
}

/// The buckets of all networks under one rule, shared by all threads.
pub struct Limiter {
    interval_us: u64,
    tolerance_us: u64,
    ahead_max_us: u64,
    slip: u64,
    mask4: u32,
    mask6: u128,
    seeds: [u64; 2 * KINDS],
    exempt4: Vec<(u32, u32)>,
    exempt6: Vec<(u128, u128)>,
    table: Box<[AtomicU64]>,
}

impl Limiter {
    /// Make a table of empty buckets; `key` are 64 bits that nobody can guess.
    ///
    /// A rule is checked where it is read; here one out of bounds is bent into them.
    pub fn new(rule: &Rule, key: u64) -> Limiter {
        let per_second = u64::from(rule.per_second.max(1));
        let interval_us = (SECOND_US + per_second / 2) / per_second;
        let burst = u64::from(rule.burst.max(1));
        let size = (rule.table.clamp(1, 1 << 24) as usize).next_power_of_two();
        let mut seeds = [0; 2 * KINDS];
        for (number, seed) in seeds.iter_mut().enumerate() {
            *seed = stir(key ^ number as u64);
        }
        Limiter {
            interval_us,
            tolerance_us: (burst - 1) * interval_us,
            ahead_max_us: burst * interval_us,
            slip: u64::from(rule.slip),
            mask4: mask4(rule.ipv4),
            mask6: mask6(rule.ipv6),
            seeds,
            exempt4: ranges(rule.exempt.iter().filter_map(|&(address, length)| match address {
                IpAddr::V4(address) => {
                    let first = u32::from(address) & mask4(length);
                    Some((first, first | !mask4(length)))
                }
                IpAddr::V6(_) => None,
            })),
            exempt6: ranges(rule.exempt.iter().filter_map(|&(address, length)| match address {
                IpAddr::V6(address) => {
                    let first = u128::from(address) & mask6(length);
                    Some((first, first | !mask6(length)))
                }
                IpAddr::V4(_) => None,
            })),
            table: (0..size).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Return what becomes of an answer of `kind` to `sender`, and take it from its bucket.
    ///
    /// `sender` is an IPv4 address also where a socket of IPv6 gives it as a mapped one.  `draw` are
    /// the query's 64 random bits, `now_us` microseconds since 1970.
    pub fn action(&self, sender: IpAddr, kind: Kind, draw: u64, now_us: u64) -> Action {
        let (is_exempt, seed, prefix) = match sender {
            IpAddr::V4(address) => {
                let number = u32::from(address);
                let seed = self.seeds[2 * kind as usize];
                (holds(&self.exempt4, number), seed, u128::from(number & self.mask4))
            }
            IpAddr::V6(address) => {
                let number = u128::from(address);
                let seed = self.seeds[2 * kind as usize + 1];
                (holds(&self.exempt6, number), seed, number & self.mask6)
            }
        };
        let place = stir(stir(seed ^ (prefix >> 64) as u64) ^ prefix as u64);
        if is_exempt || self.admits(place, now_us & TIME) {
            return Action::Send;
        }
        if self.slip != 0 && stir(draw).is_multiple_of(self.slip) {
            Action::Slip
        } else {
            Action::Drop
        }
    }

    /// Take one answer from the bucket of hash `place`, unless it is empty.
    fn admits(&self, place: u64, now_us: u64) -> bool {
        for _ in 0..TRIES_MAX {
            let (at, entry, full_us) = match self.find(place, now_us) {
                Some(found) => found,
                None => return false,
            };
            let next = (place & !TIME) | (full_us.wrapping_add(self.interval_us) & TIME);
            let order = Ordering::Relaxed; // an entry says nothing of any other memory
            if self.table[at].compare_exchange(entry, next, order, order).is_ok() {
                return true;
            }
        }
        true
    }

    /// Return the place and value of the entry to replace, and when it is full; None when empty.
    fn find(&self, place: u64, now_us: u64) -> Option<(usize, u64, u64)> {
        let places = self.table.len() as u64 - 1;
        let mut soonest_us = self.ahead_max_us + 1;
        let mut free = (0, 0, now_us);
        for step in 0..PROBES {
            let at = (place.wrapping_add(step) & places) as usize;
            let entry = self.table[at].load(Ordering::Relaxed);
            let mut ahead_us = entry.wrapping_sub(now_us) & TIME;
            if ahead_us > self.ahead_max_us {
                ahead_us = 0;
            } else if ahead_us != 0 && (entry ^ place) & !TIME == 0 {
                let is_empty = ahead_us > self.tolerance_us;
                return (!is_empty).then_some((at, entry, now_us + ahead_us));
            }
            if ahead_us < soonest_us {
                soonest_us = ahead_us;
                free = (at, entry, now_us);
            }
        }
        Some(free)
    }
}

fn mask4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0)
}

fn mask6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0)
}

/// Return ranges (first, last) in rising order, those that overlap as one.
fn ranges<Number: Ord + Copy>(
    found: impl Iterator<Item = (Number, Number)>,
) -> Vec<(Number, Number)> {
    let mut sorted: Vec<_> = found.collect();
    sorted.sort_unstable();
    let mut out: Vec<(Number, Number)> = Vec::with_capacity(sorted.len());
    for (first, last) in sorted {
        match out.last_mut() {
            Some(before) if before.1 >= first => before.1 = before.1.max(last),
            _ => out.push((first, last)),
        }
    }
    out
}

fn holds<Number: Ord + Copy>(ranges: &[(Number, Number)], number: Number) -> bool {
    let after = ranges.partition_point(|range| range.0 <= number);
    after != 0 && number <= ranges[after - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTORS: &str = include_str!("../../tests/vectors/rate.txt");

    fn rule(per_second: u32, burst: u32, table: u32) -> Rule {
        Rule { per_second, burst, slip: 0, ipv4: 24, ipv6: 56, table, exempt: Vec::new() }
    }

    fn rule_of(words: &[&str]) -> Limiter {
        let number = |at: usize| words[at].parse().unwrap();
        let exempt = words[7].split(',').filter(|each| *each != "-").map(|each| {
            let (address, length) = each.split_once('/').unwrap();
            (address.parse().unwrap(), length.parse().unwrap())
        });
        let rule = Rule {
            per_second: number(0),
            burst: number(1),
            slip: number(2),
            ipv4: words[3].parse().unwrap(),
            ipv6: words[4].parse().unwrap(),
            table: number(5),
            exempt: exempt.collect(),
        };
        Limiter::new(&rule, u64::from_str_radix(words[6], 16).unwrap())
    }

    #[test]
    fn answers_are_limited_as_the_vectors_say() {
        let mut limiter = None;
        let mut count = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            if words[0] == "rule" {
                limiter = Some(rule_of(&words[1..]));
                continue;
            }
            let kind = match words[2] {
                "answer" => Kind::Answer,
                "nodata" => Kind::Nodata,
                "nxdomain" => Kind::Nxdomain,
                "referral" => Kind::Referral,
                "error" => Kind::Error,
                _ => panic!("{line}"),
            };
            let wanted = match words[4] {
                "send" => Action::Send,
                "slip" => Action::Slip,
                "drop" => Action::Drop,
                _ => panic!("{line}"),
            };
            let draw = u64::from_str_radix(words[3], 16).unwrap();
            let now_us = words[0].parse().unwrap();
            let sender = words[1].parse().unwrap();
            let limiter = limiter.as_ref().unwrap();
            assert_eq!(limiter.action(sender, kind, draw, now_us), wanted, "{line}");
            count += 1;
        }
        assert!(count > 500);
    }

    #[test]
    fn threads_together_are_sent_what_one_would_be() {
        let limiter = Limiter::new(&rule(1, 1000, 1024), 7);
        let sent = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let sender = IpAddr::from([192, 0, 2, 1]);
                        if limiter.action(sender, Kind::Answer, 0, 5) == Action::Send {
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        // Whoever loses an entry 16 times in a row is sent its answer uncounted, which is rare.
        let sent = sent.into_inner();
        assert!((1000..=1010).contains(&sent), "{sent}");
    }

    proptest! {
        #[test]
        fn no_rule_sender_or_time_makes_it_panic(
            numbers: (u32, u32, u32, u8, u8), table in 0u32..2000, key: u64,
            answers: Vec<([u8; 16], bool, u64, u64)>, exempt: Vec<([u8; 16], u8)>,
        ) {
            let rule = Rule {
                per_second: numbers.0, burst: numbers.1, slip: numbers.2, ipv4: numbers.3, ipv6: numbers.4,
                table, exempt: exempt.iter().map(|&(octets, length)| (octets.into(), length)).collect(),
            };
            let limiter = Limiter::new(&rule, key);
            for (octets, is_short, draw, now_us) in answers {
                let sender = if is_short { IpAddr::from([octets[0], 1, 2, 3]) } else { octets.into() };
                limiter.action(sender, Kind::Error, draw, now_us);
            }
        }

        #[test]
        fn no_more_is_sent_in_any_time_than_the_rule_says(
            steps in prop::collection::vec(0u64..50_000, 1..200), start: u32,
        ) {
            let limiter = Limiter::new(&rule(100, 5, 1024), 7);
            let mut now_us = u64::from(start) << 20;
            let (first_us, mut sent) = (now_us, 0);
            for step in steps {
                now_us += step;
                if limiter.action(IpAddr::from([198, 51, 100, 1]), Kind::Answer, 0, now_us) == Action::Send {
                    sent += 1;
                }
                prop_assert!(sent <= 5 + (now_us - first_us) / 10_000);
            }
        }
    }
}
