"""Decoding one query with a client subnet, and encoding its response: three libraries.

    python -m bench.codec

The query asks for an A record over UDP with EDNS and a client subnet, as a public resolver
sends it.  The response holds one A record and echoes the subnet with a scope.  Each library
does what it would have to do on the query path: octets to a value, the question and the
subnet read from it, a value built, octets again.  gslb also checks the subnet bit by bit, as
RFC 7871 asks; the others hand it out as it came.

The three responses are compared before anything is timed.  Rounds go round the libraries;
printed are the median and the range of the time for one query, and the ratio of the medians.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from statistics import median
from time import perf_counter

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from bench.process import NotMeasured
from bench.table import shown
from gslb.dns import name
from gslb.dns.message import decode_query
from gslb.dns.records import Rdata
from gslb.dns.response import Part, Response, encode

ROUNDS = 7
QUERIES = 2_000
ADDRESS = "192.0.2.1"
TTL_S = 30
SCOPE = 20
PAYLOAD = 1232

_APEX = name.parse("example.com")
_RDATA = Rdata(IPv4Address(ADDRESS).packed, (), IPv4Address(ADDRESS).packed)


def query() -> bytes:
    """Return the query that is answered again and again."""
    subnet = dns.edns.ECSOption("198.51.100.0", 24)
    asked = dns.message.make_query("www.example.com", "A", use_edns=0, payload=PAYLOAD, id=4711)
    asked.use_edns(0, payload=PAYLOAD, options=[subnet])
    return asked.to_wire()


def by_gslb(wire: bytes) -> bytes:
    """Answer with gslb.dns."""
    asked = decode_query(wire)
    assert asked.edns is not None
    assert asked.edns.subnet is not None
    part = Part(None, asked.type, TTL_S, (_RDATA,))
    response = Response(
        rcode=0, authoritative=True, apex=_APEX, answer=(part,), scope=SCOPE, service="www"
    )
    return encode(asked, response, node=b"ns1")


def by_dnspython(wire: bytes) -> bytes:
    """Answer with dnspython."""
    asked = dns.message.from_wire(wire)
    question = asked.question[0]
    subnet = next(each for each in asked.options if isinstance(each, dns.edns.ECSOption))
    response = dns.message.make_response(asked)
    response.flags |= dns.flags.AA
    response.answer.append(
        dns.rrset.from_text(question.name, TTL_S, question.rdclass, question.rdtype, ADDRESS)
    )
    echoed = dns.edns.ECSOption(subnet.address, subnet.srclen, SCOPE)
    response.use_edns(0, payload=PAYLOAD, options=[echoed])
    return response.to_wire()


def by_dnslib(wire: bytes) -> bytes:
    """Answer with dnslib."""
    from dnslib import EDNS0, QTYPE, RR, A, DNSHeader, DNSRecord, EDNSOption  # noqa: PLC0415

    asked = DNSRecord.parse(wire)
    opt = next(each for each in asked.ar if each.rtype == QTYPE.OPT)
    subnet = next(each for each in opt.rdata if each.code == 8)
    header = DNSHeader(id=asked.header.id, qr=1, aa=1, rd=asked.header.rd)
    response = DNSRecord(header, q=asked.q)
    response.add_answer(RR(asked.q.qname, asked.q.qtype, ttl=TTL_S, rdata=A(ADDRESS)))
    echoed = EDNSOption(8, subnet.data[:3] + bytes((SCOPE,)) + subnet.data[4:])
    response.add_ar(EDNS0(udp_len=PAYLOAD, opts=[echoed]))
    return bytes(response.pack())


LIBRARIES: dict[str, Callable[[bytes], bytes]] = {
    "gslb.dns": by_gslb,
    "dnslib": by_dnslib,
    "dnspython": by_dnspython,
}


def figure() -> str:
    """Measure all libraries in turn and return the table."""
    wire = query()
    try:
        by_dnslib(wire)
    except ImportError:
        raise NotMeasured("dnslib is not installed; pip install -e '.[bench]'") from None
    told = {library: _told(answer(wire)) for library, answer in LIBRARIES.items()}
    assert len(set(told.values())) == 1, f"the responses differ: {told}"
    times: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for _ in range(ROUNDS):
        for library, answer in LIBRARIES.items():
            times[library].append(_time_s(answer, wire))
    ours_s = median(times["gslb.dns"])
    rows = [
        (
            library,
            f"{median(each) * 1e6:.1f} µs",
            f"{min(each) * 1e6:.1f}–{max(each) * 1e6:.1f}",
            f"{median(each) / ours_s:.1f}",
        )
        for library, each in times.items()
    ]
    return shown(("library", "one query", "range", "times gslb.dns"), rows)


def _told(wire: bytes) -> str:
    """Return what an independent reader takes a response for, without its id."""
    read = dns.message.from_wire(wire)
    options = [option.to_text() for option in read.options]
    return f"{read.flags} {read.question} {read.answer} {read.payload} {options}"


def _time_s(answer: Callable[[bytes], bytes], wire: bytes) -> float:
    begun_s = perf_counter()
    for _ in range(QUERIES):
        answer(wire)
    return (perf_counter() - begun_s) / QUERIES


if __name__ == "__main__":
    try:
        print(figure())
    except NotMeasured as why:
        sys.exit(f"not measured: {why}")
