"""How busy a tier is, from what its workers count: what its vantage tells the nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from gslb.daemons.briefing import Figures
from gslb.daemons.tiermetrics import Told
from gslb.health.load import Load

WINDOW_S: Final = 10.0  # over which rates are taken
REQUESTS: Final = "gslb_proxy_requests_total"


class LoadMeter:
    """Measures the load of a tier; *told* gives figures of its workers, now and past."""

    def __init__(self, told: Told, clock: Callable[[], float]) -> None:
        self._told = told
        self._clock = clock
        self._seen: deque[tuple[float, float, float]] = deque()

    def load(self) -> Load:
        """Return the load now; rates are since the look before, at least `WINDOW_S` ago if any."""
        now, past = self._told()
        requests, errors = _counted((*now, *past))
        now_s, seen = self._clock(), self._seen
        seen.append((now_s, requests, errors))
        while len(seen) > 2 and now_s - seen[1][0] >= WINDOW_S:
            seen.popleft()
        began_s, began_requests, began_errors = seen[0]
        over_s = max(now_s - began_s, 1.0)
        return Load(
            connections=sum(each.connections for each in now),
            active_requests=sum(each.active for each in now),
            member_requests=sum(member["active"] for each in now for member in each.members),
            requests_per_s=max(0.0, requests - began_requests) / over_s,
            errors_per_s=max(0.0, errors - began_errors) / over_s,
        )


def _counted(figures: Sequence[Figures]) -> tuple[float, float]:
    """Return how many requests were answered in all, and how many of them with 5xx."""
    requests = errors = 0.0
    for each in figures:
        for key, count in each.counts.items():
            if key[0] == REQUESTS:
                requests += count
                errors += count if key[2].startswith("5") else 0.0
    return requests, errors
