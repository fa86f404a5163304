//! A load for nameservers: queries from a file, as many as are answered or at a steady rate.
//!
//!     load interface=c0 source=192.0.2.3 target=192.0.2.1:53 source-mac=… target-mac=…
//!          queries=FILE seconds=3 [window=200 | rate=100000] [rename=1]
//!
//! FILE holds whole messages, each after its length (dnsperf's binary form).  `window` sends
//! so that never more than that many queries are under way, and thereby at the rate at which
//! they are answered; `rate` sends whether or not they are.  `rename` puts random letters in
//! place of each query's first label.  What was seen is printed as one line of JSON, times
//! in µs.
//!
//! It is meant for a pair of namespaces of one machine and nothing else: it needs the right
//! to send raw frames, stops by itself after `seconds`, and what it sends too late to keep its
//! rate is left out rather than sent in a burst.

#![allow(unsafe_code)] // packet sockets are only to be had from C: see `packet`

mod frames;
mod packet;
mod times;

use std::collections::HashMap;
use std::io::{Error, Result};
use std::time::{Duration, Instant};

use frames::{Ends, Frames, NUMBERS};
use packet::{BATCH, Batch, Packets};
use times::{Times, now_ns};

const SECONDS_MAX: f64 = 120.0;
const WINDOW_MAX: u64 = 100_000;
/// Silence after which what is under way is taken for lost.
const LOST_AFTER: Duration = Duration::from_millis(50);
/// How long late responses are waited for at the end.
const LAST: Duration = Duration::from_millis(300);

/// How fast to send.
enum Pace {
    Window(u64),
    Rate(f64),
}

/// What was seen.
struct Seen {
    sent: u64,
    received: u64,
    skipped: u64,
    answers: u64,
    rcodes: [u64; 16],
    times: Times,
    took: Duration,
}

fn main() -> Result<()> {
    let arguments: HashMap<String, String> = std::env::args()
        .skip(1)
        .filter_map(|each| each.split_once('=').map(|(k, v)| (k.into(), v.into())))
        .collect();
    let seen = match run(&arguments) {
        Some(seen) => seen?,
        None => {
            eprintln!("usage: see the head of native/examples/load/main.rs");
            std::process::exit(2);
        }
    };
    println!("{}", shown(&seen));
    Ok(())
}

/// Do what the arguments say; None if they say it wrongly.
fn run(arguments: &HashMap<String, String>) -> Option<Result<Seen>> {
    let target: std::net::SocketAddrV4 = arguments.get("target")?.parse().ok()?;
    let ends = Ends {
        source: arguments.get("source")?.parse().ok()?,
        target: *target.ip(),
        port: target.port(),
        source_mac: mac(arguments.get("source-mac")?)?,
        target_mac: mac(arguments.get("target-mac")?)?,
    };
    let pace = match (arguments.get("window"), arguments.get("rate")) {
        (Some(window), None) => Pace::Window(window.parse::<u64>().ok()?.min(WINDOW_MAX)),
        (None, Some(rate)) => Pace::Rate(rate.parse().ok()?),
        _ => return None,
    };
    let seconds = arguments.get("seconds")?.parse::<f64>().ok()?;
    let seconds = Duration::try_from_secs_f64(seconds.min(SECONDS_MAX)).ok()?;
    let rename = arguments.contains_key("rename");
    let (file, interface) = (arguments.get("queries")?, arguments.get("interface")?);
    let read = || {
        let frames = Frames::read(&std::fs::read(file)?, &ends);
        if frames.len() == 0 {
            return Err(Error::other("no queries in the file"));
        }
        let packets = Packets::open(interface)?;
        Ok(load(packets, &frames, &ends, &pace, seconds, rename))
    };
    Some(read())
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> =
        text.split(':').map(|each| u8::from_str_radix(each, 16).ok()).collect();
    octets?.try_into().ok()
}

fn load(
    mut packets: Packets,
    frames: &Frames,
    ends: &Ends,
    pace: &Pace,
    seconds: Duration,
    rename: bool,
) -> Seen {
    let mut batch = Batch::new();
    let mut sent_ns = vec![0u64; NUMBERS as usize];
    let mut random = now_ns() | 1;
    let first = random as usize % frames.len();
    let mut seen = Seen {
        sent: 0,
        received: 0,
        skipped: 0,
        answers: 0,
        rcodes: [0; 16],
        times: Times::new(),
        took: Duration::ZERO,
    };
    let mut under_way = 0u64;
    let start = Instant::now();
    let mut heard = start;
    loop {
        let taken = packets.take(|packet, time_ns| {
            if let Some(response) = frames::response(packet, ends) {
                let sent = std::mem::take(&mut sent_ns[response.number as usize]);
                if sent != 0 {
                    seen.received += 1;
                    seen.answers += u64::from(response.answers);
                    seen.rcodes[usize::from(response.rcode)] += 1;
                    seen.times.add(time_ns.saturating_sub(sent));
                    under_way = under_way.saturating_sub(1);
                }
            }
        });
        let now = Instant::now();
        let passed = now - start;
        if taken > 0 {
            heard = now;
        }
        if passed >= seconds {
            if under_way == 0 || passed >= seconds + LAST {
                break;
            }
            std::thread::yield_now();
            continue;
        }
        seen.took = passed;
        let due = match *pace {
            Pace::Window(window) => {
                if now - heard > LOST_AFTER {
                    (under_way, heard) = (0, now);
                }
                window.saturating_sub(under_way)
            }
            Pace::Rate(rate) => {
                let due = (passed.as_secs_f64() * rate) as u64 - seen.sent - seen.skipped;
                seen.skipped += due.saturating_sub(BATCH as u64);
                due
            }
        };
        let due = due.min(BATCH as u64) as usize;
        if due == 0 {
            std::thread::yield_now();
            continue;
        }
        for slot in 0..due {
            let index = seen.sent + slot as u64;
            let frame = batch.put(slot, frames.get(first + index as usize));
            frames::number(frame, (index % u64::from(NUMBERS)) as u32);
            if rename {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                frames::rename(frame, random);
            }
        }
        let at_ns = now_ns();
        let first_slot = seen.sent;
        for slot in 0..due as u64 {
            sent_ns[((first_slot + slot) % u64::from(NUMBERS)) as usize] = at_ns;
        }
        let sent = packets.send(&mut batch, due) as u64;
        seen.sent += sent;
        under_way += sent;
    }
    seen
}

fn shown(seen: &Seen) -> String {
    let rcodes: Vec<String> = (0..16)
        .filter(|&code| seen.rcodes[code] > 0)
        .map(|code| format!("\"{code}\": {}", seen.rcodes[code]))
        .collect();
    format!(
        "{{\"sent\": {}, \"received\": {}, \"skipped\": {}, \"answers\": {}, \"seconds\": {:.6}, \
         \"rcodes\": {{{}}}, {}}}",
        seen.sent,
        seen.received,
        seen.skipped,
        seen.answers,
        seen.took.as_secs_f64(),
        rcodes.join(", "),
        seen.times.shown()
    )
}
