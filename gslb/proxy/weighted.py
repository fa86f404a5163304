"""Choosing by weight and chance alone: one target, or two that differ.

With *total* the sum of the weights, a target owns as much of the draws in [0, 1) as its weight is
of *total*: over ``(i + ½) / total`` for all i below *total*, each is picked exactly as often as
its weight says.  A second, other target comes from what is left of the same draw, by the weights
that remain; for that, 53 bits of a draw suffice as long as weights sum to less than some 2^40.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate

from gslb.proxy.target import Target


class Weights:
    """The weights of one or more *targets*, as they are now, made ready to be drawn from."""

    __slots__ = ("_total", "_upto", "targets")

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets = tuple(targets)
        self._upto = tuple(accumulate(each.weight for each in targets))
        self._total = self._upto[-1]

    def one(self, draw: float) -> Target:
        """Return the target that owns *draw*."""
        return self.targets[bisect_right(self._upto, int(draw * self._total))]

    def two(self, draw: float) -> tuple[Target, Target]:
        """Return the target that owns *draw*, and another one; there must be two or more."""
        scaled = draw * self._total
        place = int(scaled)
        upto = self._upto
        first = bisect_right(upto, place)
        begin = upto[first - 1] if first else 0
        weight = upto[first] - begin
        # The rest of the draw picks a place on the line with the first one's part cut out.
        place = int((scaled - place) * (self._total - weight))
        if place >= begin:
            place += weight
        return self.targets[first], self.targets[bisect_right(upto, place)]


class Random:
    """Each pick by itself, by weight: no memory, so that any number of workers keep the shares."""

    __slots__ = ("_targets", "_weights")

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._weights = Weights(targets) if targets else None

    def pick(
        self, key: int, draw: float, now_s: float, tried: Collection[Target] = ()
    ) -> Target | None:
        """Return the target that owns *draw* among those that were not tried."""
        if tried or self._weights is None:
            return weighed(untried(self._targets, tried), draw)
        return self._weights.one(draw)


def weighed(targets: Sequence[Target], draw: float) -> Target | None:
    """Return one of a few *targets* by the weights that they have now, None if there are none."""
    if len(targets) < 2:
        return targets[0] if targets else None
    total = 0
    for each in targets:
        total += each.weight
    place = int(draw * total)
    at = -1
    while place >= 0:
        at += 1
        place -= targets[at].weight
    return targets[at]


def untried(targets: Sequence[Target], tried: Collection[Target]) -> Sequence[Target]:
    """Return the *targets* that are not among those *tried*."""
    return [each for each in targets if each not in tried] if tried else targets
