"""Slowness: which targets take much longer than the others of their pool.

Response times are averaged over windows of `WINDOW_S` seconds, one after the other.  At the end of
each, a target with enough responses is compared with the median of the others that have enough:
the median, because a second slow one must not hide the first.  It takes two to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

WINDOW_S = 10.0
SAMPLES_MIN = 20  # responses of a window below which nothing can be said of a target


@dataclass(slots=True)
class _Sum:
    count: int = 0
    time_s: float = 0.0


class Slowness:
    """The response times of one pool; slow is who takes *factor* times as long as the others."""

    __slots__ = ("_end_s", "_factor", "_sums")

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._sums: dict[str, _Sum] = {}
        self._end_s: float | None = None

    def observe(self, name: str, elapsed_s: float, now_s: float) -> Sequence[tuple[str, str]]:
        """Count that *name* took *elapsed_s*; return who was slow in a window that is over.

        They come with the reason, the slowest first; mostly there are none.
        """
        slow: Sequence[tuple[str, str]] = ()
        if self._end_s is None or now_s >= self._end_s:
            slow = self._slow()
            self._sums.clear()
            self._end_s = now_s + WINDOW_S
        found = self._sums.get(name)
        if found is None:
            found = self._sums[name] = _Sum()
        found.count += 1
        found.time_s += elapsed_s
        return slow

    def _slow(self) -> Sequence[tuple[str, str]]:
        means_s = {
            name: each.time_s / each.count
            for name, each in self._sums.items()
            if each.count >= SAMPLES_MIN
        }
        slow = []
        for name, mean_s in sorted(means_s.items(), key=lambda each: -each[1]):
            others_s = [each for other, each in means_s.items() if other != name]
            if others_s and mean_s > self._factor * median(others_s):
                why = f"{mean_s:.3f} s on average, the others {median(others_s):.3f} s"
                slow.append((name, why))
        return slow
