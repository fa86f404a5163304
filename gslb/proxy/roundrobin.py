"""Smooth weighted round robin: everyone in turn, the heavy more often, evenly spaced.

Of the first *t* picks of a cycle, a target of weight *w* among weights that sum to *W* has had
``t·w/W`` rounded down or up, whatever *t*: nobody is ever a whole pick before or behind its part,
and over a cycle of *W* picks each has exactly its weight.  Its n-th turn may come from
``⌊(n-1)·W/w⌋`` on and must have come before ``⌈n·W/w⌉``; whoever's turn must come soonest goes
first.  On a single line the earliest deadline misses none (Liu and Layland 1973; for turns of one
pick, Baruah and others 1996, "Proportionate progress").

Weights are divided by what they have in common.  A short cycle is written down once, and a pick
is one step in it; a longer one is worked out as it goes, at the cost of a heap.

Several workers each have a cycle of their own: a `seed` makes them begin at different places.
A retry is no turn: it is drawn by weight among the others, since what comes next in a cycle is
mostly the same one, and would get all that a dead target fails to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from heapq import heappop, heappush
from itertools import cycle, islice
from math import gcd

from gslb.proxy.target import Target
from gslb.proxy.weighted import untried, weighed
from gslb.routing.choice import stir

CYCLE_MAX = 1024  # picks of a cycle that is written down; longer ones are worked out as they go


class RoundRobin:
    """The turns of *targets*, beginning at a place that *seed*, any number, decides."""

    __slots__ = ("_next", "_targets")

    def __init__(self, targets: Sequence[Target], seed: int) -> None:
        self._targets = targets
        self._next: Callable[[], Target] | None = None
        if targets:
            self._next = _turns_of(targets, seed).__next__

    def pick(
        self, key: int, draw: float, now_s: float, tried: Collection[Target] = ()
    ) -> Target | None:
        """Return whose turn it is, or if some were *tried* one of the others by weight."""
        if tried or self._next is None:
            return weighed(untried(self._targets, tried), draw)
        return self._next()


def turns(weights: Sequence[int]) -> Iterator[int]:
    """Yield for ever whose turn it is, as indexes of *weights*, which are at least 1."""
    total = sum(weights)
    # A turn is its release or deadline in picks, whose it is, and how many it has had before.
    waiting = [(0, at, 0) for at in range(len(weights))]
    ready: list[tuple[int, int, int, int]] = []
    now = 0
    while True:
        while waiting and waiting[0][0] <= now:
            release, at, had = heappop(waiting)
            deadline = -(-(had + 1) * total // weights[at])
            # Of equal deadlines the one that waits longest: that spreads the light among the heavy.
            heappush(ready, (deadline, release, at, had))
        _, _, at, had = heappop(ready)
        yield at
        heappush(waiting, ((had + 1) * total // weights[at], at, had + 1))
        now += 1


def _turns_of(targets: Sequence[Target], seed: int) -> Iterator[Target]:
    common = gcd(*(each.weight for each in targets))
    weights = [each.weight // common for each in targets]
    total = sum(weights)
    in_turn: Iterator[Target] = map(targets.__getitem__, turns(weights))
    if total <= CYCLE_MAX:
        in_turn = cycle(tuple(islice(in_turn, total)))
    return islice(in_turn, stir(seed) % min(total, CYCLE_MAX), None)
