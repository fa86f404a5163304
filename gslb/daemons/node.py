"""One node: nameserver, prober, controller and admin API in one process, until told to stop.

It starts in the order of who depends on whom: files, then the last state, then the
sockets.  A configuration that cannot be served stops the start; later ones are refused and
counted.  SIGHUP or a changed file reloads; SIGTERM or SIGINT drains and stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path

from gslb.config.settings import Config, Endpoint
from gslb.daemons import native, planner, protection, store
from gslb.daemons.admin import Admin
from gslb.daemons.aside import aside
from gslb.daemons.carrier import REPORTS, WORDS, Carrier
from gslb.daemons.carriers import carrier_of
from gslb.daemons.controller import TICK_S, Controller
from gslb.daemons.counters import Counters
from gslb.daemons.database import Progress
from gslb.daemons.discovery import Discovery
from gslb.daemons.events import Events
from gslb.daemons.explainer import explain_over_dns
from gslb.daemons.fellows import Fellows
from gslb.daemons.following import Following
from gslb.daemons.gauges import gauges_of
from gslb.daemons.intake import intake_of
from gslb.daemons.nameserver import Datagrams, Limits, Nameserver, Responder
from gslb.daemons.protection import Protection
from gslb.daemons.reload import Restarts, needs_restart, read_again
from gslb.daemons.udp import Udp
from gslb.daemons.voting import Voting
from gslb.daemons.webhooks import Webhooks
from gslb.errors import ConfigError, ReportError

log = logging.getLogger("gslb.node")

COALESCE_S = 0.002  # verdicts that flip together are published together
SAVE_EVERY_S = 0.5
GENERATIONS_AHEAD = 1000  # more than are published between two saves
SAVE_LAST_MAX_S = 5.0
PROTECT_EVERY_S = 1.0


def steady_clock() -> Callable[[], float]:
    """Return a clock of seconds since 1970 that never goes backwards."""
    offset_s = time.time() - time.monotonic()
    return lambda: offset_s + time.monotonic()


class Node:
    """Everything on one node; `ready` is set once it answers."""

    def __init__(self, path: Path, clock: Callable[[], float], progress: Progress) -> None:
        self.path = path
        self.clock = clock
        self.progress = progress
        self.counters = Counters()
        self.events = Events(clock)
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self.following = Following()
        self._keeper = store.Keeper()
        self._unsaved: str | None = None

    @classmethod
    async def start(
        cls, path: Path, progress: Progress, clock: Callable[[], float] | None = None
    ) -> Node:
        """Read *path* and bind its sockets; raises ConfigError or OSError."""
        node = cls(path, clock or steady_clock(), progress)
        # From now on: a start can take a while, and would end by a signal that nobody awaits.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, node.following.tell)
        config = planner.read(path)
        node.following.begin(config)
        node._restarts = Restarts(partial(needs_restart, config), node.events)
        node.webhooks = Webhooks(
            config.webhooks,
            node=config.node,
            counters=node.counters,
            events=node.events,
            clock=node.clock,
        )
        world = planner.make(config, planner.cache_of(config), progress)
        restored = store.load(config.state_dir)
        node.discovery = Discovery(config, node.clock, events=node.events, counters=node.counters)
        await node.discovery.first()
        node.controller = Controller(
            world, node.clock, node.counters, node.events, restored, node.discovery.found
        )
        node.controller.lease_ends_s = node.discovery.lease_ends_s
        node.discovery.on_change = node._adopt_members
        node.controller.on_change = node._changed.set
        node.counters.gauges = gauges_of(node.controller, node.clock)
        records = restored.records if restored is not None else {}
        node.voting = Voting(
            config, node.controller, node.clock, node.counters, node.events, records
        )
        node.carrier = node.voting.carrier = carrier_of(
            config, config.node, (REPORTS, WORDS), node._received, node.counters, node.events
        )
        node.fellows = node._fellows(config)
        node.protection = Protection(
            config,
            node.counters,
            node.events,
            protection.load(config.state_dir),
            node.clock(),
        )
        responder = Responder(
            lambda: node.controller.snapshot,
            node.clock,
            node.counters,
            explain=explain_over_dns(node.controller, node.clock),
            protection=node.protection,
        )
        udp = node._datagrams(config, responder)
        node.nameserver = Nameserver(responder, node.counters, Limits(), udp=udp)
        node.admin = Admin(
            node.controller,
            node.counters,
            node.events,
            node.clock,
            intake=intake_of(node.voting.reception, node.fellows),
            discovery=node.discovery,
            fellows=node.fellows,
        )
        await node.nameserver.listen(config.listen_dns)
        try:
            await node.admin.listen(config.listen_admin)
        except OSError:
            await node.nameserver.close(0.0)
            raise
        return node

    def _fellows(self, config: Config) -> Fellows | None:
        """Return what keeps this node and the others of one mind; None where nothing carries."""
        if config.carrier is None:
            return None
        fellows = Fellows(config.carrier.key, self.controller, self.clock, self.events)
        fellows.vantages = self.voting.heard
        fellows.doubts = self.voting.doubts
        fellows.on_doubts = self.voting.heed
        self.voting.tell = fellows.tell
        fellows.leases = self.discovery.leases.encoded
        fellows.on_leases = self.discovery.leases.hear
        self.discovery.leases.on_own_change = fellows.tell
        return fellows

    def _datagrams(self, config: Config, responder: Responder) -> Datagrams:
        """Return what answers over UDP, from what the controller publishes."""
        controller = self.controller
        controller.engine = native.chosen(config)
        if controller.engine == "python":
            return Udp(responder, self.counters)
        udp = native.NativeUdp(
            responder,
            self.counters,
            clock_offset_s=self.clock() - time.monotonic(),
            endpoints=len(config.listen_dns),
            threads=native.threads_of(config, len(os.sched_getaffinity(0))),
        )
        controller.serve = lambda snapshot: udp.publish(snapshot, controller.config.explain_to)
        controller.prepare = lambda made, config: udp.prepare(made, config.explain_to)
        controller.serve(controller.snapshot)
        self.protection.serve = udp.guard
        udp.guard(self.protection)
        return udp

    _restarts: Restarts
    controller: Controller
    discovery: Discovery
    protection: Protection
    voting: Voting
    carrier: Carrier | None
    fellows: Fellows | None
    webhooks: Webhooks
    nameserver: Nameserver
    admin: Admin

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where DNS is answered."""
        return self.nameserver.endpoints

    async def run(self) -> None:
        """Serve until `stop` is called; errors of ours leave in an ExceptionGroup."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with asyncio.TaskGroup() as telling:
            telling.create_task(self.webhooks.run())
            await self._serve()
            self.webhooks.stop()

    async def _serve(self) -> None:
        """Do all that a node does, and tell when it has stopped."""
        self._announce_start()
        self.ready.set()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(task)
                    for task in (
                        *self.voting.works(),
                        *self._carrying(),
                        self._tick(),
                        self._save(),
                        self.following.run(),
                        self.discovery.run(),
                        self._protect(),
                        self._reload_when_told(),
                    )
                ]
                await self._stop.wait()
                await self._close(tasks)
        finally:
            await self._save_last()
            self.events.announce("stopped")

    def _carrying(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return what carries reports and words to others while the node runs."""
        carrier, fellows = self.carrier, self.fellows
        if carrier is None or fellows is None:
            return ()
        name = self.controller.at_start.node
        return (carrier.run(), fellows.run(partial(carrier.send, WORDS, name)))

    def _announce_start(self) -> None:
        config = self.controller.config
        self.events.announce(
            "started",
            node=config.node,
            dns=", ".join(map(str, self.endpoints)),
            admin=str(self.admin.endpoint),
            engine=self.controller.engine,
            services=len(config.services()),
        )

    def stop(self) -> None:
        """Finish what was asked for, and stop."""
        self._stop.set()

    def reload(self) -> None:
        """Read the files again soon."""
        self.following.tell()

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        await self.nameserver.close()
        await self.admin.close()
        await self.voting.prober.close()
        for task in tasks:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._changed.wait()
                    await asyncio.sleep(COALESCE_S)
            self._changed.clear()
            self.voting.look()
            self.controller.tick()

    def _received(self, box: str, octets: bytes) -> None:
        """Take in what a carrier brings."""
        if box == REPORTS:
            self.voting.received(octets)
        elif self.fellows is not None:
            with suppress(ReportError):
                self.fellows.receive(octets)

    def _adopt_members(self) -> None:
        """Serve the members that were found, and probe them."""
        self.controller.adopt_members(self.discovery.found)
        self.voting.watch(self.controller.config)

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            if self.controller.dirty:
                self.controller.dirty = False
                self._saved(await aside(self._writing()))
            if (own := self.protection.unsaved) is not None:
                folder = self.controller.at_start.state_dir
                self.protection.saved(own, await aside(partial(protection.save, folder, own)))

    async def _save_last(self) -> None:
        """Write the state as it is at the end; a disk that hangs is not waited for long."""
        try:
            async with asyncio.timeout(SAVE_LAST_MAX_S):
                self._saved(await aside(self._writing()))
                await self.discovery.save()
        except TimeoutError:
            self._saved(OSError(f"not written within {SAVE_LAST_MAX_S:g} s"))

    def _writing(self) -> Callable[[], OSError | None]:
        # Ahead of what is served, so that a number is not used twice after a kill.
        state = store.State(
            self.controller.snapshot.generation + GENERATIONS_AHEAD,
            dict(self.controller.records),
            dict(self.controller.operators.registers),
        )
        return self._keeper.writing(self.controller.at_start.state_dir, state)

    def _saved(self, error: OSError | None) -> None:
        """Tell when the state cannot be written, and when it can again; it is tried until then."""
        if error is not None:
            self.controller.dirty = True
            self.counters.events["gslb_state_write_failures"] += 1
        folder = str(self.controller.at_start.state_dir)
        said = None if error is None else str(error)
        if said is not None and said != self._unsaved:
            self.events.announce("state_failed", folder=folder, error=said)
        elif said is None and self._unsaved is not None:
            self.events.announce("state_written", folder=folder)
        self._unsaved = said

    async def _protect(self) -> None:
        """Roll the node's own secrets when it is time, and tell when answers are limited."""
        while True:
            await asyncio.sleep(PROTECT_EVERY_S)
            now_s = self.clock()
            self.protection.roll(now_s)
            self.protection.look(now_s)

    async def _reload_when_told(self) -> None:
        while True:
            await self.following.told()
            await self._reload_once()

    async def _reload_once(self) -> None:
        """Take over what the files say now, or refuse it and say why."""
        try:
            reread = await aside(partial(read_again, self.path, self.controller.world))
        except ConfigError as error:
            # What is missing may still come, and what is wrong be mended.
            await self.following.missed(error.files)
            self.controller.refuse(str(error))
            return
        await self.following.follow(reread.world.config)
        ahead = await aside(partial(self.controller.ahead, reread.world))
        self.webhooks.adopt(reread.world.config.webhooks)
        self.discovery.adopt(reread.world.config)
        self.controller.adopt(reread, ahead)
        self.protection.adopt(reread.world.config, self.clock())
        self.voting.watch(reread.world.config)
        self._restarts.look(reread.world.config)
