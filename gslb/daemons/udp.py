"""UDP in Python: datagrams read and answered in turns of the event loop.

Not by asyncio's transports, because a server on a wildcard address must answer from the
address it was asked at, which only `recvmsg` tells (IP_PKTINFO, RFC 3542 6).
"""

from __future__ import annotations

import asyncio
import logging
import socket
from struct import Struct
from typing import Protocol

from gslb.config.settings import Endpoint
from gslb.daemons.counters import Counters
from gslb.dns.response import TCP_MAX

log = logging.getLogger("gslb.nameserver")

DATAGRAMS_AT_ONCE_MAX = 64  # then the loop gets a turn
ROUNDS_AT_CLOSE_MAX = 64  # more than a socket's buffer holds, unless it is filled as we read
_IP_PKTINFO = 8  # linux/in.h; the socket module has no name for it
_IN_PKTINFO = Struct("I4s4s")
_IN6_PKTINFO = Struct("16sI")


class Responds(Protocol):
    """What turns one message into its response."""

    def respond(self, wire: bytes, sender: str, proto: str) -> bytes | None:
        """Return the octets that answer *wire*, or None where silence is right."""


class Udp:
    """Sockets that a running event loop reads."""

    def __init__(self, responder: Responds, counters: Counters) -> None:
        self._responder = responder
        self._counters = counters
        self._sockets: dict[Endpoint, socket.socket] = {}

    def bind(self, endpoint: Endpoint) -> Endpoint:
        """Bind *endpoint* and return it, with the port that port 0 became; raises OSError."""
        sock = _udp_socket(endpoint)
        bound = Endpoint(endpoint.host, sock.getsockname()[1])
        self._sockets[bound] = sock
        return bound

    def release(self, endpoint: Endpoint) -> None:
        """Let go of an endpoint that was bound and not started."""
        self._sockets.pop(endpoint).close()

    def start(self) -> None:
        """Answer at all endpoints that are bound."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.add_reader(sock, self._read, sock)

    def close(self) -> None:
        """Answer what has come in, and stop."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets.values():
            loop.remove_reader(sock)
            for _ in range(ROUNDS_AT_CLOSE_MAX):
                if self._read(sock) < DATAGRAMS_AT_ONCE_MAX:
                    break
            sock.close()
        self._sockets.clear()

    def _read(self, sock: socket.socket) -> int:
        """Answer what has come in, up to a bound; return how many datagrams that was."""
        for count in range(DATAGRAMS_AT_ONCE_MAX):
            try:
                wire, info, _, peer = sock.recvmsg(TCP_MAX, 128)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError as error:
                log.warning("cannot read a datagram: %s", error)
                return count
            response = self._responder.respond(wire, peer[0], "udp")
            if response is None:
                continue
            try:
                sock.sendmsg([response], [_reply_from(each) for each in info], 0, peer)
            except OSError:
                # The way back is full or gone; a resolver asks again.
                self._counters.events["gslb_dropped_datagrams"] += 1
        return DATAGRAMS_AT_ONCE_MAX


def _udp_socket(endpoint: Endpoint) -> socket.socket:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setblocking(False)
        sock.bind((endpoint.host, endpoint.port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{error.strerror}: {endpoint}") from None
    return sock


def _reply_from(received: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """Return the control message that sends from the address a datagram was sent to."""
    level, kind, octets = received
    if level == socket.IPPROTO_IP:
        _, local, _ = _IN_PKTINFO.unpack(octets[: _IN_PKTINFO.size])
        return level, kind, _IN_PKTINFO.pack(0, local, bytes(4))
    return level, kind, octets[: _IN6_PKTINFO.size]
