"""One zone as a tree of nodes, and where in it a name is found (RFC 1034 4.3.2, 4592).

The tree is a dictionary from lower-case wire names to nodes.  Empty non-terminals are
nodes without rrsets, so that a name that is not a key does not exist.  What lies below a
delegation or a DNAME is occluded and left out, but for the addresses that a referral
needs.  Then one step up the labels of a missing name, to the first that exists, tells
everything: a cut, a DNAME, or the closest encloser whose wildcard may stand in.

A service is a node like any other, marked: what it answers is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from types import MappingProxyType

from gslb.dns import name
from gslb.dns.records import AAAA, DNAME, NS, SOA, A, RRset, name_in

_NO_RRSETS: Mapping[int, RRset] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at one name.

    `glue` is for a cut: the addresses of its name servers that lie inside this zone, those
    below the cut itself (without which the referral is useless, RFC 9471) first;
    `glue_needed` counts these.
    """

    rrsets: Mapping[int, RRset] = field(default_factory=lambda: _NO_RRSETS)
    service: bool = False
    cut: bool = False
    glue: tuple[tuple[bytes, RRset], ...] = ()
    glue_needed: int = 0


class How(Enum):
    """In which way a name was found."""

    EXACT = auto()
    WILDCARD = auto()
    REFERRAL = auto()
    DNAME = auto()
    NXDOMAIN = auto()


@dataclass(frozen=True, slots=True)
class Found:
    """A name's place: the node that answers for it, and the name of that node."""

    how: How
    owner: bytes
    node: Node


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone's apex, its nodes by name, and the SOA as negative answers carry it."""

    apex: bytes
    nodes: Mapping[bytes, Node]
    soa: RRset

    def find(self, qname: bytes) -> Found:
        """Return where *qname*, a lower-case name inside the zone, is found."""
        if (node := self.nodes.get(qname)) is not None:
            return Found(How.REFERRAL if node.cut else How.EXACT, qname, node)
        encloser = name.parent(qname)
        while (node := self.nodes.get(encloser)) is None:
            encloser = name.parent(encloser)
        if node.cut:
            return Found(How.REFERRAL, encloser, node)
        if DNAME in node.rrsets:
            return Found(How.DNAME, encloser, node)
        wildcard = b"\x01*" + encloser
        if (star := self.nodes.get(wildcard)) is not None:
            return Found(How.WILDCARD, wildcard, star)
        return Found(How.NXDOMAIN, encloser, node)


def build(apex: bytes, owned: Iterable[tuple[bytes, RRset]], services: Iterable[bytes]) -> Zone:
    """Return the zone *apex* made of rrsets with their owners, and of service names.

    The input is a zone that has been checked: one SOA, at the apex; every owner inside
    the zone; one rrset for an owner and type.
    """
    rrsets: dict[bytes, dict[int, RRset]] = {apex: {}}
    for owner, rrset in owned:
        rrsets.setdefault(owner, {})[rrset.type] = rrset
    barred = {
        owner
        for owner, types in rrsets.items()
        if DNAME in types or (NS in types and owner != apex)
    }
    marked = set(services)
    nodes: dict[bytes, Node] = {}
    for owner in (*rrsets, *marked):
        if not is_occluded(owner, apex, barred):
            types = MappingProxyType(rrsets.get(owner, {}))
            nodes[owner] = _node(owner, apex, types, rrsets, service=owner in marked)
    for owner in list(nodes):
        _add_empty_non_terminals(nodes, owner, apex)
    return Zone(apex, MappingProxyType(nodes), negative(rrsets[apex][SOA]))


def negative(soa: RRset) -> RRset:
    """Return an apex's SOA as negative answers carry it (RFC 2308 5)."""
    minimum_s = int.from_bytes(soa.rdatas[0].whole[-4:], "big")
    return replace(soa, ttl_s=min(soa.ttl_s, minimum_s))


def is_occluded(owner: bytes, apex: bytes, barred: set[bytes]) -> bool:
    """Return whether *owner* lies below one of the *barred* names: cuts and DNAMEs."""
    if owner == apex or not barred:
        return False
    above = name.parent(owner)
    while above != apex:
        if above in barred:
            return True
        above = name.parent(above)
    return apex in barred


def _node(
    owner: bytes,
    apex: bytes,
    types: Mapping[int, RRset],
    rrsets: Mapping[bytes, Mapping[int, RRset]],
    *,
    service: bool,
) -> Node:
    if NS not in types or owner == apex:
        return Node(types, service)
    needed: list[tuple[bytes, RRset]] = []
    others: list[tuple[bytes, RRset]] = []
    for rdata in types[NS].rdatas:
        server = name_in(rdata)
        found = [(server, s) for t, s in rrsets.get(server, {}).items() if t in (A, AAAA)]
        (needed if name.is_within(server, owner) else others).extend(found)
    return Node(types, False, True, (*needed, *others), len(needed))


def _add_empty_non_terminals(nodes: dict[bytes, Node], owner: bytes, apex: bytes) -> None:
    while owner != apex:
        owner = name.parent(owner)
        if owner in nodes:
            return
        nodes[owner] = Node()
