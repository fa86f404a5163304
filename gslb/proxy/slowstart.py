"""Slow start: a member that came up, or was added, gets its share little by little.

A process that was just started has cold caches, code not yet compiled, no connections to its
database.  From a tenth at first, its weight grows linearly to the whole over `slow_start_s`.

It grows by steps of a twentieth.  So weights keep much in common, which keeps the cycles of round
robin short, and balancers are built anew at most 18 times in a slow start: `next_step_s` says when.
"""

from __future__ import annotations

from math import floor

from gslb.proxy.target import WHOLE

STEPS = 20
FLOOR = 2  # of the steps: what a member begins with

_SLACK = 1e-9  # of a step: what rounding may lack of it


def effective(weight: int, age_s: float, slow_start_s: float) -> int:
    """Return the effective weight, in thousandths, of a member of *weight* up for *age_s*.

    A reserve, of weight 0, that is given traffic at all counts as one of weight 1.
    """
    return max(weight, 1) * (WHOLE // STEPS) * _step(age_s, slow_start_s)


def next_step_s(age_s: float, slow_start_s: float) -> float | None:
    """Return in how many seconds the effective weight grows, None when it is whole."""
    step = _step(age_s, slow_start_s)
    if step == STEPS:
        return None
    return slow_start_s * (step + 1 - FLOOR) / (STEPS - FLOOR) - max(age_s, 0.0)


def _step(age_s: float, slow_start_s: float) -> int:
    age_s = max(age_s, 0.0)
    if age_s >= slow_start_s:
        return STEPS
    return FLOOR + floor((STEPS - FLOOR) * age_s / slow_start_s + _SLACK)
