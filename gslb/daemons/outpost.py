"""One vantage as a process of its own: it probes and reports, and serves nobody, until stopped.

It reads the same files as the nodes do, and needs little of them: the members and their
monitors, its own key, and the carrier.  SIGHUP or a changed file reloads; a configuration that
cannot be read keeps what was.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from aiohttp import web

from gslb.config.settings import Config, Endpoint
from gslb.daemons import planner
from gslb.daemons.carrier import REPORTS, WORDS
from gslb.daemons.carriers import carrier_of
from gslb.daemons.counters import Counters
from gslb.daemons.discovery import Discovery
from gslb.daemons.events import Events
from gslb.daemons.following import Following
from gslb.daemons.jsonhttp import Asked, Limits, Route, Server, json_response, metrics_response
from gslb.daemons.prober import Prober
from gslb.daemons.reload import Restarts, needs_restart, next_config
from gslb.daemons.resting import subjects_of
from gslb.daemons.vantage import Vantage
from gslb.errors import ReportError
from gslb.health import bulletin
from gslb.health.probe import Result
from gslb.health.verdict import Record
from gslb.model import Subject


class Outpost:
    """One vantage's process; `counters` tell what it probed and sent."""

    def __init__(self, path: Path, name: str, config: Config, clock: Callable[[], float]) -> None:
        self.path = path
        self.name = name
        self.clock = clock
        self.config = config
        self.counters = Counters()
        self.events = Events(clock)
        self._restarts = Restarts(partial(needs_restart, config), self.events)
        self.following = Following()
        self.following.begin(config)
        self.prober = Prober(clock, on_result=self._on_result, vantage=name)
        carrier = carrier_of(config, name, (WORDS,), self._received, self.counters, self.events)
        assert carrier is not None, "a configuration for a vantage alone names a carrier"
        self.carrier = carrier
        self.vantage = Vantage(name, config, self.prober, clock, self.events, self._send)
        self.discovery = Discovery(
            self._in_own_folder(config),
            clock,
            self._adopt_members,
            events=self.events,
            counters=self.counters,
        )
        self._stop = asyncio.Event()
        self._server: Server | None = None
        self.endpoint: Endpoint | None = None

    @classmethod
    async def start(cls, path: Path, name: str, clock: Callable[[], float]) -> Outpost:
        """Read *path* for the vantage *name*; raises ConfigError."""
        outpost = cls(path, name, planner.read(path, vantage=name), clock)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, outpost.following.tell)
        await outpost.discovery.first()
        outpost._adopt_members()
        return outpost

    async def listen(self, endpoint: Endpoint) -> None:
        """Serve what is counted, and that it lives, at *endpoint*; raises OSError."""
        routes = (Route("GET", "/healthz", self._healthz), Route("GET", "/metrics", self._metrics))
        self._server = Server(routes, Limits())
        self.endpoint = await self._server.listen(endpoint)

    async def _healthz(self, _: Asked) -> web.Response:
        state = "cut off" if self.vantage.is_cut_off else "ok"
        return json_response({"status": state, "members": len(self.prober.records)})

    async def _metrics(self, _: Asked) -> web.Response:
        return await metrics_response(self.counters)

    async def run(self) -> None:
        """Probe and report until `stop` is called; errors of ours leave in an ExceptionGroup."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self.events.announce(
            "started",
            vantage=self.name,
            members=len(self.prober.records),
            nodes=self._to(),
            metrics=None if self.endpoint is None else str(self.endpoint),
        )
        try:
            async with asyncio.TaskGroup() as group:
                works = (
                    self.prober.run(),
                    self.vantage.run(),
                    self.carrier.run(),
                    self.discovery.run(),
                    self.following.run(),
                    self._reload_when_told(),
                )
                tasks = [group.create_task(work) for work in works]
                await self._stop.wait()
                await self.prober.close()
                for task in tasks:
                    task.cancel()
        finally:
            await self.discovery.save()
            if self._server is not None:
                await self._server.close()
            self.events.announce("stopped")

    def stop(self) -> None:
        """Stop probing and reporting."""
        self._stop.set()

    def _to(self) -> str:
        carrier = self.config.carrier
        assert carrier is not None, "a configuration without a carrier has no outposts"
        return ", ".join(carrier.nats.servers if carrier.nats else carrier.nodes)

    def _in_own_folder(self, config: Config) -> Config:
        """Return *config* with a folder that no node on this host writes to."""
        return replace(config, state_dir=config.state_dir / f"vantage-{self.name}")

    def _adopt_members(self) -> None:
        """Probe the members that are configured and those that were found."""
        self.vantage.watch(subjects_of(self.discovery.services(), self.config))

    def _send(self, octets: bytes) -> None:
        self.carrier.send(REPORTS, self.name, octets)

    def _received(self, box: str, octets: bytes) -> None:
        """Take in a node's bulletin, which tells what tiers doubt, and of members that registered.

        Without the nodes' key none can be believed: then such members are not probed from
        here, and no probe is brought forward.
        """
        carrier = self.config.carrier
        if box != WORDS or carrier is None or not carrier.key:
            return
        with suppress(ReportError, ValueError):
            said = bulletin.decode(octets, carrier.key, now_s=self.clock())
            self.vantage.heed(said.doubts)
            self.discovery.leases.hear(said.leases)

    def _on_result(
        self, subject: Subject, before: Record, after: Record, result: Result, duration_s: float
    ) -> None:
        self.counters.probe(subject.monitor, result.reason, duration_s)
        self.vantage.on_result(subject, before, after)

    async def _reload_when_told(self) -> None:
        read = partial(planner.read, self.path, vantage=self.name)
        while True:
            config = await next_config(
                self.following, self.config, read, self.counters, self.events
            )
            self._restarts.look(config)
            self.config = config
            self.vantage.adopt(config)
            self.discovery.adopt(self._in_own_folder(config))
            self._adopt_members()
            self.counters.events["gslb_reloads"] += 1
            self.events.announce("reload", config_hash=config.hash[:12])
