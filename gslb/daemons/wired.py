"""One end of a connection: what every protocol of the tier does with its transport."""

from __future__ import annotations

import asyncio
from typing import cast


class Wired(asyncio.Protocol):
    """A protocol with its transport, which is None before the connection and after it."""

    __slots__ = ("_transport",)

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def hold(self, *, held: bool) -> None:
        """Stop or go on reading."""
        if self._transport is not None:
            if held:
                self._transport.pause_reading()
            elif not self._transport.is_reading():
                self._transport.resume_reading()

    def end_sending(self) -> None:
        """Send no more; the other way stays open."""
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def close(self) -> None:
        """Close the connection, once what was written is sent."""
        if self._transport is not None:
            self._transport.close()
