"""The retry budget: retries must not make of a small failure a great load.

When every request is tried three times, a service that is overloaded gets three times as much.
So of the requests of the last `WINDOW_S` seconds, no more than a part may be retries, and besides
a few a second, so that a quiet service, of which a part is nothing, can retry as well.

The window is kept as one count for each of its seconds: asking and counting cost the same however
much is under way, and what is older than the window is forgotten a second at a time.
"""

from __future__ import annotations

from math import floor

WINDOW_S = 10
RETRIES_PER_S = 3  # what is free, however few the requests are


class Budget:
    """The requests and retries of one service: at most *percent* of the former, and a few free.

    With 0 percent there are no retries at all.  Times are seconds by a clock that never goes back.
    """

    __slots__ = (
        "_at",
        "_free",
        "_percent",
        "_requested",
        "_retried",
        "_turn_s",
        "requests",
        "retries",
    )

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._free = RETRIES_PER_S * WINDOW_S if percent else 0
        self._requested = [0] * WINDOW_S
        self._retried = [0] * WINDOW_S
        self._at = 0  # the second that is being counted
        self._turn_s = float("-inf")  # when it is over
        self.requests = 0
        self.retries = 0

    def request(self, now_s: float) -> None:
        """Count a request's first try."""
        if now_s >= self._turn_s:
            self._turn(now_s)
        self.requests += 1
        self._requested[self._at] += 1

    def retry(self, now_s: float) -> bool:
        """Return whether one more retry is within the budget, and count it if it is."""
        if now_s >= self._turn_s:
            self._turn(now_s)
        if 100 * (self.retries + 1 - self._free) > self._percent * self.requests:
            return False
        self.retries += 1
        self._retried[self._at] += 1
        return True

    def _turn(self, now_s: float) -> None:
        """Begin the second that *now_s* is in, and forget those that left the window."""
        second = floor(now_s)
        # From nothing counted, or after a whole window of silence, there is nothing to keep.
        passed = min(second + 1 - self._turn_s, WINDOW_S)
        for _ in range(int(passed)):
            self._at = (self._at + 1) % WINDOW_S
            self.requests -= self._requested[self._at]
            self.retries -= self._retried[self._at]
            self._requested[self._at] = self._retried[self._at] = 0
        self._turn_s = second + 1
