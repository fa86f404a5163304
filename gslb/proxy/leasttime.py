"""Least response time: whoever is likely to answer soonest, by how it answered lately.

What a target costs is ``remembered time · (requests under way + 1) / weight``.  The time that is
remembered is a peak EWMA: a response slower than it is remembered at once and in full; a faster
one pulls it down by the part ``1 - e^(-t/decay)`` of the difference, *t* being how long ago the
last one was.  While nothing comes, what is remembered fades likewise, towards nothing: a target
that was slow once is tried again after a while, and if it is still slow, that is remembered after
one request (Finagle's `p2cPeakEwma`).

A target that was never measured costs nothing while it is idle, so that it is tried soon, and
more than any measured one while its first request is under way, so that it gets one at a time.

Up to `FEW` targets are all compared, of more two are drawn by weight, as for least connections.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import exp

from gslb.proxy.leastconnections import FEW
from gslb.proxy.target import Target
from gslb.proxy.weighted import Weights, untried, weighed

DECAY_S = 10.0  # what was measured so long ago is remembered by a third
FAILED_S = 1.0  # what a failure counts for at least, lest who fails fast should look fast
SHORTEST_S = 1e-9  # what no time at all counts for: 0.0 would be "never measured"
UNMEASURED_S = 1e6  # of one whose first request is under way


class LeastTime:
    """A choice among *targets* by what `observe` was told of them."""

    __slots__ = ("_decay_s", "_targets", "_weights")

    def __init__(self, targets: Sequence[Target], decay_s: float = DECAY_S) -> None:
        self._targets = targets
        self._decay_s = decay_s
        self._weights = Weights(targets) if len(targets) > FEW else None

    def pick(
        self, key: int, draw: float, now_s: float, tried: Collection[Target] = ()
    ) -> Target | None:
        """Return the target that costs least, or the cheaper of two; of equals by *draw*."""
        decay_s = self._decay_s
        if tried or self._weights is None:
            return _cheapest(untried(self._targets, tried), draw, now_s, decay_s)
        first, second = self._weights.two(draw)
        return second if cost(second, now_s, decay_s) < cost(first, now_s, decay_s) else first


def _cheapest(
    targets: Sequence[Target], draw: float, now_s: float, decay_s: float
) -> Target | None:
    least = float("inf")
    best: list[Target] = []
    for each in targets:
        found = cost(each, now_s, decay_s)
        if found < least:
            least = found
            best = [each]
        elif found == least:
            best.append(each)
    return weighed(best, draw)


def cost(target: Target, now_s: float, decay_s: float = DECAY_S) -> float:
    """Return what one more request to *target* costs, in seconds for each thousandth of weight."""
    remembered_s, active = target.ewma_s, target.active
    if remembered_s:
        remembered_s *= exp((target.ewma_at_s - now_s) / decay_s)
    elif active:
        remembered_s = UNMEASURED_S
    return remembered_s * (active + 1) / target.weight


def observe(
    target: Target,
    elapsed_s: float,
    now_s: float,
    *,
    failed: bool = False,
    decay_s: float = DECAY_S,
) -> None:
    """Remember that *target* took *elapsed_s* until its response began, or until it *failed*.

    *now_s* is by a clock that never goes back.
    """
    if failed and elapsed_s < FAILED_S:
        elapsed_s = FAILED_S
    remembered_s = target.ewma_s
    if elapsed_s < remembered_s:
        kept = exp((target.ewma_at_s - now_s) / decay_s)
        elapsed_s += (remembered_s - elapsed_s) * kept
    target.ewma_s = elapsed_s or SHORTEST_S
    target.ewma_at_s = now_s
