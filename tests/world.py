"""A small world for tests: zones, services and beliefs made in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from types import MappingProxyType

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from gslb.dns import name
from gslb.dns.records import rrset
from gslb.dns.response import TCP_MAX
from gslb.dns.zone import Zone, build
from gslb.health.belief import Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Member, Place, Pool, Region, Service
from gslb.routing.geo import BLANK, Atlas, compile_map, without_transition
from gslb.routing.runs import from_prefixes
from gslb.routing.snapshot import Plan, Snapshot, compile_snapshot, map_keys
from tests.engines import respond

APEX = name.parse("example.com")
SOA = ("@", "SOA", "ns1 hostmaster 1 7200 900 1209600 30")
NS = ("@", "NS", "ns1")
NS_A = ("ns1", "A", "192.0.2.53")

LONDON, NEW_YORK, SINGAPORE = (51.5, -0.1), (40.7, -74.0), (1.35, 103.8)
REGIONS = {
    "us": Region("us", (39.0, -77.5)),
    "eu": Region("eu", (53.3, -6.3)),
    "ap": Region("ap", SINGAPORE),
}

UP, DOWN, UNKNOWN = (
    Belief(verdict=verdict) for verdict in (Verdict.UP, Verdict.DOWN, Verdict.UNKNOWN)
)
FORCED_UP = Belief(verdict=Verdict.DOWN, forced=Word.UP)
FORCED_DOWN = Belief(verdict=Verdict.UP, forced=Word.DOWN)
DRAINED = Belief(verdict=Verdict.UP, forced=Word.DRAIN)


def zone(*records: tuple[str, str, str], services: Iterable[bytes] = (), ttl_s: int = 300) -> Zone:
    """Return a zone example.com with SOA, NS and *records* (owner, type, rdata text)."""
    owned: dict[tuple[bytes, int], list[bytes]] = {}
    for owner, type_, text in (SOA, NS, NS_A, *records):
        rdtype = dns.rdatatype.from_text(type_)
        rdata = dns.rdata.from_text("IN", rdtype, text, origin=dns.name.from_text("example.com"))
        key = (name.parse(owner, APEX), int(rdtype))
        owned.setdefault(key, []).append(rdata.to_wire(origin=dns.name.from_text("example.com")))
    rrsets = [(owner, rrset(type_, ttl_s, found, APEX)) for (owner, type_), found in owned.items()]
    return build(APEX, rrsets, services)


def member(text: str, weight: int = 1) -> Member:
    """Return a member by its address or host name."""
    try:
        return Member(ip_address(text), weight)
    except ValueError:
        return Member(text, weight)


def pool(region: str, *members: Member | str, weight: int = 100) -> Pool:
    """Return a pool of members, or of addresses that weigh 1."""
    made = tuple(each if isinstance(each, Member) else member(each) for each in members)
    return Pool(region, made, weight)


def service(*pools: Pool, owner: str = "www", **keys: object) -> Service:
    """Return a service of example.com."""
    wire = name.parse(owner, APEX)
    return Service(name=wire, text=name.show(wire), zone=APEX, pools=pools, **keys)


def atlas(places: Mapping[str, Place]) -> Atlas:
    """Return an atlas of networks as text; the longer prefix wins."""
    known = [Place(), *dict.fromkeys(places.values())]
    prefixes: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
    for text, place in places.items():
        net = ip_network(text)
        prefixes[net.version].append((int(net.network_address), net.prefixlen, known.index(place)))
    ipv6 = without_transition(from_prefixes(128, prefixes[6]))
    return Atlas(from_prefixes(32, prefixes[4]), ipv6, tuple(known))


def plan(
    *services: Service,
    records: Iterable[tuple[str, str, str]] = (),
    regions: Mapping[str, Region] = REGIONS,
    known: Atlas = BLANK,
) -> Plan:
    """Return the plan of example.com with *services* and static *records*."""
    by_name = {each.name: each for each in services}
    keys = {key for each in services for key in map_keys(each).values()}
    return Plan(
        node="ns1.example.net",
        program="gslb test",
        zones=MappingProxyType({APEX: zone(*records, services=by_name)}),
        services=MappingProxyType(by_name),
        regions=regions,
        maps={key: compile_map(key, known, regions) for key in keys},
        atlas=known,
    )


def snapshot(made: Plan, beliefs: Mapping[str, Belief] | None = None, **keys: object) -> Snapshot:
    """Return the snapshot of a plan where members are up unless *beliefs* says otherwise."""
    given = beliefs or {}
    defaults = {"generation": 1, "now_s": 0.0}
    return compile_snapshot(
        made, lambda _, each: given.get(str(each.address), UP), **{**defaults, **keys}
    )


def ask(
    snap: Snapshot,
    wire: bytes,
    sender: str = "127.0.0.1",
    *,
    draw: int = 0,
    now_s: float = 0.0,
    size_max: int = TCP_MAX,
) -> bytes:
    """Return the octets that answer the datagram *wire*, in all engines."""
    reply = respond(snap, wire, ip_address(sender), draw, now_s, size_max=size_max)
    assert reply.octets is not None
    return reply.octets


def changed(snap: Snapshot, **keys: object) -> Snapshot:
    """Return *snap* with other fields."""
    return replace(snap, **keys)
