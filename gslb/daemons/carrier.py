"""The carrier: how whole tables travel between vantages and nodes, whatever carries them.

What is sent is a table of octets in a *box*: a vantage's reports, or a node's words.  Each is
whole, numbered and authenticated by its sender, and the newest of each sender is all that
counts.  So a carrier may lose, double and reorder what it carries; it only has to go on.

Events are told on change only: a peer that is down is told once, and once more when it is back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gslb.daemons.counters import Counters
from gslb.daemons.events import Events

REPORTS = "reports"
WORDS = "words"

TABLE_MAX_BYTES = 8_388_608  # of one table that comes in; longer ones are dropped

OnReceived = Callable[[str, bytes], None]


class Carrier(Protocol):
    """Carries tables to the peers, and from them where it listens."""

    async def run(self) -> None:
        """Carry until cancelled; a peer's fault never ends it."""
        ...

    def send(self, box: str, sender: str, octets: bytes) -> None:
        """Let a table be sent; one not yet sent of that box and sender is replaced."""
        ...


class Link:
    """What becomes of what one peer is sent: counted, and told when it changes.

    `is_up` is None until something was sent; `error` is what was last in the way.
    """

    def __init__(self, peer: str, counters: Counters, events: Events) -> None:
        self.peer = peer
        self.is_up: bool | None = None
        self.error: str | None = None
        self._counters = counters
        self._events = events
        self._refusals: dict[str, str] = {}

    def took(self, box: str) -> None:
        """Note that the peer took a table."""
        self._counters.carried[self.peer, box, "ok"] += 1
        self._refusals.pop(box, None)
        self.back()

    def back(self) -> None:
        """Note that the peer is there."""
        if self.is_up is False:
            self._events.announce("carrier_back", peer=self.peer)
        self.is_up = True
        self.error = None

    def refused(self, box: str, error: str, result: str = "refused") -> None:
        """Note that the peer is there, and will not have this table; *error* says why."""
        self._counters.carried[self.peer, box, result] += 1
        self.back()
        self.error = error
        if self._refusals.get(box) != error:
            self._refusals[box] = error
            self._events.announce("carrier_refused", peer=self.peer, box=box, error=error)

    def failed(self, box: str, error: str) -> None:
        """Note that a table did not get there."""
        self._counters.carried[self.peer, box, "failed"] += 1
        self.lost(error)

    def lost(self, error: str) -> None:
        """Note that the peer cannot be reached."""
        if self.is_up is not False:
            self._events.announce("carrier_lost", peer=self.peer, error=error)
        self.is_up = False
        self.error = error
