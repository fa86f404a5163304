//! Whatever a network or a file holds: no panic, and no image that lies does harm.
//!
//! Images are made here octet by octet, changed at random, and given a good checksum again, as
//! someone would who means harm. What is opened all the same must answer anything.

use std::sync::Arc;

use gslb_native::entry::Entry;
use gslb_native::geo::GeoMap;
use gslb_native::image::{FRAME_BYTES, Image, Kind, framed};
use gslb_native::message::decode_query;
use gslb_native::rate::{Limiter, Rule};
use gslb_native::respond::{Guard, respond};
use gslb_native::said::{Address, From, Scratch};
use gslb_native::snapshot::{Facts, Plan, Served, Snapshot};
use gslb_native::tally::Tally;
use gslb_native::zone::Zone;
use proptest::prelude::*;

const APEX: &[u8] = b"\x07example\x03com\0";
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const DNAME: u16 = 39;

fn short(octets: &[u8]) -> Vec<u8> {
    [&[octets.len() as u8], octets].concat()
}

fn under(labels: &[u8]) -> Vec<u8> {
    [labels, APEX].concat()
}

fn rdata(octets: &[u8], holes: &[u16]) -> Vec<u8> {
    let mut out = (octets.len() as u16).to_ne_bytes().to_vec();
    out.push(holes.len() as u8);
    out.extend(holes.iter().flat_map(|hole| hole.to_ne_bytes()));
    out.extend(octets);
    out
}

fn rrset(type_: u16, rdatas: &[Vec<u8>]) -> Vec<u8> {
    let octets = rdatas.concat();
    let mut out = type_.to_ne_bytes().to_vec();
    out.extend(300u32.to_ne_bytes());
    out.extend((rdatas.len() as u16).to_ne_bytes());
    out.extend((octets.len() as u32).to_ne_bytes());
    out.extend(octets);
    out
}

fn node(name: &[u8], flags: u8, rrsets: &[Vec<u8>], glue: &[Vec<u8>]) -> Vec<u8> {
    let mut out = short(name);
    out.push(flags);
    for count in [rrsets.len(), glue.len(), glue.len()] {
        out.extend((count as u16).to_ne_bytes());
    }
    out.extend(rrsets.concat());
    out.extend(glue.concat());
    out
}

fn zone() -> Vec<u8> {
    let soa = rrset(SOA, &[rdata(&[&b"\x02ns\0\0\0\0"[..], &[0; 20]].concat(), &[3, 5])]);
    let address = rrset(A, &[rdata(&[192, 0, 2, 1], &[]), rdata(&[192, 0, 2, 2], &[])]);
    let inside = |type_| rrset(type_, &[rdata(b"\x03www\0\0", &[4])]);
    let outside = |type_| rrset(type_, &[rdata(b"\x01x\x07example\x03net\0", &[])]);
    let glue = [short(&under(b"\x02ns\x03sub")), address.clone()].concat();
    let nodes = [
        node(APEX, 0, &[soa.clone(), outside(NS)], &[]),
        node(&under(b"\x03www"), 1, &[], &[]),
        node(&under(b"\x05alias"), 0, &[inside(CNAME)], &[]),
        node(&under(b"\x01*\x04wild"), 0, std::slice::from_ref(&address), &[]),
        node(&under(b"\x04wild"), 0, &[], &[]),
        node(&under(b"\x03sub"), 2, &[outside(NS)], &[glue]),
        node(&under(b"\x05moved"), 0, &[outside(DNAME)], &[]),
        node(&under(b"\x04here"), 0, &[inside(DNAME)], &[]),
        node(&under(b"\x05fixed"), 0, &[address], &[]),
    ];
    let mut body = (nodes.len() as u32).to_ne_bytes().to_vec();
    body.extend(short(APEX));
    body.extend(soa);
    body.extend(nodes.concat());
    framed(Kind::Zone, &body)
}

fn entry() -> Vec<u8> {
    let mut choice = vec![0, 1];
    choice.extend(3u16.to_ne_bytes());
    choice.extend(short(b"restored"));
    choice.extend([30u32, 5].map(u32::to_ne_bytes).concat());
    choice.extend(99.5f64.to_ne_bytes());
    let rdatas = [rdata(&[192, 0, 2, 1], &[]), rdata(&[192, 0, 2, 2], &[])];
    let places = [0, rdatas[0].len() as u32];
    choice.extend([2, 2, rdatas.concat().len() as u32].map(u32::to_ne_bytes).concat());
    choice.extend([3u64, 4, 11, 12].map(u64::to_ne_bytes).concat());
    choice.extend(places.map(u32::to_ne_bytes).concat());
    choice.extend(rdatas.concat());
    let mut body = short(&under(b"\x03www"));
    body.extend(15u16.to_ne_bytes());
    body.extend(b"www.example.com");
    body.extend(7u64.to_ne_bytes());
    body.extend([0, 24, 56, 1]);
    body.extend(A.to_ne_bytes());
    body.extend([0u32, 2, 0, 0, 1].map(u32::to_ne_bytes).concat());
    body.extend(choice);
    framed(Kind::Entry, &body)
}

fn map() -> Vec<u8> {
    let mut body = [3u32, 2, 2, u32::MAX].map(u32::to_ne_bytes).concat();
    body.extend([0u64, 0x2001_0DB8 << 32, 0, 0].map(u64::to_ne_bytes).concat());
    body.extend([0u32, 0xC000_0200, 0xC000_0300].map(u32::to_ne_bytes).concat());
    body.extend([0u32, 1, 0, 0, 1].map(u32::to_ne_bytes).concat());
    body.extend(b"[]");
    framed(Kind::Map, &body)
}

fn facts() -> Vec<u8> {
    let mut body = [short(b"ns1"), short(b"ns1.example.net"), short(b"gslb")].concat();
    body.extend(1u32.to_ne_bytes());
    body.extend([4, 8]);
    body.extend((127u128 << 24).to_be_bytes());
    body.extend(1u32.to_ne_bytes());
    body.extend(short(b"\x07example\x03org\0"));
    framed(Kind::Facts, &body)
}

/// A snapshot of these four images, if none of them is refused.
fn snapshot(images: &[Vec<u8>; 4]) -> Option<Snapshot> {
    let [zone, entry, map, facts] = images;
    let zone = Zone::open(Image::Copied(zone.clone())).ok()?;
    let map = GeoMap::open(Image::Copied(map.clone())).ok()?;
    let facts = Facts::open(&Image::Copied(facts.clone())).ok()?;
    let entry = Entry::open(Image::Copied(entry.clone())).ok()?;
    let plan = Plan::new(facts, vec![Arc::new(zone)], vec![Arc::new(map)]);
    let served = Served { entry, tally: Arc::new(Tally::new(1)) };
    Snapshot::new(Arc::new(plan), vec![served], 1, false).ok()
}

fn images() -> [Vec<u8>; 4] {
    [zone(), entry(), map(), facts()]
}

fn question(name: &[u8], type_: u16, edns: &[u8]) -> Vec<u8> {
    let mut wire = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!edns.is_empty())];
    wire.extend(name);
    wire.extend(type_.to_be_bytes());
    wire.extend(1u16.to_be_bytes());
    wire.extend(edns);
    wire
}

const EDNS: &[u8] =
    b"\0\0\x29\x04\xd0\0\0\0\0\0\x17\0\x08\0\x07\0\x01\x18\0\xc0\0\x02\0\x0a\0\x08clientck";

fn all_questions() -> Vec<Vec<u8>> {
    let names: [&[u8]; 11] = [
        b"",
        b"\x03www",
        b"\x03WwW",
        b"\x05alias",
        b"\x01a\x04wild",
        b"\x01a\x03sub",
        b"\x01a\x05moved",
        b"\x01a\x04here",
        b"\x05fixed",
        b"\x04nope",
        b"\x01a\x01b\x04nope",
    ];
    let types = [A, NS, CNAME, SOA, DNAME, 16, 43, 255, 252];
    let ask =
        |name: &&[u8], type_| [&b""[..], EDNS].map(|edns| question(&under(name), type_, edns));
    names.iter().flat_map(|name| types.iter().flat_map(move |&type_| ask(name, type_))).collect()
}

/// Answer a message; return the octets, none where there is silence.
fn said(snapshot: &Snapshot, wire: &[u8], draw: u64) -> Vec<u8> {
    let sender = Address { version: 4, number: 0xC000_0209 };
    let from = From { sender, draw, now_s: 98.0, size_max: 1232 };
    let guard = Guard { secrets: vec![*b"0123456789abcdef"], limiter: None };
    let (mut scratch, mut out) = (Scratch::default(), Vec::new());
    respond(snapshot, &guard, wire, &from, &mut scratch, &mut out);
    out
}

#[test]
fn good_images_are_opened_and_answered_from() {
    let snapshot = snapshot(&images()).expect("good images");
    for wire in all_questions() {
        let answer = said(&snapshot, &wire, 1);
        assert!(answer.len() >= wire.len() && answer.len() <= 1232);
        assert_eq!(answer[..2], wire[..2]);
        assert!(answer[3] & 0xF == 0 || matches!(answer[3] & 0xF, 3 | 5), "{wire:?}");
    }
}

#[test]
fn a_torn_image_is_refused() {
    let whole = images();
    for number in 0..whole.len() {
        for cut in 0..whole[number].len() {
            let mut torn = whole.clone();
            torn[number].truncate(cut);
            assert!(snapshot(&torn).is_none());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_octets_are_a_query_or_are_told_what_is_wrong(wire in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_query(&wire);
    }

    #[test]
    fn a_changed_query_is_answered_or_met_with_silence(
        at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        draw: u64,
    ) {
        let snapshot = snapshot(&images()).expect("good images");
        let questions = all_questions();
        let mut wire = questions[at.index(questions.len())].clone();
        for (place, octet) in changes {
            let place = place.index(wire.len());
            wire[place] = octet;
        }
        prop_assert!(said(&snapshot, &wire, draw).len() <= 1232);
        wire.truncate(cut.index(wire.len() + 1));
        prop_assert!(said(&snapshot, &wire, draw).len() <= 1232);
    }

    #[test]
    fn an_image_that_lies_is_refused_or_answered_from_without_harm(
        number in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        draw: u64,
    ) {
        let mut lying = images();
        let kind = [Kind::Zone, Kind::Entry, Kind::Map, Kind::Facts][number];
        let mut body = lying[number][FRAME_BYTES..].to_vec();
        for (place, octet) in changes {
            let place = place.index(body.len());
            body[place] = octet;
        }
        lying[number] = framed(kind, &body);
        if let Some(snapshot) = snapshot(&lying) {
            for wire in all_questions() {
                prop_assert!(said(&snapshot, &wire, draw).len() <= 1232);
            }
        }
    }

    #[test]
    fn no_rule_of_rate_limiting_makes_counting_fail(
        per_second: u32, burst: u32, slip: u32, ipv4: u8, ipv6: u8, table in 0u32..1 << 12,
        now_us in prop::collection::vec(any::<u64>(), 1..20), draw: u64,
    ) {
        let rule = Rule { per_second, burst, slip, ipv4, ipv6, table, exempt: vec![] };
        let limiter = Limiter::new(&rule, draw);
        for now_us in now_us {
            let address = Address { version: 4, number: u128::from(draw as u32) };
            limiter.action(address.ip(), gslb_native::rate::Kind::Answer, draw, now_us);
        }
    }
}
