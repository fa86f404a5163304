"""Zones as images: the tree of `gslb.dns.zone`, node after node, for other engines to read.

An image holds what a response is copied from and nothing that can be worked out of it: the
uncompressed form of rdata is its octets with the zone's name in place of each hole.  Readers
index the nodes by name themselves.  `native/src/zone.rs` reads the same:

    zone   u32 nodes, name of the apex, rrset (the SOA of negative answers), the nodes
    node   name, u8 flags, u16 rrsets, u16 glue rrsets, u16 of these needed, rrsets, glue
    glue   name of the owner, rrset
    rrset  u16 type, u32 TTL in seconds, u16 rdatas, u32 octets that they take, rdatas
    rdata  u16 octets, u8 holes, u16 for each hole, the octets
    name   u8 octets, the lower-case wire form
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from types import MappingProxyType

from gslb.dns.image import ZONE, framed
from gslb.dns.records import Rdata, RRset
from gslb.dns.zone import Node, Zone

SERVICE, CUT = 1, 2  # flags of a node

_COUNT = Struct("=I")
_NODE = Struct("=BHHH")
_RRSET = Struct("=HIHI")
_RDATA = Struct("=HB")
_HOLE = Struct("=H")


def encode_zone(zone: Zone) -> bytes:
    """Return *zone* as an image."""
    out = [_COUNT.pack(len(zone.nodes)), name_octets(zone.apex), _rrset(zone.soa)]
    for owner, node in zone.nodes.items():
        flags = (SERVICE if node.service else 0) | (CUT if node.cut else 0)
        out.append(name_octets(owner))
        out.append(_NODE.pack(flags, len(node.rrsets), len(node.glue), node.glue_needed))
        out += map(_rrset, node.rrsets.values())
        for server, rrset in node.glue:
            out += (name_octets(server), _rrset(rrset))
    return framed(ZONE, b"".join(out))


def name_octets(name: bytes) -> bytes:
    """Return a name with its length before it."""
    return bytes((len(name),)) + name


def rdata_octets(rdatas: Iterable[Rdata]) -> bytes:
    """Return *rdatas* one behind the other, each with its length and holes before it."""
    out = []
    for rdata in rdatas:
        out.append(_RDATA.pack(len(rdata.octets), len(rdata.holes)))
        out += map(_HOLE.pack, rdata.holes)
        out.append(rdata.octets)
    return b"".join(out)


def _rrset(rrset: RRset) -> bytes:
    rdatas = rdata_octets(rrset.rdatas)
    return _RRSET.pack(rrset.type, rrset.ttl_s, len(rrset.rdatas), len(rdatas)) + rdatas


def decode_node(octets: bytes, apex: bytes) -> Node:
    """Return the node that *octets*, the part of an image behind its name, hold."""
    flags, rrsets, glue, needed = _NODE.unpack_from(octets)
    at, types, servers = _NODE.size, {}, []
    for _ in range(rrsets):
        rrset, at = _read_rrset(octets, at, apex)
        types[rrset.type] = rrset
    for _ in range(glue):
        server = octets[at + 1 : at + 1 + octets[at]]
        rrset, at = _read_rrset(octets, at + 1 + octets[at], apex)
        servers.append((server, rrset))
    return Node(
        MappingProxyType(types), bool(flags & SERVICE), bool(flags & CUT), tuple(servers), needed
    )


def _read_rrset(octets: bytes, at: int, apex: bytes) -> tuple[RRset, int]:
    type_, ttl_s, count, _ = _RRSET.unpack_from(octets, at)
    at += _RRSET.size
    rdatas = []
    for _ in range(count):
        rdata, at = _read_rdata(octets, at, apex)
        rdatas.append(rdata)
    return RRset(type_, ttl_s, tuple(rdatas)), at


def _read_rdata(octets: bytes, at: int, apex: bytes) -> tuple[Rdata, int]:
    length, count = _RDATA.unpack_from(octets, at)
    at += _RDATA.size
    holes = tuple(_HOLE.unpack_from(octets, at + 2 * number)[0] for number in range(count))
    at += 2 * count
    held = octets[at : at + length]
    whole, begin = b"", 0
    for hole in holes:
        whole += held[begin:hole] + apex
        begin = hole + 2
    return Rdata(held, holes, whole + held[begin:]), at + length
