"""Webhooks: events posted to URLs, in order, until they are taken or too old.

Each URL has a queue and a task of its own, so that one that is down holds up nobody.  What a
receiver cannot take just now (no connection, a status of 5xx, 408 or 429) is tried again, with
pauses that grow; what it will not have (any other status) is dropped.  A receiver can hear an
event twice, under one id.

Of webhooks' own troubles events tell, on change only, and those are never posted: or one
receiver that is down would keep all others busy.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

import aiohttp

from gslb.config.eventkinds import UNPOSTED_KINDS
from gslb.config.settings import Webhook
from gslb.daemons.counters import Counters
from gslb.daemons.events import Event, Events, show_time

QUEUE_MAX = 1000  # events that wait for one URL; the oldest make room
TIMEOUT_S = 10.0  # of one attempt
RETRY_MIN_S = 1.0
RETRY_MAX_S = 300.0
RETRY_AFTER_MAX_S = 3600.0  # how long a receiver can put us off
AGE_MAX_S = 3600.0  # an event that is older is not tried again
FLUSH_MAX_S = 3.0  # for all that waits, when the program stops
ERROR_MAX = 200  # letters of what went wrong that are told

_LATER = (408, 429)


@dataclass(frozen=True, slots=True)
class _Letter:
    """One event as it is posted, to however many URLs."""

    id: str
    at_s: float
    body: bytes


class Webhooks:
    """Posts what *events* tell to each URL of *hooks*.

    *node* is the name of who posts; an event with a field of that name keeps it.
    *clock* gives seconds since 1970, *chance* numbers from 0 to 1; *flush_max_s* bounds how long
    `run` goes on after `stop`.
    """

    def __init__(
        self,
        hooks: Iterable[Webhook],
        *,
        node: str,
        counters: Counters,
        events: Events,
        clock: Callable[[], float],
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        flush_max_s: float = FLUSH_MAX_S,
    ) -> None:
        self._node = node
        self._world = _World(counters, events, clock, chance, sleep)
        self._flush_max_s = flush_max_s
        self._receivers = [_Receiver(hook, self._world) for hook in hooks]
        self._tasks: dict[_Receiver, asyncio.Task[None]] = {}
        self._start: Callable[[_Receiver], asyncio.Task[None]] | None = None
        events.tell_too(self._hear)

    def adopt(self, hooks: Iterable[Webhook]) -> None:
        """Post to *hooks* from now on; what waits for a URL that stays goes on waiting."""
        stayed, self._receivers = self._receivers, []
        for hook in hooks:
            same = next((each for each in stayed if each.hook.url == hook.url), None)
            if same is None:
                same = _Receiver(hook, self._world)
            else:
                stayed.remove(same)
                same.hook = hook
            self._receivers.append(same)
        for gone in stayed:
            if (task := self._tasks.pop(gone, None)) is not None:
                task.cancel()
            gone.drop_all()
        self._start_all()

    async def run(self) -> None:
        """Post until `stop` is called, and a little longer."""
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={
                    "Content-Type": "application/json",
                    "User-Agent": "gslb",
                    "X-Gslb-From": quote(self._node),
                },
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            self._start = lambda receiver: group.create_task(receiver.run(session))
            self._start_all()
            await self._world.stopping.wait()
            self._start = None
            for receiver in self._receivers:
                receiver.woken.set()
            if tasks := list(self._tasks.values()):
                _, late = await asyncio.wait(tasks, timeout=self._flush_max_s)
                for task in late:
                    task.cancel()
            for receiver in self._receivers:
                receiver.drop_all()

    def stop(self) -> None:
        """Let `run` try once more what waits, and return."""
        self._world.stopping.set()

    def _start_all(self) -> None:
        for receiver in self._receivers:
            if self._start is not None and receiver not in self._tasks:
                self._tasks[receiver] = self._start(receiver)

    def _hear(self, event: Event) -> None:
        """Let an event be posted to whoever wants it."""
        if event.kind in UNPOSTED_KINDS:
            return
        wanting = [each for each in self._receivers if each.wants(event.kind)]
        if not wanting:
            return
        said = {
            "event": event.kind,
            "at": show_time(event.at_s),
            "node": self._node,
            **event.fields,
        }
        letter = _Letter(uuid.uuid4().hex, event.at_s, json.dumps(said, default=str).encode())
        for receiver in wanting:
            receiver.put(letter)


@dataclass(frozen=True, slots=True)
class _World:
    """What all receivers share."""

    counters: Counters
    events: Events
    clock: Callable[[], float]
    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)


class _Receiver:
    """One URL: what waits for it, and how it stands with it."""

    def __init__(self, hook: Webhook, world: _World) -> None:
        self.hook = hook
        self.woken = asyncio.Event()
        # Of the URL only the host is told: who knows its path can often post there.
        self.name = urlsplit(hook.url).netloc
        self._world = world
        self._waiting: deque[_Letter] = deque()
        self._sending = 0
        self._failures = 0
        self._error: str | None = None
        self._refusal: str | None = None

    def wants(self, kind: str) -> bool:
        """Return whether events of that kind are posted here."""
        return self.hook.events is None or kind in self.hook.events

    def put(self, letter: _Letter) -> None:
        """Let a letter wait for its turn; the oldest one makes room for it."""
        if len(self._waiting) >= QUEUE_MAX:
            self._waiting.popleft()
            self._count("dropped")
        self._waiting.append(letter)
        self.woken.set()

    def drop_all(self) -> None:
        """Count what will not be posted any more."""
        self._count("dropped", len(self._waiting) + self._sending)
        self._waiting.clear()
        self._sending = 0

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Post what waits, one after the other, until the program stops."""
        while await self._has_some():
            letter = self._waiting.popleft()
            self._sending = 1
            pause_s = await self._try(session, letter)
            self._sending = 0
            if pause_s is None:
                continue
            if self._world.clock() - letter.at_s >= AGE_MAX_S:
                self._count("gave_up")
            elif len(self._waiting) >= QUEUE_MAX:
                self._count("dropped")
            else:
                self._waiting.appendleft(letter)
            if self._world.stopping.is_set():
                return
            await self._pause(pause_s)

    async def _has_some(self) -> bool:
        """Wait for a letter; return whether there is one, which is so until the program stops."""
        while not self._waiting and not self._world.stopping.is_set():
            self.woken.clear()
            await self.woken.wait()
        return bool(self._waiting)

    async def _pause(self, pause_s: float) -> None:
        """Sleep, but for when the program stops."""
        waits = [
            asyncio.ensure_future(self._world.sleep(pause_s)),
            asyncio.ensure_future(self._world.stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _try(self, session: aiohttp.ClientSession, letter: _Letter) -> float | None:
        """Post one letter; return None once it is done with, or else the pause in seconds."""
        put_off_s = 0.0
        try:
            status, retry_after = await self._post(session, letter)
        except TimeoutError:
            error = "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as wrong:
            error = _shown(wrong)
        else:
            if 200 <= status < 300:
                self._took()
                return None
            error = f"status {status}"
            if status < 500 and status not in _LATER:
                self._refused(error)
                return None
            put_off_s = self._put_off_s(retry_after)
        self._failed(error)
        return max(put_off_s, self._back_off_s())

    async def _post(
        self, session: aiohttp.ClientSession, letter: _Letter
    ) -> tuple[int, str | None]:
        """Return the status, and how long the receiver wants to be left alone."""
        headers = {"X-Gslb-Event-Id": letter.id}
        if self.hook.key is not None:
            digest = hmac.new(self.hook.key, letter.body, hashlib.sha256).hexdigest()
            headers["X-Gslb-Signature"] = f"sha256={digest}"
        for again in (True, False):
            try:
                async with session.post(
                    self.hook.url, data=letter.body, headers=headers, allow_redirects=False
                ) as response:
                    return response.status, response.headers.get("Retry-After")
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                # A kept connection may have been closed just now.
                if not again:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def _back_off_s(self) -> float:
        longest_s = min(RETRY_MAX_S, RETRY_MIN_S * 2.0 ** min(self._failures - 1, 30))
        return longest_s * (0.5 + self._world.chance() / 2)

    def _put_off_s(self, retry_after: str | None) -> float:
        """Return the seconds that a receiver asks for, as a number or a date (RFC 9110 10.2.3)."""
        asked_s = 0.0
        with suppress(ValueError, TypeError):
            if retry_after is not None and retry_after.isdecimal():
                asked_s = float(retry_after)
            elif retry_after is not None:
                asked_s = parsedate_to_datetime(retry_after).timestamp() - self._world.clock()
        return min(max(asked_s, 0.0), RETRY_AFTER_MAX_S)

    def _took(self) -> None:
        self._count("ok")
        self._refusal = None
        self._answers()

    def _answers(self) -> None:
        self._failures = 0
        if self._error is not None:
            self._error = None
            self._world.events.announce("webhook_back", hook=self.name)

    def _refused(self, error: str) -> None:
        self._count("refused")
        self._answers()
        if error != self._refusal:
            self._refusal = error
            self._world.events.announce("webhook_refused", hook=self.name, error=error)

    def _failed(self, error: str) -> None:
        self._count("failed")
        self._failures += 1
        if self._error is None:
            self._error = error
            self._world.events.announce("webhook_failed", hook=self.name, error=error)

    def _count(self, result: str, number: int = 1) -> None:
        if number:
            self._world.counters.posted[self.name, result] += number


def _shown(error: Exception) -> str:
    """Return what went wrong, without the URL: of some kinds it is the whole text."""
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL cannot be used"
    return (str(error) or type(error).__name__)[:ERROR_MAX]
