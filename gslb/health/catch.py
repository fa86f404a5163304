"""The safety catch: a change that takes too much out at once waits, and is shouted about.

Half the world failing within a minute is more often the prober's own network, a bad
monitor or a wrong reload than half the world.  Probes are spread over their interval, so
"at once" is a window: deaths of the last `for_s` seconds count together.  As soon as they
weigh more than `share` of everything, those that follow are kept living.  Each goes when
its own window is over, or at an operator's word, or when so many came back that the rest
weighs little enough.  Putting members back is never delayed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from gslb.model import SafetyCatch


@dataclass(frozen=True, slots=True)
class Review:
    """What is held: `members` are kept living, since `since_s`; None while nothing is held.

    `living` are those who lived when this was made, `died_at_s` the recent deaths.
    """

    members: frozenset[Hashable] = frozenset()
    since_s: float | None = None
    living: frozenset[Hashable] = field(default=frozenset(), repr=False)
    died_at_s: Mapping[Hashable, float] = field(default_factory=dict, repr=False)


def review(
    catch: SafetyCatch | None,
    last: Review,
    weights: Mapping[Hashable, float],
    living: frozenset[Hashable],
    now_s: float,
) -> Review:
    """Return what is to be held, given each member's weight and who lives now."""
    if catch is None:
        return Review(living=living)
    newly = frozenset(member for member in last.living - living if member in weights)
    recent = {
        member: died_at_s
        for member, died_at_s in last.died_at_s.items()
        if member in weights and member not in living and now_s - died_at_s < catch.for_s
    }
    recent.update(dict.fromkeys(newly, now_s))
    total = sum(weights.values())
    if sum(weights[member] for member in recent) <= float(catch.share) * total:
        return Review(living=living, died_at_s=recent)
    held = (last.members & recent.keys()) | newly
    if not held:
        # Those that weigh too much now went while they weighed less.
        return Review(living=living, died_at_s=recent)
    return Review(held, now_s if last.since_s is None else last.since_s, living, recent)
