"""Where a name is found in a zone, compared with a slow walk from the apex down."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gslb.dns import name, records, zone
from gslb.dns.records import AAAA, CNAME, DNAME, DS, NS, SOA, TXT, A
from gslb.dns.zone import How

APEX = name.parse("example.com.")
NUMBERS = b"".join(number.to_bytes(4, "big") for number in (1, 7200, 900, 1209600, 60))


def wire(text):
    return name.parse(text, APEX)


DATA = {
    A: [b"\xc0\0\2\1"],
    AAAA: [bytes(16)],
    TXT: [b"\1a"],
    CNAME: [wire("a")],
    DNAME: [wire("b.a")],
    DS: [b"\0\1\x08\2" + bytes(32)],
    SOA: [wire("ns") + wire("admin") + NUMBERS],
}


def rrset(type_, rdatas=None, ttl_s=300):
    return records.rrset(type_, ttl_s, rdatas or DATA[type_], APEX)


def servers(*texts):
    return rrset(NS, [wire(text) for text in texts])


HEAD = [(APEX, rrset(SOA)), (APEX, servers("ns"))]


def built(owned, services=()):
    """Build a zone of owners and types as text, with the usual head."""
    at = [
        (wire(owner), servers(*rest[1:]) if rest[0] == NS else rrset(*rest))
        for owner, *rest in owned
    ]
    return zone.build(APEX, [*HEAD, *at], [wire(owner) for owner in services])


# The oracle: RFC 1034 4.3.2 with RFC 4592 and 6672, label by label from the apex down.


@dataclass
class Expected:
    how: How
    owner: bytes
    types: set[int]
    service: bool


def walk(owned, services, qname):
    """Return where *qname* is found, looking at every owner at every step."""
    data = {}
    for owner, one in owned:
        data.setdefault(owner, {})[one.type] = one

    def exists(owner):
        return any(name.is_within(each, owner) for each in [*data, *services])

    def expected(how, owner):
        return Expected(how, owner, set(data.get(owner, {})), owner in services)

    path = [each for each in name.ancestors(qname) if name.is_within(each, APEX)]
    current = path.pop()
    while True:
        types = data.get(current, {})
        if NS in types and current != APEX:
            return expected(How.REFERRAL, current)
        if not path:
            return expected(How.EXACT, current)
        if DNAME in types:
            return expected(How.DNAME, current)
        if exists(path[-1]):
            current = path.pop()
            continue
        star = b"\1*" + current
        if exists(star):
            return expected(How.WILDCARD, star)
        return expected(How.NXDOMAIN, current)


alphabet = st.sampled_from(["a", "b", "*"])
relative = st.lists(alphabet, max_size=3).map(".".join).map(lambda text: text or "@")
apart = st.sampled_from([A, TXT, DS, NS, NS, DNAME, CNAME])


def lawful(owned):
    """Return the owners and types that a checked zone may hold together."""
    kept = {}
    for owner, type_ in owned:
        beside = kept.setdefault(owner, [])
        starred = owner.startswith("*")
        apex = owner == "@"
        if (
            type_ in beside
            or CNAME in beside
            or (type_ == CNAME and (beside or apex))
            or (type_ in (NS, DNAME) and starred)
            or (type_ == NS and (apex or DNAME in beside))
            or (type_ == DNAME and NS in beside and not apex)
        ):
            continue
        beside.append(type_)
    return [(owner, type_) for owner, types in kept.items() for type_ in types]


zones = st.lists(st.tuples(relative, apart), max_size=7).map(lawful)


@given(zones, st.lists(relative, max_size=3), st.lists(alphabet, max_size=5).map(".".join))
@example([("a", NS)], ["b.a"], "a.b.a")
@example([("@", DNAME), ("a", A)], [], "a")
@example([("*.a", A)], [], "b.*.a")
def test_a_name_is_found_where_a_walk_from_the_apex_finds_it(owned, services, qname):
    rrsets = [
        *HEAD,
        *((wire(owner), servers("ns") if type_ == NS else rrset(type_)) for owner, type_ in owned),
    ]
    names = {wire(owner) for owner in services}
    names -= {owner for owner, one in rrsets if one.type in (NS, CNAME) and owner != APEX}
    asked = wire(qname or "@")

    found = zone.build(APEX, rrsets, names).find(asked)

    expected = walk(rrsets, names, asked)
    assert (found.how, found.owner) == (expected.how, expected.owner)
    assert set(found.node.rrsets) == expected.types
    assert found.node.service == expected.service
    assert found.node.cut == (expected.how is How.REFERRAL)


# RFC 4592 2.2.1

RFC_4592 = [
    ("*", TXT),
    ("sub.*", TXT),
    ("host1", A),
    ("_ssh._tcp.host1", TXT),
    ("_ssh._tcp.host2", TXT),
    ("subdel", NS, "ns.example.net."),
]


@pytest.mark.parametrize(
    ("qname", "how", "owner"),
    [
        ("host3", How.WILDCARD, "*"),
        ("foo.bar", How.WILDCARD, "*"),
        ("host1", How.EXACT, "host1"),
        ("sub.*", How.EXACT, "sub.*"),
        ("_telnet._tcp.host1", How.NXDOMAIN, "_tcp.host1"),
        ("host.subdel", How.REFERRAL, "subdel"),
        ("subdel", How.REFERRAL, "subdel"),
        ("ghost.*", How.NXDOMAIN, "*"),
        ("host2", How.EXACT, "host2"),
        ("_tcp.host2", How.EXACT, "_tcp.host2"),
        ("@", How.EXACT, "@"),
    ],
)
def test_wildcards_stand_in_as_in_the_example_of_rfc_4592(qname, how, owner):
    found = built(RFC_4592).find(wire(qname))

    assert (found.how, found.owner) == (how, wire(owner))


def test_an_empty_non_terminal_exists_without_anything():
    found = built([("a.b.c", A)]).find(wire("b.c"))

    assert found.how is How.EXACT
    assert found.node == zone.Node()


def test_services_are_nodes_that_block_wildcards_and_make_empty_non_terminals():
    tree = built([("*", A), ("www", TXT)], services=["www", "x.y", "*.z"])

    assert tree.find(wire("www")).node.service
    assert TXT in tree.find(wire("www")).node.rrsets
    assert tree.find(wire("x.y")).node == zone.Node(service=True)
    assert tree.find(wire("y")).node == zone.Node()
    assert tree.find(wire("a.y")).how is How.NXDOMAIN
    assert tree.find(wire("a.b.z")).node.service
    assert tree.find(wire("a")).owner == wire("*")


def test_a_service_at_the_apex_stands_beside_the_static_records():
    node = built([], services=["@"]).find(APEX).node

    assert node.service
    assert set(node.rrsets) == {SOA, NS}
    assert not node.cut


@pytest.mark.parametrize(
    "owned", [[("a", NS, "ns"), ("b.a", A), ("d.c.a", A)], [("a", DNAME), ("b.a", A)]]
)
def test_what_lies_below_a_cut_or_a_dname_is_left_out(owned):
    tree = built(owned, services=["x.a"])

    assert tree.nodes.keys() == {APEX, wire("a")}


def test_below_a_dname_at_the_apex_nothing_is_left():
    tree = built([("@", DNAME), ("a", A), ("b.c", A)])

    assert tree.nodes.keys() == {APEX}
    assert tree.find(wire("a")).how is How.DNAME


def test_a_cut_below_a_cut_is_left_out():
    tree = built([("a", NS, "ns"), ("b.a", NS, "ns")])

    assert tree.find(wire("c.b.a")).owner == wire("a")


def test_a_referral_s_glue_is_what_lies_below_the_cut_then_the_rest_of_the_zone():
    tree = built(
        [
            ("a", NS, "ns.b", "ns.a", "a", "ns.example.net.", "nowhere"),
            ("ns.a", A),
            ("ns.a", AAAA),
            ("ns.a", TXT),
            ("a", A),
            ("ns.b", A),
        ]
    )

    node = tree.find(wire("a")).node

    assert [(owner, one.type) for owner, one in node.glue] == [
        (wire("ns.a"), A),
        (wire("ns.a"), AAAA),
        (wire("a"), A),
        (wire("ns.b"), A),
    ]
    assert node.glue_needed == 3
    assert tree.find(APEX).node.glue == ()


@pytest.mark.parametrize(("ttl_s", "negative_s"), [(300, 60), (60, 60), (10, 10)])
def test_a_negative_answer_s_soa_has_the_smaller_of_its_ttl_and_its_minimum(ttl_s, negative_s):
    tree = zone.build(APEX, [(APEX, rrset(SOA, ttl_s=ttl_s)), (APEX, servers("ns"))], ())

    assert tree.soa.ttl_s == negative_s
    assert tree.find(APEX).node.rrsets[SOA].ttl_s == ttl_s
    assert tree.soa.rdatas == tree.find(APEX).node.rrsets[SOA].rdatas


def test_the_root_can_be_a_zone():
    soa = records.rrset(SOA, 300, [b"\1a\0\1b\0" + NUMBERS], name.ROOT)
    com = records.rrset(NS, 300, [b"\1a\0"], name.ROOT)

    tree = zone.build(name.ROOT, [(name.ROOT, soa), (name.parse("com."), com)], ())

    assert tree.find(name.parse("example.com.")).how is How.REFERRAL
    assert tree.find(name.parse("net.")).how is How.NXDOMAIN


def test_the_longest_name_can_be_looked_up_below_a_wildcard():
    tree = built([("*", A)])
    longest = wire(".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 49]))

    assert len(longest) == name.NAME_MAX
    assert tree.find(longest).how is How.WILDCARD
