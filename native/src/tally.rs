//! What is counted, by threads that each write a row of their own: no lock, no shared line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::entry::WAYS;
use crate::rate::{KINDS, Kind};

/// The most threads that answer.
pub const THREADS_MAX: usize = 64; // that of gslb/config/fields.py

/// One thread's counts of the answers from one service, by way; a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Row([AtomicU64; WAYS]);

/// How often a service was answered from, and by which way.
pub struct Tally {
    rows: Box<[Row]>,
}

impl Tally {
    /// Nothing counted yet, by so many threads.
    pub fn new(threads: usize) -> Tally {
        Tally { rows: (0..threads.max(1)).map(|_| Row::default()).collect() }
    }

    /// Count one answer; only this thread may use this number.
    #[inline]
    pub fn add(&self, thread: usize, way: u8) {
        if let Some(count) = self.rows.get(thread).and_then(|row| row.0.get(way as usize)) {
            bump(count);
        }
    }

    /// The sums over all threads, by way.
    pub fn sums(&self) -> [u64; WAYS] {
        let sum = |way: usize| self.rows.iter().map(|row| row.0[way].load(Relaxed)).sum();
        std::array::from_fn(sum)
    }
}

/// Types that are counted by themselves; the others are one, or asking would fill memory.
pub const TYPES: [u16; 17] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 43, 48, 64, 65, 251, 252, 255, 257];
/// Response codes that are answered; those above are one.
pub const RCODES: usize = 24;

/// One thread's counts of queries, by type and response code.
pub struct QueryCounts([[AtomicU64; RCODES]; TYPES.len() + 1]);

impl Default for QueryCounts {
    fn default() -> Self {
        QueryCounts(std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

impl QueryCounts {
    /// Count one query; only one thread may.
    #[inline]
    pub fn add(&self, type_: u16, rcode: u16) {
        let row = TYPES.iter().position(|&known| known == type_).unwrap_or(TYPES.len());
        bump(&self.0[row][(rcode as usize).min(RCODES - 1)]);
    }

    /// The counts that are not 0: type (0 for others), response code, count.
    pub fn told(&self) -> impl Iterator<Item = (u16, u16, u64)> {
        self.0.iter().enumerate().flat_map(|(row, counts)| {
            let type_ = TYPES.get(row).copied().unwrap_or(0);
            let told = move |(rcode, count): (usize, &AtomicU64)| {
                (type_, rcode as u16, count.load(Relaxed))
            };
            counts.iter().enumerate().map(told).filter(|told| told.2 > 0)
        })
    }
}

/// One thread's counts of answers above their rate: those that slipped, and those dropped.
#[derive(Default)]
pub struct LimitCounts([[AtomicU64; 2]; KINDS]);

impl LimitCounts {
    /// Count one answer; only one thread may.
    #[inline]
    pub fn add(&self, kind: Kind, slipped: bool) {
        bump(&self.0[kind as usize][usize::from(!slipped)]);
    }

    /// The counts that are not 0: number of the kind, whether it slipped, count.
    pub fn told(&self) -> impl Iterator<Item = (usize, bool, u64)> {
        self.0.iter().enumerate().flat_map(|(kind, counts)| {
            let told =
                [(kind, true, counts[0].load(Relaxed)), (kind, false, counts[1].load(Relaxed))];
            told.into_iter().filter(|told| told.2 > 0)
        })
    }
}

/// Add one to what only this thread writes.
#[inline]
pub fn bump(count: &AtomicU64) {
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
}
