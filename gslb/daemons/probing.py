"""Probes over real sockets: one attempt at a subject, and always a result.

A probe is one GET over HTTP/1.1 on a connection of its own, or, for tcp, the connection
alone.  It goes to the subject's target; the Host header and the TLS server name are the
subject's host.  Host names are resolved each time, and the first address counts.  No
redirect is followed, no proxy or cookie used, and at most 64 KiB of the body are read.
The monitor's timeout is for all of it, from the look-up to the end of the body.

The request is written by hand and the response read by `gslb.health.reply`: a general HTTP
client costs three times as much CPU (docs/performance.md), and a prober does little else.

Whatever the other side does becomes a `Result`.  An exception that leaves `Probes.probe`
is a bug of ours.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from ipaddress import ip_address
from types import TracebackType
from typing import Self, cast

from gslb import __version__
from gslb.health.probe import LOCAL, OK, Result, failed, judge, status_expected
from gslb.health.reply import Reply
from gslb.model import Expect, Monitor, Subject

ADDRESSES_MAX = 65_536  # hosts of which it is remembered whether they are addresses
RESOLVING_MAX = 32  # host names looked up at the same time

_RESET = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ESHUTDOWN})
_LOCAL = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EPERM}
)


class Probes:
    """Where probes are made from; an asynchronous context that they run in."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}
        # Threads of their own: a name server that is gone holds up nothing but names.
        self._resolving = ThreadPoolExecutor(RESOLVING_MAX, "gslb-resolve")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resolving.shutdown(wait=False, cancel_futures=True)

    def reload(self) -> None:
        """Read CA files again when they are next needed."""
        self._contexts.clear()

    async def probe(self, subject: Subject, monitor: Monitor) -> Result:
        """Return what one attempt at *subject* finds, within the monitor's timeout."""
        try:
            async with asyncio.timeout(monitor.timeout_s):
                host = await self._first_address(*subject.target)
                if monitor.type == "tcp":
                    return await _connect(host, subject.target[1])
                return await self._get(host, subject, monitor)
        except socket.gaierror as error:
            return failed("dns", f"{subject.target[0]}: {error.strerror}")
        except UnicodeError as error:
            return failed("dns", f"{subject.target[0]} is not a host name: {error}")
        except TimeoutError:
            return failed("timeout", f"not finished within {monitor.timeout_s:g} s")
        except OSError as error:
            return _failure(error)

    async def _first_address(self, host: str, port: int) -> str:
        if _is_address(host):
            return host
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._resolving, ask)
        return str(found[0][4][0])

    async def _get(self, host: str, subject: Subject, monitor: Monitor) -> Result:
        context = None
        if monitor.type == "https":
            try:
                context = self._context(monitor)
            except OSError as error:
                return failed(LOCAL, f"ca_file {monitor.ca_file}: {error.strerror or error}")
        loop = asyncio.get_running_loop()
        exchange = _Exchange(_request(subject, monitor), monitor.expect, loop.create_future())
        transport, _ = await loop.create_connection(
            lambda: exchange,
            host,
            subject.target[1],
            ssl=context,
            server_hostname=subject.host if context else None,
        )
        try:
            return await exchange.result
        finally:
            # What is left of the body is nobody's business.
            transport.abort()

    def _context(self, monitor: Monitor) -> ssl.SSLContext:
        key = (monitor.verify, monitor.ca_file)
        if key not in self._contexts:
            context = ssl.create_default_context(cafile=monitor.ca_file)
            if not monitor.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._contexts[key] = context
        return self._contexts[key]


async def _connect(host: str, port: int) -> Result:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
    transport.abort()
    return OK


class _Exchange(asyncio.Protocol):
    """One request and the response to it, on a connection of its own."""

    def __init__(self, request: bytes, expect: Expect, result: asyncio.Future[Result]) -> None:
        self.result = result
        self._request = request
        self._expect = expect
        self._reply = Reply()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.result.done():
            return
        try:
            self._reply.feed(data)
        except ValueError as problem:
            self._settle(failed("protocol", str(problem)))
        else:
            self._judge()

    def eof_received(self) -> None:
        self._reply.end()
        self._judge()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError):
            self._settle(_failure(exc))
        self._settle(failed("reset", "closed before the response was whole"))

    def _judge(self) -> None:
        reply, expect = self._reply, self._expect
        if reply.status is None:
            return
        # Of a response with a wrong status the body need not be read.
        if reply.complete or not status_expected(reply.status, expect):
            self._settle(judge(reply.status, bytes(reply.body), expect))

    def _settle(self, result: Result) -> None:
        if not self.result.done():
            self.result.set_result(result)


def _request(subject: Subject, monitor: Monitor) -> bytes:
    return (
        f"GET {monitor.path} HTTP/1.1\r\nHost: {_in_url(subject.host)}\r\n"
        f"User-Agent: gslb/{__version__}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        "Connection: close\r\n\r\n"
    ).encode()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host and _is_address(host) else host


@lru_cache(ADDRESSES_MAX)
def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _failure(error: OSError) -> Result:
    """Return which kind of failure *error* is."""
    said = str(error).partition("\n")[0] or type(error).__name__
    if isinstance(error, ssl.SSLError):
        return failed("tls", said)
    number = error.errno
    if number == errno.ECONNREFUSED:
        return failed("refused", "connection refused")
    if number == errno.ETIMEDOUT:
        return failed("timeout", "the network gave up connecting")
    if number in _LOCAL:
        return failed(LOCAL, said)
    if number in _RESET or number is None:
        return failed("reset", said)
    return failed("unreachable", said)
