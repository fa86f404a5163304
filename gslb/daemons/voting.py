"""What a node learns of its members: by its own prober alone, or by the votes of all vantages.

Without voters the prober's verdicts are what is believed.  With voters the node counts their
votes; its own prober is one of the vantages then, if the configuration says which, and idle if
not.  Reports come in over HTTP, by a carrier that listens, and from the own vantage at once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress

from gslb.config.settings import Config
from gslb.daemons.carrier import REPORTS, Carrier
from gslb.daemons.controller import Controller
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.daemons.prober import Prober
from gslb.daemons.reception import Reception
from gslb.daemons.vantage import Vantage
from gslb.errors import ReportError
from gslb.health.doubt import Doubt
from gslb.health.probe import Result
from gslb.health.verdict import Record
from gslb.model import Subject

TELL_GAP_S = 1.0


class Voting:
    """Probes, hears and concludes for one node; `carrier` takes the own vantage's reports out.

    `tell` is called when tiers newly doubt something, of which others are to hear soon.
    """

    def __init__(
        self,
        config: Config,
        controller: Controller,
        clock: Callable[[], float],
        counters: Counters,
        events: Events,
        restored: Mapping[Subject, Record],
    ) -> None:
        self._controller = controller
        self._counters = counters
        self.carrier: Carrier | None = None
        self.reception: Reception | None = None
        self.vantage: Vantage | None = None
        self.tell: Callable[[], None] = lambda: None
        self._clock = clock
        self._told_s = 0.0
        self._untold = False
        name = config.vantage if config.voters else None
        self.prober = Prober(clock, on_result=self._on_result, vantage=name or "")
        if not config.voters:
            self.prober.restore(restored)
            self.watch(config)
            controller.follow(self.prober.records, lambda: self.prober.complete)
            return
        self.reception = Reception(config, clock, counters, events, controller.on_flip)
        self.reception.on_doubts = self._on_doubts
        opinion = self.reception.opinion
        opinion.restore(restored)
        if name is not None:
            self.vantage = Vantage(name, config, self.prober, clock, events, self._send)
        self.watch(config)
        controller.opinion = opinion
        controller.follow(opinion.records, lambda: opinion.is_complete)

    def watch(self, config: Config) -> None:
        """Learn of the members that the controller serves now, as *config* says."""
        subjects = self._controller.subjects()
        if self.reception is None:
            self.prober.watch(subjects)
            return
        self.reception.watch(config, subjects)
        if self.vantage is not None:
            self.vantage.adopt(config)
            self.vantage.watch(subjects)

    def works(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return what is to run while the node does."""
        if self.vantage is None:
            return (self.prober.run(),)
        return (self.prober.run(), self.vantage.run())

    def look(self) -> None:
        """See what time alone has changed; to be called once a second."""
        if self.reception is not None:
            self.reception.look()
        self._tell_doubts()

    def heard(self) -> tuple[str, ...]:
        """Return the vantages whose votes count now."""
        if self.reception is None:
            return ()
        return self.reception.heard()

    def doubts(self) -> tuple[Doubt, ...]:
        """Return what tiers doubt of late, for others to probe it as well."""
        return () if self.reception is None else self.reception.doubts.told(now_s=self._clock())

    def heed(self, doubts: Iterable[Doubt]) -> None:
        """Probe at once what other nodes tell that tiers doubt."""
        if self.vantage is not None:
            self.vantage.heed(doubts)

    def _on_doubts(self, doubts: Iterable[Doubt]) -> None:
        self.heed(doubts)
        self._untold = True
        self._tell_doubts()

    def _tell_doubts(self) -> None:
        """Let others hear of new doubts, in at most one bulletin a second for that."""
        now_s = self._clock()
        if self._untold and now_s - self._told_s >= TELL_GAP_S:
            self._untold, self._told_s = False, now_s
            self.tell()

    def received(self, octets: bytes) -> None:
        """Take in a report by a carrier, to which nothing can be answered: it is counted."""
        if self.reception is not None:
            with suppress(ReportError):
                self.reception.receive(octets)

    def _send(self, octets: bytes) -> None:
        assert self.vantage is not None, "only a vantage reports"
        self.received(octets)
        if self.carrier is not None:
            self.carrier.send(REPORTS, self.vantage.name, octets)

    def _on_result(
        self, subject: Subject, before: Record, after: Record, result: Result, duration_s: float
    ) -> None:
        if self.reception is None:
            self._controller.on_result(subject, before, after, result, duration_s)
            return
        self._counters.probe(subject.monitor, result.reason, duration_s)
        if self.vantage is not None:
            self.vantage.on_result(subject, before, after)
