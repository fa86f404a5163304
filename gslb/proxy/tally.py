"""What one worker counts, as plain numbers by name and labels, to be told whole."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from gslb.proxy.exchange import Exchange

# Upper bounds in seconds of the histograms of durations; what is above is in a last bucket.
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
NO_ROUTE: Final = "none"

# The name of a metric, then its labels' values.
Label = tuple[str, ...]


class Tally:
    """Counts by name and labels, and durations by route.

    A histogram is a list: how many fell into each bucket, then the sum in seconds.
    """

    __slots__ = ("counts", "times")

    def __init__(self) -> None:
        self.counts: dict[Label, float] = {}
        self.times: dict[str, list[float]] = {}

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Count something."""
        key = (name, *labels)
        self.counts[key] = self.counts.get(key, 0) + by

    def attempt(self, service: str, member: str, outcome: str) -> None:
        """Count a request's try at a member."""
        key = ("gslb_proxy_attempts_total", service, member, outcome)
        counts = self.counts
        counts[key] = counts.get(key, 0) + 1

    def done(self, exchange: Exchange, now_s: float) -> None:
        """Count an exchange that is over."""
        route = NO_ROUTE if exchange.route is None else exchange.route.name
        counts = self.counts
        key = ("gslb_proxy_requests_total", route, str(exchange.status))
        counts[key] = counts.get(key, 0) + 1
        upload = exchange.upload
        if upload is not None:
            self.count("gslb_proxy_bytes_total", route, "in", by=upload.received)
        if exchange.sent_out:
            key = ("gslb_proxy_bytes_total", route, "out")
            counts[key] = counts.get(key, 0) + exchange.sent_out
        times = self.times.get(route)
        if times is None:
            times = self.times[route] = [0.0] * (len(BOUNDS_S) + 2)
        took_s = now_s - exchange.began_s
        times[bisect_left(BOUNDS_S, took_s)] += 1
        times[-1] += took_s
