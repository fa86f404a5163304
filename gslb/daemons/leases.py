"""The leases that a node knows: its own registrations, and what other nodes tell of theirs.

One mutable table; a heart-beat that changes nothing but a lease's end is one entry replaced, and
wakes nobody.  Other nodes learn of it when they are next told of everything, but of one of a
lease that could end before that at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from gslb.health.lease import (
    LEASES_MAX,
    Lease,
    LeaseError,
    LeaseKey,
    Leases,
    decode,
    encode,
    ends_at_s,
    newer,
    next_stamp,
    pruned,
)
from gslb.model import Address
from gslb.routing.found import FoundMember

SHORT_S = 15.0  # three times as long as nodes are silent by default
PRUNE_EVERY_S = 60.0

PoolKey = tuple[str, str]


class LeaseBook:
    """Leases by service, region and address; *on_change* is told when who is in may be others."""

    def __init__(
        self,
        node: str,
        clock: Callable[[], float],
        on_change: Callable[[], None],
        remembered: Leases = MappingProxyType({}),
    ) -> None:
        self._node = node
        self._clock = clock
        self._on_change = on_change
        self._leases: dict[LeaseKey, Lease] = pruned(remembered, clock())
        self._heard_s: dict[LeaseKey, float] = {}
        self._pruned_s = clock()
        self.on_own_change: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def table(self) -> Leases:
        """All leases that are known, ended ones among them, to be told to others; a view."""
        return MappingProxyType(self._leases)

    def merge(self, table: Leases) -> bool:
        """Take in a table that came from elsewhere; return whether anything in it was newer."""
        now_s = self._clock()
        news = newer(self._leases, pruned(table, now_s))
        fresh = [key for key in news if key not in self._leases]
        for key in fresh[max(0, LEASES_MAX - len(self._leases)) :]:
            del news[key]
        self._leases.update(news)
        self._heard_s.update(dict.fromkeys(news, now_s))
        if news:
            self._on_change()
        return bool(news)

    def encoded(self) -> list[list[object]]:
        """Return all leases as plain values, as `hear` takes them in elsewhere."""
        return encode(self._leases)

    def hear(self, rows: object) -> None:
        """Take in leases from elsewhere, as plain values; ValueError if they are not right."""
        try:
            self.merge(decode(rows))
        except LeaseError as error:
            raise ValueError(str(error)) from None

    def register(self, key: LeaseKey, member: FoundMember, span_s: float) -> float:
        """Let a member be in a pool for *span_s* from now on; return when that ends."""
        now_s = self._clock()
        was = self._leases.get(key)
        stamp = next_stamp(was, now_s, self._node)
        lease = Lease(stamp, span_s, now_s + span_s, member.weight, member.probe)
        ends_s = 0.0 if was is None else self._ends_s(key, was)
        # A heart-beat only moves the end, and who waits for the old one looks again then.
        same = was is not None and now_s < ends_s <= lease.ends_s
        same = same and was is not None and (was.weight, was.probe) == (lease.weight, lease.probe)
        self._keep(key, lease, tell=not same)
        if same and span_s < SHORT_S:
            self.on_own_change()
        return lease.ends_s

    def leave(self, key: LeaseKey) -> None:
        """End the lease of a member now, if there is one."""
        if (was := self._leases.get(key)) is not None:
            now_s = self._clock()
            stamp = next_stamp(was, now_s, self._node)
            self._keep(key, replace(was, stamp=stamp, span_s=0.0, ends_s=now_s), tell=True)

    def _keep(self, key: LeaseKey, lease: Lease, *, tell: bool) -> None:
        self._leases[key] = lease
        self._heard_s.pop(key, None)
        if tell:
            self._on_change()
            self.on_own_change()

    def prune(self) -> None:
        """Forget leases that are long over, every `PRUNE_EVERY_S` at the most."""
        now_s = self._clock()
        if now_s - self._pruned_s < PRUNE_EVERY_S:
            return
        self._pruned_s = now_s
        kept = pruned(self._leases, now_s)
        for key in self._leases.keys() - kept.keys():
            del self._leases[key]
            self._heard_s.pop(key, None)

    def holds(self, key: LeaseKey) -> bool:
        """Return whether a lease is held and has not ended."""
        lease = self._leases.get(key)
        return lease is not None and self._ends_s(key, lease) > self._clock()

    def ends_s(self, key: LeaseKey) -> float | None:
        """Return when a lease ends; None where there is none."""
        lease = self._leases.get(key)
        return None if lease is None else self._ends_s(key, lease)

    def _ends_s(self, key: LeaseKey, lease: Lease) -> float:
        return ends_at_s(lease, self._heard_s.get(key))

    def next_end_s(self) -> float | None:
        """Return when the next lease ends that has not ended; None while none is held."""
        now_s = self._clock()
        ends = (self._ends_s(key, lease) for key, lease in self._leases.items())
        return min((ends_s for ends_s in ends if ends_s > now_s), default=None)

    def members(self) -> Mapping[PoolKey, Mapping[Address, FoundMember]]:
        """Return the members of each pool whose leases have not ended, in one order everywhere."""
        now_s = self._clock()
        held: dict[PoolKey, dict[Address, FoundMember]] = {}
        by_address = sorted(self._leases, key=lambda key: (key[2].version, int(key[2])))
        for key in by_address:
            lease = self._leases[key]
            if self._ends_s(key, lease) > now_s:
                member = FoundMember(key[2], lease.weight, lease.probe)
                held.setdefault(key[:2], {})[key[2]] = member
        return held
