"""Votes: what is believed of one member when several vantages look at it.

A member is down when enough of the vantages that are heard say so; how many is the
`Quorum`.  A vantage that knows nothing abstains.  A vantage that has been silent for longer
than `expiry_s` has no vote while another is heard.  Its silence is measured against
the one heard last, not against the clock: when all fall silent together, the likely cause is
this node's own network, and every last word stands as it was.  So a node that hears nothing
goes on with what it last knew.

With a majority no single vantage, lying or gone, can take a member out against two others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from gslb.health.verdict import Record, Verdict, turned
from gslb.model import Quorum


@dataclass(frozen=True, slots=True)
class Vote:
    """One vantage's verdict on one member; `age_s` is the time since it was last heard."""

    vantage: str
    verdict: Verdict
    age_s: float
    reason: str = ""
    flips_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the votes come to.

    `heard` vantages had a vote that counted, `down` of them said down, and `needed` would
    have had to.  `flips_at_s` is the earliest flip of a vote, when the undecided votes
    together could turn the tally; else None.
    """

    verdict: Verdict
    reason: str
    heard: int
    down: int
    needed: int
    flips_at_s: float | None


def tally(votes: Iterable[Vote], quorum: Quorum) -> Tally:
    """Return what the votes on one member come to; without any, the verdict is unknown."""
    counted = _counted(tuple(votes), quorum)
    if not counted:
        return Tally(Verdict.UNKNOWN, "", 0, 0, 0, None)
    down = sum(vote.verdict is Verdict.DOWN for vote in counted)
    needed = _needed(quorum, len(counted))
    verdict = Verdict.DOWN if down >= needed else Verdict.UP
    return Tally(
        verdict,
        _reason([vote for vote in counted if vote.verdict is verdict]),
        len(counted),
        down,
        needed,
        _flips_at_s(counted, verdict, down, needed),
    )


def conclude(record: Record, tally: Tally, *, now_s: float) -> Record:
    """Return the member's *record* after a tally; one without a vote changes no verdict."""
    if tally.verdict is Verdict.UNKNOWN:
        return replace(record, flips_at_s=None)
    if tally.verdict is not record.verdict:
        record = turned(record, tally.verdict, tally.reason, now_s=now_s)
    return replace(record, reason=tally.reason, flips_at_s=tally.flips_at_s)


def _counted(votes: tuple[Vote, ...], quorum: Quorum) -> list[Vote]:
    last_heard_s = min((vote.age_s for vote in votes), default=0.0)
    return [
        vote
        for vote in votes
        if vote.verdict is not Verdict.UNKNOWN and vote.age_s - last_heard_s <= quorum.expiry_s
    ]


def _needed(quorum: Quorum, heard: int) -> int:
    """Return how many of *heard* vantages must say down; at least one."""
    match quorum.rule:
        case "majority":
            return heard // 2 + 1
        case "any":
            return 1
        case "all":
            return heard
        case "count":
            return max(1, quorum.number)
        case "percent":
            return max(1, -(-quorum.number * heard // 100))
        case rule:
            raise ValueError(f"{rule!r} is not a quorum rule")


def _reason(agreeing: Sequence[Vote]) -> str:
    """Return the commonest reason, of equally common ones the first by name."""
    counts = Counter(vote.reason for vote in agreeing)
    return min(counts, key=lambda reason: (-counts[reason], reason), default="")


def _flips_at_s(counted: Sequence[Vote], verdict: Verdict, down: int, needed: int) -> float | None:
    turning = [
        vote.flips_at_s
        for vote in counted
        if vote.verdict is verdict and vote.flips_at_s is not None
    ]
    down_then = down - len(turning) if verdict is Verdict.DOWN else down + len(turning)
    if (down_then >= needed) == (verdict is Verdict.DOWN):
        return None
    return min(turning)
