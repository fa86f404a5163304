"""A service as written → the service as served.

What only its own keys can tell is checked in `gslb.config.zonekeys`; here is what takes
more: names inside the zone, one kind of members, regions and monitors that exist, distances
that can be measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gslb.config.known import Known
from gslb.config.nodes import At, shown
from gslb.config.routes import RouteReader
from gslb.config.zonekeys import DiscoverSpec, MemberSpec, PoolSpec, ServiceSpec
from gslb.dns import name
from gslb.model import (
    Discover,
    Failback,
    Member,
    Monitor,
    Nearest,
    Pool,
    Service,
    Step,
    Sticky,
    Subject,
)

TTL_MIN_DEFAULT_S = 5


@dataclass(slots=True)
class ServiceReader:
    """Reads the services of one zone, which share its apex and its names."""

    apex: bytes
    known: Known
    routes: RouteReader
    folder: Path
    first_of: dict[bytes, str] = field(default_factory=dict)

    def read(self, written: str, spec: ServiceSpec, at: At) -> Service | None:
        """Return the service that is written under the name *written*, or None without one."""
        owner = self._owner(written, at)
        if owner is None:
            return None
        text = name.show(owner)
        pools = self._pools(spec, owner, text, at)
        steps = self.routes.steps(spec.route, at / "route", spec.pools)
        self._check_locations(spec, steps, at)
        return Service(
            name=owner,
            text=text,
            zone=self.apex,
            pools=pools,
            route=steps,
            ttl_s=spec.ttl,
            ttl_min_s=_ttl_min_s(spec, at),
            answers=spec.answers,
            sticky=Sticky(spec.sticky.ipv4, spec.sticky.ipv6) if spec.sticky else None,
            healthy_at_least=spec.healthy_at_least,
            proxies=spec.proxies,
            all_down=spec.all_down,
            failback=Failback(spec.failback.hold, spec.failback.ramp),
        )

    def _owner(self, written: str, at: At) -> bytes | None:
        zone = name.show(self.apex)
        try:
            owner = name.parse(written, self.apex)
        except ValueError as error:
            hint = "write a name relative to the zone, such as www, @ or *.app"
            at.wrong(str(error), hint, on_key=True)
            return None
        if not name.is_within(owner, self.apex):
            hint = "write it without the last dot if it is relative to the zone"
            at.wrong(f"{shown(written)} is not in the zone {zone}", hint, on_key=True)
            return None
        if b"*" in list(name.labels(owner))[1:]:
            hint = "a wildcard is the whole leftmost label, such as *.app"
            at.wrong(f"{shown(written)} has a * further right", hint, on_key=True)
            return None
        if (first := self.first_of.get(owner)) is not None:
            problem = f"{shown(written)} is the same name as {shown(first)} above"
            at.wrong(problem, "letter case does not tell names apart; keep one", on_key=True)
            return None
        self.first_of[owner] = written
        lower = written.lower()
        if lower == zone or lower.endswith(f".{zone}"):
            problem = f"{shown(written)} is relative to the zone: it means {name.show(owner)}"
            at.warn(problem, "leave the zone out, or end the name in a dot", on_key=True)
        return owner

    def _pools(self, spec: ServiceSpec, owner: bytes, text: str, at: At) -> tuple[Pool, ...]:
        monitor = spec.monitor
        if monitor is not None:
            self.known.check_monitor(monitor, at / "monitor")
        if not spec.pools:
            (at / "pools").miss("give the service a pool, such as eu-west: [192.0.2.1]")
        seen: dict[object, str] = {}
        pools = []
        for region, pool in spec.pools.items():
            here = at / "pools" / region
            self.known.check_region(region, here, on_key=True)
            if not pool.members and (pool.discover is None or here.has("members")):
                (here / "members").miss("give the pool a member, such as [192.0.2.1]")
            members = tuple(
                self._member(member, spec, text, here / "members" / index, seen)
                for index, member in enumerate(pool.members)
            )
            discover = self._discover(pool.discover, spec, text, here / "discover")
            pools.append(Pool(region, members, pool.weight, discover))
        self._check_kinds(spec.pools, owner, text, at)
        reserves = all(map(_is_reserve, pools))
        if reserves and not (at / "pools").spoiled:
            hint = "give a pool and its members a weight above 0"
            (at / "pools").warn("all members are reserves: they share equally", hint, on_key=True)
        return tuple(pools)

    def _member(
        self, member: MemberSpec, service: ServiceSpec, text: str, at: At, seen: dict[object, str]
    ) -> Member:
        here = at / "address"
        if (first := seen.get(member.address)) is not None:
            problem = f"{member.address} is a member of this service already, as {first}"
            here.wrong(problem, "list it once, with the weight that it should have")
        seen[member.address] = at.key
        monitor = member.monitor or service.monitor
        if member.monitor is not None:
            self.known.check_monitor(member.monitor, at / "monitor")
        if monitor is None and member.probe is not None:
            hint = "name a `monitor`, or leave the probe out"
            (at / "probe").warn("is never probed: there is no monitor", hint)
        rule = self.known.monitors.get(monitor or "")
        if rule is None:
            return Member(member.address, member.weight)
        host, port = member.probe or (str(member.address), None)
        subject = Subject(
            address=str(member.address),
            target=(host, rule.port if port is None else port),
            monitor=rule.name,
            host=_host_of(rule, text),
        )
        return Member(member.address, member.weight, subject)

    def _discover(
        self, spec: DiscoverSpec | None, service: ServiceSpec, text: str, at: At
    ) -> Discover | None:
        """Return from where members come to a pool, and how they are probed."""
        if spec is None:
            return None
        if not (spec.registers or spec.file or spec.dns) and not at.spoiled:
            at.wrong("discovers nothing", "write `register: true`, a `file` or a `dns` name in it")
        if spec.resolver is not None and spec.dns is None and not at.spoiled:
            (at / "resolver").wrong("is asked for nothing", "write `dns`, or leave it out")
        rule = self.known.monitors.get(service.monitor or "")
        return Discover(
            register=spec.registers,
            file=None if spec.file is None else str((self.folder / spec.file).absolute()),
            dns=spec.dns,
            resolver=spec.resolver,
            monitor=None if rule is None else rule.name,
            port=0 if rule is None else rule.port,
            host="" if rule is None else _host_of(rule, text),
        )

    def _check_kinds(self, pools: Mapping[str, PoolSpec], owner: bytes, text: str, at: At) -> None:
        """Complain of host names at the apex, beside addresses, and of the service's own."""
        members = [
            (at / "pools" / region / "members" / index / "address", member.address)
            for region, pool in pools.items()
            for index, member in enumerate(pool.members)
        ]
        for here, address in members:
            first = members[0][1]
            if isinstance(address, str) != isinstance(first, str):
                problem = f"{address} and {first} are of two kinds"
                hint = "a service's members are all addresses, or all host names"
                here.wrong(problem, hint)
            elif isinstance(address, str) and owner == self.apex:
                hint = "use addresses: a CNAME cannot stand beside the zone's own records"
                here.wrong(f"{address} is a host name, and this is the zone's apex", hint)
            elif address == text:
                here.wrong(f"{address} is this service itself", "name another host")
        for region, pool in pools.items():
            if pool.discover is not None and members and isinstance(members[0][1], str):
                problem = f"members are found by address, and {members[0][1]} is a host name"
                hint = "a service's members are all addresses, or all host names"
                (at / "pools" / region / "discover").wrong(problem, hint, on_key=True)

    def _check_locations(self, spec: ServiceSpec, steps: tuple[Step, ...], at: At) -> None:
        if not any(isinstance(step, Nearest) for step in steps):
            return
        for region in spec.pools:
            place = self.known.regions.get(region)
            if place is not None and place.location is None:
                problem = f"the region {region} has no location, which `nearest` needs"
                hint = (
                    f"write `location: [latitude, longitude]` in regions.{region} "
                    f"of {self.known.main_file}, or choose another route"
                )
                (at / "pools" / region).wrong(problem, hint, on_key=True)


def _host_of(rule: Monitor, text: str) -> str:
    """Return the Host of the probes of members of the service *text*."""
    return rule.host or text.removeprefix("*.")


def _is_reserve(pool: Pool) -> bool:
    """Return whether nobody in *pool* has weight, nor may come to have some."""
    known = all(member.weight == 0 for member in pool.members)
    return pool.weight == 0 or (pool.discover is None and known)


def _ttl_min_s(spec: ServiceSpec, at: At) -> int:
    if spec.ttl_min is None:
        return min(TTL_MIN_DEFAULT_S, spec.ttl)
    here = at / "ttl_min"
    if spec.ttl_min > spec.ttl and not (at / "ttl").spoiled:
        problem = f"ttl_min ({spec.ttl_min}s) is above ttl ({spec.ttl}s)"
        here.wrong(problem, f"write at most {spec.ttl}s, or raise ttl")
        return spec.ttl
    return spec.ttl_min
