//! Response times, counted by the microsecond.

use std::time::{SystemTime, UNIX_EPOCH};

const MAX_US: usize = 2_000_000;
const PARTS: [(&str, f64); 4] =
    [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p999_us", 0.999)];

/// How many responses took how long.
pub struct Times {
    counts: Vec<u32>,
    total: u64,
}

impl Times {
    pub fn new() -> Times {
        Times { counts: vec![0; MAX_US + 1], total: 0 }
    }

    /// Count a response that took this many ns.
    pub fn add(&mut self, took_ns: u64) {
        self.counts[(took_ns / 1000).min(MAX_US as u64) as usize] += 1;
        self.total += 1;
    }

    /// Return quantiles and the maximum, as members of a JSON object.
    pub fn shown(&self) -> String {
        let worst = self.counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        PARTS
            .iter()
            .map(|&(name, part)| format!("\"{name}\": {}, ", self.quantile(part)))
            .collect::<String>()
            + &format!("\"max_us\": {worst}")
    }

    fn quantile(&self, part: f64) -> usize {
        let wanted = (self.total as f64 * part).ceil() as u64;
        let mut sum = 0;
        for (us, &count) in self.counts.iter().enumerate() {
            sum += u64::from(count);
            if sum >= wanted {
                return us;
            }
        }
        MAX_US
    }
}

/// Return CLOCK_REALTIME in ns, the clock by which the kernel notes a frame's time.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
