"""Events: what changed, told to the log and to whoever listens, never per query.

A listener that does not keep up loses the oldest events, not the program its memory.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

log = logging.getLogger("gslb")

LISTENERS_MAX = 100
WAITING_MAX = 1000

_LOUD = {
    "admin_waits",
    "alarm",
    "carrier_lost",
    "cut_off",
    "carrier_refused",
    "discovery_failed",
    "geo_held",
    "rate_limiting",
    "reload_failed",
    "restart_needed",
    "secrets_failed",
    "state_failed",
    "report_failed",
    "votes_frozen",
    "webhook_failed",
    "webhook_refused",
    "withdrawal_held",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that changed: its kind, when in seconds since 1970, and its fields."""

    kind: str
    at_s: float
    fields: dict[str, object] = field(default_factory=dict)

    def as_json(self) -> str:
        """Return the event as one line of JSON."""
        return json.dumps({"event": self.kind, "at": show_time(self.at_s), **self.fields})


def show_time(at_s: float) -> str:
    """Return seconds since 1970 as RFC 3339 text in UTC."""
    return (
        datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


class Events:
    """Tells events to the log and to listeners."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._listeners: set[asyncio.Queue[Event]] = set()
        self._told_too: list[Callable[[Event], None]] = []

    def announce(self, kind: str, **fields: object) -> None:
        """Tell everyone; fields that are None are left out."""
        said = {key: value for key, value in fields.items() if value is not None}
        event = Event(kind, self._clock(), said)
        level = logging.WARNING if kind in _LOUD else logging.INFO
        log.log(level, "%s", kind, extra={"fields": said})
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)
        for hear in self._told_too:
            hear(event)

    def tell_too(self, hear: Callable[[Event], None]) -> None:
        """Call *hear*, which never waits, with every event from now on."""
        self._told_too.append(hear)

    @contextmanager
    def listen(self) -> Iterator[asyncio.Queue[Event] | None]:
        """Give a queue of the events from now on; None when too many listen already."""
        if len(self._listeners) >= LISTENERS_MAX:
            yield None
            return
        queue: asyncio.Queue[Event] = asyncio.Queue(WAITING_MAX)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
