"""Everything a query is answered from, in one frozen value, and how it is compiled.

A `Plan` is what the files say: zones, services, geo maps; it changes when a file does.  A
`Snapshot` is a plan with a choice for each service, family and order, made from what is
believed of the members; it changes when a verdict does.  Compiling shares what did not
change: a service whose members are believed of as before keeps its choices.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gslb.dns import name
from gslb.dns.records import RECORD_BYTES, encode
from gslb.dns.zone import Zone
from gslb.health.belief import PARTS, Belief
from gslb.model import Family, Member, Regions, Service
from gslb.routing.choice import ANSWER_BYTES_MAX, Choice, cumulative, key_of
from gslb.routing.climb import Climb, Way, climb
from gslb.routing.geo import BLANK, Atlas, GeoMap, MapKey, map_key
from gslb.routing.ladder import part_given
from gslb.routing.route import Rungs

# What is believed of a service's member: words may be said of it in one service alone.
Believed = Callable[[Service, Member], Belief]

# Extended DNS Errors for answers served in an unusual way (RFC 8914, and 29 of its registry).
STALE = (3, b"restored: health is not known again yet")
_UNUSUAL = {
    Way.PROXIES: (29, b"no healthy member near: served by the region's proxies"),
    Way.FAIL_OPEN: (0, b"all members down: served all the same"),
    Way.SERVFAIL: (0, b"all members down"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the files say, ready to be served, with the members that were found elsewhere.

    `zones` are by apex; `broken` are the apexes of zones that cannot be served.  `services`
    are by name, and `maps` are the geo maps that they need.  `node` and `program` are what
    is said of ourselves.
    """

    node: str
    program: str
    zones: Mapping[bytes, Zone]
    services: Mapping[bytes, Service]
    regions: Regions
    maps: Mapping[MapKey, GeoMap]
    broken: frozenset[bytes] = frozenset()
    atlas: Atlas = BLANK

    def resembles(self, other: Plan) -> bool:
        """Return whether the two differ in the members of services at most.

        By identity: whoever replaces services keeps the rest.  The same zones have services of
        the same names, since a zone's tree says which of its names are services.
        """
        return (
            self.zones is other.zones
            and self.maps is other.maps
            and self.regions is other.regions
            and self.broken is other.broken
            and (self.node, self.program) == (other.node, other.program)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One service as it is answered now: its geo map, and a choice for each order, by family.

    `rests_on` is what was believed of its members when it was compiled; `moves` says that
    it changes as time goes by even if that does not, because someone's share is growing.
    """

    service: Service
    maps: Mapping[int, GeoMap]
    choices: Mapping[int, tuple[Choice, ...]]
    key: int
    rests_on: tuple[Belief, ...]
    moves: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A plan and the choices of all its services; `stale` until a restarted node knows again.

    `changed` names the services whose entries are not those of the snapshot that it was made
    from, whose generation is `since`; None is all of them, as where there was no such snapshot.
    `moving` are the services that change as time goes by.
    """

    plan: Plan
    entries: MappingProxyType[bytes, Entry]
    generation: int
    made_s: float
    stale: bool = False
    changed: frozenset[bytes] | None = field(default=None, compare=False)
    since: int = field(default=0, compare=False)
    moving: frozenset[bytes] = field(default=frozenset(), compare=False)

    def zone_of(self, qname: bytes) -> bytes | None:
        """Return the apex of the zone, served or broken, that *qname* lies in."""
        for apex in name.ancestors(qname):
            if apex in self.plan.zones or apex in self.plan.broken:
                return apex
        return None


def map_keys(service: Service) -> dict[Family, MapKey]:
    """Return the keys of the geo maps that *service* needs, by family."""
    return {
        family: map_key(
            service,
            (pool.region for pool in service.pools if family in pool.families()),
        )
        for family in service.families()
    }


def compile_snapshot(
    plan: Plan,
    believed: Believed,
    *,
    generation: int,
    now_s: float,
    stale: bool = False,
    previous: Snapshot | None = None,
    touched: Collection[bytes] | None = None,
) -> Snapshot:
    """Return the snapshot of *plan* for what is believed now.

    Entries of *previous* are kept where nothing changed that they rest on: also under another
    plan that resembles the one before, if the service is the same object.  *touched* names the
    only services of which something else may have changed; None is all of them.
    """
    kept: dict[bytes, Entry] = {}
    moving: frozenset[bytes] = frozenset()
    looked_at: Collection[bytes] = plan.services.keys()
    follows = previous is not None and plan.resembles(previous.plan)
    if previous is not None and follows:
        # A copy of a dictionary and a few look-ups, however many services there are.
        kept, moving = previous.entries.copy(), previous.moving
        replaced = _replaced(previous.plan, plan)
        for key in replaced:
            del kept[key]
        looked_at = looked_at if touched is None else moving.union(touched, replaced)
    changed = set()
    for key in looked_at:
        old, service = kept.get(key), plan.services[key]
        rests_on = tuple(believed(service, each) for each in members_of(service, plan.regions))
        if old is None or old.moves or old.rests_on != rests_on:
            kept[key] = _entry(plan, service, believed, rests_on, now_s)
            changed.add(key)
    return Snapshot(
        plan,
        MappingProxyType(kept),
        generation,
        now_s,
        stale,
        changed=frozenset(changed) if follows else None,
        since=previous.generation if previous is not None else 0,
        moving=moving.difference(looked_at).union(key for key in looked_at if kept[key].moves),
    )


def _replaced(before: Plan, after: Plan) -> list[bytes]:
    """Return the names of the services that are not the same objects as before."""
    if before.services is after.services:
        return []
    was = before.services
    return [key for key, service in after.services.items() if was[key] is not service]


def members_of(service: Service, regions: Regions) -> list[Member]:
    """Return all members of *service*, and the proxies of its regions if it may use them."""
    members = [member for pool in service.pools for member in pool.members]
    if service.proxies != "never":
        members += [proxy for pool in service.pools for proxy in regions[pool.region].proxies]
    return members


def _entry(
    plan: Plan, service: Service, believed: Believed, rests_on: tuple[Belief, ...], now_s: float
) -> Entry:
    maps: dict[int, GeoMap] = {}
    choices: dict[int, tuple[Choice, ...]] = {}
    # By identity: a member is asked for once for each order, and its hash is that of all it holds.
    members = members_of(service, plan.regions)
    by_id = {id(member): belief for member, belief in zip(members, rests_on, strict=True)}

    def beliefs(member: Member) -> Belief:
        known = by_id.get(id(member))  # not so of proxies that the service may not use
        return believed(service, member) if known is None else known

    for family, key in map_keys(service).items():
        maps[family] = plan.maps[key]
        climbs = (
            climb(service, family, order, beliefs, plan.regions, now_s)
            for order in plan.maps[key].orders
        )
        choices[family] = tuple(choice_of(service, family, climbed) for climbed in climbs)
    return Entry(
        service,
        MappingProxyType(maps),
        MappingProxyType(choices),
        key_of(service.name),
        rests_on,
        any(
            b.staying or (b.lives and part_given(b, service.failback, now_s) < PARTS)
            for b in rests_on
        ),
    )


def choice_of(service: Service, family: Family, climbed: Climb) -> Choice:
    """Return the records, shares and TTL bounds that a climb comes down to."""
    members = [candidate.member for candidate in climbed.candidates]
    rdatas = tuple(encode(family, rdata_of(member), service.zone) for member in members)
    # More than a message holds would be truncated over TCP too, and so be no answer at all.
    fit = ANSWER_BYTES_MAX // (RECORD_BYTES + max((len(r.octets) for r in rdatas), default=0))
    return Choice(
        upto=cumulative([candidate.share for candidate in climbed.candidates]),
        rdatas=rdatas,
        keys=tuple(key_of(str(member.address).encode()) for member in members),
        answers=1 if family is Family.CNAME else min(service.answers or len(members), fit),
        ttl_s=service.ttl_s,
        ttl_min_s=service.ttl_min_s,
        until_s=climbed.until_s,
        way=climbed.way,
        unusual=_UNUSUAL.get(climbed.way),
        climb=climbed,
    )


def rdata_of(member: Member) -> bytes:
    """Return the uncompressed rdata that answers with *member*."""
    if isinstance(member.address, str):
        return name.parse(member.address)
    return member.address.packed


def order_for(entry: Entry, family: int, version: int, address: int) -> tuple[Rungs, Choice, int]:
    """Return the order that a client gets, the choice that comes of it, and the scope."""
    index, scope = entry.maps[family].find(version, address)
    return entry.maps[family].orders[index], entry.choices[family][index], scope
