"""Records with holes for a pointer to the apex, read back by dnspython."""

import dns.name
import dns.rdata
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gslb.dns import name, records
from gslb.dns.records import CNAME, DNAME, HINFO, MX, NS, PTR, SOA, SRV, TXT, A, Rdata, RRset

APEX = name.parse("example.com.")
HEADER_BYTES = 12
NUMBERS = bytes(range(20))


def in_a_message(rdata, qname):
    """Return the rdata as dnspython reads it from a message that asks for *qname*."""
    question = qname + b"\0\1\0\1"
    pointer = 0xC000 | HEADER_BYTES + len(qname) - len(APEX)
    octets = bytearray(rdata.octets)
    for hole in rdata.holes:
        octets[hole : hole + 2] = pointer.to_bytes(2, "big")
    message = bytes(HEADER_BYTES) + question + octets
    return message, HEADER_BYTES + len(question), len(octets)


def read_back(type_, rdata, qname):
    message, at, size = in_a_message(rdata, qname)
    return dns.rdata.from_wire("IN", type_, message, at, size)


labels = st.sampled_from([b"a", b"B", b"www", b"example", b"com", b"\7example\3com", b"\xff\0"])
tails = st.sampled_from(["example.com.", "EXAMPLE.com.", "example.net.", "com.", "."])


@st.composite
def names(draw):
    tail = dns.name.from_text(draw(tails))
    return dns.name.Name([*draw(st.lists(labels, max_size=3)), *tail.labels]).to_wire()


questions = st.lists(labels, max_size=3).map(
    lambda parts: dns.name.Name([*parts, *dns.name.from_text("Example.Com.").labels]).to_wire()
)
rdatas = st.one_of(
    st.tuples(st.sampled_from([NS, CNAME, PTR, DNAME]), names()),
    st.tuples(st.just(MX), names().map(lambda wire: b"\0\x41" + wire)),
    st.tuples(st.just(SRV), names().map(lambda wire: b"\0\1\0\2\0\3" + wire)),
    st.tuples(st.just(SOA), st.tuples(names(), names()).map(lambda two: b"".join(two) + NUMBERS)),
    st.tuples(st.just(A), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(TXT), names().map(lambda wire: bytes((len(wire),)) + wire)),
    st.tuples(st.just(65280), st.binary(max_size=40)),
)


@given(rdatas, questions)
def test_dnspython_reads_back_what_was_encoded(typed, qname):
    type_, whole = typed

    rdata = records.encode(type_, whole, APEX)

    assert rdata.whole == whole
    assert read_back(type_, rdata, qname) == dns.rdata.from_wire("IN", type_, whole, 0, len(whole))


@given(rdatas)
def test_no_name_is_longer_for_being_compressed_and_none_within_the_zone_is_left_whole(typed):
    type_, whole = typed

    rdata = records.encode(type_, whole, APEX)

    saved = len(rdata.holes) * (len(APEX) - 2)
    assert len(rdata.octets) == len(whole) - saved
    assert all(rdata.octets[hole : hole + 2] == b"\0\0" for hole in rdata.holes)
    if type_ in (NS, CNAME, PTR):
        assert bool(rdata.holes) is name.is_within(whole.lower(), APEX)


@pytest.mark.parametrize(
    ("type_", "whole", "octets", "holes"),
    [
        (NS, b"\3ns1" + APEX, b"\3ns1\0\0", (4,)),
        (NS, b"\3NS1\7EXAMPLE\3com\0", b"\3NS1\0\0", (4,)),
        (NS, APEX, b"\0\0", (0,)),
        (NS, name.parse("ns.example.net."), name.parse("ns.example.net."), ()),
        (NS, b"\0", b"\0", ()),
        (MX, b"\0\x0a\4mail" + APEX, b"\0\x0a\4mail\0\0", (7,)),
        (
            SOA,
            b"\3ns1" + APEX + b"\1h" + APEX + NUMBERS,
            b"\3ns1\0\0\1h\0\0" + NUMBERS,
            (4, 8),
        ),
        (
            SOA,
            b"\1n\0\1h" + APEX + NUMBERS,
            b"\1n\0\1h\0\0" + NUMBERS,
            (5,),
        ),
        # RFC 3597 4: names in types that came later, and octets that look like one, stay
        (SRV, b"\0\0\0\0\0\0\1a" + APEX, b"\0\0\0\0\0\0\1a" + APEX, ()),
        (DNAME, b"\1a" + APEX, b"\1a" + APEX, ()),
        (HINFO, APEX, APEX, ()),
    ],
)
def test_only_names_of_rfc_1035_inside_the_zone_are_cut_short(type_, whole, octets, holes):
    assert records.encode(type_, whole, APEX) == Rdata(octets, holes, whole)


def test_the_root_zone_has_nothing_to_point_at():
    whole = name.parse("a.root-servers.net.")

    assert records.encode(NS, whole, name.ROOT) == Rdata(whole, (), whole)


def test_an_rrset_keeps_the_order_and_drops_duplicates():
    one, two = b"\xc0\0\2\1", b"\xc0\0\2\2"

    rrset = records.rrset(A, 300, [two, one, two], APEX)

    assert rrset == RRset(A, 300, (Rdata(two, (), two), Rdata(one, (), one)))


def test_a_name_in_rdata_is_found_in_lower_case():
    rdata = records.encode(MX, b"\0\x41\4Mail" + APEX, APEX)

    assert records.name_in(rdata, 2) == b"\4mail" + APEX
    assert records.name_in(records.encode(NS, b"\2NS\0", APEX)) == b"\2ns\0"


TYPES = ["A", "NS", "CNAME", "SOA", "PTR", "HINFO", "MX", "TXT", "AAAA", "SRV", "DNAME"]
TYPES += ["OPT", "DS", "RRSIG", "IXFR", "AXFR"]


@pytest.mark.parametrize("mnemonic", TYPES)
def test_type_numbers_are_those_of_the_registry(mnemonic):
    assert getattr(records, mnemonic) == dns.rdatatype.from_text(mnemonic)
