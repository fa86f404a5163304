"""Tables carried over HTTP: each node is posted every table, for a handful of nodes.

Each peer has a task of its own, and in it one slot for each box and sender: a newer table
replaces one that still waits.  A peer that is down holds up nobody else.  What failed is
tried again after a back-off that is never longer than the interval of the tables; a newer
table ends it, so that a peer costs the same whether it is down or up.

A node's response may be its own words: so a vantage, to which nobody posts, hears them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress

import aiohttp

from gslb.daemons.carrier import TABLE_MAX_BYTES, WORDS, Link, OnReceived
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events

TIMEOUT_MAX_S = 5.0  # of one attempt, whatever the interval of the tables
RETRY_MIN_S = 0.1  # from a failure to the next attempt, whatever comes meanwhile
ERROR_MAX = 200  # letters of a peer's complaint that are told

_OCTETS = "application/octet-stream"
_KEEP_FACTOR = 4  # connections outlive so many intervals without a table

Slot = tuple[str, str]  # a box and who sends


class HttpCarrier:
    """Posts tables to *peers* (name → URL); what they answer is handed to *on_received*.

    *interval_s* is how often tables come; *ca_file* is a PEM file, or None for the system's
    authorities.  *chance* gives numbers from 0 to 1.  Raises OSError for a file of no use.
    """

    def __init__(
        self,
        peers: Mapping[str, str],
        *,
        ca_file: str | None,
        interval_s: float,
        counters: Counters,
        events: Events,
        on_received: OnReceived,
        chance: Callable[[], float],
    ) -> None:
        self._peers = [
            _Peer(url, Link(name, counters, events), on_received, interval_s, chance)
            for name, url in peers.items()
        ]
        self._interval_s = interval_s
        self._tls = ssl.create_default_context(cafile=ca_file)

    @property
    def links(self) -> tuple[Link, ...]:
        """How it stands with each peer."""
        return tuple(peer.link for peer in self._peers)

    def send(self, box: str, sender: str, octets: bytes) -> None:
        """Let every peer be posted a table."""
        for peer in self._peers:
            peer.put(box, sender, octets)

    async def run(self) -> None:
        """Post what is there to be sent, until cancelled."""
        connector = aiohttp.TCPConnector(
            ssl=self._tls, keepalive_timeout=_KEEP_FACTOR * self._interval_s
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=min(self._interval_s, TIMEOUT_MAX_S)),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            for peer in self._peers:
                group.create_task(peer.run(session))
            await asyncio.Event().wait()


class _RefusedError(Exception):
    """The peer is there and will not have it; its text says why."""


class _Peer:
    """One peer: what it is still to be sent, and how it stands with it."""

    def __init__(
        self,
        url: str,
        link: Link,
        on_received: OnReceived,
        interval_s: float,
        chance: Callable[[], float],
    ) -> None:
        self.link = link
        self._url = url.rstrip("/")
        self._on_received = on_received
        self._interval_s = interval_s
        self._chance = chance
        self._waiting: dict[Slot, bytes] = {}
        self._newer = asyncio.Event()
        self._failures = 0

    def put(self, box: str, sender: str, octets: bytes) -> None:
        """Let a table be sent as soon as may be."""
        self._waiting[box, sender] = octets
        self._newer.set()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Send what waits, until cancelled."""
        while True:
            await self._newer.wait()
            self._newer.clear()
            while self._waiting:
                slot = next(iter(self._waiting))
                octets = self._waiting.pop(slot)
                if not await self._sent(session, slot[0], octets):
                    self._waiting.setdefault(slot, octets)
                    await self._back_off()

    async def _back_off(self) -> None:
        """Wait longer after each failure, between half of it and the whole by chance."""
        self._failures = min(self._failures + 1, 30)
        longest_s = min(self._interval_s, RETRY_MIN_S * 2**self._failures)
        await asyncio.sleep(min(RETRY_MIN_S, longest_s))
        rest_s = longest_s * (0.5 + self._chance() / 2) - RETRY_MIN_S
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, rest_s)):
                await self._newer.wait()
        self._newer.clear()

    async def _sent(self, session: aiohttp.ClientSession, box: str, octets: bytes) -> bool:
        """Send one table; return whether it need not be tried again."""
        try:
            try:
                answered = await self._post(session, box, octets)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # A kept connection may have been closed just now; a table may come twice.
                answered = await self._post(session, box, octets)
        except _RefusedError as error:
            self.link.refused(box, str(error))
        except TimeoutError:
            self.link.failed(box, "no answer in time")
            return False
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self.link.failed(box, _shown(error))
            return False
        else:
            self.link.took(box)
            if answered:
                self._on_received(WORDS, answered)
        self._failures = 0
        return True

    async def _post(self, session: aiohttp.ClientSession, box: str, octets: bytes) -> bytes:
        """Return the octets that the peer answers; raises what aiohttp does, or `_RefusedError`."""
        async with session.post(
            f"{self._url}/v1/{box}",
            data=octets,
            headers={"Content-Type": _OCTETS},
            allow_redirects=False,
        ) as response:
            body = await _read(response.content)
            if response.status >= 500:
                raise aiohttp.ClientError(f"status {response.status}")
            if not 200 <= response.status < 300:
                raise _RefusedError(_complaint(response.status, body))
            return body if response.content_type == _OCTETS else b""


async def _read(content: aiohttp.StreamReader) -> bytes:
    octets = bytearray()
    async for some in content.iter_any():
        octets += some
        if len(octets) > TABLE_MAX_BYTES:
            raise aiohttp.ClientError(f"it answers more than {TABLE_MAX_BYTES} bytes")
    return bytes(octets)


def _complaint(status: int, body: bytes) -> str:
    """Return what a node's JSON says is wrong, or else its status."""
    with suppress(ValueError, RecursionError):
        said = json.loads(body)
        if isinstance(said, dict) and isinstance(said.get("error"), str):
            return f"status {status}: {said['error'][:ERROR_MAX]}"
    return f"status {status}"


def _shown(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:ERROR_MAX]
