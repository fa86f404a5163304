"""Clients of a tier: where it listens, and connections to there."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Any

from tests.messages import LINE_MAX, Message, read_body, read_head, request
from tests.running import PATIENCE_S

PROXY = "127.91.0.100"


@dataclass
class At:
    """Where a tier listens."""

    port: int
    address: str = PROXY
    worker: int = 0  # the process id of its first worker

    async def open(self, tls: ssl.SSLContext | None = None, name: str | None = None) -> Wire:
        """Connect to it."""
        reader, writer = await asyncio.open_connection(
            self.address,
            self.port,
            limit=LINE_MAX,
            ssl=tls,
            server_hostname=(name or "www.example.com") if tls else None,
        )
        return Wire(reader, writer)

    async def ask(self, octets: bytes, **keys: Any) -> Message:
        """Return the response to *octets* over a connection of their own."""
        async with asyncio.timeout(PATIENCE_S):
            wire = await self.open(**keys)
            try:
                wire.send(octets)
                return await wire.response(octets.split(b" ", 1)[0].decode("latin-1"))
            finally:
                wire.close()

    async def get(
        self, target: str = "/", *lines: str, method: str = "GET", **keys: Any
    ) -> Message:
        """Return the response to a request of this method, with *lines* of fields beside."""
        return await self.ask(request(target, *lines, method=method), **keys)


class Wire:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, octets: bytes) -> None:
        """Send octets as they are."""
        self.writer.write(octets)

    async def head(self) -> Message:
        """Return the next head."""
        async with asyncio.timeout(PATIENCE_S):
            return await read_head(self.reader)

    async def response(self, method: str = "GET") -> Message:
        """Return the next final response to *method*."""
        async with asyncio.timeout(PATIENCE_S):
            while (message := await read_head(self.reader)).status < 200:
                pass
            if method != "HEAD" and message.status not in (204, 304):
                await read_body(self.reader, message, to_end=True)
        return message

    async def ended(self) -> bytes:
        """Return all that still comes, up to the end, and close."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""
            finally:
                self.close()

    def close(self) -> None:
        """Close it."""
        self.writer.transport.abort()

    def break_off(self) -> None:
        """Reset it: what a program does that ends with something unread."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()
