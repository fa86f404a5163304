"""Tables carried by NATS: heard as they are sent, and kept in JetStream's key-value buckets.

Each table goes two ways.  As a plain message it is heard by whoever listens now, which needs no
JetStream and reaches through leaf nodes.  It is also put into its box's bucket, under its
sender's key, for whoever connects later.  Each connection lives through the same steps: connect,
subscribe, make what buckets are missing, read, send.  So a server that comes back with nothing
is filled again.

Reports are kept in memory, for they are worth nothing soon; words are kept in files.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import KeyValueConfig, StorageType, StreamConfig
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
CANCEL_AGAIN_S = 0.1  # a cancellation that had no effect is repeated so soon
RETRY_MIN_S = 0.1

_KEPT_EXPIRIES = 3
# ImportError: credentials need a library of their own.
_FAILURES = (errors.Error, OSError, TimeoutError, ValueError, ImportError)


def key_of(sender: str) -> str:
    """Return a sender's name as a key of a bucket; different names have different keys."""
    return quote(sender, safe="").replace(".", "%2E").replace("~", "%7E").replace("%", "=")


class NatsCarrier:
    """Sends tables and keeps them; those in *listens* (boxes) are handed to *on_received*.

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
        self._differing: dict[str, str] = {}
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
        """Send and hear, over one connection after the other, until cancelled."""
        # In a task of its own: nats-py keeps a cancellation to itself while it flushes, or makes
        # a time-out of it, and would let us go on.  So it is repeated until it has its effect.
        work = asyncio.create_task(self._connect_for_ever())
        try:
            await asyncio.wait([work])
        finally:
            while not work.done():
                work.cancel()
                await asyncio.wait([work], timeout=CANCEL_AGAIN_S)
        work.result()

    async def _connect_for_ever(self) -> None:
        while True:
            self._error = None
            try:
                await self._connected()
                self.link.lost("the connection was closed")
            except _FAILURES as error:
                self.link.lost(_shown(self._error or error))
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
                await client.subscribe(f"{self._nats.bucket}.{box}.*", cb=self._hearing(box))
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
        """Send what waits, and see to the buckets, until the connection is closed."""
        jetstream = client.jetstream(timeout=min(self._interval_s, TIMEOUT_MAX_S))
        while not closed.is_set():
            self._woken.clear()
            good = True
            try:
                if not self._buckets:
                    await self._open(jetstream)
            except _FAILURES as error:
                good = False
                self.link.lost(_shown(error))
            good = await self._send_all(client, jetstream) and good
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
        kept = box == REPORTS
        wanted = KeyValueConfig(
            bucket=self._bucket(box),
            history=1,
            ttl=_KEPT_EXPIRIES * self._expiry_s if kept else None,
            storage=StorageType.MEMORY if kept else StorageType.FILE,
            replicas=self._nats.replicas,
        )
        try:
            found = await jetstream.key_value(wanted.bucket)
        except NotFoundError:
            try:
                return await jetstream.create_key_value(wanted)
            except BadRequestError as error:
                # Another node may have been faster, by a moment or with other settings.
                try:
                    found = await jetstream.key_value(wanted.bucket)
                except NotFoundError:
                    raise error from None
        self._compare(wanted, (await found.status()).stream_info.config)
        return found

    def _compare(self, wanted: KeyValueConfig, found: StreamConfig) -> None:
        """Tell of what differs, once until it differs in another way."""
        values = {
            "history": (found.max_msgs_per_subject, wanted.history),
            "max_age_s": (round(found.max_age or 0.0, 3), round(wanted.ttl or 0.0, 3)),
            "storage": (found.storage, wanted.storage),
            "replicas": (found.num_replicas, wanted.replicas),
        }
        differs = ", ".join(
            f"{key}: {_word(has)} instead of {_word(should)}"
            for key, (has, should) in values.items()
            if has != should
        )
        if differs and self._differing.get(wanted.bucket) != differs:
            self._events.announce("carrier_bucket_differs", bucket=wanted.bucket, differs=differs)
        self._differing[wanted.bucket] = differs

    async def _send_all(self, client: Client, jetstream: JetStreamContext) -> bool:
        """Send and keep what waits; return whether nothing was in the way."""
        for slot in list(self._waiting):
            box, sender = slot
            octets = self._waiting.pop(slot)
            if len(octets) > client.max_payload:
                most = f"{client.max_payload} bytes, the server's max_payload"
                self.link.refused(box, f"a table is larger than {most}", "too_large")
                continue
            key = key_of(sender)
            live = partial(client.publish, f"{self._nats.bucket}.{box}.{key}", octets)
            try:
                # JetStream that is not there can be long in saying so.  Else it comes first: who
                # begins to listen after the message has gone reads the bucket after that.
                if not self._buckets:
                    await live()
                try:
                    await jetstream.publish(f"$KV.{self._bucket(box)}.{key}", octets)
                finally:
                    if self._buckets:
                        await live()
            except _FAILURES as error:
                self._buckets = {}
                self._waiting.setdefault(slot, octets)
                self.link.failed(box, _shown(error))
                return False
            self.link.took(box)
        return True


def _word(value: object) -> object:
    return value.value if isinstance(value, StorageType) else value


def _shown(error: Exception) -> str:
    return str(error) or type(error).__name__
