"""Probes over real sockets: one attempt at a subject, and always a result.

A probe is one GET over HTTP/1.1 on a connection of its own, or, for tcp, the connection
alone.  It goes to the subject's target; the Host header and the TLS server name are the
subject's host.  Host names are resolved each time, and the first address counts.  No
redirect is followed, no proxy or cookie used, and at most 64 KiB of the body are read.
The monitor's timeout is for all of it, from the look-up to the end of the body.

Whatever the other side does becomes a `Result`.  An exception that leaves `Probes.probe`
is a bug of ours.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv6Address, ip_address
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from gslb import __version__
from gslb.health.probe import BODY_MAX_BYTES, LOCAL, OK, Result, failed, judge, status_expected
from gslb.model import Monitor, Subject

RESOLVING_MAX = 32  # host names looked up at the same time

_RESET = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ESHUTDOWN})
_LOCAL = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EPERM}
)


class Probes:
    """Where probes are made from; an asynchronous context that they run in."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}
        # Threads of their own: a name server that is gone holds up nothing but names.
        self._resolving = ThreadPoolExecutor(RESOLVING_MAX, "gslb-resolve")

    async def __aenter__(self) -> Self:
        # A connection belongs to one probe, so how many there are is the caller's to bound.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()
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
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            return _failure(error)

    async def _first_address(self, host: str, port: int) -> str:
        try:
            return str(ip_address(host))
        except ValueError:
            ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            found = await asyncio.get_running_loop().run_in_executor(self._resolving, ask)
            return str(found[0][4][0])

    async def _get(self, host: str, subject: Subject, monitor: Monitor) -> Result:
        assert self._session is not None, "probes are made inside `async with`"
        context = None
        if monitor.type == "https":
            try:
                context = self._context(monitor)
            except OSError as error:
                return failed(LOCAL, f"ca_file {monitor.ca_file}: {error.strerror or error}")
        async with self._session.get(
            f"{monitor.type}://{_in_url(host)}:{subject.target[1]}{monitor.path}",
            headers={
                "Host": _in_url(subject.host),
                "User-Agent": f"gslb/{__version__}",
                "Accept-Encoding": "identity",
                "Connection": "close",
            },
            allow_redirects=False,
            ssl=context or True,
            server_hostname=subject.host if context else None,
        ) as response:
            try:
                if not status_expected(response.status, monitor.expect):
                    return judge(response.status, b"", monitor.expect)
                body = await _read(response.content)
            finally:
                # What is left of the body is nobody's business.
                response.close()
        return judge(response.status, body, monitor.expect)

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


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while len(body) < BODY_MAX_BYTES:
        some = await content.read(BODY_MAX_BYTES - len(body))
        if not some:
            break
        body += some
    return bytes(body)


def _in_url(host: str) -> str:
    try:
        return f"[{host}]" if isinstance(ip_address(host), IPv6Address) else host
    except ValueError:
        return host


def _failure(error: Exception) -> Result:
    """Return which kind of failure *error* is; a chain of causes is looked at as a whole."""
    message = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    said = message.partition("\n")[0] or type(error).__name__
    chain = _causes(error)
    if any(isinstance(cause, ssl.SSLError | aiohttp.ClientSSLError) for cause in chain):
        return failed("tls", said)
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return failed("reset", "closed before the response was whole")
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return failed("protocol", said)
    number = next((c.errno for c in chain if isinstance(c, OSError) and c.errno), None)
    if number == errno.ECONNREFUSED:
        return failed("refused", "connection refused")
    if number == errno.ETIMEDOUT:
        return failed("timeout", "the network gave up connecting")
    if number in _LOCAL:
        return failed(LOCAL, said)
    if number in _RESET or number is None:
        return failed("reset", said)
    return failed("unreachable", said)


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__
    return chain
