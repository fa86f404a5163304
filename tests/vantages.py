"""Vantages and a node's opinion of what they say, for tests: reports go over real octets."""

from __future__ import annotations

from collections.abc import Mapping

from gslb.health.opinion import Flip, Opinion
from gslb.health.report import Composer, Report, decode
from gslb.health.verdict import Record, Verdict
from gslb.model import Quorum, Subject

START_S = 1_700_000_000.0
VERDICTS = {"U": Verdict.UP, "D": Verdict.DOWN, "?": Verdict.UNKNOWN}
WWW, API = (
    Subject(address, (address, 80), "web", "www.example.com")
    for address in ("192.0.2.1", "192.0.2.2")
)


class Desk:
    """A node that hears vantages say U, D or ? of its subjects; times count from `START_S`.

    *voters* are names, each with its region after a colon if it has one: ``a b:eu``.  Those
    with a ~ before their name are of kind proxy.
    """

    def __init__(
        self,
        voters: str = "a b c",
        quorum: Quorum = Quorum(),  # noqa: B008
        subjects: tuple[Subject, ...] = (WWW,),
        restored: Mapping[Subject, Record] | None = None,
    ) -> None:
        named = [each.partition(":") for each in voters.split()]
        self.proxies = {name[1:] for name, *_ in named if name.startswith("~")}
        self.regions = {name.lstrip("~"): region or None for name, _, region in named}
        self.keys = {name: name.encode() for name in self.regions}
        self.quorum, self.subjects = quorum, subjects
        self.now_s = 0.0
        self.numbers: dict[str, tuple[int, int]] = {}
        self.turns: dict[tuple[str, Subject], tuple[str, float]] = {}
        self.flips: list[Flip] = []
        self.opinion = Opinion(quorum, self.regions, self.proxies)
        self.opinion.restore(restored or {})
        self._keep(self.opinion.watch(subjects, quorum, self.regions, self.proxies, now_s=START_S))

    def report(
        self,
        name: str,
        words: str,
        *,
        cut_off: bool = False,
        flips_in_s: float | None = None,
        since_s: float | None = None,
        anew: bool = False,
    ) -> Report:
        """Return a vantage's report now: a letter for each subject, since when it first said so."""
        epoch, sequence = self.numbers.get(name, (1, 0))
        self.numbers[name] = (epoch + 1, 0) if anew else (epoch, sequence + 1)
        records = {}
        for subject, letter in zip(self.subjects, words, strict=True):
            last, turned_s = self.turns.get((name, subject), ("", 0.0))
            if letter != last or anew:
                turned_s = self.now_s
            self.turns[name, subject] = letter, turned_s
            turned_s = turned_s if since_s is None else since_s
            flips_at_s = None if flips_in_s is None else START_S + self.now_s + flips_in_s
            reason = "ok" if letter == "U" else "refused"
            records[subject] = Record(
                VERDICTS[letter], reason, START_S + turned_s, flips_at_s=flips_at_s
            )
        composer = Composer(name, self.keys[name])
        raw = composer.compose(self.numbers[name], START_S + self.now_s, records, cut_off)
        return decode(raw, self.keys, now_s=START_S + self.now_s, last=self.opinion.reports)

    def hear(self, name: str, words: str, **keys: object) -> tuple[Flip, ...]:
        """Let the node hear a vantage now."""
        return self.take(self.report(name, words, **keys))

    def take(self, report: Report) -> tuple[Flip, ...]:
        """Let the node hear this report now."""
        return self._keep(self.opinion.hear(report, now_s=START_S + self.now_s))

    def say(self, words: str, **keys: object) -> None:
        """Let all voters speak of one subject now, in their order; a dot says nothing."""
        for name, letter in zip(self.regions, words, strict=True):
            if letter != ".":
                self.hear(name, letter * len(self.subjects), **keys)

    def at(self, now_s: float) -> tuple[Flip, ...]:
        """Let time pass until then."""
        self.now_s = now_s
        return self._keep(self.opinion.look(now_s=START_S + now_s))

    def _keep(self, flips: tuple[Flip, ...]) -> tuple[Flip, ...]:
        self.flips += flips
        return flips

    @property
    def turned(self) -> list[str]:
        """What the first subject was believed to be, turn by turn."""
        return [
            each.after.verdict.value
            for each in self.flips
            if each.subject == self.subjects[0] and each.after.verdict is not each.before.verdict
        ]

    @property
    def word(self) -> str:
        """What is believed of the first subject."""
        return self.opinion.records[self.subjects[0]].verdict.value

    def states(self) -> dict[str, str]:
        """Return how each vantage is heard now."""
        return {each.name: each.state for each in self.opinion.vantages(now_s=START_S + self.now_s)}
