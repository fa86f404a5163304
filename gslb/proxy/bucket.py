"""Token buckets by key: how often each client, or whatever is counted, may come.

A bucket holds `burst` tokens and fills again at a rate.  It is kept as one number, the time at
which it is full again (GCRA), so that a bucket that is full and one that was never seen are alike.

Keys come from outside, so there is a bound on how many are remembered.  Buckets stand in two
tables, of which the younger is filled; when it holds half of all, the older one is dropped, and
they change places.  So a bucket is only forgotten after at least half as many other keys came
since it was last used, and everything costs two look-ups at most.  A client whose bucket was
forgotten gets a full one: who can come under that many keys gets as many full buckets anyway.

Keys are 64 bits of a hash that nobody outside can compute: else somebody chose keys that all fall
on one place of the table.
"""

from __future__ import annotations

KEYS_MAX = 65_536  # buckets remembered of one rate in one worker; a forgotten one is full

_SLACK_S = 1e-6  # what rounding may lack of a time that was waited for


class Buckets:
    """The buckets of one rate: *per_s* tokens a second, at most *burst*, which is at least 1."""

    __slots__ = ("_half", "_interval_s", "_old", "_tolerance_s", "_young")

    def __init__(self, per_s: float, burst: int, keys_max: int = KEYS_MAX) -> None:
        assert per_s > 0
        assert burst >= 1
        assert keys_max >= 2
        self._interval_s = 1 / per_s
        self._tolerance_s = (burst - 1) / per_s + _SLACK_S
        self._half = keys_max // 2
        self._young: dict[int, float] = {}
        self._old: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, key: int, now_s: float) -> float:
        """Take a token of *key*: return 0.0 if there was one, else the seconds until there is.

        What is refused takes nothing.  *now_s* is by a clock that never goes back.
        """
        young = self._young
        full_s = young.get(key)
        if full_s is None:
            full_s = self._old.pop(key, now_s)
            if len(young) >= self._half:
                self._old = young
                young = self._young = {}
        if full_s < now_s:
            full_s = now_s
        elif full_s - now_s > self._tolerance_s:
            young[key] = full_s
            return full_s - now_s - self._tolerance_s + _SLACK_S
        young[key] = full_s + self._interval_s
        return 0.0
