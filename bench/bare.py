"""The least that a proxy in this Python can be: what the event loop, llhttp and the kernel cost.

    python -m bench.bare PORT MEMBER_PORT

`asyncio.Protocol`s over uvloop and httptools, connections to one member that are kept, a field
added, one taken out, and a line of a log put together.  No routes, no choice, no timeouts, no
retries, no errors, and bodies only of a length that is told: it is good for nothing else.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
import uvloop

from bench.proxyfiles import MEMBERS

idle: list[Back] = []
lines: list[str] = []


class Reader(asyncio.Protocol):
    """Hears what llhttp says of one head."""

    def __init__(self) -> None:
        self.fields: list[bytes] = []
        self.target = b""
        self.length = 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def on_url(self, target: bytes) -> None:
        self.target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length":
            self.length = int(value)
        if lower != b"connection":
            self.fields.append(b"%b: %b\r\n" % (name, value))


class Back(Reader):
    """A connection to the member."""

    front: Any = None
    left = 0

    def data_received(self, octets: bytes) -> None:
        if self.left:
            self.left -= len(octets)
            self.front.write(octets)
        else:
            end = octets.find(b"\r\n\r\n") + 4
            self.fields = []
            httptools.HttpResponseParser(self).feed_data(octets[:end])
            self.left = self.length - (len(octets) - end)
            head = b"".join([b"HTTP/1.1 200 OK\r\n", *self.fields, b"\r\n"])
            self.front.write(head + octets[end:])
        if not self.left:
            idle.append(self)
            lines.append(f"GET {self.length}\n")
            if len(lines) >= 1000:
                lines.clear()


class Front(Reader):
    """A connection of a client."""

    member_port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, octets: bytes) -> None:
        self.fields = []
        self.parser.feed_data(octets)
        first = b"%b %b HTTP/1.1\r\n" % (self.parser.get_method(), self.target)
        head = b"".join([first, *self.fields, b"X-Forwarded-For: 127.0.0.1\r\n\r\n"])
        if idle:
            self.send(idle.pop(), head)
        else:
            asyncio.ensure_future(self.connect(head))  # noqa: RUF006 - the connection holds it

    def send(self, back: Back, head: bytes) -> None:
        back.front = self.transport
        back.transport.write(head)

    async def connect(self, head: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, back = await loop.create_connection(Back, MEMBERS[0], self.member_port)
        self.send(back, head)


async def main() -> None:
    """Serve until the process ends."""
    port, Front.member_port = map(int, sys.argv[1:])
    await asyncio.get_running_loop().create_server(Front, "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
