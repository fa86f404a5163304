"""What is said to one query: names, types, classes, clients, and an oracle beside it all."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gslb.dns import name
from gslb.dns.message import Query, decode_query
from gslb.dns.response import TCP_MAX, encode
from gslb.dns.zone import build
from gslb.model import Fact, Listed, Nearest, Order, Place, Sticky
from gslb.routing.answer import LINKS_MAX, answer
from gslb.routing.choice import stir
from tests.oracle import Oracle, differences
from tests.world import (
    APEX,
    DOWN,
    FORCED_DOWN,
    LONDON,
    NEW_YORK,
    NS,
    NS_A,
    SINGAPORE,
    SOA,
    ask,
    atlas,
    plan,
    pool,
    service,
    snapshot,
    zone,
)

KNOWN = atlas(
    {
        "192.0.2.0/24": Place(LONDON, "GB", "EU", 64500),
        "198.51.100.0/24": Place(NEW_YORK, "US", "NA", None),
        "198.51.100.128/25": Place(LONDON, "GB", "EU", None),
        "203.0.113.0/24": Place(SINGAPORE, "SG", "AS", None),
        "2001:db8::/32": Place(LONDON, "GB", "EU", None),
        "2001:db8:1::/48": Place(NEW_YORK, "US", "NA", None),
    }
)

RECORDS = [
    ("@", "MX", "10 mail"),
    ("@", "TXT", '"apex"'),
    ("mail", "A", "192.0.2.25"),
    ("mail", "AAAA", "2001:db8::25"),
    ("www", "TXT", '"beside a service"'),
    ("www", "CAA", '0 issue "ca.example.net"'),
    ("old", "TYPE65280", "\\# 2 abcd"),
    ("_sip._tcp", "SRV", "1 2 5060 mail"),
    ("a.b.ent", "TXT", '"below two empty ones"'),
    # aliases
    ("alias", "CNAME", "www"),
    ("alias2", "CNAME", "alias"),
    ("away", "CNAME", "www.example.net."),
    ("dangling", "CNAME", "nothing"),
    ("to-v6", "CNAME", "six"),
    ("to-cut", "CNAME", "host.sub"),
    ("to-dark", "CNAME", "dark"),
    ("loop1", "CNAME", "loop2"),
    ("loop2", "CNAME", "loop1"),
    ("self", "CNAME", "self"),
    *((f"link{n}", "CNAME", f"link{n - 1}") for n in range(1, LINKS_MAX + 2)),
    ("link0", "A", "192.0.2.99"),
    *((f"hop{n}", "CNAME", f"hop{n - 1}") for n in range(1, LINKS_MAX + 1)),
    # wildcards
    ("*.wild", "A", "192.0.2.7"),
    ("*.wild", "MX", "5 mail"),
    ("here.wild", "TXT", '"blocks"'),
    ("x.ent.wild", "TXT", '"makes an empty non-terminal"'),
    ("cut.wild", "NS", "ns.example.net."),
    ("*.walias", "CNAME", "www"),
    # cuts
    ("sub", "NS", "ns1.sub"),
    ("sub", "NS", "ns1"),
    ("sub", "NS", "ns.example.net."),
    ("sub", "DS", "1 8 2 " + "ab" * 32),
    ("ns1.sub", "A", "192.0.2.54"),
    ("deep.ns1.sub", "TXT", '"occluded"'),
    ("nods", "NS", "ns.example.net."),
    # DNAME
    ("moved", "DNAME", "wild"),
    ("moved-away", "DNAME", "example.net."),
    ("moved", "TXT", '"beside the DNAME"'),
    ("below.moved", "TXT", '"occluded"'),
    ("grows", "DNAME", "x.grows"),
    ("long", "DNAME", "a" * 60 + "." + "b" * 60),
    ("to-moved", "CNAME", "x.moved"),
    ("svc-moved", "DNAME", "star"),
]
WWW = service(pool("us", "192.0.2.1"), ttl_s=60)
SERVICES = [
    WWW,
    service(pool("us", "192.0.2.11"), owner="@", ttl_s=60),
    service(pool("us", "2001:db8::1"), owner="six", ttl_s=60),
    service(pool("us", "192.0.2.3"), owner="*.star", ttl_s=60),
    service(pool("us", "192.0.2.4"), owner="in.star", ttl_s=60),
    service(pool("us", "192.0.2.5"), owner="x.y.star", ttl_s=60),
    service(pool("us", "192.0.2.6"), owner="dark", all_down="nodata", ttl_s=60),
    service(pool("us", "192.0.2.6"), owner="broken", all_down="servfail", ttl_s=60),
    service(pool("us", "192.0.2.6"), owner="in.wild", ttl_s=60),
    service(pool("us", "cdn.example.net"), owner="cdn", ttl_s=60),
    service(pool("us", "cdn.example.net"), owner="hop0", ttl_s=60),
    service(pool("us", "www.example.com"), owner="inner", ttl_s=60),
    service(pool("us", "inner.example.com"), owner="inner2", ttl_s=60),
    service(pool("us", "ring.example.com"), owner="ring", ttl_s=60),
]
PLAN = plan(*SERVICES, records=RECORDS, known=KNOWN)
SNAP = snapshot(PLAN)
DARK = snapshot(PLAN, {"192.0.2.6": DOWN})

SOA_30 = "@ 30 IN SOA ns1.example.com. hostmaster.example.com. 1 7200 900 1209600 30"
SOA_5 = SOA_30.replace(" 30 IN", " 5 IN")
SUB_NS = "sub.example.com. 300 IN NS"
HERE = "127.0.0.1"
ORIGIN = dns.name.from_text("example.com")
NEGATIVE = None


def wire(qname, qtype="A", *, rdclass="IN", subnet=None, edns=False):
    options = [] if subnet is None else [dns.edns.ECSOption(*subnet)]
    use_edns = 0 if edns or options else -1
    message = dns.message.make_query(
        qname, qtype, rdclass, use_edns=use_edns, options=options or None
    )
    message.id = 1
    return message.to_wire()


def asked(snap, qname, qtype="A", *, sender=HERE, draw=0, now_s=0.0, **keys):
    """Return what dnspython reads in the answer to a query below example.com."""
    qname = dns.name.from_text(qname, ORIGIN)
    octets = ask(snap, wire(qname, qtype, **keys), sender, draw=draw, now_s=now_s)
    got = dns.message.from_wire(octets)
    # dnspython drops doubles without a word.
    assert sum(map(len, got.answer)) == int.from_bytes(octets[6:8], "big"), "a record twice"
    return got


def lines(section):
    """Return one line for each record, with the owner relative to example.com."""
    return [
        f"{rrset.name.relativize(ORIGIN)} {rrset.ttl} IN "
        f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
        for rrset in section
        for rdata in rrset
    ]


def ede(message):
    return [(option.code, option.text) for option in message.options if option.otype == 15]


def scope(message):
    return next(option.scopelen for option in message.options if option.otype == 8)


WWW_1 = "www 60 IN A 192.0.2.1"


@pytest.mark.parametrize(
    ("qname", "qtype", "rcode", "expected"),
    [
        # exact names
        ("mail", "A", "NOERROR", ["mail 300 IN A 192.0.2.25"]),
        ("MaIl", "A", "NOERROR", ["MaIl 300 IN A 192.0.2.25"]),
        ("mail", "TXT", "NOERROR", NEGATIVE),
        ("nothing", "A", "NXDOMAIN", NEGATIVE),
        ("below.mail", "A", "NXDOMAIN", NEGATIVE),
        ("@", "SOA", "NOERROR", [SOA_30.replace(" 30 IN", " 300 IN", 1)]),
        ("@", "NS", "NOERROR", ["@ 300 IN NS ns1.example.com."]),
        ("@", "MX", "NOERROR", ["@ 300 IN MX 10 mail.example.com."]),
        ("old", "TYPE65280", "NOERROR", ["old 300 IN TYPE65280 \\# 2 abcd"]),
        ("old", "TYPE65281", "NOERROR", NEGATIVE),
        ("_sip._tcp", "SRV", "NOERROR", ["_sip._tcp 300 IN SRV 1 2 5060 mail.example.com."]),
        # empty non-terminals
        ("ent", "A", "NOERROR", NEGATIVE),
        ("b.ent", "ANY", "NOERROR", NEGATIVE),
        ("x.ent", "A", "NXDOMAIN", NEGATIVE),
        ("_tcp", "A", "NOERROR", NEGATIVE),
        ("star", "A", "NOERROR", NEGATIVE),
        ("y.star", "A", "NOERROR", NEGATIVE),
        # services
        ("www", "A", "NOERROR", [WWW_1]),
        ("WWW", "A", "NOERROR", [WWW_1.replace("www", "WWW")]),
        ("@", "A", "NOERROR", ["@ 60 IN A 192.0.2.11"]),
        ("www", "AAAA", "NOERROR", NEGATIVE),
        ("www", "HTTPS", "NOERROR", NEGATIVE),
        ("www", "SVCB", "NOERROR", NEGATIVE),
        ("www", "CNAME", "NOERROR", NEGATIVE),
        ("www", "TXT", "NOERROR", ['www 300 IN TXT "beside a service"']),
        ("www", "CAA", "NOERROR", ['www 300 IN CAA 0 issue "ca.example.net"']),
        ("below.www", "A", "NXDOMAIN", NEGATIVE),
        ("six", "A", "NOERROR", NEGATIVE),
        ("six", "AAAA", "NOERROR", ["six 60 IN AAAA 2001:db8::1"]),
        # services of host names
        ("cdn", "A", "NOERROR", ["cdn 60 IN CNAME cdn.example.net."]),
        ("cdn", "MX", "NOERROR", ["cdn 60 IN CNAME cdn.example.net."]),
        ("cdn", "ANY", "NOERROR", ["cdn 60 IN CNAME cdn.example.net."]),
        ("inner", "A", "NOERROR", ["inner 60 IN CNAME www.example.com.", WWW_1]),
        ("inner", "CNAME", "NOERROR", ["inner 60 IN CNAME www.example.com."]),
        (
            "inner2",
            "A",
            "NOERROR",
            ["inner2 60 IN CNAME inner.example.com.", "inner 60 IN CNAME www.example.com.", WWW_1],
        ),
        ("ring", "A", "NOERROR", ["ring 60 IN CNAME ring.example.com."]),
        # aliases
        ("alias", "A", "NOERROR", ["alias 300 IN CNAME www.example.com.", WWW_1]),
        ("alias", "CNAME", "NOERROR", ["alias 300 IN CNAME www.example.com."]),
        ("alias", "ANY", "NOERROR", ["alias 300 IN CNAME www.example.com."]),
        (
            "alias2",
            "A",
            "NOERROR",
            [
                "alias2 300 IN CNAME alias.example.com.",
                "alias 300 IN CNAME www.example.com.",
                WWW_1,
            ],
        ),
        ("away", "A", "NOERROR", ["away 300 IN CNAME www.example.net."]),
        ("self", "A", "NOERROR", ["self 300 IN CNAME self.example.com."]),
        (
            "loop1",
            "A",
            "NOERROR",
            ["loop1 300 IN CNAME loop2.example.com.", "loop2 300 IN CNAME loop1.example.com."],
        ),
        (
            f"link{LINKS_MAX}",
            "A",
            "NOERROR",
            [
                *(
                    f"link{n} 300 IN CNAME link{n - 1}.example.com."
                    for n in range(LINKS_MAX, 0, -1)
                ),
                "link0 300 IN A 192.0.2.99",
            ],
        ),
        (
            f"link{LINKS_MAX + 1}",
            "A",
            "NOERROR",
            [f"link{n} 300 IN CNAME link{n - 1}.example.com." for n in range(LINKS_MAX + 1, 1, -1)],
        ),
        # wildcards
        ("x.wild", "A", "NOERROR", ["x.wild 300 IN A 192.0.2.7"]),
        ("x.y.wild", "A", "NOERROR", ["x.y.wild 300 IN A 192.0.2.7"]),
        ("x.wild", "MX", "NOERROR", ["x.wild 300 IN MX 5 mail.example.com."]),
        ("x.wild", "AAAA", "NOERROR", NEGATIVE),
        ("*.wild", "A", "NOERROR", ["*.wild 300 IN A 192.0.2.7"]),
        ("x.*.wild", "A", "NXDOMAIN", NEGATIVE),
        ("wild", "A", "NOERROR", NEGATIVE),
        ("here.wild", "A", "NOERROR", NEGATIVE),
        ("x.here.wild", "A", "NXDOMAIN", NEGATIVE),
        ("ent.wild", "A", "NOERROR", NEGATIVE),
        ("y.ent.wild", "A", "NXDOMAIN", NEGATIVE),
        ("in.wild", "A", "NOERROR", ["in.wild 60 IN A 192.0.2.6"]),
        ("x.in.wild", "A", "NXDOMAIN", NEGATIVE),
        ("x.walias", "A", "NOERROR", ["x.walias 300 IN CNAME www.example.com.", WWW_1]),
        # wildcards that are services
        ("q.star", "A", "NOERROR", ["q.star 60 IN A 192.0.2.3"]),
        ("q.r.star", "A", "NOERROR", ["q.r.star 60 IN A 192.0.2.3"]),
        ("q.star", "AAAA", "NOERROR", NEGATIVE),
        ("in.star", "A", "NOERROR", ["in.star 60 IN A 192.0.2.4"]),
        ("x.in.star", "A", "NXDOMAIN", NEGATIVE),
        ("z.y.star", "A", "NXDOMAIN", NEGATIVE),
        ("*.star", "A", "NOERROR", ["*.star 60 IN A 192.0.2.3"]),
        # DNAME
        ("moved", "DNAME", "NOERROR", ["moved 300 IN DNAME wild.example.com."]),
        ("moved", "TXT", "NOERROR", ['moved 300 IN TXT "beside the DNAME"']),
        ("moved", "A", "NOERROR", NEGATIVE),
        (
            "x.moved",
            "A",
            "NOERROR",
            [
                "moved 300 IN DNAME wild.example.com.",
                "x.moved 300 IN CNAME x.wild.example.com.",
                "x.wild 300 IN A 192.0.2.7",
            ],
        ),
        (
            "below.moved",
            "CNAME",
            "NOERROR",
            [
                "moved 300 IN DNAME wild.example.com.",
                "below.moved 300 IN CNAME below.wild.example.com.",
            ],
        ),
        (
            "x.moved",
            "CNAME",
            "NOERROR",
            ["moved 300 IN DNAME wild.example.com.", "x.moved 300 IN CNAME x.wild.example.com."],
        ),
        (
            "X.moved-away",
            "A",
            "NOERROR",
            ["moved-away 300 IN DNAME example.net.", "X.moved-away 300 IN CNAME x.example.net."],
        ),
        (
            "q.svc-moved",
            "A",
            "NOERROR",
            [
                "svc-moved 300 IN DNAME star.example.com.",
                "q.svc-moved 300 IN CNAME q.star.example.com.",
                "q.star 60 IN A 192.0.2.3",
            ],
        ),
        (
            "to-moved",
            "A",
            "NOERROR",
            [
                "to-moved 300 IN CNAME x.moved.example.com.",
                "moved 300 IN DNAME wild.example.com.",
                "x.moved 300 IN CNAME x.wild.example.com.",
                "x.wild 300 IN A 192.0.2.7",
            ],
        ),
        # DS is the parent's
        ("sub", "DS", "NOERROR", ["sub 300 IN DS 1 8 2 " + "ab" * 32]),
        ("nods", "DS", "NOERROR", NEGATIVE),
        ("@", "DS", "NOERROR", NEGATIVE),
        ("mail", "DS", "NOERROR", NEGATIVE),
        # ANY is answered small (RFC 8482)
        ("mail", "ANY", "NOERROR", ['mail 3600 IN HINFO "RFC8482" ""']),
        ("www", "ANY", "NOERROR", ['www 3600 IN HINFO "RFC8482" ""']),
        ("six", "ANY", "NOERROR", ['six 3600 IN HINFO "RFC8482" ""']),
        ("x.wild", "ANY", "NOERROR", ['x.wild 3600 IN HINFO "RFC8482" ""']),
        ("nothing", "ANY", "NXDOMAIN", NEGATIVE),
    ],
)
def test_look_up(qname, qtype, rcode, expected):
    got = asked(SNAP, qname, qtype)

    assert dns.rcode.to_text(got.rcode()) == rcode
    assert got.flags & dns.flags.AA
    if expected is NEGATIVE:
        assert (lines(got.answer), lines(got.authority)) == ([], [SOA_30])
    else:
        assert (lines(got.answer), lines(got.authority)) == (expected, [])
    assert not got.additional


@pytest.mark.parametrize("links", [LINKS_MAX - 1, LINKS_MAX])
def test_a_services_alias_counts_as_a_link_too(links):
    got = asked(SNAP, f"hop{links}")

    assert len(got.answer) == LINKS_MAX
    assert (str(got.answer[-1][0].target) == "cdn.example.net.") is (links < LINKS_MAX)


@pytest.mark.parametrize(
    ("qname", "qtype", "rcode", "links", "soa"),
    [
        ("dangling", "A", "NXDOMAIN", 1, SOA_30),
        ("alias", "AAAA", "NOERROR", 1, SOA_30),
        ("to-v6", "A", "NOERROR", 1, SOA_30),
        ("to-v6", "MX", "NOERROR", 1, SOA_30),
        ("below.moved", "TXT", "NOERROR", 2, SOA_30),
        ("y.ent.moved", "TXT", "NXDOMAIN", 2, SOA_30),
    ],
)
def test_an_alias_has_the_rcode_and_the_soa_of_its_last_name(qname, qtype, rcode, links, soa):
    got = asked(SNAP, qname, qtype)

    assert dns.rcode.to_text(got.rcode()) == rcode
    assert len(got.answer) == links
    assert lines(got.authority) == [soa]


@pytest.mark.parametrize(
    ("qname", "qtype", "links"),
    [
        ("sub", "A", 0),
        ("sub", "NS", 0),
        ("sub", "ANY", 0),
        ("SUB", "SOA", 0),
        ("host.sub", "A", 0),
        ("ns1.sub", "A", 0),
        ("deep.ns1.sub", "TXT", 0),
        ("host.sub", "DS", 0),
        ("to-cut", "A", 1),
    ],
)
def test_a_referral_has_the_servers_their_glue_and_no_authority_of_its_own(qname, qtype, links):
    got = asked(SNAP, qname, qtype)

    assert got.rcode() == dns.rcode.NOERROR
    assert len(got.answer) == links
    assert bool(got.flags & dns.flags.AA) is bool(links)
    assert [rrset.rdtype for rrset in got.authority] == [dns.rdatatype.NS]
    assert len(got.authority[0]) == 3
    assert [rrset.to_text().lower() for rrset in got.additional] == [
        "ns1.sub.example.com. 300 in a 192.0.2.54",
        "ns1.example.com. 300 in a 192.0.2.53",
    ]


def test_a_cut_below_a_wildcard_blocks_it():
    got = asked(SNAP, "x.cut.wild")

    assert not got.flags & dns.flags.AA
    assert lines(got.authority) == ["cut.wild 300 IN NS ns.example.net."]


def test_a_name_that_a_dname_makes_too_long_is_told():
    got = asked(SNAP, ".".join(["y" * 60] * 3) + ".long")

    assert got.rcode() == dns.rcode.YXDOMAIN
    assert [rrset.rdtype for rrset in got.answer] == [dns.rdatatype.DNAME]


def test_a_dname_that_grows_ends_and_is_said_once():
    got = asked(SNAP, "q.grows")

    assert got.rcode() == dns.rcode.NOERROR
    assert [rrset.rdtype for rrset in got.answer].count(dns.rdatatype.DNAME) == 1
    assert len(got.answer) == 1 + LINKS_MAX


# All members down.


def test_all_down_and_nodata_is_an_empty_answer_with_the_shortest_ttl():
    got = asked(DARK, "dark")

    assert (got.rcode(), got.answer) == (dns.rcode.NOERROR, [])
    assert lines(got.authority) == [SOA_5]
    assert got.flags & dns.flags.AA


def test_the_soa_of_nodata_never_lives_longer_than_the_zone_says():
    dark = service(pool("us", "192.0.2.6"), all_down="nodata", ttl_s=900, ttl_min_s=600)
    snap = snapshot(plan(dark), {"192.0.2.6": DOWN})

    assert asked(snap, "www").authority[0].ttl == 30


def test_an_alias_of_a_dark_service_is_dark():
    got = asked(DARK, "to-dark")

    assert (got.rcode(), len(got.answer)) == (dns.rcode.NOERROR, 1)
    assert lines(got.authority) == [SOA_5]


def test_all_down_and_servfail_says_so():
    got = asked(DARK, "broken", edns=True)

    assert (got.rcode(), got.answer) == (dns.rcode.SERVFAIL, [])
    assert ede(got) == [(0, "all members down")]


def test_a_dark_service_still_blocks_its_wildcard():
    got = asked(snapshot(PLAN, {"192.0.2.4": DOWN}), "in.star", edns=True)

    assert lines(got.answer) == ["in.star 5 IN A 192.0.2.4"]
    assert ede(got) == [(0, "all members down: served all the same")]


def test_a_dark_service_has_its_other_types():
    dark = plan(replace(WWW, all_down="nodata"), records=RECORDS)

    got = asked(snapshot(dark, {"192.0.2.1": DOWN}), "www", "TXT")

    assert lines(got.answer) == ['www 300 IN TXT "beside a service"']


def test_what_was_unusual_on_the_way_is_told_at_the_end():
    names = service(pool("us", "in.example.com"))
    inner = service(pool("us", "192.0.2.9"), owner="in")
    snap = snapshot(plan(names, inner), {"in.example.com": DOWN})

    assert ede(asked(snap, "www", edns=True)) == [(0, "all members down: served all the same")]


def test_a_restored_snapshot_is_stale_and_says_so():
    snap = snapshot(PLAN, stale=True)

    got = asked(snap, "www", edns=True)

    assert lines(got.answer) == ["www 5 IN A 192.0.2.1"]
    assert ede(got) == [(3, "restored: health is not known again yet")]
    assert ede(asked(snap, "mail", edns=True)) == []


# Zones.


@pytest.mark.parametrize(
    "qname",
    ["example.net.", "www.example.net.", "com.", ".", "notexample.com.", "www.example.com.net."],
)
@pytest.mark.parametrize("qtype", ["A", "DS", "SOA", "ANY"])
def test_out_of_our_zones_we_refuse_without_any_data(qname, qtype):
    got = asked(SNAP, qname, qtype, edns=True)

    assert got.rcode() == dns.rcode.REFUSED
    assert (got.answer, got.authority, got.additional) == ([], [], [])
    assert not got.flags & dns.flags.AA
    assert ede(got) == [(20, "not a zone of this server")]


@pytest.mark.parametrize("qname", ["example.org.", "www.example.org.", "EXAMPLE.org."])
def test_a_broken_zone_is_a_server_failure_and_harms_no_other(qname):
    snap = snapshot(replace(PLAN, broken=frozenset({name.parse("example.org")})))

    got = asked(snap, qname, edns=True)

    assert got.rcode() == dns.rcode.SERVFAIL
    assert ede(got) == [(24, "the zone's files are broken; see the server's status")]
    assert lines(asked(snap, "www").answer) == [WWW_1]


def child(label):
    """Return a zone below example.com."""
    text = f"ns1.{label}.example.com. admin.example.com. 1 2 3 4 60"
    apex = name.parse(f"{label}.example.com")
    owned = zone((label, "SOA", text)).nodes[apex].rrsets.values()
    return build(apex, [(apex, rrset) for rrset in owned], [])


def with_child():
    """Return a plan that also serves sub.example.com, which example.com delegates."""
    sub = child("sub")
    return replace(PLAN, zones={APEX: zone(*RECORDS, services=PLAN.services), sub.apex: sub})


@pytest.mark.parametrize("qname", ["sub.example.com.", "SUB.example.com."])
def test_the_ds_of_a_zone_is_answered_by_its_parent_when_we_serve_both(qname):
    got = asked(snapshot(with_child()), qname, "DS")

    assert got.flags & dns.flags.AA
    assert [rrset.rdtype for rrset in got.answer] == [dns.rdatatype.DS]


def test_everything_else_of_a_zone_is_answered_by_itself():
    snap = snapshot(with_child())

    assert asked(snap, "sub", "SOA").flags & dns.flags.AA
    assert asked(snap, "x.sub", "DS").rcode() == dns.rcode.NXDOMAIN
    assert asked(snap, "sub", "MX").authority[0].name == dns.name.from_text("sub", ORIGIN)


@pytest.mark.parametrize("link", [("to-child", "CNAME", "x.kid"), ("kids", "DNAME", "kid")])
def test_an_alias_into_another_zone_of_ours_is_not_denied_by_this_one(link):
    made = plan(records=[link])
    kid = child("kid")
    snap = snapshot(replace(made, zones={**made.zones, kid.apex: kid}))

    got = asked(snap, "x.kids" if link[1] == "DNAME" else link[0])

    assert (got.rcode(), got.authority) == (dns.rcode.NOERROR, [])
    assert [(rrset.rdtype.name, str(rrset[0].target)) for rrset in got.answer[-1:]] == [
        ("CNAME", "x.kid.example.com.")
    ]


def test_an_alias_into_a_broken_zone_below_is_not_denied_either():
    made = plan(records=[("to-child", "CNAME", "x.kid")])
    snap = snapshot(replace(made, broken=frozenset({name.parse("kid.example.com")})))

    got = asked(snap, "to-child")

    assert (got.rcode(), len(got.answer), got.authority) == (dns.rcode.NOERROR, 1, [])


def test_the_root_zone_is_served_like_any_other():
    soa = zone(("r", "SOA", "ns1 admin 1 2 3 4 60")).nodes[name.parse("r", APEX)].rrsets
    host = zone(("r", "A", "192.0.2.77")).nodes[name.parse("r", APEX)].rrsets
    plain = [
        replace(each, rdatas=tuple(replace(r, octets=r.whole, holes=()) for r in each.rdatas))
        for each in soa.values()
    ]
    owned = [(name.ROOT, each) for each in plain]
    owned += [(name.parse("host.net"), each) for each in host.values()]
    root = build(name.ROOT, owned, [])
    snap = snapshot(replace(plan(), zones={name.ROOT: root}))

    assert asked(snap, "host.net.").answer[0][0].address == "192.0.2.77"
    assert asked(snap, "host.net.", "DS").authority[0].name == dns.name.root
    assert asked(snap, ".", "DS").rcode() == dns.rcode.NOERROR
    assert asked(snap, "nothing.").rcode() == dns.rcode.NXDOMAIN


# Classes and types that are not data.


@pytest.mark.parametrize(
    ("qtype", "rcode"),
    [
        ("AXFR", "REFUSED"),
        ("IXFR", "REFUSED"),
        ("OPT", "FORMERR"),
        ("TKEY", "NOTIMP"),
        ("TSIG", "NOTIMP"),
        ("MAILA", "NOTIMP"),
        ("MAILB", "NOTIMP"),
        ("TYPE0", "NOERROR"),
        ("TYPE65535", "NOERROR"),
        ("RRSIG", "NOERROR"),
        ("NSEC", "NOERROR"),
    ],
)
def test_types_that_are_not_data_get_an_answer(qtype, rcode):
    got = asked(SNAP, "mail", qtype)

    assert dns.rcode.to_text(got.rcode()) == rcode
    assert got.answer == []


@pytest.mark.parametrize("rdclass", ["HS", "NONE", "ANY", "CLASS0", "CLASS42", "CLASS65535"])
def test_classes_other_than_in_and_ch_are_refused(rdclass):
    got = asked(SNAP, "mail", rdclass=rdclass)

    assert (got.rcode(), got.answer) == (dns.rcode.REFUSED, [])


@pytest.mark.parametrize(
    ("qname", "qtype", "text"),
    [
        ("id.server.", "TXT", "ns1.example.net"),
        ("hostname.bind.", "TXT", "ns1.example.net"),
        ("version.bind.", "TXT", "gslb test"),
        ("VERSION.server.", "ANY", "gslb test"),
    ],
)
def test_class_ch_tells_of_the_node(qname, qtype, text):
    got = asked(SNAP, qname, qtype, rdclass="CH")

    assert got.flags & dns.flags.AA
    assert got.answer[0].to_text() == f'{qname} 0 CH TXT "{text}"'


@pytest.mark.parametrize(
    ("qname", "qtype"), [("version.bind.", "A"), ("www", "TXT"), ("authors.bind.", "TXT")]
)
def test_class_ch_refuses_everything_else(qname, qtype):
    got = asked(SNAP, qname, qtype, rdclass="CH")

    assert (got.rcode(), got.answer) == (dns.rcode.REFUSED, [])


@pytest.mark.parametrize("told", [None, []])
def test_an_explanation_that_is_not_given_is_refused(told):
    got = explained(lambda *_: told)

    assert got.rcode() == dns.rcode.REFUSED


def test_class_ch_explains_a_service_to_who_may_ask():
    seen = []

    def explainer(*args):
        seen.append(args)
        return ["first line", "x" * 300, "naïve"]

    got = explained(explainer)

    assert [len(text) for text in got.answer[0][0].strings] == [10, 255, 5]
    assert got.answer[0][0].strings[2] == b"na?ve"
    (asked_name, query, sender), *_ = seen
    assert (asked_name, sender) == (name.parse("www.example.com"), ip_address(HERE))
    assert isinstance(query, Query)


def explained(explainer):
    query = decode_query(wire("www.example.com", "TXT", rdclass="CH"))
    response = answer(SNAP, query, ip_address(HERE), 0, 0.0, explainer)
    return dns.message.from_wire(encode(query, response, node=b"", size_max=TCP_MAX))


def test_a_query_that_is_wrong_behind_its_question_is_told_so():
    got = dns.message.from_wire(ask(SNAP, wire("www.example.com") + b"\x00"))

    assert got.rcode() == dns.rcode.FORMERR
    assert len(got.question) == 1


# Who counts as the client, and for how many others the answer holds.


EU, US, AP = "192.0.2.2", "192.0.2.1", "192.0.2.3"
NEAR = service(pool("us", US), pool("eu", EU), pool("ap", AP))
FIXED = Order((("us",), ("eu",)))
SUBNETS = Listed(Fact.SUBNETS, ((ip_network("198.51.100.128/25"), (("eu",),)),))
NEAR_SNAP = snapshot(plan(NEAR, records=RECORDS, known=KNOWN))


@pytest.mark.parametrize(
    ("sender", "subnet", "address", "expected_scope"),
    [
        ("192.0.2.9", None, EU, None),
        ("198.51.100.9", None, US, None),
        ("::ffff:203.0.113.9", None, AP, None),
        ("2001:db8::9", None, EU, None),
        ("198.51.100.9", ("192.0.2.0", 24), EU, 24),
        ("198.51.100.9", ("192.0.2.128", 32), EU, 24),
        ("192.0.2.9", ("198.51.100.0", 24), US, 25),
        ("192.0.2.9", ("198.51.100.128", 25), EU, 25),
        ("192.0.2.9", ("0.0.0.0", 0), EU, 0),
        ("203.0.113.9", ("::", 0), AP, 0),
        ("192.0.2.9", ("2001:db8:1::", 48), US, 48),
        ("192.0.2.9", ("2001:db8::", 32), EU, 48),
        ("192.0.2.9", ("::ffff:203.0.113.0", 120), AP, 96 + 24),
    ],
)
def test_the_client_and_the_scope(sender, subnet, address, expected_scope):
    got = asked(NEAR_SNAP, "www", sender=sender, subnet=subnet)

    assert got.answer[0][0].address == address
    if subnet is not None:
        assert scope(got) == expected_scope


@pytest.mark.parametrize(
    ("qname", "qtype"),
    [
        ("mail", "A"),
        ("nothing", "A"),
        ("www", "AAAA"),
        ("www", "TXT"),
        ("sub", "A"),
        ("example.net.", "A"),
    ],
)
def test_what_is_the_same_for_all_has_scope_0(qname, qtype):
    assert scope(asked(NEAR_SNAP, qname, qtype, subnet=("198.51.100.0", 24))) == 0


def test_a_route_that_asks_nothing_of_the_client_has_scope_0():
    fixed = replace(NEAR, route=(FIXED,))
    snap = snapshot(plan(fixed, known=KNOWN))

    assert scope(asked(snap, "www", subnet=("198.51.100.0", 24))) == 0


def test_an_empty_answer_of_a_service_holds_for_those_of_its_order():
    snap = snapshot(
        plan(replace(NEAR, all_down="nodata"), known=KNOWN), dict.fromkeys((US, EU, AP), DOWN)
    )

    assert scope(asked(snap, "www", subnet=("192.0.2.0", 24))) == 24


def test_health_does_not_change_the_scope():
    healthy = asked(NEAR_SNAP, "www", subnet=("198.51.100.0", 24))

    sick = asked(
        snapshot(plan(NEAR, known=KNOWN), {US: DOWN, EU: DOWN}), "www", subnet=("198.51.100.0", 24)
    )

    assert scope(sick) == scope(healthy)
    assert sick.answer[0][0].address == AP


@pytest.mark.parametrize(
    ("outer_route", "inner_route"),
    [((FIXED,), (Nearest(),)), ((SUBNETS,), (FIXED,)), ((SUBNETS,), (Nearest(),))],
)
def test_a_chain_of_services_holds_for_those_for_whom_each_link_holds(outer_route, inner_route):
    outer = service(
        pool("us", "in.example.com"), pool("eu", "in.example.com"), route=outer_route, owner="out"
    )
    inner = service(pool("us", US), pool("eu", EU), route=inner_route, owner="in")
    both = snapshot(plan(outer, inner, known=KNOWN))

    assert scope(asked(both, "out", subnet=("198.51.100.0", 24))) == 25


@pytest.mark.parametrize(
    ("subnet", "expected_scope"),
    [
        (("198.51.100.0", 24), 28),
        (("192.0.2.0", 16), 28),
        (("2001:db8::", 32), 64),
        (("::ffff:203.0.113.0", 120), 96 + 28),
        (("0.0.0.0", 0), 0),
    ],
)
def test_the_scope_is_never_shorter_than_the_sticky_prefix(subnet, expected_scope):
    sticky = replace(NEAR, sticky=Sticky(ipv4=28, ipv6=64))

    got = asked(snapshot(plan(sticky, known=KNOWN)), "www", subnet=subnet)

    assert scope(got) == expected_scope


@pytest.mark.parametrize(
    ("address", "expected_scope"),
    [("::1", 81), ("::fffe:0:0", 96), ("::8000:0:0:0", 65), ("0:0:0:1::", 64), ("2001:db8::", 56)],
)
def test_the_scope_of_a_sticky_ipv6_client_never_takes_in_those_of_ipv4(address, expected_scope):
    sticky = replace(WWW, sticky=Sticky(ipv4=24, ipv6=56), route=())

    got = asked(snapshot(plan(sticky)), "www", subnet=(address, 128))

    assert scope(got) == expected_scope


def test_a_sticky_client_gets_the_same_whatever_the_draw_and_the_resolver():
    many = service(pool("us", *(f"192.0.2.{n}" for n in range(1, 20))), sticky=Sticky(), answers=2)
    snap = snapshot(plan(many, known=KNOWN))

    got = {
        str(asked(snap, "www", draw=draw, sender=sender, subnet=("203.0.113.0", 24)).answer)
        for draw in range(5)
        for sender in ("192.0.2.1", "198.51.100.1")
    }
    others = {str(asked(snap, "www", sender=f"198.51.{n}.1").answer) for n in range(30)}
    neighbours = {str(asked(snap, "www", sender=f"198.51.7.{n}").answer) for n in range(30)}
    neighbours6 = {str(asked(snap, "www", sender=f"2001:db8:0:{n:x}::1").answer) for n in range(30)}

    assert len(got) == len(neighbours) == len(neighbours6) == 1
    assert len(others) > 10


# Draws and time.


def test_the_draw_picks_and_a_second_service_does_not_echo_the_first():
    outer = service(pool("us", "a.example.com", "b.example.com"), owner="out")
    inner = [service(pool("us", "192.0.2.1", "192.0.2.2"), owner=each) for each in "ab"]
    snap = snapshot(plan(outer, *inner))

    pairs = {
        (got.answer[0][0].target.labels[0], got.answer[1][0].address)
        for got in (asked(snap, "out", draw=draw) for draw in range(20))
    }

    assert len(pairs) == 4
    assert stir(0) != 0


def test_several_answers_are_one_rrset():
    many = service(pool("us", "192.0.2.1", "192.0.2.2", "192.0.2.3"), answers=2)

    got = asked(snapshot(plan(many)), "www", draw=5)

    assert len(got.answer) == 1
    assert len(got.answer[0]) == 2


@pytest.mark.parametrize(("now_s", "ttl_s"), [(0.0, 12), (5.0, 7), (11.0, 5), (99.0, 5)])
def test_the_ttl_shrinks_while_a_verdict_may_flip(now_s, ttl_s):
    snap = snapshot(plan(WWW), {"192.0.2.1": replace(FORCED_DOWN, forced=None, flips_at_s=12.0)})

    assert asked(snap, "www", now_s=now_s).answer[0].ttl == ttl_s


# Beside an oracle.


OWNERS = [
    "a",
    "b",
    "*",
    "a.a",
    "b.a",
    "*.a",
    "a.b",
    "*.b",
    "a.b.a",
    "*.b.a",
    "b.a.b",
    "ns1.a",
    "a.ns1",
]
TARGETS = ["a", "b", "a.a", "b.a", "q.b", "a.b.a", "x.a.b", "@", "www.example.net.", "nowhere"]
KINDS = {
    "A": [("A", "192.0.2.1")],
    "both": [("A", "192.0.2.1"), ("AAAA", "2001:db8::1"), ("MX", "1 a")],
    "TXT": [("TXT", '"t"')],
    "CNAME": [("CNAME", None)],
    "NS": [("NS", "ns1.a"), ("NS", "ns.example.net."), ("NS", "ns1")],
    "NS+DS": [("NS", "a.b"), ("DS", "1 8 2 " + "00" * 32)],
    "DNAME": [("DNAME", None), ("TXT", '"d"')],
    "service": [("A", "192.0.2.8")],
    "name service": [("CNAME", None)],
}
NOT_AT_WILDCARDS = {"NS", "NS+DS", "DNAME"}  # which RFC 4592 4 leaves open


@st.composite
def worlds(draw):
    """Return a snapshot and the oracle of the same zone, where services have one member."""
    records, services = [], []
    for owner in draw(st.lists(st.sampled_from(OWNERS), unique=True, max_size=7)):
        kinds = [k for k in KINDS if "*" not in owner or k not in NOT_AT_WILDCARDS]
        kind = draw(st.sampled_from(kinds))
        target = draw(st.sampled_from(TARGETS))
        data = [(owner, rdtype, text or target) for rdtype, text in KINDS[kind]]
        if "service" in kind:
            text = data[0][2]
            if data[0][1] == "CNAME":
                text = name.show(name.parse(text, APEX))
            services.append(service(pool("us", text), owner=owner, ttl_s=300))
        records.append((data, "service" in kind))
    if draw(st.booleans()):
        records.append(([("@", "DNAME", "example.org.")], False))
    every = [SOA, NS, NS_A, *(line for data, _ in records for line in data)]
    text = "$TTL 300\n" + "".join(f"{owner} {rdtype} {data}\n" for owner, rdtype, data in every)
    static = [line for data, is_service in records if not is_service for line in data]
    return snapshot(plan(*services, records=static)), Oracle("example.com.", text), text


queries = st.tuples(
    st.lists(st.sampled_from(["a", "b", "q", "*", "A", "ns1"]), max_size=5).map(".".join),
    st.sampled_from(["A", "AAAA", "CNAME", "DNAME", "NS", "DS", "TXT", "MX", "SOA"]),
)


@settings(max_examples=150)
@given(worlds(), st.lists(queries, min_size=1, max_size=15), st.integers(0, 2**64 - 1))
def test_every_answer_is_the_oracles(world, asked_for, draw):
    snap, oracle, text = world
    for labels, qtype in asked_for:
        qname = f"{labels}.example.com." if labels else "example.com."

        got = asked(snap, qname, qtype, draw=draw)

        expected = oracle.response(qname, qtype)
        assert differences(expected, got) == [], f"{qname} {qtype} in\n{text}"
