"""Who of a service takes the next request, in one worker: targets, weights, who is left out.

What is believed of members comes whole, by `update`, and is turned into groups (`gslb.proxy.way`)
of targets.  Beside it stands what this worker saw itself, which acts at once: a target that could
not be reached is shunned for a moment, one that keeps failing is ejected for longer.  Neither is
a verdict: when nobody else is left, those are tried too.

The own region's balancers are built ahead, one for each way to balance that routes name; so a
request costs one pick.  Everything else is worked out when the own region has nobody left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from gslb.model import Address, Member, Regions, Service
from gslb.proxy.balance import Balancer, build
from gslb.proxy.budget import Budget
from gslb.proxy.ejection import Ejector
from gslb.proxy.slowstart import part_of
from gslb.proxy.target import WHOLE, Target
from gslb.proxy.way import Beliefs, Group, Orders, Ways
from gslb.routing.geo import Atlas
from gslb.tier import Across, Balance, Upstream

SHUN_S: Final = 1.0  # how long a target that could not be reached is not tried before others

# What a group's targets are kept by: whether it is a proxy, its region and its address.
Key = tuple[bool, str, str]


class Chooser:
    """Chooses members of *service* for a tier in the region *own*."""

    def __init__(
        self,
        service: Service,
        upstream: Upstream,
        across: Across,
        own: str,
        regions: Regions,
        atlas: Atlas,
        seed: int,
    ) -> None:
        self.service = service
        self.upstream = upstream
        self.budget = Budget()
        self._across = across
        self._own = own
        self._regions = regions
        self._orders = Orders(service, regions, atlas)
        self._seed = seed
        self._targets: dict[Key, Target] = {}
        self._since_s: dict[Key, float] = {}  # when a member was first given traffic
        self._drained_s: dict[Key, float] = {}
        self._starts = False
        self._beliefs: Beliefs | None = None
        self._ways: Ways | None = None
        self.local: list[Target] = []
        self._balancers: dict[Balance, Balancer] = {}
        self._beyond: dict[tuple[tuple[str, ...], ...], list[tuple[Group, list[Target]]]] = {}
        self._shunned: dict[Target, float] = {}
        self._ejector = None if upstream.ejection is None else Ejector(upstream.ejection)
        self._out: frozenset[Target] = frozenset()

    # What is believed.

    def update(self, beliefs: Beliefs, now_s: float) -> None:
        """Take over what is believed of all members now."""
        self._beliefs = beliefs
        self._ways = Ways(self.service, self._own, self._regions, self._across.to, beliefs, now_s)
        self._note_drains(beliefs, now_s)
        self._weigh(now_s, is_first=not self._targets)

    def _weigh(self, now_s: float, *, is_first: bool = False) -> None:
        ways = self._ways
        assert ways is not None, "beliefs come before requests"
        group = ways.local()
        has_local = any(pool.region == self._own for pool in self.service.pools)
        self.local = self._targets_of(group, now_s, is_first=is_first) if has_local else []
        self._beyond = {}
        self._rebuild()

    def _targets_of(self, group: Group, now_s: float, *, is_first: bool = False) -> list[Target]:
        found = []
        most = max((share for _, _, share in group.shares), default=1)
        slow_s = self.upstream.slow_start_s
        for member, region, share in group.shares:
            key = (group.are_proxies, region, str(member.address))
            target = self._target(key, member)
            weight = max(1, share * WHOLE // most)
            if slow_s:
                since_s = self._since_s.setdefault(key, now_s - slow_s if is_first else now_s)
                part = part_of(now_s - since_s, slow_s)
                self._starts = self._starts or part < WHOLE
                weight = max(1, weight * part // WHOLE)
            target.weight = weight
            found.append(target)
        return found

    def _target(self, key: Key, member: Member) -> Target:
        target = self._targets.get(key)
        if target is None or target.member is not member:
            is_proxy, region, _ = key
            port = self._across.port if is_proxy else self.upstream.port
            old, target = target, Target(name_of(member, port), region, member)
            target.is_proxy = is_proxy
            if old is not None and old.name == target.name:
                target = old  # the same member, written anew
                target.member = member
            self._targets[key] = target
        return target

    def _note_drains(self, beliefs: Beliefs, now_s: float) -> None:
        """Remember since when members are drained, or living, for affinity and slow start."""
        alive = set()
        for pool in self.service.pools:
            for member in pool.members:
                key = (False, pool.region, str(member.address))
                belief = beliefs(member)
                if belief.drained:
                    self._drained_s.setdefault(key, now_s)
                else:
                    self._drained_s.pop(key, None)
                if belief.lives and not belief.drained:
                    alive.add(key)
        for key in [key for key in self._since_s if key not in alive and not key[0]]:
            del self._since_s[key]

    # What happened here.

    def observe(self, target: Target, outcome: str, elapsed_s: float, now_s: float) -> bool:
        """Hear what became of an attempt; return whether the member is suspect by that."""
        if outcome == "connect_error":
            self._shunned[target] = now_s + SHUN_S
            self._rebuild()
        elif outcome == "ok" and self._shunned and target in self._shunned:
            del self._shunned[target]
            self._rebuild()
        ejector = self._ejector
        if ejector is None or not ejector.observe(target.name, outcome, elapsed_s, now_s):
            return outcome == "connect_error"
        self._rebuild()
        return True

    def tick(self, now_s: float) -> None:
        """Let time pass: those who were left out long enough are back, and shares grow."""
        changed = False
        for target in [each for each, until_s in self._shunned.items() if now_s >= until_s]:
            del self._shunned[target]
            changed = True
        if self._ejector is not None and self._ejector.tick(now_s):
            changed = True
        if self._starts:
            self._starts = False
            self._weigh(now_s)
        elif changed:
            self._rebuild()

    def _rebuild(self) -> None:
        """Build balancers anew when they are next asked for."""
        ejected = frozenset() if self._ejector is None else self._ejector.ejected
        self._out = frozenset(
            each for each in self._targets.values() if each in self._shunned or each.name in ejected
        )
        self._balancers = {}

    # The choice.

    def choose(
        self,
        balance: Balance,
        key: int,
        client: Address,
        tried: Sequence[Target],
        hops: Collection[str],
        draw: float,
        now_s: float,
    ) -> Target | None:
        """Return whom the request goes to, not one of those *tried*; None if nobody is left.

        *key* is what is hashed on; *hops* are the regions that the request has passed.
        """
        if self.local and not (self._orders.has_fences and not self._is_inside(client)):
            balancer = self._balancers.get(balance)
            if balancer is None:
                balancer = self._built(balance, self.local)
                self._balancers[balance] = balancer
            found = balancer.pick(key, draw, now_s, tried)
            if found is not None:
                return found
        return self._choose_beyond(balance, key, client, tried, hops, draw, now_s)

    def _built(self, balance: Balance, targets: Iterable[Target]) -> Balancer:
        self._seed += 1
        eligible = [each for each in targets if each not in self._out]
        return build(balance.kind, eligible, self._seed, balance.bound)

    def _is_inside(self, client: Address) -> bool:
        return any(self._own in names for names in self._orders.of(client))

    def _choose_beyond(
        self,
        balance: Balance,
        key: int,
        client: Address,
        tried: Sequence[Target],
        hops: Collection[str],
        draw: float,
        now_s: float,
    ) -> Target | None:
        groups = [
            targets
            for group, targets in self.groups_for(client)
            if not (hops and any(region in hops for region in group.regions))
        ]
        for only_good in (True, False):
            for targets in groups:
                left = [t for t in targets if not (only_good and t in self._out)]
                picked = build(balance.kind, left, self._seed, balance.bound).pick(
                    key, draw, now_s, tried
                )
                if picked is not None:
                    return picked
        return None

    def groups_for(self, client: Address) -> list[tuple[Group, list[Target]]]:
        """Return all groups in the order in which *client*'s requests are given to them."""
        order = self._orders.of(client)
        found = self._beyond.get(order)
        if found is None:
            ways = self._ways
            assert ways is not None, "beliefs come before requests"
            groups = list(ways.beyond(order))
            if any(self._own in names for names in order):
                groups.insert(0, ways.local())
            found = [(group, self._targets_of(group, ways.now_s)) for group in groups]
            self._beyond[order] = found
        return found

    def pinned(
        self, is_meant: Callable[[Target], bool], drain_s: float, now_s: float
    ) -> Target | None:
        """Return the target that a client is pinned to, if it may have its requests still.

        That is so while it lives and is not left out; drained, for *drain_s*.
        """
        for key, target in self._targets.items():
            if key[0] or key[1] != self._own or target in self._out or not is_meant(target):
                continue
            beliefs = self._beliefs
            assert beliefs is not None, "beliefs come before requests"
            belief = beliefs(target.member)
            if not belief.lives:
                return None
            if belief.drained:
                since_s = self._drained_s.get(key, now_s)
                return target if now_s - since_s < drain_s else None
            return target
        return None

    def targets(self) -> list[Target]:
        """Return all targets that there have been reason to make."""
        return list(self._targets.values())

    def forget(self) -> list[Target]:
        """Drop and return the targets of members that are no more."""
        members = {
            (False, pool.region, str(member.address))
            for pool in self.service.pools
            for member in pool.members
        }
        gone = [key for key in self._targets if not key[0] and key not in members]
        return [self._targets.pop(key) for key in gone]


def name_of(member: Member, port: int) -> str:
    """Return the name of the target that a member is: its address and port."""
    address = str(member.address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
