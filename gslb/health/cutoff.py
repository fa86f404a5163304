"""Whether a vantage is itself cut off: when most of what it sees falls at once.

Suddenly means: of what was up at some moment of the last `WINDOW_S`, more than the share has
fallen since, and more than the share of all is down.  A slow decline never looks like that.
A vantage that starts has seen nothing down, so one that finds most of the world down as it
starts is cut off as well.  It ends when no more than the share is down.

Fewer than `FALLEN_MIN` that fall are no sign of anything: a vantage that watches one or two
members could not tell their death from its own isolation, and would never report it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

WINDOW_S = 120.0
FALLEN_MIN = 3


@dataclass(frozen=True, slots=True)
class CutOff:
    """Whether the vantage is cut off, and the lowest counts of late, each below the next."""

    is_cut_off: bool = False
    lowest: tuple[tuple[float, int], ...] = ()


def look(state: CutOff, watched: int, down: int, share: Fraction | None, *, now_s: float) -> CutOff:
    """Return the state after a look at how many of the *watched* are *down*.

    Without a *share* a vantage never is cut off.
    """
    before = state.lowest or ((now_s, 0),)
    recent = [(at_s, count) for at_s, count in before if now_s - at_s <= WINDOW_S and count < down]
    lowest = (*recent, (now_s, down))
    if share is None or down <= share * watched:
        return CutOff(False, lowest)
    least = lowest[0][1]
    fallen = down - least
    suddenly = fallen >= FALLEN_MIN and fallen > share * (watched - least)
    return CutOff(state.is_cut_off or suddenly, lowest)
