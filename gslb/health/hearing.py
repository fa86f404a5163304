"""Who is heard: the newest report of each vantage, and whether its votes count.

A vantage is silent when it was last heard more than `expiry_s` before the one heard last:
measured against that one and not against the clock, for when all fall silent together the
likely cause is this node's own network.

A vantage that says that it is cut off abstains: where it says down it has no vote.  What it
sees up it does see, so that still counts.  When a majority of all probers is heard, and every one
that is heard says so, it is the world that fell and not they: then all of it counts.  Voters of
kind proxy are not asked: they see one region, which may stand while the rest of the world falls.

A vote that stops counting *lingers* for another expiry: it cannot turn a member, but a
member is not turned against it either.  So a vantage that comes and goes takes nobody with it.
The same holds of what a vantage said before it started anew and knew nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gslb.health.load import Load
from gslb.health.quorum import Vote
from gslb.health.report import Line, Report, accept
from gslb.health.verdict import Verdict
from gslb.model import Quorum, Subject, VoterKind

HEARD, SILENT, CUT_OFF, NEVER_HEARD = "heard", "silent", "cut off", "never heard"

_DRIFT = 1e-3  # more than any two clocks drift apart in a second


@dataclass(frozen=True, slots=True)
class Heard:
    """One vantage as it is heard: `state` is heard, silent, cut off or never heard.

    `age_s` and `number` are those of its newest report; `subjects` is of how many it speaks.
    `load` is what a tier that is not silent says of itself.
    """

    name: str
    region: str | None
    age_s: float | None
    number: tuple[int, int] | None
    state: str
    subjects: int
    kind: VoterKind = VoterKind.PROBER
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a vantage's votes for down count now, and if not, whether they linger.

    `remembers` says whether what it said before its last start lingers.
    """

    state: str = NEVER_HEARD
    counts: bool = False
    lingers: bool = False
    remembers: bool = False


@dataclass(frozen=True, slots=True)
class Lingering:
    """A vote that no longer counts, but is not yet forgotten: until `ends_s`, or later."""

    vote: Vote
    ends_s: float


@dataclass(slots=True)
class _Voice:
    """A vantage's newest report, and what must be known of those before it.

    `offset_s` is the hearer's clock less the vantage's, and the shortest way of a report.
    """

    report: Report
    offset_s: float
    cut_off_since_s: float | None
    former: Report | None = None
    anew_since_s: float = 0.0


class Hearing:
    """The newest report of each voter; *regions* are the voters' by name.

    *proxies* are the names of those that are of kind proxy.
    """

    def __init__(
        self,
        quorum: Quorum,
        regions: Mapping[str, str | None],
        proxies: Collection[str] = frozenset(),
    ) -> None:
        self._expiry_s = quorum.expiry_s
        self._regions = dict(regions)
        self._proxies = frozenset(proxies)
        self._voices: dict[str, _Voice] = {}
        self._reports: dict[str, Report] = {}

    @property
    def reports(self) -> Mapping[str, Report]:
        """The newest report of each voter that was heard; a view, not a copy."""
        return MappingProxyType(self._reports)

    @property
    def last_heard_s(self) -> float | None:
        """When a vantage was last heard, by the hearer's clock."""
        return max((report.heard_at_s for report in self._reports.values()), default=None)

    def watch(
        self,
        quorum: Quorum,
        regions: Mapping[str, str | None],
        proxies: Collection[str] = frozenset(),
    ) -> None:
        """Hear these voters from now on, and no others."""
        self._expiry_s = quorum.expiry_s
        self._regions = dict(regions)
        self._proxies = frozenset(proxies)
        for name in self._voices.keys() - regions.keys():
            del self._voices[name], self._reports[name]

    def take(self, report: Report) -> bool:
        """Let *report* count for its vantage; False if it is no voter, or has sent a newer one."""
        name, now_s = report.vantage, report.heard_at_s
        voice = self._voices.get(name)
        if name not in self._regions:
            return False
        offset_s = now_s - report.sent_at_s
        if voice is None:
            since_s = now_s if report.cut_off else None
            self._voices[name] = _Voice(report, offset_s, since_s)
        elif accept(voice.report, report) is voice.report:
            return False
        else:
            passed_s = max(0.0, now_s - voice.report.heard_at_s)
            voice.offset_s = min(offset_s, voice.offset_s + _DRIFT * passed_s)
            if report.number[0] != voice.report.number[0]:
                voice.former, voice.anew_since_s, voice.offset_s = voice.report, now_s, offset_s
            if not report.cut_off:
                voice.cut_off_since_s = None
            elif voice.cut_off_since_s is None:
                voice.cut_off_since_s = now_s
            voice.report = report
        self._reports[name] = report
        return True

    def standings(self, *, now_s: float) -> Mapping[str, Standing]:
        """Return how each voter stands."""
        last_s = self.last_heard_s or 0.0
        lags_s = {name: last_s - each.report.heard_at_s for name, each in self._voices.items()}
        heard = [name for name, lag_s in lags_s.items() if lag_s <= self._expiry_s]
        probers = self._regions.keys() - self._proxies
        asked = [name for name in heard if name in probers]
        is_world = 2 * len(asked) > len(probers) and all(
            self._reports[name].cut_off for name in asked
        )
        standings = dict.fromkeys(self._regions, Standing())
        for name, voice in self._voices.items():
            remembers = voice.former is not None and now_s <= voice.anew_since_s + self._expiry_s
            if lags_s[name] > self._expiry_s:
                lingers = lags_s[name] <= 2 * self._expiry_s
                standings[name] = Standing(SILENT, False, lingers, remembers)
            elif voice.cut_off_since_s is not None:
                lingers = not is_world and now_s <= voice.cut_off_since_s + self._expiry_s
                standings[name] = Standing(CUT_OFF, is_world, lingers, remembers)
            else:
                standings[name] = Standing(HEARD, True, False, remembers)
        return standings

    def votes(
        self, subject: Subject, standings: Mapping[str, Standing], *, now_s: float
    ) -> tuple[Vote, ...]:
        """Return the vote of each vantage that speaks of *subject*."""
        votes = []
        for name, voice in self._voices.items():
            if (line := voice.report.line(subject)) is None:
                continue
            standing, left_out = standings[name], ""
            if standing.state == SILENT:
                left_out = "silent"
            elif line.verdict is Verdict.UNKNOWN:
                left_out = "unknown"
            elif line.verdict is Verdict.DOWN and not standing.counts:
                left_out = "abstains"
            votes.append(self._vote(name, voice, line, left_out, now_s))
        return tuple(votes)

    def lingering(
        self,
        subject: Subject,
        votes: Iterable[Vote],
        standings: Mapping[str, Standing],
        *,
        now_s: float,
    ) -> list[Lingering]:
        """Return those of the *votes* on a subject that do not count, and are not forgotten."""
        found = []
        for vote in votes:
            voice, standing = self._voices[vote.vantage], standings[vote.vantage]
            if vote.counts:
                continue
            if vote.verdict is not Verdict.UNKNOWN:
                if standing.lingers:
                    ends_s = self._ends_s(voice, standing)
                    found.append(Lingering(replace(vote, left_out=""), ends_s))
            elif standing.remembers and voice.former is not None:
                line = voice.former.line(subject)
                if line is not None and line.verdict is not Verdict.UNKNOWN:
                    former = self._vote(vote.vantage, voice, line, "", now_s)
                    found.append(Lingering(former, voice.anew_since_s + self._expiry_s))
        return found

    def heard(self, *, now_s: float) -> tuple[Heard, ...]:
        """Return how each voter is heard, in the order in which they are listed."""
        standings = self.standings(now_s=now_s)
        found = []
        for name, region in self._regions.items():
            report = self._reports.get(name)
            if report is None:
                found.append(Heard(name, region, None, None, NEVER_HEARD, 0, self._kind(name)))
                continue
            age_s = max(0.0, now_s - report.heard_at_s)
            state, subjects = standings[name].state, len(report.subjects)
            kind = self._kind(name)
            load = None if state == SILENT else report.load
            found.append(Heard(name, region, age_s, report.number, state, subjects, kind, load))
        return tuple(found)

    def spoken_of(self, name: str) -> Iterable[Subject]:
        """Return what a voter's report, and the one before its last start, speak of."""
        voice = self._voices.get(name)
        if voice is None:
            return ()
        former = () if voice.former is None else voice.former.subjects
        return (*voice.report.subjects, *former)

    def _ends_s(self, voice: _Voice, standing: Standing) -> float:
        if standing.state == SILENT:
            return voice.report.heard_at_s + 2 * self._expiry_s
        assert voice.cut_off_since_s is not None, "who counts does not linger"
        return voice.cut_off_since_s + self._expiry_s

    def _vote(self, name: str, voice: _Voice, line: Line, left_out: str, now_s: float) -> Vote:
        flips_at_s = line.flips_at_s
        return Vote(
            name,
            line.verdict,
            max(0.0, now_s - voice.report.heard_at_s),
            line.reason,
            None if flips_at_s is None else flips_at_s + voice.offset_s,
            line.since_s,
            self._regions[name],
            left_out,
            self._kind(name),
        )

    def _kind(self, name: str) -> VoterKind:
        return VoterKind.PROXY if name in self._proxies else VoterKind.PROBER
