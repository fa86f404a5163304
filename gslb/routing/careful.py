"""What an operator's word would cost, before it is said: services that it leaves without enough.

Looked at is the choice of every family and order.  A word costs too much where clients are served
by rule 1 of `gslb.routing.climb` now, from a rung that is healthy enough, and where with it

- all members that they might get would be drained, or
- no rung is healthy enough any more, or
- the rung that they are served from falls below `healthy_at_least`, though it is not emptied.

A rung that is emptied is what was asked for: its clients get the next one that is healthy enough.
"""

from __future__ import annotations

from collections.abc import Collection

from gslb.routing.climb import Climb, Outcome, Way
from gslb.routing.snapshot import Believed, Entry, Snapshot, compile_snapshot


def costs(
    now: Snapshot, believed: Believed, names: Collection[bytes], now_s: float
) -> tuple[str, ...]:
    """Return, as sentences, what it would cost these services if things were *believed* so."""
    then = compile_snapshot(
        now.plan, believed, generation=0, now_s=now_s, previous=now, touched=names
    )
    found = (_cost(now.entries[name], then.entries[name]) for name in sorted(names))
    return tuple(each for each in found if each is not None)


def _cost(now: Entry, then: Entry) -> str | None:
    for family, choices in now.choices.items():
        for was, will in zip(choices, then.choices[family], strict=True):
            if (problem := _problem(was.climb, will.climb)) is not None:
                return f"{now.service.text}: {problem}"
    return None


def _problem(was: Climb, will: Climb) -> str | None:
    if was.way is not Way.RUNG or was.at is None:
        return None
    if will.all_drained:
        return None if was.all_drained else "all its members would be drained"
    if will.way is not Way.RUNG:
        return "no rung of some clients would be healthy enough"
    rung, outcome = will.rungs[was.at], will.outcomes[was.at]
    if outcome in (Outcome.SERVED, Outcome.NOT_REACHED) or rung.is_empty:
        return None
    return f"too few would be left in {', '.join(rung.regions)}"
