"""Reports taken in: decoded under the voters' keys, counted, and what they come to told on.

What is wrong with a report costs that report alone.  Who falls silent, comes back or is cut off
is told on change only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from gslb.config.settings import Config
from gslb.daemons.counters import Counters
from gslb.daemons.events import Events
from gslb.errors import ReportError
from gslb.health import report
from gslb.health.doubt import Doubt, Doubts
from gslb.health.hearing import HEARD
from gslb.health.opinion import Flip, Opinion
from gslb.health.share import probers_of
from gslb.model import Subject, VoterKind

NOBODY = "unknown"  # the label of reports whose sender is not known


class Reception:
    """Hears all vantages for one node; *on_flip* is told of each record that changed.

    `on_doubts` is told of what a tier's report newly doubts.
    """

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float],
        counters: Counters,
        events: Events,
        on_flip: Callable[[Flip], None],
    ) -> None:
        self._config = config
        self._clock = clock
        self._counters = counters
        self._events = events
        self._on_flip = on_flip
        self._states: dict[str, str] = {}
        self._frozen = False
        self.doubts = Doubts()
        self.on_doubts: Callable[[tuple[Doubt, ...]], None] = lambda _: None
        self.opinion = Opinion(config.quorum, _regions(config), _proxies(config))

    def watch(self, config: Config, subjects: Collection[Subject]) -> None:
        """Hear the voters of *config* on *subjects* from now on."""
        self._config = config
        flips = self.opinion.watch(
            subjects, config.quorum, _regions(config), _proxies(config), now_s=self._clock()
        )
        self._tell(flips)

    def receive(self, octets: bytes) -> None:
        """Take in one report; raises ReportError, which is counted, when it is not right."""
        now_s = self._clock()
        keys = {name: voter.key for name, voter in self._config.voters.items()}
        try:
            heard = report.decode(octets, keys, now_s=now_s, last=self.opinion.reports)
            last = self.opinion.reports.get(heard.vantage)
            flips = self.opinion.hear(heard, now_s=now_s)
        except ReportError as error:
            claimed = report.claimed(octets)
            name = claimed if claimed in self._config.voters else NOBODY
            self._counters.reports[name, error.kind] += 1
            raise
        self._counters.reports[heard.vantage, "taken"] += 1
        self._tell(flips)
        self._look_at_states(now_s)
        is_tier = self._config.voters[heard.vantage].kind is VoterKind.PROXY
        if is_tier and (doubts := self.doubts.take(heard, last)):
            self.on_doubts(doubts)

    def heard(self) -> tuple[str, ...]:
        """Return the vantages whose votes count now."""
        vantages = self.opinion.vantages(now_s=self._clock())
        return tuple(each.name for each in vantages if each.state == HEARD)

    def look(self) -> None:
        """See what time alone has changed; to be called once a second."""
        now_s = self._clock()
        self._tell(self.opinion.look(now_s=now_s))
        self._look_at_states(now_s)

    def _tell(self, flips: Iterable[Flip]) -> None:
        for flip in flips:
            self._on_flip(flip)

    def _look_at_states(self, now_s: float) -> None:
        frozen = self.opinion.frozen_since_s is not None
        if frozen != self._frozen:
            self._frozen = frozen
            if frozen:
                self._events.announce("votes_frozen")
            else:
                self._events.announce("votes_thawed")
        for vantage in self.opinion.vantages(now_s=now_s):
            before = self._states.get(vantage.name)
            if before != vantage.state:
                self._states[vantage.name] = vantage.state
                if before is not None or vantage.state != "never heard":
                    self._events.announce(
                        "vantage", vantage=vantage.name, state=vantage.state, was=before
                    )


def _regions(config: Config) -> dict[str, str | None]:
    return {name: voter.region for name, voter in config.voters.items()}


def _proxies(config: Config) -> frozenset[str]:
    return frozenset(config.voters) - probers_of(config.voters)
