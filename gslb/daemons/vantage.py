"""A vantage: probes its share of the members, and reports its whole table, changed or not.

A report is sent every interval, and at once when something turned (at most one a
`REPORT_GAP_S`).  Nothing is sent until each subject has a first result, or a round of probes
should have brought it: until then a vantage that was restarted is believed what it last said.
A tier's vantage says more: how busy the tier is, and which members its requests fail at, though no
probe has said so yet.  Such a member is *suspect* until a probe that begins after that has a
result.  What another tier doubts is probed here at once.

A vantage that suddenly sees much of everything down says that it is cut off, in its report, and
its votes do not count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress

from gslb.config.settings import Config
from gslb.daemons.controller import grace_s
from gslb.daemons.events import Events
from gslb.daemons.prober import Prober
from gslb.errors import ReportError
from gslb.health import cutoff
from gslb.health.cutoff import CutOff
from gslb.health.doubt import Doubt, Heeded, token_of
from gslb.health.load import Load
from gslb.health.report import REPORT_GAP_S, Composer
from gslb.health.share import assigned, probers_of
from gslb.health.verdict import Record, Verdict, believed_part
from gslb.model import Monitor, Subject

FIRST_LOOK_S = 0.05  # between two looks at whether everyone has had a first result

Send = Callable[[bytes], None]


class Vantage:
    """Reports what *prober* finds, by *send*, which must not wait.

    `load` says how busy the tier is for which it speaks; None where there is no tier.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        prober: Prober,
        clock: Callable[[], float],
        events: Events,
        send: Send,
    ) -> None:
        self.name = name
        self._prober = prober
        self._clock = clock
        self._events = events
        self._send = send
        self._epoch_ms = int(clock() * 1000)
        self._sequence = 0
        self._turned = asyncio.Event()
        self._cut_off = CutOff()
        self._unsent: str | None = None
        self._suspects: dict[Subject, float] = {}  # since when
        self._heeded = Heeded()
        self._by_token: dict[str, Subject] | None = None
        self.load: Callable[[], Load | None] = lambda: None
        self._started_s = clock()
        self.adopt(config)

    def adopt(self, config: Config) -> None:
        """Report as *config* says from now on."""
        self._config = config
        self._composer = Composer(self.name, config.voters[self.name].key)

    def watch(self, subjects: Mapping[Subject, Monitor]) -> None:
        """Probe this vantage's share of *subjects* from now on, and nothing else.

        One of kind proxy probes them all: it is handed those that it sends requests to.
        """
        probers, each = probers_of(self._config.voters), self._config.probes_per_member
        self._prober.watch(
            {
                subject: monitor
                for subject, monitor in subjects.items()
                if self.name not in probers or self.name in assigned(subject, probers, each)
            }
        )
        self._by_token = None
        for subject in self._suspects.keys() - self._prober.records.keys():
            del self._suspects[subject]
        self._turned.set()

    @property
    def is_cut_off(self) -> bool:
        """Whether this vantage holds that it is cut off itself, and abstains."""
        return self._cut_off.is_cut_off

    @property
    def suspects(self) -> Collection[Subject]:
        """The subjects that are suspect now."""
        return self._suspects.keys()

    def suspect(self, subject: Subject) -> None:
        """Hear that requests to *subject* fail: it is reported and probed at once.

        No effect on what is not probed here, is down, or is suspect until its next probe.
        """
        record = self._prober.records.get(subject)
        if record is None or record.verdict is Verdict.DOWN or subject in self._suspects:
            return
        self._suspects[subject] = self._clock()
        self._prober.recheck((subject,))
        self._turned.set()

    def heed(self, doubts: Iterable[Doubt]) -> None:
        """Probe at once what other tiers newly doubt, and is not down here."""
        fresh = self._heeded.fresh(each for each in doubts if each.vantage != self.name)
        if not fresh:
            return
        records = self._prober.records
        if self._by_token is None:
            self._by_token = {token_of(subject): subject for subject in records}
        known = [self._by_token[token] for token in fresh if token in self._by_token]
        self._prober.recheck([s for s in known if records[s].verdict is not Verdict.DOWN])

    def on_result(self, subject: Subject, before: Record, after: Record) -> None:
        """Hear a probe's result; what routing reads of it is reported at once if it changed."""
        suspect_s, started_s = self._suspects.get(subject), after.last_started_s
        if suspect_s is not None and started_s is not None and started_s >= suspect_s:
            del self._suspects[subject]
        if believed_part(before) != believed_part(after):
            self._turned.set()

    async def run(self) -> None:
        """Report until cancelled."""
        while not (self._prober.complete or self._has_waited()):
            await asyncio.sleep(FIRST_LOOK_S)
        while True:
            self._turned.clear()
            self.report()
            await asyncio.sleep(REPORT_GAP_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._config.report_interval_s - REPORT_GAP_S):
                    await self._turned.wait()

    def _has_waited(self) -> bool:
        return self._clock() - self._started_s >= grace_s(self._config)

    def report(self) -> None:
        """Send the whole table as it is now."""
        records, now_s = self._prober.records, self._clock()
        down = sum(record.verdict is Verdict.DOWN for record in records.values())
        was = self._cut_off.is_cut_off
        self._cut_off = cutoff.look(
            self._cut_off, len(records), down, self._config.cut_off_at, now_s=now_s
        )
        if self._cut_off.is_cut_off != was:
            seen = {"vantage": self.name, "down": down, "watched": len(records)}
            if was:
                self._events.announce("reconnected", **seen)
            else:
                self._events.announce("cut_off", **seen)
        self._sequence += 1
        number = (self._epoch_ms, self._sequence)
        try:
            octets = self._composer.compose(
                number, now_s, records, self._cut_off.is_cut_off, self.load(), self._suspects
            )
        except ReportError as error:
            if str(error) != self._unsent:
                self._events.announce("report_failed", vantage=self.name, error=str(error))
            self._unsent = str(error)
            return
        self._unsent = None
        self._send(octets)
