"""When each subject is probed next, and which are due now.

In quiet times a subject is probed on its own grid: its phase, a hash of the subject in
[0, interval), plus whole intervals.  So probes spread evenly over the interval, and
neither restarts nor reloads move them.  While a verdict is undecided, the next probe
starts max(recheck, the last probe's duration) after the start of the last one; then the
subject goes back to its grid.  Probes of one subject never overlap: the next time is
worked out when a probe has ended, and is never before that end.

Where somebody else doubts a subject (`hasten`), its next probe starts at once, and never within a
`HASTE_GAP_S` after the start of the last one.  One that is undecided is left alone: it is rechecked
soon, and no sooner than it announced.

A grid point is always computed by the same expression, and the next one is strictly
after the last start, so rounding can neither probe twice at one point nor skip one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from math import floor, inf

from gslb.health.verdict import Record, recheck_at_s
from gslb.model import Monitor, Subject

HASTE_GAP_S = 1.0

_FRACTION_BITS = 53  # what a float holds exactly, so that the fraction stays below 1


def phase_s(subject: Subject, interval_s: float, salt: str = "") -> float:
    """Return the subject's place in [0, interval); *salt* sets vantages apart, in seconds."""
    host, port = subject.target
    identity = (salt, subject.address, host, str(port), subject.monitor, subject.host)
    digest = blake2b("\0".join(identity).encode(), digest_size=8).digest()
    fraction = (int.from_bytes(digest) >> (64 - _FRACTION_BITS)) / 2.0**_FRACTION_BITS
    return fraction * interval_s


def next_probe_at_s(record: Record, monitor: Monitor, phase_s: float, *, now_s: float) -> float:
    """Return when to start the next probe, not before *now_s*, while none is under way."""
    if record.streak:
        return max(now_s, recheck_at_s(record, monitor))
    last_s = record.last_started_s
    step = floor((now_s - phase_s) / monitor.interval_s)
    while True:
        at_s = phase_s + step * monitor.interval_s
        if at_s >= now_s and (last_s is None or at_s > last_s):
            return at_s
        step += 1


class Schedule:
    """Which watched subjects are waiting for their time, and which are being probed."""

    def __init__(self, salt: str = "") -> None:
        self._salt = salt
        self._monitors: dict[Subject, Monitor] = {}
        self._phases_s: dict[Subject, float] = {}
        self._waiting: list[tuple[float, Subject]] = []
        self._under_way: set[Subject] = set()
        self._hastened: set[Subject] = set()

    @property
    def next_at_s(self) -> float | None:
        """The earliest time at which a waiting subject is due; None while none waits."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def under_way(self) -> int:
        """The number of probes that have started and not finished."""
        return len(self._under_way)

    def watch(
        self,
        monitors: Mapping[Subject, Monitor],
        records: Mapping[Subject, Record],
        *,
        now_s: float,
    ) -> None:
        """Watch these subjects from now on, and no others.

        Those that stay under an unchanged monitor keep their time.
        """
        kept = {
            subject: at_s
            for at_s, subject in self._waiting
            if monitors.get(subject) == self._monitors[subject]
        }
        self._monitors = dict(monitors)
        self._hastened &= monitors.keys()
        self._phases_s = {
            subject: phase_s(subject, monitor.interval_s, self._salt)
            for subject, monitor in monitors.items()
        }
        self._waiting = [
            (kept[subject] if subject in kept else self._next(subject, records, now_s), subject)
            for subject in monitors
            if subject not in self._under_way
        ]
        heapify(self._waiting)

    def start(self, now_s: float, room: int) -> list[Subject]:
        """Return at most *room* subjects that are due, the most overdue first; they are under way.

        Each must be given back with `finish`.
        """
        due: list[Subject] = []
        while len(due) < room and self._waiting and self._waiting[0][0] <= now_s:
            due.append(heappop(self._waiting)[1])
        self._under_way.update(due)
        return due

    def finish(self, subject: Subject, record: Record, *, now_s: float) -> None:
        """Let *subject* wait for its next probe, unless it is no longer watched."""
        self._under_way.remove(subject)
        if subject in self._monitors:
            at_s = self._next(subject, {subject: record}, now_s)
            if subject in self._hastened:
                at_s = min(at_s, _soonest_s(record, now_s))
            heappush(self._waiting, (at_s, subject))
        self._hastened.discard(subject)

    def hasten(
        self,
        subjects: Collection[Subject],
        records: Mapping[Subject, Record],
        *,
        now_s: float,
    ) -> None:
        """Bring forward the next probe of those *subjects* that are watched and not undecided."""
        wanted = {s for s in subjects if s in self._monitors and not records[s].streak}
        # What is under way may have begun before there was anything to be seen.
        self._hastened |= wanted & self._under_way
        if wanted - self._under_way:
            self._waiting = [
                (min(at_s, _soonest_s(records[each], now_s)) if each in wanted else at_s, each)
                for at_s, each in self._waiting
            ]
            heapify(self._waiting)

    def _next(self, subject: Subject, records: Mapping[Subject, Record], now_s: float) -> float:
        monitor = self._monitors[subject]
        phase = self._phases_s[subject]
        return next_probe_at_s(records.get(subject, Record()), monitor, phase, now_s=now_s)


def _soonest_s(record: Record, now_s: float) -> float:
    """Return when a doubted subject may be probed; while undecided, not before its recheck."""
    if record.streak:
        return inf
    last_s = record.last_started_s
    return now_s if last_s is None else max(now_s, last_s + HASTE_GAP_S)
