"""Hashing: the same key goes to the same target, in every worker and every region's tier.

Weighted rendezvous hashing (`gslb.routing.choice.ranked`): each key ranks all targets, by
exponential variates whose rates are their weights, and goes to the first.  A target that leaves
moves only its own keys, to whoever each of them ranks next: by weight, to all of the others; one
that comes, or grows, takes keys from all and moves none between others.

A ranking costs a logarithm a target.  So keys are first put in `SLOTS` slots by their lowest bits,
and who is first for a slot is kept once it was asked for; of some slots the whole ranking.
With n equal targets one's part of the slots is within some ``√(n / SLOTS)`` of its share: 2 % where
there are thirty.

Key 0 stands for nothing to hash on, such as a header that is not there: by weight and chance.

With a *bound*, no target has more than ``⌈bound · (all under way + 1) · its share⌉`` requests under
way by its keys: who has is passed over for the next of the ranking (Mirrokni, Thorup and
Zadimoghaddam 2016, "Consistent hashing with bounded loads").  So a key that everybody asks for
does not drown its target, and spills always to the same others.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate
from math import ceil, inf

from gslb.proxy.target import Target
from gslb.proxy.weighted import Random, untried
from gslb.routing.choice import key_of, ranked

SLOTS = 1 << 16
RANKINGS_MAX = 1024  # slots whose whole ranking is kept, because their first target was passed over


class Hashing:
    """The keys of *targets*, without a bound on anybody's load if *bound* is infinite."""

    __slots__ = (
        "_bound",
        "_firsts",
        "_keys",
        "_random",
        "_rankings",
        "_targets",
        "_total",
        "_upto",
    )

    def __init__(self, targets: Sequence[Target], bound: float = inf) -> None:
        assert bound >= 1, "below 1 there would not be room for all"
        self._targets = targets
        self._bound = None if bound == inf else bound
        self._keys = [key_of(each.name.encode()) for each in targets]
        self._upto = tuple(accumulate(each.weight for each in targets))
        self._total = sum(each.weight for each in targets)
        self._firsts: dict[int, Target] = {}
        self._rankings: dict[int, Sequence[Target]] = {}
        self._random = Random(targets)

    def pick(
        self, key: int, draw: float, now_s: float, tried: Collection[Target] = ()
    ) -> Target | None:
        """Return the target of *key*, or the next of its ranking that was not *tried* and has room.

        *key* are 64 bits, evenly spread; of key 0 the target that owns *draw*.
        """
        if not key:
            return self._random.pick(key, draw, now_s, tried)
        slot = key % SLOTS
        first = self._firsts.get(slot)
        if first is None:
            if not self._targets:
                return None
            first = self._firsts[slot] = self.ranking(key)[0]
        if first in tried or (self._bound is not None and first.active and not self._room(first)):
            return self._next(key, tried)
        return first

    def ranking(self, key: int) -> list[Target]:
        """Return all targets in the order in which the keys of this one's slot would have them."""
        return [self._targets[at] for at in ranked(self._upto, self._keys, key % SLOTS)]

    def _next(self, key: int, tried: Collection[Target]) -> Target | None:
        slot = key % SLOTS
        ranking = self._rankings.get(slot)
        if ranking is None:
            if len(self._rankings) >= RANKINGS_MAX:
                self._rankings.clear()
            ranking = self._rankings[slot] = self.ranking(key)
        left = untried(ranking, tried)
        if self._bound is not None:
            for each in left:
                if self._room(each):
                    return each
        # All that were not tried are full: a retry goes before the bound.
        return left[0] if left else None

    def _room(self, target: Target) -> bool:
        """Return whether *target* may have one more; of all targets, somebody always may."""
        assert self._bound is not None
        active = sum([each.active for each in self._targets])
        return target.active < ceil(self._bound * (active + 1) * target.weight / self._total)
