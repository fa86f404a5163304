"""The opinion: what the reports of all vantages come to, a record for each subject.

Where nobody's vote on a subject counts, or only those of proxies against it do, its record stays.
Where fewer than `min_vantages` are heard, or none for longer than the expiry, all records stay,
frozen: a node that hears nothing goes on with what it last knew.  Frozen for `unknown_after_s`,
all are unknown, which is everyone by geography.

After a start, and after it was frozen, a node listens before it concludes: until all voters are
heard, or for half an expiry.  Else whoever happens to be heard first would decide alone.

Verdict and `since_s` come from the votes alone, so nodes that hear the same soon believe the same,
whatever each has missed; what remains of the past is what lingers (`gslb.health.hearing`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gslb.health.hearing import CUT_OFF, HEARD, Heard, Hearing, Standing
from gslb.health.quorum import Vote, conclude, tally
from gslb.health.report import Report
from gslb.health.verdict import Record, Verdict, resumed, turned
from gslb.model import Quorum, Subject

UNHEARD = "unheard"  # the reason of those that became unknown


@dataclass(frozen=True, slots=True)
class Flip:
    """A record that changed, though perhaps not its verdict, and the votes that did it."""

    subject: Subject
    before: Record
    after: Record
    votes: tuple[Vote, ...]


class Opinion:
    """What is believed of each watched subject; *regions* are the voters' by name.

    *proxies* are the names of those that are of kind proxy.
    """

    def __init__(
        self,
        quorum: Quorum,
        regions: Mapping[str, str | None],
        proxies: Collection[str] = frozenset(),
    ) -> None:
        self._quorum = quorum
        self._hearing = Hearing(quorum, regions, proxies)
        self._standings: Mapping[str, Standing] = {}
        self._records: dict[Subject, Record] = {}
        self._unseen: set[Subject] = set()
        self._started_s: float | None = None
        self._concludes = False
        self._listens_until_s: float | None = None
        self._frozen_since_s: float | None = None
        self._is_unknown = False

    @property
    def records(self) -> Mapping[Subject, Record]:
        """The record of each watched subject, as it is now; a view, not a copy."""
        return MappingProxyType(self._records)

    @property
    def reports(self) -> Mapping[str, Report]:
        """The newest report of each voter, as `gslb.health.report.decode` wants them; a view."""
        return self._hearing.reports

    @property
    def is_complete(self) -> bool:
        """Whether the votes on every watched subject have come to a verdict since the start."""
        return not self._unseen

    @property
    def frozen_since_s(self) -> float | None:
        """Since when too few are heard for anything to change; None while enough are."""
        return self._frozen_since_s

    def restore(self, records: Mapping[Subject, Record]) -> None:
        """Take up records stored before a restart; they hold for what is then watched."""
        assert self._started_s is None, "restore before the first watch"
        self._records.update(records)

    def watch(
        self,
        subjects: Collection[Subject],
        quorum: Quorum,
        regions: Mapping[str, str | None],
        proxies: Collection[str] = frozenset(),
        *,
        now_s: float,
    ) -> tuple[Flip, ...]:
        """Conclude on these subjects from now on; those that stay keep their record."""
        if self._started_s is None:
            self._started_s, self._unseen = now_s, set(subjects)
            for subject, record in self._records.items():
                self._records[subject] = resumed(record, now_s=now_s)
        else:
            new = set(subjects) - self._records.keys()
            self._unseen = (self._unseen & set(subjects)) | new
        kept = {subject: self._records.get(subject, Record()) for subject in subjects}
        self._records.clear()
        self._records.update(kept)
        self._quorum = quorum
        self._hearing.watch(quorum, regions, proxies)
        return self._go_on(self._records, now_s)

    def hear(self, report: Report, *, now_s: float) -> tuple[Flip, ...]:
        """Let a report count, if it is its vantage's newest; only what differs is tallied again."""
        last = self._hearing.reports.get(report.vantage)
        if not self._hearing.take(report):
            return ()
        return self._go_on(report.subjects if last is None else report.differing(last), now_s)

    def look(self, *, now_s: float) -> tuple[Flip, ...]:
        """Let time pass: vantages fall silent, votes are forgotten, verdicts freeze."""
        return self._go_on((), now_s)

    def votes(self, subject: Subject, *, now_s: float) -> tuple[Vote, ...]:
        """Return each vantage's vote on *subject*, also those that do not count."""
        standings = self._hearing.standings(now_s=now_s)
        return self._hearing.votes(subject, standings, now_s=now_s)

    def vantages(self, *, now_s: float) -> tuple[Heard, ...]:
        """Return how each voter is heard."""
        return self._hearing.heard(now_s=now_s)

    def _go_on(self, subjects: Iterable[Subject], now_s: float) -> tuple[Flip, ...]:
        """Conclude on *subjects*, and on all whose voters stand otherwise than before."""
        before, self._standings = self._standings, self._hearing.standings(now_s=now_s)
        if not self._is_enough(now_s):
            return self._freeze(now_s)
        if not self._concludes:
            if self._listens(now_s):
                return ()
            self._concludes, self._is_unknown = True, False
            self._listens_until_s = self._frozen_since_s = None
            subjects = self._records
        else:
            changed = [name for name, now in self._standings.items() if before.get(name) != now]
            if changed:
                subjects = {*subjects, *(s for n in changed for s in self._hearing.spoken_of(n))}
        flips = (self._conclude(each, now_s) for each in tuple(subjects) if each in self._records)
        return tuple(flip for flip in flips if flip is not None)

    def _is_enough(self, now_s: float) -> bool:
        last_s = self._hearing.last_heard_s
        if last_s is None or now_s - last_s > self._quorum.expiry_s:
            return False
        counted = sum(standing.counts for standing in self._standings.values())
        return counted >= max(1, self._quorum.min_vantages)

    def _listens(self, now_s: float) -> bool:
        """Return whether to wait for others, who were perhaps not heard yet."""
        if self._listens_until_s is None:
            self._listens_until_s = now_s + self._quorum.expiry_s / 2
        all_heard = all(each.state in (HEARD, CUT_OFF) for each in self._standings.values())
        return not all_heard and now_s < self._listens_until_s

    def _freeze(self, now_s: float) -> tuple[Flip, ...]:
        """Let all verdicts stay, or make them unknown when they have stayed for too long."""
        self._listens_until_s = None
        if self._concludes:
            self._concludes, self._frozen_since_s = False, now_s
            undecided = [s for s, record in self._records.items() if record.flips_at_s is not None]
            return tuple(
                self._changed(each, replace(self._records[each], flips_at_s=None), now_s)
                for each in undecided
            )
        assert self._started_s is not None, "watch before you look"
        if self._frozen_since_s is None and now_s - self._started_s > self._quorum.expiry_s:
            self._frozen_since_s = self._started_s
        after_s = self._quorum.unknown_after_s
        if self._is_unknown or self._frozen_since_s is None or after_s is None:
            return ()
        if now_s - self._frozen_since_s < after_s:
            return ()
        self._is_unknown = True
        known = [s for s, record in self._records.items() if record.verdict is not Verdict.UNKNOWN]
        return tuple(
            self._changed(
                each, turned(self._records[each], Verdict.UNKNOWN, UNHEARD, now_s=now_s), now_s
            )
            for each in known
        )

    def _conclude(self, subject: Subject, now_s: float) -> Flip | None:
        """Conclude on one subject; None if its record stays as it is."""
        record = self._records[subject]
        votes = self._hearing.votes(subject, self._standings, now_s=now_s)
        outcome = tally(votes, self._quorum)
        if outcome.verdict is not Verdict.UNKNOWN:
            self._unseen.discard(subject)
        after = self._held_back(record, subject, votes, outcome.verdict, now_s)
        if after is None:
            after = conclude(record, outcome, now_s=now_s)
        if after == record:
            return None
        self._records[subject] = after
        return Flip(subject, record, after, votes)

    def _held_back(
        self,
        record: Record,
        subject: Subject,
        votes: tuple[Vote, ...],
        verdict: Verdict,
        now_s: float,
    ) -> Record | None:
        """Return the record as it stays because of votes that linger; None if it may turn."""
        if verdict in (record.verdict, Verdict.UNKNOWN) or record.verdict is Verdict.UNKNOWN:
            return None
        lingering = self._hearing.lingering(subject, votes, self._standings, now_s=now_s)
        if not lingering:
            return None
        gone = {each.vote.vantage for each in lingering}
        kept = [vote for vote in votes if vote.vantage not in gone]
        if tally([*kept, *(each.vote for each in lingering)], self._quorum).verdict is verdict:
            return None
        may_turn_s = [each.ends_s for each in lingering]
        may_turn_s += [vote.flips_at_s for vote in votes if vote.flips_at_s is not None]
        return replace(record, flips_at_s=min(may_turn_s))

    def _changed(self, subject: Subject, after: Record, now_s: float) -> Flip:
        before, self._records[subject] = self._records[subject], after
        return Flip(subject, before, after, self.votes(subject, now_s=now_s))
