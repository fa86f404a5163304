"""Who of a service takes the next request, in one worker: targets, weights, who is left out.

What is believed of members comes whole, by `update`, and is turned into groups (`gslb.proxy.way`)
of targets.  Beside it stands what this worker saw itself, which acts at once: a target that could
not be reached is shunned for a moment, one that keeps failing is ejected for longer.  Neither is
a verdict: when nobody else is left, those are tried too.

The own region's balancers are built once for each way to balance that routes name; so a request
costs one pick.  Everything else is worked out when the own region has nobody left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import gcd, inf
from typing import Final

from gslb.health.belief import Belief, Word
from gslb.health.verdict import Verdict
from gslb.model import Address, Member, Regions, Service
from gslb.proxy import affinity, leasttime, slowstart
from gslb.proxy.balance import Balancer, build
from gslb.proxy.ejection import Circuit, Ejector, Outcome
from gslb.proxy.target import Target
from gslb.proxy.way import Beliefs, Group, Orders, Ways
from gslb.routing.geo import Atlas
from gslb.routing.route import Rungs
from gslb.tier import Across, Balance, Upstream

SHUN_S: Final = 1.0  # how long a target that could not be reached is not tried before others

# What a target is kept by: whether it is a proxy, its region and its address.
Key = tuple[bool, str, str]


class Chooser:
    """Chooses members of one service for a tier in the region *own*; `adopt` says of which."""

    upstream: Upstream
    service: Service
    _across: Across
    _regions: Regions
    _orders: Orders

    def __init__(self, own: str, seed: int) -> None:
        self.own = own
        self._seed = seed
        self._beliefs: Beliefs | None = None
        self._ways: Ways | None = None
        self._ahead_s = 0.0  # the clock of beliefs, ahead of the other
        self._targets: dict[Key, Target] = {}
        self._since_s: dict[Key, float] = {}  # since when a member is given traffic
        self._drained_s: dict[Key, float] = {}
        self._grows_s = inf  # when the next share grows
        self._shunned: dict[Target, float] = {}
        self._fallen: set[Target] = set()  # believed to be dead, and not yet seen to live again
        self._ejector: Ejector | None = None
        self._out: frozenset[Target] = frozenset()
        self._local: list[Target] = []
        self._balancers: dict[int, Balancer] = {}  # by the identity of a route's Balance
        self._others: dict[tuple[int, int, bool], Balancer] = {}  # of groups, by their lists
        self._measures = False  # whether somebody chooses by response times
        self.is_calm = False  # whether nobody is out or failing, and no success is of interest
        self._groups: dict[Rungs, list[tuple[Group, list[Target]]]] = {}
        self._tags: dict[bytes, dict[bytes, Target]] = {}

    # What is known.

    def adopt(
        self, service: Service, upstream: Upstream, across: Across, regions: Regions, atlas: Atlas
    ) -> list[Target]:
        """Choose among the members of *service* from now on; `update` is to follow.

        Returns the targets that are no more.
        """
        before = getattr(self, "upstream", None)
        self.service, self.upstream, self._across, self._regions = (
            service,
            upstream,
            across,
            regions,
        )
        self._orders = Orders(service, regions, atlas)
        if before is None or before.ejection != upstream.ejection:
            self._ejector = None if upstream.ejection is None else Ejector(upstream.ejection, ())
        return self._drop_gone()

    def _drop_gone(self) -> list[Target]:
        """Forget, and return, the targets that are no more, or are at another port now."""
        names = {
            (False, pool.region, str(member.address)): name_of(member, self.upstream.port)
            for pool in self.service.pools
            for member in pool.members
        }
        names |= {
            (True, region.name, str(proxy.address)): name_of(proxy, self._across.port)
            for region in self._regions.values()
            for proxy in region.proxies
        }
        dropped = []
        for key in [key for key, each in self._targets.items() if names.get(key) != each.name]:
            target = self._targets.pop(key)
            dropped.append(target)
            self._shunned.pop(target, None)
            self._fallen.discard(target)
            if key not in names:
                self._since_s.pop(key, None)
                self._drained_s.pop(key, None)
        if dropped:
            self._tags = {}
        return dropped

    def update(self, beliefs: Beliefs, now_s: float, wall_s: float) -> None:
        """Take over what is believed of all members now.

        *now_s* is by the clock of all other calls, *wall_s* by that of beliefs.
        """
        is_first = self._beliefs is None
        self._ahead_s = wall_s - now_s
        self._beliefs = beliefs
        self._note_changes(beliefs, now_s, is_first=is_first)
        self._note_risen(beliefs)
        self._weigh(now_s)

    def _note_changes(self, beliefs: Beliefs, now_s: float, *, is_first: bool) -> None:
        """Remember since when members are drained, or given traffic."""
        for pool in self.service.pools:
            for member in pool.members:
                key = (False, pool.region, str(member.address))
                belief = beliefs(member)
                if belief.drained:
                    self._drained_s.setdefault(key, now_s)
                else:
                    self._drained_s.pop(key, None)
                if belief.drained or not belief.lives:
                    self._since_s.pop(key, None)
                else:
                    # Those that were there when this process began are warm.
                    self._since_s.setdefault(key, -inf if is_first else now_s)

    def _note_risen(self, beliefs: Beliefs) -> None:
        """Shun no longer who was dead and was found to live: what was seen here is older than that.

        One of whom nothing is known any more was not found to live.
        """
        for target in self._targets.values():
            belief = beliefs(target.member)
            if not belief.lives:
                self._fallen.add(target)
            elif target in self._fallen and _is_known_to_live(belief):
                self._fallen.discard(target)
                self._shunned.pop(target, None)

    def _weigh(self, now_s: float) -> None:
        assert self._beliefs is not None, "beliefs come before requests"
        service = self.service
        wall_s = now_s + self._ahead_s
        self._ways = Ways(service, self.own, self._regions, self._across.to, self._beliefs, wall_s)
        self._grows_s = inf
        self._groups = {}
        self._local = []
        self._local = self._targets_of(self._ways.local(), now_s)
        if self._ejector is not None:
            self._ejector.keep([each.name for each in self._local], now_s)
        self._look_who_is_out(now_s)

    def _targets_of(self, group: Group, now_s: float) -> list[Target]:
        """Return the targets of a group, with the weights that they have now.

        Those of the own region keep what they have as its living members, whatever else they are.
        """
        kept = set(self._local)
        slow_s = self.upstream.slow_start_s
        common = gcd(*(share for _, _, share in group.shares)) or 1
        found = []
        for member, region, share in group.shares:
            key = (group.are_proxies, region, str(member.address))
            target = self._target(key, member)
            found.append(target)
            if target in kept:
                continue
            age_s = now_s - self._since_s.get(key, -inf)
            target.weight = slowstart.effective(share // common, age_s, slow_s)
            step_s = slowstart.next_step_s(age_s, slow_s)
            if step_s is not None:
                self._grows_s = min(self._grows_s, now_s + step_s)
        return found

    def _target(self, key: Key, member: Member) -> Target:
        target = self._targets.get(key)
        if target is None:
            is_proxy, region, _ = key
            name = name_of(member, self._across.port if is_proxy else self.upstream.port)
            target = self._targets[key] = Target(name, region, member, is_proxy=is_proxy)
            self._tags = {}
        else:
            target.member = member
        return target

    # What happened here.

    def observe(self, target: Target, outcome: Outcome, elapsed_s: float, now_s: float) -> bool:
        """Hear what became of an attempt; return whether that speaks against the member."""
        if self._measures:
            failed = outcome is not Outcome.OK
            leasttime.observe(target, elapsed_s, now_s, failed=failed)
        if outcome is Outcome.CONNECT_ERROR:
            self._shunned[target] = now_s + SHUN_S
            self._look_who_is_out(now_s)
        elif outcome is Outcome.OK and target in self._shunned:
            del self._shunned[target]
            self._look_who_is_out(now_s)
        ejector = self._ejector
        if ejector is None or not ejector.observe(target.name, outcome, elapsed_s, now_s):
            self._settle()
            return outcome is Outcome.CONNECT_ERROR
        self._look_who_is_out(now_s)
        return outcome is not Outcome.OK

    def tick(self, now_s: float) -> None:
        """Let time pass: who was left out long enough is back, and shares grow."""
        if self._ways is None:
            return
        over = [target for target, until_s in self._shunned.items() if now_s >= until_s]
        for target in over:
            del self._shunned[target]
        if now_s >= self._grows_s:
            self._weigh(now_s)
        elif over or (self._ejector is not None and now_s >= self._ejector.until_s):
            self._look_who_is_out(now_s)

    def _look_who_is_out(self, now_s: float) -> None:
        """Leave out whoever is shunned or ejected; balancers are built anew when asked for."""
        ejected = frozenset() if self._ejector is None else self._ejector.ejected(now_s)
        self._out = frozenset(
            each for each in self._targets.values() if each in self._shunned or each.name in ejected
        )
        self._balancers = {}
        self._others = {}
        self._settle()

    def _settle(self) -> None:
        ejector = self._ejector
        self.is_calm = not (
            self._measures or self._shunned or (ejector is not None and ejector.is_watching)
        )

    # The choice.

    def first(self, balance: Balance, draw: float, now_s: float) -> Target | None:
        """Return whom of the own region a request goes to that hashes on nothing, if anybody.

        A *balance* is known by its identity, and must last until the next `update`.
        """
        if self._orders.has_fences:
            return None
        balancer = self._balancers.get(id(balance))
        if balancer is None:
            balancer = self._local_balancer(balance)
        return balancer.pick(0, draw, now_s)

    def _local_balancer(self, balance: Balance) -> Balancer:
        if balance.kind == "least_time" and not self._measures:
            self._measures, self.is_calm = True, False
        left = [each for each in self._local if each not in self._out]
        balancer = self._balancers[id(balance)] = self._built(balance, left)
        return balancer

    def choose(
        self,
        balance: Balance,
        key: int,
        client: Address,
        tried: Sequence[Target],
        draw: float,
        now_s: float,
        *,
        hops: Collection[bytes] = (),
        may_cross: bool = True,
        by_proxies: bool = True,
    ) -> Target | None:
        """Return whom the request goes to, not one of those *tried*; None if nobody is left.

        *key* is what is hashed on; *hops* are the regions that the request has passed, and it may
        leave this one only if it *may_cross*, and through proxies only *by_proxies*.
        """
        if self._local and not (self._orders.has_fences and not self._is_inside(client)):
            balancer = self._balancers.get(id(balance))
            if balancer is None:
                balancer = self._local_balancer(balance)
            found = balancer.pick(key, draw, now_s, tried)
            if found is not None:
                return found
        groups = [
            targets
            for group, targets in self.groups_for(client)
            if (by_proxies or not group.are_proxies)
            and (group.regions == (self.own,) or (may_cross and not _passed(group, hops)))
        ]
        for spares in (True, False):
            for targets in groups:
                found = self._beyond_balancer(balance, targets, spares).pick(
                    key, draw, now_s, tried
                )
                if found is not None:
                    return found
        return None

    def _beyond_balancer(self, balance: Balance, targets: list[Target], spares: bool) -> Balancer:
        """Return the balancer of a group, without those who are out if it *spares* them."""
        at = id(balance), id(targets), spares
        balancer = self._others.get(at)
        if balancer is None:
            left = [each for each in targets if each not in self._out] if spares else targets
            balancer = self._others[at] = self._built(balance, left)
        return balancer

    def _built(self, balance: Balance, targets: Sequence[Target]) -> Balancer:
        self._seed += 1
        return build(balance.kind, targets, self._seed, balance.bound)

    def _is_inside(self, client: Address) -> bool:
        return any(self.own in names for names in self._orders.of(client))

    def groups_for(self, client: Address) -> list[tuple[Group, list[Target]]]:
        """Return all groups in the order in which *client*'s requests are given to them."""
        order = self._orders.of(client)
        found = self._groups.get(order)
        if found is None:
            ways = self._ways
            assert ways is not None, "beliefs come before requests"
            groups = list(ways.beyond(order))
            if any(self.own in names for names in order):
                groups.insert(0, ways.local())
            now_s = ways.now_s - self._ahead_s
            found = [(group, self._targets_of(group, now_s)) for group in groups]
            self._groups[order] = found
        return found

    # Affinity.

    def tagged(self, key: bytes, tag: bytes) -> Target | None:
        """Return the own region's target that cookies signed with *key* name by *tag*."""
        tags = self._tags.get(key)
        if tags is None:
            self._make_all()
            tags = self._tags[key] = {
                affinity.tag(key, target.name): target
                for (is_proxy, region, _), target in self._targets.items()
                if not is_proxy and region == self.own
            }
        return tags.get(tag)

    def _make_all(self) -> None:
        for pool in self.service.pools:
            if pool.region == self.own:
                for member in pool.members:
                    self._target((False, pool.region, str(member.address)), member)

    def keeps(self, target: Target, client: Address, drain_s: float, now_s: float) -> bool:
        """Return whether *target* may keep *client*: drained, for *drain_s*; never over a fence."""
        if self._orders.has_fences and not self._is_inside(client):
            return False
        key = (target.is_proxy, target.region, str(target.member.address))
        if self._targets.get(key) is not target or target in self._out or self._beliefs is None:
            return False
        belief = self._beliefs(target.member)
        if belief.drained:
            return belief.lives and now_s - self._drained_s.get(key, now_s) < drain_s
        return belief.lives

    # To be shown.

    def circuits(self, now_s: float) -> dict[str, Circuit]:
        """Return the circuits of the own region's members, by the target's name."""
        self.tick(now_s)  # who is back as of now is so to all, and not to whoever looks alone
        return {} if self._ejector is None else dict(self._ejector.state(now_s))

    def targets(self) -> list[Target]:
        """Return all targets that there was reason to make."""
        return list(self._targets.values())

    def is_out(self, target: Target) -> bool:
        """Return whether *target* is shunned or ejected."""
        return target in self._out


def name_of(member: Member, port: int) -> str:
    """Return the name of the target that a member is: its address and port."""
    address = str(member.address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _is_known_to_live(belief: Belief) -> bool:
    return belief.verdict is Verdict.UP or belief.forced is Word.UP


def _passed(group: Group, hops: Collection[bytes]) -> bool:
    return bool(hops) and any(region.encode() in hops for region in group.regions)
