"""Doubts: what a tier newly speaks against, told on so that every vantage probes it at once.

A tier sees requests fail before the next probe is due.  What it says proves nothing to others,
so it turns nobody; but whoever hears of it looks at once instead of at the next interval.

A doubt is of a subject's token, since bulletins hold many and hearers know their subjects.  It is
known by who had it and when that one's report was sent, by its own clock: so it is the same by
whatever way it comes, and is acted upon once.  How soon a subject may be probed again is the
prober's business, so whoever doubts all the time gets one probe a second and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from gslb.health.report import Report
from gslb.health.sealed import NAME_MAX
from gslb.health.verdict import Verdict
from gslb.model import Subject

DOUBTS_MAX = 100  # in a bulletin, the newest
HEARD_MAX = 4000  # remembered by a hearer; of what is forgotten a second probe does no harm
TOLD_S = 30.0  # by when everyone has heard a bulletin that told of it

_TOKEN_BYTES = 8
_TOKEN_CHARS = 2 * _TOKEN_BYTES
_TIME_MAX_S = 253_402_300_799.0  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Doubt:
    """That *vantage* came to doubt a subject in the report that it sent at `at_s`, by its clock."""

    token: str
    vantage: str
    at_s: float


def token_of(subject: Subject) -> str:
    """Return the subject's token, the same on all hosts: 16 hexadecimal digits."""
    host, port = subject.target
    texts = (subject.address, host, str(port), subject.monitor, subject.host)
    return blake2b("\0".join(texts).encode(), digest_size=_TOKEN_BYTES).hexdigest()


def newly_doubted(report: Report, last: Report | None) -> list[Subject]:
    """Return what *report* calls down or suspect, and the one before it did not."""
    subjects = report.subjects if last is None else report.differing(last)
    return [s for s in subjects if _doubts(report, s) and not (last and _doubts(last, s))]


def _doubts(report: Report, subject: Subject) -> bool:
    line = report.line(subject)
    return line is not None and (line.suspect or line.verdict is Verdict.DOWN)


class Doubts:
    """The doubts that one node tells of: for `TOLD_S`, the newest `DOUBTS_MAX`."""

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str], tuple[float, Doubt]] = {}

    def take(self, report: Report, last: Report | None) -> tuple[Doubt, ...]:
        """Return what a tier's report newly doubts, and tell of it from now on."""
        doubts = tuple(
            Doubt(token_of(subject), report.vantage, report.sent_at_s)
            for subject in newly_doubted(report, last)
        )
        for doubt in doubts:
            key = (doubt.vantage, doubt.token)
            self._raised.pop(key, None)
            self._raised[key] = report.heard_at_s, doubt
        for key in list(self._raised)[:-DOUBTS_MAX]:
            del self._raised[key]
        return doubts

    def told(self, *, now_s: float) -> tuple[Doubt, ...]:
        """Return what is to be told now, the newest last."""
        self._raised = {
            key: (raised_s, doubt)
            for key, (raised_s, doubt) in self._raised.items()
            if now_s - raised_s <= TOLD_S
        }
        return tuple(doubt for _, doubt in self._raised.values())


class Heeded:
    """The doubts that one vantage has acted upon, so that it does not do so again."""

    def __init__(self) -> None:
        self._at_s: dict[tuple[str, str], float] = {}

    def fresh(self, doubts: Iterable[Doubt]) -> set[str]:
        """Return the tokens of those *doubts* that were not heard before."""
        tokens = set()
        for doubt in doubts:
            key = (doubt.vantage, doubt.token)
            if doubt.at_s > self._at_s.get(key, -1.0):
                self._at_s.pop(key, None)
                self._at_s[key] = doubt.at_s
                tokens.add(doubt.token)
        for key in list(self._at_s)[:-HEARD_MAX]:
            del self._at_s[key]
        return tokens


def encode(doubts: Iterable[Doubt]) -> list[list[object]]:
    """Return the doubts as plain values, ready for JSON."""
    return [[doubt.token, doubt.vantage, doubt.at_s] for doubt in doubts]


def decode(rows: object) -> tuple[Doubt, ...]:
    """Return the doubts in plain values; ValueError unless all of it is right."""
    match rows:
        case [*_] if len(rows) <= DOUBTS_MAX:
            return tuple(map(_doubt, rows))
        case _:
            raise ValueError(f"the doubts are no list of at most {DOUBTS_MAX}")


def _doubt(row: object) -> Doubt:
    match row:
        case [str(token), str(vantage), float(at_s)] if (
            len(token) == _TOKEN_CHARS
            and 0 < len(vantage) <= NAME_MAX
            and 0.0 <= at_s <= _TIME_MAX_S
        ):
            return Doubt(token, vantage, at_s)
        case _:
            raise ValueError("a doubt is not a token, a vantage and a time")
