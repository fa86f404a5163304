"""Responses as dnspython reads them: what was meant, within the asker's size, or cut and told."""

from struct import unpack_from

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gslb.dns import name
from gslb.dns.edns import encode_keepalive
from gslb.dns.message import (
    BADVERS,
    FORMERR,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    YXDOMAIN,
    decode_query,
)
from gslb.dns.records import AAAA, NS, A, Rdata
from gslb.dns.records import encode as encode_rdata
from gslb.dns.response import TCP_MAX, UDP_MAX, Part, Response, encode, encode_error
from tests.world import APEX

NODE = b"ns1.example.net"
ORIGIN = dns.name.from_text("example.com")
ENOUGH = 4096


def asking(qname="www.example.com", qtype="A", **keys):
    """Return the query for a name as dnspython makes it; with EDNS if a payload is given."""
    payload = keys.pop("payload", None)
    if payload is not None:
        keys |= {"use_edns": 0, "payload": payload}
    return decode_query(dns.message.make_query(qname, qtype, **keys).to_wire())


def part(owner, rdtype, *texts, ttl_s=300, apex=APEX):
    """Return one rrset; an owner of None is the question's."""
    type_ = dns.rdatatype.from_text(rdtype)
    rdatas = [
        encode_rdata(type_, dns.rdata.from_text("IN", rdtype, text, ORIGIN, False).to_wire(), apex)
        for text in texts
    ]
    return Part(None if owner is None else name.parse(owner, APEX), int(type_), ttl_s, rdatas)


def answered(*parts, **keys):
    return Response(**{"rcode": NOERROR, "authoritative": True, "apex": APEX, **keys}, answer=parts)


def sent(query, response, **keys):
    """Return the octets of a response and what dnspython makes of them."""
    wire = encode(query, response, **{"node": NODE, "size_max": TCP_MAX, **keys})
    return wire, dns.message.from_wire(wire)


def addresses(count):
    return part(None, "A", *(f"192.0.2.{n}" for n in range(1, count + 1)))


def options(message):
    return {int(option.otype): option for option in message.options}


# The header.


@pytest.mark.parametrize(
    ("flags", "copied"),
    [("RD", "RD"), ("", ""), ("AA TC RD RA AD CD", "RD"), ("CD AD", "")],
)
def test_of_the_askers_flags_only_rd_comes_back(flags, copied):
    message = dns.message.make_query("www.example.com", "A")
    message.flags = dns.flags.from_text(flags) | 0x0040  # and the last one that is reserved

    _, got = sent(decode_query(message.to_wire()), answered())

    assert got.id == message.id
    assert got.flags == dns.flags.from_text(f"QR AA {copied}")


@pytest.mark.parametrize("rcode", [NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN])
@pytest.mark.parametrize("payload", [None, 1232])
def test_the_rcode(rcode, payload):
    _, got = sent(asking(payload=payload), Response(rcode=rcode))

    assert got.rcode() == rcode
    assert got.flags & dns.flags.AA == 0
    assert got.edns == (-1 if payload is None else 0)


def test_a_version_that_is_not_known_is_told_in_the_opt_record():
    query = asking(payload=1232)

    _, got = sent(query, Response(rcode=BADVERS))

    assert got.rcode() == dns.rcode.BADVERS
    assert got.edns == 0


def test_the_question_comes_back_octet_for_octet():
    query = asking("wWw.eXample.Com")

    wire, _ = sent(query, answered(part(None, "A", "192.0.2.1")))

    assert wire[12 : 12 + len(query.question)] == query.question
    assert b"\x03wWw\x07eXample\x03Com\x00" in wire


def test_an_owner_is_in_the_case_it_was_asked_in():
    query = asking("wWw.Example.COM")

    _, got = sent(query, answered(part("www", "A", "192.0.2.1"), part("ns1", "A", "192.0.2.2")))

    assert [rrset.name.to_text() for rrset in got.answer] == [
        "wWw.Example.COM.",
        "ns1.Example.COM.",
    ]


# Reading it back.


EVERYTHING = [
    ("A", "192.0.2.1"),
    ("AAAA", "2001:db8::1"),
    ("NS", "ns1"),
    ("NS", "ns.example.net."),
    ("CNAME", "a.b"),
    ("CNAME", "@"),
    ("SOA", "ns1 hostmaster 1 2 3 4 5"),
    ("SOA", "ns.example.net. hostmaster 1 2 3 4 5"),
    ("PTR", "host"),
    ("MX", "10 mail"),
    ("MX", "10 mail.example.org."),
    ("TXT", '"a text" "and another"'),
    ("SRV", "1 2 443 www"),
    ("DNAME", "other"),
    ("NAPTR", '100 50 "s" "http" "" _http._tcp'),
    ("SVCB", "1 www alpn=h2"),
    ("HTTPS", "1 . ipv4hint=192.0.2.1"),
    ("CAA", '0 issue "ca.example.net"'),
    ("DS", "1 8 2 " + "00" * 32),
    ("TYPE65280", "\\# 3 abcdef"),
    ("RP", "admin info"),
    ("KX", "10 kx"),
    ("AFSDB", "1 afs"),
]


@pytest.mark.parametrize(("rdtype", "text"), EVERYTHING)
@pytest.mark.parametrize("qname", ["www.example.com", "example.com", "a.b.Example.com"])
def test_every_type_is_read_back_as_meant(rdtype, text, qname):
    made = part(None, rdtype, text)

    _, got = sent(asking(qname), answered(made))

    expected = dns.rrset.from_rdata(
        f"{qname}.", 300, dns.rdata.from_text("IN", rdtype, text, ORIGIN, False)
    )
    assert got.answer == [expected]
    assert got.answer[0].ttl == 300


@pytest.mark.parametrize(
    ("rdtype", "text", "compressed"),
    [
        ("NS", "ns1", True),
        ("CNAME", "ns1", True),
        ("PTR", "ns1", True),
        ("MX", "1 ns1", True),
        ("SOA", "ns1 ns2 1 2 3 4 5", True),
        ("NS", "ns1.example.net.", False),
        ("NS", "ns1.notexample.com.", False),
        ("SRV", "1 2 3 ns1", False),
        ("DNAME", "ns1", False),
        ("RP", "ns1 ns2", False),
        ("SVCB", "1 ns1", False),
        ("NAPTR", '1 1 "" "" "" ns1', False),
        ("KX", "1 ns1", False),
        ("AFSDB", "1 ns1", False),
    ],
)
def test_names_in_rdata_are_compressed_for_the_types_of_rfc_1035_alone(rdtype, text, compressed):
    query = asking()

    wire, _ = sent(query, answered(part(None, rdtype, text)))

    rdata = wire[12 + len(query.question) + 12 :]
    assert (b"\xc0" in rdata) is compressed
    assert (b"\x07example\x03com\x00" in rdata) is (not compressed and "." not in text)


def test_owners_are_compressed():
    query = asking()

    wire, _ = sent(query, answered(part("ns1", "A", "192.0.2.1"), part("@", "A", "192.0.2.2")))

    assert len(wire) == 12 + len(query.question) + (4 + 2 + 14) + (2 + 14)


def test_the_records_of_an_rrset_point_at_the_owner_of_its_first():
    query = asking()
    parts = part("ns1", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3"), part("ns2", "A", "192.0.2.4")

    wire, got = sent(query, answered(*parts))

    assert len(wire) == 12 + len(query.question) + (6 + 14) + 2 * (2 + 14) + (6 + 14)
    assert [(str(rrset.name), len(rrset)) for rrset in got.answer] == [
        ("ns1.example.com.", 3),
        ("ns2.example.com.", 1),
    ]


def test_owners_beyond_what_a_pointer_can_tell_are_written_again():
    query = asking()
    far = part(None, "TXT", *(f'"{n} {"x" * 240}"' for n in range(80)))

    wire, got = sent(query, answered(far, part("ns1", "A", "192.0.2.1", "192.0.2.2")))

    assert wire.count(b"\x03ns1\xc0\x10") == 2
    assert [str(rrset.name) for rrset in got.answer] == ["www.example.com.", "ns1.example.com."]


def test_the_root_zone_has_nothing_to_compress_to():
    query = asking("www.example.net")
    parts = [
        Part(None, A, 1, [Rdata(b"\xc0\x00\x02\x01", (), b"")]),
        Part(b"\x03net\x00", NS, 1, [encode_rdata(NS, b"\x02ns\x03net\x00", name.ROOT)]),
    ]

    wire, got = sent(query, answered(*parts, apex=name.ROOT))

    assert b"\x03net\x00\x00\x02" in wire
    assert [rrset.to_text() for rrset in got.answer] == [
        "www.example.net. 1 IN A 192.0.2.1",
        "net. 1 IN NS ns.net.",
    ]


def test_names_of_255_octets():
    label = "a" * 63
    qname = f"{label}.{label}.{label}.{'b' * 49}.example.com"
    other = f"{label}.{label}.{label}.{'c' * 49}.example.com."
    assert len(name.parse(qname)) == name.NAME_MAX

    _, got = sent(
        asking(qname, payload=1232),
        answered(part(None, "CNAME", other), part(other, "A", "192.0.2.1")),
        size_max=UDP_MAX,
    )

    assert got.answer[0].name == dns.name.from_text(qname)
    assert got.answer[0][0].target == dns.name.from_text(other) == got.answer[1].name


# Sizes and truncation.


def test_what_just_fits_is_sent_whole_and_an_octet_less_is_told():
    query, response = asking(), answered(addresses(20))
    whole, _ = sent(query, response)

    for size_max in (len(whole), len(whole) - 1):
        wire = encode(query, response, node=NODE, size_max=size_max)
        assert len(wire) <= size_max
        got = dns.message.from_wire(wire)
        assert bool(got.flags & dns.flags.TC) is (size_max < len(whole))


@pytest.mark.parametrize(
    ("payload", "size_max", "limit"),
    [
        (None, UDP_MAX, 512),
        (None, 400, 400),
        (512, UDP_MAX, 512),
        (100, UDP_MAX, 512),
        (1000, UDP_MAX, 1000),
        (4096, UDP_MAX, 1232),
        (65_535, UDP_MAX, 1232),
        (None, TCP_MAX, TCP_MAX),
        (512, TCP_MAX, TCP_MAX),
    ],
)
@pytest.mark.parametrize("count", [1, 25, 28, 29, 60, 72, 73, 80, 5000])
def test_no_response_is_longer_than_the_asker_and_the_transport_take(
    payload, size_max, limit, count
):
    many = Part(
        None, A, 1, [Rdata(bytes((192, 0, n >> 8, n & 255)), (), b"") for n in range(count)]
    )

    wire, got = sent(asking(payload=payload), answered(many), size_max=size_max)

    whole = 12 + 21 + 16 * count + (0 if payload is None else 11)
    assert len(wire) <= limit
    assert bool(got.flags & dns.flags.TC) is (whole > limit)
    assert len(got.answer) == (0 if whole > limit else 1)
    assert got.edns == (-1 if payload is None else 0)


def test_over_tcp_what_does_not_fit_in_its_frame_is_told_too():
    vast = part(None, "TXT", *(f'"{n} {"x" * 240}"' for n in range(270)))

    wire, got = sent(asking(payload=1232), answered(vast))

    assert len(wire) < 100
    assert got.flags & dns.flags.TC
    assert (got.answer, got.edns) == ([], 0)


def test_an_authority_that_does_not_fit_is_told_and_empties_the_answer():
    soa = part("@", "SOA", "ns1 hostmaster 1 2 3 4 5")

    _, got = sent(asking(), answered(addresses(28), authority=(soa,)), size_max=512)

    assert got.flags & dns.flags.TC
    assert (got.answer, got.authority) == ([], [])


def referral(needed, *, big=40):
    servers = part("sub", "NS", "ns1.sub", "ns2.sub")
    glue = (
        part("ns1.sub", "A", "192.0.2.1"),
        Part(name.parse("ns2.sub", APEX), AAAA, 1, [Rdata(bytes(16), (), b"")] * big),
        part("ns1", "A", "192.0.2.3"),
    )
    return Response(rcode=NOERROR, apex=APEX, authority=(servers,), additional=glue, needed=needed)


@pytest.mark.parametrize(("needed", "told"), [(0, False), (1, False), (2, True), (3, True)])
def test_glue_that_is_needed_and_does_not_fit_is_told_but_other_additional_data_is_not(
    needed, told
):
    _, got = sent(asking("www.sub.example.com"), referral(needed), size_max=UDP_MAX)

    assert bool(got.flags & dns.flags.TC) is told
    assert len(got.authority) == 1
    assert [rrset.name.labels[0] for rrset in got.additional] == [b"ns1", b"ns1"]


def test_an_rrset_of_the_additional_section_is_never_cut_in_two():
    _, got = sent(asking("www.sub.example.com", payload=700), referral(2, big=24), size_max=UDP_MAX)

    assert [len(rrset) for rrset in got.additional] == [1, 1]
    assert got.edns == 0


# The OPT record.


def test_the_opt_record_comes_only_when_asked_for_and_says_our_own_size():
    _, without = sent(asking(), answered())
    _, with_opt = sent(asking(payload=4096, want_dnssec=True), answered())

    assert without.edns == -1
    assert (with_opt.edns, with_opt.payload) == (0, UDP_MAX)
    assert with_opt.ednsflags == dns.flags.DO


def test_nothing_of_the_askers_opt_record_is_echoed():
    unknown = [dns.edns.GenericOption(65_001, b"x"), dns.edns.GenericOption(10, b"12345678")]
    query = asking(payload=1232, options=unknown, ednsflags=0x7FFF)

    _, got = sent(query, answered())

    assert got.options == ()
    assert got.ednsflags == 0


@pytest.mark.parametrize(
    ("subnet", "scope", "expected"),
    [
        (("192.0.2.0", 24), 20, "ECS 192.0.2.0/24 scope/20"),
        (("192.0.2.0", 24), 32, "ECS 192.0.2.0/24 scope/32"),
        (("2001:db8::", 48), 36, "ECS 2001:db8::/48 scope/36"),
        (("0.0.0.0", 0), 24, "ECS 0.0.0.0/0 scope/0"),
        (("::", 0), 24, "ECS ::/0 scope/0"),
    ],
)
def test_the_client_subnet_is_answered_with_its_scope(subnet, scope, expected):
    query = asking(payload=1232, options=[dns.edns.ECSOption(*subnet)])

    _, got = sent(query, answered(scope=scope))

    assert [option.to_text() for option in got.options] == [expected]


def test_no_client_subnet_is_told_to_those_who_sent_none():
    _, got = sent(asking(payload=1232), answered(scope=24))

    assert got.options == ()


def test_a_family_of_0_is_echoed():
    query = asking(payload=1232, options=[dns.edns.GenericOption(8, bytes(4))])

    wire = encode(query, answered(scope=24), node=NODE)

    assert wire.endswith(b"\x00\x08\x00\x04\x00\x00\x00\x00")


def test_nsid_names_the_node_to_those_who_ask():
    query = asking(payload=1232, options=[dns.edns.GenericOption(3, b"ignored")])

    _, got = sent(query, answered())

    assert options(got)[3].nsid == NODE


@pytest.mark.parametrize(
    ("asks", "keepalive_s", "expected"),
    [
        (True, 10.0, b"\x00\x0b\x00\x02\x00\x64"),
        (True, None, b""),
        (False, 10.0, b""),
    ],
)
def test_the_idle_time_is_told_over_tcp_to_those_who_ask(asks, keepalive_s, expected):
    asked = [dns.edns.GenericOption(11, b"")] if asks else []

    wire, got = sent(asking(payload=1232, options=asked), answered(), keepalive_s=keepalive_s)

    assert bool(got.options) is bool(expected)
    assert wire.endswith(expected)


@pytest.mark.parametrize(("idle_s", "units"), [(0.0, 0), (0.26, 3), (6553.5, 65535), (1e9, 65535)])
def test_the_idle_time_is_in_tenths_of_a_second(idle_s, units):
    assert unpack_from(">H", encode_keepalive(idle_s), 4) == (units,)


def test_an_extended_error():
    _, got = sent(asking(payload=1232), Response(rcode=SERVFAIL, error=(24, b"broken")))

    assert (options(got)[15].code, options(got)[15].text) == (24, "broken")


def test_without_edns_there_is_no_extended_error():
    wire, _ = sent(asking(), Response(rcode=SERVFAIL, error=(24, b"broken")))

    assert b"broken" not in wire


ALL_OPTIONS = [
    dns.edns.ECSOption("192.0.2.0", 24),
    dns.edns.GenericOption(3, b""),
    dns.edns.GenericOption(11, b""),
]


def test_truncated_answers_have_all_their_options():
    query = asking(payload=512, options=ALL_OPTIONS)

    wire, got = sent(
        query, answered(addresses(40), error=(3, b"stale")), size_max=UDP_MAX, keepalive_s=1.0
    )

    assert len(wire) <= 512
    assert got.flags & dns.flags.TC
    assert set(options(got)) == {8, 3, 11, 15}


@pytest.mark.parametrize("count", range(20, 32))
def test_options_never_push_data_out_nor_over_the_limit(count):
    query = asking(payload=512, options=ALL_OPTIONS)
    response = answered(addresses(count), error=(3, b"stale"))

    wire, got = sent(query, response, size_max=UDP_MAX)

    data = 12 + 21 + 16 * count + 11 + (4 + 4 + 3)
    error, nsid = 4 + 2 + 5, 4 + len(NODE)
    assert len(wire) <= 512
    if data > 512:
        assert not got.answer
        return
    assert len(got.answer[0]) == count
    assert 8 in options(got)
    assert (15 in options(got)) is (data + error <= 512)
    assert (3 in options(got)) is (data + error + nsid <= 512)
    assert bool(got.flags & dns.flags.TC) is (15 not in options(got))


def test_a_node_with_too_long_a_name_is_not_named():
    query = asking(payload=512, options=[dns.edns.GenericOption(3, b"")])

    _, got = sent(query, answered(addresses(1)), node=b"n" * 600, size_max=UDP_MAX)

    assert got.options == ()
    assert not got.flags & dns.flags.TC


# Datagrams that are no query.


@pytest.mark.parametrize(
    ("flags", "rcode", "expected"),
    [
        (0x0100, FORMERR, 0x8101),
        (0x2000, REFUSED, 0xA005),
        (0x7FFF, NOTIMP, 0xF904),
        (0x0000, SERVFAIL, 0x8002),
    ],
)
def test_what_is_no_query_gets_a_header(flags, rcode, expected):
    wire = b"\x12\x34" + flags.to_bytes(2, "big") + b"\x00\x07" * 4 + b"rest"

    got = encode_error(wire, rcode)

    assert got == b"\x12\x34" + expected.to_bytes(2, "big") + bytes(8)
    assert dns.message.from_wire(got).rcode() == rcode


# Whatever is said.


labels = st.lists(st.sampled_from([b"a", b"B", b"ns", b"*", b"\x00\xff.", b"x" * 63]), max_size=3)
in_zone = labels.map(lambda ls: b"".join(bytes((len(x),)) + x for x in ls) + APEX)
anywhere = st.one_of(in_zone, st.just(b"\x02ns\x07example\x03net\x00"), st.just(b"\x00"))


@st.composite
def parts(draw):
    rdtype = draw(st.sampled_from(["A", "NS", "MX", "SOA", "TXT", "SRV"]))
    count = 1 if rdtype == "SOA" else draw(st.integers(1, 4))
    wholes = []
    for n in range(count):
        target = draw(anywhere)
        wholes.append(
            {
                "A": bytes((192, 0, 2, n)),
                "NS": target,
                "MX": bytes((0, n)) + target,
                "SOA": target + draw(anywhere) + bytes(20),
                "TXT": b"\xc8" + bytes((n,)) * 200,
                "SRV": bytes((0, n)) * 3 + target,
            }[rdtype]
        )
    type_ = int(dns.rdatatype.from_text(rdtype))
    rdatas = tuple(encode_rdata(type_, whole, APEX) for whole in dict.fromkeys(wholes))
    return Part(draw(st.none() | in_zone), type_, draw(st.integers(0, 2**31 - 1)), rdatas)


def meant(part_, qname):
    owner = dns.name.from_wire(part_.owner or qname, 0)[0].canonicalize()
    return owner, part_.type, part_.ttl_s, {_rdata(part_.type, each.whole) for each in part_.rdatas}


def _rdata(type_, whole):
    return dns.rdata.from_wire("IN", type_, whole, 0, len(whole)).to_digestable()


def read(rrset):
    digests = {rdata.to_digestable() for rdata in rrset}
    return rrset.name.canonicalize(), int(rrset.rdtype), rrset.ttl, digests


sections = st.lists(parts(), max_size=4)


@given(in_zone, sections, sections, sections, st.none() | st.integers(0, 2000), st.booleans())
def test_whatever_is_said_is_read_back_as_meant_and_fits_or_is_told(
    qname, answer, authority, additional, payload, over_tcp
):
    for section in (answer, authority, additional):
        keys = [(p.owner.lower() if p.owner else qname.lower(), p.type) for p in section]
        assume(len(set(keys)) == len(keys))
    query = decode_query(
        dns.message.make_query(
            dns.name.from_wire(qname, 0)[0],
            "A",
            use_edns=-1 if payload is None else 0,
            payload=payload or 0,
        ).to_wire()
    )
    response = Response(
        rcode=NOERROR, apex=APEX, answer=answer, authority=authority, additional=additional
    )

    wire, got = sent(query, response, size_max=TCP_MAX if over_tcp else UDP_MAX)

    limit = TCP_MAX if over_tcp else min(UDP_MAX, max(512, payload or 0))
    assert len(wire) <= limit
    if not got.flags & dns.flags.TC:
        assert [read(each) for each in got.answer] == [meant(each, qname) for each in answer]
        assert [read(each) for each in got.authority] == [meant(each, qname) for each in authority]
    wanted = [meant(each, qname) for each in additional]
    assert all(read(each) in wanted for each in got.additional)
    assert (got.edns == 0) is (payload is not None)
