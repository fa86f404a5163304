"""Found members: what registers, files and names say of pools, and plans with such members in them.

Sources say what they know as it comes, `Found`; what becomes of it is decided here, from the
whole of it, so that every process that has heard the same serves the same members in the same
order.  An address is a member of a service once: where it is configured, else in the first pool
that found it, from the first source in the order of `Source`.  The members of a pool stand in
the order in which they are written, and those that were found behind them by address.

A plan is peopled again from any earlier one: found members carry their source, and are taken
out before others are put in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gslb.model import Address, Discover, Member, Pool, Service, Source, Subject
from gslb.routing.snapshot import Plan

POOL_MEMBERS_MAX = 4_096


@dataclass(frozen=True, slots=True)
class FoundMember:
    """A member as a source has it: `probe` is where it is probed, a port of None the monitor's."""

    address: Address
    weight: int = 1
    probe: tuple[str, int | None] | None = None


# What each source says of one pool.
Sources = Mapping[Source, tuple[FoundMember, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """All that was found: for each service, by its name as text, and region what each source says.

    Where a source is absent it has nothing to say.
    """

    pools: Mapping[str, Mapping[str, Sources]] = field(default_factory=dict)

    def differing(self, other: Found) -> set[str]:
        """Return the names of the services of which the two say different things."""
        names = self.pools.keys() | other.pools.keys()
        return {name for name in names if self.pools.get(name) != other.pools.get(name)}

    def of(self, service: str, region: str) -> Sources:
        """Return what the sources say of one pool."""
        return self.pools.get(service, {}).get(region, {})

    def addresses(self, service: str) -> set[tuple[Source, str, Address]]:
        """Return what was found of one service: each with its source and region."""
        return {
            (source, region, member.address)
            for region, sources in self.pools.get(service, {}).items()
            for source, members in sources.items()
            for member in members
        }


NOTHING = Found()


def peopled(plan: Plan, found: Found, names: Collection[bytes] | None = None) -> Plan:
    """Return *plan* with the members that were *found*; services that stay the same are the same.

    Only those of *names* are looked at, None being all that there are.
    """
    changed = {}
    for key in plan.services if names is None else names:
        service = plan.services.get(key)
        if service is not None and service.discovers:
            made = with_found(service, found)
            if made is not service:
                changed[key] = made
    if not changed:
        return plan
    return replace(plan, services=MappingProxyType({**plan.services, **changed}))


def with_found(service: Service, found: Found) -> Service:
    """Return *service* with the members that were *found*, itself if it has them already."""
    taken = {
        member.address
        for pool in service.pools
        for member in pool.members
        if member.source is Source.CONFIGURED
    }
    pools = tuple(_pool(service, pool, found, taken) for pool in service.pools)
    if all(one is other for one, other in zip(pools, service.pools, strict=True)):
        return service
    return replace(service, pools=pools)


def _pool(service: Service, pool: Pool, found: Found, taken: set[Address | str]) -> Pool:
    """Return *pool* with its found members, whose addresses are then *taken*."""
    if pool.discover is None:
        return pool
    written = [member for member in pool.members if member.source is Source.CONFIGURED]
    sources = found.of(service.text, pool.region)
    kept: dict[Address, Member] = {}
    for source in sources_of(pool.discover):
        for each in sources.get(source, ()):
            if each.address not in taken:
                taken.add(each.address)
                kept[each.address] = _member(each, source, pool.discover)
    ordered = sorted(kept, key=lambda address: (address.version, address))
    members = (*written, *(kept[address] for address in ordered))[:POOL_MEMBERS_MAX]
    return pool if members == pool.members else replace(pool, members=members)


def sources_of(discover: Discover) -> tuple[Source, ...]:
    """Return the sources that *discover* allows, the one first that counts first."""
    allowed = {
        Source.LEASE: discover.register,
        Source.FILE: discover.file is not None,
        Source.DNS: discover.dns is not None,
    }
    return tuple(source for source, is_allowed in allowed.items() if is_allowed)


def _member(found: FoundMember, source: Source, discover: Discover) -> Member:
    if discover.monitor is None:
        return Member(found.address, found.weight, None, source)
    host, port = found.probe or (str(found.address), None)
    subject = Subject(
        address=str(found.address),
        target=(host, discover.port if port is None else port),
        monitor=discover.monitor,
        host=discover.host,
    )
    return Member(found.address, found.weight, subject, source)
