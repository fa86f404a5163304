"""Explanations: that they tell what is served, and why, in the words of the design."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns import name
from gslb.dns.message import Query
from gslb.dns.records import AAAA, ANY, AXFR, CNAME, IN, MX, TXT, A
from gslb.health.belief import Belief
from gslb.health.verdict import Verdict
from gslb.model import (
    Fact,
    Failback,
    Family,
    Fence,
    Latency,
    Listed,
    Nearest,
    Order,
    Place,
    Sticky,
    Weighted,
)
from gslb.routing.answer import answer
from gslb.routing.choice import Choice
from gslb.routing.explain import ToldMember, explain
from tests.world import (
    APEX,
    DOWN,
    DRAINED,
    FORCED_DOWN,
    FORCED_UP,
    LONDON,
    NEW_YORK,
    REGIONS,
    UNKNOWN,
    UP,
    atlas,
    member,
    plan,
    pool,
    service,
    snapshot,
)

U1, U2, E1, E2, A1 = "192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "203.0.113.1"
PE = "198.51.100.100"
KNOWN = atlas(
    {
        "192.0.2.0/24": Place(LONDON, "GB", "EU", 64500),
        "198.51.100.0/24": Place(NEW_YORK, "US", "NA", 64501),
        "2001:db8::/32": Place(LONDON, "GB", "EU", None),
    }
)
LONDONER, NEW_YORKER, STRANGER = "192.0.2.9/32", "198.51.100.9/32", "203.0.113.9/32"
PROXIED = REGIONS | {"eu": replace(REGIONS["eu"], proxies=(member(PE),))}
WWW = service(pool("us", U1, U2), pool("eu", member(E1, 3), member(E2, 1)), ttl_s=60)
RECORDS = [
    ("alias", "CNAME", "alias2"),
    ("alias2", "CNAME", "www"),
    ("moved", "DNAME", "wild"),
    ("www", "TXT", '"beside"'),
    ("mail", "A", "192.0.2.25"),
    ("sub", "NS", "ns.example.net."),
]


def told(
    made=WWW,
    owner="www",
    qtype=A,
    client=LONDONER,
    beliefs=None,
    *,
    regions=REGIONS,
    now_s=0.0,
    more=(),
    **keys,
):
    snap = snapshot(
        plan(made, *more, records=RECORDS, known=KNOWN, regions=regions),
        beliefs,
        now_s=now_s,
        **keys,
    )
    return explain(snap, name.parse(owner, APEX), qtype, ip_network(client), now_s)


def test_a_service_is_told_whole():
    got = told()

    assert (got.name, got.type, got.client) == ("www.example.com", "A", LONDONER)
    assert (got.rcode, got.scope, got.generation) == ("NOERROR", 24, 1)
    assert (got.ttl_s, got.ttl_why) == (60, "ttl, as no verdict is in doubt")
    assert (got.served, got.service, got.place.country) == ("rung 1", "www.example.com", "GB")
    assert got.answers == ((E1, "eu", 0.75), (E2, "eu", 0.25))
    assert [(step.step, step.rungs) for step in got.steps] == [("nearest", (("eu",), ("us",)))]
    assert got.steps[0].why == "eu 466 km, us 5923 km"
    assert [(rung.regions, rung.outcome, rung.living_share) for rung in got.rungs] == [
        (("eu",), "served", 1.0),
        (("us",), "not reached", 1.0),
    ]
    assert got.rungs[0].members[0] == ToldMember(
        address=E1, region="eu", share=0.75, verdict="up", forced=None, kept=True, why="up"
    )
    assert (got.aliases, got.notes) == ((), ())


# The rungs.


def test_a_rung_that_is_passed_by_is_told():
    got = told(beliefs={E1: replace(DOWN, reason="refused"), U2: FORCED_DOWN})

    assert got.served == "rung 2"
    assert [rung.outcome for rung in got.rungs] == ["below threshold", "served"]
    assert [rung.living_share for rung in got.rungs] == [0.25, 0.5]
    assert [(each.kept, each.why) for each in got.rungs[0].members] == [
        (False, "down: refused"),
        (True, "up"),
    ]
    assert [(each.kept, each.forced) for each in got.rungs[1].members] == [
        (True, None),
        (False, "down"),
    ]


@pytest.mark.parametrize(
    ("beliefs", "keys", "served", "notes"),
    [
        ({}, {}, "rung 1", ()),
        (
            {E1: DOWN, U1: DOWN},
            {"healthy_at_least": Fraction(1)},
            "rung 1, below its threshold",
            (),
        ),
        (
            {E1: DOWN, E2: DOWN},
            {"regions": PROXIED},
            "proxies of rung 1",
            ("no healthy member near: served by the region's proxies",),
        ),
        (
            dict.fromkeys((U1, U2, E1, E2), DOWN),
            {},
            "all_down: serve_all",
            ("all members down: served all the same",),
        ),
        (dict.fromkeys((U1, U2, E1, E2), DOWN), {"all_down": "nodata"}, "all_down: nodata", ()),
        (
            dict.fromkeys((U1, U2, E1, E2), DOWN),
            {"all_down": "servfail"},
            "all_down: servfail",
            ("all members down",),
        ),
        (
            dict.fromkeys((U1, U2, E1, E2), DRAINED),
            {},
            "rung 1",
            ("all members are drained, so they are served all the same",),
        ),
        (
            dict.fromkeys((E1, E2), replace(DRAINED, staying=725)),
            {},
            "rung 1",
            ("drained gradually: 72.5 % of clients are answered as before",),
        ),
        (
            {},
            {"stale": True},
            "rung 1",
            ("restored: verdicts are those from before the restart",),
        ),
    ],
)
def test_by_which_rule_it_is_served(beliefs, keys, served, notes):
    of_service = {k: keys.pop(k) for k in ("healthy_at_least", "all_down") if k in keys}

    got = told(replace(WWW, **of_service), beliefs=beliefs, **keys)

    assert (got.served, got.notes) == (served, notes)


def test_reserves_that_serve_are_told():
    reserved = service(pool("us", U1, member(U2, 0)))

    got = told(reserved, beliefs={U1: DOWN})

    assert got.served == "reserves of rung 1"
    assert got.answers == ((U2, "us", 1.0),)
    assert [each.kept for each in got.rungs[0].members] == [False, True]


def test_a_rung_of_reserves_alone_has_no_shares():
    got = told(service(pool("us", U1, weight=0), pool("eu", E1)), client=NEW_YORKER)

    assert (got.rungs[0].living_share, got.rungs[0].members[0].share) == (0.0, 0.0)
    assert got.served == "rung 2"


def test_a_drained_member_is_told_as_drained_also_when_all_are():
    some = told(beliefs={E1: DRAINED})
    every = told(beliefs=dict.fromkeys((U1, U2, E1, E2), DRAINED))

    assert (some.rungs[0].members[0].forced, some.rungs[0].members[0].kept) == ("drain", False)
    assert (every.rungs[0].members[0].forced, every.rungs[0].members[0].kept) == ("drain", True)


def test_a_member_that_is_held_back_is_not_kept():
    held = Belief(verdict=Verdict.UP, risen_at_s=99.0)

    got = told(replace(WWW, failback=Failback(10.0)), beliefs={E2: held}, now_s=100.0)

    assert [(each.kept, each.why) for each in got.rungs[0].members] == [
        (True, "up"),
        (False, "up again, held back"),
    ]
    assert got.answers == ((E1, "eu", 1.0),)


def test_a_fence_that_leaves_nothing_is_told():
    fence = Fence((Listed(Fact.COUNTRIES, (("GB", (("ap",),)),)),))

    got = told(replace(WWW, route=(fence, Nearest())))

    assert (got.served, got.answers, got.rungs) == ("all_down: nodata", (), ())
    assert got.notes == ("the fences leave this client nothing",)
    assert got.steps[0].why == "countries GB: ap"
    assert (got.ttl_s, got.ttl_why) == (5, "ttl_min, as the answer is unusual")


# The time to live.


@pytest.mark.parametrize(
    ("beliefs", "keys", "ttl_s", "why"),
    [
        (
            {E1: replace(UP, flips_at_s=12.34)},
            {},
            12,
            "a verdict may flip in 12.3s: at most that, at least ttl_min (5s), at most ttl (60s)",
        ),
        (
            {E1: replace(UP, flips_at_s=-3.0)},
            {},
            5,
            "a verdict may flip in 0.0s: at most that, at least ttl_min (5s), at most ttl (60s)",
        ),
        ({}, {"stale": True}, 5, "ttl_min, as health is not known again since the restart"),
        (
            dict.fromkeys((U1, U2, E1, E2), DOWN),
            {},
            5,
            "ttl_min, as the answer is unusual",
        ),
    ],
)
def test_the_ttl_and_its_arithmetic(beliefs, keys, ttl_s, why):
    got = told(beliefs=beliefs, **keys)

    assert (got.ttl_s, got.ttl_why) == (ttl_s, why)


def test_an_empty_answer_lives_as_long_as_its_soa():
    dark = replace(WWW, all_down="nodata", ttl_s=900, ttl_min_s=600)

    got = told(dark, beliefs=dict.fromkeys((U1, U2, E1, E2), DOWN))

    assert got.ttl_s == 30


# The steps.


SUBNETS = Listed(Fact.SUBNETS, ((ip_network("192.0.2.0/24"), (("us",), ("eu", "ap"))),))


@pytest.mark.parametrize(
    ("step", "client", "text", "why"),
    [
        (Weighted(), LONDONER, "weighted", "all tie"),
        (Nearest(), LONDONER, "nearest", "eu 466 km, us 5923 km"),
        (Nearest(bias_km=(("us", 5800.0),)), LONDONER, "nearest", "us 123 km, eu 466 km"),
        (Nearest(), STRANGER, "nearest", "the client's location is not known: all tie"),
        (Order((("us",), ("eu",))), LONDONER, "order", "as listed"),
        (SUBNETS, LONDONER, "subnets", "subnets 192.0.2.0/24: us > eu=ap"),
        (SUBNETS, NEW_YORKER, "subnets", "no entry of subnets matches"),
        (
            Listed(Fact.ASNS, ((64500, (("us",),)),)),
            LONDONER,
            "asns",
            "asns 64500: us",
        ),
        (
            Listed(Fact.CONTINENTS, (("EU", (("eu",),)),)),
            STRANGER,
            "continents",
            "no entry of continents matches",
        ),
        (
            Latency("ms.csv", (("GB", "us", 80.5), ("*", "us", 1.0))),
            LONDONER,
            "latency ms.csv",
            "us 80.5 ms, eu unmeasured",
        ),
        (
            Latency("ms.csv", (("*", "us", 9.0), ("*", "eu", 7.0))),
            STRANGER,
            "latency ms.csv",
            "eu 7 ms, us 9 ms",
        ),
        (
            Fence(
                (
                    Listed(Fact.COUNTRIES, (("GB", (("eu",),)),)),
                    Listed(Fact.ASNS, ((1, (("eu",),)),)),
                )
            ),
            LONDONER,
            "fence countries, asns",
            "countries GB: eu; no entry of asns matches",
        ),
    ],
)
def test_a_step_says_what_it_went_by(step, client, text, why):
    got = told(replace(WWW, route=(step,)), client=client)

    assert [(each.step, each.why) for each in got.steps] == [(text, why)]


def test_steps_are_told_in_the_order_of_their_effect_with_the_rungs_after_each():
    fence = Fence((Listed(Fact.COUNTRIES, (("GB", (("eu",), ("us",))),)),))
    three = service(
        pool("us", U1),
        pool("eu", E1),
        pool("ap", A1),
        route=(Order((("us", "ap"),)), Nearest(), fence),
    )

    got = told(three)

    assert [(step.step, step.rungs) for step in got.steps] == [
        ("fence countries", (("eu", "us"),)),
        ("order", (("us",), ("eu",))),
        ("nearest", (("us",), ("eu",))),
    ]


def test_a_route_without_steps_tells_none():
    assert told(replace(WWW, route=())).steps == ()


# Names.


@pytest.mark.parametrize("qname", ["example.net.", "com.", "."])
def test_a_name_that_is_not_ours_has_no_explanation(qname):
    assert told(owner=qname) is None


@pytest.mark.parametrize(
    ("owner", "qtype", "rcode", "served", "ttl_s"),
    [
        ("mail", A, "NOERROR", "static records", 300),
        ("mail", AAAA, "NOERROR", "no such record", 30),
        ("www", TXT, "NOERROR", "static records", 300),
        ("www", AAAA, "NOERROR", "no such record", 30),
        ("www", CNAME, "NOERROR", "no such record", 30),
        ("www", ANY, "NOERROR", "static records", 3600),
        ("nothing", A, "NXDOMAIN", "no such name", 30),
        ("x.sub", A, "NOERROR", "delegated to other servers", 300),
        ("alias", CNAME, "NOERROR", "static records", 300),
        ("www", AXFR, "REFUSED", "no such record", 0),
    ],
)
def test_a_name_without_a_service(owner, qtype, rcode, served, ttl_s):
    got = told(owner=owner, qtype=qtype)

    assert (got.rcode, got.served, got.ttl_s, got.service) == (rcode, served, ttl_s, None)
    assert (got.answers, got.rungs, got.scope) == ((), (), 0)
    assert got.ttl_why == "as the zone's file says"


def test_a_broken_zone_says_so():
    snap = snapshot(replace(plan(WWW), broken=frozenset({name.parse("example.org")})))

    got = explain(snap, name.parse("www.example.org"), A, ip_network(LONDONER), 0.0)

    assert (got.rcode, got.served) == ("SERVFAIL", "zone broken")


@pytest.mark.parametrize(
    ("owner", "aliases", "text"),
    [
        ("alias", ("alias.example.com", "alias2.example.com"), "www.example.com"),
        ("alias2", ("alias2.example.com",), "www.example.com"),
        ("x.moved", ("x.moved.example.com",), "*.wild.example.com"),
        ("X.Moved", ("x.moved.example.com",), "*.wild.example.com"),
        ("q.wild", (), "*.wild.example.com"),
    ],
)
def test_the_way_to_a_service_is_told(owner, aliases, text):
    wild = service(pool("us", A1), owner="*.wild")

    got = told(owner=owner, more=[wild])

    assert (got.service, got.aliases) == (text, aliases)
    assert got.served == "rung 1"


def test_a_service_of_host_names_is_told_by_its_names_whatever_the_type():
    named = service(pool("us", "a.example.net", member("b.example.net", 3)))

    for qtype in (A, MX, CNAME):
        got = told(named, qtype=qtype)
        assert got.answers == (("a.example.net", "us", 0.25), ("b.example.net", "us", 0.75))


def test_of_two_services_in_a_chain_the_first_is_told():
    outer = service(pool("us", "www.example.com"), owner="outer", ttl_s=7)

    got = told(owner="outer", more=[outer])

    assert (got.service, got.ttl_s) == ("outer.example.com", 7)
    assert got.answers == (("www.example.com", "us", 1.0),)


@pytest.mark.parametrize(
    ("qtype", "text"), [(A, "A"), (AAAA, "AAAA"), (CNAME, "CNAME"), (MX, "MX"), (99, "TYPE99")]
)
def test_types_have_their_names(qtype, text):
    assert told(qtype=qtype).type == text


def test_ipv6_clients_and_ipv6_members():
    six = service(pool("us", "2001:db8::1"), pool("eu", U1), ttl_s=60)

    got = told(six, qtype=AAAA, client="2001:db8::/48")

    assert got.answers == (("2001:db8::1", "us", 1.0),)
    assert got.steps[0].rungs == (("us",),)
    assert got.client == "2001:db8::/48"


# What is explained is what is served.


beliefs_ = st.sampled_from([UP, DOWN, UNKNOWN, FORCED_UP, FORCED_DOWN, DRAINED])
flips_at = st.none() | st.floats(0.0, 100.0)
EVERYONE = (U1, U2, E1, E2, A1, PE)


@given(
    st.fixed_dictionaries({each: st.tuples(beliefs_, flips_at) for each in EVERYONE}),
    st.sampled_from([LONDONER, NEW_YORKER, STRANGER, "2001:db8::/56"]),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
    st.sampled_from(["serve_all", "nodata", "servfail"]),
    st.sampled_from(["fallback", "never", "always"]),
    st.integers(0, 3),
    st.sampled_from([None, Sticky(28, 60)]),
    st.booleans(),
)
def test_the_explanation_tells_what_is_served(
    found, client, weights, all_down, proxies, answers, sticky, stale
):
    u1, u2, e1, e2, a1 = map(member, EVERYONE[:5], weights)
    made = service(
        pool("us", u1, u2),
        pool("eu", e1, e2),
        pool("ap", a1, weight=weights[0]),
        all_down=all_down,
        proxies=proxies,
        answers=answers,
        sticky=sticky,
        ttl_s=60,
    )
    beliefs = {each: replace(b, flips_at_s=flip) for each, (b, flip) in found.items()}
    snap = snapshot(plan(made, known=KNOWN, regions=PROXIED), beliefs, stale=stale)
    asker = ip_network(client).network_address
    query = Query(0, 0, b"", made.name, A, IN)

    got = explain(snap, made.name, A, ip_network(client), 1.0)

    choice = choice_at(snap, made, client)
    cycle = range(min(choice.upto[-1], 10_000)) if choice.upto else range(1)
    responses = [answer(snap, query, asker, draw, 1.0) for draw in cycle]
    addresses = Counter(
        str(ip_address(rdata.whole))
        for response in responses
        for part in response.answer
        for rdata in part.rdatas
    )
    shares = {address: share for address, _, share in got.answers}
    assert set(addresses) <= set(shares)
    if sticky is None:
        assert set(addresses) == set(shares)
    if sticky is None and answers == 1:
        assert shares == {address: times / len(cycle) for address, times in addresses.items()}
    assert not shares or abs(sum(shares.values()) - 1) < 1e-9
    for response in responses:
        assert got.scope == response.scope
        said = [*response.answer, *response.authority]
        assert got.ttl_s == (said[0].ttl_s if said else 0)
    assert bool(shares) is bool(responses[0].answer)


def choice_at(snap, made, client) -> Choice:
    entry = snap.entries[made.name]
    network = ip_network(client)
    index, _ = entry.maps[Family.A].find(network.version, int(network.network_address))
    return entry.choices[Family.A][index]
