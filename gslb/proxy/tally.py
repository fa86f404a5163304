"""What one worker counts, as plain numbers by name and labels, to be told whole.

What happens with every request is counted in fields of its route's own tally and of its target; all
else in one dictionary.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from gslb.proxy.target import Target

# Upper bounds in seconds of the histograms of durations; what is above is in a last bucket.
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# The name of a metric, then its labels' values.
Label = tuple[str, ...]


class RouteTally:
    """What is counted of one route: answers by status, octets of bodies, durations.

    `times` is a histogram: how many fell into each bucket, then the sum in seconds.
    """

    __slots__ = ("octets_in", "octets_out", "statuses", "times")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.octets_in = 0
        self.octets_out = 0
        self.times = [0.0] * (len(BOUNDS_S) + 2)

    def done(self, status: int, octets_in: int, octets_out: int, took_s: float) -> None:
        """Count a request that was answered with *status* after *took_s*."""
        statuses = self.statuses
        statuses[status] = statuses.get(status, 0) + 1
        self.octets_in += octets_in
        self.octets_out += octets_out
        times = self.times
        times[bisect_left(BOUNDS_S, took_s)] += 1
        times[-1] += took_s


class Tally:
    """All that a worker counts."""

    __slots__ = ("_counts", "_routes")

    def __init__(self) -> None:
        self._counts: dict[Label, float] = {}
        self._routes: dict[str, RouteTally] = {}

    def of(self, route: str) -> RouteTally:
        """Return the tally of the route of this name."""
        return self._routes.setdefault(route, RouteTally())

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Count something."""
        key = (name, *labels)
        self._counts[key] = self._counts.get(key, 0) + by

    def attempt(self, service: str, member: str, outcome: str) -> None:
        """Count a request's try at a member that did not end well."""
        self.count("gslb_proxy_attempts_total", service, member, outcome)

    def forget(self, service: str, target: Target) -> None:
        """Keep what was counted in a target that is no more."""
        if target.oks:
            self.count("gslb_proxy_attempts_total", service, target.name, "ok", by=target.oks)
            target.oks = 0

    def counts(self, targets: Iterable[tuple[str, Target]]) -> dict[Label, float]:
        """Return all counts, with those of *targets* of services."""
        found = dict(self._counts)
        for service, target in targets:
            if target.oks:
                key = ("gslb_proxy_attempts_total", service, target.name, "ok")
                found[key] = found.get(key, 0) + target.oks
        for name, route in self._routes.items():
            for status, count in route.statuses.items():
                found["gslb_proxy_requests_total", name, str(status)] = count
            found["gslb_proxy_bytes_total", name, "in"] = route.octets_in
            found["gslb_proxy_bytes_total", name, "out"] = route.octets_out
        return found

    def times(self) -> dict[str, list[float]]:
        """Return the histogram of each route's durations."""
        return {name: list(route.times) for name, route in self._routes.items() if any(route.times)}
