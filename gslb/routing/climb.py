"""How a ladder is climbed: which of its rungs a client is served from.

The first of these that holds is served:

1. the first rung whose living weight is at least `healthy_at_least` of its weight: its
   living members; on the way, a failing rung's living proxies, if the service lets them;
2. the first rung with anyone living who has weight: its living members;
3. the first rung with a living reserve: its living reserves;
4. what `all_down` says; nothing, if no member of this family is known but one of another is.

Rule 4 is there because a monitor that calls the whole world down is, more often than not,
itself what broke: an answer that might work beats one that cannot.

While a drain is gradual, its members count as drained for a part of the clients, and as not drained
for the others: the ladder is climbed for each part, and the candidates are put together.  So what
a region is emptied of goes where it will go in the end, and never to what is left of it.

Holding back a member that rose again is for when there is a choice: when rules 1 and 2
find nobody, they are tried once more with the held ones given their whole share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from math import gcd, lcm

from gslb.health.belief import PARTS, Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Family, Member, Regions, Service
from gslb.routing.ladder import Beliefs, Rung, Standing, build
from gslb.routing.route import Rungs


class Outcome(Enum):
    """What became of one rung; the value is what an explanation shows."""

    SERVED = "served"
    BELOW = "below threshold"
    NOBODY = "nobody living"
    NOT_REACHED = "not reached"


class Way(Enum):
    """By which rule a climb ended; the value is the metric's label."""

    RUNG = "rung"
    ANYONE = "below_threshold"
    PROXIES = "proxies"
    RESERVES = "reserves"
    FAIL_OPEN = "fail_open"
    NODATA = "nodata"
    SERVFAIL = "servfail"


ALL_DOWN = {"serve_all": Way.FAIL_OPEN, "nodata": Way.NODATA, "servfail": Way.SERVFAIL}
UP = Belief(verdict=Verdict.UP)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that may be answered, and its share among the candidates."""

    member: Member
    region: str
    share: int


@dataclass(frozen=True, slots=True)
class Climb:
    """How a ladder was climbed: the rungs, what became of each, and who may be answered.

    `at` is the index of the rung that was served, None when `all_down` decided.  `until_s`
    is the earliest time at which a verdict that this rests on may flip, None in quiet times.
    While something is drained gradually, rungs and way are those of most clients, and
    `staying` is the part, in thousandths, of those for whom none of that counts yet.
    """

    rungs: tuple[Rung, ...]
    outcomes: tuple[Outcome, ...]
    way: Way
    at: int | None
    candidates: tuple[Candidate, ...]
    until_s: float | None = None
    all_drained: bool = False
    staying: int = PARTS


def climb(
    service: Service, family: Family, order: Rungs, beliefs: Beliefs, regions: Regions, now_s: float
) -> Climb:
    """Return how the ladder of *service* is climbed by clients who get *order*."""
    cuts = _cuts(service, order, beliefs, regions)
    if len(cuts) == 2:
        return _climb(service, family, order, beliefs, regions, now_s)
    parts = [
        (end - begin, _climb(service, family, order, _as_drained(beliefs, begin), regions, now_s))
        for begin, end in pairwise(cuts)
    ]
    return _put_together(parts)


def _cuts(service: Service, order: Rungs, beliefs: Beliefs, regions: Regions) -> list[int]:
    """Return where, in thousandths of the clients, gradual drains begin to count."""
    names = {name for rung in order for name in rung}
    members = [m for pool in service.pools if pool.region in names for m in pool.members]
    proxies = [proxy for name in names for proxy in regions[name].proxies]
    return sorted({0, PARTS, *(beliefs(each).staying for each in (*members, *proxies))})


def _as_drained(beliefs: Beliefs, place: int) -> Beliefs:
    """Return what counts for clients from *place* on, until the next cut."""

    def believed(member: Member) -> Belief:
        belief = beliefs(member)
        if not belief.staying:
            return belief
        return replace(belief, staying=0, forced=belief.forced if belief.staying <= place else None)

    return believed


def _put_together(parts: Sequence[tuple[int, Climb]]) -> Climb:
    """Return the climb of all clients, given each part's width in thousandths."""
    answered = [(width, done) for width, done in parts if done.candidates]
    totals = [sum(candidate.share for candidate in done.candidates) for _, done in answered]
    measure = lcm(*totals)
    shares: dict[int, tuple[Candidate, int]] = {}
    for (width, done), total in zip(answered, totals, strict=True):
        for candidate in done.candidates:
            _, sum_ = shares.get(id(candidate.member), (candidate, 0))
            share = candidate.share * (measure // total) * width
            shares[id(candidate.member)] = candidate, sum_ + share
    common = gcd(*(share for _, share in shares.values()))
    _, most = max(parts, key=lambda part: part[0])
    flips = [done.until_s for _, done in parts if done.until_s is not None]
    return replace(
        most,
        candidates=tuple(replace(c, share=share // common) for c, share in shares.values()),
        until_s=min(flips, default=None),
        staying=parts[0][0],
    )


def _climb(
    service: Service, family: Family, order: Rungs, beliefs: Beliefs, regions: Regions, now_s: float
) -> Climb:
    """Return how the ladder is climbed where every drain is whole."""

    def rungs_as(believed: Beliefs) -> tuple[Rung, ...]:
        return build(service, family, order, believed, regions, now_s)

    rungs = rungs_as(beliefs)
    members = [standing for rung in rungs for standing in rung.members]
    all_drained = bool(members) and all(standing.belief.drained for standing in members)
    if all_drained:
        beliefs = _undrained(beliefs)
        rungs = tuple(map(_all_the_same, rungs, rungs_as(beliefs)))
    done = _with_weight(service, rungs) or _reserves(rungs)
    if done is None:
        way = Way.NODATA if is_absent(service, family) else ALL_DOWN[service.all_down]
        done = _nobody(rungs, way)
        if done.way is Way.FAIL_OPEN:
            done = _fail_open(service, done, rungs_as(_hopeful(beliefs)), rungs_as(_blind))
    return replace(done, until_s=_earliest_flip(service, done), all_drained=all_drained)


def is_absent(service: Service, family: Family) -> bool:
    """Return whether no member of *family* is known, but one of another family is.

    So it can be with a service that discovers members, and it is nothing amiss.
    """
    families = {member.family for pool in service.pools for member in pool.members}
    return bool(families) and family not in families


def _with_weight(service: Service, rungs: tuple[Rung, ...]) -> Climb | None:
    """Apply rules 1 and 2, and both again without holding anyone back."""
    done = _healthy_enough(service, rungs) or _anyone(rungs)
    if done is None and any(standing.is_held for rung in rungs for standing in rung.members):
        freed = tuple(map(_without_hold, rungs))
        done = _healthy_enough(service, freed) or _anyone(freed)
    return done


def _healthy_enough(service: Service, rungs: tuple[Rung, ...]) -> Climb | None:
    """Apply rule 1."""
    wanted = service.healthy_at_least
    for at, rung in enumerate(rungs):
        if rung.is_empty:
            continue
        proxies = living_proxies(rung)
        if proxies and service.proxies == "always":
            return _served(rungs, Way.RUNG, at, proxies)
        if not rung.weight:
            continue
        if rung.living and rung.living * wanted.denominator >= rung.weight * wanted.numerator:
            return _served(rungs, Way.RUNG, at, _given(rung))
        if proxies and service.proxies == "fallback":
            return _served(rungs, Way.PROXIES, at, proxies)
    return None


def living_proxies(rung: Rung) -> tuple[Candidate, ...]:
    """Return the living proxies of all regions of *rung*, equal among themselves."""
    return tuple(
        Candidate(proxy, region, 1)
        for proxy, region, belief in rung.proxies
        if belief.lives and not belief.drained
    )


def _anyone(rungs: tuple[Rung, ...]) -> Climb | None:
    """Apply rule 2."""
    for at, rung in enumerate(rungs):
        if rung.living:
            return _served(rungs, Way.ANYONE, at, _given(rung))
    return None


def _reserves(rungs: tuple[Rung, ...]) -> Climb | None:
    """Apply rule 3; nobody with weight lives, so whoever lives is a reserve."""
    for at, rung in enumerate(rungs):
        if living := [standing for standing in rung.members if standing.lives]:
            return _served(rungs, Way.RESERVES, at, _shared_out(living))
    return None


def _shared_out(reserves: Sequence[Standing]) -> tuple[Candidate, ...]:
    """Share equally within a pool, and among pools by weight, or equally where none has any."""
    sizes = Counter(standing.pool.region for standing in reserves)
    measure = lcm(*sizes.values())
    any_weight = any(standing.pool.weight for standing in reserves)
    return _candidates(
        (s, (s.pool.weight if any_weight else 1) * (measure // sizes[s.pool.region]))
        for s in reserves
    )


def _fail_open(
    service: Service, nobody: Climb, hopeful: tuple[Rung, ...], blind: tuple[Rung, ...]
) -> Climb:
    """Serve as if all were up that are neither drained nor forced down, or else everyone."""
    by_members = replace(service, proxies="never")
    for rungs in (hopeful, blind):
        if (found := _with_weight(by_members, rungs) or _reserves(rungs)) is not None:
            return replace(nobody, candidates=found.candidates)
    return replace(nobody, way=Way.NODATA)


def _nobody(rungs: tuple[Rung, ...], way: Way) -> Climb:
    return Climb(rungs, tuple(_outcome(rung) for rung in rungs), way, None, ())


def _served(rungs: tuple[Rung, ...], way: Way, at: int, candidates: tuple[Candidate, ...]) -> Climb:
    outcomes = [_outcome(rung) for rung in rungs]
    if way is not Way.PROXIES:
        outcomes[at] = Outcome.SERVED
    if way in (Way.RUNG, Way.PROXIES):
        outcomes[at + 1 :] = [Outcome.NOT_REACHED] * (len(rungs) - at - 1)
    return Climb(rungs, tuple(outcomes), way, at, candidates)


def _outcome(rung: Rung) -> Outcome:
    """Return what became of a rung that was passed by."""
    if rung.is_empty:
        return Outcome.NOBODY
    return Outcome.BELOW if rung.living else Outcome.NOBODY


def _given(rung: Rung) -> tuple[Candidate, ...]:
    return _candidates((standing, standing.given) for standing in rung.members)


def _candidates(shares: Iterable[tuple[Standing, int]]) -> tuple[Candidate, ...]:
    kept = [(standing, share) for standing, share in shares if share]
    measure = gcd(*(share for _, share in kept))
    return tuple(Candidate(s.member, s.pool.region, share // measure) for s, share in kept)


def _without_hold(rung: Rung) -> Rung:
    freed = tuple(replace(s, part=PARTS) if s.is_held else s for s in rung.members)
    return replace(rung, members=freed)


def _undrained(beliefs: Beliefs) -> Beliefs:
    def undrained(member: Member) -> Belief:
        belief = beliefs(member)
        return replace(belief, forced=None) if belief.drained else belief

    return undrained


def _all_the_same(drained: Rung, undrained: Rung) -> Rung:
    """Return the drained rung with the shares it would have if it were not."""
    members = tuple(
        replace(to_serve, belief=as_is.belief, why="drained, as all are: served all the same")
        for as_is, to_serve in zip(drained.members, undrained.members, strict=True)
    )
    return replace(drained, members=members)


def _hopeful(beliefs: Beliefs) -> Beliefs:
    def hopeful(member: Member) -> Belief:
        belief = beliefs(member)
        return belief if belief.forced in (Word.DOWN, Word.DRAIN) else UP

    return hopeful


def _blind(_: Member) -> Belief:
    return UP


def _earliest_flip(service: Service, done: Climb) -> float | None:
    """Return when the first verdict may flip that this climb rests on."""
    flips = (belief.flips_at_s for belief in _rested_on(service, done))
    return min((flip_s for flip_s in flips if flip_s is not None), default=None)


def _rested_on(service: Service, done: Climb) -> Iterator[Belief]:
    """Yield what was believed of all whose verdict could have made this climb end otherwise."""
    by_rule_1 = done.way in (Way.RUNG, Way.PROXIES)
    for at, rung in enumerate(done.rungs):
        holds = at == done.at and done.way is Way.RUNG
        stand_in = service.proxies == "always" and bool(living_proxies(rung))
        if not (holds and stand_in):
            yield from (s.belief for s in rung.members if not s.out)
        if service.proxies == "always" or (service.proxies == "fallback" and not holds):
            yield from (belief for _, _, belief in rung.proxies)
        if by_rule_1 and at == done.at:
            return
