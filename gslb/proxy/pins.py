"""Pins: which member each client had last, for affinity by header or by address.

Hashing alone already gives a client the same member while members stay.  What a pin adds is that a
drained member keeps the clients that it has, and gets no others; so it is enough to remember those
that were seen lately, and a client that was forgotten is as one that is new.

Pins stand in two tables, as in `gslb.proxy.bucket`: when the younger is half of all, the older one
is dropped.
"""

from __future__ import annotations

from typing import Final

from gslb.proxy.target import Target

PINS_MAX: Final = 65_536


class Pins:
    """Remembers at most *most* clients, by a 64-bit key each, and their targets."""

    __slots__ = ("_half", "_old", "_young")

    def __init__(self, most: int = PINS_MAX) -> None:
        self._half = most // 2
        self._young: dict[int, Target] = {}
        self._old: dict[int, Target] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: int) -> Target | None:
        """Return the target that *key* had last, if that is remembered."""
        return self._young.get(key) or self._old.get(key)

    def put(self, key: int, target: Target) -> None:
        """Remember that *key* has *target* now."""
        self._old.pop(key, None)
        if len(self._young) >= self._half and key not in self._young:
            self._old, self._young = self._young, {}
        self._young[key] = target
