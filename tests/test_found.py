"""Plans with found members in them: who is in, once, in one order, and what stays as it is."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.daemons import native
from gslb.daemons.mirror import Mirror
from gslb.dns import name
from gslb.health.belief import Belief
from gslb.health.verdict import Verdict
from gslb.model import Discover, Family, Member, Pool, Service, Source, Subject
from gslb.routing.climb import Way
from gslb.routing.explain import explain
from gslb.routing.found import NOTHING, POOL_MEMBERS_MAX, Found, FoundMember, peopled, with_found
from gslb.routing.respond import respond
from gslb.routing.snapshot import compile_snapshot, map_keys
from tests.world import plan

ALL = Discover(register=True, file="/members", dns="app.example.net", monitor="web", port=80)


def one(text, weight=1, probe=None):
    return FoundMember(ip_address(text), weight, probe)


def service(*pools, **keys):
    return Service(
        name=name.parse("www.example.com"),
        text="www.example.com",
        zone=name.parse("example.com"),
        pools=pools,
        **keys,
    )


def found(**regions):
    return Found({"www.example.com": regions})


def addresses(made):
    return [[str(member.address) for member in pool.members] for pool in made.pools]


def test_found_members_stand_behind_those_that_are_written_in_the_order_of_their_addresses():
    made = with_found(
        service(Pool("eu", (Member(ip_address("192.0.2.9")),), discover=ALL)),
        found(
            eu={
                Source.FILE: (one("192.0.2.3"), one("2001:db8::1")),
                Source.LEASE: (one("192.0.2.5"),),
                Source.DNS: (one("192.0.2.1"),),
            }
        ),
    )

    assert addresses(made) == [["192.0.2.9", "192.0.2.1", "192.0.2.3", "192.0.2.5", "2001:db8::1"]]
    sources = [member.source for member in made.pools[0].members]
    assert sources == [Source.CONFIGURED, Source.DNS, Source.FILE, Source.LEASE, Source.FILE]


def test_an_address_is_a_member_once_and_the_first_source_and_pool_have_it():
    written = Member(ip_address("192.0.2.1"))
    made = with_found(
        service(Pool("eu", (), discover=ALL), Pool("us", (written,), discover=ALL)),
        found(
            eu={
                Source.LEASE: (one("192.0.2.1"), one("192.0.2.2", 5)),
                Source.FILE: (one("192.0.2.2", 7),),
            },
            us={Source.LEASE: (one("192.0.2.2", 9),)},
        ),
    )

    assert addresses(made) == [["192.0.2.2"], ["192.0.2.1"]]
    assert made.pools[0].members[0].weight == 5


def test_a_pool_hears_only_the_sources_that_it_names():
    only = Discover(file="/members")
    said = {Source.LEASE: (one("192.0.2.1"),), Source.FILE: (one("192.0.2.2"),)}

    made = with_found(service(Pool("eu", (), discover=only), Pool("us", ())), found(eu=said))

    assert addresses(made) == [["192.0.2.2"], []]


def test_a_found_member_is_probed_as_the_service_says_or_where_the_source_does():
    members = (
        one("192.0.2.1"),
        one("192.0.2.2", 1, ("192.0.2.2", 81)),
        one("192.0.2.3", 1, ("h", None)),
    )
    discover = replace(ALL, host="www.example.com")

    made = with_found(service(Pool("eu", (), discover=discover)), found(eu={Source.DNS: members}))

    assert [member.subject for member in made.pools[0].members] == [
        Subject("192.0.2.1", ("192.0.2.1", 80), "web", "www.example.com"),
        Subject("192.0.2.2", ("192.0.2.2", 81), "web", "www.example.com"),
        Subject("192.0.2.3", ("h", 80), "web", "www.example.com"),
    ]
    unprobed = service(Pool("eu", (), discover=Discover(dns="a")))
    [member] = with_found(unprobed, found(eu={Source.DNS: members[:1]})).pools[0].members
    assert member.subject is None


def test_no_pool_has_more_members_than_may_be():
    many = tuple(FoundMember(ip_address(0xC0000000 + n)) for n in range(POOL_MEMBERS_MAX + 1))

    made = with_found(service(Pool("eu", (), discover=ALL)), found(eu={Source.FILE: many}))

    assert len(made.pools[0].members) == POOL_MEMBERS_MAX


LISTS = st.lists(
    st.builds(
        FoundMember,
        st.integers(0, 5).map(lambda n: ip_address(0xC0000200 + n)),
        st.integers(0, 3),
    ),
    max_size=6,
).map(tuple)
SAID = st.dictionaries(st.sampled_from([Source.LEASE, Source.FILE, Source.DNS]), LISTS)


@given(st.lists(SAID, min_size=1, max_size=5))
def test_what_was_found_before_makes_no_difference(said):
    base = service(Pool("eu", (Member(ip_address("192.0.2.1")),), discover=ALL))
    made = base
    for each in said:
        made = with_found(made, found(eu=each))

    assert made == with_found(base, found(eu=said[-1]))
    assert with_found(made, found(eu=said[-1])) is made
    assert with_found(made, NOTHING) == base


def world(*pools, **keys):
    other = replace(
        service(Pool("eu", (Member(ip_address("192.0.2.200")),))),
        name=name.parse("api.example.com"),
        text="api.example.com",
    )
    return plan(service(*pools, **keys), other)


UP = Belief(verdict=Verdict.UP)


def test_a_plan_without_news_is_the_same_plan():
    made = world(Pool("eu", (), discover=ALL))

    assert peopled(made, NOTHING) is made
    assert peopled(made, found(us={Source.DNS: (one("192.0.2.1"),)})) is made
    assert peopled(made, NOTHING, [name.parse("gone.example.com")]) is made


def test_only_services_with_other_members_compile_again():
    before = world(Pool("eu", (), discover=ALL))
    asked = []

    def believed(served, _):
        asked.append(served.text)
        return UP

    first = compile_snapshot(before, believed, generation=1, now_s=0.0)
    asked.clear()
    after = peopled(before, found(eu={Source.LEASE: (one("192.0.2.1"),)}))
    second = compile_snapshot(after, believed, generation=2, now_s=0.0, previous=first, touched=())

    www, api = name.parse("www.example.com"), name.parse("api.example.com")
    assert set(asked) == {"www.example.com"}
    assert second.changed == {www}
    assert second.entries[api] is first.entries[api]
    assert [len(choice.rdatas) for choice in second.entries[www].choices[Family.A]] == [1]
    assert after.resembles(before)
    assert not replace(after, node="other").resembles(before)


def test_a_pool_that_discovers_may_come_to_have_either_family_and_needs_no_other_map():
    empty = service(Pool("eu", (), discover=ALL), Pool("us", (Member(ip_address("192.0.2.1")),)))
    full = with_found(empty, found(eu={Source.DNS: (one("2001:db8::1"),)}))

    assert empty.families() == (Family.A, Family.AAAA)
    assert empty.discovers
    assert map_keys(empty) == map_keys(full)
    assert map_keys(empty)[Family.A].names == ("eu", "us")
    assert map_keys(empty)[Family.AAAA].names == ("eu",)


def ways(made):
    snap = compile_snapshot(made, lambda *_: UP, generation=1, now_s=0.0)
    entry = snap.entries[name.parse("www.example.com")]
    return {family: {c.way for c in choices} for family, choices in entry.choices.items()}


def test_a_service_with_nobody_at_all_goes_by_all_down():
    for all_down, way in (
        ("serve_all", Way.NODATA),
        ("nodata", Way.NODATA),
        ("servfail", Way.SERVFAIL),
    ):
        made = world(Pool("eu", (), discover=ALL), all_down=all_down)
        assert ways(made) == {Family.A: {way}, Family.AAAA: {way}}


def test_a_family_without_members_is_no_failure_while_another_has_some():
    member = Member(ip_address("192.0.2.1"))
    made = world(Pool("eu", (member,), discover=ALL), all_down="servfail")

    assert ways(made) == {Family.A: {Way.RUNG}, Family.AAAA: {Way.NODATA}}


def test_an_explanation_says_that_nobody_is_known():
    made = compile_snapshot(
        world(Pool("eu", (), discover=ALL)), lambda *_: UP, generation=1, now_s=0.0
    )
    told = explain(made, name.parse("www.example.com"), 1, ip_network("192.0.2.1"), 0.0)

    assert told.notes == ("no member that could be answered is known yet",)


def test_an_empty_pool_is_passed_by():
    member = Member(ip_address("192.0.2.1"))
    made = world(Pool("eu", (), discover=ALL), Pool("us", (member,)))

    assert ways(made)[Family.A] == {Way.RUNG}


def test_what_differs_is_told_by_service():
    one_, other = found(eu={Source.DNS: (one("192.0.2.1"),)}), found(eu={})

    assert one_.differing(other) == {"www.example.com"}
    assert one_.differing(one_) == set()
    assert one_.addresses("www.example.com") == {(Source.DNS, "eu", ip_address("192.0.2.1"))}
    assert one_.of("www.example.com", "us") == {}


def test_a_member_has_to_be_put_into_no_image_but_its_services():
    if not native.IS_BUILT:
        pytest.skip("the native engine is not built")
    before = world(Pool("eu", (), discover=ALL))
    first = compile_snapshot(before, lambda *_: UP, generation=1, now_s=0.0)
    said = found(eu={Source.LEASE: (one("192.0.2.1"), one("2001:db8::1"))})
    after = peopled(before, said)
    second = compile_snapshot(
        after, lambda *_: UP, generation=2, now_s=0.0, previous=first, touched=()
    )
    third = compile_snapshot(
        peopled(after, NOTHING), lambda *_: UP, generation=3, now_s=0.0, previous=second, touched=()
    )
    mirror = Mirror()
    mirror.of(first)
    planned = mirror.planned

    for snap in (second, third):
        made = mirror.of(snap)
        assert mirror.planned.native is planned.native
        for type_ in ("A", "AAAA"):
            wire = dns.message.make_query("www.example.com", type_).to_wire()
            sender = ip_address("192.0.2.99")
            octets = made.respond(wire, sender.packed, 0, 0.0, 1232, None)[0]
            assert octets == respond(snap, wire, sender, 0, 0.0, size_max=1232).octets
            answered = dns.message.from_wire(octets)
            assert len(answered.answer) == (1 if snap is second else 0)
            assert answered.rcode() == 0
