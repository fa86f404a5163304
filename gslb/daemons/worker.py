"""One worker of the tier: a process that takes connections, and knows what it is told.

It shares its ports with the other workers.  The main process tells it what to serve and what is
believed of members, and hears what it counts; when that process is gone, it ends as if it had been
told to drain.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import uvloop

from gslb.daemons import certs, logs
from gslb.daemons.backs import Pool
from gslb.daemons.briefing import Beliefs, Brief, Drain, Figures, Line, Ready, Suspect
from gslb.daemons.database import Cache, DatabaseError, open_atlas
from gslb.daemons.front import Front
from gslb.daemons.fronthttp2 import Greeting, Http2Front
from gslb.daemons.journal import Journal
from gslb.daemons.listeners import Factory, Listening, Treatment
from gslb.daemons.passing import Passing, pass_for
from gslb.daemons.places import Places
from gslb.daemons.tiernative import cutter_for, line_of
from gslb.health.belief import Belief
from gslb.model import Address, Member
from gslb.proxy.admission import Admission
from gslb.proxy.desk import Desk
from gslb.proxy.exchange import Exchange
from gslb.proxy.forwarding import Peer
from gslb.proxy.target import Target
from gslb.tier import Listener, PassRoute, Upstream

GARBAGE: Final = 50_000  # objects made and not yet freed before cycles are looked for
SWEEP_S: Final = 0.1
TELL_S: Final = 1.0
UNKNOWN: Final = Belief()
LINES_DROPPED: Final = "gslb_proxy_log_lines_dropped_total"
LATE_S: Final = 0.3  # a sweep that is so late blames nobody: it was this process that did not look


class Worker:
    """Serves what its brief says until it is told to drain."""

    def __init__(self, number: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._number = number
        self._line: Line | None = None
        self._brief: Brief | None = None
        self._listening: dict[tuple[str, int], Listening] = {}
        self._fronts: set[Any] = set()
        self._pools: dict[Target, Pool] = {}
        self._retired: list[Pool] = []
        self._places = Places()
        self._secured: dict[str, ssl.SSLContext] = {}
        self._beliefs: dict[tuple[str, str], Belief] = {}
        self._journal = Journal(time.monotonic, time.time)
        draws = random.Random()
        self.desk = Desk(
            clock=time.monotonic,
            wall=time.time,
            draw=draws.random,
            bits=draws.getrandbits,
            seed=number + 1,
            connector=self,
            on_done=self._journal.note,
            on_refused=self._journal.note_refused,
        )
        self._admission = Admission(self.desk)
        self._drained = asyncio.Event()

    async def run(self, sock: socket.socket) -> None:
        """Serve what is told over *sock*."""
        line = self._line = Line(self._on_message, self._on_orphaned)
        await line.open(sock)
        tasks = [self._loop.create_task(each) for each in (self._sweep(), self._tell())]
        await self._drained.wait()
        for task in tasks:
            task.cancel()
        await self._journal.finish()
        line.say(self._figures())
        await asyncio.sleep(0)
        line.close()

    # What it is told.

    def _on_message(self, message: object) -> None:
        match message:
            case Brief():
                self._line_say(self._adopt(message))
            case Beliefs():
                self._beliefs = dict(message.of)
                self.desk.believe(self._belief)
            case Drain():
                self._loop.create_task(self._drain(message.within_s))

    def _line_say(self, message: object) -> None:
        if self._line is not None:
            self._line.say(message)

    def _on_orphaned(self) -> None:
        if not self._drained.is_set():
            within_s = 0.0 if self._brief is None else self._brief.tier.drain_s
            self._loop.create_task(self._drain(within_s))

    def _belief(self, service: str, member: Member) -> Belief:
        address = str(member.address)
        known = self._beliefs.get((service, address))
        return self._beliefs.get(("", address), UNKNOWN) if known is None else known

    def _adopt(self, brief: Brief) -> Ready:
        """Serve by *brief* from now on, or say why not and go on as before."""
        try:
            atlas = open_atlas(
                brief.geo_database, brief.asn_database, Cache(brief.state_dir / "geo")
            )
            secured = {
                name: certs.to_members(each.tls)
                for name, each in brief.tier.upstreams.items()
                if each.tls is not None
            }
            if brief.tier.across.tls is not None:
                secured[""] = certs.to_members(brief.tier.across.tls)
            treatments = {
                (host, listener.port): self._treatment(listener)
                for listener in brief.tier.listeners
                for host in brief.addresses
            }
            try:
                self._journal.open(brief.tier.access_log, line_of(brief.engine))
            except OSError as error:
                raise OSError(error.errno, f"proxy.access_log: {error}") from None
            self._listen(treatments)
        except (OSError, DatabaseError) as error:
            return Ready(problem=str(error) or type(error).__name__)
        self._brief, self._secured, self._places.workers = brief, secured, brief.workers
        self.desk.cutter = cutter_for(brief.engine)
        self.desk.adopt(
            brief.tier, brief.services, brief.regions, brief.region, atlas, brief.workers
        )
        self.desk.believe(self._belief)
        self._keep_pools()
        self._drain_unheard()
        return Ready()

    def _listen(self, treatments: dict[tuple[str, int], Treatment]) -> None:
        """Listen where *treatments* say; nothing changes if that cannot be (OSError)."""
        fresh: dict[tuple[str, int], Listening] = {}
        try:
            for (host, port), treatment in treatments.items():
                if (host, port) not in self._listening:
                    fresh[host, port] = Listening(host, port, treatment)
        except OSError:
            for listening in fresh.values():
                listening.close()
            raise
        for key in [key for key in self._listening if key not in treatments]:
            self._listening.pop(key).close()
        self._listening |= fresh
        for key, treatment in treatments.items():
            self._listening[key].treatment = treatment

    def _drain_unheard(self) -> None:
        """Let connections finish whose listener is no more, and so nobody who judges them."""
        for front in list(self._fronts):
            if not isinstance(front, Passing) and self.desk.renewed(front.peer) is None:
                front.drain()

    def _treatment(self, listener: Listener) -> Treatment:
        secure = None if listener.tls is None else certs.Secured.of(listener.tls).context
        if listener.mode == "tcp":
            by_name = partial(self._passing_by_name, listener)
            makers = self._passing_by_name(listener, None)
            return Treatment(
                self._admission,
                makers if makers is not None else _nobody,
                self._left,
                secure,
                listener.proxy_protocol,
                by_name if listener.looks_at_names else None,
                failed=self._failed,
            )
        make: Factory = partial(self._front, listener)
        return Treatment(
            self._admission,
            make,
            self._left,
            secure,
            listener.proxy_protocol,
            failed=self._failed,
        )

    def _failed(self, why: str) -> None:
        self.desk.tally.count("gslb_proxy_failed_handshakes_total", why)

    def _front(self, listener: Listener, client: Address) -> asyncio.BaseProtocol | None:
        if (peer := self.desk.peer(listener, client)) is None:
            return None
        http1 = partial(self._kept, Front, peer)
        if listener.tls is None or not listener.tls.http2:
            return http1()
        return Greeting(http1, partial(self._kept, Http2Front, peer))

    def _kept(self, kind: type[Front] | type[Http2Front], peer: Peer) -> Front | Http2Front:
        front = kind(self.desk, peer, self._front_left)
        self._fronts.add(front)
        return front

    def _front_left(self, front: Front | Http2Front) -> None:
        self._left(front, front.peer.address)

    def _passing_by_name(self, listener: Listener, name: str | None) -> Factory | None:
        route = pass_for(listener.passes, name)
        return None if route is None else partial(self._passing, route)

    def _passing(self, route: PassRoute, client: Address) -> asyncio.BaseProtocol:
        passing = Passing(self.desk, self._places, route, client, self._passing_left)
        self._fronts.add(passing)
        return passing

    def _passing_left(self, passing: Passing) -> None:
        self._left(passing, passing.client)
        self._journal.note_passed(passing)

    def _left(self, front: Any, client: Address | None) -> None:
        self._fronts.discard(front)
        self._admission.leave(client)

    # What the desk asks.

    def connect(self, exchange: Exchange, target: Target) -> None:
        """Get *exchange* a connection to *target*."""
        pool = self._pools.get(target)
        if pool is None:
            pool = self._pool(target, exchange)
        pool.acquire(exchange)

    def forget(self, exchange: Exchange) -> None:
        """Get it none any longer."""
        pool = exchange.waits_at  # which may be retired by now
        if isinstance(pool, Pool):
            pool.forget(exchange)

    def suspect(self, service: str, member: Member) -> None:
        """Tell that real requests fail at *member*."""
        self._line_say(Suspect(service, str(member.address)))

    def _pool(self, target: Target, exchange: Exchange) -> Pool:
        brief = self._brief
        assert brief is not None, "a worker without a brief has no clients"
        upstream = self._upstream(self.desk.upstream_of(exchange), target)
        most = upstream.connections_each(brief.workers)
        secure = self._secured.get("" if target.is_proxy else upstream.service)
        pool = Pool(target, upstream, most, time.monotonic, secure, self.desk.cutter)
        self._pools[target] = pool
        return pool

    def _upstream(self, upstream: Upstream, target: Target) -> Upstream:
        """Return how *target*, which may be another region's proxy, is connected to."""
        if not target.is_proxy or self._brief is None:
            return upstream
        tls = self._brief.tier.across.tls
        return replace(upstream, tls=tls, proxy_protocol=0, host=None)

    def _keep_pools(self) -> None:
        """Retire the pools of targets that are no more, and of those that are connected otherwise.

        What is under way on their connections finishes there.
        """
        table = self.desk.table
        assert table is not None, "a brief was adopted"
        upstreams = {
            target: self._upstream(chooser.upstream, target)
            for chooser in table.choosers.values()
            for target in chooser.targets()
        }
        self._places.adopt(upstreams)
        for target, pool in list(self._pools.items()):
            if upstreams.get(target) != pool.upstream:
                pool.retire()
                del self._pools[target]
                self._retired.append(pool)

    # Time.

    async def _sweep(self) -> None:
        swept, now_s = 0, time.monotonic()
        while True:
            before_s = now_s
            await asyncio.sleep(SWEEP_S)
            now_s = time.monotonic()
            self.desk.tick(now_s)
            for pool in (*self._pools.values(), *self._retired):
                pool.sweep(now_s)
            if self._retired:
                self._retired = [pool for pool in self._retired if pool.connections or pool.waiting]
            if now_s - before_s < SWEEP_S + LATE_S:
                for exchange in list(self.desk.under_way):
                    exchange.overdue(now_s, self.desk.limits.body_s)
            self._journal.flush()
            swept += 1
            if not swept % 10:
                for front in list(self._fronts):
                    front.sweep(now_s)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            self._line_say(self._figures())

    def _figures(self) -> Figures:
        desk = self.desk
        return Figures(
            counts={**desk.tally.counts(desk.targets()), (LINES_DROPPED,): self._journal.dropped},
            times=desk.tally.times(),
            members=tuple(self._members()),
            connections=len(self._fronts),
            active=len(desk.under_way),
        )

    def _members(self) -> Iterator[Mapping[str, Any]]:
        """Yield how each target stands, to be shown and counted."""
        table, now_s = self.desk.table, time.monotonic()
        for service, chooser in () if table is None else table.choosers.items():
            circuits = chooser.circuits(now_s)
            for target in chooser.targets():
                pool, circuit = self._pools.get(target), circuits.get(target.name)
                passed, queued = self._places.count(target), self._places.waiting(target)
                yield {
                    "service": service,
                    "member": target.name,
                    "region": target.region,
                    "is_proxy": target.is_proxy,
                    "active": target.active,
                    "connections": passed + (0 if pool is None else pool.connections),
                    "waiting": queued + (0 if pool is None else pool.waiting),
                    "latency_s": target.ewma_s,
                    "out": chooser.is_out(target),
                    "circuit": None if circuit is None else circuit.phase.value,
                    "why": None if circuit is None else circuit.why,
                    "ejected_for_s": None
                    if circuit is None or circuit.until_s is None
                    else max(0.0, circuit.until_s - now_s),
                }

    async def _drain(self, within_s: float) -> None:
        """Take no more, let what runs finish, and end."""
        for each in self._listening.values():
            each.close()
        await asyncio.sleep(0)
        self.desk.draining = True
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s and (
            self._fronts or any(each.is_busy for each in self._listening.values())
        ):
            for front in list(self._fronts):
                front.drain()
            await asyncio.sleep(SWEEP_S)
        for front in list(self._fronts):
            front.close()
        await asyncio.sleep(0)
        self._drained.set()


def _nobody(_: Address) -> None:
    return None


async def _run(number: int, descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(each, lambda: None)  # the main process says what to do
    sock = socket.socket(fileno=descriptor)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.freeze()  # what there is now stays
    gc.set_threshold(GARBAGE)  # requests leave no cycles, so looking for some is seldom worth it
    await Worker(number).run(sock)


def main() -> None:
    """Run one worker, whose number and file descriptor are arguments."""
    logs.set_up()
    uvloop.run(_run(int(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
