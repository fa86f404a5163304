"""Tables carried by NATS: stored in JetStream's key-value buckets, and heard as they are put.

A bucket for each box, a key for each sender.  What is put is heard by a plain subscription to
the bucket's subjects, which goes on where JetStream is lost; what
was put before is read from the bucket when a connection is made.  Each connection lives
through the same steps: connect, subscribe, make what buckets are missing, read, put.  So a
server that comes back with nothing is filled again.

Reports are kept in memory, for they are worth nothing soon; words are kept in files.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import KeyValueConfig, StorageType
from nats.js.client import JetStreamContext
from nats.js.errors import BadRequestError, NotFoundError
from nats.js.kv import KeyValue

from gslb.config.settings import Nats
from gslb.daemons.carrier import REPORTS, TABLE_MAX_BYTES, WORDS, Link, OnReceived
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events

PEER = "nats"
TIMEOUT_MAX_S = 5.0  # of one put, whatever the interval of the tables
CONNECT_MAX_S = 10.0  # to connect to any of the servers
CLOSE_MAX_S = 1.0
RETRY_MIN_S = 0.1

_KEPT_EXPIRIES = 3
_NAME_IN_USE = 10058
# ImportError: credentials need a library of their own.
_FAILURES = (errors.Error, OSError, TimeoutError, ValueError, ImportError)


def key_of(sender: str) -> str:
    """Return a sender's name as a key of a bucket; different names have different keys."""
    return quote(sender, safe="").replace(".", "%2E").replace("~", "%7E").replace("%", "=")


class NatsCarrier:
    """Puts tables into buckets, and hands those in *listens* (boxes) to *on_received*.

    *interval_s* is how often tables come, *expiry_s* how long a report counts.
    """

    def __init__(
        self,
        nats: Nats,
        *,
        listens: tuple[str, ...],
        interval_s: float,
        expiry_s: float,
        counters: Counters,
        events: Events,
        on_received: OnReceived,
        chance: Callable[[], float],
    ) -> None:
        self.link = Link(PEER, counters, events)
        self._nats = nats
        self._listens = listens
        self._interval_s = interval_s
        self._expiry_s = expiry_s
        self._events = events
        self._on_received = on_received
        self._chance = chance
        self._tls = ssl.create_default_context(cafile=nats.ca_file)
        self._waiting: dict[tuple[str, str], bytes] = {}
        self._woken = asyncio.Event()
        self._buckets: dict[str, KeyValue] = {}
        self._error: Exception | None = None

    @property
    def links(self) -> tuple[Link, ...]:
        """How it stands with the servers."""
        return (self.link,)

    def send(self, box: str, sender: str, octets: bytes) -> None:
        """Let a table be put."""
        self._waiting[box, sender] = octets
        self._woken.set()

    async def run(self) -> None:
        """Put and hear, over one connection after the other, until cancelled."""
        while True:
            self._error = None
            try:
                await self._connected()
                self.link.lost("the connection was closed")
            except _FAILURES as error:
                _heed_cancel()
                self.link.lost(_shown(self._error or error))
            _heed_cancel()
            await asyncio.sleep(self._back_off_s())

    def _back_off_s(self) -> float:
        return max(RETRY_MIN_S, min(1.0, self._interval_s) * (0.5 + self._chance() / 2))

    async def _connected(self) -> None:
        """Live through one connection."""
        client = Client()
        closed = asyncio.Event()

        async def close() -> None:
            closed.set()
            self._woken.set()

        try:
            async with asyncio.timeout(CONNECT_MAX_S):
                await client.connect(**self._options(close))
            for box in self._listens:
                await client.subscribe(f"$KV.{self._bucket(box)}.>", cb=self._hearing(box))
            self._buckets = {}
            await self._pump(client, closed)
        finally:
            with suppress(*_FAILURES):
                async with asyncio.timeout(CLOSE_MAX_S):
                    await client.close()

    def _options(self, close: Callable[[], Awaitable[None]]) -> dict[str, Any]:
        async def fail(error: Exception) -> None:
            self._error = error

        nats = self._nats
        secure = nats.ca_file is not None or any(url.startswith("tls:") for url in nats.servers)
        return {
            "servers": list(nats.servers),
            "user": nats.user,
            "password": nats.password,
            "token": nats.token,
            "user_credentials": None if nats.credentials is None else str(nats.credentials),
            "tls": self._tls if secure else None,
            "allow_reconnect": False,  # every connection goes the same way
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": 2,
            "ping_interval": max(1, int(self._interval_s)),
            "max_outstanding_pings": 2,
            "no_echo": True,
            "error_cb": fail,
            "closed_cb": close,
            "disconnected_cb": close,
        }

    def _bucket(self, box: str) -> str:
        return f"{self._nats.bucket}-{box}"

    def _hearing(self, box: str) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            self._hear(box, message.data)

        return hear

    def _hear(self, box: str, octets: bytes | None) -> None:
        if octets and len(octets) <= TABLE_MAX_BYTES:
            self._on_received(box, octets)

    async def _pump(self, client: Client, closed: asyncio.Event) -> None:
        """Put what waits, and see to the buckets, until the connection is closed."""
        jetstream = client.jetstream(timeout=min(self._interval_s, TIMEOUT_MAX_S))
        while not closed.is_set():
            self._woken.clear()
            good = True
            try:
                if not self._buckets:
                    await self._open(jetstream)
            except _FAILURES as error:
                _heed_cancel()
                good = False
                self.link.lost(_shown(error))
            good = await self._put_all(client, jetstream) and good
            _heed_cancel()
            if good:
                await self._woken.wait()
            elif not closed.is_set():
                await asyncio.sleep(self._back_off_s())

    async def _open(self, jetstream: JetStreamContext) -> None:
        """Make what buckets are missing, and hand over what the others hold."""
        found = {box: await self._made(jetstream, box) for box in (REPORTS, WORDS)}
        for box in self._listens:
            watcher: Any = await found[box].watchall()  # its methods have no types
            while (entry := await watcher.updates()) is not None:
                if entry.operation is None:
                    self._hear(box, entry.value)
            await watcher.stop()
        self._buckets = found
        self.link.back()

    async def _made(self, jetstream: JetStreamContext, box: str) -> KeyValue:
        """Return a bucket, made if there is none; one with other settings is used, and told of."""
        name = self._bucket(box)
        kept = box == REPORTS
        try:
            return await jetstream.key_value(name)
        except NotFoundError:
            pass
        wanted = KeyValueConfig(
            bucket=name,
            history=1,
            ttl=_KEPT_EXPIRIES * self._expiry_s if kept else None,
            storage=StorageType.MEMORY if kept else StorageType.FILE,
            replicas=self._nats.replicas,
        )
        try:
            return await jetstream.create_key_value(wanted)
        except BadRequestError as error:
            # Another node was faster, and reads other settings.
            if error.err_code != _NAME_IN_USE:
                raise
            self._events.announce("carrier_bucket_differs", bucket=name)
            return await jetstream.key_value(name)

    async def _put_all(self, client: Client, jetstream: JetStreamContext) -> bool:
        """Put what waits; return whether nothing was in the way."""
        for slot in list(self._waiting):
            box, sender = slot
            octets = self._waiting.pop(slot)
            if len(octets) > client.max_payload:
                most = f"{client.max_payload} bytes, the server's max_payload"
                self.link.refused(box, f"a table is larger than {most}", "too_large")
                continue
            try:
                # Whoever listens hears it, whether or not JetStream is there to keep it.
                await jetstream.publish(f"$KV.{self._bucket(box)}.{key_of(sender)}", octets)
            except _FAILURES as error:
                _heed_cancel()
                self._buckets = {}
                self._waiting.setdefault(slot, octets)
                self.link.failed(box, _shown(error))
                return False
            self.link.took(box)
        return True


def _heed_cancel() -> None:
    """Go on with being cancelled: nats-py makes a time-out of it while it awaits a response."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _shown(error: Exception) -> str:
    return str(error) or type(error).__name__
