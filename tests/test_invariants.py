"""The invariants of the design, one property each; 10 to 12 are in the tests of health."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import pairwise
from math import lcm

import dns.edns
import dns.flags
import dns.message
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gslb.daemons.controller import Controller
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.dns.message import Query, decode_query
from gslb.dns.records import IN, A
from gslb.dns.response import TCP_MAX, UDP_MAX
from gslb.errors import WireError
from gslb.health.belief import Belief, Forced, Word, believe
from gslb.health.probe import LOCAL, Result
from gslb.health.verdict import Record, Verdict, observe, recheck_at_s
from gslb.model import (
    Fact,
    Failback,
    Fence,
    Listed,
    Member,
    Monitor,
    Nearest,
    Place,
    Sticky,
    Weighted,
)
from gslb.routing.answer import answer
from gslb.routing.geo import client_of
from gslb.routing.route import prepare
from tests.nodes import config, probed, subject_of, world_of
from tests.world import (
    DOWN,
    DRAINED,
    FORCED_DOWN,
    FORCED_UP,
    LONDON,
    NEW_YORK,
    REGIONS,
    SINGAPORE,
    UNKNOWN,
    UP,
    ask,
    atlas,
    member,
    plan,
    pool,
    service,
    snapshot,
)

KNOWN = atlas(
    {
        "192.0.2.0/24": Place(LONDON, "GB", "EU"),
        "198.51.100.0/24": Place(NEW_YORK, "US", "NA"),
        "203.0.113.0/24": Place(SINGAPORE, "SG", "AS"),
    }
)
CLIENTS = ["192.0.2.9", "198.51.100.9", "203.0.113.9", "127.0.0.1"]
PROXIES = {"us": "192.0.2.100", "eu": "192.0.2.101", "ap": "192.0.2.102"}
PROXIED = {key: replace(region, proxies=(member(PROXIES[key]),)) for key, region in REGIONS.items()}
FENCE = Fence((Listed(Fact.COUNTRIES, (("GB", (("eu", "ap"),)), ("US", (("us",),)))),))
FENCED = {"192.0.2.9": {"eu", "ap"}, "198.51.100.9": {"us"}}
RISEN = Belief(verdict=Verdict.UP, risen_at_s=-5.0)
DRAW_MAX = 2**64 - 1

draws = st.integers(0, DRAW_MAX)
clients = st.sampled_from(CLIENTS)
beliefs = st.sampled_from([UP, UP, DOWN, DOWN, UNKNOWN, FORCED_UP, FORCED_DOWN, DRAINED, RISEN])


@st.composite
def services(draw, **keys):
    """Return a service of one to three regions, whose members have 10.region.0.number."""
    pools = []
    for at, region in enumerate(draw(st.lists(st.sampled_from(["us", "eu", "ap"]), unique=True))):
        weights = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
        members = (member(f"10.{at}.0.{n}", weight) for n, weight in enumerate(weights))
        pools.append(pool(region, *members, weight=draw(st.integers(0, 3))))
    assume(pools)
    drawn = {
        "route": draw(st.sampled_from([(), (Nearest(),), (FENCE, Nearest()), (Weighted(), FENCE)])),
        "healthy_at_least": draw(st.sampled_from([Fraction(n, 4) for n in range(5)])),
        "proxies": draw(st.sampled_from(["fallback", "never", "always"])),
        "all_down": draw(st.sampled_from(["serve_all", "nodata", "servfail"])),
        "answers": draw(st.integers(0, 3)),
        "sticky": draw(st.none() | st.just(Sticky())),
        "failback": draw(st.sampled_from([Failback(), Failback(10.0), Failback(0.0, 10.0)])),
        "ttl_s": 60,
    }
    return service(*pools, **{**drawn, **keys})


def believed_of(made, data):
    """Return beliefs of all members and proxies."""
    everyone = [str(each.address) for each_pool in made.pools for each in each_pool.members]
    return {each: data.draw(beliefs) for each in [*everyone, *PROXIES.values()]}


def served(snap, made, client, draw=0, now_s=0.0):
    """Return the response to a query for a service's A records."""
    query = Query(0, 0, b"", made.name, A, IN)
    return answer(snap, query, ip_address(client), draw, now_s)


def addresses(response):
    return [str(ip_address(rdata.whole)) for part in response.answer for rdata in part.rdatas]


def wire_of(qname="www.example.com", qtype="A", *, payload=None, subnet=None):
    options = [] if subnet is None else [dns.edns.ECSOption(*subnet)]
    message = dns.message.make_query(
        qname,
        qtype,
        use_edns=-1 if payload is None else 0,
        payload=payload or 0,
        options=options if payload is not None else None,
    )
    message.id = 4711
    return message.to_wire()


# 1.


REAL = wire_of(payload=1232, subnet=("192.0.2.0", 24))


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: REAL[:33] + tail))
def test_1_any_datagram_decodes_to_a_query_or_raises_wire_error(wire):
    try:
        query = decode_query(wire)
    except WireError:
        return

    assert isinstance(query, Query)


# 2.


@given(services(), st.data(), clients, draws, st.sampled_from(["A", "AAAA", "TXT"]))
def test_2_the_same_snapshot_query_client_and_draw_give_the_same_bytes(
    made, data, client, draw, qtype
):
    found = believed_of(made, data)
    before = snapshot(plan(made, known=KNOWN, regions=PROXIED))
    one = snapshot(before.plan, found, previous=before)
    other = snapshot(plan(made, known=KNOWN, regions=PROXIED), found)
    wire = wire_of(qtype=qtype, payload=1232, subnet=("198.51.100.0", 24))

    answers = {ask(each, wire, client, draw=draw) for each in (one, other, one)}

    assert len(answers) == 1


# 3.


@given(services(answers=1, sticky=None, route=(), failback=Failback(), proxies="never"))
def test_3_over_one_cycle_of_draws_each_member_is_picked_as_often_as_its_share_says(made):
    shares = shares_of(made)
    assume(shares)
    snap = snapshot(plan(made))
    cycle = lcm(*(share.denominator for share in shares.values()))

    picked = Counter(addresses(served(snap, made, CLIENTS[0], draw))[0] for draw in range(cycle))

    assert {each: Fraction(times, cycle) for each, times in picked.items()} == shares


def shares_of(made):
    """Return each member's share of one rung that holds all pools, by the design's words."""
    shares = {}
    for each in made.pools:
        total = sum(one.weight for one in each.members)
        for one in each.members:
            if each.weight * one.weight:
                shares[str(one.address)] = Fraction(each.weight * one.weight, total)
    whole = sum(shares.values())
    return {address: share / whole for address, share in shares.items()}


# 4 and 5.


def within_fence(made, client):
    """Return the pools that a client may have, and with them their regions' proxies."""
    allowed = FENCED.get(client) if FENCE in made.route else None
    return [each for each in made.pools if allowed is None or each.region in allowed]


@settings(max_examples=200)
@given(services(), st.data(), clients, draws)
def test_4_no_member_that_is_down_is_served_while_one_with_weight_is_up_and_no_fence_is_left(
    made, data, client, draw
):
    found = believed_of(made, data)
    snap = snapshot(plan(made, known=KNOWN, regions=PROXIED), found)

    got = set(addresses(served(snap, made, client, draw)))

    pools = within_fence(made, client)
    inside = {str(each.address) for each_pool in pools for each in each_pool.members}
    assert got <= inside | {PROXIES[each.region] for each in pools}
    if any_up_with_weight(pools, found):
        assert all(found[each].lives and not found[each].drained for each in got)


def any_up_with_weight(pools, found):
    return any(
        each.weight and each_pool.weight and is_up(found[str(each.address)])
        for each_pool in pools
        for each in each_pool.members
    )


def is_up(belief):
    if belief.forced is not None:
        return belief.forced is Word.UP
    return belief.verdict is Verdict.UP


@settings(max_examples=150)
@given(services(), st.data(), clients, draws)
def test_5_health_alone_never_makes_an_answer_empty(made, data, client, draw):
    found = believed_of(made, data)
    snap = snapshot(plan(made, known=KNOWN, regions=PROXIED), found)

    got = served(snap, made, client, draw)

    pools = within_fence(made, client)
    if pools and made.all_down == "serve_all":
        assert addresses(got)
    if any_up_with_weight(pools, found):
        assert addresses(got)
    if not addresses(got):
        assert made.all_down != "serve_all" or not pools
        assert got.authority or got.rcode


# 6.


@given(
    st.integers(1, 200),
    st.none() | st.integers(0, 65_535),
    st.sampled_from(["www", "WwW", "text", "mail", "sub", "nothing", "alias", "x.moved"]),
    st.sampled_from(["A", "TXT", "MX", "NS", "ANY", "AAAA"]),
    st.booleans(),
)
@example(23, None, "alias", "A", False)
def test_6_a_response_fits_or_has_tc_set_and_an_independent_library_reads_it_as_meant(
    members, payload, owner, qtype, stale
):
    many = service(pool("us", *(f"10.0.0.{n}" for n in range(members))), answers=0)
    records = [
        ("text", "TXT", " ".join(['"' + "x" * 200 + '"'] * 4)),
        ("mail", "MX", "1 mx1"),
        ("mail", "MX", "2 mx.example.net."),
        ("sub", "NS", "ns1.sub"),
        ("sub", "NS", "ns2.sub"),
        *((f"ns{n % 2 + 1}.sub", "A", f"10.1.0.{n}") for n in range(80)),
        ("alias", "CNAME", "www"),
        ("moved", "DNAME", "x.sub"),
    ]
    snap = snapshot(plan(many, records=records), stale=stale)
    wire = wire_of(f"{owner}.example.com", qtype, payload=payload, subnet=("192.0.2.0", 24))

    udp = ask(snap, wire, size_max=UDP_MAX)
    whole = dns.message.from_wire(ask(snap, wire, size_max=TCP_MAX))

    limit = 512 if payload is None else min(UDP_MAX, max(512, payload))
    got = dns.message.from_wire(udp)
    assert len(udp) <= limit
    assert whole.flags & dns.flags.TC == 0
    if got.flags & dns.flags.TC:
        assert len(whole.to_wire()) > limit - 64
    else:
        assert (got.rcode(), got.answer) == (whole.rcode(), whole.answer)
        assert got.authority == whole.authority


# 7.


PLACES = [Place(LONDON, "GB", "EU", 1), Place(NEW_YORK, "US", "NA", 2), Place(SINGAPORE, "SG")]


@st.composite
def networks(draw):
    length = draw(st.integers(1, 32))
    number = draw(st.integers(0, 2**32 - 1)) >> (32 - length) << (32 - length)
    if draw(st.booleans()):
        return str(ip_network((number, length)))
    return str(ip_network((0x2001_0DB8 << 96 | number << 64, 32 + length)))


@settings(max_examples=100)
@given(
    st.dictionaries(networks(), st.sampled_from(PLACES), max_size=8),
    st.lists(networks(), max_size=3),
    st.sampled_from([(Nearest(),), (FENCE, Nearest()), (FENCE,)]),
    networks(),
    st.data(),
)
def test_7_every_address_inside_the_returned_scope_gets_the_same_order(
    places, listed, steps, subnet, data
):
    lists = tuple((ip_network(each), (("ap",), ("us",))) for each in dict.fromkeys(listed))
    route = (Listed(Fact.SUBNETS, lists), *steps)
    made = service(
        pool("us", "10.0.0.1"), pool("eu", "10.1.0.1"), pool("ap", "10.2.0.1"), route=route
    )
    known = atlas(places)
    snap = snapshot(plan(made, known=known))
    network = ip_network(subnet)
    query = decode_query(
        wire_of(payload=1232, subnet=(str(network.network_address), network.prefixlen))
    )

    scope = answer(snap, query, ip_address("127.0.0.1"), 0, 0.0).scope

    bits = network.max_prefixlen
    first = int(network.network_address) >> (bits - scope) << (bits - scope)
    width = 1 << (bits - scope)
    edges = [
        int(edge)
        for each in (*places, *listed)
        if ip_network(each).version == network.version
        for edge in (ip_network(each).network_address, ip_network(each).broadcast_address)
    ]
    inside = [edge for edge in edges if first <= edge < first + width]
    inside += [first, first + width - 1, first + data.draw(st.integers(0, width - 1))]
    cls = IPv4Address if network.version == 4 else IPv6Address
    orders = {order_at(made, known, cls(each)) for each in inside}
    assert orders == {order_at(made, known, network.network_address)}


def order_at(made, known, address):
    """Return the order by the route itself, without any map."""
    names = [each.region for each in made.pools]
    return prepare(made.route, REGIONS).order_of(names, client_of(made.route, known, address))


# 8.


@given(st.lists(st.tuples(st.sampled_from(range(4)), st.sampled_from([*Word, None]))))
def test_8_one_answer_sees_one_generation_and_generations_only_grow(words):
    everyone = [f"192.0.2.{n}" for n in range(1, 5)]
    made = service(pool("us", *probed(*everyone)), answers=0)
    controller = Controller(world_of(config(made)), lambda: 0.0, Counters(), Events(lambda: 0.0))
    seen = [(controller.snapshot, whole_answer(controller.snapshot))]

    for at, word in words:
        if word is None:
            controller.release(everyone[at])
        else:
            controller.force(everyone[at], Forced(word))
        seen.append((controller.snapshot, whole_answer(controller.snapshot)))

    generations = [snap.generation for snap, _ in seen]
    assert generations == sorted(generations)
    for (one, said), (other, said_then) in pairwise(seen):
        assert (one.generation < other.generation) is (one is not other)
        assert said == said_then or one is not other
    assert all(whole_answer(snap) == said for snap, said in seen)
    with pytest.raises(AssertionError, match="only grow"):
        controller.publish(seen[0][0])


def whole_answer(snap):
    return ask(snap, wire_of(), draw=0)


# 9.


@st.composite
def results(draw):
    """Return whether a probe succeeds, how long it takes, and how late the next one starts."""
    reason = draw(st.sampled_from(["ok", "refused", "refused", "ok", LOCAL]))
    return reason, draw(st.floats(0.0, 1.0)), draw(st.floats(0.0, 2.0))


@settings(max_examples=200)
@given(
    st.lists(results(), min_size=4, max_size=40),
    st.integers(1, 4),
    st.integers(1, 4),
    st.floats(0.05, 10.0),
    st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4),
)
def test_9_a_verdict_flips_no_sooner_than_the_ttl_that_was_served_promised(
    probes, fall, rise, recheck_s, moments
):
    timeout_s = 4.0
    monitor = Monitor(
        name="web",
        interval_s=12.0,
        timeout_s=timeout_s,
        fall=fall,
        rise=rise,
        recheck_s=recheck_s,
    )
    only = Member(ip_address("10.0.0.1"), 1, subject_of("10.0.0.1"))
    www = service(pool("us", only), pool("eu", "10.1.0.1"), ttl_s=600, ttl_min_s=1)
    made = plan(www)
    record, start_s, promised_s = Record(), 0.0, 0.0

    for reason, took, late_s in probes:
        end_s = start_s + took * timeout_s
        before = record
        record = observe(
            record,
            Result(reason == "ok", reason),
            monitor,
            started_s=start_s,
            now_s=end_s,
        )
        if before.verdict is not Verdict.UNKNOWN and record.verdict is not before.verdict:
            assert end_s >= promised_s, "a verdict flipped while a longer TTL was out"
            promised_s = 0.0
        start_s = late_s + (
            recheck_at_s(record, monitor) if record.streak else start_s + monitor.interval_s
        )
        belief = believe(record, None, end_s)
        snap = snapshot(made, {"10.0.0.1": belief}, now_s=end_s)
        for moment in moments:
            now_s = end_s + moment * max(0.0, start_s - end_s)
            ttl_s = served(snap, www, "127.0.0.1", now_s=now_s).answer[0].ttl_s
            assert 1 <= ttl_s <= 600
            if belief.flips_at_s is not None and ttl_s > 1:
                promised_s = max(promised_s, now_s + ttl_s)
            if belief.flips_at_s is None:
                assert ttl_s == 600
