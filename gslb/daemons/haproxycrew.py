"""HAProxy in the place of the tier's workers (``tier: haproxy``): told the same things as they are.

What a worker does with beliefs, HAProxy is told server by server: an operator's drain is a drain,
a member that is down or forced down is in maintenance, weights are weights.  The order of other
regions is that of their distance from this one, since HAProxy knows no client's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from gslb.daemons.briefing import Beliefs, Brief, Figures
from gslb.daemons.events import Events
from gslb.daemons.haproxy import Haproxy, Plan, Servers
from gslb.errors import EngineError
from gslb.health.belief import PARTS, Belief, Word
from gslb.model import Member, Regions, Service
from gslb.proxy import haproxycheck
from gslb.proxy.chooser import name_of
from gslb.proxy.haproxypools import PROXIES, Wanted
from gslb.routing.route import great_circle_km

TELL_S = 1.0  # between two looks at what HAProxy counts


class HaproxyCrew:
    """Runs a HAProxy in *folder* by the briefs and beliefs of a tier."""

    def __init__(self, folder: Path, events: Events) -> None:
        self._folder = folder
        self._events = events
        self._haproxy: Haproxy | None = None
        self._brief: Brief | None = None
        self._beliefs = Beliefs({})
        self._drained_s: dict[tuple[str, str], float] = {}
        self._stale = asyncio.Event()
        self._figures: list[Figures] = []
        self.count = 1

    async def start(self, brief: Brief, beliefs: Beliefs) -> str | None:
        """Start it; return what is wrong if it cannot serve."""
        self._brief, self._beliefs = brief, beliefs
        self._haproxy = Haproxy(self._folder, self._plan(brief), self._wanted(), self._say)
        try:
            await self._haproxy.start()
        except (EngineError, OSError) as error:
            self._haproxy = None
            return str(error)
        for note in haproxycheck.notes(brief.tier):
            self._say(note)
        return None

    async def run(self) -> None:
        """Tell it what is believed whenever that changes, and look at it, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_S):
                    await self._stale.wait()
            assert self._haproxy is not None, "started before"
            try:
                if self._stale.is_set():
                    self._stale.clear()
                    await self._haproxy.apply(self._wanted())
                self._figures = [await self._seen()]
            except EngineError as error:
                self._say(str(error))

    async def adopt(self, brief: Brief, *, anew: bool = False) -> str | None:
        """Have it serve by *brief*; return what is wrong, and then nothing has changed.

        It is reloaded if anything is written otherwise, or if files are to be read *anew*.
        """
        before, self._brief = self._brief, brief
        assert self._haproxy is not None, "started before"
        try:
            if anew or before is None or self._plan(before) != self._plan(brief):
                await self._haproxy.reload(self._plan(brief))
            await self._haproxy.apply(self._wanted())
        except (EngineError, OSError) as error:
            self._brief = before
            return str(error)
        return None

    def believe(self, beliefs: Beliefs) -> None:
        """Take over what is believed of members now."""
        self._beliefs = beliefs
        self._stale.set()

    def told(self) -> tuple[Sequence[Figures], Sequence[Figures]]:
        """Return what it counts now; what it counted before a reload it forgets."""
        return self._figures, ()

    async def drain(self, within_s: float) -> None:
        """Have it finish what runs, and end."""
        if self._haproxy is not None:
            await self._haproxy.stop(within_s)

    def _say(self, what: str) -> None:
        self._events.announce("haproxy", what=what)

    def _plan(self, brief: Brief) -> Plan:
        return Plan(
            tier=brief.tier,
            region=brief.region,
            services={each.text: each for each in brief.services},
            regions=brief.regions,
            order=order_from(brief.region, brief.regions),
        )

    def _wanted(self) -> Servers:
        """Return how every server should be."""
        brief = self._brief
        assert brief is not None, "started with a brief"
        found: dict[str, list[Wanted]] = {}
        for service in brief.services:
            port = brief.tier.upstreams[service.text].port
            servers = [
                self._server(service, pool.region, member, port, pool.weight)
                for pool in service.pools
                for member in pool.members
            ]
            found[service.text] = self._opened(service, servers)
        found[PROXIES] = [
            self._server(None, region.name, proxy, brief.tier.across.port, 1)
            for region in brief.regions.values()
            for proxy in region.proxies
            if region.name != brief.region
        ]
        return found

    def _server(
        self, service: Service | None, region: str, member: Member, port: int, weight: int
    ) -> Wanted:
        key = ("" if service is None else service.text, str(member.address))
        belief = self._beliefs.of.get(key, Belief())
        now_s = asyncio.get_running_loop().time()
        drained_s = 0.0
        if belief.drained:
            drained_s = now_s - self._drained_s.setdefault(key, now_s)
        else:
            self._drained_s.pop(key, None)
        is_reserve = service is not None and not (weight and member.weight)
        parts = belief.staying or PARTS
        return Wanted(
            name=name_of(member, port),
            address=str(member.address),
            port=port,
            region=region,
            weight=max(1, (member.weight or 1) * parts // PARTS),
            state=_state(belief),
            backup=is_reserve,
            drained_s=drained_s,
        )

    def _opened(self, service: Service, servers: list[Wanted]) -> list[Wanted]:
        """Return *servers*, all to be used if none may be: as DNS has it (`all_down`, drains)."""
        if any(each.state == "ready" for each in servers):
            return servers
        drained = [each for each in servers if each.state == "drain"]
        if len(drained) == len(servers):
            return [replace(each, state="ready") for each in servers]
        if service.all_down != "serve_all":
            return servers
        forced = {
            address
            for (text, address), belief in self._beliefs.of.items()
            if text == service.text and belief.forced is Word.DOWN
        }
        hopeful = [each for each in servers if each.state == "maint" and each.address not in forced]
        opened = hopeful or servers
        return [replace(each, state="ready") if each in opened else each for each in servers]

    async def _seen(self) -> Figures:
        assert self._haproxy is not None, "started before"
        seen = await self._haproxy.figures()
        members: dict[tuple[str, str], dict[str, Any]] = {}
        counts: dict[tuple[str, ...], float] = {}
        for each in seen.servers:  # once for each way in which a service is balanced
            member = members.setdefault(
                (each.service, each.name),
                {
                    "service": each.service,
                    "member": each.name,
                    "region": each.region,
                    "is_proxy": each.kind == "proxies",
                    "active": 0,
                    "connections": 0,
                    "waiting": 0,
                    "out": False,
                    "circuit": each.state.lower(),
                    "why": None,
                    "ejected_for_s": None,
                },
            )
            member["active"] += each.active
            member["connections"] += each.active
            member["waiting"] += each.queued
            member["out"] |= each.state not in ("UP", "no check")
            for outcome, count in (
                ("ok", each.requests - each.server_errors - each.connect_errors),
                ("server_error", each.server_errors),
                ("connect_error", each.connect_errors),
            ):
                key = ("gslb_proxy_attempts_total", each.service, each.name, outcome)
                counts[key] = counts.get(key, 0) + max(0, count)
        return Figures(
            counts=counts,
            members=tuple(members.values()),
            connections=seen.connections,
            active=seen.active,
        )


def order_from(region: str, regions: Regions) -> tuple[str, ...]:
    """Return *regions* by their distance from *region*, itself first; unplaced ones last."""
    here = regions[region].location

    def distance(name: str) -> tuple[float, str]:
        there = regions[name].location
        known = here is not None and there is not None
        return (great_circle_km(here, there) if known else inf), name  # type: ignore[arg-type]

    others = sorted((name for name in regions if name != region), key=distance)
    return (region, *others)


def _state(belief: Belief) -> str:
    if belief.drained:
        return "drain"
    return "ready" if belief.lives else "maint"
