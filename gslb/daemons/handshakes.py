"""Handshakes of TLS with clients, which are told why where theirs fails (RFC 8446 6.2).

OpenSSL has an alert ready when a handshake fails, but uvloop, as asyncio, breaks the connection off
before that is sent, and the client sees an end for no reason.  So it is taken out at once, and sent
by a second descriptor of the socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

HANDSHAKE_S: Final = 10.0
SHUTDOWN_S: Final = 1.0

_alerts: ContextVar[list[bytes]] = ContextVar("alerts")


class _Handshake(ssl.SSLObject):
    """A handshake whose alert, if it fails, is put into *alerts*."""

    alerts: list[bytes]
    outgoing: ssl.MemoryBIO

    def do_handshake(self) -> None:
        """Go on with it; raises what ssl does."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            self.alerts.append(self.outgoing.read())
            raise


class ServerContext(ssl.SSLContext):
    """A context of connections that `accept` makes."""

    sslobject_class = _Handshake

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **keys: Any
    ) -> ssl.SSLObject:
        """Begin a handshake; what it sends goes into *outgoing*."""
        made = super().wrap_bio(incoming, outgoing, *args, **keys)
        assert isinstance(made, _Handshake), "that is the class of its objects"
        made.alerts, made.outgoing = _alerts.get([]), outgoing
        return made


async def accept(
    sock: socket.socket, protocol: asyncio.BaseProtocol, secure: ServerContext
) -> None:
    """Make a connection of *protocol*; raises ssl.SSLError once its client was told, or OSError."""
    alerts: list[bytes] = []
    _alerts.set(alerts)
    with sock.dup() as second:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=secure,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except ssl.SSLError:
            with suppress(OSError):
                second.send(b"".join(alerts))
            raise
