"""Verdicts: what one vantage believes of a subject, as a fold over its probe results.

The first result ever decides at once: an endpoint nobody has seen has no good name to
protect.  From then on a verdict is kept until `fall` failures in a row, or `rise`
successes in a row, speak against it; one result that agrees wipes the streak.

While a streak goes on, `Record.flips_at_s` says when the verdict can flip at the
earliest.  The next probe starts max(recheck, the last probe's duration) after the start
of the last one, every later one at least a recheck after the one before it, and the last
of them may fail at once: so it is a true lower bound, and no further result of the streak
can move it to an earlier time.  TTLs are made from it.

Times are seconds of one clock that must not go backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from gslb.health.probe import LOCAL, Result
from gslb.model import Monitor


class Verdict(Enum):
    """What is believed of a subject."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Record:
    """All that is remembered of one subject's probes.

    `reason` is that of the newest result that agrees with the verdict.  `since_s` is when
    the verdict last changed, `risen_at_s` when it last went from down (not unknown) to up.
    `streak` counts the results in a row that disagree; `flips_at_s` is None while it is 0.
    """

    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    since_s: float = 0.0
    streak: int = 0
    flips_at_s: float | None = None
    risen_at_s: float | None = None
    last_started_s: float | None = None
    last_took_s: float = 0.0
    last_reason: str = ""
    last_detail: str = ""


def observe(
    record: Record, result: Result, monitor: Monitor, *, started_s: float, now_s: float
) -> Record:
    """Return *record* after the probe that started at *started_s* and ended at *now_s*."""
    record = replace(
        record,
        last_started_s=started_s,
        last_took_s=max(0.0, now_s - started_s),
        last_reason=result.reason,
        last_detail=result.detail,
    )
    seen = Verdict.UP if result.ok else Verdict.DOWN
    if result.reason == LOCAL:
        return replace(record, flips_at_s=_flips_at_s(record, monitor))
    if record.verdict is Verdict.UNKNOWN:
        return replace(record, verdict=seen, reason=result.reason, since_s=now_s)
    if record.verdict is seen:
        return replace(record, reason=result.reason, streak=0, flips_at_s=None)

    record = replace(record, streak=record.streak + 1)
    if record.streak < _needed(record, monitor):
        return replace(record, flips_at_s=_flips_at_s(record, monitor))
    return turned(record, seen, result.reason, now_s=now_s)


def turned(record: Record, verdict: Verdict, reason: str, *, now_s: float) -> Record:
    """Return *record* with another verdict, which it has from *now_s* on."""
    rises = record.verdict is Verdict.DOWN and verdict is Verdict.UP
    return replace(
        record,
        verdict=verdict,
        reason=reason,
        since_s=now_s,
        streak=0,
        flips_at_s=None,
        risen_at_s=now_s if rises else record.risen_at_s,
    )


def resumed(record: Record, *, now_s: float) -> Record:
    """Return what still holds of a record that was stored before a restart.

    The verdict does, so fall and rise apply to what comes; a streak does not, since nobody
    looked in between.  Times after *now_s* come from a clock that was wrong.
    """
    return Record(
        verdict=record.verdict,
        reason=record.reason,
        since_s=min(record.since_s, now_s),
        risen_at_s=None if record.risen_at_s is None else min(record.risen_at_s, now_s),
    )


def believed_part(record: Record) -> tuple[object, ...]:
    """Return what of a record a belief is made from, to see whether routing is concerned."""
    return (
        record.verdict,
        record.reason,
        record.since_s,
        record.flips_at_s,
        record.risen_at_s,
    )


def recheck_at_s(record: Record, monitor: Monitor) -> float:
    """Return when the next probe of an undecided *record* starts: never before the last ended."""
    assert record.last_started_s is not None, "a streak comes from probes"
    return record.last_started_s + max(monitor.recheck_s, record.last_took_s)


def worst_detection_s(monitor: Monitor, *, report_s: float = 0.0, tick_s: float) -> float:
    """Return the longest time from a member's death to answers without it, in seconds.

    It dies just after a probe and hangs, so that every probe lasts its whole timeout.
    """
    rechecks_s = (monitor.fall - 1) * max(monitor.recheck_s, monitor.timeout_s)
    return monitor.interval_s + rechecks_s + monitor.timeout_s + report_s + tick_s


def _needed(record: Record, monitor: Monitor) -> int:
    return monitor.fall if record.verdict is Verdict.UP else monitor.rise


def _flips_at_s(record: Record, monitor: Monitor) -> float | None:
    if not record.streak:
        return None
    after_the_next = max(0, _needed(record, monitor) - record.streak - 1)
    return recheck_at_s(record, monitor) + after_the_next * monitor.recheck_s
