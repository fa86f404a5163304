"""The L7 tier of one region: the main process, which knows, beside workers, which serve.

It reads the nodes' configuration, probes the members that its routes may send to, hears operators'
words, and tells all of it to its workers.  Where it is one of the voters it reports to the nodes
what it sees, the failures of real requests with it.  SIGHUP or a changed file reloads; SIGTERM
drains.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from gslb import __version__
from gslb.config.settings import Config, Endpoint
from gslb.config.tierfiles import Need
from gslb.daemons import planner
from gslb.daemons.briefing import Beliefs, Brief, Suspect
from gslb.daemons.carrier import REPORTS, WORDS, Carrier
from gslb.daemons.carriers import carrier_of
from gslb.daemons.counters import Counters
from gslb.daemons.crew import Crew
from gslb.daemons.discovery import Discovery
from gslb.daemons.events import Events
from gslb.daemons.following import Following
from gslb.daemons.haproxycrew import HaproxyCrew
from gslb.daemons.operators import Operators
from gslb.daemons.ownaddresses import own_addresses
from gslb.daemons.prober import Prober
from gslb.daemons.reload import Restarts, next_config, refuse, tier_needs_restart
from gslb.daemons.resting import subjects_at, tier_subjects
from gslb.daemons.tieradmin import TierAdmin, members_shape, tier_routes
from gslb.daemons.tierload import LoadMeter
from gslb.daemons.tiermetrics import tier_gauges
from gslb.daemons.vantage import Vantage
from gslb.errors import ReportError
from gslb.health import bulletin
from gslb.health.belief import Belief, Forced, believe
from gslb.health.probe import Result
from gslb.health.verdict import Record, Verdict, believed_part
from gslb.model import Member, Service, Subject, VoterKind
from gslb.proxy.table import routed
from gslb.routing.snapshot import Plan
from gslb.tier import Tier

TELL_S: Final = 0.02  # flips that come together are told together
MOVES_S: Final = 1.0  # what grows as time goes by is told so often


class TierHost:
    """The tier of the region *name* on this host."""

    def __init__(self, path: Path, name: str, config: Config, clock: Callable[[], float]) -> None:
        assert config.tier is not None, "a configuration for a proxy has a tier"
        self.path = path
        self.region = name
        self.clock = clock
        self.config = config
        self.counters = Counters()
        self.events = Events(clock)
        self._restarts = Restarts(
            lambda now: tier_needs_restart(config, now, self.region), self.events
        )
        self.following = Following()
        self.following.begin(config)
        voter = voter_of(config, name)
        self.prober = Prober(clock, on_result=self._on_result, vantage=voter or f"proxy-{name}")
        own = voter or f"proxy-{name}"
        self.carrier: Carrier | None = carrier_of(
            config, own, (WORDS,), self._received, self.counters, self.events
        )
        self.vantage: Vantage | None = None
        if voter is not None and self.carrier is not None:
            self.vantage = Vantage(voter, config, self.prober, clock, self.events, self._send)
        self.discovery = Discovery(
            self._in_own_folder(config),
            clock,
            self._adopt_members,
            events=self.events,
            counters=self.counters,
        )
        self.operators = Operators(
            own,
            clock,
            self.events,
            lambda: self._plan,
            dict,
            lambda _: self._stale.set(),
            {},
        )
        self._stale = asyncio.Event()
        self._stop = asyncio.Event()
        self._services: tuple[Service, ...] = ()
        self._plan = self._planned()
        self._members_moved = asyncio.Event()
        self._told: Brief | None = None  # what the workers serve by
        self.crew = self._engine()
        self.counters.gauges = tier_gauges(self.crew.told, self._info)
        if self.vantage is not None:
            self.vantage.load = LoadMeter(self.crew.told, clock).load
        self.addresses: tuple[str, ...] = ()
        routes = tier_routes(self.counters, lambda: self.prober.complete, self.state)
        at = None if self.tier.admin is None else Endpoint(*self.tier.admin)
        self._admin = TierAdmin(at, routes, self.events)

    @classmethod
    async def start(cls, path: Path, name: str, clock: Callable[[], float]) -> TierHost:
        """Read *path* for the region *name*; raises ConfigError, NoAddressError."""
        config = planner.read(path, region=name, tier_files=Need.ALL)
        host = cls(path, name, config, clock)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, host.following.tell)
        await host.discovery.first()
        host._adopt_members()
        host.addresses = own_addresses(config.regions[name])
        return host

    @property
    def tier(self) -> Tier:
        """The tier as it is configured now."""
        assert self.config.tier is not None, "a configuration for a proxy has a tier"
        return self.config.tier

    def _engine(self) -> Crew | HaproxyCrew:
        if self.tier.engine == "haproxy":
            folder = self.config.state_dir.absolute() / f"haproxy-{self.region}"
            return HaproxyCrew(folder, self.events)
        return Crew(self.tier.workers or os.cpu_count() or 1, self.events, self._on_suspect)

    async def serve(self) -> str | None:
        """Start the workers; return what is wrong if they cannot serve."""
        try:
            await self._admin.open()
        except OSError as error:
            return str(error)
        self._told = self._brief()
        return await self.crew.start(self._told, self._beliefs())

    def _info(self) -> dict[str, str]:
        """Return who this is, and which files it goes by."""
        return {
            "node": self.config.node,
            "version": __version__,
            "region": self.region,
            "tier": self.tier.engine,
            "config_hash": self.config.hash,
            "tier_hash": self.config.tier_hash,
        }

    def state(self) -> dict[str, Any]:
        """Return how the tier stands, as ``/v1/proxy`` shows it."""
        figures, _ = self.crew.told()
        return {
            **self._info(),
            "addresses": list(self.addresses),
            "workers": len(figures),
            "vantage": None if self.vantage is None else self.vantage.name,
            "connections": sum(each.connections for each in figures),
            "active": sum(each.active for each in figures),
            "reloads": {
                "ok": self.counters.events["gslb_reloads"],
                "failed": self.counters.events["gslb_reload_failures"],
            },
            "members": members_shape(figures),
        }

    async def run(self) -> None:
        """Serve until `stop` is called; errors of ours leave in an ExceptionGroup."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self.events.announce(
            "started",
            region=self.region,
            members=len(self.prober.records),
            workers=self.crew.count,
            addresses=", ".join(self.addresses),
            admin=None if self._admin.at is None else str(self._admin.at),
            vantage=None if self.vantage is None else self.vantage.name,
        )
        works = [
            self.prober.run(),
            self.discovery.run(),
            self.following.run(),
            self._reload_when_told(),
            self._tell_beliefs(),
            self._tell_members(),
            self.crew.run(),
            self._admin.run(),
        ]
        if self.carrier is not None:
            works.append(self.carrier.run())
        if self.vantage is not None:
            works.append(self.vantage.run())
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in works]
                await self._stop.wait()
                self.events.announce("draining", within_s=self.tier.drain_s)
                await self.crew.drain(self.tier.drain_s)
                await self.prober.close()
                for task in tasks:
                    task.cancel()
        finally:
            await self.discovery.save()
            await self._admin.close()
            self.events.announce("stopped")

    def stop(self) -> None:
        """Drain, and end."""
        self._stop.set()

    # Members, and what is believed of them.

    def _in_own_folder(self, config: Config) -> Config:
        """Return *config* with a folder that no other process on this host writes to."""
        return replace(config, state_dir=config.state_dir / f"proxy-{self.region}")

    def _planned(self) -> Plan:
        """Return as much of a plan as operators' words need."""
        config = self.config
        return Plan(
            node=config.node,
            program=f"gslb {__version__}",
            zones=MappingProxyType({}),
            services=MappingProxyType({each.name: each for each in self._services}),
            regions=config.regions,
            maps=MappingProxyType({}),
        )

    def _adopt_members(self) -> None:
        """Probe, and serve, the members that are configured and those that were found."""
        self._services = tuple(routed(self.tier, self.discovery.services()))
        self._plan = self._planned()
        subjects = tier_subjects(self._services, self.config)
        if self.vantage is not None:
            self.vantage.watch(subjects)
        else:
            self.prober.watch(subjects)
        self._members_moved.set()
        self._stale.set()

    def _brief(self) -> Brief:
        config = self.config
        return Brief(
            tier=self.tier,
            region=self.region,
            addresses=self.addresses,
            services=self._services,
            regions=dict(config.regions),
            workers=self.crew.count,
            state_dir=config.state_dir,
            geo_database=config.geo_database,
            asn_database=config.asn_database,
            engine=config.engine,
        )

    def _beliefs(self) -> Beliefs:
        now_s, records = self.clock(), self.prober.records
        of: dict[tuple[str, str], Belief] = {}
        for service in self._services:
            for pool in service.pools:
                for member in pool.members:
                    record = None if member.subject is None else records.get(member.subject)
                    forced = self.operators.forced_of(service, member)
                    of[service.text, str(member.address)] = _belief(member, record, forced, now_s)
        for region in self.config.regions.values():
            for proxy in region.proxies:
                record = None if proxy.subject is None else records.get(proxy.subject)
                forced = self.operators.forced_proxy(region.name, proxy)
                of["", str(proxy.address)] = _belief(proxy, record, forced, now_s)
        return Beliefs(of)

    async def _tell_beliefs(self) -> None:
        """Tell the workers what is believed whenever that may have changed."""
        beliefs = self._beliefs()
        while True:
            moves = any(belief.staying or self._rises(belief) for belief in beliefs.of.values())
            with suppress(TimeoutError):
                async with asyncio.timeout(MOVES_S if moves else None):
                    await self._stale.wait()
            await asyncio.sleep(TELL_S)
            self._stale.clear()
            self.operators.drop_expired(self.clock())
            beliefs = self._beliefs()
            self.crew.believe(beliefs)

    def _rises(self, belief: Belief) -> bool:
        """Return whether the share of a member that rose may still be growing."""
        longest_s = max(
            (each.failback.hold_s + each.failback.ramp_s for each in self._services), default=0.0
        )
        risen_s = belief.risen_at_s
        return risen_s is not None and self.clock() - risen_s <= longest_s

    async def _tell_members(self) -> None:
        """Have the workers serve other members when those change, while files stay."""
        while True:
            await self._members_moved.wait()
            self._members_moved.clear()
            brief = self._brief()
            if brief != self._told and (problem := await self._tell(brief)) is not None:
                self.events.announce("worker_failed", error=problem)

    async def _tell(self, brief: Brief, *, anew: bool = False) -> str | None:
        """Have the workers serve by *brief*; return what is wrong if they do not."""
        problem = await self.crew.adopt(brief, anew=anew)
        # After a refusal, some workers may serve by the one and some by the other.
        self._told = brief if problem is None else None
        return problem

    def _on_result(
        self, subject: Subject, before: Record, after: Record, result: Result, duration_s: float
    ) -> None:
        self.counters.probe(subject.monitor, result.reason, duration_s)
        if believed_part(before) != believed_part(after):
            self._stale.set()
        if before.verdict is not after.verdict:
            self.events.announce(
                "verdict",
                member=subject.address,
                verdict=after.verdict.value,
                reason=after.reason or None,
                host=subject.host,
            )
        if self.vantage is not None:
            self.vantage.on_result(subject, before, after)

    def _on_suspect(self, suspect: Suspect) -> None:
        for subject in subjects_at(self._services, suspect.service, suspect.address):
            if self.vantage is not None:
                self.vantage.suspect(subject)
            else:
                self.prober.recheck((subject,))

    # What comes in, and goes out.

    def _send(self, octets: bytes) -> None:
        assert self.carrier is not None, "a vantage has a carrier"
        assert self.vantage is not None, "only a vantage sends"
        self.carrier.send(REPORTS, self.vantage.name, octets)

    def _received(self, box: str, octets: bytes) -> None:
        """Take in a node's bulletin: operators' words, and members that registered."""
        carrier = self.config.carrier
        if box != WORDS or carrier is None or not carrier.key:
            return
        with suppress(ReportError, ValueError):
            said = bulletin.decode(octets, carrier.key, now_s=self.clock())
            if self.operators.hear(said.registers):
                self._stale.set()
            if self.vantage is not None:
                self.vantage.heed(said.doubts)
            self.discovery.leases.hear(said.leases)

    async def _reload_when_told(self) -> None:
        read = partial(planner.read, self.path, region=self.region, tier_files=Need.ALL)
        while True:
            config = await next_config(
                self.following, self.config, read, self.counters, self.events
            )
            self._restarts.look(config)
            before, self.config = self.config, config
            if (problem := await self._tell(self._brief(), anew=True)) is not None:
                self.config = before
                await self._tell(self._brief())
                refuse(problem, self.counters, self.events)
                self.following.refused()
                continue
            self.following.taken()
            if self.vantage is not None:
                self.vantage.adopt(config)
            self.discovery.adopt(self._in_own_folder(config))
            self._adopt_members()
            self.counters.events["gslb_reloads"] += 1
            told = config.hash[:12], config.tier_hash[:12]
            self.events.announce("reload", config_hash=told[0], tier_hash=told[1])


def voter_of(config: Config, region: str) -> str | None:
    """Return the voter that the tier of *region* is, if it is one."""
    for name, voter in config.voters.items():
        if voter.kind is VoterKind.PROXY and voter.region == region:
            return name
    return None


def _belief(member: Member, record: Record | None, forced: Forced | None, now_s: float) -> Belief:
    belief = believe(record, forced, now_s)
    if member.subject is None:
        return replace(belief, verdict=Verdict.UP)  # nobody probes it
    return belief
