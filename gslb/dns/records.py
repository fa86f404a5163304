"""Resource records ready to be copied into a response (RFC 1035 3.2, 2181 5).

A response's question always ends in the zone's apex.  So any name inside the zone can be
compressed by one pointer into the question, whose place is known before a query arrives:
a *hole* is the offset of such a pointer, filled in when the question is.  That is the
whole of name compression here; it needs no table while answering, and an engine in any
language writes the same bytes.

Names inside rdata are compressed only for the types of RFC 1035, as RFC 3597 4 asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gslb.dns import name

A, NS, CNAME, SOA, PTR, HINFO, MX, TXT, AAAA, SRV = 1, 2, 5, 6, 12, 13, 15, 16, 28, 33
DNAME, OPT, DS, RRSIG, IXFR, AXFR, ANY = 39, 41, 43, 46, 251, 252, 255

# The types that are shown by name.
TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    43: "DS",
    48: "DNSKEY",
    64: "SVCB",
    65: "HTTPS",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    257: "CAA",
}

IN, CH = 1, 3

TTL_MAX = 0x7FFFFFFF
RECORD_BYTES = 12  # a record's owner, when that is a pointer, type, class, TTL and length

# Where the names stand in the rdata of the types that may be compressed: octets before
# the first name, and how many names follow one another.
_NAMES = {NS: (0, 1), CNAME: (0, 1), SOA: (0, 2), PTR: (0, 1), MX: (2, 1)}


@dataclass(frozen=True, slots=True)
class Rdata:
    """One record's rdata: its octets, and the holes in it for a pointer to the zone's apex.

    `whole` is the same without compression, for whoever wants to read it.
    """

    octets: bytes
    holes: tuple[int, ...]
    whole: bytes


@dataclass(frozen=True, slots=True)
class RRset:
    """Records of one type with one TTL in seconds; the owner is said where it is used."""

    type: int
    ttl_s: int
    rdatas: tuple[Rdata, ...]


def rrset(type_: int, ttl_s: int, rdatas: Iterable[bytes], apex: bytes) -> RRset:
    """Return an rrset of the zone *apex* from *rdatas* in uncompressed wire form.

    Duplicates are dropped (RFC 2181 5), order is kept.
    """
    return RRset(type_, ttl_s, tuple(encode(type_, whole, apex) for whole in dict.fromkeys(rdatas)))


def encode(type_: int, whole: bytes, apex: bytes) -> Rdata:
    """Return *whole* with each name inside the zone cut short by a pointer to its apex."""
    if type_ not in _NAMES or apex == name.ROOT:
        return Rdata(whole, (), whole)
    at, names = _NAMES[type_]
    out = bytearray(whole[:at])
    holes = []
    for _ in range(names):
        end = _name_end(whole, at)
        owner = whole[at:end]
        if name.is_within(owner.lower(), apex):
            out += owner[: len(owner) - len(apex)]
            holes.append(len(out))
            out += b"\x00\x00"
        else:
            out += owner
        at = end
    out += whole[at:]
    return Rdata(bytes(out), tuple(holes), whole)


def name_in(rdata: Rdata, at: int = 0) -> bytes:
    """Return the lower-case name that stands at octet *at* of the uncompressed rdata."""
    return rdata.whole[at : _name_end(rdata.whole, at)].lower()


def _name_end(wire: bytes, at: int) -> int:
    while wire[at]:
        at += 1 + wire[at]
    return at + 1
