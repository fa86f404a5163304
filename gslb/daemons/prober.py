"""The prober: probes each watched subject on its schedule, and folds results into records.

One loop starts what is due, the most overdue first, as a task for each probe; a sleeping
subject costs a place in a heap, so thousands are cheap.  At most `probes_max` probes are
under way; when there are more to do, all are late alike, none is left out.

The clock must not go backwards: a schedule would stand still until it had caught up.  A
wall clock's time at the start plus a monotonic clock's since then is right.

What a member does is a result.  An error in our own code leaves `run` as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from math import inf
from types import MappingProxyType

from gslb.daemons.probing import Probes
from gslb.health.probe import Result
from gslb.health.schedule import Schedule
from gslb.health.verdict import Record, observe, resumed
from gslb.model import Monitor, Subject

PROBES_MAX = 1000

Probe = Callable[[Subject, Monitor], Awaitable[Result]]
OnResult = Callable[[Subject, Record, Record, Result, float], None]


def _ignore(*_: object) -> None: ...


class Prober:
    """Watches subjects; `on_result(subject, before, after, result, duration_s)` hears each result.

    It is called at once, in the event loop.  *vantage* sets the phases of several probers
    apart.  *probe* stands in for real sockets.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        on_result: OnResult = _ignore,
        vantage: str = "",
        probes_max: int = PROBES_MAX,
        probe: Probe | None = None,
    ) -> None:
        self._clock = clock
        self._on_result = on_result
        self._probes_max = probes_max
        self._probes = Probes()
        self._probe = probe or self._probes.probe
        self._schedule = Schedule(vantage)
        self._monitors: dict[Subject, Monitor] = {}
        self._records: dict[Subject, Record] = {}
        self._unseen: set[Subject] = set()
        self._tasks: dict[Subject, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._until_s = inf  # when the timer wakes the loop
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def records(self) -> Mapping[Subject, Record]:
        """The record of each watched subject, as it is now; a view, not a copy."""
        return MappingProxyType(self._records)

    @property
    def complete(self) -> bool:
        """Whether every watched subject has had a result since the start."""
        return not self._unseen

    def restore(self, records: Mapping[Subject, Record]) -> None:
        """Take up records stored before a restart; they hold for what is then watched."""
        assert not self._monitors, "restore before the first watch"
        now_s = self._clock()
        for subject, record in records.items():
            self._records[subject] = resumed(record, now_s=now_s)

    def watch(self, subjects: Mapping[Subject, Monitor]) -> None:
        """Watch these from now on, and no others; those that stay keep record and schedule."""
        for subject, task in self._tasks.items():
            if subjects.get(subject) != self._monitors.get(subject):
                task.cancel()
        self._unseen = {
            subject
            for subject in subjects
            if subject in self._unseen or subject not in self._monitors
        }
        self._monitors = dict(subjects)
        kept = {subject: self._records.get(subject, Record()) for subject in subjects}
        self._records.clear()
        self._records.update(kept)
        self._schedule.watch(self._monitors, self._records, now_s=self._clock())
        self._probes.reload()
        self._wake.set()

    def recheck(self, subjects: Collection[Subject]) -> None:
        """Probe those of *subjects* that are watched at once, unless they are undecided anyway.

        Each at most once a second, however often this is called.
        """
        self._schedule.hasten(subjects, self._records, now_s=self._clock())
        self._wake.set()

    async def run(self) -> None:
        """Probe until `close` is called; errors of ours leave in an ExceptionGroup."""
        assert self._idle.is_set(), "a prober runs once at a time"
        self._idle.clear()
        try:
            async with self._probes, asyncio.TaskGroup() as group:
                while not self._closing:
                    self._wake.clear()
                    await self._wait(self._start_due(group))
                for task in self._tasks.values():
                    task.cancel()
        finally:
            self._idle.set()

    async def close(self) -> None:
        """Stop for good: cancel what is under way, and return once `run` has ended."""
        self._closing = True
        self._wake.set()
        await self._idle.wait()

    def _start_due(self, group: asyncio.TaskGroup) -> float | None:
        """Start what is due; return the seconds until more is, None if a wake-up must tell."""
        now_s = self._clock()
        for subject in self._schedule.start(now_s, self._probes_max - len(self._tasks)):
            task = group.create_task(self._observe(subject, now_s))
            self._tasks[subject] = task
            # A task cancelled before its first step runs no `finally` of its own.
            task.add_done_callback(partial(self._finish, subject))
        next_at_s = self._schedule.next_at_s
        if next_at_s is None or len(self._tasks) >= self._probes_max:
            return None
        return max(0.0, next_at_s - self._clock())

    async def _wait(self, seconds: float | None) -> None:
        self._until_s = inf if seconds is None else self._clock() + seconds
        loop = asyncio.get_running_loop()
        timer = None if seconds is None else loop.call_later(seconds, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _observe(self, subject: Subject, started_s: float) -> None:
        monitor = self._monitors[subject]
        result = await self._probe(subject, monitor)
        if self._monitors.get(subject) != monitor:
            return
        now_s = self._clock()
        before = self._records[subject]
        after = observe(before, result, monitor, started_s=started_s, now_s=now_s)
        self._records[subject] = after
        self._unseen.discard(subject)
        self._on_result(subject, before, after, result, after.last_took_s)

    def _finish(self, subject: Subject, _: asyncio.Task[None]) -> None:
        full = len(self._tasks) >= self._probes_max
        del self._tasks[subject]
        record = self._records.get(subject, Record())
        self._schedule.finish(subject, record, now_s=self._clock())
        next_at_s = self._schedule.next_at_s
        # Waking costs as much as a good part of a probe, and the timer does it in time.
        if full or (next_at_s is not None and next_at_s < self._until_s):
            self._wake.set()
