"""A ladder: a client's order of regions, filled with a service's members of one family.

A member's nominal share of its rung is its pool's weight times its part of its pool's
weight.  Shares are whole numbers in a common measure, so that nothing is rounded and the
threshold of `gslb.routing.climb` is compared exactly.

Drained members, and new ones that wait for their first result beside pool-mates known to
be up, are *out*: they count as if they were not configured.  A member that rose again is
given only a part of its share for a while (`failback`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import lcm

from gslb.health.belief import PARTS, Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Failback, Family, Member, Pool, Regions, Service
from gslb.routing.route import Rungs

Beliefs = Callable[[Member], Belief]


@dataclass(frozen=True, slots=True)
class Standing:
    """One member on its rung.

    `share` is nominal, in the rung's measure; `part` is what it gets of it now, in
    thousandths.  `out` members count as if they were not configured.
    """

    member: Member
    pool: Pool
    belief: Belief
    out: bool
    share: int
    part: int
    why: str

    @property
    def lives(self) -> bool:
        """Return whether it may be given to clients at all."""
        return self.belief.lives and not self.out

    @property
    def is_held(self) -> bool:
        """Return whether it lives and has weight, but is given nothing yet."""
        return self.lives and self.share > 0 and not self.part

    @property
    def given(self) -> int:
        """Return what it counts for now: 0 for the dead and for those that are held back."""
        return self.share * self.part if self.lives else 0


@dataclass(frozen=True, slots=True)
class Rung:
    """Regions that tie, their members, and their proxies."""

    regions: tuple[str, ...]
    members: tuple[Standing, ...]
    proxies: tuple[tuple[Member, str, Belief], ...] = ()

    @property
    def weight(self) -> int:
        """Return the sum of all nominal shares, in thousandths."""
        return PARTS * sum(s.share for s in self.members if not s.out)

    @property
    def living(self) -> int:
        """Return the sum of what the living members get."""
        return sum(standing.given for standing in self.members)

    @property
    def is_empty(self) -> bool:
        """Return whether nobody is left on it."""
        return all(standing.out for standing in self.members)


def build(
    service: Service,
    family: Family | None,
    order: Rungs,
    beliefs: Beliefs,
    regions: Regions,
    now_s: float,
) -> tuple[Rung, ...]:
    """Return the rungs of *order*, filled with the members of *family* and what is believed.

    None is for all families together, as they are to whoever connects to members itself.
    """
    pools = {pool.region: pool for pool in service.pools}
    rungs = []
    for names in order:
        filled = []
        for name in names:
            pool = pools[name]
            members = tuple(m for m in pool.members if family in (None, m.family))
            filled.append((pool, _judged(pool, members, beliefs, service.failback, now_s)))
        proxies = [
            (proxy, name, beliefs(proxy))
            for name in names
            for proxy in regions[name].proxies
            if family in (None, proxy.family)
        ]
        rungs.append(Rung(names, _with_shares(filled), tuple(proxies)))
    return tuple(rungs)


def _judged(
    pool: Pool, members: Sequence[Member], beliefs: Beliefs, failback: Failback, now_s: float
) -> list[Standing]:
    """Return the pool's members with what is made of each; their shares are not known yet."""
    believed = [(member, beliefs(member)) for member in members]
    any_known_up = any(_is_known_up(belief) for _, belief in believed)
    out = []
    for member, belief in believed:
        part = part_given(belief, failback, now_s)
        waits = _waits(belief) and any_known_up
        out.append(
            Standing(
                member=member,
                pool=pool,
                belief=belief,
                out=belief.drained or waits,
                share=0,
                part=part,
                why=_why(belief, waits=waits, part=part),
            )
        )
    return out


def _is_known_up(belief: Belief) -> bool:
    return belief.forced is Word.UP or (belief.forced is None and belief.verdict is Verdict.UP)


def _waits(belief: Belief) -> bool:
    return belief.forced is None and belief.verdict is Verdict.UNKNOWN


_WORDS = {Word.UP: "forced up", Word.DOWN: "forced down", Word.DRAIN: "drained"}


def _why(belief: Belief, *, waits: bool, part: int) -> str:
    if belief.forced is not None:
        return _WORDS[belief.forced]
    if waits:
        return "new: waits for its first result, as others of its pool are up"
    if belief.verdict is Verdict.DOWN:
        return f"down: {belief.reason}" if belief.reason else "down"
    if not part:
        return "up again, held back"
    if part < PARTS:
        return f"up again, given {part / 10:g} % of its share"
    return str(belief.verdict.value)


def part_given(belief: Belief, failback: Failback, now_s: float) -> int:
    """Return, in thousandths, the part of its share that a member that rose again is given."""
    if belief.risen_at_s is None or belief.forced is not None:
        return PARTS
    up_for_s = now_s - belief.risen_at_s - failback.hold_s
    if up_for_s < 0:
        return 0
    if up_for_s >= failback.ramp_s:
        return PARTS
    return int(PARTS * up_for_s / failback.ramp_s)


def _with_shares(filled: Sequence[tuple[Pool, list[Standing]]]) -> tuple[Standing, ...]:
    """Return all members of a rung with their nominal shares in one whole-numbered measure."""
    sums = [
        sum(standing.member.weight for standing in standings if not standing.out)
        for _, standings in filled
    ]
    measure = lcm(*(total for total in sums if total))
    out = []
    for (pool, standings), total in zip(filled, sums, strict=True):
        for standing in standings:
            if standing.out or not total:
                out.append(standing)
            else:
                share = pool.weight * standing.member.weight * (measure // total)
                out.append(replace(standing, share=share))
    return tuple(out)
