"""The way a request goes when it leaves the tier: groups of members and proxies, best first.

First come the living members of the tier's own region.  When it has none, the way is that of DNS:
the client's own order of regions, without this one, climbed by the same rules.  A region is taken
if its living weight reaches `healthy_at_least`; then any with somebody living; then reserves; at
last, if the service serves all when all are down, those that nobody forced out.  A fence is never
left, the own region included.

A region is reached through its proxies or at its members, as the tier says.  Regions that a request
has passed (`hops`) are not tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from gslb.health.belief import Belief, Word
from gslb.model import Address, Fence, Member, Regions, Service
from gslb.routing.geo import Atlas, client_of
from gslb.routing.ladder import Rung, Standing, build
from gslb.routing.route import Rungs, prepare

ORDERS_MAX = 4096  # clients' orders that are remembered for each service

Beliefs = Callable[[Member], Belief]


class Why(Enum):
    """Why a group stands where it does; the value is what is shown."""

    OWN = "own region"
    NEXT = "next region"
    BELOW = "below threshold"
    RESERVES = "reserves"
    FAIL_OPEN = "all down: served all the same"


@dataclass(frozen=True, slots=True)
class Group:
    """Members, or proxies of a region, among which a balancer chooses, and their shares.

    `shares` pairs members with whole numbers in a common measure.
    """

    why: Why
    regions: tuple[str, ...]
    shares: tuple[tuple[Member, str, int], ...]
    are_proxies: bool = False


class Orders:
    """The order of a service's regions for each client, as DNS has it, worked out when asked."""

    def __init__(self, service: Service, regions: Regions, atlas: Atlas) -> None:
        self._service = service
        self._route = prepare(service.route, regions)
        self._names = [pool.region for pool in service.pools]
        self._atlas = atlas
        self._known: dict[Address, Rungs] = {}
        self.has_fences = any(isinstance(step, Fence) for step in service.route)

    def of(self, client: Address) -> Rungs:
        """Return the order for *client*."""
        found = self._known.get(client)
        if found is None:
            if len(self._known) >= ORDERS_MAX:
                self._known.clear()
            known = client_of(self._service.route, self._atlas, client)
            found = self._known[client] = self._route.order_of(self._names, known)
        return found


@dataclass(frozen=True, slots=True)
class Ways:
    """What a tier in the region *own* makes of a service at one moment.

    `across` holds ``proxies`` and ``members``, in the order in which another region is tried.
    """

    service: Service
    own: str
    regions: Regions
    across: tuple[str, ...]
    beliefs: Beliefs
    now_s: float

    def local(self) -> Group:
        """Return the living members with weight of the own region, perhaps none."""
        return Group(Why.OWN, (self.own,), _given(self._rung((self.own,)).members))

    def beyond(self, order: Rungs) -> tuple[Group, ...]:
        """Return what is tried, in turn, when the own region has nobody left, by *order*."""
        own = any(self.own in names for names in order)
        others = [tuple(name for name in names if name != self.own) for names in order]
        rungs = [self._rung(names) for names in others if names] if self.across else []
        good = [r for r in rungs if _holds(r, self.service)]
        weak = [rung for rung in rungs if rung.living and rung not in good]
        home = [self._rung((self.own,))] if own else []
        return tuple(
            group
            for group in (
                *self._through(Why.NEXT, good, _given),
                *self._through(Why.BELOW, weak, _given),
                *self._through(Why.RESERVES, [*home, *rungs], _reserves),
                *(self._fail_open(home, rungs)),
            )
            if group.shares
        )

    def _rung(self, names: Sequence[str]) -> Rung:
        """Return the rung of some regions, with its members of both families."""
        pools = {pool.region for pool in self.service.pools}
        names = tuple(name for name in names if name in pools)
        (rung,) = build(self.service, None, (names,), self.beliefs, self.regions, self.now_s)
        return rung

    def _through(
        self, why: Why, rungs: Iterable[Rung], shares: Callable[[Sequence[Standing]], Shares]
    ) -> Iterator[Group]:
        """Yield for each rung how it is reached."""
        for rung in rungs:
            found = shares(rung.members)
            if not found:
                continue
            if self.own in rung.regions:
                yield Group(why, rung.regions, found)
                continue
            for to in self.across:
                if to == "members":
                    yield Group(why, rung.regions, found)
                else:
                    proxies = tuple((p, region, 1) for p, region, b in rung.proxies if _lives(b))
                    yield Group(why, rung.regions, proxies, are_proxies=True)

    def _fail_open(self, home: Sequence[Rung], others: Sequence[Rung]) -> Iterator[Group]:
        if self.service.all_down != "serve_all":
            return
        rungs = [*home, *others]
        for accept in (_hopeful, _blind):
            groups = list(self._through(Why.FAIL_OPEN, rungs, accept))
            if groups:
                yield from groups
                return


Shares = tuple[tuple[Member, str, int], ...]


def _holds(rung: Rung, service: Service) -> bool:
    wanted = service.healthy_at_least
    living = rung.living
    return living > 0 and living * wanted.denominator >= rung.weight * wanted.numerator


def _given(members: Sequence[Standing]) -> Shares:
    return tuple((s.member, s.pool.region, s.given) for s in members if s.given)


def _reserves(members: Sequence[Standing]) -> Shares:
    return tuple((s.member, s.pool.region, 1) for s in members if s.lives and not s.given)


def _hopeful(members: Sequence[Standing]) -> Shares:
    return tuple(
        (s.member, s.pool.region, max(1, s.share))
        for s in members
        if not s.out and s.belief.forced not in (Word.DOWN, Word.DRAIN)
    )


def _blind(members: Sequence[Standing]) -> Shares:
    return tuple((s.member, s.pool.region, 1) for s in members)


def _lives(belief: Belief) -> bool:
    return belief.lives and not belief.drained
