"""The safety catch: a change that takes too much out at once waits, and is shouted about.

Half the world failing in the same second is more often the prober's own network, a bad
monitor or a wrong reload than half the world.  So when more than a share of all weight
would go at once, those members are kept as they were for a while; after that, or at an
operator's word, they go.  Putting members back is never delayed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from gslb.model import SafetyCatch


@dataclass(frozen=True, slots=True)
class Review:
    """What is held: `members` are kept living, since `since_s`; None while nothing is held."""

    members: frozenset[Hashable] = frozenset()
    since_s: float | None = None
    living: frozenset[Hashable] = field(default=frozenset(), repr=False)


def review(
    catch: SafetyCatch | None,
    last: Review,
    weights: Mapping[Hashable, float],
    living: frozenset[Hashable],
    now_s: float,
) -> Review:
    """Return what is to be held, given each member's weight and who lives now.

    `last.living` are those who lived when nothing was held the last time.
    """
    lost = frozenset(member for member in last.living - living if member in weights)
    total = sum(weights.values())
    if catch is None or sum(weights[member] for member in lost) <= float(catch.share) * total:
        return Review(living=living)
    since_s = now_s if last.since_s is None else last.since_s
    if now_s - since_s >= catch.for_s:
        return Review(living=living)
    return Review(lost, since_s, last.living)
