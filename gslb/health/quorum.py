"""Votes: what is believed of one member when several vantages look at it.

A member is down when enough of the votes that count say so; how many is the `Quorum`.  Which
count is decided elsewhere (`gslb.health.hearing`); what knows nothing has no vote.

Votes of one region are one: its majority's.  The rule is applied to the regions; a vantage
without a region is one by itself, so with one vantage a region it is applied to the vantages.

Votes of kind proxy count like others, but proxies alone never take a member out: it is down only
if a prober's vote that counts says so too.  Where no prober's counts, what proxies say against a
member concludes nothing, and what they say for it does: who has seen it serve need not be asked.

A tie of a majority is decided by those who spoke first: the vote that changed last, by its
vantage's clock, is dropped until one side has more.  So a lone vote that turns back and
forth turns nobody.  A tie of regions is decided by all their votes together, so a region whose
only vantage lies outvotes nobody.  With a majority no single vantage, lying or gone, can
take a member out against two others.

All of it is a function of the votes: whoever hears the same concludes the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from gslb.health.verdict import Record, Verdict, turned
from gslb.model import Quorum, VoterKind


@dataclass(frozen=True, slots=True)
class Vote:
    """One vantage's verdict on one member; `age_s` is the time since it was last heard.

    `left_out` says why the vote does not count: ``silent``, ``abstains`` (it is cut off) or
    ``unknown``; empty when it does.  `since_s` is the vantage's own clock's, `flips_at_s`
    the hearer's.
    """

    vantage: str
    verdict: Verdict
    age_s: float
    reason: str = ""
    flips_at_s: float | None = None
    since_s: float = 0.0
    region: str | None = None
    left_out: str = ""
    kind: VoterKind = VoterKind.PROBER

    @property
    def counts(self) -> bool:
        """Whether the vote is counted."""
        return not self.left_out and self.verdict is not Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Tally:
    """What the votes come to.

    `heard` regions had a vote that counted, `down` of them said down, and `needed` would
    have had to.  `since_s` is when enough of those that agree had turned, by their vantages'
    clocks.  `flips_at_s` is the earliest flip of a vote, when the undecided votes together could
    turn the tally; else None.
    """

    verdict: Verdict
    reason: str
    heard: int
    down: int
    needed: int
    since_s: float
    flips_at_s: float | None


NO_VOTE = Tally(Verdict.UNKNOWN, "", 0, 0, 0, 0.0, None)


def tally(votes: Iterable[Vote], quorum: Quorum) -> Tally:
    """Return what the votes on one member come to; without any, the verdict is unknown."""
    counted = [vote for vote in votes if vote.counts]
    if not counted:
        return NO_VOTE
    regions = _regions(counted)
    decided, down = _decided(regions, quorum)
    verdict = _backed(decided, counted)
    if verdict is Verdict.UNKNOWN:
        return NO_VOTE
    needed = _needed(quorum, len(regions))
    return Tally(
        verdict,
        _reason([vote for vote in counted if vote.verdict is verdict]),
        len(regions),
        down,
        needed,
        _backed_since_s(_since_s(regions, decided, needed), decided, counted),
        _flips_at_s(counted, verdict, quorum),
    )


def conclude(record: Record, tally: Tally, *, now_s: float) -> Record:
    """Return the member's *record* after a tally; one without a vote changes no verdict."""
    if tally.verdict is Verdict.UNKNOWN:
        return replace(record, flips_at_s=None)
    if tally.verdict is not record.verdict:
        since_s = min(max(tally.since_s, record.since_s), now_s)
        record = turned(record, tally.verdict, tally.reason, now_s=since_s)
    if record.reason == tally.reason and record.flips_at_s == tally.flips_at_s:
        return record
    return replace(record, reason=tally.reason, flips_at_s=tally.flips_at_s)


def _regions(counted: Sequence[Vote]) -> list[list[Vote]]:
    """Return the votes of each region; a vantage without one is a region."""
    regions: dict[tuple[str, str], list[Vote]] = {}
    for vote in counted:
        key = ("", vote.vantage) if vote.region is None else ("region", vote.region)
        regions.setdefault(key, []).append(vote)
    return list(regions.values())


def _decided(regions: Sequence[Sequence[Vote]], quorum: Quorum) -> tuple[Verdict, int]:
    """Return the verdict, and how many regions say down."""
    down = sum(_majority(votes) is Verdict.DOWN for votes in regions)
    if quorum.rule == "majority" and 2 * down == len(regions):
        return _majority([vote for votes in regions for vote in votes]), down
    return (Verdict.DOWN if down >= _needed(quorum, len(regions)) else Verdict.UP), down


def _backed(decided: Verdict, counted: Sequence[Vote]) -> Verdict:
    """Return what was decided, unless it is down and no prober says so."""
    if decided is Verdict.UP:
        return decided
    said = {vote.verdict for vote in counted if vote.kind is VoterKind.PROBER}
    if Verdict.DOWN in said:
        return decided
    return Verdict.UP if said else Verdict.UNKNOWN


def _backed_since_s(decided_s: float, decided: Verdict, counted: Sequence[Vote]) -> float:
    """Return since when the verdict holds, if what the votes decided does since *decided_s*.

    Down takes a prober as well; up is had at the latest when the last prober has come round.
    """
    probers = [vote for vote in counted if vote.kind is VoterKind.PROBER]
    down_s = [vote.since_s for vote in probers if vote.verdict is Verdict.DOWN]
    if decided is Verdict.DOWN and down_s:
        return max(decided_s, min(down_s))
    if down_s or not probers:
        return decided_s
    all_up_s = max(vote.since_s for vote in probers)
    return all_up_s if decided is Verdict.DOWN else min(decided_s, all_up_s)


def _majority(votes: Sequence[Vote]) -> Verdict:
    """Return what more than half of some votes say; of a tie, what those that spoke first do."""
    if len(votes) == 1:
        return votes[0].verdict
    lead = sum(1 if vote.verdict is Verdict.DOWN else -1 for vote in votes)
    if lead:
        return Verdict.DOWN if lead > 0 else Verdict.UP
    last = max(votes, key=lambda vote: (vote.since_s, vote.vantage))
    return Verdict.UP if last.verdict is Verdict.DOWN else Verdict.DOWN


def _needed(quorum: Quorum, heard: int) -> int:
    """Return how many of *heard* regions must say down; at least one."""
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
    reasons = [vote.reason for vote in agreeing]
    if len(set(reasons)) == 1:
        return reasons[0]
    counts = Counter(reasons)
    return min(counts, key=lambda reason: (-counts[reason], reason), default="")


def _since_s(regions: Sequence[Sequence[Vote]], verdict: Verdict, needed: int) -> float:
    """Return when enough of those that agree had turned; the last of them if they are fewer."""
    turned_s = []
    for votes in regions:
        agreeing = [vote.since_s for vote in votes if vote.verdict is verdict]
        if agreeing:
            turned_s.append(_nth(agreeing, len(votes) // 2 + 1))
    if not turned_s:
        # Too few to be down though all say so: up, since the last of them was heard of.
        return max(vote.since_s for votes in regions for vote in votes)
    return _nth(turned_s, needed if verdict is Verdict.DOWN else len(regions) - needed + 1)


def _nth(times_s: list[float], number: int) -> float:
    """Return the *number*th smallest time, counted from 1, or the largest if there are fewer."""
    if len(times_s) == 1:
        return times_s[0]
    times_s.sort()
    return times_s[min(max(1, number), len(times_s)) - 1]


def _flips_at_s(counted: Sequence[Vote], verdict: Verdict, quorum: Quorum) -> float | None:
    """Return the earliest flip of an agreeing vote, if all of them could turn the tally.

    Clocks differ, so a vote that turns may come to be dropped or not where there is a tie; what
    is promised must hold in both cases.
    """
    doubted = [vote for vote in counted if vote.verdict is verdict and vote.flips_at_s is not None]
    if not doubted:
        return None
    other = Verdict.UP if verdict is Verdict.DOWN else Verdict.DOWN
    then = [
        replace(vote, verdict=other, since_s=-inf) if vote in doubted else vote for vote in counted
    ]
    if _backed(_decided(_regions(then), quorum)[0], then) in (verdict, Verdict.UNKNOWN):
        return None
    return min(vote.flips_at_s for vote in doubted if vote.flips_at_s is not None)
