"""The other nodes: what each last said, and what this one tells them.

Each node sends its bulletin whole, every `report_interval` and at once when something is said or
heard anew; so any two nodes that hear each other, over whatever chain of others, come to hold the
same words.  Nobody waits for anybody, and a node that is down learns all of it when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from gslb.daemons.controller import Controller
from gslb.daemons.events import Events
from gslb.errors import ReportError
from gslb.health import bulletin
from gslb.health.belief import Forced, forced_at
from gslb.health.bulletin import Bulletin
from gslb.health.doubt import Doubt
from gslb.health.words import ForcedKey, Registers

FELLOWS_MAX = 1000
FORGET_S = 3600.0  # a node that was silent for so long is no longer listed


class Fellows:
    """Keeps the newest bulletin of each other node, and composes this node's own.

    `vantages`, `leases` and `doubts` say what the own bulletin holds of them; `on_leases` is
    handed those of others: plain values, which it may refuse with a ValueError; `on_doubts` what
    others tell that tiers doubt.
    """

    def __init__(
        self, key: bytes, controller: Controller, clock: Callable[[], float], events: Events
    ) -> None:
        self._key = key
        self._controller = controller
        self._clock = clock
        self._events = events
        self._node = controller.config.node
        self._number = (int(clock() * 1000), 0)
        self._said = asyncio.Event()
        self._error: str | None = None
        self._latest: bytes | None = None
        self._heard: dict[str, Bulletin] = {}
        self.vantages: Callable[[], tuple[str, ...]] = lambda: ()
        self.leases: Callable[[], object] = lambda: None
        self.on_leases: Callable[[object], None] = lambda _: None
        self.doubts: Callable[[], tuple[Doubt, ...]] = lambda: ()
        self.on_doubts: Callable[[tuple[Doubt, ...]], None] = lambda _: None
        controller.operators.on_said = self.tell

    @property
    def heard(self) -> tuple[Bulletin, ...]:
        """The newest bulletin of each other node, by their names."""
        return tuple(self._heard[node] for node in sorted(self._heard))

    def tell(self) -> None:
        """Let the others hear at once what is known here."""
        self._latest = None
        self._said.set()

    async def run(self, send: Callable[[bytes], None]) -> None:
        """Send this node's bulletin whenever it is time, until cancelled."""
        while True:
            self._said.clear()
            try:
                send(self.compose())
            except ReportError as error:
                if str(error) != self._error:
                    self._events.announce("words_failed", error=str(error))
                self._error = str(error)
            else:
                self._error = None
            with suppress(TimeoutError):
                async with asyncio.timeout(self._controller.config.report_interval_s):
                    await self._said.wait()

    def compose(self) -> bytes:
        """Return this node's next bulletin; ReportError if it is too long to be taken."""
        self._number = (self._number[0], self._number[1] + 1)
        controller = self._controller
        own = Bulletin(
            self._node,
            self._number,
            self._clock(),
            controller.config.hash,
            controller.snapshot.generation,
            controller.is_settled,
            self.vantages(),
            controller.operators.registers,
            self.leases(),
            doubts=self.doubts(),
        )
        self._latest = bulletin.encode(own, self._key)
        return self._latest

    def latest(self) -> bytes:
        """Return the bulletin that was composed last, or a new one if more was said since."""
        return self._latest if self._latest is not None else self.compose()

    def receive(self, octets: bytes) -> None:
        """Take in another node's bulletin; raises ReportError.

        One of this node's own name is from before a restart: its words count, no more.
        Leases that are not right cost the leases alone.
        """
        now_s = self._clock()
        said = bulletin.decode(octets, self._key, now_s=now_s)
        if said.node != self._node:
            self._keep(said, now_s)
        if self._controller.operators.hear(said.registers):
            self._controller.dirty = True
            self._controller.on_change()
            self.tell()
        self.on_doubts(said.doubts)
        if said.leases is not None:
            try:
                self.on_leases(said.leases)
            except ValueError as error:
                raise ReportError(f"{said.node!r}: {error}") from None

    def _keep(self, said: Bulletin, now_s: float) -> None:
        if not bulletin.newer(self._heard.get(said.node), said):
            raise ReportError(f"{said.node!r}: a newer bulletin was heard already", "number")
        self._heard = {
            node: each
            for node, each in self._heard.items()
            if now_s - each.heard_at_s < FORGET_S and node != said.node
        }
        if len(self._heard) >= FELLOWS_MAX:
            raise ReportError(f"{said.node!r}: {FELLOWS_MAX} other nodes are heard already")
        self._heard[said.node] = said

    def shapes(self) -> list[dict[str, object]]:
        """Return how each other node stands, ready for JSON; `heard` is whether it still speaks."""
        now_s = self._clock()
        expiry_s = self._controller.config.quorum.expiry_s
        return [
            {
                "node": said.node,
                "age_s": round(max(0.0, now_s - said.heard_at_s), 3),
                "heard": now_s - said.heard_at_s <= expiry_s,
                "config_hash": said.config_hash,
                "generation": said.generation,
                "settled": said.is_settled,
                "vantages": list(said.vantages),
                "words_agree": self._words_agree(said),
                "agrees": self.agrees(said),
            }
            for said in self.heard
        ]

    def agrees(self, other: Bulletin) -> bool:
        """Return whether another node has this one's configuration, and holds the same words."""
        same_hash = other.config_hash == self._controller.config.hash
        return same_hash and self._words_agree(other)

    def _words_agree(self, other: Bulletin) -> bool:
        now_s, own = self._clock(), self._controller.operators.registers
        return _holding(other.registers, now_s) == _holding(own, now_s)


def _holding(registers: Registers, now_s: float) -> dict[ForcedKey, Forced]:
    return {
        key: each.value
        for key, each in registers.items()
        if each.value is not None and forced_at(each.value, now_s) is not None
    }
