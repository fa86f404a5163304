"""The oracle itself, held to answers that were written down by hand."""

import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.flags import AA
from oracle import LINKS_MAX, Oracle, differences

SOA = "example.com. 60 IN SOA ns.example.com. admin.example.com. 1 2 3 4 60"
ZONE = """\
$TTL 300
@ SOA ns admin 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
www A 192.0.2.1
Alias CNAME www
away CNAME www.example.net.
gone CNAME nothing
loop CNAME pool
pool CNAME loop
down CNAME x.sub
*.wild TXT a
*.star CNAME www
a.b.c A 192.0.2.2
old DNAME new
x.new A 192.0.2.3
out DNAME example.net.
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.new
sub NS ns.sub
sub NS ns.example.net.
sub NS ns
sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub A 192.0.2.54
ns.sub AAAA 2001:db8::54
nods NS ns.example.net.
chain0 A 192.0.2.9
""" + "".join(f"chain{n} CNAME chain{n - 1}\n" for n in range(1, LINKS_MAX + 2))

ORACLE = Oracle("example.com.", ZONE)
SUB_NS = ["sub 300 NS ns.sub ns.example.net. ns"]


def records(lines):
    """Return rrsets from lines of owner, TTL, type, and data parted by spaces or bars."""
    rrsets = []
    for line in lines:
        owner, ttl, rdtype, *datas = line.split(" ")
        datas = [" ".join(datas)] if rdtype in ("SOA", "DS") else datas
        rrsets.append(
            dns.rrset.from_text_list(
                dns.name.from_text(owner, dns.name.from_text("example.com.")),
                int(ttl),
                "IN",
                rdtype,
                datas,
                origin=dns.name.from_text("example.com."),
                relativize=False,
            )
        )
    return rrsets


DENIED = ["@ 60 SOA ns admin 1 2 3 4 60"]


@pytest.mark.parametrize(
    ("qname", "qtype", "rcode", "answer", "authority"),
    [
        ("www", "A", "NOERROR", ["www 300 A 192.0.2.1"], []),
        ("WWW", "A", "NOERROR", ["www 300 A 192.0.2.1"], []),
        ("www", "AAAA", "NOERROR", [], DENIED),
        ("nothing", "A", "NXDOMAIN", [], DENIED),
        ("c", "A", "NOERROR", [], DENIED),
        ("x.c", "A", "NXDOMAIN", [], DENIED),
        ("alias", "A", "NOERROR", ["alias 300 CNAME www", "www 300 A 192.0.2.1"], []),
        ("alias", "CNAME", "NOERROR", ["alias 300 CNAME www"], []),
        ("alias", "TXT", "NOERROR", ["alias 300 CNAME www"], DENIED),
        ("away", "A", "NOERROR", ["away 300 CNAME www.example.net."], []),
        ("gone", "A", "NXDOMAIN", ["gone 300 CNAME nothing"], DENIED),
        ("loop", "A", "NOERROR", ["loop 300 CNAME pool", "pool 300 CNAME loop"], []),
        ("a.wild", "TXT", "NOERROR", ["a.wild 300 TXT a"], []),
        ("a.b.wild", "A", "NOERROR", [], DENIED),
        ("a.star", "A", "NOERROR", ["a.star 300 CNAME www", "www 300 A 192.0.2.1"], []),
        ("old", "DNAME", "NOERROR", ["old 300 DNAME new"], []),
        ("old", "A", "NOERROR", [], DENIED),
        (
            "x.old",
            "A",
            "NOERROR",
            ["old 300 DNAME new", "x.old 300 CNAME x.new", "x.new 300 A 192.0.2.3"],
            [],
        ),
        ("x.old", "CNAME", "NOERROR", ["old 300 DNAME new", "x.old 300 CNAME x.new"], []),
        ("y.old", "A", "NXDOMAIN", ["old 300 DNAME new", "y.old 300 CNAME y.new"], DENIED),
        (
            "x.out",
            "A",
            "NOERROR",
            ["out 300 DNAME example.net.", "x.out 300 CNAME x.example.net."],
            [],
        ),
        (
            ".".join(["y" * 60] * 3 + ["long"]),
            "A",
            "YXDOMAIN",
            ["long 300 DNAME " + "a" * 61 + ".new"],
            [],
        ),
        ("sub", "DS", "NOERROR", ["sub 300 DS 1 8 2 " + "00" * 32], []),
        ("nods", "DS", "NOERROR", [], DENIED),
        ("@", "DS", "NOERROR", [], DENIED),
        ("@", "NS", "NOERROR", ["@ 300 NS ns"], []),
        ("down", "A", "NOERROR", ["down 300 CNAME x.sub"], SUB_NS),
    ],
)
def test_an_authoritative_answer(qname, qtype, rcode, answer, authority):
    name = dns.name.from_text(qname, dns.name.from_text("example.com."))
    expected = dns.message.make_response(dns.message.make_query(name, qtype))
    expected.flags = expected.flags & ~dns.flags.RD | AA
    expected.set_rcode(dns.rcode.from_text(rcode))
    expected.answer = records(answer)
    expected.authority = records(authority)

    got = ORACLE.response(name, qtype)

    got.additional = [] if authority == SUB_NS else got.additional
    assert differences(expected, got) == []


@pytest.mark.parametrize(
    ("qname", "qtype"), [("sub", "A"), ("sub", "NS"), ("x.sub", "DS"), ("ns.sub", "A")]
)
def test_a_referral(qname, qtype):
    got = ORACLE.response(f"{qname}.example.com.", qtype)

    assert not got.flags & AA
    assert got.answer == []
    assert got.authority == records(SUB_NS)
    assert got.additional == records(["ns.sub 300 A 192.0.2.54", "ns.sub 300 AAAA 2001:db8::54"])


def test_a_chain_has_so_many_links_and_no_more():
    whole = ORACLE.response(f"chain{LINKS_MAX}.example.com.", "A")
    cut_short = ORACLE.response(f"chain{LINKS_MAX + 1}.example.com.", "A")

    assert len(whole.answer) == LINKS_MAX + 1
    assert len(cut_short.answer) == LINKS_MAX
    assert cut_short.authority == []


def test_a_name_outside_the_zone_is_refused():
    got = ORACLE.response("example.net.", "A")

    assert got.rcode() == dns.rcode.REFUSED
    assert not got.flags & AA


def test_meta_types_are_not_for_this_oracle():
    with pytest.raises(ValueError, match="ANY"):
        ORACLE.response("example.com.", "ANY")


def test_every_difference_is_told():
    expected = ORACLE.response("www.example.com.", "A")
    got = ORACLE.response("wWw.example.com.", "TXT")
    got.set_rcode(dns.rcode.SERVFAIL)
    got.flags ^= AA
    got.authority *= 2
    got.additional = records(["x 1 A 192.0.2.1"])

    assert differences(expected, got) == [
        "rcode SERVFAIL, not NOERROR",
        "AA is False",
        "the question is another",
        "answer lacks www.example.com. 300 A c0000201",
        "authority has example.com. 60 SOA " + got.authority[0][0].to_digestable().hex(),
        "authority has an rrset twice",
        "additional has x.example.com. 1 A c0000201",
    ]


def test_a_referral_may_carry_more_addresses_of_its_servers():
    expected = ORACLE.response("sub.example.com.", "A")
    got = ORACLE.response("sub.example.com.", "A")
    got.additional += records(["ns 300 A 192.0.2.53"])

    assert differences(expected, got) == []
    got.additional.pop(0)
    assert differences(expected, got) == ["additional lacks ns.sub.example.com. 300 A c0000236"]
