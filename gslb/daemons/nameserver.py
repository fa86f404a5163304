"""The nameserver: datagrams and TCP frames in, responses out (RFC 1035 4.2, 7766).

It reads the snapshot pointer once for each query and never waits for anything.  Whatever
goes wrong costs that query: this is the only place of the program that catches everything.

UDP is somebody else's: Python's (`gslb.daemons.udp`) or the native engine's.  TCP connections
are limited in number, in number for each client, in how long they may idle, and in how much
they may leave unread.  When there are too many, the one that has idled longest makes room
(RFC 7766 6.2.3, 9210 4.2).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from random import SystemRandom
from struct import Struct
from typing import Protocol

from gslb.config.settings import Endpoint
from gslb.daemons.counters import Counters
from gslb.daemons.protection import Protection
from gslb.daemons.udp import Udp
from gslb.dns.message import HEADER_BYTES, SERVFAIL
from gslb.dns.response import TCP_MAX, UDP_MAX, encode_error
from gslb.model import Address
from gslb.routing.answer import Explainer
from gslb.routing.choice import DRAW_BITS
from gslb.routing.respond import Reply, respond
from gslb.routing.snapshot import Snapshot

log = logging.getLogger("gslb.nameserver")

TURNS_AT_CLOSE = 3  # of the loop: until bytes that have arrived have woken their connection
PORTS_TRIED_MAX = 16
_LENGTH = Struct(">H")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one TCP server bears: connections in all and for each client, and idle times."""

    connections_max: int = 1000
    connections_per_client_max: int = 50
    idle_s: float = 10.0
    idle_when_busy_s: float = 2.0
    write_s: float = 10.0


class Responder:
    """Turns one message into its response; everything a query touches is read from here."""

    def __init__(
        self,
        current: Callable[[], Snapshot],
        clock: Callable[[], float],
        counters: Counters,
        *,
        explain: Explainer | None = None,
        draw: Callable[[], int] | None = None,
        protection: Protection | None = None,
    ) -> None:
        chance = SystemRandom()
        self._current = current
        self._clock = clock
        self._counters = counters
        self._explain = explain
        self._protection = protection
        self._draw = draw or (lambda: chance.getrandbits(DRAW_BITS))

    def respond(
        self, wire: bytes, sender: str, proto: str, keepalive_s: float | None = None
    ) -> bytes | None:
        """Return the octets that answer *wire*, or None where silence is right."""
        protection = self._protection
        try:
            reply = respond(
                self._current(),
                wire,
                _address(sender),
                self._draw(),
                self._clock(),
                size_max=UDP_MAX if proto == "udp" else TCP_MAX,
                keepalive_s=keepalive_s,
                explain=self._explain,
                secrets=() if protection is None else protection.secrets,
                limiter=None if protection is None or proto != "udp" else protection.limiter,
            )
        except Exception:
            log.exception("an error of ours while answering %s", wire.hex())
            self._counters.events["gslb_errors"] += 1
            return encode_error(wire, SERVFAIL) if len(wire) >= HEADER_BYTES else None
        self._count(reply, proto)
        return reply.octets

    def _count(self, reply: Reply, proto: str) -> None:
        if reply.limited is not None:
            kind, action = reply.limited
            self._counters.limited[kind.name.lower(), action.value] += 1
        elif reply.rcode is None:
            self._counters.events["gslb_dropped_datagrams"] += 1
        if reply.rcode is None:
            return
        self._counters.query(proto, reply.type, reply.rcode)
        if reply.service is not None:
            self._counters.answers[reply.service, reply.way] += 1


def _address(text: str) -> Address:
    """Return a socket's peer as an address; IPv4 may come as IPv6, and IPv6 with a zone."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Datagrams(Protocol):
    """What answers over UDP; bound first, then started, then closed."""

    def bind(self, endpoint: Endpoint) -> Endpoint:
        """Bind *endpoint* and return it, with the port that port 0 became; raises OSError."""

    def release(self, endpoint: Endpoint) -> None:
        """Let go of an endpoint that was bound and not started."""

    def start(self) -> None:
        """Answer at all endpoints that are bound."""

    def close(self) -> None:
        """Answer what has come in, and stop."""


class Nameserver:
    """Listens at endpoints, over UDP and TCP, until it is closed."""

    def __init__(
        self,
        responder: Responder,
        counters: Counters,
        limits: Limits | None = None,
        *,
        udp: Datagrams | None = None,
    ) -> None:
        self._responder = responder
        self._counters = counters
        self._limits = limits or Limits()
        self._udp = udp or Udp(responder, counters)
        self._tcp: list[asyncio.Server] = []
        self._connections: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], None] = {}  # for a query, the longest first
        self.endpoints: tuple[Endpoint, ...] = ()

    @property
    def connections(self) -> int:
        """The number of TCP connections that are open."""
        return self._connections.total()

    async def listen(self, endpoints: Sequence[Endpoint]) -> None:
        """Bind all *endpoints*; port 0 takes one that is free for both. Raises OSError."""
        try:
            self.endpoints = tuple([await self._bind(endpoint) for endpoint in endpoints])
        except OSError:
            await self.close()
            raise
        self._udp.start()

    async def close(self, drain_s: float = 2.0) -> None:
        """Stop listening; let connections finish what they asked for *drain_s* seconds."""
        self._udp.close()
        for server in self._tcp:
            server.close()
        self._tcp = []
        for _ in range(TURNS_AT_CLOSE):
            await asyncio.sleep(0)
        for task in self._waiting:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _bind(self, endpoint: Endpoint) -> Endpoint:
        """Listen at one port over both; the system chooses port 0 for UDP alone."""
        tries = PORTS_TRIED_MAX if endpoint.port == 0 else 1
        while True:
            bound = self._udp.bind(endpoint)
            try:
                server = await asyncio.start_server(self._accept, bound.host, bound.port)
            except OSError:
                self._udp.release(bound)
                tries -= 1
                if not tries:
                    raise
            else:
                self._tcp.append(server)
                return bound

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        limits, client = self._limits, peer[0] if peer else ""
        if (
            not client
            or self._connections[client] >= limits.connections_per_client_max
            or (self.connections >= limits.connections_max and not self._made_room())
        ):
            self._counters.events["gslb_refused_connections"] += 1
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections[client] += 1
        try:
            await self._serve(reader, writer, client)
            await self._end(writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            # Whatever ends a connection early ends nothing else.
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)
            self._connections[client] -= 1
            if not self._connections[client]:
                del self._connections[client]

    def _made_room(self) -> bool:
        """Close the connection that has idled longest; False if all are being answered."""
        task = next(iter(self._waiting), None)
        if task is None:
            return False
        del self._waiting[task]  # it ends at its next turn, and must not be chosen twice
        task.cancel()
        self._counters.events["gslb_idle_connections_closed"] += 1
        return True

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str
    ) -> None:
        """Answer the frames of one connection in their order until it ends, idles or we close."""
        while True:
            idle_s = self._idle_s()
            wire = await self._next_frame(reader, idle_s)
            if wire is None:
                return
            response = self._responder.respond(wire, client, "tcp", idle_s)
            if response is None:
                return
            writer.write(_LENGTH.pack(len(response)) + response)
            async with asyncio.timeout(self._limits.write_s):
                await writer.drain()
            # Neither reading what has arrived nor a drain with room waits: one client that
            # pipelines would otherwise keep everyone else out.
            await asyncio.sleep(0)

    async def _next_frame(self, reader: asyncio.StreamReader, idle_s: float) -> bytes | None:
        """Return the next frame; None at the end, or when we close and no whole one is there.

        Raises TimeoutError.
        """
        task = asyncio.current_task()
        assert task is not None
        self._waiting[task] = None
        try:
            # What has arrived whole is read without waiting, so it is served while we close.
            async with asyncio.timeout(idle_s if self._tcp else 0.0):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                return await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            return None
        except (TimeoutError, asyncio.CancelledError):
            if self._tcp:
                raise
            return None
        finally:
            self._waiting.pop(task, None)

    async def _end(self, writer: asyncio.StreamWriter) -> None:
        """Close a connection once all that was answered has left."""
        writer.close()
        async with asyncio.timeout(self._limits.write_s):
            await writer.wait_closed()

    def _idle_s(self) -> float:
        busy = self.connections * 2 > self._limits.connections_max
        return self._limits.idle_when_busy_s if busy else self._limits.idle_s
