"""Connections passed on as they are (``mode: tcp``): two sockets, and octets between them.

A member is chosen when the client connects; if it has all the connections that it may have and none
is given back in time, or if it cannot be reached, the next one is tried.  Each side's end is passed
on, so that a half-closed connection stays one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Final

from gslb.daemons.places import Places
from gslb.daemons.wired import Wired
from gslb.model import Address
from gslb.proxy import preface
from gslb.proxy.chooser import Chooser
from gslb.proxy.desk import Desk
from gslb.proxy.ejection import Outcome
from gslb.proxy.hashing import client_key
from gslb.proxy.target import Target
from gslb.tier import PassRoute

TRIES_MAX: Final = 3
CONNECT_S: Final = 1.0
IDLE_S: Final = 3600.0
LINGER_S: Final = 30.0  # how long a member is given to take what a client sent that has left
HELD_MAX: Final = 65_536  # octets of a client held until its member is reached

Left = Callable[["Passing"], None]


class Passing(Wired):
    """A client's connection, and the one to its member; *left* is told when it is over.

    What went through it, and when, is kept: times by the desk's clock, 0.0 where it did not come to
    that.  `target` is the member that was reached, None for none; `tries` how many were to be.
    """

    def __init__(
        self,
        desk: Desk,
        places: Places,
        route: PassRoute,
        client: Address,
        left: Left,
    ) -> None:
        super().__init__()
        self._desk = desk
        self._places = places
        self.route = route
        self.client = client
        self._left = left
        self.began_s = desk.now_s()
        self.asked_s = self.connected_s = 0.0
        self.target: Target | None = None
        self.tries = 0
        self.bytes_in = self.bytes_out = 0
        self.error: str | None = None
        self._member: MemberSide | None = None
        self._task: asyncio.Task[None] | None = None
        self._held: list[bytes] = []
        self._held_count = 0
        self._has_ended = False
        self._member_has_ended = False
        self.deadline_s = self.began_s + IDLE_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look for a member."""
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._find())

    async def _find(self) -> None:
        desk, route, places = self._desk, self.route, self._places
        table = desk.table
        chooser = None if table is None else table.choosers.get(route.service)
        tried: list[Target] = []
        while chooser is not None and self.tries < TRIES_MAX:
            target = self._choose(chooser, tried)
            if target is None:
                break
            tried.append(target)
            if not await places.take(target, chooser.upstream):
                continue  # it has no room, which is no failure
            if await self._reach(chooser, target):
                desk.tally.count("gslb_proxy_passed_total", route.service, target.name)
                return
        self.error = "no member"
        desk.tally.count("gslb_proxy_passed_total", route.service, "none")
        self.close()

    def _choose(self, chooser: Chooser, tried: list[Target]) -> Target | None:
        desk = self._desk
        balance = self.route.balance
        key = client_key(self.client)
        # What is passed on as it is means nothing to another region's proxy.
        return chooser.choose(
            balance, key, self.client, tried, desk.draw(), desk.now_s(), by_proxies=False
        )

    async def _reach(self, chooser: Chooser, target: Target) -> bool:
        """Connect to *target*, at which there is a place; return whether that is done with."""
        loop = asyncio.get_running_loop()
        host, port = target.endpoint
        member = MemberSide(self, partial(self._places.leave, target))
        began_s = self.asked_s = self._desk.now_s()
        self.tries += 1
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: member, host, port)
        except (OSError, TimeoutError):
            member.leave()
            self._note(chooser, target, Outcome.CONNECT_ERROR, began_s)
            return False
        except asyncio.CancelledError:
            member.leave()
            raise
        self._note(chooser, target, Outcome.OK, began_s)
        self.target, self.connected_s = target, self._desk.now_s()
        if self._transport is None:
            member.close()
            return True
        self._member = member
        if version := chooser.upstream.proxy_protocol:
            member.send(preface.encode(version, (self.client, 0), (ip_address(host), port)))
        for octets in self._held:
            member.send(octets)
        self._held = []
        self._transport.resume_reading()
        if self._has_ended:
            member.end_sending()
        return True

    def _note(self, chooser: Chooser, target: Target, outcome: Outcome, began_s: float) -> None:
        desk = self._desk
        now_s = desk.now_s()
        desk.tally.attempt(chooser.service.text, target.name, outcome.value)
        if chooser.observe(target, outcome, now_s - began_s, now_s):
            desk.suspect(chooser, target)

    # The client's side.

    def data_received(self, octets: bytes) -> None:
        """Pass octets on to the member."""
        self.bytes_in += len(octets)
        self.deadline_s = self._desk.now_s() + IDLE_S
        if self._member is not None:
            self._member.send(octets)
            return
        self._held.append(octets)
        self._held_count += len(octets)
        if self._held_count >= HELD_MAX and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Pass the end on; the other way stays open."""
        self._has_ended = True
        if self._member is not None:
            self._member.end_sending()
        if self._member_has_ended:
            self.close()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Take in that the client is there no more."""
        self._transport = None
        if self._task is not None and not self._task.done():
            self._task.cancel()
        if self._member is not None:
            self._member.end(at_once=error is not None or self.error is not None)
        elif self.error is None:
            self.error = "client gone"
        self._left(self)

    def pause_writing(self) -> None:
        """Let the member rest."""
        if self._member is not None:
            self._member.hold(held=True)

    def resume_writing(self) -> None:
        """Let the member go on."""
        if self._member is not None:
            self._member.hold(held=False)

    # What the worker and the member's side say.

    def send(self, octets: bytes) -> None:
        """Pass octets on to the client."""
        self.deadline_s = self._desk.now_s() + IDLE_S
        self.bytes_out += len(octets)
        if self._transport is not None:
            self._transport.write(octets)

    def end_sending(self) -> None:
        """Pass the member's end on to the client; when both have ended, it is over."""
        self._member_has_ended = True
        if self._has_ended:
            self.close()
        else:
            super().end_sending()

    def sweep(self, now_s: float) -> None:
        """Close what has been idle for too long."""
        if now_s >= self.deadline_s and self._transport is not None:
            self.error = "idle"
            self._transport.abort()  # what it was sent it may never take

    def on_member_lost(self, member: MemberSide) -> None:
        """Hear that a connection to a member is no more: the one there is, or one that failed."""
        if member is self._member:
            self.close()

    def drain(self) -> None:
        """Go on: what is passed has no end that could be waited for."""


class MemberSide(Wired):
    """The connection to a member, for which there is a place until it calls *leaves*."""

    def __init__(self, client: Passing, leaves: Callable[[], None]) -> None:
        super().__init__()
        self._client = client
        self._leaves: Callable[[], None] | None = leaves

    def end(self, *, at_once: bool) -> None:
        """Close, once what the client sent is taken, which a member that hangs may never do."""
        if self._transport is None:
            return
        if at_once:
            self._transport.abort()
            return
        is_taken = not self._transport.get_write_buffer_size()
        self._transport.close()
        if not is_taken:
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)

    def leave(self) -> None:
        """Give the place back, once."""
        leaves, self._leaves = self._leaves, None
        if leaves is not None:
            leaves()

    def data_received(self, octets: bytes) -> None:
        """Pass octets on to the client."""
        self._client.send(octets)

    def eof_received(self) -> bool:
        """Pass the end on."""
        self._client.end_sending()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Take in that the member is there no more."""
        self._transport = None
        self.leave()
        self._client.on_member_lost(self)

    def pause_writing(self) -> None:
        """Let the client rest."""
        self._client.hold(held=True)

    def resume_writing(self) -> None:
        """Let the client go on."""
        self._client.hold(held=False)

    def send(self, octets: bytes) -> None:
        """Send to the member."""
        if self._transport is not None:
            self._transport.write(octets)


def pass_for(routes: tuple[PassRoute, ...], name: str | None) -> PassRoute | None:
    """Return the first of *routes* that is for connections that ask for *name*."""
    for route in routes:
        if not route.server_names:
            return route
        if name is None:
            continue
        for wanted in route.server_names:
            if wanted == name or (wanted.startswith("*.") and name.endswith(wanted[1:])):
                return route
    return None
