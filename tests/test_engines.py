"""The native engine beside Python's: random worlds, random and mutated datagrams, the same octets.

`tests.engines.respond` asks both and compares; so all that is needed here is to ask widely, and
to see that images which lie are refused.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address, ip_network
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.daemons import native
from gslb.daemons.mirror import Mirror
from gslb.dns import image, name
from gslb.dns.cookie import server_cookie
from gslb.dns.response import TCP_MAX, UDP_MAX
from gslb.dns.zoneimage import encode_zone
from gslb.health.belief import Belief
from gslb.health.verdict import Verdict
from gslb.model import Failback, Nearest, RateLimit, Sticky
from gslb.routing.entryimage import encode_entry, encode_facts
from gslb.routing.image import encode_map
from gslb.routing.respond import respond as respond_in_python
from tests.engines import Guard, mirrored, needs_native, respond
from tests.test_answer import KNOWN, RECORDS
from tests.world import (
    DOWN,
    DRAINED,
    FORCED_DOWN,
    FORCED_UP,
    UNKNOWN,
    UP,
    member,
    plan,
    pool,
    service,
    snapshot,
)

pytestmark = needs_native

SENDERS = ["192.0.2.9", "198.51.100.200", "203.0.113.1", "127.0.0.1", "2001:db8:1::9", "2001:db8::"]
BIG = [
    ("big", "TXT", " ".join(f'"{"x" * length}"' for length in lengths))
    for lengths in ([200, 130], [200, 140], [200, 150], [250] * 3, [250] * 6)
]
SECRETS = [b"0123456789abcdef", b"fedcba9876543210"]
FREE = ["www", "free", "a.b.c", "*.any", "x.any", "@", "in.wild", "_sip._udp"]  # no A of their own
TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 41, 43, 65, 249, 250, 251, 252, 255, 257, 65280]

in_doubt = st.floats(0, 100).map(lambda at_s: Belief(verdict=Verdict.UP, flips_at_s=at_s))
risen = st.floats(0, 100).map(lambda at_s: Belief(verdict=Verdict.UP, risen_at_s=at_s))
beliefs = st.sampled_from([UP, DOWN, UNKNOWN, FORCED_UP, FORCED_DOWN, DRAINED]) | in_doubt | risen


# The large ones sum up to more than several digits of a draw hold.
weights = st.integers(0, 5) | st.sampled_from([999_983, 1_000_000])


@st.composite
def services(draw, owner):
    hosts = draw(st.integers(0, 9)) == 0 and owner != "@"
    pools = []
    for at, region in enumerate(draw(st.lists(st.sampled_from(["us", "eu", "ap"]), unique=True))):
        made = []
        for n, weight in enumerate(draw(st.lists(weights, min_size=1, max_size=6))):
            family = draw(st.sampled_from([f"10.{at}.0.{n}", f"2001:db8:{at}::{n}"]))
            targets = [f"h{at}{n}.example.net", "www.example.com", "x.moved.example.com"]
            made.append(member(draw(st.sampled_from(targets)) if hosts else family, weight))
        made = list({each.address: each for each in made}.values())
        pools.append(pool(region, *made, weight=draw(st.integers(0, 3))))
    return service(
        *(pools or [pool("us", "10.9.0.1")]),
        owner=owner,
        route=draw(st.sampled_from([(), (Nearest(),)])),
        proxies="never",
        all_down=draw(st.sampled_from(["serve_all", "nodata", "servfail"])),
        answers=draw(st.integers(0, 4)),
        sticky=draw(st.none() | st.builds(Sticky, st.integers(0, 32), st.integers(0, 128))),
        failback=draw(st.sampled_from([Failback(), Failback(10.0, 50.0)])),
        ttl_s=draw(st.integers(5, 3600)),
    )


@st.composite
def snapshots(draw):
    owners = draw(st.lists(st.sampled_from(FREE), unique=True, min_size=1, max_size=4))
    made = [draw(services(owner)) for owner in owners]
    alone = {each.name for each in made if 5 in each.families()}
    records = [
        record
        for record in draw(st.lists(st.sampled_from([*RECORDS, *BIG]), unique=True, max_size=30))
        if name.parse(record[0], name.parse("example.com")) not in alone
    ]
    planned = plan(*made, records=records, known=KNOWN)
    if draw(st.booleans()):
        planned = replace(planned, broken=frozenset({name.parse("example.org")}))
    everyone = {str(m.address) for each in made for p in each.pools for m in p.members}
    given_ = {each: draw(beliefs) for each in sorted(everyone)}
    return snapshot(planned, given_, stale=draw(st.booleans()), now_s=50.0)


labels = st.sampled_from(
    [owner for owner, _, _ in RECORDS] + FREE + ["nope", "h01", "big"]
) | st.text("abWZ-*_", min_size=1, max_size=20)
AGES_S = [-301, -300, 0, 1799, 1800, 3600, 3601]


def cookie(age_s, secret):
    """Return a cookie of the first of the senders, so old at 50 s after the clock's begin."""
    return b"clientck" + server_cookie(b"clientck", bytes((192, 0, 2, 9)), 50 - age_s, secret)


cookies = st.tuples(
    st.just(10),
    st.just(b"clientck") | st.builds(cookie, st.sampled_from(AGES_S), st.sampled_from(SECRETS)),
)
others = st.tuples(st.sampled_from([3, 8, 10, 11, 15, 65001]), st.binary(max_size=44))


@st.composite
def subnets(draw):
    """Return a client subnet that is right in all its bits."""
    network = ip_network((draw(st.sampled_from(SENDERS)), draw(st.integers(0, 32))), strict=False)
    octets = network.network_address.packed[: (network.prefixlen + 7) // 8]
    family = 1 if network.version == 4 else 2
    return 8, struct.pack(">HBB", family, network.prefixlen, 0) + octets


options = st.one_of(cookies, subnets(), st.just((3, b"")), others)


@st.composite
def datagrams(draw):
    ends = ["example.com."] * 5 + ["EXAMPLE.com.", "example.org.", "net.", "server."]
    end = draw(st.sampled_from(ends))
    front = draw(st.sampled_from(FREE) | st.lists(labels, max_size=2).map(".".join))
    qname = name.parse(end if front in ("", "@") else f"{front.replace('@', 'a')}.{end}")
    if draw(st.booleans()):
        qname = bytes(octet ^ 0x20 if chr(octet).isalpha() else octet for octet in qname)
    cls = draw(st.sampled_from([1, 1, 1, 1, 3, 4, 255]))
    question = qname + struct.pack(
        ">HH", draw(st.sampled_from([1, 1, 28]) | st.sampled_from(TYPES)), cls
    )
    extra = b""
    if draw(st.booleans()):
        told = draw(st.lists(options, max_size=4))
        rdata = b"".join(struct.pack(">HH", code, len(each)) + each for code, each in told)
        ttl = draw(st.sampled_from([0, 0, 0, 0x8000, 0x10000]))
        payload = draw(st.sampled_from([0, 512, 600, 1232, 4096]))
        extra = b"\0" + struct.pack(">HHIH", 41, payload, ttl, len(rdata)) + rdata
    flags = draw(st.sampled_from([0, 0x0100, 0x0110, 0x2000, 0x0030]))
    count = draw(st.sampled_from([1, 1, 1, 1, 1, 0]))
    head = struct.pack(">HHHHHH", draw(st.integers(0, 65535)), flags, count, 0, 0, bool(extra))
    wire = bytearray(head + (question if count else b"") + extra)
    for at, octet in draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2)
    ):
        if draw(st.integers(0, 3)) == 0:
            wire[at % len(wire)] = octet
    return bytes(wire[: draw(st.integers(0, len(wire)))] if draw(st.integers(0, 19)) == 0 else wire)


@settings(max_examples=80)
@given(snapshots(), st.lists(datagrams(), min_size=5, max_size=25), st.data())
def test_both_engines_say_the_same_octets_to_whatever_is_asked(snap, wires, data):
    rule = data.draw(st.none() | st.just(RateLimit(per_second=5, burst=2, slip=2, table=16)))
    guard = Guard(data.draw(st.sampled_from([(), SECRETS])), rule, key=7)
    for wire in wires:
        respond(
            snap,
            wire,
            ip_address(data.draw(st.sampled_from(SENDERS))),
            data.draw(st.integers(0, 2**64 - 1)),
            data.draw(st.sampled_from([50.0, 51.5, 75.0])),
            size_max=data.draw(st.sampled_from([UDP_MAX, TCP_MAX])),
            guard=guard,
        )


def question(owner=b"\x03www", *, payload=None, options=b"", type_=1):
    """Return a query for a name of example.com."""
    head = struct.pack(">HHHHHH", 1, 0, 1, 0, 0, 0 if payload is None else 1)
    wire = head + owner + name.parse("example.com") + struct.pack(">HH", type_, 1)
    if payload is None:
        return wire
    return wire + b"\0" + struct.pack(">HHIH", 41, payload, 0, len(options)) + options


@settings(max_examples=60)
@given(
    st.lists(weights.filter(bool), min_size=1, max_size=40),
    st.integers(0, 40),
    st.none() | st.just(Sticky()),
    st.lists(st.integers(0, 2**64 - 1), min_size=20, max_size=20),
)
def test_both_engines_draw_and_rank_the_same_members(chosen, answers, sticky, draws):
    members = [member(f"10.0.0.{number}", weight) for number, weight in enumerate(chosen)]
    snap = snapshot(plan(service(pool("us", *members), answers=answers, sticky=sticky)))

    for draw in draws:
        sender = ip_address(draw % (1 << 32))
        respond(snap, question(), sender, draw, size_max=TCP_MAX)


@pytest.mark.parametrize("count", range(20, 80))
def test_both_engines_leave_out_the_same_where_not_all_fits(count):
    members = [member(f"10.0.0.{number}") for number in range(count)]
    snap = snapshot(
        plan(service(pool("us", *members), answers=0)),
        {str(each.address): DOWN for each in members},
    )
    nsid, subnet = b"\0\3\0\0", b"\0\x08\0\7\0\1\x18\0\xc0\0\2"
    client = b"\0\x0a\0\x08clientck"

    for size in range(12 + 21 + 16 * count, 12 + 21 + 16 * count + 120):
        for options in (b"", nsid, subnet + nsid, client + subnet):
            wire = question(payload=max(512, size), options=options)
            respond(snap, wire, ip_address("192.0.2.9"), guard=Guard(SECRETS))


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("age_s", AGES_S)
def test_both_engines_judge_the_same_cookies_to_the_second(age_s, secret):
    snap = snapshot(plan(service(pool("us", "10.0.0.1"))))
    came = cookie(age_s, secret)
    wire = question(payload=1232, options=struct.pack(">HH", 10, len(came)) + came)
    rule = RateLimit(per_second=1, burst=1, slip=0)

    for guard in (Guard(SECRETS), Guard(SECRETS, rule), Guard(SECRETS[1:])):
        for _ in range(3):
            respond(snap, wire, ip_address("192.0.2.9"), now_s=50.0, guard=guard)


@given(st.integers(0, 128), st.integers(0, 2**128 - 1))
def test_both_engines_give_sticky_clients_the_same_scope(length, address):
    made = service(pool("us", "10.0.0.1"), sticky=Sticky(24, length))
    snap = snapshot(plan(made))

    for sent in (length, 128):
        network = ip_network((address, sent), strict=False)
        octets = network.network_address.packed[: (sent + 7) // 8]
        option = struct.pack(">HHHBB", 8, 4 + len(octets), 2, sent, 0) + octets
        respond(snap, question(payload=1232, options=option), ip_address("192.0.2.9"))


@settings(max_examples=30)
@given(snapshots(), st.data())
def test_a_snapshot_that_follows_another_answers_as_one_made_anew(snap, data):
    mirror = Mirror()
    mirror.of(snap)
    given_ = {address: data.draw(beliefs) for address in ["10.0.0.0", "10.1.0.0", "2001:db8::"]}
    then = snapshot(snap.plan, given_, generation=2, previous=snap, now_s=50.0)

    followed = mirror.of(then)

    for each in then.entries.values():
        wire = struct.pack(">HHHHHH", 1, 0, 1, 0, 0, 0) + each.service.name + b"\0\1\0\1"
        reply = respond_in_python(then, wire, ip_address("192.0.2.9"), 99, 50.0)
        said = followed.respond(wire, ip_address("192.0.2.9").packed, 99, 50.0, UDP_MAX)
        assert said is not None
        assert said[0] == reply.octets


def images(snap):
    """Return the images of a snapshot, each with what opens it."""
    plan_ = snap.plan
    numbers = {key: number for number, key in enumerate(plan_.maps)}
    maps = [native._native.GeoMap(encode_map(each)) for each in plan_.maps.values()]
    zones = [native._native.Zone(encode_zone(each)) for each in plan_.zones.values()]
    tallies = native._native.Tallies(1)
    made = native._native.Plan(encode_facts(plan_, []), zones, maps)
    yield encode_facts(plan_, []), lambda octets: native._native.Plan(octets, zones, maps)
    for zone in plan_.zones.values():
        yield encode_zone(zone), native._native.Zone
    for geo_map in plan_.maps.values():
        yield encode_map(geo_map), native._native.GeoMap
    for entry in snap.entries.values():
        yield (
            encode_entry(entry, numbers),
            lambda octets: native._native.Snapshot(made, [octets], 1, False, tallies),
        )


@settings(max_examples=20)
@given(snapshots(), st.data())
def test_an_image_that_was_torn_or_changed_is_refused(snap, data):
    for octets, opens in images(snap):
        opens(octets)
        at = data.draw(st.integers(0, len(octets) - 1))
        with pytest.raises(ValueError, match="an image"):
            opens(octets[:at])
        if not 12 <= at < 16:  # four octets of the frame say nothing
            changed = bytearray(octets)
            changed[at] ^= data.draw(st.integers(1, 255))
            with pytest.raises(ValueError, match="an image"):
                opens(bytes(changed))


@settings(max_examples=200)
@given(snapshots(), st.lists(datagrams(), min_size=1, max_size=5), st.data())
def test_an_image_that_lies_is_refused_or_answered_from_without_harm(snap, wires, data):
    """The checksum is made good again, as someone would who means harm."""
    made = list(images(snap))
    octets, opens = data.draw(st.sampled_from(made))
    body = bytearray(octets[image.FRAME_BYTES :])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    lying = octets[:8] + struct.pack("=I", crc32(body)) + octets[12 : image.FRAME_BYTES] + body
    try:
        opened = opens(bytes(lying))
    except ValueError:
        return
    if isinstance(opened, native._native.Snapshot):
        for wire in wires:
            opened.respond(wire, bytes((192, 0, 2, 9)), 12345, 50.0, UDP_MAX)
    elif isinstance(opened, native._native.Zone):
        facts, maps = encode_facts(snap.plan, []), []
        plan_ = native._native.Plan(facts, [opened], maps)
        whole = native._native.Snapshot(plan_, [], 1, False, native._native.Tallies(1))
        for wire in wires:
            whole.respond(wire, bytes((192, 0, 2, 9)), 12345, 50.0, UDP_MAX)
    elif isinstance(opened, native._native.GeoMap):
        for address in (0, 1 << 31, (1 << 32) - 1):
            opened.find(4, address)
            opened.find(6, address << 96)


def test_an_older_snapshot_never_replaces_a_newer_one():
    engine = native._native.Engine(0.0)
    snap = snapshot(plan(service(pool("us", "10.0.0.1"))), generation=7)

    assert engine.publish(mirrored(snap))
    assert not engine.publish(Mirror().of(replace(snap, generation=7)))
    assert not engine.publish(Mirror().of(replace(snap, generation=6)))
    assert engine.publish(Mirror().of(replace(snap, generation=8)))


@pytest.mark.parametrize("sender", [b"", bytes(5), bytes(17)])
def test_an_address_that_is_none_is_refused(sender):
    snap = snapshot(plan(service(pool("us", "10.0.0.1"))))

    with pytest.raises(ValueError, match="4 or 16 octets"):
        mirrored(snap).respond(b"", sender, 0, 0.0, UDP_MAX)
