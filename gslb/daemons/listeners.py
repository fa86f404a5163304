"""Listeners of the tier: connections accepted, looked at where that is asked for, and handed on.

A listener is a socket that stays as long as its address and port do; what it is told to do with
connections changes in place, so that a reload loses none that waits to be accepted.  Processes
share a port by SO_REUSEPORT.

What stands before TLS (a PROXY header) or decides where a connection goes (the server name of a
ClientHello) is peeked at: it is left in the socket, and only a PROXY header is taken out.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeVar

from gslb.daemons.handshakes import ServerContext, accept
from gslb.errors import GslbError
from gslb.model import Address
from gslb.proxy import hello, preface
from gslb.proxy.admission import Admission

BACKLOG: Final = 4096
ACCEPTED_MAX: Final = 64  # connections taken at once, before others are looked after
PEEK_MAX: Final = 16_384
PEEK_S: Final = 10.0  # how long what is peeked at may take to come
RESTS_S: Final = 0.1  # after the process has no more file descriptors

T = TypeVar("T")
Factory = Callable[[Address], asyncio.BaseProtocol | None]
Undo = Callable[[asyncio.BaseProtocol | None, Address | None], None]
ByName = Callable[[str | None], Factory | None]


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done with a connection.

    `admission` gives it a place, from when it is accepted.  `make` returns its protocol, or None
    where nobody serves it; `undo` is told of one that came to nothing: its protocol, if that was
    made, and its client, if that is known.  `by_name` returns what makes the protocol by the server
    name that is asked for.  `secure` is the context of TLS.  `failed` is told why what stands
    before requests came to nothing: ``tls``, ``malformed`` or ``timeout``.
    """

    admission: Admission
    make: Factory
    undo: Undo
    secure: ServerContext | None = None
    has_preface: bool = False
    by_name: ByName | None = None
    failed: Callable[[str], None] = lambda _: None


class Listening:
    """One address and port that connections are accepted at; `treatment` may be replaced."""

    def __init__(self, host: str, port: int, treatment: Treatment) -> None:
        """Bind; raises OSError."""
        self.treatment = treatment
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setblocking(False)
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"{host} port {port}: {error.strerror}") from None
        self.port = self._socket.getsockname()[1]
        self._loop.add_reader(self._socket.fileno(), self._accept)

    @property
    def is_busy(self) -> bool:
        """Whether there are connections that were accepted and not yet handed on."""
        return bool(self._tasks)

    def close(self) -> None:
        """Accept no more than who is waiting already: they are not turned away."""
        if self._socket.fileno() >= 0:
            for _ in range(BACKLOG // ACCEPTED_MAX):
                if not self._accept():
                    break
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _accept(self) -> bool:
        """Accept some of those who wait; return whether there may be more."""
        for _ in range(ACCEPTED_MAX):
            try:
                sock, found = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError:
                self._rest()
                return False
            treatment, peer = self.treatment, ip_address(found[0].split("%")[0])
            if treatment.admission.enter(None if treatment.has_preface else peer):
                task = self._loop.create_task(self._treat(sock, peer, treatment))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                sock.close()
        return True

    def _rest(self) -> None:
        """Accept none for a moment: the system has no room, and would say so again at once."""
        self._loop.remove_reader(self._socket.fileno())
        self._loop.call_later(RESTS_S, self._again)

    def _again(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket.fileno(), self._accept)

    async def _treat(self, sock: socket.socket, peer: Address, treatment: Treatment) -> None:
        client = None if treatment.has_preface else peer
        protocol: asyncio.BaseProtocol | None = None
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if client is None:
                async with asyncio.timeout(PEEK_S):
                    named = await _past_preface(sock, peer)
                if not treatment.admission.name(named):
                    raise ConnectionRefusedError
                client = named
            make: Factory | None = treatment.make
            if treatment.by_name is not None:
                async with asyncio.timeout(PEEK_S):
                    make = treatment.by_name(await _name_asked_for(sock))
            protocol = None if make is None else make(client)
            if protocol is None:
                raise ConnectionRefusedError
            await self._connect(sock, protocol, treatment.secure)
        except (OSError, TimeoutError, GslbError) as error:
            if (why := _why(error)) is not None:
                treatment.failed(why)
            # It is not served, or its peer went away, took too long, or spoke something else.
            self._undo(sock, treatment, protocol, client)
        except BaseException:
            self._undo(sock, treatment, protocol, client)
            raise

    async def _connect(
        self, sock: socket.socket, protocol: asyncio.BaseProtocol, secure: ServerContext | None
    ) -> None:
        if secure is None:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        else:
            await accept(sock, protocol, secure)

    def _undo(
        self,
        sock: socket.socket,
        treatment: Treatment,
        protocol: asyncio.BaseProtocol | None,
        client: Address | None,
    ) -> None:
        with suppress(OSError):
            sock.close()
        treatment.undo(protocol, client)


def _why(error: Exception) -> str | None:
    """Return what a connection failed for, None where its peer went away or nobody serves it."""
    match error:
        case ssl.SSLError():
            return "tls"
        case TimeoutError():
            return "timeout"
        case GslbError():
            return "malformed"
    return None


async def _past_preface(sock: socket.socket, client: Address) -> Address:
    """Take the PROXY header out of *sock*; return whom it names, or *client* if it names nobody."""
    told, length = await _peeked(sock, preface.decode)
    sock.recv(length)
    return client if told.source is None else told.source[0]


async def _name_asked_for(sock: socket.socket) -> str | None:
    return (await _peeked(sock, hello.decode)).server_name


async def _peeked(sock: socket.socket, decode: Callable[[bytes], T | None]) -> T:
    """Return what *decode* makes of what comes, once that is enough; all of it is left there."""
    known = -1
    while True:
        octets = await _peek(sock, known)
        if (found := decode(octets)) is not None:
            return found
        known = len(octets)
        await _more_than(sock, known)


async def _peek(sock: socket.socket, known: int) -> bytes:
    """Return what there is, without taking it; raises ConnectionError at the end.

    What wakes without more than the *known* octets is the end, behind those.
    """
    while True:
        try:
            octets = sock.recv(PEEK_MAX, socket.MSG_PEEK)
        except BlockingIOError:
            await _readable(sock)
            continue
        if not octets or len(octets) <= known:
            raise ConnectionResetError
        return octets


async def _more_than(sock: socket.socket, count: int) -> None:
    """Wait until more than *count* octets are there: the system wakes nobody before."""
    if count >= PEEK_MAX:
        raise ConnectionResetError
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count + 1)
    try:
        await _readable(sock)
    finally:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def note() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), note)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
