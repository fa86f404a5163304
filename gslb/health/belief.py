"""Beliefs: what routing reads of one member, the measured verdict beside an operator's word.

An operator's word never touches the verdict: probes go on under it, so that a released
member is at once what it was measured to be.  Unknown counts as living: what nobody has
looked at must not be taken out.  A drained member is neither living nor dead by that word;
routing takes it out as if it were not configured.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gslb.health.verdict import Record, Verdict

PARTS = 1000  # what is given or taken gradually is counted in thousandths


class Word(Enum):
    """What an operator can say of a member."""

    UP = "up"
    DOWN = "down"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Forced:
    """An operator's word on a member, until a time or (None) until it is released.

    A drain may be gradual: it begins at `from_s` and is whole `over_s` seconds later.
    """

    word: Word
    until_s: float | None = None
    reason: str = ""
    by: str = ""
    from_s: float = 0.0
    over_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of one member at one moment; by default unknown and not forced.

    `flips_at_s` is the earliest time at which the verdict can flip, and is None when no
    flip is near or a word makes the verdict not count.  `staying` is, in thousandths, the part
    of clients for whom a gradual drain does not count yet.
    """

    verdict: Verdict = Verdict.UNKNOWN
    reason: str = ""
    since_s: float = 0.0
    flips_at_s: float | None = None
    risen_at_s: float | None = None
    forced: Word | None = None
    staying: int = 0

    @property
    def lives(self) -> bool:
        """Whether the member counts as living; a drained one by its verdict."""
        if self.forced is Word.UP:
            return True
        return self.forced is not Word.DOWN and self.verdict is not Verdict.DOWN

    @property
    def drained(self) -> bool:
        """Whether the member counts as not configured, for all clients."""
        return self.forced is Word.DRAIN and not self.staying


def believe(record: Record | None, forced: Forced | None, now_s: float) -> Belief:
    """Return what is believed of a member at *now_s*."""
    record = record or Record()
    word = forced_at(forced, now_s)
    return Belief(
        verdict=record.verdict,
        reason=record.reason,
        since_s=record.since_s,
        flips_at_s=None if word in (Word.UP, Word.DOWN) else record.flips_at_s,
        risen_at_s=record.risen_at_s,
        forced=word,
        staying=staying_at(forced, now_s) if word is Word.DRAIN and forced is not None else 0,
    )


def staying_at(forced: Forced, now_s: float) -> int:
    """Return, in thousandths, for what part of clients a drain does not count yet at *now_s*."""
    begun_s = now_s - forced.from_s
    if begun_s >= forced.over_s:
        return 0
    return PARTS - max(0, int(PARTS * begun_s / forced.over_s))


def forced_at(forced: Forced | None, now_s: float) -> Word | None:
    """Return the word that holds at *now_s*, if any; at `until_s` it no longer does."""
    if forced is None or (forced.until_s is not None and now_s >= forced.until_s):
        return None
    return forced.word
