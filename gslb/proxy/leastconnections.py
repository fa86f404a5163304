"""Least connections: whoever has the fewest requests under way for its weight.

Up to `FEW` targets are all compared.  Of more, two are drawn by weight and the better one is
taken: the worst load of n targets is then some log log n above the mean, at a cost that does not
grow (Mitzenmacher 2001, "The power of two choices"), and, with loads that each worker knows only
for itself, without all of them running after the same emptiest target.  Drawn by weight and
compared by load a weight, a target of weight 3 is like three of weight 1.

Equals share by weight, so that an idle service has the shares that were written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gslb.proxy.target import Target
from gslb.proxy.weighted import Weights, untried, weighed

FEW = 8


class LeastConnections:
    """A choice among *targets* by `Target.active` and `Target.weight`."""

    __slots__ = ("_targets", "_weights")

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._weights = Weights(targets) if targets else None

    def pick(
        self, key: int, draw: float, now_s: float, tried: Collection[Target] = ()
    ) -> Target | None:
        """Return a target with the least load, or the better of two; of equals by *draw*."""
        weights, targets = self._weights, self._targets
        if tried or weights is None or len(targets) <= FEW:
            return _least(untried(targets, tried), draw, weights)
        first, second = weights.two(draw)
        # Multiplied across, so that equal loads are equal.
        return second if second.active * first.weight < first.active * second.weight else first


def _least(targets: Sequence[Target], draw: float, weights: Weights | None) -> Target | None:
    """Return one of *targets* with the least load; *weights* are those of all targets."""
    least = float("inf")
    best, equals = None, 0
    for each in targets:
        load = each.active / each.weight
        if load < least:
            least = load
            best, equals = each, 1
        elif load == least:
            equals += 1
    if equals < 2:
        return best
    if weights is not None and equals == len(weights.targets):  # mostly because all are idle
        return weights.one(draw)
    return weighed([each for each in targets if each.active / each.weight == least], draw)
