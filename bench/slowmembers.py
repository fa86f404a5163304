"""Members that take few requests at a time, and for which one of a hundred is slow.

    python -m bench.slowmembers PORT

Each member has its own queue and SLOTS places; a request holds a place for QUICK_S, or for
SLOW_S one time of a hundred.  So a member with a slow request is a bad choice for a while,
which a rule that looks at requests under way or at response times can know.  Which requests
are slow is drawn by each member from its own seed, and `/healthz` never waits.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import deque
from functools import partial
from typing import cast

import uvloop

from bench.proxyfiles import MEMBERS

SLOTS = 2
QUICK_S, SLOW_S = 0.002, 0.2
SLOW_PART = 0.01
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024


class Member:
    """One member: how many requests it works on, and who waits."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop) -> None:
        self._draw = random.Random(seed).random
        self._loop = loop
        self._free = SLOTS
        self._waiting: deque[asyncio.Transport] = deque()

    def take(self, client: asyncio.Transport) -> None:
        """Begin the request of that connection, now or when a place is free."""
        if not self._free:
            self._waiting.append(client)
            return
        self._free -= 1
        lasts_s = SLOW_S if self._draw() < SLOW_PART else QUICK_S
        self._loop.call_later(lasts_s, self._done, client)

    def _done(self, client: asyncio.Transport) -> None:
        if not client.is_closing():
            client.write(RESPONSE)
        self._free += 1
        if self._waiting:
            self.take(self._waiting.popleft())


class Connection(asyncio.Protocol):
    """One connection of a proxy: bodiless requests, one after the other."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by their methods, not by their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        assert self._transport is not None, "it has been connected"
        if b" /healthz " in self._head.partition(b"\r\n")[0]:
            self._transport.write(RESPONSE)
        else:
            self._member.take(self._transport)
        self._head = b""


async def serve(port: int) -> None:
    """Serve at every member's address."""
    loop = asyncio.get_running_loop()
    for seed, address in enumerate(MEMBERS):
        member = Member(seed, loop)
        await loop.create_server(partial(Connection, member), address, port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
